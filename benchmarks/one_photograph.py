"""One photograph, from the command line to the answer: topfive against the tutorial's script.

    python -m benchmarks.one_photograph [--json FILE]

Both sides are whole processes and run turn by turn on the same picture and the same weight
file, after one run each that warms the disk's cache (and topfive's) and compares their
answers. The weights are the published ones where Keras's folder has them, else random ones
in the same layout, which either side is told of by an option.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import re
import shlex
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median

from benchmarks.processes import BenchmarkError, Command, run, turn_by_turn
from benchmarks.weight_files import ROOT, provide_weights
from topfive.network_folders import find_network

TUTORIAL = ROOT / "benchmarks" / "tutorial.py"
# topfive's names for the tutorial's five networks, and the tutorial's.
NETWORKS = {"vgg16": "vgg16", "vgg19": "vgg19", "resnet50": "resnet",
            "inception_v3": "inception", "xception": "xception"}  # fmt: skip
TOLERANCE = 1e-3

MISSED = " !"
FASTER, MEMORY, HELP, CONVERSION = 10.0, 0.55, 0.25, 4.0  # the targets
ANSWER = re.compile(r"^\s*\d+\. (\S+): ([\d.]+)%", re.MULTILINE)


@dataclass(frozen=True)
class Comparison:
    """Medians for one network: seconds and bytes of the tutorial's script and of topfive."""

    network: str
    weights: str
    tutorial_seconds: float
    topfive_seconds: float
    tutorial_memory: float
    topfive_memory: float

    @property
    def faster(self) -> float:
        """How many times faster topfive is."""
        return self.tutorial_seconds / self.topfive_seconds

    @property
    def memory_ratio(self) -> float:
        """topfive's part of the script's memory."""
        return self.topfive_memory / self.tutorial_memory


@dataclass(frozen=True)
class Figure:
    """One number, in seconds or a ratio, and the most that it may be."""

    name: str
    value: float
    unit: str
    target: float


def answers(output: str) -> dict[str, float]:
    """Return names and probabilities from lines like `1. soccer_ball: 93.43%`."""
    return {name: float(percent) / 100 for name, percent in ANSWER.findall(output)}


def compare_answers(tutorial: str, topfive: str) -> None:
    """Refuse outputs that differ in the first class or in any class's probability.

    Raises:
        BenchmarkError: they differ.
    """
    theirs, ours = answers(tutorial), answers(topfive)
    same = len(theirs) == len(ours) == 5 and next(iter(theirs)) == next(iter(ours))
    for name in theirs | ours if same else ():
        # A class that only one side names may have lost a draw for the fifth place.
        one, other = (side.get(name, min(side.values())) for side in (theirs, ours))
        same = same and abs(one - other) <= TOLERANCE
    if not same:
        raise BenchmarkError(f"the answers differ:\ntutorial:\n{tutorial}\ntopfive:\n{topfive}")


def compare(
    network: str, kind: str, tutorial: Command, topfive: Command, same_recipe: Command, runs: int
) -> Comparison:
    """Warm up with `same_recipe` against `tutorial`, then time `topfive` against it."""
    compare_answers(run(tutorial).output, run(same_recipe).output)
    run(topfive)
    theirs, ours = turn_by_turn([tutorial, topfive], runs)
    return Comparison(
        network,
        kind,
        median(one.seconds for one in theirs),
        median(one.seconds for one in ours),
        median(one.memory for one in theirs),
        median(one.memory for one in ours),
    )


def report(comparisons: Sequence[Comparison], figures: Sequence[Figure]) -> str:
    """Return the results as a text within 80 columns, each figure beside its target."""
    lines = [
        f"{'':13}{'seconds':>18}{'memory, MB':>38}",
        f"{'network':13}{'tutorial':>9}{'topfive':>9}{'faster':>9}{'target':>9}"
        f"{'tutorial':>11}{'topfive':>9}{'ratio':>7}",
    ]
    for row in comparisons:
        target = f">= {FASTER:g}x" + ("" if row.faster >= FASTER else MISSED)
        lines.append(
            f"{row.network:13}{row.tutorial_seconds:9.2f}{row.topfive_seconds:9.2f}"
            f"{row.faster:8.1f}x{target:>9}{row.tutorial_memory / 1e6:11,.0f}"
            f"{row.topfive_memory / 1e6:9,.0f}{row.memory_ratio:7.2f}"
        )
    lines.append("")
    for figure in figures:
        missed = "" if figure.value <= figure.target else MISSED
        lines.append(
            f"{figure.name:52}{figure.value:8.2f}{figure.unit:2}  "
            f"<= {figure.target:g}{figure.unit}{missed}"
        )
    return "\n".join(lines)


def setting(kinds: set[str], runs: int) -> str:
    """Return in what circumstances the figures were taken."""
    names = ("topfive", "keras", "tensorflow", "openvino")
    packages = ", ".join(f"{name} {version(name)}" for name in names)
    return (
        f"One photograph, whole process, second use; medians of {runs} runs, turn by turn.\n"
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"{'/'.join(sorted(kinds))} weights\n{packages}\n"
        f"Each figure stands beside its target;{MISSED} marks one that is missed."
    )


def measure_network(name: str, topfive: Sequence[str], picture: Path, folder: Path,
                    runs: int) -> Comparison:  # fmt: skip
    """Measure both sides with one network; their files are made in `folder`."""
    network = find_network(name)
    kind, their_options, our_options = provide_weights(network, folder / "keras")
    base = environment(folder)
    theirs = (sys.executable, str(TUTORIAL), "--image", str(picture),
              "--model", NETWORKS[name], *their_options)  # fmt: skip
    ours = (*topfive, "classify", str(picture), "--model", name, *our_options)
    return compare(
        name, kind, Command(theirs, base | {"KERAS_BACKEND": "tensorflow"}), Command(ours, base),
        Command((*ours, "--recipe", "tutorial"), base), runs,
    )  # fmt: skip


def measure_conversion(topfive: Sequence[str], picture: Path, folder: Path, runs: int) -> Figure:
    """Measure VGG16's first use, with an empty cache, and what of it is not Keras's import."""
    network = find_network("vgg16")
    _, _, options = provide_weights(network, folder / "keras")
    base = environment(folder)
    keras = Command((sys.executable, "-c", "import keras"), base | {"KERAS_BACKEND": "openvino"})
    line = (*topfive, "classify", str(picture), "--model", network.name, *options)
    imports, firsts = [], []
    for _ in range(runs):
        with tempfile.TemporaryDirectory(dir=folder) as empty:
            firsts.append(run(Command(line, base | {"TOPFIVE_CACHE": empty})).seconds)
        imports.append(run(keras).seconds)
    name = f"VGG16's first use without Keras's import ({median(imports):.2f} s)"
    return Figure(name, median(firsts) - median(imports), " s", CONVERSION)


def measure_help(topfive: Sequence[str], folder: Path, runs: int) -> Figure:
    """Measure the help page, after one warm-up."""
    command = Command((*topfive, "--help"), environment(folder))
    run(command)
    (pages,) = turn_by_turn([command], max(runs, 5))
    return Figure("topfive --help", median(page.seconds for page in pages), " s", HELP)


def environment(folder: Path) -> dict[str, str]:
    """Return this process's environment, with Keras's and topfive's folders in `folder`."""
    own = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    return own | {"KERAS_HOME": str(folder / "keras"), "TOPFIVE_CACHE": str(folder / "cache")}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return 0 if it could be run, whatever its figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--image", type=Path, default=ROOT / "examples" / "soccer_ball.jpg")
    parser.add_argument("--runs", type=int, default=5, help="timed runs of each side (5)")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    beside = shlex.quote(str(Path(sys.executable).with_name("topfive")))
    parser.add_argument("--command", default=beside, help="the topfive to measure (%(default)s)")
    parser.add_argument("--folder", type=Path, help="keep weights and caches here for a next time")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here, too")
    options = parser.parse_args(arguments)
    if importlib.util.find_spec("tensorflow") is None:
        parser.error("the tutorial's script needs TensorFlow: pip install 'topfive[tensorflow]'")
    topfive = shlex.split(options.command)
    with tempfile.TemporaryDirectory(prefix="topfive-benchmark-") as temporary:
        folder = (options.folder or Path(temporary)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        picture = options.image.absolute()
        try:
            rows = []
            for name in options.networks:
                print(f"measuring {name} ...", file=sys.stderr)
                rows.append(measure_network(name, topfive, picture, folder, options.runs))
            print("measuring the help page and VGG16's first use ...", file=sys.stderr)
            figures = [
                Figure("memory of a VGG16 answer, ratio", row.memory_ratio, "", MEMORY)
                for row in rows if row.network == "vgg16"
            ]  # fmt: skip
            figures.append(measure_help(topfive, folder, options.runs))
            figures.append(measure_conversion(topfive, picture, folder, options.runs))
        except BenchmarkError as error:
            print(f"one_photograph: {error}", file=sys.stderr)
            return 1
    circumstances = setting({row.weights for row in rows}, options.runs)
    print(circumstances, report(rows, figures), sep="\n\n")
    if options.json:
        content = {
            "setting": circumstances.splitlines(),
            "networks": [asdict(row) | {"faster": row.faster, "memory_ratio": row.memory_ratio}
                         for row in rows],
            "figures": [asdict(figure) for figure in figures],
        }  # fmt: skip
        options.json.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
