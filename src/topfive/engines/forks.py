"""A network in a process that was forked from the one that opened it.

The threads that answered stayed there, and what they held may be locked for good.
"""

from __future__ import annotations

import logging
from pathlib import Path
from threading import Thread

import numpy as np

from topfive.engines import blobs, proofs
from topfive.engines.run import Run
from topfive.errors import EngineError
from topfive.networks.cards import Network

PATIENCE = 60.0  # seconds, of which a network that is in the cache takes one
WHAT_TO_DO = (
    "make the Classifier in the process that uses it, or start processes by spawn or forkserver"
)

log = logging.getLogger("topfive")


def refuse(title: str) -> EngineError:
    """Return the error that says what to do about a network that was opened before a fork."""
    return EngineError(f"{title} was made ready before this process was forked; {WHAT_TO_DO}")


def open_again(
    network: Network, weights: Path | None, target: blobs.Target, threads: int | None
) -> Run:
    """Return the network's `Run` for this process, from the cache.

    Raises:
        EngineError: it is not there, or OpenVINO gives no answer in time.
    """
    found: list[Run] = []

    def work() -> None:
        try:
            reading = blobs.find(network, weights, target)
            run = proofs.open_blob(reading, target, threads) if reading else None
            if run:
                run(np.zeros((1, network.size, network.size, 3), np.uint8))
                found.append(run)
        except Exception as error:
            log.warning("%s cannot be opened in a forked process: %s", network.title, error)

    if target.device == blobs.DEFAULT_DEVICE:
        # What hangs is left behind, and ends with the process.
        worker = Thread(target=work, daemon=True)
        worker.start()
        worker.join(PATIENCE)
    if not found:
        raise refuse(network.title)
    return found[0]
