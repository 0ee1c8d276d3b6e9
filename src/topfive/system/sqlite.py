"""A SQLite file that one process at a time has open, and that outlives being killed."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from topfive.errors import OutputError, UsageError
from topfive.system.files import unwritable

if TYPE_CHECKING:
    from sqlite3 import Connection, Error

MAGIC = b"SQLite format 3\0"
HEADER = 100  # bytes; the application's number is in bytes 68 to 72
BESIDE = ("-journal", "-wal", "-shm")


def open_locked(
    file: Path, application: int, layout: Sequence[str], restart: bool = False
) -> Connection:
    """Open or make a database with these tables; with `restart` what is there is deleted.

    `application` is the number in the file's header that tells our files from others. Killed
    while it is made, the file is empty or whole.

    Raises:
        UsageError: the file is not the application's, or is damaged.
        OutputError: another process has it open, or it cannot be written.
    """
    import sqlite3

    with telling(file):
        # SQLite is not asked: it would repair a foreign file.
        if not _is_ours(file, application):
            if not restart:
                raise _foreign(file)
            remove(file)
        os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o666))
        before = file.stat()
        database = sqlite3.connect(file, timeout=0, isolation_level=None)
        try:
            database.execute("PRAGMA locking_mode = EXCLUSIVE")
            database.execute("PRAGMA temp_store = FILE")
            database.execute("BEGIN EXCLUSIVE")
            # Whoever had the lock may have removed the file, and another may be in its place.
            if not file.exists() or not os.path.samestat(before, file.stat()):
                raise _busy(file)
            if not restart:
                _fill(database, application, layout)
                return database
        except sqlite3.Error as error:
            database.close()
            if not restart or _code(error) == sqlite3.SQLITE_BUSY:
                raise
        except BaseException:
            database.close()
            raise
        remove(file)
        database.close()
    return open_locked(file, application, layout)


def remove(file: Path) -> None:
    """Delete a database, and what SQLite keeps beside it.

    Whoever has it open does so before closing it, so that nobody opens what is going.
    """
    for end in ("", *BESIDE):
        file.with_name(file.name + end).unlink(missing_ok=True)


@contextmanager
def telling(file: Path) -> Iterator[None]:
    """Turn what SQLite and the system say of the file into one clear line."""
    import sqlite3

    try:
        yield
    except OSError as error:
        raise unwritable(file, error) from error
    except sqlite3.Error as error:
        code = _code(error)
        if code == sqlite3.SQLITE_BUSY:
            raise _busy(file) from error
        if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            raise _foreign(file) from error
        raise unwritable(file, error, full=code == sqlite3.SQLITE_FULL) from error


def _fill(database: Connection, application: int, layout: Sequence[str]) -> None:
    if not database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        database.execute(f"PRAGMA application_id = {application}")
        for statement in layout:
            database.execute(statement)
    database.execute("COMMIT")
    # Being killed loses nothing that was committed; a power cut, at most the last of it.
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = NORMAL")


def _is_ours(file: Path, application: int) -> bool:
    """Whether the file is missing, empty, or the application's."""
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            raise UsageError(f"{file} is not a file: expected the journal of a run, or nothing")
        with file.open("rb") as stream:
            header = stream.read(HEADER)
    except FileNotFoundError:
        return True
    ours = header.startswith(MAGIC) and header[68:72] == application.to_bytes(4, "big")
    return ours or not header


def _code(error: Error) -> int:
    return error.sqlite_errorcode & 0xFF  # without what kind of it


def _foreign(file: Path) -> UsageError:
    return UsageError(
        f"{file} is damaged, or is not the journal of a run with this version of topfive; "
        "move it away, or give --restart to delete it and begin anew"
    )


def _busy(file: Path) -> OutputError:
    return OutputError(f"another run is writing {file}: wait for its end, or stop it")
