"""Results as text: a function and a table row for each format.

Each takes the stream of results and yields pieces of text as soon as they are known.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence

from topfive.results import Classification, Failure, Prediction, Statement

Result = Classification | Failure
FIELDS = ("wnid", "label", "probability")


def as_text(results: Iterable[Result], *, several: bool, **_: object) -> Iterator[str]:
    """Yield the tutorial's lines, `1. soccer_ball: 93.43%`; with `several`, a block each.

    Where the hierarchy was asked for, its line (`dog 97%, beagle 61%`) stands for them.
    Failures are left out: they go to standard error.
    """
    first = True
    for result in results:
        if isinstance(result, Failure):
            continue
        lines = [
            f"{rank}. {prediction.label}: {prediction.probability:.2%}"
            for rank, prediction in enumerate(result.predictions, start=1)
        ]
        if result.hierarchy:
            lines = [", ".join(f"{one.label} {one.probability:.0%}" for one in result.hierarchy)]
        lines += [f"{one.label}: {one.probability:.2%}" for one in result.ancestors]
        if several:
            lines.insert(0, printable(result.source))
        yield ("" if first or not several else "\n") + "\n".join(lines) + "\n"
        first = False


def as_json(results: Iterable[Result], **_: object) -> Iterator[str]:
    """Yield one JSON array with an object for each picture."""
    separator = "[\n"
    for result in results:
        yield separator + json.dumps(result.to_dict())
        separator = ",\n"
    yield "[]\n" if separator == "[\n" else "\n]\n"


def as_jsonl(results: Iterable[Result], **_: object) -> Iterator[str]:
    """Yield one line of JSON for each picture."""
    for result in results:
        yield json.dumps(result.to_dict()) + "\n"


def as_csv(
    results: Iterable[Result], *, top: int, hierarchy: bool, ancestors: Sequence[str], **_: object
) -> Iterator[str]:
    """Yield a header and one row for each picture, with `top` classes side by side.

    Of the hierarchy it is the most specific statement; of each ancestor the probability.
    """
    best = [f"{field}_{rank}" for rank in range(1, top + 1) for field in FIELDS]
    said = [f"hierarchy_{field}" for field in FIELDS] if hierarchy else []
    yield _csv_line(
        ["source", "network", "recipe", *best, *said, *ancestors, "error_kind", "error"]
    )
    for result in results:
        if isinstance(result, Failure):
            cells = [""] * (2 + len(best) + len(said) + len(ancestors))
            yield _csv_line([result.source, *cells, result.kind, result.message])
            continue
        row = [result.source, result.network, result.recipe]
        told: list[Prediction | Statement] = [*result.predictions, *result.hierarchy[-1:]]
        for one in told:
            row += [one.wnid, one.label, repr(one.probability)]
        # A network with fewer classes than were asked for.
        missing = len(best) - len(FIELDS) * len(result.predictions)
        row[3 + len(best) - missing : 3 + len(best) - missing] = [""] * missing
        yield _csv_line([*row, *(repr(one.probability) for one in result.ancestors), "", ""])


# Called with `several`, whether there is more than one picture, and with what was asked for:
# `top`, `hierarchy`, `ancestors`.
FORMATS: dict[str, Callable[..., Iterator[str]]] = {
    "text": as_text,
    "json": as_json,
    "jsonl": as_jsonl,
    "csv": as_csv,
}


def printable(name: str) -> str:
    """Return a name that a terminal shows as it is: no line breaks, no escape sequences."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in name
    )


def _csv_line(row: list[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(row)
    return line.getvalue()
