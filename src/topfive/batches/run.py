"""A run over many sources: each gets its row in the journal and its picture a place."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep, time

from topfive.batches import conditions
from topfive.batches.journal import Journal
from topfive.batches.placing import Placer
from topfive.errors import PictureError
from topfive.results import RowDict
from topfive.sources.source import Source, from_object

Find = Callable[[], Iterator[Source]]

SETTLED = 2.0  # seconds since a file changed last, from which on it is taken for complete
POLL = 1.0  # least seconds between two looks for new files
SHARE = 10  # looking, and writing the output, take one part of that many of the time


class BatchListener:
    """Hears what a run does; what is of interest is overridden."""

    def begin(self, found: int) -> None:
        """The run begins; `found` pictures have their rows from earlier runs."""

    def add(self, row: RowDict) -> None:
        """A row, as `Row.to_dict` makes it, is in the journal."""

    def complain(self, name: str, error: PictureError) -> None:
        """A picture could not be put where it belongs."""


@dataclass
class BatchRun:
    """What becomes of a source: its row in the journal, its picture in its place."""

    journal: Journal
    placer: Placer | None
    wanted: Sequence[conditions.Condition]
    rows: Callable[[Iterable[Source]], Iterator[tuple[Source, RowDict]]]
    listener: BatchListener

    def begin(self, find: Find | None) -> None:
        """Place what an earlier run was about to place; `find` returns the run's sources."""
        self.listener.begin(self.journal.found)
        if self.placer is None:
            return
        waiting = {row["source"] for _, _, row in self.journal.waiting()}
        # A member of an archive is no file that its name leads to.
        missing = {name for name in waiting if not os.path.lexists(name)}
        known = {}
        if missing and find and self.placer.how == "copy":
            known = {source.name: source for source in find() if source.name in missing}
        for name, error in self.placer.go_on(lambda name: known.get(name) or from_object(name)):
            if error:
                self.listener.complain(name, error)

    def add(self, found: Iterable[Source]) -> int:
        """Add the rows of the sources that have none yet; return how many."""
        number = 0
        claim = self.journal.claim
        for source, row in self.rows(source for source in found if not claim(source.name)):
            if self.placer:
                try:
                    self.placer.add(source, row, conditions.hold(self.wanted, row))
                except PictureError as error:
                    self.listener.complain(source.name, error)
            else:
                self.journal.add(row)
            self.listener.add(row)
            number += 1
        return number

    def watch(self, find: Find, write: Callable[[], None]) -> None:
        """Add what arrives, until KeyboardInterrupt; `write` brings the output up to date."""
        unwritten, written = True, 0.0
        try:
            while True:
                start = monotonic()
                added = self.add(filter(_is_settled, find()))
                self.journal.renew()
                unwritten = unwritten or added > 0
                now = monotonic()
                if unwritten and not added and now >= written:
                    write()
                    unwritten, written = False, monotonic() + SHARE * (monotonic() - now)
                sleep(POLL if added else max(POLL, SHARE * (now - start)))
        except KeyboardInterrupt:
            write()


def _is_settled(source: Source) -> bool:
    """Whether a file is no longer being written, as far as its time tells."""
    if isinstance(source.content, PictureError):  # an empty folder may fill
        return False
    if not isinstance(source.content, Path):
        return True
    try:
        age = time() - source.content.stat().st_mtime
    except OSError:  # gone again, or to be reported as what it is
        return True
    return not 0 <= age < SETTLED
