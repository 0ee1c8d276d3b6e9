"""Text as a person or a table takes it."""

from __future__ import annotations

import csv
import io
import textwrap
from collections.abc import Iterable, Sequence
from functools import partial

SHOWN = 3  # names in a warning
WIDTH = 80  # columns


def printable(name: str) -> str:
    """Return a name that a terminal shows as it is: no line breaks, no escape sequences."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in name
    )


def csv_line(row: Sequence[object]) -> str:
    """Return a line of CSV; None is an empty cell."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(row)
    return line.getvalue()


def listing(names: Sequence[str]) -> str:
    """Return names as `a, b, c and 7 more`."""
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def wrap(lines: Iterable[str]) -> str:
    """Return lines as a text for a terminal of `WIDTH`, names in it printable."""
    wrapped = partial(textwrap.fill, width=WIDTH, subsequent_indent="    ", break_on_hyphens=False)
    return "".join(f"{wrapped(printable(line))}\n" for line in lines)
