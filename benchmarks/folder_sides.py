"""What the sides of the benchmark of folders have in common: a command line, a way to count
pictures in a steady part of a run, a line that says how many a second, and answers."""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from benchmarks.processes import BenchmarkError, Command, Run
from benchmarks.weight_files import own_options
from topfive.networks.cards import Network

# OpenVINO's benchmark_app prints its result so; the other sides do as it does.
THROUGHPUT = re.compile(r"^(?:\[ INFO \] )?Throughput: +(\d+(?:\.\d+)?) FPS$", re.MULTILINE)
ANSWERS = "Answers: "
WORK = "Operations: "
STAGES = "Stages: "
TOLERANCE = 1e-3

Answer = tuple[int, float]  # the first class's index, and its probability


class Window:
    """Count pictures for `seconds`, beginning `warm_up` seconds after the first is done."""

    def __init__(
        self, seconds: float, warm_up: float = 2, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._seconds, self._warm_up, self._clock = seconds, warm_up, clock
        self._first: float | None = None
        self._start: float | None = None
        self._end = 0.0
        self._count = 0

    def add(self, count: int) -> bool:
        """Say that `count` pictures more are done; return whether the window is over."""
        now = self._clock()
        if self._first is None:
            self._first = now
        if self._start is None:
            # From the end of one batch to the end of another: no batch is counted in part.
            if now - self._first >= self._warm_up:
                self._start = now
            return False
        self._count += count
        self._end = now
        return now - self._start >= self._seconds

    def report(self) -> str:
        """Return the rate as a line that `rate` reads.

        Raises:
            BenchmarkError: there were too few pictures to fill the window.
        """
        if self._start is None or self._end - self._start < self._seconds:
            raise BenchmarkError("the pictures ended before the time was over")
        return f"Throughput: {self._count / (self._end - self._start):.3f} FPS"


def rate(run: Run) -> float:
    """Return what a side printed, in pictures a second.

    Raises:
        BenchmarkError: it printed none.
    """
    found = THROUGHPUT.findall(run.output)
    if len(found) != 1 or float(found[0]) <= 0:
        raise BenchmarkError(f"expected one line `Throughput: ...`; received:\n{run.output}")
    return float(found[0])


def batch_command(pictures: Path, network: Network, weights: Path, output: Path,
                  base: Mapping[str, str], *more: str) -> Command:  # fmt: skip
    """Return `topfive batch` over a folder, from the beginning, its rows as JSON lines."""
    line = (sys.executable, "-m", "topfive", "batch", str(pictures), "-o", str(output))
    options = ("--model", network.name, *own_options(network, weights), "--restart", "--quiet")
    return Command((*line, *options, *more), base)


def print_answers(side: str, answers: Iterable[Answer]) -> None:
    """Print a side's answers as a line that `answers` reads."""
    print(ANSWERS + json.dumps({side: list(answers)}))


def answers(run: Run) -> dict[str, list[Answer]]:
    """Return what `print_answers` printed: each side's answers."""
    return {
        side: [(index, probability) for index, probability in pairs]
        for line in run.output.splitlines() if line.startswith(ANSWERS)
        for side, pairs in json.loads(line.removeprefix(ANSWERS)).items()
    }  # fmt: skip


def print_work(picture: int, product: int) -> None:
    """Print how many operations a picture and a matrix product are, for `work`."""
    print(f"{WORK}{picture} {product}")


def work(run: Run) -> tuple[int, int]:
    """Return what `print_work` printed."""
    (line,) = (line for line in run.output.splitlines() if line.startswith(WORK))
    picture, product = map(int, line.removeprefix(WORK).split())
    return picture, product


def print_stages(decode: float, fit: float, network: float) -> None:
    """Print how many seconds of one core a picture's stages take, for `stages`."""
    print(f"{STAGES}{decode:.9f} {fit:.9f} {network:.9f}")


def stages(run: Run) -> tuple[float, float, float]:
    """Return what `print_stages` printed."""
    (line,) = (line for line in run.output.splitlines() if line.startswith(STAGES))
    decode, fit, network = map(float, line.removeprefix(STAGES).split())
    return decode, fit, network


def compare_answers(sides: dict[str, list[Answer]], count: int) -> None:
    """Refuse sides that differ in a picture's first class or in its probability.

    Raises:
        BenchmarkError: they differ, or one did not answer `count` pictures.
    """
    (name, expected), *others = sides.items()
    same = len(expected) == count > 0
    for _, received in others:
        same = same and len(received) == count and all(
            one[0] == other[0] and abs(one[1] - other[1]) <= TOLERANCE
            for one, other in zip(expected, received, strict=True)
        )  # fmt: skip
    if not same:
        lines = [f"{side}: {received}" for side, received in sides.items()]
        raise BenchmarkError("\n".join([f"the answers differ from {name}'s:", *lines]))


def command_line(description: str) -> argparse.ArgumentParser:
    """Return what every side's command line takes."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("network")
    parser.add_argument("weights", type=Path)
    parser.add_argument("folder", type=Path, help="pictures, called .jpg")
    parser.add_argument("--seconds", type=float, default=8.0, help="count for so long")
    parser.add_argument("--answers", type=int, metavar="N", help="classify the first N instead")
    return parser
