"""What anybody may have written is read within bounds: an error of one line, memory in proportion
to the file, nothing unpickled, and answers that are finite numbers or an error."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support import taught
from topfive import Classification, Classifier, Failure, PictureError
from topfive.classification import calibration, feature_cache, feature_files
from topfive.classification.feature_formats import MAX_FEATURES, Entry
from topfive.engines import blobs, proofs, table, weight_formats
from topfive.engines.run import Run
from topfive.errors import (
    UnusableWeightsError,
    UsageError,
    WeightsError,
    WrongAnswersError,
)
from topfive.networks import bundles, heads, lessons, records, taught_cards, taught_folders
from topfive.networks.find import find_network
from topfive.networks.published import NETWORKS
from topfive.system import json_text

CARD = NETWORKS["squeezenet_v1.1"]
MEGABYTE = 1 << 20
IDENTITY = blobs.identity(CARD, "md5:1", blobs.Target())

TEXTS = {
    "nested": b"[" * 1_000_000,
    "nested objects": b'{"a":' * 200_000,
    "nested after a bracket in a text": b'{"[\\"":' + b"[" * 100_000,
    "unfinished texts": b'{"' + b'\\"' * 100_000,
    "infinity": b'{"version": 1e999}',
    "no number": b'{"version": NaN}',
    "minus infinity": b'{"version": -Infinity}',
    "a name twice": b'{"version": 2, "version": 1}',
    "digits": b'{"version": ' + b"1" * 100_000 + b"}",
    "another encoding": '{"version": 1}'.encode("utf-16"),
    "nothing": b"",
    "no object": b"[]",
}  # fmt: skip


@pytest.fixture(autouse=True)
def in_proportion() -> Iterator[None]:
    """No test takes more than some megabytes: a file that is claimed to be huge is refused."""
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 * MEGABYTE


def refused(kind: type[Exception], read: Callable[[], Any]) -> str:
    """What is said of a file, in one line of a length that can be read."""
    with pytest.raises(kind) as caught:
        read()
    said = str(caught.value)
    assert "\n" not in said
    assert len(said) < 600
    return said


def read_card(text: bytes, folder: Path) -> None:
    (folder / taught_cards.CARD).write_bytes(text)
    assert "damaged" in (said := refused(UsageError, lambda: find_network(f"{folder}/"))) or (
        "no card" in said
    )


def read_record(text: bytes, _: Path) -> None:
    file = records.path("vgg16", "md5:1")
    file.parent.mkdir(parents=True)
    file.write_bytes(text)
    assert records.read("vgg16", "md5:1") == {}


def read_blob(text: bytes, _: Path) -> None:
    blobs.folder().mkdir()
    start = blobs.MAGIC + struct.pack("<I", len(text)) + text
    blobs.path(IDENTITY).write_bytes(start + bytes(blobs.ALIGNMENT))
    assert not blobs.is_current(IDENTITY)
    refused(blobs.DamagedBlobError, blobs.Reading(IDENTITY).blob)


def read_note(text: bytes, _: Path) -> None:
    blobs.folder().mkdir()
    blobs.path(IDENTITY).with_suffix(blobs.REFUSED).write_bytes(text)
    assert blobs.refusal(IDENTITY) is None


def read_bundle(text: bytes, folder: Path) -> None:
    with tarfile.open(folder / "b.tar", "w") as tar:
        header = tarfile.TarInfo(bundles.MANIFEST)
        header.size = len(text)
        tar.addfile(header, io.BytesIO(text))
    refused(WeightsError, lambda: bundles.read(folder / "b.tar"))


@pytest.mark.parametrize("read", [read_card, read_record, read_blob, read_note, read_bundle])
@pytest.mark.parametrize("name", TEXTS)
def test_json_that_nobody_should_write_is_refused_everywhere(
    name: str, read: Callable[[bytes, Path], None], tmp_path: Path
) -> None:
    read(TEXTS[name], tmp_path)


def test_json_that_somebody_writes_is_read() -> None:
    text = json.dumps({"a": [[1, -2.5e3, '[["' * 1000]], "b": {"c": None, "d": True}})
    assert json_text.parse(text.encode(), len(text)) == json.loads(text)


def npy(shape: object, kind: str = "<f4", turned: bool = False, spaces: int = 1) -> bytes:
    """How an array's file begins."""
    fields = f"{{'descr': {kind!r}, 'fortran_order': {turned}, 'shape': {shape}, }}"
    text = fields.encode() + b" " * spaces + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text) % 65536) + text


NUMBERS = np.arange(12, dtype="<f4").reshape(4, 3)


def saved(array: Any, **options: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


ARRAYS = {
    "3e38": saved(np.full((4, 3), 3e38, "<f4")),
    "infinite": saved(np.full((4, 3), np.inf, "<f4")),
    "no number": saved(np.full((4, 3), np.nan, "<f4")),
    "pickled": saved(np.array([[{}] * 3] * 4, object), allow_pickle=True),
    "big-endian": saved(NUMBERS.astype(">f4")),
    "records": saved(np.zeros(4, [("a", "<f4")])),
    "complex": saved(NUMBERS.astype("<c8")),
    "huge": npy((10**12, 3)) + bytes(48),
    "beyond all numbers": npy((10**14, 10**14)) + bytes(48),
    "negative": npy((-4, -3)) + bytes(48),
    "no shape": npy("__import__('os')") + bytes(48),
    "a long beginning": npy((4, 3), spaces=60_000) + NUMBERS.tobytes(),
    "a longer beginning": b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + b" " * MEGABYTE,
    "cut": saved(NUMBERS)[:-1],
    "more": saved(NUMBERS) + b"\0",
    "an archive": b"PK\x03\x04" + bytes(100),
    "nothing": b"",
}  # fmt: skip


def put_head(content: bytes, folder: Path) -> tuple[Path, str]:
    file = folder / "head.npy"
    file.write_bytes(content)
    return file, f"sha256:{hashlib.sha256(content).hexdigest()}"


@pytest.mark.parametrize("name", ARRAYS)
def test_a_head_that_cannot_be_used_is_refused(name: str, tmp_path: Path) -> None:
    file, checksum = put_head(ARRAYS[name], tmp_path)
    said = refused(WeightsError, lambda: heads.read_file(file, checksum, (4, 3)))
    assert "head.npy" in said


@pytest.mark.parametrize("turned", [False, True])
def test_a_head_is_read_in_either_order(turned: bool, tmp_path: Path) -> None:
    head = np.asfortranarray(NUMBERS) if turned else NUMBERS
    found = heads.read_file(*put_head(saved(head), tmp_path), (4, 3))
    assert np.array_equal(found, NUMBERS)


def put_lessons(folder: Path, fill: Callable[[zipfile.ZipFile], None]) -> Path:
    """Write a network to a folder whose lessons are an archive that was filled so."""

    def write(file: Path) -> None:
        with zipfile.ZipFile(file, "w") as archive:
            fill(archive)

    (folder.parent / "weights.net").write_bytes(b"none")
    taught.write(folder, folder.parent / "weights.net")
    card = taught_folders.read_card(folder)
    copied = (folder / str(card.weights.file)).read_bytes()
    taught_folders.write(
        folder, card, {"weights": (".net", lambda file: file.write_bytes(copied)),
                       "head": heads.as_part(taught.made_up_head(3)), "lessons": (".npz", write)},
    )  # fmt: skip
    return folder


def arrays(features: NDArray[Any] | bytes) -> dict[str, bytes]:
    """The members of two pictures' lessons."""
    found = {
        "names": np.frombuffer(b"a\0b", np.uint8),
        "sha256": np.zeros(64, np.uint8),
        "truths": np.zeros(2, "<i4"),
        "held": np.zeros(2, np.bool_),
    }
    told = features if isinstance(features, bytes) else saved(features)
    return {**{name: saved(one) for name, one in found.items()}, "features": told}


FEATURES = np.ones((2, taught.FEATURES), "<f4")


def fill_claiming(archive: zipfile.ZipFile) -> None:
    """Members that say that they have 4 TB, in the archive and in the array."""
    for name, content in arrays(npy((10**9, 1000)) + bytes(100)).items():
        archive.writestr(f"{name}.npy", content)
    last = archive.filelist[-1]
    last.file_size = last.compress_size = len(npy((10**9, 1000))) + 4 * 10**12


def fill_bomb(archive: zipfile.ZipFile) -> None:
    for name, content in arrays(npy((100_000, 1000)) + bytes(200 * MEGABYTE)).items():
        archive.writestr(f"{name}.npy", content, zipfile.ZIP_DEFLATED)


def filler(features: NDArray[Any] | bytes, **others: bytes) -> Callable[[zipfile.ZipFile], None]:
    def fill(archive: zipfile.ZipFile) -> None:
        for name, content in {**arrays(features), **others}.items():
            archive.writestr(f"{name}.npy", content)

    return fill


LONG = b"n" * (lessons.LONGEST + 1)
LESSONS = {
    "4 TB": fill_claiming,
    "3e38": filler(np.full_like(FEATURES, 3e38)),
    "pickled": filler(saved(np.array([[{}]] * 2, object), allow_pickle=True)),
    "a long name": filler(FEATURES, names=saved(np.frombuffer(LONG + b"\0b", np.uint8))),
    "none": lambda archive: archive.writestr("else", b""),
}  # fmt: skip


@pytest.mark.parametrize("name", LESSONS)
def test_lessons_that_cannot_be_used_are_refused(name: str, tmp_path: Path) -> None:
    folder = put_lessons(tmp_path / "pets", LESSONS[name])
    assert "is damaged" in refused(UsageError, lambda: lessons.read(folder))


def test_lessons_that_can_are_read(tmp_path: Path) -> None:
    folder = put_lessons(tmp_path / "pets", filler(FEATURES))
    assert np.array_equal(lessons.read(folder).features, FEATURES)


def test_lessons_that_unpack_to_more_are_refused_unread(tmp_path: Path) -> None:
    tracemalloc.stop()  # to make them takes what they claim
    folder = put_lessons(tmp_path / "pets", fill_bomb)
    tracemalloc.start()
    assert "is damaged" in refused(UsageError, lambda: lessons.read(folder))


def columns(pa: Any, **others: Any) -> dict[str, Any]:
    """A row of a table of features."""
    texts = dict.fromkeys(Entry._fields, pa.array(["x"]))
    sides = dict.fromkeys(("width", "height"), pa.array([1], pa.int32()))
    missing = dict.fromkeys(("error_kind", "error"), pa.array([None], pa.string()))
    features = pa.array([[1.0, 2.0]], pa.list_(pa.float32()))
    return {**texts, **sides, **missing, "features": features, **others}


@pytest.mark.parametrize("column", ["source", "network", "error"])
@pytest.mark.parametrize("size", [70_000, 100 * MEGABYTE])
def test_a_cell_of_megabytes_in_kilobytes_is_refused(
    column: str, size: int, tmp_path: Path
) -> None:
    tracemalloc.stop()
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    file = tmp_path / "f.parquet"
    content = pa.table(columns(pa, **{column: pa.array(["n" * size])}))
    parquet.write_table(content, file, compression="zstd")
    del content
    before = pa.total_allocated_bytes()
    tracemalloc.start()
    said = refused(UsageError, lambda: [*feature_files.read(file)])
    assert "no file of `topfive features`" in said
    assert pa.total_allocated_bytes() - before < MEGABYTE


@pytest.mark.parametrize("length", [MAX_FEATURES + 1, 50_000_000])
def test_a_row_of_any_length_is_refused(length: int, tmp_path: Path) -> None:
    tracemalloc.stop()
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    file, row = tmp_path / "f.parquet", pa.array(np.zeros(length, np.float32))
    features = pa.ListArray.from_arrays(pa.array([0, length], pa.int32()), row)
    parquet.write_table(pa.table(columns(pa, features=features)), file)
    tracemalloc.start()
    refused(UsageError, lambda: [*feature_files.read(file)])


@pytest.mark.parametrize("column", ["source", "features"])
def test_a_nested_column_is_refused(column: str, tmp_path: Path) -> None:
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    nested = pa.array([[[{"a": [1]}]]])
    parquet.write_table(pa.table(columns(pa, **{column: nested})), tmp_path / "f.parquet")
    refused(UsageError, lambda: [*feature_files.read(tmp_path / "f.parquet")])


def deep(content: Any) -> None:
    group = content["layers"]
    for _ in range(500):
        group = group.create_group("a")


def circle(content: Any) -> None:
    content["layers/a"] = content["layers"]
    content["layers/b"] = content["/"]


@pytest.mark.parametrize(
    ("fill", "said"),
    [
        (deep, "too many are inside each other"),
        (circle, None),
        (lambda content: content.create_dataset("layers/conv/more", data=[1]), "more"),
    ],
)
def test_groups_are_walked_within_bounds(
    fill: Callable[[Any], None], said: str | None, tmp_path: Path
) -> None:
    import h5py

    with h5py.File(tmp_path / "w.h5", "w") as content:
        content["layers/conv/vars/0"] = [1.0]
        fill(content)
        found = weight_formats.keras3_tensors(content, ["layers/conv/vars/0"])
        if said and "inside" in said:
            assert said in refused(WeightsError, lambda: [*found])
        else:
            names = [name.rpartition("/")[2] for name, _ in found]
            assert names == ["0", said] if said else ["0"]


@pytest.mark.parametrize("link", ["soft", "external"])
def test_links_lead_nowhere(link: str, tmp_path: Path) -> None:
    import h5py

    with h5py.File(tmp_path / "w.h5", "w") as content:
        outside = h5py.ExternalLink(str(tmp_path / "w.h5"), "/")
        content["layers"] = h5py.SoftLink("/layers") if link == "soft" else outside
        found = weight_formats.keras3_tensors(content, [])
        assert "Link" in refused(WeightsError, lambda: [*found])


def packed_twice(content: Any) -> Any:
    import h5py

    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_chunk((4,))
    plan.set_deflate(9)
    plan.set_deflate(9)
    space = h5py.h5s.create_simple((4,))
    return h5py.Dataset(h5py.h5d.create(content.id, b"a", h5py.h5t.IEEE_F32LE, space, dcpl=plan))


def bomb(content: Any) -> Any:
    import zlib

    made = content.create_dataset("a", (4096,), "<f4", chunks=(4096,), compression="gzip")
    made.id.write_direct_chunk((0,), zlib.compress(bytes(100 * MEGABYTE)))
    return made


@pytest.mark.parametrize(
    "make",
    [
        bomb,
        packed_twice,
        lambda content: content.create_dataset(
            "a", (4, 4), maxshape=(None, None), chunks=(30_000, 30_000)
        ),
        lambda content: content.create_dataset("a", data=np.zeros(4), compression="lzf"),
    ],
)
def test_an_array_that_unpacks_to_more_than_itself_is_refused(
    make: Callable[[Any], Any], tmp_path: Path
) -> None:
    import h5py

    with h5py.File(tmp_path / "w.h5", "w") as content:
        tracemalloc.stop()
        made = make(content)
        tracemalloc.start()
        refused(WeightsError, lambda: weight_formats.check_packing("a", made))


def test_a_keras_archive_that_unpacks_to_a_disk_full_is_refused(tmp_path: Path) -> None:
    tracemalloc.stop()
    with zipfile.ZipFile(tmp_path / "w.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(weight_formats.ZIP_MEMBER, bytes(100 * MEGABYTE))
    tracemalloc.start()
    with pytest.raises(WeightsError, match="can hold"):  # noqa: SIM117
        with weight_formats.open_hdf5(tmp_path / "w.keras", 10**9):
            pass


@pytest.mark.parametrize("vector", [b"12345", np.full(4, np.nan, "<f4").tobytes()])
def test_kept_features_that_are_no_numbers_are_computed_again(
    vector: bytes, dazzled: Classifier
) -> None:
    with feature_cache.open_features(dazzled) as known:
        row = ("a" * 64, 9, 9, vector)
        known._waiting["a" * 64] = (*row, feature_cache._checksum(*row))
        assert known._find("a" * 64) is None


@pytest.mark.parametrize("options", [{}, {"compression": "gzip", "shuffle": True}])
def test_an_array_that_is_packed_as_usual_is_taken(options: dict[str, Any], tmp_path: Path) -> None:
    import h5py

    with h5py.File(tmp_path / "w.h5", "w") as content:
        made = content.create_dataset("a", data=np.arange(99.0), **options)
        weight_formats.check_packing("a", made)


@pytest.mark.parametrize("value", [10**400, 1e300, float("nan"), float("inf"), [], "1", None])
@pytest.mark.parametrize("name", ["temperature", "scores", "penalty", "threshold", "nll"])
def test_a_calibration_of_numbers_that_are_none_is_refused(name: str, value: object) -> None:
    entry = calibration.Calibration(
        temperature=1.5, method="raps", scores=(0.5,), penalty=0.01, free=5, reject_score="energy",
        threshold=3.0, reject_rate=0.05, pictures=1, recipe="r", precision="f32", nll=(2.0, 1.0),
        ece=(0.2, 0.1), version="0",
    ).to_dict()  # fmt: skip
    received = {"scores": [value], "nll": [value, 1.0]}.get(name, value)
    refused(ValueError, lambda: calibration.Calibration.from_dict({**entry, name: received}))


def test_a_network_that_answers_with_no_numbers_cannot_be_used() -> None:
    logits = np.zeros((2, 9), np.float32)
    run = Run(lambda _: logits + 1 / 9, lambda _: logits, lambda _: logits)
    proofs.prove(CARD, (logits, logits), run, proofs.pictures(9))
    lost = replace(run, logits=lambda _: logits + np.inf)
    with pytest.raises(UnusableWeightsError, match="no finite numbers"):
        proofs.prove(CARD, (logits * np.nan, logits), lost, proofs.pictures(9))
    for expected in ((logits + np.inf, logits), (logits, logits * np.nan)):
        with pytest.raises(WrongAnswersError, match="by nan"), np.errstate(invalid="ignore"):
            proofs.prove(CARD, expected, run, proofs.pictures(9))
    with pytest.raises(WrongAnswersError, match="by nan"):
        proofs.prove(CARD, (logits, logits), replace(run, logits=lambda _: logits * np.nan),
                     proofs.pictures(9))  # fmt: skip


@pytest.fixture
def dazzled(monkeypatch: pytest.MonkeyPatch) -> Classifier:
    """A network whose answer to a white picture is no number, in each of its outputs."""

    def answer(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        found = np.full((len(pictures), 1000), 1e-3, np.float32)
        found[pictures.mean(axis=(1, 2, 3)) > 250, 7] = np.nan
        return found

    run = Run(answer, answer, answer, batch=4)
    monkeypatch.setitem(table.ENGINES, "openvino", lambda *_, **__: run)
    return Classifier(CARD)


@pytest.mark.parametrize("output", ["probabilities", "logits", "features"])
def test_an_answer_that_is_no_number_is_the_rows_error(output: str, dazzled: Classifier) -> None:
    black, white = (np.full((9, 9, 3), value, np.uint8) for value in (0, 255))
    found = [one.values for _, one in dazzled.responses([black, white, black], output=output)]
    assert [isinstance(one, Failure) for one in found] == [False, True, False]
    _, row, _ = (row for _, row in dazzled.rows([black, white, black]))
    assert isinstance(row.result, Failure)
    assert row.result.kind == "not-finite"
    assert isinstance(dazzled.classify(black), Classification)
    assert isinstance(dazzled.answer(white), Failure)
    with pytest.raises(PictureError, match="not finite numbers"):
        dazzled.classify(white)
