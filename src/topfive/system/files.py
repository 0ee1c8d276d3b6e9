"""Files that appear whole, their hashes, and what a file system says when it refuses."""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator
from io import BufferedReader
from pathlib import Path

from topfive.errors import EngineError, OutputError, UsageError, WeightsError

FULL = (errno.ENOSPC, errno.EDQUOT)  # a file system without room, a user without
# What a file system says that has no hard links, or has the file on another one.
NO_LINK = (errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS)
LOCK = "lock"  # in a folder that is worked in
LEFT = 86_400  # seconds after which what is written to by nobody was left by a killed process


def open_regular(file: str | os.PathLike[str]) -> BufferedReader:
    """Open a file to be read, at once, where it is a regular one with the bytes that it says.

    Raises:
        OSError: it cannot be opened, or is a folder, pipe, socket, device or a file of /proc.
    """
    # Not by opening it alone: that can rewind a tape, or start a watchdog.
    _check_regular(os.stat(file), file)  # noqa: PTH116
    return open(file, "rb", opener=_open_regular)


def read_regular(file: str | os.PathLike[str], limit: int) -> bytes:
    """Return the bytes of a regular file.

    Raises:
        OSError: see `open_regular`; or it has over `limit` bytes.
    """
    with open_regular(file) as stream:
        data = stream.read(limit + 1) if os.fstat(stream.fileno()).st_size <= limit else None
    if data is None or len(data) > limit:
        raise OSError(errno.EFBIG, f"over the limit of {limit:,} bytes", os.fspath(file))
    return data


def _open_regular(file: str, flags: int) -> int:
    # What took a regular file's place meanwhile may never open, or never give a byte.
    try:
        handle = os.open(file, flags | getattr(os, "O_NONBLOCK", 0))
    except BlockingIOError:  # a file server lent it out, and is asked to have it back
        handle = os.open(file, flags)
    try:
        status = os.fstat(handle)
        _check_regular(status, file)
        if not status.st_size and os.read(handle, 1) and not os.fstat(handle).st_size:
            raise OSError(errno.EINVAL, "not a regular file: it has bytes, and no size", file)
        os.lseek(handle, 0, os.SEEK_SET)
        if os.name == "posix":
            os.set_blocking(handle, True)
    except BaseException:
        os.close(handle)
        raise
    return handle


def _check_regular(status: os.stat_result, file: str | os.PathLike[str]) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(file))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", os.fspath(file))


def matches(path: Path, checksum: str) -> bool:
    """Whether the file has the hash `md5:…` or `sha256:…`."""
    algorithm, _, expected = checksum.partition(":")
    with open_regular(path) as file:
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
    with open_regular(file) as stream:
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


def user_folder(variable: str, kind: str) -> Path:
    """Return the folder that a variable names, else the platform's for a user's `kind` of files.

    Raises:
        EngineError: there is none.
    """
    if chosen := os.environ.get(variable):
        return Path(chosen)
    import platformdirs

    try:
        folders = platformdirs.PlatformDirs("topfive", appauthor=False)
        return Path(getattr(folders, f"user_{kind}_dir"))
    except RuntimeError as error:
        raise EngineError(
            f"this user has no home folder; set HOME, or {variable}, to a folder"
        ) from error


def check_free(file: Path, force: bool = False) -> None:
    """Raise a `UsageError` where a name is taken, and `force` does not allow to replace it."""
    if os.path.lexists(file) and not force:
        raise UsageError(f"{file} is there already: give another name, or --force")


def check_target(file: Path, suffixes: Iterable[str], force: bool = False) -> None:
    """Refuse, before the work for it begins, a file that could not be written.

    Raises:
        UsageError: its suffix is none of these, its folder is missing, something that is not
            a file is there, or a file that `force` does not allow to replace.
    """
    if file.suffix.lower() not in suffixes:
        raise UsageError(f"{file}: expected a name that ends in {', '.join(suffixes)}")
    if not file.parent.is_dir():
        raise UsageError(f"{file}: there is no folder {file.parent}; make it first")
    if os.path.lexists(file) and not file.is_file():
        raise UsageError(f"{file} is not a file; expected one, or a new name")
    check_free(file, force)


@contextlib.contextmanager
def writing(file: Path) -> Iterator[Path]:
    """Yield a path beside `file` to write to, for `give`; it is gone afterwards.

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
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(file, error) from error


def give(part: Path, file: Path, force: bool = True) -> bool:
    """Give a written file its name, on the disk; without `force` only if nothing has that name.
    Return whether it has it."""
    with part.open("rb+") as stream:
        os.fsync(stream.fileno())
    if force:
        part.replace(file)
    elif not _give_free_name(part, file):
        return False
    sync_folder(file.parent)
    return True


def _give_free_name(part: Path, file: Path) -> bool:
    try:
        os.link(part, file)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in NO_LINK:
            raise
        try:  # An empty file holds the name for the moment.
            file.touch(exist_ok=False)
        except FileExistsError:
            return False
        part.replace(file)
    return True


@contextlib.contextmanager
def replacing(file: Path, force: bool = True) -> Iterator[Path]:
    """Yield a path beside `file` to write to; once the block has ended well it is on the disk,
    and `file` is it. What was there stays where the block fails, and without `force` always.

    Raises:
        OutputError: it cannot be written.
    """
    with writing(file) as part:
        yield part
        if not give(part, file, force):
            raise OutputError(
                f"cannot write {file}: something else has that name by now; move it away"
            )


@contextlib.contextmanager
def work_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """Yield a new folder in `parent`, which is deleted afterwards, as are those with that prefix
    that killed processes left."""
    from filelock import FileLock, Timeout

    for left in parent.glob(f"{glob.escape(prefix)}*/"):
        with contextlib.suppress(Timeout, OSError):
            if not (left / LOCK).exists() and left.stat().st_mtime > time.time() - LEFT:
                continue  # of a process that begins now
            with FileLock(left / LOCK, timeout=0):
                shutil.rmtree(left, ignore_errors=True)
    with (
        tempfile.TemporaryDirectory(prefix=prefix, dir=parent, ignore_cleanup_errors=True) as work,
        FileLock(Path(work) / LOCK),
    ):
        yield Path(work)
