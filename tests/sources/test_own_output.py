"""What topfive wrote into a folder is no source, in this run or an earlier one."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support import fakes, judged, taught
from topfive.batches import batch, tables
from topfive.batches.journal import Journal
from topfive.classification import feature_formats, outputs, similarity
from topfive.classification.feature_formats import Block, Entry, Origin
from topfive.classification.outputs import Wanted
from topfive.cli.main import main
from topfive.evaluation import plots, report
from topfive.networks import bundles
from topfive.networks.published import NETWORKS
from topfive.pictures import annotate
from topfive.results import Failure, Row
from topfive.sources import arguments
from topfive.training import curves

FAILED = Failure("a.jpg", "broken", "cut off")
ROW = Row(FAILED, "squeezenet", "crop-256-bicubic", "md5:1", 1.0).to_dict()
ORIGIN = Origin("squeezenet", "md5:1", "crop-256-bicubic", "f32")
ENTRY = Entry("a.jpg", None, None, None, *ORIGIN, "broken", "cut off")
BLOCK = Block([ENTRY], np.full((1, 2), np.nan, np.float32))


def drawn(file: Path) -> None:
    annotate.save(Image.new("RGB", (300, 200)), "a.jpg", file, set())


def reported(file: Path) -> None:
    place = next(one for one in file.parents if one.name == "photographs").parent
    report.write(judged.hostile(place / "judged"), file)


def told(layout: outputs.Layout) -> Callable[[Path], object]:
    return lambda file: file.write_text(
        "".join(outputs.FORMATS[file.suffix[1:]]([FAILED], layout, True))
    )


def plotted(file: Path) -> None:
    plots.check()
    file.write_bytes(plots.picture(lambda _: None, file.suffix[1:]))


def table(file: Path) -> None:
    tables.write(file, [ROW], Wanted())


def featured(file: Path) -> None:
    write = {".npy": feature_formats.write_npy, ".parquet": feature_formats.write_parquet}
    write[file.suffix](file, 2, ORIGIN, [BLOCK])


WRITERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    **{f"drawn{end}": (f"a{end}", drawn) for end in annotate.SUFFIXES},
    **{f"table{end}": (f"a{end}", table) for end in tables.TABLES},
    **{f"report{end}": (f"a{end}", reported) for end in report.WRITERS},
    **{f"plot{end}": (f"a{end}", plotted) for end in (".svg", ".png")},
    **{f"features{end}": (f"a{end}", featured) for end in (".npy", ".parquet")},
    **{
        f"{name}.{end}": (f"a.{end}", told(layout))
        for end in ("csv", "json", "jsonl")
        for name, layout in (("classify", Wanted().layout()), ("similar", similarity.LAYOUT))
    },
    "bundle": ("a.tar", lambda file: bundles.write([NETWORKS["efficientnet_lite0"]], file)),
    "curves": ("a.csv", lambda file: file.write_text(curves.as_csv([]))),
    "compare": ("a.json", lambda file: file.write_text(json.dumps({"networks": []}, indent=1))),
    "journal": ("a.csv.partial", lambda file: Journal(file, {}).close()),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a photograph and files of other programs."""
    folder = tmp_path / "photographs"
    (folder / "inside").mkdir(parents=True)
    for number, end in enumerate((".jpg", ".png", ".webp")):
        Image.fromarray(fakes.pictures(1, 80)[0]).save(folder / f"{number}{end}")
    (folder / "b.csv").write_text("file,label\n0.jpg,cat\n")
    (folder / "c.json").write_text('{"name": "made by topfive"}')
    (folder / "d.csv.partial").write_text("not a journal")
    (folder / "e.parquet").write_bytes(b"PAR1")
    return folder


def names(argument: Path) -> list[str]:
    """Return what a listing leads to."""
    return [source.name for source in arguments.read([str(argument)], recursive=True)]


@pytest.mark.parametrize("inside", [".", "inside"])
@pytest.mark.parametrize("writer", WRITERS)
def test_what_topfive_wrote_is_left_out_of_a_listing_with_a_word(
    folder: Path, caplog: pytest.LogCaptureFixture, writer: str, inside: str
) -> None:
    if "parquet" in writer:
        pytest.importorskip("pyarrow")
    before = names(folder)
    assert len(before) == 7
    name, write = WRITERS[writer]
    write(folder / inside / name)
    (folder / inside / name).rename(folder / inside / f"renamed{name[1:]}")
    if writer == "features.npy":
        (folder / inside / "a.csv").rename(folder / inside / "renamed.csv")
    caplog.set_level(logging.INFO, "topfive")
    assert names(folder) == before
    assert names(folder / "*") + names(folder / "inside" / "*.*") == [
        *before, str(folder / "inside" / "*.*")
    ]  # fmt: skip
    assert ("left out, made by topfive: " in caplog.text) == (writer != "journal")
    file = folder / inside / f"renamed{name[1:]}"
    assert names(file) == [str(file)]  # which is named
    if inside == ".":
        assert names(Path(f"{folder}*") / file.name) == [str(file)]


def test_a_network_of_ones_own_is_left_out_as_a_whole(folder: Path, weight_file: Path) -> None:
    before = names(folder)
    taught.write(folder / "mine", weight_file)
    assert len(list((folder / "mine").iterdir())) > 2
    assert names(folder) == before


def test_counting_says_how_many_sources_there_will_be(folder: Path) -> None:
    table(folder / "rows.csv")
    assert arguments.count([str(folder)], recursive=True) == len(names(folder))


@pytest.mark.parametrize("end", [".csv", ".jsonl"])
def test_a_run_into_its_own_folder_has_the_rows_of_the_pictures_again_and_again(
    tmp_path: Path, weight_file: Path, warm: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    folder = tmp_path / "photographs"
    folder.mkdir()
    Image.fromarray(fakes.pictures(1, 80)[0]).save(folder / "0.png")
    monkeypatch.chdir(folder)
    more = ["-q", "-k", "1", "-m", "squeezenet_v1.1", "--weights", str(weight_file)]
    for name in ("first", "second"):
        assert main(["batch", ".", "-o", f"{name}{end}", *more]) == 0
        text = Path(f"{name}{end}").read_text()
        assert len(text.splitlines()) == 1 + (end == ".csv")
    assert not list(folder.glob("*.partial*"))
    assert batch.journal_file(Path("a")).name == "a.partial"
