"""The network that comes with topfive, and its answers to fixed pictures, which are stored here:
those of Keras + TensorFlow (`scripts/make_direct_answers.py`). A process has one Keras backend:
`python -m topfive.engines.self_test BACKEND [DEVICE]`."""

from __future__ import annotations

import os
import sys
import tempfile

import numpy as np

from topfive.engines import direct_graphs, proofs
from topfive.engines.run import softmax
from topfive.errors import TopfiveError
from topfive.networks.published import DEFAULT_NETWORK, NETWORKS
from topfive.system.processes import skip_openvino_converter

NETWORK = NETWORKS[DEFAULT_NETWORK]
TOLERANCE = 1e-4


def measure(backend: str, device: str | None = None) -> float:
    """Return the largest difference of this machine's probabilities from the stored ones.

    Raises:
        TopfiveError: the backend or the device does not work, or the weights are not here.
    """
    from topfive.engines.table import ENGINES

    with tempfile.TemporaryDirectory(prefix="topfive-") as folder:
        os.environ["TOPFIVE_CACHE"] = folder
        found = ENGINES[backend](NETWORK, device=device)(proofs.pictures(NETWORK.size))
    logits, _ = direct_graphs.stored(NETWORK)
    return float(np.abs(found - softmax(logits)).max())


def main(arguments: list[str]) -> int:
    """Print the difference from the stored answers, or what went wrong."""
    try:
        print(measure(*arguments))
    except TopfiveError as error:
        print(str(error).splitlines()[0])
        return error.exit_status
    return 0


if __name__ == "__main__":
    skip_openvino_converter()
    sys.exit(main(sys.argv[1:]))
