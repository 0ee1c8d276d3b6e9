"""The history of a training, as a person and TensorBoard read it."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import pytest

from topfive.errors import MissingExtraError, OutputError
from topfive.system import extras
from topfive.training import curves
from topfive.training.curves import Curves

pytest.importorskip("matplotlib")
pytest.importorskip("tensorboard")
pytest.importorskip("tensorboardX")


@pytest.fixture(autouse=True)
def no_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorBoard reads without TensorFlow, as it does where that is not installed."""
    name = "tensorboard.compat.notf"
    monkeypatch.setitem(sys.modules, name, ModuleType(name))


def rows(count: int, shift: float = 0.0) -> list[dict[str, Any]]:
    """Return the epochs of a training in two phases that gets better."""
    return [
        {"epoch": epoch, "phase": "head" if epoch <= 2 else "blocks",
         "loss": 2 / epoch + shift, "accuracy": 1 - 0.5 / epoch, "val_loss": 2.5 / epoch + shift,
         "val_accuracy": 0.9 - 0.5 / epoch, "learning_rate": 0.001 / epoch, "seconds": 1.5}
        for epoch in range(1, count + 1)
    ]  # fmt: skip


def accumulator(folder: Path, run: str) -> Any:
    """Return TensorBoard's own reader of a run."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(folder / curves.LOG / run)).Reload()


def read(log: Any, tag: str) -> dict[int, float]:
    """Return the values of a curve by their steps, each of which is there once."""
    events = log.Scalars(tag)
    assert [one.step for one in events] == sorted({one.step for one in events})
    return {one.step: one.value for one in events}


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is logged is on the disk soon."""
    monkeypatch.setattr(curves, "FLUSH", 0.05)


def write(folder: Path, *histories: Sequence[Mapping[str, Any]], best: int | None = None) -> None:
    """Write histories, one after the other, in a session of their own."""
    with closing(Curves(folder)) as session:
        for history in histories:
            session.write(history, best)


def next_second() -> None:
    """Wait for the next second: an event file is called by its own."""
    time.sleep(1 - time.time() % 1)


def wait_for(log: Any, epochs: Sequence[int]) -> None:
    """Wait until a log that is read on and on holds these epochs."""
    end, found = time.monotonic() + 20, [0]
    while found != [*epochs]:
        assert time.monotonic() < end, found
        time.sleep(0.02)
        found = [*read(log, "loss")] if "loss" in log.Reload().Tags()["scalars"] else []


@pytest.mark.slow
def test_tensorboard_reads_each_epoch_once_after_each_epoch(tmp_path: Path) -> None:
    with closing(Curves(tmp_path)) as session:
        for count in range(1, 6):
            session.write(rows(count))
            training, validation = (
                accumulator(tmp_path, one) for one in ("training", "validation")
            )
            for log in (training, validation):
                wait_for(log, range(1, count + 1))
            assert read(training, "loss") == pytest.approx({e: 2 / e for e in range(1, count + 1)})
    training, validation = (accumulator(tmp_path, one) for one in ("training", "validation"))
    assert {*training.Tags()["scalars"]} == {"loss", "accuracy", "learning_rate"}
    assert {*validation.Tags()["scalars"]} == {"loss", "accuracy"}
    assert read(training, "learning_rate")[5] == pytest.approx(0.0002)
    assert read(validation, "accuracy")[5] == pytest.approx(0.8)
    times = [one.wall_time for one in training.Scalars("loss")]
    assert [b - a for a, b in pairwise(times)] == pytest.approx([1.5] * 4)


@pytest.mark.slow
def test_an_open_tensorboard_follows_a_training_and_one_that_begins_again(tmp_path: Path) -> None:
    with closing(Curves(tmp_path)) as session:
        session.write(rows(4))
        log = accumulator(tmp_path, "validation")
        wait_for(log, [1, 2, 3, 4])
        session.write(rows(5))
        wait_for(log, [1, 2, 3, 4, 5])
    next_second()
    write(tmp_path, rows(2, shift=1))
    assert read(log.Reload(), "loss") == pytest.approx({1: 3.5, 2: 2.25})
    assert read(accumulator(tmp_path, "validation"), "loss") == pytest.approx({1: 3.5, 2: 2.25})


@pytest.mark.slow
def test_a_resumed_training_is_one_whole_curve(tmp_path: Path) -> None:
    write(tmp_path, rows(6))
    next_second()
    write(tmp_path, rows(3), rows(4), rows(7, shift=1))  # the checkpoint was older than the log
    log = read(accumulator(tmp_path, "training"), "loss")
    assert log == pytest.approx({e: 2 / e + (e > 4) for e in range(1, 8)})


@pytest.mark.slow
def test_a_record_that_a_kill_tore_is_written_again(tmp_path: Path) -> None:
    write(tmp_path, rows(3))
    (file,) = (tmp_path / curves.LOG / "training").iterdir()
    file.write_bytes(file.read_bytes()[:-10])
    next_second()
    write(tmp_path, rows(3), rows(4))
    log = read(accumulator(tmp_path, "training"), "loss")
    assert log == pytest.approx({e: 2 / e for e in range(1, 5)})


@pytest.mark.slow
def test_sessions_within_a_second_lose_nothing(tmp_path: Path) -> None:
    next_second()
    for count in (2, 3):
        write(tmp_path, rows(count))
    assert [*read(accumulator(tmp_path, "training"), "loss")] == [1, 2, 3]


@pytest.mark.slow
def test_the_log_does_not_name_the_machine(tmp_path: Path) -> None:
    write(tmp_path, rows(2))
    names = [file.name for file in (tmp_path / curves.LOG).glob("*/*")]
    assert len(names) == 2
    assert all(re.fullmatch(r"events\.out\.tfevents\.\d+\.topfive", name) for name in names)


def test_a_log_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / curves.LOG).write_text("no folder")
    with pytest.raises(OutputError, match=r"cannot write .*tensorboard"):
        write(tmp_path, rows(1))


def test_the_table_holds_what_was_measured(tmp_path: Path) -> None:
    history = rows(3)
    history[1]["val_loss"] = history[1]["val_accuracy"] = None
    write(tmp_path, history)
    with (tmp_path / curves.TABLE).open(newline="") as stream:
        table = [*csv.DictReader(stream)]
    assert [*table[0]] == [*curves.FIELDS]
    assert [row["phase"] for row in table] == ["head", "head", "blocks"]
    assert [float(row["loss"]) for row in table] == [row["loss"] for row in history]
    assert table[1]["val_loss"] == ""
    assert [*read(accumulator(tmp_path, "validation"), "loss")] == [1, 3]


def test_the_picture_says_its_curves_phases_and_best_epoch(tmp_path: Path) -> None:
    write(tmp_path, rows(5), best=4)
    text = " ".join(
        one.text or ""
        for one in ElementTree.parse(tmp_path / curves.PICTURE).iter()  # noqa: S314
    )
    for word in ("training", "validation", "best epoch: 4", "loss", "accuracy, %", "epoch"):
        assert word in text
    assert text.count("head") == text.count("blocks") == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "history",
    [
        [],
        rows(1),
        [{**rows(1)[0], "loss": float("nan"), "accuracy": 0.0, "val_loss": float("inf")}],
        [{**row, "phase": "$\\frac{\x1b", "val_loss": None, "val_accuracy": None}
         for row in rows(40)],
    ],
    ids=["nothing", "one epoch", "not finite", "hostile"],
)  # fmt: skip
def test_any_history_can_be_drawn_and_read(history: list[dict[str, Any]], tmp_path: Path) -> None:
    write(tmp_path, history, best=1)
    ElementTree.parse(tmp_path / curves.PICTURE)  # noqa: S314
    assert curves.draw(history, "png", 1).startswith(b"\x89PNG")
    epochs = [row["epoch"] for row in history]
    log = accumulator(tmp_path, "training")
    assert ([*read(log, "accuracy")] if epochs else []) == epochs


@pytest.mark.slow
def test_the_same_history_gives_the_same_table_and_picture(tmp_path: Path) -> None:
    for name in "ab":
        write(tmp_path / name, rows(3), best=2)
    for file in (curves.TABLE, curves.PICTURE):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


@pytest.mark.parametrize("package", ["matplotlib", "tensorboardX"])
def test_a_missing_package_is_named(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == package else object())
    with pytest.raises(MissingExtraError, match=rf"{package}: pip install 'topfive\[tune\]'"):
        Curves(tmp_path)


def test_what_cannot_be_written_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / curves.PICTURE).mkdir()
    with pytest.raises(OutputError, match=r"cannot write .*curves\.svg"):
        write(tmp_path, rows(1))
    assert sorted(one.name for one in tmp_path.iterdir()) == [curves.PICTURE, curves.TABLE]


@pytest.mark.slow
def test_the_log_needs_no_tensorflow(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['tensorflow'] = None\n"
        "from pathlib import Path; from topfive.training import curves\n"
        "row = dict.fromkeys(curves.FIELDS, 0.5) | {'epoch': 1, 'phase': 'head'}\n"
        f"one = curves.Curves(Path({str(tmp_path)!r})); one.write([row]); one.close()\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)
    assert read(accumulator(tmp_path, "validation"), "accuracy") == {1: 0.5}
