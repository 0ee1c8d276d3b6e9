"""SqueezeNet v1.1 with made-up weights, whose answers Keras + TensorFlow computed.

It goes the whole way of a network whose weights are a Keras file. The answers to
`proofs.pictures` were written by `python -m tests.support.made_up`.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from topfive.engines import keras_engine, proofs
from topfive.networks.published import NETWORKS
from topfive.networks.squeezenet import FIRE_WIDTHS

ANSWERS = Path(__file__).parents[1] / "data" / "made_up_answers.json"
NETWORK = NETWORKS["squeezenet_v1.1"]
SEED = 2012
NUM_CLASSES = 10


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
    """Return the largest difference of (2, 1000) probabilities from the stored ones, which are
    each picture's highest."""
    stored = json.loads(ANSWERS.read_text("utf-8"))
    return max(
        abs(float(row[int(index)]) - float(expected))
        for row, answer in zip(probabilities, stored, strict=True)
        for index, expected in answer.items()
    )


def _kernels() -> Iterator[tuple[str, tuple[int, int, int, int]]]:
    yield "conv1", (3, 3, 3, 64)
    channels = 64
    for number, (squeeze, expand) in enumerate(FIRE_WIDTHS, start=2):
        yield f"fire{number}_squeeze1x1", (1, 1, channels, squeeze)
        yield f"fire{number}_expand1x1", (1, 1, squeeze, expand)
        yield f"fire{number}_expand3x3", (3, 3, squeeze, expand)
        channels = 2 * expand
    yield "conv10", (1, 1, channels, 1000)


def main() -> None:
    """Write each picture's most probable classes and their probabilities."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "made_up.h5"
        write_weights(file)
        run = keras_engine.load(NETWORK, file, backend="tensorflow")
        rows = run(proofs.pictures(NETWORK.size))
    stored = [
        {str(i): round(float(row[i]), 6) for i in (-row).argsort()[:NUM_CLASSES]} for row in rows
    ]
    ANSWERS.write_text(json.dumps(stored, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
