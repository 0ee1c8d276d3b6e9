"""Take in weight files that came by other means than a download."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from topfive import files, storage, weights
from topfive.errors import WeightsError
from topfive.networks import Network


def import_file(file: Path, network: Network) -> Path:
    """Copy a weight file that came by other means to its place.

    Raises:
        WeightsError: it is missing or is not the published file.
    """
    with incoming(network) as part:
        try:
            shutil.copyfile(file, part)
        except OSError as error:
            where = error.filename or part
            raise WeightsError(f"cannot import {where}: {error.strerror or error}") from error
        check(part, network, str(file))
        put(part, network)
    return weights.home(network)


@contextmanager
def incoming(network: Network) -> Iterator[Path]:
    """Yield a private path beside the file's place; what is left there is deleted."""
    target = weights.home(network)
    part = target.with_name(f"{target.name}.{os.getpid()}.import")
    with storage.storing(target):
        try:
            yield part
        finally:
            part.unlink(missing_ok=True)


def check(file: Path, network: Network, name: str) -> None:
    """Refuse a file that is not the network's; `name` is what the user calls it.

    Raises:
        WeightsError: its hash is not the published or pinned one.
    """
    known = weights.checksum(network)
    with file.open("rb") as stream:
        begins = stream.read(len(weights.magic(network))) == weights.magic(network)
    if not (files.matches(file, known) if known else begins):
        raise WeightsError(
            f"{name} is not {network.weights.name}: expected {known or 'an HDF5 file'}. "
            f"To use other weights: topfive classify --weights FILE --model {network.name}"
            + weights.unpin(network)
        )


def put(part: Path, network: Network) -> None:
    """Move a checked file to its place; where no hash is published, pin this one."""
    with storage.lock(weights.home(network)):
        part.replace(weights.home(network))
        if weights.checksum(network) is None:
            weights.pin(network)
