"""A network with fixed weights, whose answers were computed elsewhere and are stored here.

It goes the whole way of a real network (weight file, Keras, conversion, cache, engine)
without a download: `python -m topfive.self_test BACKEND [DEVICE]`, in a process of its own
because a process has one Keras backend. The stored answers are those of Keras +
TensorFlow (`scripts/make_self_test.py`).
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from topfive.errors import TopfiveError
from topfive.processes import skip_openvino_converter
from topfive.squeezenet import FIRE_WIDTHS

ASSET = "self_test.json"
NETWORK = "squeezenet_v1.1"
TOLERANCE = 1e-4
SEED = 2012


def pictures(size: int, count: int = 2) -> NDArray[np.uint8]:
    """Return fixed pseudo-random pictures, uint8 (count, size, size, 3).

    Noise at several scales, so that early and late layers both have something to see.
    NumPy promises that this generator's numbers never change.
    """
    random = np.random.RandomState(SEED)
    total = np.zeros((count, size, size, 3))
    for cells in (3, 11, 47, size):
        noise = random.uniform(-1, 1, (count, cells, cells, 3))
        nearest = np.arange(size) * cells // size
        total += noise[:, nearest][:, :, nearest]
    return np.clip(127.5 + 80 * total, 0, 255).astype(np.uint8)


def write_weights(file: Path) -> None:
    """Write a legacy Keras file: He's initial values, smaller in the last layer."""
    import h5py

    random = np.random.RandomState(SEED)
    with h5py.File(file, "w") as content:
        names = []
        for name, shape in _kernels():
            limit = np.sqrt(6 / np.prod(shape[:3])) * (0.04 if name == "conv10" else 1)
            group = content.create_group(name)
            group.attrs["weight_names"] = [b"kernel:0", b"bias:0"]
            group["kernel:0"] = random.uniform(-limit, limit, shape).astype(np.float32)
            group["bias:0"] = random.uniform(-0.1, 0.1, shape[3]).astype(np.float32)
            names.append(name.encode())
        content.attrs["layer_names"] = names


def difference(probabilities: NDArray[np.float32]) -> float:
    """Return the largest difference from the stored answers to `pictures`.

    `probabilities` is (2, 1000); stored are each picture's most probable classes.
    """
    stored = json.loads(files("topfive").joinpath("assets", ASSET).read_text("utf-8"))
    return max(
        abs(float(row[int(index)]) - float(expected))
        for row, answer in zip(probabilities, stored, strict=True)
        for index, expected in answer.items()
    )


def answers(backend: str, device: str | None = None) -> NDArray[np.float32]:
    """Return this machine's answers to `pictures`, float32 (2, 1000), from an empty cache.

    Raises:
        TopfiveError: the backend or the device does not work.
    """
    from topfive.classifier import ENGINES
    from topfive.network_folders import find_network

    network = find_network(NETWORK)
    with tempfile.TemporaryDirectory(prefix="topfive-") as folder:
        os.environ["TOPFIVE_CACHE"] = folder
        file = Path(folder) / "self_test.h5"
        write_weights(file)
        return ENGINES[backend](network, file, device=device)(pictures(network.size))


def _kernels() -> Iterator[tuple[str, tuple[int, int, int, int]]]:
    yield "conv1", (3, 3, 3, 64)
    channels = 64
    for number, (squeeze, expand) in enumerate(FIRE_WIDTHS, start=2):
        yield f"fire{number}_squeeze1x1", (1, 1, channels, squeeze)
        yield f"fire{number}_expand1x1", (1, 1, squeeze, expand)
        yield f"fire{number}_expand3x3", (3, 3, squeeze, expand)
        channels = 2 * expand
    yield "conv10", (1, 1, channels, 1000)


def main(arguments: list[str]) -> int:
    """Print the difference from the stored answers, or what went wrong."""
    try:
        print(difference(answers(*arguments)))
    except TopfiveError as error:
        print(error)
        return error.exit_status
    return 0


if __name__ == "__main__":
    skip_openvino_converter()
    sys.exit(main(sys.argv[1:]))
