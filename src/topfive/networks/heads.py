"""The layer that tells a taught network's classes by its backbone's features, as a file.
It is one float32 array (features + 1, classes), as NumPy writes it: what the features are
multiplied with, and in the last row what is added."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from topfive.errors import WeightsError
from topfive.networks import taught_folders
from topfive.networks.cards import Network
from topfive.networks.taught_folders import Part
from topfive.system import arrays, files

ENDING = ".npy"


def write(head: NDArray[np.float32], file: Path) -> None:
    with file.open("wb") as stream:
        np.save(stream, head.astype("<f4"), allow_pickle=False)


def as_part(head: NDArray[np.float32]) -> Part:
    """Return a head, or other numbers (n, m), as a file that goes with a card."""
    return ENDING, partial(write, head)


def read(network: Network, num_features: int) -> NDArray[np.float32]:
    """Return the head of a taught network, (features + 1, classes).

    Raises:
        WeightsError: it cannot be read, is not what was taught, or does not fit the backbone.
    """
    file, checksum = taught_folders.head_file(network)
    classes = network.taught.classes if network.taught else ()
    return read_file(file, checksum, (num_features + 1, len(classes)))


def read_file(file: Path, checksum: str, shape: tuple[int | None, int]) -> NDArray[np.float32]:
    """Return the numbers in a file, of any length where the `shape` names none.

    Raises:
        WeightsError: it cannot be read, is not what was written, or of another shape.
    """
    try:
        if files.checksum_of(file) != checksum:
            raise WeightsError(f"{file} is not what was taught: teach it again")
        with files.open_regular(file) as stream:
            found = arrays.read(stream, file.stat().st_size)
    except (OSError, ValueError) as error:
        raise WeightsError(f"cannot read {file}: {error}") from error
    expected = (shape[0] or len(found), shape[1]) if found.ndim else shape
    if found.shape != expected or found.dtype != np.float32:
        raise WeightsError(
            f"{file} does not fit the network: expected float32 {expected}, "
            f"received {found.dtype} {found.shape}; teach it again"
        )
    if not arrays.are_usual(found):
        raise WeightsError(
            f"{file} holds values that are not finite numbers, or too large: teach it again"
        )
    return found
