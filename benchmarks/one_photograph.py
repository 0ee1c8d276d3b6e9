"""One photograph, from the command line to the answer: topfive against the tutorial's script.

    python -m benchmarks.one_photograph [--json FILE]

Both sides are whole processes and run turn by turn on the same picture and the same weight
file, after one run each that warms the disk's cache (and topfive's) and compares their
answers. The weights are the published ones where Keras's folder has them, else random ones
in the same layout, which either side is told of by an option.

The tutorial has no EfficientNet-Lite0, topfive's default: it is compared with what a user would
have run, the tutorial's script with VGG16. Its first answer, with an empty cache, and its second
are timed turn by turn with SqueezeNet's second.
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
from benchmarks.weight_files import ROOT, own_options, provide_file, provide_weights
from topfive.networks.find import find_network

TUTORIAL = ROOT / "benchmarks" / "tutorial.py"
DEFAULT, SMALLEST = "efficientnet_lite0", "squeezenet"
# topfive's names for the tutorial's five networks, and the tutorial's.
TUTORIALS = {"vgg16": "vgg16", "vgg19": "vgg19", "resnet50": "resnet",
             "inception_v3": "inception", "xception": "xception"}  # fmt: skip
INSTEAD = {DEFAULT: "vgg16"}  # what the script runs where the tutorial has no such network
NETWORKS = (DEFAULT, *TUTORIALS)
TOLERANCE = 1e-3

MISSED = " !"
FASTER, MEMORY, HELP, CONVERSION = 10.0, 0.55, 0.25, 4.0  # the targets
FIRST, BESIDE = 3.0, 1.0  # of the default network's first answer, and of its second
SHORT_RUNS = 7  # at least, of those that are over in a blink
ANSWER = re.compile(r"^\s*\d+\. (\S+): ([\d.]+)%", re.MULTILINE)


@dataclass(frozen=True)
class Comparison:
    """Medians for one network: seconds and bytes of the tutorial's script and of topfive.
    `weights` are the kinds of both sides' weights."""

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
    """One number, in seconds or a ratio, and the most that it may be, if that is said."""

    name: str
    value: float
    unit: str
    target: float | None


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
    network: str, kind: str, tutorial: Command, topfive: Command, same_recipe: Command | None,
    runs: int,
) -> Comparison:  # fmt: skip
    """Warm up with `same_recipe` against `tutorial`, then time `topfive` against it. Another
    network's answers cannot be compared: without `same_recipe` there have to be five of each."""
    theirs_first, ours_first = run(tutorial), run(same_recipe or topfive)
    if same_recipe is not None:
        compare_answers(theirs_first.output, ours_first.output)
        run(topfive)
    elif not len(answers(theirs_first.output)) == len(answers(ours_first.output)) == 5:
        raise BenchmarkError(
            f"expected five answers each:\n{theirs_first.output}\n{ours_first.output}"
        )
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
        f"{'':19}{'seconds':>17}{'memory, MB':>35}",
        f"{'network':19}{'tutorial':>9}{'topfive':>8}{'faster':>8}{'target':>9}"
        f"{'tutorial':>10}{'topfive':>8}{'ratio':>6}",
    ]
    for row in comparisons:
        target = f">= {FASTER:g}x" + ("" if row.faster >= FASTER else MISSED)
        lines.append(
            f"{row.network:19}{row.tutorial_seconds:9.2f}{row.topfive_seconds:8.2f}"
            f"{row.faster:7.1f}x{target:>9}{row.tutorial_memory / 1e6:10,.0f}"
            f"{row.topfive_memory / 1e6:8,.0f}{row.memory_ratio:6.2f}"
        )
    for row in comparisons:
        if row.network in INSTEAD:
            other = find_network(INSTEAD[row.network]).title
            lines.append(f"{row.network} is compared with the tutorial's script and {other}.")
    lines.append("")
    for figure in figures:
        line = f"{figure.name:54}{figure.value:8.2f}{figure.unit:2}"
        if figure.target is not None:
            missed = "" if figure.value <= figure.target else MISSED
            line += f"  <= {figure.target:g}{figure.unit}{missed}"
        lines.append(line.rstrip())
    return "\n".join(lines)


def setting(kinds: set[str], runs: int, short: bool = False) -> str:
    """Return in what circumstances the figures were taken, the `short` ones, too."""
    names = ("topfive", "keras", "tensorflow", "openvino")
    short_ones = f"\n(first and second answers: of {short_runs(runs)} runs)" if short else ""
    packages = ", ".join(f"{name} {version(name)}" for name in names)
    return (
        f"One photograph, whole process, second use; medians of {runs} runs, turn by turn"
        f"{short_ones}.\n"
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"{'/'.join(sorted(kinds))} weights\n{packages}\n"
        f"Each figure stands beside its target;{MISSED} marks one that is missed."
    )


def measure_network(name: str, topfive: Sequence[str], picture: Path, folder: Path,
                    runs: int) -> Comparison:  # fmt: skip
    """Measure both sides with one network; their files are made in `folder`."""
    network, other = find_network(name), INSTEAD.get(name, name)
    kind, their_options, our_options = provide_weights(network, folder / "keras")
    if other != name:
        other_kind, their_options, _ = provide_weights(find_network(other), folder / "keras")
        kind = "/".join(sorted({kind, other_kind}))
    base = environment(folder)
    theirs = (sys.executable, str(TUTORIAL), "--image", str(picture),
              "--model", TUTORIALS[other], *their_options)  # fmt: skip
    ours = (*topfive, "classify", str(picture), "--model", name, *our_options)
    same_recipe = Command((*ours, "--recipe", "tutorial"), base) if other == name else None
    return compare(
        name, kind, Command(theirs, base | {"KERAS_BACKEND": "tensorflow"}), Command(ours, base),
        same_recipe, runs,
    )  # fmt: skip


def measure_default(topfive: Sequence[str], picture: Path, folder: Path, runs: int) -> list[Figure]:
    """Measure the default network's first answer, with an empty cache, its second from that
    cache, and SqueezeNet's second, turn by turn."""
    base, lines, kinds = environment(folder), {}, {}
    for name in (DEFAULT, SMALLEST):
        network = find_network(name)
        kinds[name], file = provide_file(network, folder / "keras")
        options = own_options(network, file)
        lines[name] = (*topfive, "classify", str(picture), "--model", name, *options)
    smallest = Command(lines[SMALLEST], base)
    run(smallest)  # compiles it
    rounds = []
    for _ in range(short_runs(runs)):
        with tempfile.TemporaryDirectory(dir=folder) as empty:
            own = Command(lines[DEFAULT], base | {"TOPFIVE_CACHE": empty})
            rounds.append([run(command).seconds for command in (own, own, smallest)])
    first, second, beside = map(median, zip(*rounds, strict=True))
    title, other = (find_network(name).title for name in (DEFAULT, SMALLEST))
    return [
        Figure(f"{title}'s first answer, {kinds[DEFAULT]} weights", first, " s", None),
        Figure(f"{title}'s second answer", second, " s", None),
        Figure(f"{other}'s second answer, {kinds[SMALLEST]} weights", beside, " s", None),
        Figure(f"{title}'s first answer, times its second", first / second, "x", FIRST),
        Figure("its second answer, times SqueezeNet's", second / beside, "x", BESIDE),
    ]


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


def short_runs(runs: int) -> int:
    """Return how often a short command is run: an odd number of times, `SHORT_RUNS` at least."""
    return max(SHORT_RUNS, runs | 1)


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
            if DEFAULT in options.networks:
                print(f"measuring {DEFAULT}'s first answer ...", file=sys.stderr)
                figures += measure_default(topfive, picture, folder, options.runs)
        except BenchmarkError as error:
            print(f"one_photograph: {error}", file=sys.stderr)
            return 1
    kinds = {kind for row in rows for kind in row.weights.split("/")}
    circumstances = setting(kinds, options.runs, DEFAULT in options.networks)
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
