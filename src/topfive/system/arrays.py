"""Arrays of numbers as NumPy writes them (`.npy`, `.npz`), whoever wrote the file.
What it says of itself is matched, and nothing in it is evaluated or unpickled."""

from __future__ import annotations

import math
import re
import zipfile
from collections.abc import Sequence
from typing import Any, BinaryIO, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

MAGIC = b"\x93NUMPY\x01\x00"
ENDING = ".npy"  # of an `.npz`'s members
MOST_START = 1_024  # bytes of what stands before the numbers
START = re.compile(
    rb"\{'descr': '([<>|][biuf]\d{1,2})', 'fortran_order': (True|False), "
    rb"'shape': \((|\d{1,15},|\d{1,15}(?:, \d{1,15}){1,7})\), \} *\n"
)
LARGEST = 1e12  # of a feature or a weight: their products then stay in float32


class Start(NamedTuple):
    """What an array's file says of it; `size` is that of its numbers in bytes, and `is_turned`
    whether the first side's are side by side (Fortran's order)."""

    kind: np.dtype[Any]
    is_turned: bool
    shape: tuple[int, ...]
    size: int


def read_start(stream: BinaryIO, what: str = "an array of numbers") -> Start:
    """Return what stands before the numbers; the stream is then where these begin.

    Raises:
        ValueError: it is not `what` is expected, as NumPy writes it.
    """
    magic = stream.read(len(MAGIC) + 2)
    length = int.from_bytes(magic[len(MAGIC) :], "little")
    if magic[: len(MAGIC)] == MAGIC and 0 < length <= MOST_START:
        found = START.fullmatch(stream.read(length))
        if found:
            try:
                kind = np.dtype(found[1].decode())
            except TypeError as error:
                raise ValueError("its numbers are of an unknown kind") from error
            shape = tuple(int(side) for side in found[3].split(b",") if side)
            size = kind.itemsize * math.prod(shape)
            return Start(kind, found[2] == b"True", shape, size)
    raise ValueError(f"expected {what} as NumPy writes it")


def read(stream: BinaryIO, size: int) -> NDArray[Any]:
    """Return the array in a stream of `size` bytes, which have to be all its numbers.

    Raises:
        ValueError: it is none, or is of another size.
    """
    start = read_start(stream)
    left = size - stream.tell()
    if start.size != left:
        raise ValueError(f"{left:,} bytes cannot be {start.shape} numbers: it is cut or damaged")
    numbers = bytearray(left)  # which the array may write to
    if stream.readinto(numbers) != left:  # type: ignore[attr-defined]
        raise ValueError("it was cut meanwhile")
    values = np.frombuffer(numbers, start.kind)
    return values.reshape(start.shape[::-1]).T if start.is_turned else values.reshape(start.shape)


def read_many(stream: BinaryIO, size: int, names: Sequence[str] = ()) -> dict[str, NDArray[Any]]:
    """Return the arrays of these names, or all, in an `.npz` of `size` bytes that is not packed.

    Raises:
        ValueError: it is none, is packed, lacks one, or says that it holds more than it does.
    """
    found = {}
    try:
        with zipfile.ZipFile(stream) as archive:
            for name in names or [one.removesuffix(ENDING) for one in archive.namelist()]:
                member = archive.getinfo(name + ENDING)
                size -= member.file_size
                try:
                    if member.compress_type != zipfile.ZIP_STORED or size < 0:
                        raise ValueError("it is packed, or larger than the file")
                    with archive.open(member) as opened:
                        found[name] = read(cast("BinaryIO", opened), member.file_size)
                except ValueError as error:
                    raise ValueError(f"{name} is not what is written there: {error}") from error
    except (KeyError, EOFError, NotImplementedError, RuntimeError, zipfile.BadZipFile) as error:
        raise ValueError(str(error).strip("'\"") or "it ends too early") from error
    return found


def are_usual(values: NDArray[np.floating[Any]]) -> bool:
    """Whether numbers are finite, and none is larger than a network's ever are."""
    return not values.size or bool(np.maximum(values.max(), -values.min()) <= LARGEST)
