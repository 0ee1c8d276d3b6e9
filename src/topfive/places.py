"""Where pictures may be placed: names that lead nowhere else and that nothing has yet."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote

from topfive.errors import UsageError
from topfive.files import digest
from topfive.patterns import ANY_DEPTH, ANYTHING, leads_to
from topfive.source import STDIN, Source

NAME_BYTES = 255  # what file systems allow
END_BYTES = 25  # more behind a dot is no `.jpeg`


def check(folder: Path, arguments: Iterable[str], recursive: bool = True) -> None:
    """Refuse a folder in which pictures that were placed would be read as sources.

    `arguments` are what is read: with `recursive`, folders and the folders in them.

    Raises:
        UsageError: with the argument that leads there.
    """
    placed = (*folder.resolve().parts, ANYTHING, ANYTHING)
    for argument in arguments:
        if leads_to(_pattern(argument, recursive), placed):
            raise UsageError(
                f"{folder} is read as a part of {argument}: what is placed there would be "
                "classified, too; name a folder outside"
            )


def _pattern(argument: str, recursive: bool) -> tuple[str, ...]:
    """Return the parts of an absolute pattern for the files that an argument leads to."""
    if os.path.isdir(argument):  # noqa: PTH112  Path's raises where a name is too long
        parts = [glob.escape(part) for part in Path(argument).resolve().parts]
        return (*parts, ANY_DEPTH if recursive else "*")
    parts = list(Path(argument).parts)
    if local_file(Source(argument, argument)) is None or not glob.has_magic(argument):
        return ()
    magic = next(place for place, part in enumerate(parts) if glob.has_magic(part))
    base = Path(*parts[:magic]).resolve()
    return (*(glob.escape(part) for part in base.parts), *parts[magic:])


def local_file(source: Source) -> Path | None:
    """Return the file that a source is, if it is one."""
    content = source.content
    if isinstance(content, str) and (content == STDIN or "://" in content):
        return None
    return Path(content) if isinstance(content, (str, os.PathLike)) else None


def safe_name(text: str) -> str:
    """Return a name for a file or a folder that leads nowhere else and can be read."""
    plain = "".join(
        letter if letter.isprintable() and letter not in "/\\" else "_" for letter in text
    )
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


def give_name(file: Path, name: Path) -> bool:
    """Give a file another name; return whether that was free."""
    try:
        os.link(file, name, follow_symlinks=False)
    except FileExistsError:
        return False
    return True


def link(aim: Path, file: Path) -> bool:
    """Make a symbolic link; return whether its name was free."""
    try:
        file.symlink_to(aim)
    except FileExistsError:
        return False
    return True


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
    return digest(placed) == digest(file)
