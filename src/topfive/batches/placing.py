"""Sort pictures into folders by what they show: copies, moves or links.

A place is recorded in the journal before anything is done, and each operation either happens
or does not, so that a run that was killed goes on without losing or doubling a picture.
"""

from __future__ import annotations

import errno
import glob
import hashlib
import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from urllib.parse import unquote

from topfive.batches.journal import Journal
from topfive.errors import PictureError, UsageError
from topfive.networks.hierarchy import Node
from topfive.networks.labels import Label
from topfive.results import RowDict
from topfive.sources.patterns import ANY_DEPTH, ANYTHING, leads_to
from topfive.sources.source import STDIN, Source, from_object
from topfive.system.files import FULL, sha256_of, sync_folder, unwritable

WAYS = ("copy", "move", "link")
OTHER = "other"  # no node has this name
MEMORY = 10_000  # names of which is known how often they occurred
# What a file system says that has no hard links, or has the file on another one.
NO_LINK = (errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS)
NAME_BYTES = 255  # what file systems allow
END_BYTES = 25  # more behind a dot is no `.jpeg`


class Placer:
    """Places pictures in `folder`, `how` is one of `WAYS`: by their first label or, where
    there are `groups`, by the first of them that it is under, else in `other`.

    `labels` are the network's; those that several classes have are told apart by their
    WordNet ids. Links are symbolic and absolute: they last when `folder` is moved.

    Raises:
        OutputError: the folder cannot be made.
    """

    def __init__(
        self,
        folder: Path,
        how: str,
        journal: Journal,
        groups: Sequence[Node] = (),
        labels: Sequence[Label] = (),
    ) -> None:
        self.folder, self.how, self.journal, self.groups = folder, how, journal, groups
        counts = Counter(one.name for one in groups or labels)
        self._shared = {name for name, number in counts.items() if number > 1}
        self._numbers: dict[str, int] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(folder, error) from error

    def add(self, source: Source, row: RowDict, wanted: bool = True) -> None:
        """Add a row to the journal and, where it is `wanted` and no failure, place its picture.

        A picture that lies in its folder already stays as it is.

        Raises:
            PictureError: it cannot be placed; the journal counts that.
            OutputError: there is no room; the journal knows what waits.
        """
        target = self._choose(source, row) if wanted and not row["error"] else None
        number = self.journal.add(row, target)
        if target is not None:
            self.journal.commit()
            self._place(number, source, target, row)

    def take_back(self, target: str, row: RowDict) -> None:
        """Remove what was placed for a row, if it is as it was then."""
        file = self.folder / target
        with suppress(OSError):
            if self.how == "link":
                ours = is_link(file, Path(row["source"]).absolute())
            else:
                ours = not file.is_symlink() and sha256_of(file) == row["sha256"]
            if ours:
                file.unlink()

    def go_on(
        self, find: Callable[[str], Source] = from_object
    ) -> Iterator[tuple[str, PictureError | None]]:
        """Do what a killed run recorded and did not do wholly; yield each name, and why it
        could not be done. `find` returns the source that has a name."""
        for number, target, row in self.journal.waiting():
            fault = None
            try:
                self._place(number, find(row["source"]), target, row, again=True)
            except PictureError as error:
                fault = error
            yield row["source"], fault

    def _choose(self, source: Source, row: RowDict) -> str | None:
        """Return a free place, relative to the folder; None for a picture that is there already."""
        first = row["predictions"][0]
        group, wnid = first["label"], first["wnid"]
        if self.groups:
            node = next((one for one in self.groups if first["index"] in one.classes), None)
            group, wnid = (node.name, node.wnid) if node else (OTHER, "")
        group = safe_name(f"{group}-{wnid}" if group in self._shared else group)
        local = local_file(source)
        if local and is_folder_of(self.folder / group, local):
            return None
        name = local.name if local else safe_name(last_part(source.name))
        key = f"{group}/{name}"
        for number in count(self._numbers.get(key, 1)):
            target = f"{group}/{numbered(name, number)}"
            if not os.path.lexists(self.folder / target) and not self.journal.is_target(target):
                break
        if number > 1:
            if len(self._numbers) >= MEMORY:
                self._numbers.clear()
            self._numbers[key] = number + 1
        return target

    def _place(
        self, number: int, source: Source, target: str, row: RowDict, again: bool = False
    ) -> None:
        try:
            file = self.folder / target
            done = again and self._was_done(number, source, file, row)
            while not done and not self._put(number, source, file, row):
                # Somebody else's file is there since the place was chosen.
                target = self._choose(source, row) or target
                self.journal.retarget(number, target)
                file = self.folder / target
        except OSError as error:
            if error.errno in FULL:
                raise unwritable(file, error) from error
            self.journal.settle(number, placed=False)
            reason = error.strerror or str(error)
            raise PictureError("unsaved", f"cannot {self.how} it to {file}: {reason}") from error
        except PictureError:
            self.journal.settle(number, placed=False)
            raise
        self.journal.settle(number, placed=True)

    def _put(self, number: int, source: Source, file: Path, row: RowDict) -> bool:
        """Place a picture; return whether its place was free."""
        file.parent.mkdir(exist_ok=True)
        local = local_file(source)
        if self.how == "copy":
            return self._copy(number, source, file, row)
        if local is None:
            raise PictureError("unsaved", f"cannot {self.how} what is not a file; --copy-to can")
        if self.how == "link":
            return made(file.symlink_to, local.absolute())
        placed = made(file.symlink_to, aim(local)) if local.is_symlink() else give_name(local, file)
        if placed is None:
            placed = self._copy(number, source, file, row)
            sync_folder(file.parent)
        if placed:
            try:
                local.unlink()
            except OSError:
                file.unlink()  # or there would be two
                raise
        return placed

    def _copy(self, number: int, source: Source, file: Path, row: RowDict) -> bool:
        part = self._part(number, file)
        local = local_file(source)
        try:
            if local:
                shutil.copy2(local, part)
            else:
                part.write_bytes(_content(source, row))
            if self.how == "move":  # what it was made from goes
                with part.open("rb") as stream:
                    os.fsync(stream.fileno())
            placed = give_name(part, file)
            # An empty file holds the name for the moment.
            if placed is None and (placed := made(file.touch, exist_ok=False)):
                part.replace(file)
            return bool(placed)
        finally:
            part.unlink(missing_ok=True)

    def _was_done(self, number: int, source: Source, file: Path, row: RowDict) -> bool:
        """Whether a run that was killed placed this picture; a move is brought to its end."""
        self._part(number, file).unlink(missing_ok=True)
        if not os.path.lexists(file):
            return False
        local = local_file(source)
        if self.how == "link":
            return local is not None and is_link(file, local.absolute())
        if not file.is_symlink() and not file.stat().st_size:
            file.unlink()  # `_copy` held the name
            return False
        if self.how == "copy":
            now = sha256_of(local) if local and local.is_file() else None
            return sha256_of(file) in (row["sha256"], now)
        if local is None or not os.path.lexists(local):
            return local is not None
        if is_same := same(file, local):
            local.unlink()
        return is_same

    def _part(self, number: int, file: Path) -> Path:
        return file.with_name(f".topfive-{self.journal.token}-{number}")


def _content(source: Source, row: RowDict) -> bytes:
    content = source.read()
    if not isinstance(content, bytes):
        raise PictureError("unsaved", "cannot copy a picture that has no bytes of its own")
    if hashlib.sha256(content).hexdigest() != row["sha256"]:
        raise PictureError("unsaved", "is not copied: it is another one since it was classified")
    return content


def check(folder: Path, arguments: Iterable[str]) -> None:
    """Refuse a folder in which pictures that were placed would be read as sources, of which
    `arguments` lead to all that is in folders and in those inside them.

    Raises:
        UsageError: with the argument that leads there.
    """
    placed = (*folder.resolve().parts, ANYTHING, ANYTHING)
    for argument in arguments:
        if leads_to(_pattern(argument), placed):
            raise UsageError(
                f"{folder} is read as a part of {argument}: what is placed there would be "
                "classified, too; name a folder outside"
            )


def _pattern(argument: str) -> tuple[str, ...]:
    """Return the parts of an absolute pattern for the files that an argument leads to."""
    if os.path.isdir(argument):  # noqa: PTH112  Path's raises where a name is too long
        return (*map(glob.escape, Path(argument).resolve().parts), ANY_DEPTH)
    parts = list(Path(argument).parts)
    if local_file(Source(argument, argument)) is None or not glob.has_magic(argument):
        return ()
    magic = next(place for place, part in enumerate(parts) if glob.has_magic(part))
    base = Path(*parts[:magic]).resolve()
    return (*map(glob.escape, base.parts), *parts[magic:])


def local_file(source: Source) -> Path | None:
    """Return the file that a source is, if it is one."""
    content = source.content
    if isinstance(content, str) and (content == STDIN or "://" in content):
        return None
    return Path(content) if isinstance(content, (str, os.PathLike)) else None


def safe_name(text: str) -> str:
    """Return a name for a file or a folder that leads nowhere else and can be read."""
    plain = "".join(one if one.isprintable() and one not in "/\\" else "_" for one in text)
    return numbered(plain.strip(" ."), 1).strip(" .") or "unnamed"


def last_part(name: str) -> str:
    """Return the part of a source's name, an address for one, that may name a file."""
    if "://" in name:
        name = unquote(re.split("[?#]", name)[0])
    return name.rstrip("/").rsplit("/", 1)[-1]


def numbered(name: str, number: int) -> str:
    """Return `name-2.jpg` for the number 2, as long as file systems allow."""
    stem, end = os.path.splitext(name)  # noqa: PTH122
    if len(os.fsencode(end)) > END_BYTES:
        stem, end = name, ""
    end = f"-{number}{end}" if number > 1 else end
    stem = stem[:NAME_BYTES]
    while len(os.fsencode(stem + end)) > NAME_BYTES:
        stem = stem[:-1]
    return stem + end


def is_folder_of(folder: Path, file: Path) -> bool:
    """Whether a file lies in a folder, which may not be there."""
    try:
        return folder.samefile(file.parent)
    except OSError:
        return False


def made(make: Callable[..., object], *names: Path, **options: bool) -> bool:
    """Make a file; return whether its name was free."""
    try:
        make(*names, **options)
    except FileExistsError:
        return False
    return True


def give_name(file: Path, name: Path) -> bool | None:
    """Give a file another name; return whether that was free, None where there are no links."""
    try:
        return made(os.link, file, name, follow_symlinks=False)
    except OSError as error:
        if error.errno in NO_LINK:
            return None
        raise


def aim(link: Path) -> Path:
    """Return where a link leads to, from anywhere."""
    return link.absolute().parent / link.readlink()


def is_link(file: Path, aim: Path) -> bool:
    """Whether a file is a link to that place."""
    return file.is_symlink() and file.readlink() == aim


def same(placed: Path, file: Path) -> bool:
    """Whether what was placed is what the file is, which may be a link."""
    if file.is_symlink():
        return is_link(placed, aim(file))
    return sha256_of(placed) == sha256_of(file)
