"""Results of any kind as text: a function and a row of `FORMATS` for each format.

Each takes the stream of results, how results of their kind are told, and whether there are
several; it yields pieces of text as soon as they are known.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from topfive.results import Classification, Failure
from topfive.system.text import csv_line, printable

Result = Classification | Failure
FIELDS = ("wnid", "label", "probability")
UNKNOWN = "I don't know: this is unlike the pictures that the network was calibrated with"
BETWEEN = "|"  # the labels of a set


class Layout(NamedTuple):
    """How results of a kind are told: the columns of a table, and what of a result stands in its
    rows; of one that is no failure, the lines of a text."""

    columns: Sequence[str]
    rows: Callable[[Any], Iterable[Sequence[object]]]
    lines: Callable[[Any], list[str]]


@dataclass(frozen=True)
class Wanted:
    """What the answers tell: `top` classes, and what else was asked for; see `Classifier`."""

    top: int = 5
    hierarchy: bool = False
    ancestors: Sequence[str] = ()
    coverage: float | None = None
    reject: bool = False

    def columns(self) -> list[str]:
        """Return the names of the columns that tell the answer in a flat table.

        There are `top` classes side by side, the most specific statement of the hierarchy, the
        labels of the set for a `coverage`, joined by `BETWEEN`, the probability of each ancestor.
        """
        best = [f"{field}_{rank}" for rank in range(1, self.top + 1) for field in FIELDS]
        said = [f"hierarchy_{field}" for field in FIELDS] if self.hierarchy else []
        sets = [] if self.coverage is None else ["prediction_set"]
        return [*best, *said, *sets, *["rejected"] * self.reject, *self.ancestors]

    def cells(self, row: Mapping[str, Any]) -> list[str | float | None]:
        """Return what stands in `columns` for a result's `to_dict`; None is an empty cell."""
        told = [one[field] for one in row["predictions"][: self.top] for field in FIELDS]
        # A failure, or a network with fewer classes than were asked for.
        told += [None] * (self.top * len(FIELDS) - len(told))
        if self.hierarchy:
            said = row.get("hierarchy") or [{}]
            told += [said[-1].get(field) for field in FIELDS]
        if self.coverage is not None:
            told.append(BETWEEN.join(one["label"] for one in row.get("prediction_set", ())) or None)
        if self.reject:
            told.append(row.get("rejected"))
        sums = [one["probability"] for one in row.get("ancestors", ())][: len(self.ancestors)]
        return told + sums + [None] * (len(self.ancestors) - len(sums))

    def layout(self) -> Layout:
        """Return how such answers are told: a row for each, and the lines of the tutorial."""
        columns = ["source", "network", "recipe", *self.columns(), "error_kind", "error"]
        return Layout(columns, self._rows, self._lines)

    def _rows(self, result: Result) -> list[list[object]]:
        row: dict[str, Any] = {"predictions": [], **result.to_dict()}
        before = [row.get(name) for name in ("source", "network", "recipe")]
        error = row.get("error", {})
        return [[*before, *self.cells(row), error.get("kind"), error.get("message")]]

    def _lines(self, result: Classification) -> list[str]:
        """Return lines like `1. soccer_ball: 93.43%`.

        Where the hierarchy was asked for, its line (`dog 97%, beagle 61%`) stands for them, and
        where a coverage was, the classes of the set; of a rejected picture nothing is claimed.
        """
        if result.rejected:
            return [UNKNOWN]
        lines = [
            f"{rank}. {prediction.label}: {prediction.probability:.2%}"
            for rank, prediction in enumerate(result.prediction_set or result.predictions, start=1)
        ]
        if result.prediction_set is not None and self.coverage is not None:
            lines.append(f"such sets hold the truth {100 * self.coverage:.4g}% of the time")
        if result.hierarchy:
            lines = [", ".join(f"{one.label} {one.probability:.0%}" for one in result.hierarchy)]
        return lines + [f"{one.label}: {one.probability:.2%}" for one in result.ancestors]


def as_text(results: Iterable[Any], layout: Layout, several: bool) -> Iterator[str]:
    """Yield the lines of each; of `several`, a block each. Failures go to standard error."""
    gap = ""
    for result in results:
        if isinstance(result, Failure):
            continue
        title = [printable(result.source)] if several else []
        lines = map(printable, layout.lines(result))  # labels may be a stranger's
        yield gap + "".join(f"{line}\n" for line in (*title, *lines))
        gap = "\n" if several else ""


def as_json(results: Iterable[Any], _layout: Layout, _several: bool) -> Iterator[str]:
    """Yield one JSON array with an object for each picture."""
    separator = "[\n"
    for result in results:
        yield separator + json.dumps(result.to_dict())
        separator = ",\n"
    yield "[]\n" if separator == "[\n" else "\n]\n"


def as_jsonl(results: Iterable[Any], _layout: Layout, _several: bool) -> Iterator[str]:
    """Yield one line of JSON for each picture."""
    for result in results:
        yield json.dumps(result.to_dict()) + "\n"


def as_csv(results: Iterable[Any], layout: Layout, _several: bool) -> Iterator[str]:
    """Yield a header and the rows of each picture."""
    yield csv_line(layout.columns)
    for result in results:
        yield from map(csv_line, layout.rows(result))


FORMATS = {"text": as_text, "json": as_json, "jsonl": as_jsonl, "csv": as_csv}
