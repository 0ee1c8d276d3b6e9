"""Where topfive's time with a picture goes; a process of its own.

    python -m benchmarks.folder_stages NETWORK WEIGHTS FOLDER [--pictures N]

Does in one thread, one after the other, what `topfive batch` does in several, with the same
functions; the network, compiled for many pictures, computes in one thread, too. Prints the seconds
of processor time that reading and decoding, resizing and cutting out, and computing take.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from itertools import cycle, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.folder_pictures import first
from benchmarks.folder_sides import command_line, print_stages
from benchmarks.weight_files import own_file
from topfive.engines import openvino_engine
from topfive.engines.run import Run
from topfive.networks.cards import Network
from topfive.networks.find import find_network
from topfive.pictures import preparation
from topfive.pictures.squares import draft_side, fit
from topfive.sources.source import MAX_PIXELS, Source

PICTURES = 160
Clock = Callable[[], float]


def measure(
    network: Network, run: Run, files: Sequence[Path], clock: Clock = time.process_time
) -> tuple[float, float, float]:
    """Return the seconds that a picture takes in each stage; the files are whole batches."""
    side = draft_side(network.size, network.recipe)
    decoding = fitting = computing = 0.0
    for start in range(0, len(files), run.batch):
        squares: list[NDArray[np.uint8]] = []
        for file in files[start : start + run.batch]:
            begin = clock()
            content = Source(str(file), file).read()
            hashlib.sha256(content).hexdigest()
            picture, _ = preparation.decode(content, network.recipe, MAX_PIXELS, side)
            decoded = clock()
            squares.append(fit(picture, network.size, network.recipe))
            fitted = clock()
            decoding, fitting = decoding + decoded - begin, fitting + fitted - decoded
        begin = clock()
        run(np.stack(squares))
        computing += clock() - begin
    return decoding / len(files), fitting / len(files), computing / len(files)


def main() -> None:
    """Do what the command line says."""
    parser = command_line(__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=PICTURES, help=f"how many ({PICTURES})")
    options = parser.parse_args()
    network = find_network(options.network)
    run = openvino_engine.load(
        network, own_file(network, options.weights), threads=1, throughput=True
    )
    count = -(-options.pictures // run.batch) * run.batch
    files = list(islice(cycle(first(options.folder, options.pictures)), count))
    measure(network, run, files[: 2 * run.batch])  # opens the network, warms it up
    print_stages(*measure(network, run, files))


if __name__ == "__main__":
    main()
