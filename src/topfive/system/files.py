"""Files that appear whole, their hashes, and what a file system says when it refuses."""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from topfive.errors import OutputError, UsageError, WeightsError

FULL = (errno.ENOSPC, errno.EDQUOT)  # a file system without room, a user without
LOCK = "lock"  # in a folder that is worked in
LEFT = 86_400  # seconds after which what is written to by nobody was left by a killed process


def matches(path: Path, checksum: str) -> bool:
    """Whether the file has the hash `md5:…` or `sha256:…`."""
    algorithm, _, expected = checksum.partition(":")
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest() == expected


@contextlib.contextmanager
def reading(file: Path) -> Iterator[None]:
    """Turn what the file system refuses of a weight file into a `WeightsError`."""
    try:
        yield
    except OSError as error:
        raise WeightsError(f"cannot read {file}: {error.strerror or error}") from error


def stamp(file: Path) -> str:
    """Return what names the content of a user's file without reading its 553 MB, as
    `stamp:…`: it changes with the file's place, size and times.

    Raises:
        WeightsError: there is no such file.
    """
    with reading(file):
        state = file.stat()
    times = (state.st_mtime_ns, state.st_ctime_ns)
    facts = (str(file.absolute()), state.st_dev, state.st_ino, state.st_size, *times)
    return f"stamp:{hashlib.sha256(repr(facts).encode()).hexdigest()}"


def checksum_of(file: Path) -> str:
    """Return the hash that names a file's content.

    Raises:
        WeightsError: it cannot be read.
    """
    with reading(file):
        return f"sha256:{sha256_of(file)}"


def sha256_of(file: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sync_folder(folder: Path) -> None:
    """Make a rename outlive a power cut, before what it was made from is deleted."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def unwritable(file: Path, error: Exception, full: bool = False) -> OutputError:
    """Return the error that says why a file cannot be written; `full`: for lack of room."""
    if full or getattr(error, "errno", None) in FULL:
        return OutputError(
            f"cannot write {file}: the disk is full; make room, then the same command goes on"
        )
    reason = getattr(error, "strerror", None) or " ".join(str(error).split())
    return OutputError(f"cannot write {file}: {reason}")


def check_target(file: Path, suffixes: Iterable[str]) -> None:
    """Refuse, before the work for it begins, a file that could not be written.

    Raises:
        UsageError: its suffix is none of these, its folder is missing, or something that is not
            a file is there.
    """
    if file.suffix.lower() not in suffixes:
        raise UsageError(f"{file}: expected a name that ends in {', '.join(suffixes)}")
    if not file.parent.is_dir():
        raise UsageError(f"{file}: there is no folder {file.parent}; make it first")
    if os.path.lexists(file) and not file.is_file():
        raise UsageError(f"{file} is not a file; expected one, or a new name")


@contextlib.contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """Yield a path beside `file` to write to; once the block has ended well it is on the disk,
    and `file` is it. What was there stays where the block fails.

    Raises:
        OutputError: it cannot be written.
    """
    beginning = os.fsdecode(b"." + os.fsencode(file.name)[:99] + b".writing-")
    part = file.with_name(f"{beginning}{os.getpid()}")
    try:
        for left in file.parent.glob(f"{glob.escape(beginning)}*"):  # by processes that were killed
            with contextlib.suppress(FileNotFoundError):
                if left == part or left.stat().st_mtime < time.time() - LEFT:
                    left.unlink()
        try:
            yield part
            with part.open("rb+") as stream:
                os.fsync(stream.fileno())
            part.replace(file)
            sync_folder(file.parent)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(file, error) from error


@contextlib.contextmanager
def work_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """Yield a new folder in `parent`, which is deleted afterwards, as are those with that prefix
    that killed processes left."""
    from filelock import FileLock, Timeout

    for left in parent.glob(f"{glob.escape(prefix)}*/"):
        with contextlib.suppress(Timeout, OSError), FileLock(left / LOCK, timeout=0):
            shutil.rmtree(left, ignore_errors=True)
    with (
        tempfile.TemporaryDirectory(prefix=prefix, dir=parent, ignore_cleanup_errors=True) as work,
        FileLock(Path(work) / LOCK),
    ):
        yield Path(work)
