"""What a network was taught with, kept in its folder to correct it without the pictures."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from topfive.errors import UsageError
from topfive.networks import taught_folders
from topfive.networks.taught_folders import Part
from topfive.system import arrays
from topfive.system.files import open_regular, sha256_of

ENDING = ".npz"
OLD = -1  # the truth of pictures of the backbone's own classes
BETWEEN = "\0"  # names: no file's name has one
DIGEST = 32  # bytes of a SHA-256
KINDS = {"names": "|u1", "sha256": "|u1", "truths": "<i4", "held": "|b1", "features": "<f4"}
LONGEST = 65_536  # letters of a name
AGAIN = "teach the network again"


@dataclass(frozen=True)
class Lessons:
    """Pictures, as far as a network was taught with them: their names, the hashes of their
    bytes in hexadecimal, the indices `truths` (n,) into the network's own classes (`OLD` for
    one of the backbone's), whether they were `held` apart (n,), and their `features` (n, d).
    """

    names: tuple[str, ...]
    sha256: tuple[str, ...]
    truths: NDArray[np.intp]
    held: NDArray[np.bool_]
    features: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.names)

    def __add__(self, other: Lessons) -> Lessons:
        return Lessons(
            self.names + other.names,
            self.sha256 + other.sha256,
            np.concatenate([self.truths, other.truths]),
            np.concatenate([self.held, other.held]),
            np.concatenate([self.features, other.features]),
        )

    def where(self, which: NDArray[np.bool_] | NDArray[np.intp]) -> Lessons:
        """Return the pictures for which `which` (n,) is true, or those in the places it holds."""
        places = np.arange(len(self))[which]
        return Lessons(
            tuple(self.names[place] for place in places),
            tuple(self.sha256[place] for place in places),
            self.truths[places],
            self.held[places],
            self.features[places],
        )

    def without(self, other: Lessons) -> Lessons:
        """Return the pictures whose bytes are none of another's."""
        known = set(other.sha256)
        return self.where(np.array([one not in known for one in self.sha256], np.bool_))


def write(lessons: Lessons, file: Path) -> None:
    arrays = {
        "names": _packed(BETWEEN.join(lessons.names).encode("utf-8", "surrogatepass")),
        "sha256": _packed(bytes.fromhex("".join(lessons.sha256))),
        "truths": lessons.truths.astype("<i4"),
        "held": lessons.held.astype(np.bool_),
        "features": lessons.features.astype("<f4"),
    }
    with file.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays)


def as_part(lessons: Lessons) -> Part:
    """Return lessons as a file that goes with a card."""
    return ENDING, partial(write, lessons)


def read(folder: Path) -> Lessons:
    """Return what the network in a folder was taught with.

    Raises:
        UsageError: it is not a network's, keeps no lessons, or these are missing or damaged.
    """
    card = taught_folders.read_card(folder)
    if card.lessons is None:
        raise UsageError(f"{folder} keeps no lessons: it cannot be corrected, but taught anew")
    file = folder / str(card.lessons.file)
    try:
        if card.lessons.checksum != f"sha256:{sha256_of(file)}":
            raise ValueError("it is not what was taught")
        with open_regular(file) as stream:
            return _checked(_arrays(stream, file.stat().st_size), len(card.classes))
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror or error}; {AGAIN}") from error
    except ValueError as error:
        raise UsageError(f"{file} is damaged: {error}; {AGAIN}") from error


def _arrays(stream: BinaryIO, size: int) -> list[NDArray[Any]]:
    """Return the arrays of a file of `size` bytes; what they claim to hold must be in it."""
    found = arrays.read_many(stream, size, [*KINDS])
    for name, kind in KINDS.items():
        if found[name].dtype != np.dtype(kind):
            raise ValueError(f"{name} is not what is written there: it is {found[name].dtype}")
    return [*found.values()]


def _checked(found: list[NDArray[Any]], num_classes: int) -> Lessons:
    names, sha256, truths, held, features = found
    count = len(truths)
    told = names.tobytes().decode("utf-8", "surrogatepass").split(BETWEEN) if count else []
    shapes = (truths.shape, held.shape, features.shape[:1], (len(told),))
    if features.ndim != 2 or set(shapes) != {(count,)} or sha256.shape != (DIGEST * count,):
        raise ValueError("its parts do not fit each other")
    if count and not OLD <= truths.min() <= truths.max() < num_classes:
        raise ValueError("a picture is of no class of the network")
    if not arrays.are_usual(features):
        raise ValueError("features are no finite numbers, or too large")
    if max(map(len, told), default=0) > LONGEST:
        raise ValueError(f"a picture's name has over {LONGEST:,} letters")
    text = sha256.tobytes().hex()
    hashes = tuple(text[2 * DIGEST * n : 2 * DIGEST * (n + 1)] for n in range(count))
    return Lessons(tuple(told), hashes, truths.astype(np.intp), held, features)


def _packed(data: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(data, np.uint8)
