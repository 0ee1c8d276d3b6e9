"""Patterns for names: what `*` and `**` match, in folders and in buckets."""

from __future__ import annotations

import fnmatch
import glob
from collections.abc import Sequence

ANY_DEPTH = "**"
ANYTHING = "\0"  # stands for a label, for a file's name


def leads_to(pattern: Sequence[str], path: Sequence[str], begins: bool = False) -> bool:
    """Whether a pattern may match a path or, with `begins`, one further below it, both in parts.
    A hidden name needs a dot that is spelled out; no part that is spelled out is `ANYTHING`."""
    if not pattern or not path:
        return not path and begins == bool(pattern)
    part, *rest = pattern
    if part == ANY_DEPTH:
        visible = next((n for n, name in enumerate(path) if name.startswith(".")), len(path))
        return begins or any(leads_to(rest or ["*"], path[n:]) for n in range(visible + 1))
    if path[0] == ANYTHING:
        fits = glob.has_magic(part)
    else:
        hidden = path[0].startswith(".") and not part.startswith(".")
        fits = not hidden and fnmatch.fnmatchcase(path[0], part)
    return fits and leads_to(rest, path[1:], begins)
