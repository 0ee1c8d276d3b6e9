"""The history of a training as a table, as curves, and as a log for TensorBoard."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from topfive.evaluation import plots
from topfive.system import extras, files
from topfive.system.text import csv_line, printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Row = Mapping[str, Any]

# The keys of a row, an epoch each; see `messages.HistoryRow`. What was not measured is None.
MEASURED = ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds")
FIELDS = ("epoch", "phase", *MEASURED)
TABLE, PICTURE, LOG = "history.csv", "curves.svg", "tensorboard"
# TensorBoard draws what has the same tag in several runs as curves of one chart.
RUNS: dict[str, dict[str, str]] = {
    "training": {"loss": "loss", "accuracy": "accuracy", "learning_rate": "learning_rate"},
    "validation": {"loss": "val_loss", "accuracy": "val_accuracy"},
}
FLUSH = 1  # seconds until what was logged is on the disk
WIDTH, HEIGHT = 960, 400  # pixels of the picture
MARKED = 30  # epochs, up to which each is marked with a point


class Curves:
    """What a training writes of its history into a folder: `TABLE`, `PICTURE` and `LOG`.

    Raises:
        MissingExtraError: matplotlib or tensorboardX is not installed.
    """

    def __init__(self, folder: Path) -> None:
        extras.require("tune", "drawing the curves of a training")
        self.folder = folder
        self._writers: dict[str, Any] = {}  # by their runs
        self._logged, self._moment = 0, 0.0

    def write(self, history: Sequence[Row], best: int | None = None) -> None:
        """Write the epochs so far, after each of them.

        `history` has a row for each epoch, in their order, with the keys `FIELDS`, those of an
        earlier session first; `best` is the epoch whose weights are kept.

        Raises:
            OutputError: a file cannot be written; what was there stays.
        """
        made = {TABLE: as_csv(history).encode(), PICTURE: draw(history, "svg", best)}
        file = self.folder
        try:
            file.mkdir(parents=True, exist_ok=True)
            for name, content in made.items():
                with files.replacing(self.folder / name) as part:
                    part.write_bytes(content)
            file = self.folder / LOG
            self._log(history)
        except OSError as error:
            raise files.unwritable(file, error) from error

    def _log(self, history: Sequence[Row]) -> None:
        """Log the epochs that this session has not logged; TensorBoard forgets what earlier ones
        did, since the first event that it finds after them is of a step 0."""
        # Unlike TensorBoard's own writer it does not import TensorFlow.
        from tensorboardX import SummaryWriter, event_file_writer

        # The files' names would hold this machine's, and networks are passed on.
        event_file_writer.socket = SimpleNamespace(gethostname=lambda: "topfive")

        seconds = [row["seconds"] if _is_known(row, "seconds") else 0 for row in history]
        if not self._writers:
            self._moment = time.time() - sum(seconds)
            place = self.folder.absolute() / LOG
            how = {"purge_step": 0, "max_queue": 0, "flush_secs": FLUSH}
            self._writers = {run: SummaryWriter(str(place / run), **how) for run in RUNS}
        for row, spent in [*zip(history, seconds, strict=True)][self._logged :]:
            self._moment += spent
            for run, tags in RUNS.items():
                for tag, field in tags.items():
                    if _is_known(row, field):
                        value, epoch = row[field], row["epoch"]
                        self._writers[run].add_scalar(tag, value, epoch, self._moment)
        self._logged = len(history)

    def close(self) -> None:
        """Wait until the log is on the disk, or raise an `OutputError`."""
        try:
            for writer in self._writers.values():
                writer.close()
        except OSError as error:
            raise files.unwritable(self.folder / LOG, error) from error


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
        points = [(row["epoch"], factor * row[field]) for row in history if _is_known(row, field)]
        if points:
            marker = plots.MARKERS[place] if len(points) <= MARKED else None
            x, y = zip(*points, strict=True)
            axes.plot(x, y, color=plots.SERIES[place], marker=marker, label=title)
        highest = max([highest, *(value for _, value in points)])
    if best is not None and any(row["epoch"] == best for row in history):
        style: dict[str, Any] = {"linestyle": "--", "linewidth": 1.5, "zorder": 1}
        axes.axvline(best, color=plots.SERIES[2], label=f"best epoch: {best}", **style)
    phases = [[*rows] for _, rows in groupby(history, key=lambda row: row["phase"])]
    if len(phases) > 1:
        for place, (first, *_) in enumerate(phases):
            border = first["epoch"] - 0.5
            if place:
                axes.axvline(border, color=plots.INK, linestyle=":", linewidth=1)
            phase = printable(str(first["phase"]))
            at: dict[str, Any] = {"xycoords": ("data", "axes fraction")}
            axes.annotate(phase, (border, 1), (4, 4), textcoords="offset points", fontsize=10, **at)
    axes.set(xlabel="epoch", ylabel=name, ylim=(0, 1.05 * highest or 1))
    axes.locator_params("x", integer=True, min_n_ticks=1)
    if history:
        axes.set_xlim(history[0]["epoch"] - 0.5, history[-1]["epoch"] + 0.5)


def _is_known(row: Row, field: str) -> bool:
    return row.get(field) is not None and math.isfinite(row[field])
