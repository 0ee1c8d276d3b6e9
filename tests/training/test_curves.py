"""The history of a training, as a person and TensorBoard read it."""

from __future__ import annotations

import csv
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import pytest

from topfive.errors import MissingExtraError, OutputError
from topfive.training import curves

pytest.importorskip("matplotlib")
pytest.importorskip("tensorboard")


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


def test_tensorboard_reads_each_epoch_once_after_each_epoch(tmp_path: Path) -> None:
    for count in range(1, 6):
        curves.write(tmp_path, rows(count))
        training, validation = (accumulator(tmp_path, run) for run in ("training", "validation"))
        assert read(training, "loss") == pytest.approx({e: 2 / e for e in range(1, count + 1)})
        assert [*read(validation, "loss")] == [*range(1, count + 1)]
    assert {*training.Tags()["scalars"]} == {"loss", "accuracy", "learning_rate"}
    assert {*validation.Tags()["scalars"]} == {"loss", "accuracy"}
    assert read(training, "learning_rate")[5] == pytest.approx(0.0002)
    assert read(validation, "accuracy")[5] == pytest.approx(0.8)
    times = [one.wall_time for one in training.Scalars("loss")]
    assert [b - a for a, b in pairwise(times)] == pytest.approx([1.5] * 4)


def test_an_open_tensorboard_follows_a_training_and_one_that_begins_again(tmp_path: Path) -> None:
    curves.write(tmp_path, rows(4))
    log = accumulator(tmp_path, "validation")
    curves.write(tmp_path, rows(5))
    assert [*read(log.Reload(), "loss")] == [1, 2, 3, 4, 5]
    curves.write(tmp_path, rows(2, shift=1))
    assert read(log.Reload(), "loss") == pytest.approx({1: 3.5, 2: 2.25})
    assert read(accumulator(tmp_path, "validation"), "loss") == pytest.approx({1: 3.5, 2: 2.25})


def test_a_resumed_training_leaves_one_whole_log(tmp_path: Path) -> None:
    curves.write(tmp_path, rows(6))
    (file,) = (tmp_path / curves.LOG / "training").iterdir()
    whole = file.read_bytes()
    curves.write(tmp_path, rows(3))  # the checkpoint was older than the log
    emptied, again = sorted((tmp_path / curves.LOG / "training").iterdir())
    assert (emptied, file.stat().st_size) == (file, 0)
    curves.write(tmp_path, rows(6))
    assert [*read(accumulator(tmp_path, "training"), "loss")] == [1, 2, 3, 4, 5, 6]
    assert again.stat().st_size == len(whole)


def test_a_record_that_a_kill_tore_is_completed(tmp_path: Path) -> None:
    curves.write(tmp_path, rows(3))
    (file,) = (tmp_path / curves.LOG / "training").iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[:-10])
    curves.write(tmp_path, rows(3))
    assert file.read_bytes() == whole


def test_the_table_holds_what_was_measured(tmp_path: Path) -> None:
    history = rows(3)
    history[1]["val_loss"] = history[1]["val_accuracy"] = None
    curves.write(tmp_path, history)
    with (tmp_path / curves.TABLE).open(newline="") as stream:
        table = [*csv.DictReader(stream)]
    assert [*table[0]] == [*curves.FIELDS]
    assert [row["phase"] for row in table] == ["head", "head", "blocks"]
    assert [float(row["loss"]) for row in table] == [row["loss"] for row in history]
    assert table[1]["val_loss"] == ""
    assert [*read(accumulator(tmp_path, "validation"), "loss")] == [1, 3]


def test_the_picture_says_its_curves_phases_and_best_epoch(tmp_path: Path) -> None:
    curves.write(tmp_path, rows(5), best=4)
    text = " ".join(
        one.text or ""
        for one in ElementTree.parse(tmp_path / curves.PICTURE).iter()  # noqa: S314
    )
    for word in ("training", "validation", "best epoch: 4", "loss", "accuracy, %", "epoch"):
        assert word in text
    assert text.count("head") == text.count("blocks") == 2


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
    curves.write(tmp_path, history, best=1)
    ElementTree.parse(tmp_path / curves.PICTURE)  # noqa: S314
    assert curves.draw(history, "png", 1).startswith(b"\x89PNG")
    epochs = [row["epoch"] for row in history]
    log = accumulator(tmp_path, "training")
    assert ([*read(log, "accuracy")] if epochs else []) == epochs


def test_the_same_history_gives_the_same_table_and_picture(tmp_path: Path) -> None:
    for name in "ab":
        curves.write(tmp_path / name, rows(3), best=2)
    for file in (curves.TABLE, curves.PICTURE):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


@pytest.mark.parametrize("package", ["matplotlib", "tensorboard"])
def test_a_missing_package_is_named(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curves, "find_spec", lambda name: None if name == package else object())
    with pytest.raises(MissingExtraError, match=rf"{package}: pip install 'topfive\[tune\]'"):
        curves.check()


def test_what_cannot_be_written_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / curves.PICTURE).mkdir()
    with pytest.raises(OutputError, match=r"cannot write .*curves\.svg"):
        curves.write(tmp_path, rows(1))
    assert sorted(one.name for one in tmp_path.iterdir()) == [curves.PICTURE, curves.TABLE]


def test_the_log_needs_no_tensorflow(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['tensorflow'] = None\n"
        "from pathlib import Path; from topfive.training import curves\n"
        "row = dict.fromkeys(curves.FIELDS, 0.5) | {'epoch': 1, 'phase': 'head'}\n"
        f"curves.write(Path({str(tmp_path)!r}), [row])\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)
    assert read(accumulator(tmp_path, "validation"), "accuracy") == {1: 0.5}
