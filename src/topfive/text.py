"""Text as a person or a table takes it."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

SHOWN = 3  # names in a warning


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


def named(names: Sequence[str]) -> str:
    """Return names as `a, b, c and 7 more`."""
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
