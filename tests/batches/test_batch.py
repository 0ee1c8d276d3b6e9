"""Many sources into one file: one row each, resumed after being killed, sorted, watched."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import topfive
from tests.classification.test_interpretation import CALIBRATION
from tests.support import fakes
from topfive import Classifier, UsageError
from topfive.batches.batch import BatchListener, Placement, batch, journal_file

NETWORK = "squeezenet_v1.1"
COUNT = 24


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pictures in it and in a folder inside, and one that is none."""
    folder = tmp_path_factory.mktemp("photographs")
    (folder / "inner").mkdir()
    for number, pixels in enumerate(fakes.pictures(COUNT, 80)):
        where = folder / "inner" if number % 3 == 0 else folder
        Image.fromarray(pixels).save(where / f"{number:02}.jpg")
    (folder / "05.jpg").write_bytes(b"no picture")
    return folder


@pytest.fixture
def run(weight_file: Path, warm: Path) -> Callable[..., topfive.Summary]:
    """`batch` with the self-test's network."""

    def run(pictures: Any, output: Path, **options: Any) -> topfive.Summary:
        return batch(pictures, output, NETWORK, weights=weight_file, **options)

    return run


def lines(file: Path) -> list[dict[str, Any]]:
    """The rows of a .jsonl file, without the time that they took."""
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    for row in rows:
        assert row.pop("milliseconds") > 0
    return rows


def names(folder: Path) -> list[str]:
    """The sources of a folder in the order in which they are read."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return [str(path) for path in (*files, *sorted((folder / "inner").iterdir()))]


class Stopping(BatchListener):
    """Interrupts the run after some rows."""

    def __init__(self, rows: int) -> None:
        self.left = rows

    def add(self, row: object) -> None:
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


@pytest.mark.slow
def test_there_is_one_row_a_source_in_their_order(
    photographs: Path, run: Callable[..., topfive.Summary], tmp_path: Path, weight_file: Path
) -> None:
    summary = run(photographs, tmp_path / "rows.jsonl")
    rows = lines(tmp_path / "rows.jsonl")
    assert [row["source"] for row in rows] == names(photographs)
    assert summary.rows == COUNT
    assert summary.failures == {"not-a-picture": 1}
    classifier = Classifier(NETWORK, weights=weight_file)
    for row in rows:
        alone: dict[str, Any] = classifier.answer(row["source"]).to_dict()
        assert row["error"] == alone.get("error")
        for mine, theirs in zip(row["predictions"], alone.get("predictions", ()), strict=True):
            assert mine["label"] == theirs["label"]
            assert mine["probability"] == pytest.approx(theirs["probability"], abs=1e-5)
    assert not journal_file(tmp_path / "rows.jsonl").exists()


@pytest.mark.slow
def test_unordered_rows_are_the_same_rows(
    photographs: Path, run: Callable[..., topfive.Summary], tmp_path: Path
) -> None:
    run(photographs, tmp_path / "one.jsonl")
    run(photographs, tmp_path / "other.jsonl", ordered=False)
    one, other = (
        sorted(lines(tmp_path / name), key=lambda row: str(row["source"]))
        for name in ("one.jsonl", "other.jsonl")
    )
    assert one == other


def test_any_iterable_of_pictures_is_taken(
    run: Callable[..., topfive.Summary], tmp_path: Path, photograph: Path
) -> None:
    pictures = (picture for picture in (photograph.read_bytes(), fakes.pictures(1, 50)[0]))
    assert run(pictures, tmp_path / "rows.jsonl").rows == 2
    assert [row["source"] for row in lines(tmp_path / "rows.jsonl")] == ["<bytes>", "<ndarray>"]


@pytest.mark.slow
@pytest.mark.parametrize("stops", [(1,), (COUNT,), (5, 1, 7)])
def test_an_interrupted_run_goes_on_and_ends_with_the_same_file(
    stops: tuple[int, ...], photographs: Path, run: Callable[..., topfive.Summary], tmp_path: Path
) -> None:
    run(photographs, tmp_path / "whole.jsonl")
    output = tmp_path / "rows.jsonl"
    for rows in stops:
        with pytest.raises(KeyboardInterrupt):
            run(photographs, output, listener=Stopping(rows))
        assert not output.exists()
        assert journal_file(output).exists()
    run(photographs, output)
    assert lines(output) == lines(tmp_path / "whole.jsonl")
    assert not journal_file(output).exists()


def command(photographs: Path, output: Path, weight_file: Path, *more: str) -> list[str]:
    """A command that takes a while: each picture ten times."""
    return [sys.executable, "-m", "topfive", "batch", *[str(photographs)] * 10, "-o", str(output),
            "-m", NETWORK, "--weights", str(weight_file), "-q", *more]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("more", [(), ("--unordered",)])
def test_killed_at_any_moment_a_run_loses_and_doubles_nothing(
    more: tuple[str, ...], photographs: Path, weight_file: Path, squeezenet: Classifier,
    tmp_path: Path,
) -> None:  # fmt: skip
    next(squeezenet.rows([b""]))  # it is compiled before a run is timed
    whole, output = tmp_path / "whole.jsonl", tmp_path / "rows.jsonl"
    start = time.monotonic()
    subprocess.run(command(photographs, whole, weight_file, *more), check=False)
    seconds = time.monotonic() - start
    killed = 0
    for _ in range(12):
        process = subprocess.Popen(command(photographs, output, weight_file, *more))
        try:
            process.wait(timeout=random.uniform(0.3, 0.8) * seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            killed += 1
        if output.exists():  # then it is whole, and at most its journal is still to go
            assert len(lines(output)) == 10 * COUNT
            break
    subprocess.run(command(photographs, output, weight_file, *more), check=False)
    assert killed
    one, other = lines(whole), lines(output)
    if more:
        one, other = (sorted(rows, key=lambda row: str(row["source"])) for rows in (one, other))
    assert one == other
    assert not journal_file(output).exists()


@pytest.mark.slow
def test_a_changed_option_refuses_to_go_on_and_is_named(
    photographs: Path, run: Callable[..., topfive.Summary], tmp_path: Path
) -> None:
    output = tmp_path / "rows.jsonl"
    with pytest.raises(KeyboardInterrupt):
        run(photographs, output, listener=Stopping(3))
    for changed, said in (
        ({"top": 3}, "--top was 5, now 3"),
        ({"fit": "pad"}, "recipe was stretch-bicubic, now pad-bicubic"),
        ({"where": ["dog"]}, "--where was not given, now dog"),
        ({"ordered": False}, "--unordered was not given, now given"),
        ({"calibration": CALIBRATION}, "the calibration was not given, now"),
        ({"calibration": CALIBRATION, "coverage": 0.5}, "--coverage was not given, now 0.5"),
    ):
        with pytest.raises(UsageError, match=said):
            run(photographs, output, **changed)
    with pytest.raises(UsageError, match="sources was"):
        run([photographs, photographs], output)
    run(photographs, output, top=3, restart=True)
    assert {len(row["predictions"]) for row in lines(output)} == {0, 3}


@pytest.mark.slow
def test_a_batch_answers_by_the_calibration(
    photographs: Path, run: Callable[..., topfive.Summary], tmp_path: Path
) -> None:
    run(photographs, tmp_path / "plain.jsonl")
    run(
        photographs, tmp_path / "sets.jsonl",
        calibration=replace(CALIBRATION, threshold=0.5), coverage=0.5, reject=True,
    )  # fmt: skip
    for plain, told in zip(
        lines(tmp_path / "plain.jsonl"), lines(tmp_path / "sets.jsonl"), strict=True
    ):
        assert plain["error"] == told["error"]
        if told["error"]:
            continue
        best, calibrated = (row["predictions"][0] for row in (plain, told))
        assert best["label"] == calibrated["label"] == told["prediction_set"][0]["label"]
        assert best["probability"] > calibrated["probability"], "the temperature is 2"
        assert isinstance(told["rejected"], bool)


def test_an_output_that_is_there_is_not_written_over(
    photographs: Path, run: Callable[..., topfive.Summary], tmp_path: Path
) -> None:
    output = tmp_path / "rows.csv"
    output.write_text("precious")
    with pytest.raises(UsageError, match="is there already: give another name, or --restart"):
        run(photographs, output)
    assert output.read_text() == "precious"
    run(photographs, output, restart=True)
    assert len(output.read_text("utf-8").splitlines()) == 1 + COUNT


@pytest.mark.slow
def test_where_keeps_what_holds_and_the_failures(
    photographs: Path, run: Callable[..., topfive.Summary], tmp_path: Path
) -> None:
    run(photographs, tmp_path / "all.jsonl", ancestors=["animal"])
    rows = lines(tmp_path / "all.jsonl")
    sums = sorted(row["ancestors"][0]["probability"] for row in rows if not row["error"])
    middle = sums[len(sums) // 2]
    run(photographs, tmp_path / "some.jsonl", where=[f"animal>{middle:.6f}"])
    kept = {row["source"] for row in lines(tmp_path / "some.jsonl")}
    assert kept == {
        row["source"] for row in rows
        if row["error"] or row["ancestors"][0]["probability"] > float(f"{middle:.6f}")
    }  # fmt: skip
    assert 1 < len(kept) < COUNT
    assert all("ancestors" not in row for row in lines(tmp_path / "some.jsonl"))


@pytest.mark.slow
@pytest.mark.parametrize("how", ["copy", "move", "link"])
def test_pictures_are_sorted_by_their_first_label(
    how: str, photographs: Path, run: Callable[..., topfive.Summary], tmp_path: Path
) -> None:
    pictures = tmp_path / "pictures"
    shutil.copytree(photographs, pictures)
    contents = {path.name: path.read_bytes() for path in pictures.rglob("*.jpg")}
    output, target = tmp_path / "rows.jsonl", tmp_path / "sorted"
    placement = Placement(how, target)
    with pytest.raises(KeyboardInterrupt):  # in the middle, too
        run(pictures, output, placement=placement, listener=Stopping(9))
    summary = run(pictures, output, placement=placement)
    assert summary.placed == COUNT - 1
    rows = {Path(row["source"]).name: row for row in lines(output)}
    assert set(rows) == set(contents)
    placed = {path.name: path for path in target.rglob("*.jpg")}
    assert set(placed) == set(contents) - {"05.jpg"}
    for name, path in placed.items():
        assert path.parent.name == rows[name]["predictions"][0]["label"]
        assert path.read_bytes() == contents[name]
        assert path.is_symlink() == (how == "link")
    left = {path.name for path in pictures.rglob("*.jpg")}
    assert left == ({"05.jpg"} if how == "move" else set(contents))


@pytest.mark.slow
def test_pictures_are_sorted_by_ancestor(
    photographs: Path, run: Callable[..., topfive.Summary], tmp_path: Path
) -> None:
    target = tmp_path / "sorted"
    names = ["animal", "artifact"]
    run(photographs, tmp_path / "rows.jsonl", ancestors=names,
        placement=Placement("link", target, by_ancestor=True))  # fmt: skip
    assert {path.name for path in target.iterdir()} <= {"animal", "artifact", "other"}
    assert len(list(target.rglob("*.jpg"))) == COUNT - 1


@pytest.mark.slow
def test_a_watched_folder_gets_a_row_for_each_picture_that_arrives(
    photographs: Path, weight_file: Path, warm: Path, tmp_path: Path
) -> None:
    folder, output = tmp_path / "arriving", tmp_path / "rows.jsonl"
    folder.mkdir()
    line = [sys.executable, "-m", "topfive", "batch", str(folder), "-o", str(output), "--watch",
            "-m", NETWORK, "--weights", str(weight_file), "-q"]  # fmt: skip

    def watch(arriving: Iterator[Path], rows: int) -> None:
        process = subprocess.Popen(line)
        for path in arriving:
            shutil.copy(path, folder)
            time.sleep(0.2)
        limit = time.monotonic() + 30
        while not output.exists() or len(lines(output)) < rows:
            assert time.monotonic() < limit
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0

    files = sorted((photographs / "inner").iterdir())
    watch(iter(files[:3]), 3)
    watch(iter(files[3:5]), 5)  # goes on with what came before
    assert [Path(row["source"]).name for row in lines(output)] == [f.name for f in files[:5]]
    done = subprocess.run([part for part in line if part != "--watch"], check=False)
    assert done.returncode == 0
    assert not journal_file(output).exists()
    assert len(lines(output)) == 5


def test_only_named_sources_can_be_watched(
    run: Callable[..., topfive.Summary], tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="can be watched"):
        run(iter([b""]), tmp_path / "rows.jsonl", watch=True)


@pytest.mark.slow
def test_two_runs_do_not_write_one_output(
    photographs: Path, run: Callable[..., topfive.Summary], tmp_path: Path
) -> None:
    class Second(BatchListener):
        def begin(self, found: int) -> None:
            with pytest.raises(topfive.TopfiveError, match="another run is writing"):
                run(photographs, tmp_path / "rows.jsonl")

    run(photographs, tmp_path / "rows.jsonl", listener=Second())


def test_without_the_network_nothing_is_begun(photographs: Path, tmp_path: Path) -> None:
    with pytest.raises(topfive.WeightsError):
        batch(photographs, tmp_path / "rows.jsonl", "resnet50", offline=True)
    assert not journal_file(tmp_path / "rows.jsonl").exists()
