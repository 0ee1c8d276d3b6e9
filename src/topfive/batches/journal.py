"""The journal of a run: what was answered so far, in a file that outlives being killed.

It is a SQLite database beside the output. Nobody else can open it while a run writes it.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from topfive.errors import UsageError
from topfive.results import RowDict
from topfive.system import sqlite
from topfive.system.text import printable

# In the file's header; another number for another layout of the tables.
APPLICATION_ID = 0x74703501
ROWS_A_COMMIT = 500
SECONDS_A_COMMIT = 1.0
ROWS_A_READ = 200
SHOWN = 100  # letters of an old or a new setting in an error
# Names and labels may hold lone surrogates, which SQLite's text cannot. `placed` is null
# where nothing is to be placed, 0 while that waits, 1 when it is done, 2 when it failed.
LAYOUT = (
    "CREATE TABLE run (settings TEXT, token TEXT, finished INTEGER)",
    "CREATE TABLE rows (id INTEGER PRIMARY KEY, source BLOB, label BLOB, error_kind TEXT,"
    " target BLOB, placed INTEGER, row TEXT)",
    "CREATE INDEX targets ON rows (target) WHERE target IS NOT NULL",
    "CREATE INDEX waiting ON rows (id) WHERE placed = 0",
)
STAMPS = "CREATE TABLE IF NOT EXISTS stamps (source BLOB PRIMARY KEY, stamp TEXT) WITHOUT ROWID"
CLAIMS = "CREATE TEMP TABLE claims (source BLOB PRIMARY KEY, rows INTEGER) WITHOUT ROWID"
EARLIER = "INSERT INTO claims SELECT source, count(*) FROM rows WHERE id <= ? GROUP BY source"
SOURCES = "CREATE INDEX IF NOT EXISTS sources ON rows (source)"  # for a run that is watched
CLAIM = "UPDATE claims SET rows = rows - 1 WHERE source = ? AND rows > 0"
UNCLAIM = "UPDATE claims SET rows = 0 WHERE source = (SELECT source FROM rows WHERE id = ?)"
BEGIN = "INSERT INTO run SELECT ?, ?, 0 WHERE NOT EXISTS (SELECT * FROM run)"


@dataclass(frozen=True)
class Summary:
    """How many rows there are, failures by their kind, first labels by how often they occur
    (most frequent first), and how many pictures were placed and could not be."""

    rows: int
    failures: dict[str, int]
    labels: dict[str, int]
    placed: int
    unplaced: int


class Journal:
    """The rows of a run, for one thread; `settings` are the run's options by their names.

    `found` rows were there at the opening; `token` is this journal's own random name.
    With `restart` what is there is thrown away.

    Raises:
        UsageError: the file is none of topfive's, or was begun with other settings.
        OutputError: another run writes it, or it cannot be written (so does any method).
    """

    def __init__(self, file: Path, settings: Mapping[str, object], restart: bool = False) -> None:
        self.file = file
        self._pending: list[tuple[str, tuple[object, ...]]] = []
        self._targets: set[str] = set()  # of what is pending
        self._stamps: dict[str, str] = {}  # likewise
        self._committed, self._claims = monotonic(), False
        begin = json.dumps(dict(settings), default=str), secrets.token_hex(4)
        self._database = sqlite.open_locked(file, APPLICATION_ID, LAYOUT, restart)
        try:
            with sqlite.telling(file):
                self._database.execute(BEGIN, begin)
                begun, self.token, finished = self._one("SELECT * FROM run")
                self.found: int = self._one("SELECT coalesce(max(id), 0) FROM rows")[0]
                self._database.execute(STAMPS)
            _compare(file, json.loads(begun), json.loads(begin[0]))
        except BaseException:
            self._database.close()
            raise
        self.finished = bool(finished)
        self._last: int = self.found

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def claim(self, source: str) -> bool:
        """Whether an earlier session has a row of that name that was not claimed yet."""
        if not self.found:
            return False
        with sqlite.telling(self.file):
            if not self._claims:  # in a temporary file: a million names are not held in memory
                self._database.execute("DROP TABLE IF EXISTS temp.claims")
                self._database.execute(CLAIMS)
                self._database.execute(EARLIER, (self.found,))
                self._claims = True
            return self._database.execute(CLAIM, (to_bytes(source),)).rowcount == 1

    def renew(self) -> None:
        """Commit, and take all rows for an earlier session's, as a new session would."""
        self.commit()
        self.found, self._claims = self._last, False

    def add(self, row: RowDict, target: str | None = None) -> int:
        """Append a row as `Row.to_dict` makes it, and where its picture is to be placed;
        return its number. It is committed within a second or some hundred rows."""
        self._last += 1
        first = row["predictions"][0]["label"] if row["predictions"] else None
        kind = row["error"]["kind"] if row["error"] else None
        names = [
            None if text is None else to_bytes(text) for text in (row["source"], first, target)
        ]
        values = (*names[:2], kind, names[2], None if target is None else 0, json.dumps(row))
        self._later("INSERT INTO rows VALUES (?, ?, ?, ?, ?, ?, ?)", self._last, *values)
        if target is not None:
            self._targets.add(target)
        return self._last

    def retarget(self, number: int, target: str) -> None:
        """Record, and commit, another place for a row's picture."""
        self._later("UPDATE rows SET target = ? WHERE id = ?", to_bytes(target), number)
        self.commit()

    def settle(self, number: int, placed: bool) -> None:
        """Record that a row's picture was placed, or that it could not be."""
        self._later("UPDATE rows SET placed = ? WHERE id = ?", 1 if placed else 2, number)

    def is_target(self, target: str) -> bool:
        """Whether a picture was, or is to be, placed there."""
        with sqlite.telling(self.file):
            return target in self._targets or bool(
                self._one("SELECT count(*) FROM rows WHERE target = ?", to_bytes(target))[0]
            )

    def stamp(self, source: str) -> str | None:
        """Return what `set_stamp` was told of a source, None if nothing was."""
        if source in self._stamps:
            return self._stamps[source]
        with sqlite.telling(self.file):
            select = "SELECT stamp FROM stamps WHERE source = ?"
            found = self._database.execute(select, (to_bytes(source),)).fetchone()
        return found and str(found[0])

    def set_stamp(self, source: str, stamp: str) -> None:
        """Record how the file of a source looks."""
        self._later("INSERT OR REPLACE INTO stamps VALUES (?, ?)", to_bytes(source), stamp)
        self._stamps[source] = stamp

    def rows_of(self, source: str) -> list[tuple[int, str | None, RowDict]]:
        """Return number, target and row of each picture of that name."""
        self.commit()
        select = "SELECT id, target, row FROM rows WHERE source = ?"
        with sqlite.telling(self.file):
            self._database.execute(SOURCES)
            found = self._database.execute(select, (to_bytes(source),)).fetchall()
        return [
            (number, target and to_text(target), json.loads(row)) for number, target, row in found
        ]

    def forget(self, numbers: Iterable[int]) -> None:
        """Delete rows, as if no picture had been answered for them."""
        self.commit()
        with sqlite.telling(self.file), self._database:
            self._database.execute("BEGIN")
            for number in numbers:
                if self._claims:
                    self._database.execute(UNCLAIM, (number,))
                self._database.execute("DELETE FROM rows WHERE id = ?", (number,))

    def commit(self) -> None:
        """Make what was recorded outlive this process."""
        self._committed = monotonic()
        if not self._pending:
            return
        with sqlite.telling(self.file), self._database:
            self._database.execute("BEGIN")
            for statement, values in self._pending:
                self._database.execute(statement, values)
        self._pending.clear()
        self._targets.clear()
        self._stamps.clear()

    def finish(self) -> None:
        """Record that every source has its row."""
        self._later("UPDATE run SET finished = 1")
        self.commit()
        self.finished = True

    def rows(self) -> Iterator[RowDict]:
        """Yield the rows in the order in which they were added."""
        for _, text in self._read("SELECT id, row FROM rows WHERE id > ?"):
            yield json.loads(text)

    def waiting(self) -> Iterator[tuple[int, str, RowDict]]:
        """Yield number, target and row of the pictures that are still to be placed."""
        statement = "SELECT id, target, row FROM rows WHERE placed = 0 AND id > ?"
        for number, target, text in self._read(statement):
            yield number, to_text(target), json.loads(text)

    def summary(self) -> Summary:
        """Return the numbers of the whole run."""
        self.commit()
        counts = "SELECT {0}, count(*) FROM rows WHERE {0} NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1"
        with sqlite.telling(self.file):
            kinds, labels, placed = (
                dict(self._database.execute(counts.format(column)))
                for column in ("error_kind", "label", "placed")
            )
            rows = self._one("SELECT count(*) FROM rows")[0]
        named = {to_text(label): number for label, number in labels.items()}
        return Summary(rows, kinds, named, placed.get(1, 0), placed.get(2, 0))

    def close(self) -> None:
        """Commit, and let others open the file."""
        with closing(self._database):
            self.commit()

    def remove(self) -> None:
        """Delete the file, whose rows are elsewhere now."""
        self._pending.clear()
        with sqlite.telling(self.file), closing(self._database):
            sqlite.remove(self.file)  # before others may open it

    def _later(self, statement: str, *values: object) -> None:
        self._pending.append((statement, values))
        late = monotonic() - self._committed > SECONDS_A_COMMIT
        if late or len(self._pending) >= ROWS_A_COMMIT:
            self.commit()

    def _read(self, statement: str) -> Iterator[tuple[Any, ...]]:
        # By pieces: a long read would keep SQLite from tidying up behind what is written.
        self.commit()
        number = 0
        while True:
            with sqlite.telling(self.file):
                piece = self._database.execute(
                    f"{statement} ORDER BY id LIMIT {ROWS_A_READ}", (number,)
                ).fetchall()
            if not piece:
                return
            yield from piece
            number = piece[-1][0]

    def _one(self, statement: str, *values: object) -> tuple[Any, ...]:
        return next(self._database.execute(statement, values))


def _compare(file: Path, old: dict[str, Any], new: dict[str, Any]) -> None:
    changes = []
    for name in dict.fromkeys((*old, *new)):
        before, now = old.get(name) or None, new.get(name) or None
        if before == now:
            continue
        if isinstance(before, list) and isinstance(now, list):
            while before and now and before[0] == now[0]:
                before, now = before[1:], now[1:]
        changes.append(f"{name} was {_shown(before)}, now {_shown(now)}")
    if changes:
        raise UsageError(
            f"{file} was begun otherwise: {'; '.join(changes)}. Give the same again to go on, "
            "or --restart to begin anew"
        )


def _shown(value: object) -> str:
    if not value:
        return "not given"
    if value is True:
        return "given"
    text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
    return printable(text if len(text) <= SHOWN else f"{text[:SHOWN]}…")


def to_bytes(text: str) -> bytes:
    """Return text as bytes, lone surrogates too."""
    return text.encode("utf-8", "surrogatepass")


def to_text(name: bytes) -> str:
    """Return the text that `to_bytes` was given."""
    return name.decode("utf-8", "surrogatepass")
