"""Files of features: Parquet, and `.npy` with a CSV."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars
import pytest
from numpy.typing import NDArray
from PIL import Image
from pyarrow import parquet

from tests.support import fakes
from topfive import Classifier
from topfive.classification import feature_cache, feature_files, feature_formats
from topfive.classification.feature_files import FORMATS
from topfive.classification.feature_formats import Block, Entry, Origin
from topfive.classification.pipeline import Response
from topfive.errors import MissingExtraError, OutputError, UsageError
from topfive.networks.cards import FILTERS, FITS, RECIPES, choose_recipe
from topfive.networks.published import NETWORKS
from topfive.results import Failure
from topfive.sources.source import Source
from topfive.system import memory
from topfive.version import __version__

ODD = 'a "quoted", odd\nname \udcff.jpg'
ORIGIN = Origin("squeezenet", "sha256:0", "stretch-bicubic", "f32")
each_format = pytest.mark.parametrize("suffix", FORMATS)


def responses(values: NDArray[np.float32], first: int = 0) -> Iterator[tuple[Source, Response]]:
    """Yield a picture for each row; those of NaN are failures."""
    for number, row in enumerate(values, start=first):
        name = ODD if number == 3 else f"{number}.jpg"
        if np.isnan(row).any():
            failure = Failure(name, "broken", "cut, \udcff")
            yield Source(name, name), Response(failure, 0, None, None, None)
        else:
            yield Source(name, name), Response(row, 0, f"hash {number}", 640, 480)


@pytest.fixture
def values() -> NDArray[np.float32]:
    """Ten rows of features, two of them failures."""
    found = np.random.default_rng(0).normal(0, 1, (10, 512)).astype(np.float32)
    found[[0, 6]] = np.nan
    return found


def entries(classifier: Classifier, values: NDArray[np.float32]) -> list[Entry]:
    """Return what `read` should say of what `responses` yields."""
    come_from, found = feature_files.origin(classifier), []
    for number, row in enumerate(values):
        name = ODD.replace("\udcff", "\\udcff") if number == 3 else f"{number}.jpg"
        known = None, None, None
        error = ("broken", "cut, \\udcff") if np.isnan(row).any() else (None, None)
        if error[0] is None:
            known = f"hash {number}", 640, 480  # type: ignore[assignment]
        found.append(Entry(name, *known, *come_from, *error))
    return found


@each_format
def test_what_is_written_is_read_again(
    suffix: str, squeezenet: Classifier, values: NDArray[np.float32], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(feature_formats, "MAX_ROWS", 4)
    file = tmp_path / f"features{suffix}"
    feature_files.write(file, squeezenet, responses(values))
    blocks = list(feature_files.read(file))
    assert [one for block in blocks for one in block.entries] == entries(squeezenet, values)
    found = np.concatenate([block.features for block in blocks])
    assert found.tobytes() == values.tobytes()
    answered = [one.source for block in blocks for one in block.answered().entries]
    assert len(answered) == 8
    names = {file.name, "features.csv"} if suffix == ".npy" else {file.name}
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == names
    before = file.read_bytes()
    feature_files.write(file, squeezenet, responses(values), force=True)
    assert file.read_bytes() == before


def test_numpy_reads_the_npy_and_the_csv_names_its_rows(
    squeezenet: Classifier, values: NDArray[np.float32], tmp_path: Path
) -> None:
    feature_files.write(tmp_path / "f.npy", squeezenet, responses(values))
    found = np.load(tmp_path / "f.npy", mmap_mode="r", allow_pickle=False)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, values)
    with (tmp_path / "f.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["row"] for row in rows] == [str(number) for number in range(10)]
    assert rows[0]["error_kind"] == "broken"
    assert rows[5]["sha256"] == "hash 5"


def test_other_programs_read_the_parquet(
    squeezenet: Classifier, values: NDArray[np.float32], tmp_path: Path
) -> None:
    file = tmp_path / "f.parquet"
    feature_files.write(file, squeezenet, responses(values))
    query = f"select source, width, features, error_kind from '{file}'"  # noqa: S608
    rows = duckdb.execute(query).fetchall()
    assert rows[0] == ("0.jpg", None, None, "broken")
    assert rows[5][1] == 640
    np.testing.assert_array_equal(np.array(rows[5][2], np.float32), values[5])
    frame = polars.read_parquet(file)
    assert frame.schema["features"] == polars.Array(polars.Float32, 512)
    np.testing.assert_array_equal(frame["features"][9].to_numpy(), values[9])
    metadata = parquet.read_schema(file).metadata
    told = {name: metadata[name.encode()].decode() for name in (*Origin._fields, "topfive")}
    assert told == {**feature_files.origin(squeezenet)._asdict(), "topfive": __version__}


@pytest.mark.slow
@each_format
def test_all_failures_and_no_pictures_are_files_too(
    suffix: str, squeezenet: Classifier, tmp_path: Path
) -> None:
    file = tmp_path / f"f{suffix}"
    nothing = np.full((3, 1), np.nan, np.float32)
    feature_files.write(file, squeezenet, responses(nothing))
    (block,) = feature_files.read(file)
    assert [one.error_kind for one in block.entries] == ["broken"] * 3
    assert len(block.answered().features) == 0
    feature_files.write(file, squeezenet, iter(()), force=True)
    assert list(feature_files.read(file)) == []
    with pytest.raises(UsageError, match="has no rows: no pictures were given"):
        feature_files.find_classifier(file)
    if suffix == ".npy":
        assert np.load(file).shape == (0, 512)


@each_format
def test_nothing_is_overwritten_without_force(
    suffix: str, squeezenet: Classifier, values: NDArray[np.float32], tmp_path: Path
) -> None:
    file = tmp_path / f"f{suffix}"
    beside = tmp_path / "f.csv" if suffix == ".npy" else file
    beside.write_text("mine")
    with pytest.raises(UsageError, match="is there already: give another name, or --force"):
        feature_files.write(file, squeezenet, responses(values))
    assert beside.read_text() == "mine"
    feature_files.write(file, squeezenet, responses(values), force=True)
    assert len(list(feature_files.read(file))) == 1


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("f.csv", "expected a name that ends in .parquet, .npy"),
        ("none/f.npy", "there is no folder"),
        ("folder.npy", "is not a file"),
        ("g.npy", "g.csv is not a file"),
    ],
)
def test_what_cannot_be_written_is_refused_before_any_work(
    name: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / "folder.npy").mkdir()
    (tmp_path / "g.csv").mkdir()
    with pytest.raises(UsageError, match=said):
        feature_files.check(tmp_path / name, force=True)


def test_without_pyarrow_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'topfive\[parquet\]'"):
        feature_files.check(tmp_path / "f.parquet")
    feature_files.check(tmp_path / "f.npy")


@each_format
def test_an_interrupted_run_leaves_what_was_there(
    suffix: str, squeezenet: Classifier, values: NDArray[np.float32], tmp_path: Path
) -> None:
    file = tmp_path / f"f{suffix}"
    feature_files.write(file, squeezenet, responses(values))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}

    def interrupted() -> Iterator[tuple[Source, Response]]:
        yield from responses(values[1:3])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        feature_files.write(file, squeezenet, interrupted(), force=True)
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    assert after == before
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.slow
@each_format
def test_a_full_disk_is_a_clear_error_and_leaves_nothing(
    suffix: str, squeezenet: Classifier, small_disk: Path
) -> None:
    many = np.random.default_rng(0).normal(0, 1, (1_000, 512)).astype(np.float32)
    with pytest.raises(OutputError, match="the disk is full"):
        feature_files.write(small_disk / f"f{suffix}", squeezenet, responses(many))
    assert list(small_disk.iterdir()) == []


@pytest.mark.slow
@each_format
def test_memory_stays_flat(
    suffix: str, squeezenet: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feature_files, "num_features", lambda classifier: 8_192)
    block = np.random.default_rng(0).normal(0, 1, (256, 8_192)).astype(np.float32)

    def rows(count: int) -> Iterator[tuple[Source, Response]]:
        for number in range(count):
            yield from responses(block, first=10 + number * len(block))

    peaks = []
    for count in (2, 40):  # 17 MB and 336 MB of features
        file = tmp_path / f"{count}{suffix}"
        memory.reset_peak()
        before = memory.peak()
        feature_files.write(file, squeezenet, rows(count))
        assert sum(len(one.entries) for one in feature_files.read(file)) == count * len(block)
        peaks.append(memory.peak() - before)
    assert peaks[1] < peaks[0] + 150e6


def write(file: Path, values: NDArray[np.float32], origin: Origin = ORIGIN) -> Path:
    """Write a file of features without a classifier."""
    rows = [Entry(f"{row}.jpg", None, None, None, *origin, None, None)
            for row in range(len(values))]  # fmt: skip
    FORMATS[file.suffix][0](file, values.shape[1], origin, [Block(rows, values)])
    return file


ONES = np.ones((3, 4), np.float32)


def npy(tmp_path: Path, array: NDArray[Any], cut: int | None = None, rows: int = 3) -> Path:
    """Write any array as a `.npy`, beside a CSV with a number of rows."""
    file = write(tmp_path / "f.npy", np.ones((rows, 4), np.float32))
    np.save(file, array)
    file.write_bytes(file.read_bytes()[:cut])
    return file


@pytest.mark.parametrize(
    ("array", "cut", "rows", "said"),
    [
        (np.array([[1, "a"], [{}, None]], object), None, 3, "expected float32"),
        (ONES.astype(float), None, 3, "expected float32"),
        (ONES.astype(">f4"), None, 3, "expected float32"),
        (np.asfortranarray(ONES), None, 3, "expected float32"),
        (ONES[0], None, 3, "expected float32"),
        (ONES[:, :0], None, 3, "its length is not that of 3 x 0 numbers"),
        (ONES, -1, 3, "its length is not that of 3 x 4 numbers"),
        (ONES, 40, 3, "expected float32"),
        (ONES, 0, 3, "expected float32"),
        (ONES, None, 2, "f.csv has 1 rows less"),
        (ONES, None, 4, "f.csv has more rows"),
        (ONES * np.inf, None, 3, "features are not finite numbers"),
        (ONES * np.nan, None, 3, "features are not finite numbers"),
    ],
)
def test_a_hostile_npy_is_a_clear_error(
    array: NDArray[Any], cut: int | None, rows: int, said: str, tmp_path: Path
) -> None:
    file = npy(tmp_path, array, cut, rows)
    with pytest.raises(UsageError, match=f"f.npy is no file of `topfive features`: .*{said}"):
        list(feature_files.read(file))


def test_a_zip_with_the_name_of_a_npy_is_a_clear_error(tmp_path: Path) -> None:
    file = write(tmp_path / "f.npy", ONES)
    with file.open("wb") as stream:
        np.savez(stream, ONES)
    with pytest.raises(UsageError, match="expected float32"):
        list(feature_files.read(file))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "expected the columns row, source, sha256"),
        (b"row,source\n0,a.jpg\n", "expected the columns row, source, sha256"),
        (b"%s0,a\n1,b\n2,c\n", r"expected row 0, received \['0', 'a'\]"),
        (b"%s1,a,,,,n,w,r,p,,\n", r"expected row 0, received \['1', 'a'\]"),
        (b"%s0,a,,wide,,n,w,r,p,,\n", "invalid literal"),
        (b"%s0,a\xff,,,,n,w,r,p,,\n", "decode"),
        (b"%s\n", "expected row 0"),
        (b'%s0,"a', "unexpected end of data"),
        (b"%s0," + b"a" * 200_000 + b",,,,n,w,r,p,,\n", "field larger than"),
        (b"%s0,a,,,,n,w,r,p,,\n1,a,,,,other,w,r,p,,\n2,a,,,,n,w,r,p,,\n", "it mixes networks"),
    ],
)
def test_a_hostile_csv_is_a_clear_error(text: bytes, said: str, tmp_path: Path) -> None:
    file = write(tmp_path / "f.npy", ONES)
    header = (tmp_path / "f.csv").read_bytes().splitlines(keepends=True)[0]
    (tmp_path / "f.csv").write_bytes(text.replace(b"%s", header))
    with pytest.raises(UsageError, match=said):
        list(feature_files.read(file))


def test_a_missing_csv_is_named(tmp_path: Path) -> None:
    file = write(tmp_path / "f.npy", ONES)
    (tmp_path / "f.csv").unlink()
    with pytest.raises(UsageError, match=r"cannot read .*f\.csv: No such file"):
        list(feature_files.read(file))


@pytest.mark.parametrize("name", ["none.npy", "none.parquet"])
def test_a_missing_file_is_a_clear_error(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"cannot read .*{name}: No such file"):
        list(feature_files.read(tmp_path / name))
    with pytest.raises(UsageError, match=r"expected a name that ends in \.parquet, \.npy"):
        list(feature_files.read(tmp_path / "f.txt"))


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ("* exclude (features)", "received none, or several, of features"),
        ("source, features", "of sha256, width"),
        ("* replace ('text' as features)", "string to list"),
        ("* replace ([1.5, 2][:1 + (source = '1.jpg')::int] as features)", "same number"),
        ("* replace ([]::float[] as features)", "same number"),
        ("* replace ([1, null]::float[] as features)", "not finite"),
        ("* replace (['nan']::float[] as features)", "not finite"),
        ("* replace (['inf']::float[] as features)", "not finite"),
        ("* replace (null as network)", "a row says nothing in network"),
        ("* replace (source as recipe)", "it mixes networks"),
        ("* replace ([1] as source)", "list"),
        ("* replace ('x' as width)", "x"),
    ],
)
def test_a_hostile_parquet_is_a_clear_error(columns: str, said: str, tmp_path: Path) -> None:
    file, other = write(tmp_path / "f.parquet", ONES), tmp_path / "g.parquet"
    duckdb.sql(f"copy (select {columns} from '{file}') to '{other}'")  # noqa: S608
    with pytest.raises(UsageError, match=f"g.parquet is no file of `topfive features`.*{said}"):
        list(feature_files.read(other))


def test_any_damage_to_a_parquet_is_noticed_or_harmless(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(0, 1, (40, 16)).astype(np.float32)
    right = write(tmp_path / "f.parquet", values).read_bytes()
    random, noticed = np.random.default_rng(1), 0
    for number in range(150):
        content = bytearray(right)
        place = random.integers(len(content))
        content[place] ^= 1 << random.integers(8)
        if number % 3 == 0:
            content = content[:place]
        (tmp_path / "g.parquet").write_bytes(content)
        try:
            blocks = list(feature_files.read(tmp_path / "g.parquet"))
        except UsageError:
            noticed += 1
        else:
            assert np.concatenate([one.features for one in blocks]).tobytes() == values.tobytes()
    assert noticed > 100


def test_what_duckdb_and_polars_make_of_several_files_is_read(tmp_path: Path) -> None:
    parts = [write(tmp_path / f"{name}.parquet", ONES * name) for name in (1, 2)]
    both = tmp_path / "both.parquet"
    duckdb.sql(f"copy (select * from read_parquet({list(map(str, parts))})) to '{both}'")  # noqa: S608
    polars.concat(map(polars.read_parquet, parts)).write_parquet(tmp_path / "too.parquet")
    for file in (both, tmp_path / "too.parquet"):
        blocks = list(feature_files.read(file))
        found = np.concatenate([one.features for one in blocks])
        np.testing.assert_array_equal(found, np.concatenate([ONES, 2 * ONES]))
        assert blocks[0].entries[0].origin == ORIGIN


@pytest.mark.slow
@each_format
def test_the_classifier_of_a_file_computes_the_same_features(
    suffix: str, squeezenet: Classifier, weight_file: Path, tmp_path: Path
) -> None:
    Image.fromarray(fakes.pictures(1, 90)[0]).save(tmp_path / "a.png")
    made = Classifier("squeezenet_v1.1", weights=weight_file, recipe="tutorial", fit="pad",
                      window=(-1.5, 2e6), throughput=True)  # fmt: skip
    file = tmp_path / f"f{suffix}"
    with feature_cache.open_features(made) as found:
        feature_files.write(file, made, found.responses([tmp_path / "a.png"]))
    again = feature_files.find_classifier(file, weights=weight_file)
    assert again.recipe == made.recipe
    ((_, response),) = again.responses([tmp_path / "a.png"], output="features")
    assert isinstance(response.values, np.ndarray)
    (block,) = feature_files.read(file)
    assert response.values.tobytes() == block.features.tobytes()


@pytest.mark.parametrize("network", NETWORKS)
def test_every_recipe_is_found_again_by_its_text(network: str) -> None:
    card = NETWORKS[network]
    for name in RECIPES:
        for fit in (None, *FITS):
            for filter in (None, *FILTERS):
                for window in (None, (0.0, 4095.0), (-1024.5, 3e7)):
                    recipe = choose_recipe(card, name, fit, filter, window)
                    options = feature_files._recipe(str(recipe))
                    options["name"] = options.pop("recipe")
                    assert choose_recipe(card, **options) == recipe


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"network": "vgg61"}, "unknown network 'vgg61'"),
        ({"network": "no/folder"}, "no/folder is no folder"),
        ({"weights": "sha256:1"}, r"with the weights sha256:1 .*here it has sha256:[0-9a-f]{64}"),
        ({"recipe": "odd"}, "unknown recipe 'odd'"),
        ({"recipe": "stretch-odd"}, "unknown filter 'odd'"),
        ({"recipe": "crop-7-bicubic"}, "and crop-7-bicubic; here it has .* with crop-256-bicubic"),
        ({"precision": "f99"}, "unknown precision 'f99'"),
        ({"precision": "int8"}, "in 8 bits"),
    ],
)
def test_what_cannot_be_computed_here_is_a_clear_error(
    change: dict[str, str], said: str, squeezenet: Classifier, weight_file: Path, tmp_path: Path
) -> None:
    origin = feature_files.origin(squeezenet)._replace(**change)
    file = write(tmp_path / "f.npy", ONES, origin)
    with pytest.raises(UsageError, match=said):
        feature_files.find_classifier(file, weights=weight_file)


def test_two_runs_at_once_both_end_with_a_whole_file(
    squeezenet: Classifier, values: NDArray[np.float32], tmp_path: Path
) -> None:
    file = tmp_path / "f.parquet"

    def first() -> Iterator[tuple[Source, Response]]:
        yield from responses(values)
        feature_files.write(file, squeezenet, responses(values[:4]))

    feature_files.write(file, squeezenet, first(), force=True)
    (block,) = feature_files.read(file)
    assert len(block.entries) == 10
    assert os.listdir(tmp_path) == ["f.parquet"]
