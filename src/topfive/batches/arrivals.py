"""What of a place that is watched is to be answered: what is new and whole, and what changed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from time import monotonic, time

from topfive.batches.journal import Journal
from topfive.batches.placing import Placer
from topfive.errors import PictureError
from topfive.sources import archives
from topfive.sources.source import Source

SETTLED = 2.0  # seconds since a file changed last, from which on it is taken for complete


class Arrivals:
    """Looks at all that is listed, again and again. A file is answered once it stays as it is;
    its row gives way to a new one when it has other bytes than those that were answered."""

    def __init__(self, journal: Journal, placer: Placer | None) -> None:
        self.journal, self.placer = journal, placer
        self._changing: dict[str, tuple[str, float]] = {}  # how files look, and since when

    def look(self, found: Iterable[Source]) -> Iterator[Source]:
        """Yield the sources that have no row, or one of what their file no longer holds."""
        before, self._changing = self._changing, {}
        last = None
        for source in found:
            file = find_file(source)
            if file is None:
                # An empty folder may fill.
                if not isinstance(source.content, PictureError) and not self._has_row(source):
                    yield source
                continue
            stamp = stamp_of(file)
            if not self._is_settled(file, stamp, before):
                continue
            if file not in (source.name, last) and self.journal.stamp(file):
                self._is_due(Source(file, None), stamp)  # an archive that was broken
            last = file
            if self._is_due(source, stamp):
                yield source

    def _has_row(self, source: Source) -> bool:
        return self.journal.claim(source.name)

    def _is_settled(self, file: str, stamp: str, before: dict[str, tuple[str, float]]) -> bool:
        """Whether nobody writes a file, as far as can be seen: its times, which may be anything,
        are of the past, or it has looked the same for long enough."""
        if not stamp:
            return os.path.lexists(file)  # or it is gone again
        *_, modified, changed = map(int, stamp.split())
        if max(modified, changed) / 1e9 <= time() - SETTLED:
            return True
        known, since = before.get(file, ("", 0.0))
        since = since if known == stamp else monotonic()
        self._changing[file] = stamp, since
        return monotonic() - since >= SETTLED

    def _is_due(self, source: Source, stamp: str) -> bool:
        """Whether a source is to be answered, whose rows are gone then."""
        known = self.journal.stamp(source.name)
        if known != stamp:
            self.journal.set_stamp(source.name, stamp)
        if known in (None, stamp):
            return not self._has_row(source)
        rows = self.journal.rows_of(source.name)
        if self.placer and self.placer.how == "move":  # what was moved was another picture
            rows = [row for row in rows if row[1] is None]
        if rows and rows[-1][2]["sha256"] == _sha256(source):
            return False
        for _, target, row in rows:
            if self.placer and target is not None:
                self.placer.take_back(target, row)
        self.journal.forget(number for number, _, _ in rows)
        return True


def find_file(source: Source) -> str | None:
    """Return the file on this machine that a source is, or is in."""
    content = source.content
    if isinstance(content, archives.Member):
        return content.archive
    if isinstance(content, Path):
        return str(content)
    if isinstance(content, str):
        return None
    name = source.name
    while name and not os.path.lexists(name):
        name = name.rpartition("/")[0]
    return name if name and not os.path.isdir(name) else None  # noqa: PTH112


def stamp_of(file: str) -> str:
    """Return what changes whenever a file does, nothing where there is none: whose it is, its
    size, and when its content and the rest of it were changed last."""
    try:
        status = os.stat(file)  # noqa: PTH116
    except OSError:
        return ""
    return f"{status.st_ino} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"


def _sha256(source: Source) -> str | None:
    """Return the hash of a source's bytes; what cannot be read is like nothing."""
    try:
        content = source.read()
    except PictureError:
        return ""
    return hashlib.sha256(content).hexdigest() if isinstance(content, bytes) else ""
