"""Files in folders and behind patterns, in order, however many: a folder is never held whole."""

from __future__ import annotations

import fnmatch
import glob
import os
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from topfive.errors import OutputError
from topfive.sources import own_output
from topfive.sources.left_out import LeftOut
from topfive.sources.patterns import ANY_DEPTH

if TYPE_CHECKING:
    from sqlite3 import Connection

T = TypeVar("T")
FOLDER_LINKS = "links to folders: name one to have it read"
FEW = 5000  # names that are sorted in memory
SETTINGS = """
    PRAGMA temp_store = FILE;
    PRAGMA cache_size = -1000;
    PRAGMA journal_mode = OFF;
    PRAGMA synchronous = OFF;
    CREATE TABLE names (name BLOB);
"""


class Names:
    """Names by their bytes, each once: in memory while they are few, then in a temporary database.

    Raises:
        OutputError: there is no room for the database.
    """

    def __init__(self) -> None:
        self._few: set[bytes] = set()
        self._database: Connection | None = None

    def add(self, name: str) -> None:
        """Take one in."""
        # Sorts as text does, with the surrogates that stand for bytes that are no UTF-8.
        self._few.add(name.encode("utf-8", "surrogatepass"))
        if len(self._few) >= FEW:
            self._spill()

    def __iter__(self) -> Iterator[str]:
        if self._database is None:
            yield from (name.decode("utf-8", "surrogatepass") for name in sorted(self._few))
            return
        import sqlite3

        self._spill()
        try:
            for (name,) in self._database.execute("SELECT DISTINCT name FROM names ORDER BY name"):
                yield name.decode("utf-8", "surrogatepass")
        except sqlite3.Error as error:
            raise _no_room(error) from error

    def close(self) -> None:
        """Remove the database."""
        if self._database is not None:
            self._database.close()

    def _spill(self) -> None:
        import sqlite3

        try:
            if self._database is None:
                # Another thread may be the one that ends the listing.
                self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
                self._database.executescript(SETTINGS)
            rows = ((name,) for name in self._few)
            self._database.execute("BEGIN")
            self._database.executemany("INSERT INTO names VALUES (?)", rows)
            self._database.execute("COMMIT")
        except sqlite3.Error as error:
            raise _no_room(error) from error
        self._few.clear()


def walk(
    folder: str,
    recursive: bool,
    ordered: bool = True,
    pictures: bool = True,
    left_out: LeftOut | None = None,
) -> Iterator[str | OSError]:
    """Yield the files of a folder, then those of the folders inside it, each by its name.
    Hidden files are passed over; links to folders and what systems lay there are, too, and are
    counted. A folder that cannot be read is an
    error with its path as `filename`. Unordered, a file comes as soon as it is seen. Of what
    topfive wrote, see `own_output.leave_out`, which `pictures` is for."""
    left = LeftOut() if left_out is None else left_out
    found = descend(
        folder, lambda place, inside: _files(place, inside if recursive else None, ordered, left)
    )
    return own_output.leave_out(found, pictures)


def match(
    pattern: str, ordered: bool = True, pictures: bool = True, left_out: LeftOut | None = None
) -> Iterator[str]:
    """Yield the files behind a pattern, each once, by their names.
    `**` stands for folders at any depth, but hidden ones and links. A wildcard leads to nothing
    that systems lay there; that is counted. What topfive wrote is left
    out, as by `walk`, unless its name is spelled out."""
    found = _match(pattern, ordered, LeftOut() if left_out is None else left_out)
    named = not glob.has_magic(pattern.rpartition("/")[2])
    return found if named else own_output.leave_out(found, pictures)


def _match(pattern: str, ordered: bool, left_out: LeftOut) -> Iterator[str]:
    parts: list[str] = []
    for part in Path(pattern).parts:
        if part != ANY_DEPTH or parts[-1:] != [ANY_DEPTH]:
            parts.append(part)
    if not ordered and parts.count(ANY_DEPTH) < 2:  # two of them meet a file in several ways
        yield from _matches("", tuple(parts), left_out)
        return
    with closing(Names()) as names:
        for path in _matches("", tuple(parts), left_out):
            names.add(path)
        yield from names


def is_folder(path: str) -> bool:
    """Whether it is a folder or a link to one, whatever is in the name."""
    return os.path.isdir(path)  # noqa: PTH112  Path's raises where a name is too long


def descend(top: str, look: Callable[[str, Names], Iterator[T]]) -> Iterator[T]:
    """Yield what `look` finds in a folder, then in those that it names, and so on."""
    # Not by recursion: folders may be nested deeper than Python's stack.
    pending: list[Iterator[str]] = [iter([top])]
    opened: list[Names] = []
    try:
        while pending:
            place = next(pending[-1], None)
            if place is not None:
                opened.append(Names())
                yield from look(place, opened[-1])
                pending.append(iter(opened[-1]))
            else:
                pending.pop()
                if opened:
                    opened.pop().close()
    finally:
        for names in opened:
            names.close()


def _files(
    folder: str, inside: Names | None, ordered: bool, left_out: LeftOut
) -> Iterator[str | OSError]:
    """Yield a folder's files; put the folders in it into `inside`."""
    fault: OSError | None = None
    with closing(Names()) as files:
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if left_out.is_system(entry.name) or entry.name.startswith("."):
                        continue
                    if not _leads_to_folder(entry):
                        if ordered:
                            files.add(entry.path)
                        else:
                            yield entry.path
                    elif inside is not None and _is_link(entry):  # it may lead back to here
                        left_out[FOLDER_LINKS] += 1
                    elif inside is not None:
                        inside.add(entry.path)
        except OSError as error:
            fault = error
            fault.filename = folder
        yield from files
    if fault is not None:
        yield fault


def _is_link(entry: os.DirEntry[str]) -> bool:
    """Whether it is a symbolic link, or a junction, which Windows has and Python 3.12 tells."""
    return entry.is_symlink() or (hasattr(entry, "is_junction") and entry.is_junction())


def _leads_to_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle: reading it says so
        return False


def _matches(base: str, parts: tuple[str, ...], left_out: LeftOut) -> Iterator[str]:
    """Yield the files that the parts of a pattern lead to from `base`, in any order.
    `glob` lists each folder whole, and follows links to folders behind `**`, in circles."""
    part, *rest = parts
    tail = tuple(rest)
    if part == ANY_DEPTH:
        for folder in descend(base, lambda place, inside: _visible(place, inside, left_out)):
            yield from _matches(folder, tail or ("*",), left_out)
    elif glob.has_magic(part):
        fits = re.compile(fnmatch.translate(part)).match
        for entry in _seen(base):
            hidden = entry.name.startswith(".") and not part.startswith(".")
            if not fits(entry.name) or _leads_to_folder(entry) != bool(tail):
                continue
            if not left_out.is_system(entry.name) and not hidden:
                path = _join(base, entry)
                yield from _matches(path, tail, left_out) if tail else (path,)
    else:
        path = os.path.join(base, part)  # noqa: PTH118  keeps the name as it is
        if os.path.lexists(path) and is_folder(path) == bool(tail):
            yield from _matches(path, tail, left_out) if tail else (path,)


def _visible(folder: str, inside: Names, left_out: LeftOut) -> Iterator[str]:
    for entry in _seen(folder):
        if not _leads_to_folder(entry):
            continue
        if left_out.is_system(entry.name) or entry.name.startswith("."):
            continue
        if _is_link(entry):
            left_out[FOLDER_LINKS] += 1
        else:
            inside.add(_join(folder, entry))
    yield folder


def _seen(folder: str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder or ".") as entries:
            yield from entries
    except OSError:
        return  # a pattern leads to what can be seen, as `glob` has it


def _join(folder: str, entry: os.DirEntry[str]) -> str:
    return os.path.join(folder, entry.name)  # noqa: PTH118


def _no_room(error: Exception) -> OutputError:
    return OutputError(
        f"cannot sort the names of the files in the folder for temporary files: {error}; "
        "make room there, name another with SQLITE_TMPDIR, or do without the order"
    )
