"""A network alone in a process: `python -m topfive.evaluation.compare_process REQUEST` times its
answers, and the peak of that process's memory is the network's."""

from __future__ import annotations

import sys
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from topfive.engines.run import Run
from topfive.evaluation.compare_setting import Setting
from topfive.networks.cards import Network
from topfive.networks.find import find_network
from topfive.system import memory, processes

TIMED = 10  # answers, at least; pictures are answered again where there are fewer


def answer(run: Run, network: Network, squares: Path, answers: Path) -> dict[str, Any]:
    """Write the answers to a file, and return what they took.

    Pictures are read one by one: a thousand of them would count as the network's memory.
    """
    shape = (1, network.size, network.size, 3)
    size = network.size**2 * 3
    count = squares.stat().st_size // size
    times = []
    with squares.open("rb") as stream, answers.open("wb") as target:
        # The first answer is slower, and is not counted.
        for turn, number in enumerate((0, *islice(cycle(range(count)), max(count, TIMED)))):
            stream.seek(number * size)
            square = np.frombuffer(stream.read(size), np.uint8).reshape(shape)
            start = perf_counter()
            row = run(square)
            times.append(perf_counter() - start)
            if 0 < turn <= count:
                row.tofile(target)
    return {"answers": count, "milliseconds": 1000 * median(times[1:]), "memory": memory.peak()}


def respond(request: dict[str, Any]) -> dict[str, Any]:
    """Do what `ask` asks for."""
    network = find_network(request["network"])
    run = Setting(**request["setting"]).load(network)
    return answer(run, network, Path(request["squares"]), Path(request["answers"]))


if __name__ == "__main__":
    processes.skip_openvino_converter()
    sys.exit(processes.serve(respond))
