"""Files that topfive wrote, told by what stands in them: a folder's listing leaves them out."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from typing import TypeVar

from topfive.system.files import open_regular
from topfive.system.text import SHOWN, printable

MARK = "made by topfive"  # in what has room for a remark
PICTURES = (".jpeg", ".jpg", ".png", ".webp")
HEAD = 4_096  # bytes that are looked at
AT_END = (".md", ".webp")  # what is told by the last bytes
FOOTER = 65_536  # bytes of a Parquet file's end, which names the columns
COLUMNS = (b"source", b"sha256", b"recipe", b"weights", b"error_kind")
JOURNAL = re.compile(r"(.+\.partial)(-journal|-shm|-wal)?", re.DOTALL)
SQLITE, NUMBER = b"SQLite format 3\0", b"tp5"  # bytes 68 to 70: see `journal.APPLICATION_ID`
CARD = "card.json"  # of a taught network: what lies beside it is a part of it
# What a file begins with, by its suffix.
BEGINS = {
    ".csv": rb"(row,)?source,[^\n]*(network|similarity)|epoch,",
    ".json": rb'\[\s*\{"source": "|\{\s*("topfive|"networks|"machine|"version": \d+,\s*"name)": ',
    ".jsonl": rb'\{"source": "[^\n]*"(network|error|matches)": ',
    ".md": rb".*Intervals are Wilson's",
    ".tar": rb"manifest\.json\0.*topfive",
}
BEGINNINGS = {suffix: re.compile(begin, re.DOTALL) for suffix, begin in BEGINS.items()}

Found = TypeVar("Found", str, str | OSError)
log = logging.getLogger("topfive")


def leave_out(paths: Iterable[Found], pictures: bool = True) -> Iterator[Found]:
    """Yield the paths but those of files that topfive wrote, and say, once, which those are.
    Without `pictures` what it drew stays, and nothing is said: that only counts."""
    names: list[str] = []
    left = 0
    for path in paths:
        if not isinstance(path, str) or not is_own(path, pictures):
            yield path
        elif not JOURNAL.fullmatch(path):
            left += 1
            names += [path] * (left <= SHOWN)
    if left and pictures:
        more = f" and {left - SHOWN:,} more" if left > SHOWN else ""
        _say(f"left out, made by topfive: {', '.join(names)}{more}")


@cache
def _say(text: str) -> None:  # a folder that is watched is listed again and again
    log.info("%s", printable(text))


def is_own(path: str, pictures: bool = True) -> bool:
    """Whether topfive wrote a file, in this run or an earlier one. What it drew is known by a
    look into each picture, and only if `pictures` says so."""
    if found := JOURNAL.fullmatch(path):
        return _is_journal(found[1])
    suffix = os.path.splitext(path)[1].lower()  # noqa: PTH122
    if suffix in PICTURES and not pictures:
        return False
    with suppress(OSError):
        if suffix == ".parquet":
            end = _read(path, -FOOTER)
            return end.endswith(b"PAR1") and all(one in end for one in COLUMNS)
        if suffix == ".npy" and is_own(f"{path[:-4]}.csv"):
            return True
        content = _read(path, -HEAD if suffix in AT_END else HEAD)
        begins = BEGINNINGS.get(suffix)
        if begins.match(content) if begins else MARK.encode() in content:
            return True
        return suffix not in PICTURES and (_is_beside_card(path) or _is_written_to(path))
    return False


def _read(path: str, size: int) -> bytes:
    """Return the first bytes of a file, or for a negative size the last."""
    with open_regular(path) as stream:
        if size < 0:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size + size))
        return stream.read(abs(size))


def _is_journal(path: str) -> bool:
    try:
        head = _read(path, HEAD)
    except OSError:  # a run came to its end meanwhile, and this is what it left last
        return not os.path.lexists(path)
    return not head or (head.startswith(SQLITE) and head[68:71] == NUMBER)


def _is_beside_card(path: str) -> bool:
    card = os.path.join(os.path.dirname(path), CARD)  # noqa: PTH118, PTH120
    return card != path and os.path.lexists(card) and is_own(card)


def _is_written_to(path: str) -> bool:
    """Whether standard output, or the messages, go to that file."""
    status = os.stat(path)  # noqa: PTH116
    return (status.st_dev, status.st_ino) in _streams()


@cache
def _streams() -> frozenset[tuple[int, int]]:
    found = set()
    for number in (1, 2):
        with suppress(OSError):
            status = os.fstat(number)
            found.add((status.st_dev, status.st_ino))
    return frozenset(found)
