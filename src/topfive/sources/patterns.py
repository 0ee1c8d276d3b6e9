"""Patterns for names: what `*` and `**` match, in folders and in buckets."""

from __future__ import annotations

import fnmatch
import glob

ANY_DEPTH = "**"
ANYTHING = ""  # stands for a label, for a file's name


def fits(parts: list[str], wanted: list[str], begins: bool = False) -> bool:
    """Whether the parts of a name fit those of a pattern, or begin as such a name may."""
    if not parts or not wanted:
        return not parts and (begins == bool(wanted))
    if wanted[0] == ANY_DEPTH:
        rest = wanted[1:] or ["*"]
        return begins or any(fits(parts[place:], rest) for place in range(len(parts)))
    return fnmatch.fnmatchcase(parts[0], wanted[0]) and fits(parts[1:], wanted[1:], begins)


def leads_to(pattern: tuple[str, ...], path: tuple[str, ...]) -> bool:
    """Whether a pattern may match a path; `ANYTHING` is no name that it spells out."""
    if not pattern or not path:
        return not pattern and not path
    part, *rest = pattern
    if part == ANY_DEPTH:
        visible = next((n for n, name in enumerate(path) if name.startswith(".")), len(path))
        return any(leads_to(tuple(rest) or ("*",), path[n:]) for n in range(visible + 1))
    name = path[0]
    if name == ANYTHING:
        matches = glob.has_magic(part)
    else:
        hidden = name.startswith(".") and not part.startswith(".")
        matches = fnmatch.fnmatchcase(name, part) and not (hidden and glob.has_magic(part))
    return matches and leads_to(tuple(rest), path[1:])
