"""From what number of pictures Ray pays: its fixed cost and its rate, on this machine.

    python -m benchmarks.cluster [--network NAME] [--pictures N] [--runs N] [--json FILE]

`topfive batch` with and without `--ray local`, turn by turn, over the same files: a few and many.
One machine cannot gain by Ray. What a cluster gains is reckoned from these figures, as if each
of its machines were this one and nothing else held it up, neither the network nor a shared disk.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from time import perf_counter

from benchmarks import folder_pictures
from benchmarks.folder_sides import batch_command
from benchmarks.one_photograph import environment
from benchmarks.processes import BenchmarkError, Command, run, turn_by_turn
from benchmarks.weight_files import ROOT, provide_file
from topfive.networks.find import find_network

FEW = 64
NOISE = 1.05  # one machine is not faster with Ray; what is beyond that was measured wrongly
MACHINES = (2, 4, 8, 16)
PAUSE = "seconds between chunks:"


@dataclass(frozen=True)
class Cost:
    """Seconds that `topfive batch` takes for few and for many pictures, without and with
    `--ray local`, and those between two chunks."""

    few: int
    many: int
    plain_few: float
    plain_many: float
    ray_few: float
    ray_many: float
    pause: float

    @property
    def fixed(self) -> float:
        """Seconds that Ray takes before and after, however many pictures there are."""
        return self.ray_few - self.plain_few

    @property
    def plain_rate(self) -> float:
        """Pictures a second without Ray."""
        return (self.many - self.few) / (self.plain_many - self.plain_few)

    @property
    def ray_rate(self) -> float:
        """Pictures a second of one machine with Ray."""
        return (self.many - self.few) / (self.ray_many - self.ray_few)

    def pays_from(self, machines: int) -> float:
        """Return the number of pictures at which so many machines are as fast as one without
        Ray: fixed + n / (machines * ray_rate) = n / plain_rate."""
        saved = 1 / self.plain_rate - 1 / (machines * self.ray_rate)
        return self.fixed / saved if saved > 0 else float("inf")


def report(cost: Cost) -> str:
    """Return the figures as a text."""
    lines = [
        f"{'':12}{cost.few:>8,} pictures{cost.many:>10,} pictures{'pictures/s':>14}",
        f"{'plain':12}{cost.plain_few:15.1f} s{cost.plain_many:17.1f} s{cost.plain_rate:14.1f}",
        f"{'--ray local':12}{cost.ray_few:15.1f} s{cost.ray_many:17.1f} s{cost.ray_rate:14.1f}",
        "",
        f"Ray's fixed cost: {cost.fixed:.1f} s; between chunks: {cost.pause:.1f} s; "
        f"rate with Ray: {cost.ray_rate / cost.plain_rate:.0%}",
        "",
        "machines like this one   Ray pays from     that is, when one machine takes",
    ]
    for machines in MACHINES:
        pictures = cost.pays_from(machines)
        seconds = pictures / cost.plain_rate
        lines.append(f"{machines:>8}{pictures:>23,.0f} pictures{seconds:>23,.0f} s")
    if cost.ray_rate > NOISE * cost.plain_rate:
        lines += ["", "! Ray cannot be faster here: the machine had other work. Run this again."]
    return "\n".join(lines)


def print_pause(network: str, weights: Path, pictures: Path) -> None:
    """Print how long it is from the last row of a chunk to the first of the next."""
    from topfive.batches import ray_rows
    from topfive.sources import arguments as sources

    ray_rows.FIRST_CHUNK, ray_rows.CHUNK_SECONDS, ray_rows.BLOCK = 8, 0, 1
    times = []
    options = {"network": network, "weights": str(weights)}
    for _ in ray_rows.rows(sources.read([str(pictures)]), options, 5, "local"):
        times.append(perf_counter())
    pauses = [times[end] - times[end - 1] for end in range(8, len(times), 8)]
    print(PAUSE, median(pauses))


def measure(name: str, photographs: Sequence[Path], folder: Path, many: int, runs: int) -> Cost:
    """Measure with one network; what it needs is made in `folder`."""
    network = find_network(name)
    _, weights = provide_file(network, folder / "keras")
    base = environment(folder) | {"PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryDirectory(prefix="work-", dir=folder) as work:
        output = Path(work) / "results.jsonl"
        commands = []
        for count in (FEW, many):
            pictures = folder_pictures.link(photographs, Path(work) / str(count), count)
            plain = batch_command(pictures, network, weights, output, base)
            commands += [plain, Command((*plain.arguments, "--ray", "local"), base)]
        run(commands[0])  # compiles the network
        sides = turn_by_turn(commands, runs)
        line = (sys.executable, "-m", "benchmarks.cluster", "--network", name, "--pause")
        files = (str(weights), str(Path(work) / str(FEW)))
        pause = float(run(Command((*line, *files), base)).output.partition(PAUSE)[2])
    plain_few, ray_few, plain_many, ray_many = (
        median(one.seconds for one in side) for side in sides
    )
    return Cost(FEW, many, plain_few, plain_many, ray_few, ray_many, pause)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return 0 if it could be run, whatever its figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", default="resnet50")
    parser.add_argument("--pictures", type=int, default=2000, help="many (2000)")
    parser.add_argument("--runs", type=int, default=3, help="rounds (3)")
    parser.add_argument("--folder", type=Path, help="keep weights and caches here for a next time")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here, too")
    parser.add_argument("--pause", nargs=2, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.pause:
        print_pause(options.network, *options.pause)
        return 0
    with tempfile.TemporaryDirectory(prefix="topfive-benchmark-") as temporary:
        folder = (options.folder or Path(temporary)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        photographs, words = folder_pictures.find_photographs(folder / "photographs")
        try:
            cost = measure(options.network, photographs, folder, options.pictures, options.runs)
        except BenchmarkError as error:
            print(f"cluster: {error}", file=sys.stderr)
            return 1
    packages = ", ".join(f"{name} {version(name)}" for name in ("topfive", "ray", "openvino"))
    print(
        f"{find_network(options.network).title}, whole commands, medians of {options.runs} "
        f"rounds, turn by turn.\n{platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, {packages}\n{words}, linked to many times.\n"
    )
    print(report(cost))
    if options.json:
        options.json.write_text(json.dumps(asdict(cost), indent=2) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
