"""One backend's answers for several networks:
`python -m tests.support.answers BACKEND FOLDER OUT`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from tests.support import fakes
from topfive.engines.table import ENGINES
from topfive.networks.published import NETWORKS


def main(backend: str, folder: str, out: str) -> None:
    """Answer a few pictures with each network whose weight file is in the folder."""
    answers: dict[str, Any] = {}
    for name, network in NETWORKS.items():
        file = Path(folder) / network.weights.name
        if file.is_file():
            run = ENGINES[backend](network, file)
            answers[name] = run(fakes.pictures(3, network.size, seed=11))
            del run
    np.savez(out, **answers)


if __name__ == "__main__":
    main(*sys.argv[1:])
