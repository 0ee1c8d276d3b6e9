"""A comparison as a file: a page for people, Markdown, JSON."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from topfive.evaluation import report_page, report_tables
from topfive.evaluation.evaluations import Comparison, Evaluation, remark
from topfive.evaluation.metrics import Measure
from topfive.evaluation.report_tables import Table
from topfive.networks.cards import Network
from topfive.results import Failure
from topfive.sources.source import MAX_PIXELS
from topfive.system import files
from topfive.system.text import printable
from topfive.version import __version__

# What Markdown would take for more than letters: an address would become a link, too.
SIGNS = re.compile(r"[\\`*<>\[\]|&~$]|(?<!\w)_|_(?!\w)|(?<=:)/(?=/)|(?<=www)\.", re.IGNORECASE)


def check(file: Path, force: bool = False) -> None:
    """Refuse, before an evaluation begins, what `write` could not write.

    Raises: what `files.check_target` does, and for a page `report_page.check`.
    """
    files.check_target(file, WRITERS, force)
    if file.suffix.lower() == ".html":
        report_page.check()


def write(
    comparison: Comparison, file: Path, *, max_pixels: int = MAX_PIXELS, force: bool = False
) -> None:
    """Write a report to a file whose suffix is in `WRITERS`; it appears when it is whole.

    Pictures of more than `max_pixels` are not shown.

    Raises:
        UsageError, MissingExtraError: as `check` does.
        OutputError: it cannot be written; nothing of it is left then.
    """
    check(file, force)
    with (
        files.replacing(file, force) as part,
        part.open("x", encoding="utf-8", newline="\n") as stream,
    ):
        stream.writelines(WRITERS[file.suffix.lower()](comparison, max_pixels))


def as_json(comparison: Comparison) -> Iterator[str]:
    """Yield all that is known of a comparison, each judgement too, as one JSON object.

    Classes are indices into its `labels`. What is not a number is null.
    """
    labels = comparison.evaluations[0].labels if comparison.evaluations else ()
    told = {"topfive": __version__, **_plain(comparison), "labels": labels}
    encoder = json.JSONEncoder(default=_plain, allow_nan=False, indent=1)
    yield from encoder.iterencode(told)
    yield "\n"


def as_markdown(comparison: Comparison) -> Iterator[str]:
    """Yield the tables of a comparison as Markdown, names escaped so that they stay as they are."""
    yield f"# {_escaped(report_tables.title(comparison))}\n\n"
    yield f"{_escaped(report_tables.headline(comparison))}.\n"
    if remarks := report_tables.remarks(comparison):
        yield "\n" + "".join(f"- {_escaped(remark)}\n" for remark in remarks)
    for table in (
        report_tables.accuracy(comparison),
        report_tables.cost(comparison),
        report_tables.pairs(comparison),
        report_tables.disagreements(comparison),
        *(report_tables.confusions(*one) for one in comparison.titled),
        *(report_tables.errors(comparison, *one) for one in comparison.titled),
        report_tables.failures(comparison),
        report_tables.classes(comparison),
        report_tables.origin(comparison),
    ):
        if table.rows:
            yield f"\n## {_escaped(table.title)}\n\n"
            yield from _markdown_table(table)
    yield f"\n{_escaped(report_tables.METHOD)}\n"


FORMATS = {"json": as_json, "markdown": as_markdown}  # as a text in pieces
WRITERS: dict[str, Callable[[Comparison, int], Iterator[str]]] = {
    ".html": report_page.as_html,
    ".md": lambda comparison, _: as_markdown(comparison),
    ".json": lambda comparison, _: as_json(comparison),
}


def _plain(value: Any) -> dict[str, Any]:
    """Return the fields of a frozen value, for JSON; what they hold is turned when it is met."""
    if isinstance(value, Failure):
        return value.to_dict()
    fields = {one.name: getattr(value, one.name) for one in dataclasses.fields(value)}
    if isinstance(value, Network):
        fields = {name: fields[name] for name in ("name", "title", "top1", "top5", "published")}
    elif isinstance(value, Evaluation):
        del fields["labels"]  # all have the same
        rate, said = value.pictures_per_second, remark(value)
        fields = {"name": value.name, **fields, "pictures_per_second": rate, "remark": said}
    elif isinstance(value, Measure):
        fields["value"] = value.value
    return {
        name: None if isinstance(one, float) and not math.isfinite(one) else one
        for name, one in fields.items()
    }


def _markdown_table(table: Table) -> Iterator[str]:
    rows = [[_escaped(cell) for cell in row] for row in (table.columns, *table.rows)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    texts, numbers = widths[: table.text], widths[table.text :]
    rule = [*("-" * width for width in texts), *("-" * (width - 1) + ":" for width in numbers)]
    for row in (rows[0], rule, *rows[1:]):
        cells = [
            cell.ljust(width) if place < table.text else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield f"| {' | '.join(cells)} |\n"


def _escaped(text: str) -> str:
    return SIGNS.sub(r"\\\g<0>", printable(text))
