"""The history of a training as a table, as curves, and as a log for TensorBoard."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from topfive.errors import MissingExtraError
from topfive.evaluation import plots
from topfive.system import files
from topfive.system.text import csv_line, printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Row = Mapping[str, Any]

# The keys of a row, an epoch each. Losses are means over pictures, accuracies 0 to 1, seconds
# the epoch's own; what was not measured is None.
FIELDS = ("epoch", "phase", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate",
          "seconds")  # fmt: skip
TABLE, PICTURE, LOG = "history.csv", "curves.svg", "tensorboard"
# TensorBoard draws what has the same tag in several runs as curves of one chart.
RUNS: dict[str, dict[str, str]] = {
    "training": {"loss": "loss", "accuracy": "accuracy", "learning_rate": "learning_rate"},
    "validation": {"loss": "val_loss", "accuracy": "val_accuracy"},
}
EVENTS = "events.out.tfevents."  # the beginning of the names that TensorBoard looks for
FORMAT = "brain.Event:2"
WIDTH, HEIGHT = 960, 400  # pixels of the picture
MARKED = 30  # epochs, up to which each is marked with a point


def check() -> None:
    """Refuse, before a training begins, what `write` could not write.

    Raises:
        MissingExtraError: matplotlib or tensorboard is not installed.
    """
    for package in ("matplotlib", "tensorboard"):
        if find_spec(package) is None:
            raise MissingExtraError(
                f"the curves of a training need {package}: pip install 'topfive[tune]'"
            )


def write(folder: Path, history: Sequence[Row], best: int | None = None) -> None:
    """Write the epochs so far into a folder: `TABLE`, `PICTURE` and `LOG`.

    `history` has a row for each epoch, in their order, with the keys `FIELDS`; `best` is the
    epoch whose weights are kept. Called after each epoch with all of them, also after a
    training has gone on or begun again: each file then holds each epoch once.

    Raises:
        MissingExtraError: matplotlib or tensorboard is not installed.
        OutputError: a file cannot be written; what was there stays.
    """
    check()
    file = folder / TABLE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _replace(file, as_csv(history).encode())
        file = folder / PICTURE
        _replace(file, draw(history, "svg", best))
        for run, tags in RUNS.items():
            file = folder / LOG / run
            _log(file, history, tags)
    except OSError as error:
        raise files.unwritable(file, error) from error


def as_csv(history: Sequence[Row]) -> str:
    """Return a header and a line for each epoch."""
    lines = [FIELDS, *([row.get(field) for field in FIELDS] for row in history)]
    return "".join(map(csv_line, lines))


def draw(history: Sequence[Row], format: str, best: int | None = None) -> bytes:
    """Return loss and accuracy over the epochs as the content of a picture, `svg` or `png`."""

    def onto(axes: Axes) -> None:
        figure = axes.figure
        axes.remove()
        left, right = figure.subplots(1, 2)
        _draw(left, history, "loss", 1, best)
        _draw(right, history, "accuracy", 100, best)
        right.set(ylabel="accuracy, %", ylim=(0, 102))
        handles, labels = right.get_legend_handles_labels()
        if handles:
            figure.legend(handles, labels, loc="outside upper left", ncols=3, borderpad=0)

    return plots.picture(onto, format, width=WIDTH, height=HEIGHT)


def _draw(axes: Axes, history: Sequence[Row], name: str, factor: int, best: int | None) -> None:
    """Draw a measure of training and validation, where phases begin, and the best epoch."""
    highest = 0.0
    for place, (title, field) in enumerate((("training", name), ("validation", f"val_{name}"))):
        points = [(row["epoch"], factor * row[field]) for row in history if _known(row, field)]
        if points:
            axes.plot(
                [x for x, _ in points], [y for _, y in points], color=plots.SERIES[place],
                marker=plots.MARKERS[place] if len(points) <= MARKED else None, label=title,
            )  # fmt: skip
        highest = max([highest, *(y for _, y in points)])
    if best is not None and any(row["epoch"] == best for row in history):
        axes.axvline(best, color=plots.SERIES[2], linestyle="--", linewidth=1.5, zorder=1,
                     label=f"best epoch: {best}")  # fmt: skip
    phases = [[*rows] for _, rows in groupby(history, key=lambda row: row["phase"])]
    if len(phases) > 1:
        for place, (first, *_) in enumerate(phases):
            border = first["epoch"] - 0.5
            if place:
                axes.axvline(border, color=plots.INK, linestyle=":", linewidth=1)
            axes.annotate(
                printable(str(first["phase"])), (border, 1), (4, 4),
                xycoords=("data", "axes fraction"), textcoords="offset points", fontsize=10,
            )  # fmt: skip
    axes.set(xlabel="epoch", ylabel=name, ylim=(0, 1.05 * highest or 1))
    axes.locator_params("x", integer=True, min_n_ticks=1)
    if history:
        axes.set_xlim(history[0]["epoch"] - 0.5, history[-1]["epoch"] + 0.5)


def _known(row: Row, field: str) -> bool:
    return row.get(field) is not None and math.isfinite(row[field])


def _log(folder: Path, history: Sequence[Row], tags: Mapping[str, str]) -> None:
    """Bring the event file of a run up to date.

    What is new is appended, since a TensorBoard that shows the training has the file open;
    only a record can be torn by a kill, and the next call completes it. Where the history
    itself is another one than before, a file with a later name holds all of it, and its
    beginning tells TensorBoard to forget what it had read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    began = 0
    old = sorted(folder.glob(f"{EVENTS}{'[0-9]' * 10}.topfive"))
    if old:
        began = int(old[-1].suffixes[-2][1:])
        content, known = _records(history, tags, began), old[-1].read_bytes()
        if content.startswith(known):
            with old[-1].open("ab") as stream:
                stream.write(content[len(known) :])
            return
    spent = sum(row["seconds"] for row in history if _known(row, "seconds"))
    start = max(int(time.time() - spent), began + 1)
    _replace(folder / f"{EVENTS}{start:010d}.topfive", _records(history, tags, start))
    for file in old[:-1]:
        file.unlink()
    for file in old[-1:]:
        file.write_bytes(b"")  # a TensorBoard that has it open would not get past its absence


def _records(history: Sequence[Row], tags: Mapping[str, str], start: int) -> bytes:
    """Return the content of an event file; `start` is when the training began, Unix time."""
    # Neither imports TensorFlow, which `tensorboard.compat.tf` and its event writer do if it
    # is installed.
    from tensorboard.summary.writer.record_writer import RecordWriter

    content = io.BytesIO()
    writer = RecordWriter(content)
    for event in _events(history, tags, start):
        writer.write(event.SerializeToString(deterministic=True))
    return content.getvalue()


def _events(history: Sequence[Row], tags: Mapping[str, str], start: int) -> Iterator[Any]:
    from tensorboard.compat.proto.event_pb2 import Event, SessionLog
    from tensorboard.compat.proto.summary_pb2 import Summary

    yield Event(wall_time=start, file_version=FORMAT)
    yield Event(wall_time=start, session_log=SessionLog(status=SessionLog.START))
    moment = float(start)
    for row in history:
        moment += row["seconds"] if _known(row, "seconds") else 0
        values = [Summary.Value(tag=tag, simple_value=row[field])
                  for tag, field in tags.items() if _known(row, field)]  # fmt: skip
        if values:
            yield Event(wall_time=moment, step=row["epoch"], summary=Summary(value=values))


def _replace(file: Path, content: bytes) -> None:
    with files.replacing(file) as part:
        part.write_bytes(content)
