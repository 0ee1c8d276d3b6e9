"""The layer that tells a taught network's classes by its backbone's features, as a file.

It is one float32 array (features + 1, classes), as NumPy writes it: what the features are
multiplied with, and in the last row what is added.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from topfive.errors import WeightsError
from topfive.networks import taught_folders
from topfive.networks.cards import Network

ENDING = ".npy"


def write(head: NDArray[np.float32], file: Path) -> None:
    """Write a head to a file."""
    with file.open("wb") as stream:
        np.save(stream, head.astype("<f4"), allow_pickle=False)


def read(network: Network, num_features: int) -> NDArray[np.float32]:
    """Return the head of a taught network, (features + 1, classes).

    Raises:
        WeightsError: it cannot be read, is not what was taught, or does not fit the backbone.
    """
    file, checksum = taught_folders.head_file(network)
    classes = network.taught.classes if network.taught else ()
    shape = (num_features + 1, len(classes))
    try:
        with file.open("rb") as stream:
            if f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}" != checksum:
                raise WeightsError(f"{file} is not what was taught: teach it again")
        found = np.lib.format.open_memmap(file, mode="r")  # which reads no pickles and archives
    except (OSError, ValueError) as error:
        raise WeightsError(f"cannot read {file}: {error}") from error
    if found.shape != shape or found.dtype != np.float32:
        raise WeightsError(f"{file} does not fit {network.title}: expected float32 {shape}, "
                           f"received {found.dtype} {found.shape}")  # fmt: skip
    if not np.isfinite(found).all():
        raise WeightsError(f"{file} holds values that are not finite numbers: teach it again")
    return np.array(found)
