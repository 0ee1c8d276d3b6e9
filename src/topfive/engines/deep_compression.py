"""Decode the Deep Compression file of SqueezeNet v1.0 (`compressed_SqueezeNet.net`).

Source: Han et al. 2016, arXiv:1510.00149; the file of songhan/SqueezeNet-Deep-Compression.
Little-endian: the uint32 numbers of non-zero weights of every convolution; then for each 256
float32 of codebook, the float32 biases, a uint8 code for each non-zero weight, and 4-bit gaps,
two a byte, low half first: after a gap of g the next weight stands g + 1 places further on.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from topfive.errors import WeightsError


class _Reader:
    """Takes arrays off the front of the file and says what was missing."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def take(self, dtype: str, count: int, what: str) -> NDArray[np.generic]:
        size = count * np.dtype(dtype).itemsize
        if self.position + size > len(self.data):
            raise WeightsError(
                f"the Deep Compression file ends inside {what}: {size:,} bytes expected at "
                f"byte {self.position:,}, {len(self.data) - self.position:,} are left"
            )
        values = np.frombuffer(self.data, dtype, count, self.position)
        self.position += size
        return values


def decode(
    data: bytes, kernels: Sequence[tuple[str, tuple[int, int, int, int]]]
) -> list[NDArray[np.float32]]:
    """Return kernel, bias, kernel, bias, … for convolutions given as (name, Keras shape).

    Keras shapes are (height, width, in, out); the file holds (out, in, height, width).

    Raises:
        WeightsError: the file is cut, too long, or a tensor does not fit its shape.
    """
    reader = _Reader(data)
    counts = reader.take("<u4", len(kernels), "the table of non-zero counts").astype(np.int64)
    tensors: list[NDArray[np.float32]] = []
    for (name, (height, width, inputs, outputs)), count in zip(kernels, counts, strict=True):
        size = height * width * inputs * outputs
        if count > size:
            raise WeightsError(
                f"{name}/kernel does not fit: the file announces {count:,} non-zero weights, "
                f"the network has {size:,} in all; is this SqueezeNet v1.0's .net file?"
            )
        codebook = reader.take("<f4", 256, f"{name}/codebook")
        bias = reader.take("<f4", outputs, f"{name}/bias").astype(np.float32)
        codes = reader.take("u1", int(count), f"{name}/kernel")
        packed = reader.take("u1", (int(count) + 1) // 2, f"{name}/gaps")
        gaps = np.stack([packed & 0x0F, packed >> 4], axis=1).ravel()[:count]  # type: ignore[operator]
        positions = np.cumsum(gaps.astype(np.int64) + 1) - 1
        if count and positions[-1] >= size:
            raise WeightsError(
                f"{name}/kernel does not fit: a weight at place {positions[-1]:,} of {size:,}"
            )
        flat = np.zeros(size, np.float32)
        flat[positions] = codebook[codes]
        kernel = flat.reshape(outputs, inputs, height, width).transpose(2, 3, 1, 0)
        if not (np.isfinite(kernel).all() and np.isfinite(bias).all()):
            raise WeightsError(f"{name} holds values that are not finite numbers")
        tensors += [kernel, bias]
    if reader.position != len(data):
        raise WeightsError(
            f"the Deep Compression file goes on for {len(data) - reader.position:,} bytes "
            "after its last tensor"
        )
    return tensors
