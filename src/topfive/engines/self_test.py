"""The network that comes with topfive, and its answers to fixed pictures, which are stored here.

It goes the whole way of any network on a backend and a device: `python -m topfive.engines.self_test
BACKEND [DEVICE]`, in a process of its own because a process has one Keras backend. The stored
answers are those of Keras + TensorFlow (`scripts/make_direct_answers.py`).
"""

from __future__ import annotations

import os
import sys
import tempfile

import numpy as np
from numpy.typing import NDArray

from topfive.engines import direct_graphs, proofs
from topfive.engines.run import softmax
from topfive.errors import TopfiveError
from topfive.networks.published import DEFAULT_NETWORK, NETWORKS
from topfive.system.processes import skip_openvino_converter

NETWORK = NETWORKS[DEFAULT_NETWORK]
TOLERANCE = 1e-4


def difference(probabilities: NDArray[np.float32]) -> float:
    """Return the largest difference of (2, 1000) probabilities from the stored answers."""
    logits, _ = direct_graphs.stored(NETWORK)
    return float(np.abs(probabilities - softmax(logits)).max())


def answers(backend: str, device: str | None = None) -> NDArray[np.float32]:
    """Return this machine's answers to `proofs.pictures`, float32 (2, 1000), from an empty cache.

    Raises:
        TopfiveError: the backend or the device does not work, or the weights are not here.
    """
    from topfive.engines.table import ENGINES

    with tempfile.TemporaryDirectory(prefix="topfive-") as folder:
        os.environ["TOPFIVE_CACHE"] = folder
        return ENGINES[backend](NETWORK, device=device)(proofs.pictures(NETWORK.size))


def main(arguments: list[str]) -> int:
    """Print the difference from the stored answers, or what went wrong."""
    try:
        print(difference(answers(*arguments)))
    except TopfiveError as error:
        print(str(error).splitlines()[0])
        return error.exit_status
    return 0


if __name__ == "__main__":
    skip_openvino_converter()
    sys.exit(main(sys.argv[1:]))
