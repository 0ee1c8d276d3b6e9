"""One network in one precision, a process of its own.

    python -m benchmarks.precision_side NETWORK WEIGHTS PRECISION [--one] [--seconds N]

Prints how many pictures a second topfive's compiled network answers, as many at a time as it
likes or, with `--one`, one after the other. Nothing is read or decoded meanwhile.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from benchmarks.folder_sides import Window
from benchmarks.weight_files import own_file
from topfive.engines import openvino_engine
from topfive.engines.run import Run
from topfive.networks.cards import PRECISIONS
from topfive.networks.find import find_network

PICTURES = 8


def count(run: Run, pictures: NDArray[np.uint8], threads: int, window: Window) -> None:
    """Let threads ask for as many pictures as the run takes at a time, again and again, until
    the window is over."""
    lock = Lock()
    batches = np.split(pictures, range(run.batch, len(pictures), run.batch))
    over: list[int] = []

    def work(number: int) -> None:
        for some in islice(cycle(batches), number, None):
            run(some)
            with lock:
                if over or window.add(len(some)):
                    over.append(number)
                    return

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(threads)))


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network")
    parser.add_argument("weights", type=Path)
    parser.add_argument("precision", choices=PRECISIONS)
    parser.add_argument("--one", action="store_true", help="one after the other")
    parser.add_argument("--seconds", type=float, default=8.0, help="count for so long")
    options = parser.parse_args()
    network = find_network(options.network)
    file = own_file(network, options.weights)
    run = openvino_engine.load(
        network, file, precision=options.precision, throughput=not options.one
    )
    pictures = np.random.default_rng(1).integers(
        0, 256, (PICTURES, network.size, network.size, 3), np.uint8
    )
    window = Window(options.seconds)
    count(run, pictures, 1 if options.one else run.parallel(), window)
    print(window.report())


if __name__ == "__main__":
    main()
