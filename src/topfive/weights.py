"""Find, fetch, check, import, bundle and remove weight files.

They are kept where Keras keeps its own, so each of the two uses what the other fetched.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from topfive import downloads
from topfive.errors import DownloadError, WeightsError
from topfive.networks import Network


@dataclass(frozen=True)
class Held:
    """A weight file on this machine: where it is, and the hash that names its content."""

    path: Path
    checksum: str


def folder() -> Path:
    """Return Keras's folder for weights: `KERAS_HOME/models`, else `~/.keras/models`."""
    home = os.environ.get("KERAS_HOME") or Path.home() / ".keras"
    return Path(home) / "models"


def path(network: Network) -> Path:
    """Return where the network's weight file is, or would be."""
    return folder() / network.weights.name


def url(network: Network) -> str:
    """Return where the file comes from: `TOPFIVE_MIRROR`, a folder of such files, or its
    publisher."""
    mirror = os.environ.get("TOPFIVE_MIRROR", "").rstrip("/")
    return f"{mirror}/{network.weights.name}" if mirror else network.weights.url


def checksum(network: Network) -> str | None:
    """Return the published hash, or the one pinned at the first download, or None."""
    pin = _pin_path(network)
    if network.weights.checksum is None and pin.is_file():
        return "sha256:" + pin.read_text("ascii").split()[0]
    return network.weights.checksum


def held(network: Network, offline: bool = False) -> Held:
    """Return the network's weight file, fetched first where it is not here.

    The file's content is not read: whoever builds from it verifies it (`verify`).

    Raises:
        WeightsError: it is not here and cannot be fetched.
    """
    known = checksum(network)
    if not path(network).is_file():
        return fetch(network, offline)
    return Held(path(network), known or pin(network))


def fetch(network: Network, offline: bool = False, again: bool = False) -> Held:
    """Download the weight file, once however many processes ask; `again` replaces one that
    is damaged. What is there stays until its replacement is whole.

    Raises:
        WeightsError: no network, `offline`, wrong content, no room.
    """
    target = path(network)
    if offline:
        raise WeightsError(_by_hand(network, "--offline forbids fetching it"))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _lock(target):
            if again or not target.is_file():
                downloads.fetch(url(network), target, checksum(network), network.weights.size)
                if network.weights.checksum is None:
                    pin(network)
    except DownloadError as error:
        raise DownloadError(_by_hand(network, str(error))) from error
    except OSError as error:
        raise WeightsError(f"cannot store {target}: {error.strerror or error}") from error
    return Held(target, checksum(network) or pin(network))


def verify(network: Network) -> bool:
    """Whether the file on disk has its published (or pinned) hash."""
    known = checksum(network)
    return downloads.matches(path(network), known) if known else bool(pin(network))


def import_file(file: Path, network: Network) -> Path:
    """Copy a weight file that came by other means to its place.

    Raises:
        WeightsError: it is missing or is not the published file.
    """
    known = checksum(network)
    target = path(network)
    try:
        if known and not downloads.matches(file, known):
            raise WeightsError(
                f"{file} is not {network.weights.name}: expected {known}. "
                f"To use other weights: topfive classify --weights {file} --model {network.name}"
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        with _lock(target):
            if not (target.exists() and target.samefile(file)):
                part = target.with_name(f"{target.name}.{os.getpid()}.part")
                try:
                    shutil.copyfile(file, part)
                    os.replace(part, target)
                finally:
                    part.unlink(missing_ok=True)
            if network.weights.checksum is None:
                pin(network)
    except OSError as error:
        where = error.filename or file
        raise WeightsError(f"cannot import {where}: {error.strerror or error}") from error
    return target


def remove(network: Network) -> bool:
    """Delete the weight file, its part and its pin; False where there was none."""
    target = path(network)
    there = target.is_file()
    for file in (target, target.with_name(target.name + ".part"), _pin_path(network)):
        file.unlink(missing_ok=True)
    return there


def pin(network: Network) -> str:
    """Note the file's hash beside it and say so: its publisher gives none to check against."""
    import hashlib

    with path(network).open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    try:
        _pin_path(network).write_text(f"{found}  {network.weights.name}\n", "ascii")
    except OSError as error:
        print(f"topfive: cannot note the hash of {path(network)}: {error}", file=sys.stderr)
    print(
        f"topfive: {network.weights.name} has no published hash; "
        f"pinned what is here: sha256 {found}",
        file=sys.stderr,
    )
    return f"sha256:{found}"


def _pin_path(network: Network) -> Path:
    return path(network).with_name(network.weights.name + ".sha256")


@contextmanager
def _lock(target: Path) -> Iterator[None]:
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


def _by_hand(network: Network, reason: str) -> str:
    return (
        f"{network.title} needs its weights, {network.weights.size / 1e6:,.1f} MB: {reason}.\n"
        f"  address: {url(network)}\n"
        f"  folder:  {folder()}\n"
        f"  Put the file there, or: topfive weights import FILE --network {network.name}"
    )
