"""The place of a weight file on disk: made, and held against all others."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from topfive.errors import WeightsError


@contextmanager
def storing(target: Path) -> Iterator[None]:
    """Make the folder; turn what the file system refuses into a `WeightsError`."""
    try:
        if not target.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise WeightsError(f"cannot store {target}: {error.strerror or error}") from error


@contextmanager
def lock(target: Path) -> Iterator[None]:
    """Hold the file's place against all other processes and threads."""
    from filelock import FileLock, Timeout

    lock = FileLock(target.with_name(f".{target.name}.lock"))
    try:
        lock.acquire(timeout=1)
    except Timeout:
        print(f"topfive: another process is fetching {target.name}; waiting", file=sys.stderr)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
