"""A folder of photographs: topfive against raw OpenVINO, and against Keras and TensorFlow.

    python -m benchmarks.folder [--networks NAME ...] [--seconds N] [--runs N] [--json FILE]

Six sides run turn by turn, each a process of its own: OpenVINO's benchmark_app on ready-made
arrays, with the network as Keras exports it and with the one that topfive compiles; `topfive
batch` over files, and the library's `Classifier.rows`; and Keras's `model.predict` on the same
files, with Keras's own loader and with a `tf.data` pipeline. Where the processor has bfloat16,
`topfive batch --precision bf16` runs, too. The command is measured as a whole, from its start
to its end; the others count pictures over a steady window. Before that, all answer some
pictures in float32, and the benchmark ends where they do not agree.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median

from benchmarks import folder_pictures
from benchmarks.folder_sides import answers, batch_command, compare_answers, rate
from benchmarks.one_photograph import MISSED, environment
from benchmarks.processes import BenchmarkError, Command, run, turn_by_turn
from benchmarks.weight_files import ROOT, provide_file
from topfive.network_folders import find_network
from topfive.networks import Network

NETWORKS = ("vgg16", "resnet50", "inception_v3", "xception", "squeezenet")
PICTURES = 320  # whole batches of Keras's, so that no part of one counts as a batch's time
COMPARED = 8
LONGER = 4  # the command's start and end are counted, too, but should be a small part

OF_RAW = dict.fromkeys(NETWORKS, 0.95) | {"squeezenet": 0.85}  # the targets
FASTER = 1.7
HAS_BF16 = (
    "import openvino; "
    "print('BF16' in openvino.Core().get_property('CPU', 'OPTIMIZATION_CAPABILITIES'))"
)


@dataclass(frozen=True)
class Rates:
    """Pictures a second with one network, a number for each round."""

    network: str
    weights: str
    exported: tuple[float, ...]
    own: tuple[float, ...]
    batch: tuple[float, ...]
    rows: tuple[float, ...]
    directory: tuple[float, ...]
    tf_data: tuple[float, ...]
    bf16: tuple[float, ...] = ()

    @property
    def of_exported(self) -> float:
        """The command's part of benchmark_app's rate with the network as Keras exports it."""
        return median(self.batch) / median(self.exported)

    @property
    def of_own(self) -> float:
        """The command's part of benchmark_app's rate with what topfive compiles."""
        return median(self.batch) / median(self.own)

    @property
    def keras(self) -> float:
        """Keras's and TensorFlow's rate, with the faster of the two pipelines."""
        return max(median(self.directory), median(self.tf_data))

    @property
    def faster(self) -> float:
        """How many times faster the command is than that."""
        return median(self.batch) / self.keras

    @property
    def faster_in_bf16(self) -> float | None:
        """How many times faster it is in bfloat16 than they in float32, where that was run."""
        return median(self.bf16) / self.keras if self.bf16 else None

    def to_dict(self) -> dict[str, object]:
        """Return plain values, ready for JSON."""
        ratios = ("of_exported", "of_own", "keras", "faster", "faster_in_bf16")
        return asdict(self) | {name: getattr(self, name) for name in ratios}


def report(rows: Sequence[Rates]) -> str:
    """Return the results as a text within 80 columns, each figure beside its target."""
    lines = [
        f"{'pictures/s':14}{'benchmark_app, arrays':>22}{'topfive, files':>22}"
        f"{'Keras + TF, files':>20}",
        f"{'network':14}{'Keras graph':>12}{'own graph':>10}{'batch':>12}{'rows()':>10}"
        f"{'its loader':>12}{'tf.data':>8}",
    ]
    for row in rows:
        lines.append(
            f"{row.network:14}{median(row.exported):12.1f}{median(row.own):10.1f}"
            f"{median(row.batch):12.1f}{median(row.rows):10.1f}"
            f"{median(row.directory):12.1f}{median(row.tf_data):8.1f}"
        )
    lines += [
        "",
        f"{'topfive batch':14}{'of Keras graph':>15}{'target':>10}{'of own graph':>15}"
        f"{'of Keras + TF':>16}{'target':>10}",
    ]
    for row in rows:
        least = OF_RAW[row.network]
        lines.append(
            f"{row.network:14}{row.of_exported:13.1%}{_mark(row.of_exported, least)}"
            f"{f'>= {least:.0%}':>10}{row.of_own:13.1%}{_mark(row.of_own, least)}"
            f"{row.faster:13.2f}x{_mark(row.faster, FASTER)}{f'>= {FASTER}x':>10}"
        )
    halves = [(row, row.faster_in_bf16) for row in rows]
    if any(faster for _, faster in halves):
        lines += [
            "",
            f"{'topfive batch':14}{'--precision bf16':>20}{'of Keras + TF (float32)':>28}"
            f"{'target':>12}",
        ]
    for row, faster in halves:
        if faster:
            lines.append(
                f"{row.network:14}{median(row.bf16):20.1f}{faster:25.2f}x"
                f"{_mark(faster, FASTER)}{f'>= {FASTER}x':>12}"
            )
    return "\n".join(lines)


def _mark(value: float, least: float) -> str:
    return " " * len(MISSED) if value >= least else MISSED


def setting(weights: set[str], pictures: str, runs: int, seconds: float) -> str:
    """Return in what circumstances the figures were taken."""
    packages = ", ".join(
        f"{name} {version(name)}" for name in ("topfive", "keras", "tensorflow", "openvino")
    )
    return (
        f"A folder; medians of {runs} rounds, turn by turn, counted for {seconds:g} s each.\n"
        f"topfive batch: the whole command, over {LONGER} times as many pictures.\n"
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"{'/'.join(sorted(weights))} weights\n{packages}\n"
        f"{pictures}, linked to many times.\n"
        "All compute in float32 (benchmark_app: -hint throughput -infer_precision f32),\n"
        "but where bf16 is said.\n"
        "topfive cuts out and filters as its recipes say; Keras and TensorFlow stretch,\n"
        "bilinear, not anti-aliased, Keras's default and less work.\n"
        "own graph: what topfive compiles, which does not have to read and decode there.\n"
        f"Each figure stands beside its target;{MISSED} marks one that is missed (the own graph\n"
        "has the same target as Keras's, as a stricter measure)."
    )


def steady_sides(network: Network, weights: Path, pictures: Path, graphs: Path, seconds: float,
                 base: Mapping[str, str]) -> dict[str, Command]:  # fmt: skip
    """Return the commands of the sides that print their rate."""
    files = (network.name, str(weights), str(pictures), "--seconds", str(seconds))
    on_tensorflow = {**base, "KERAS_BACKEND": "tensorflow"}
    app = str(Path(sys.executable).with_name("benchmark_app"))
    raw = ("-hint", "throughput", "-infer_precision", "f32", "-t", str(max(1, round(seconds))))
    return {
        "exported": Command((app, "-m", str(graphs / "exported.xml"), *raw), base),
        "own": Command((app, "-m", str(graphs / "own.xml"), *raw), base),
        "rows": Command(_module("folder_topfive", *files), base),
        "directory": Command(
            _module("folder_keras", *files, "--pipeline", "directory"), on_tensorflow
        ),
        "tf_data": Command(_module("folder_keras", *files, "--pipeline", "tf.data"), on_tensorflow),
    }


def check_answers(network: Network, weights: Path, pictures: Path, graphs: Path,
                  base: Mapping[str, str]) -> None:  # fmt: skip
    """Write both graphs, compile topfive's network, and let all sides answer some pictures.

    Raises:
        BenchmarkError: a side failed, or they differ.
    """
    files = (network.name, str(weights), str(pictures))
    number = ("--answers", str(COMPARED))
    keras = Command(
        _module("folder_keras", *files, *number), {**base, "KERAS_BACKEND": "tensorflow"}
    )
    graph = Command(_module("folder_graphs", *files, str(graphs), *number), base)
    topfive = Command(_module("folder_topfive", *files, *number), base)
    found = {side: pairs for one in (keras, graph, topfive)
             for side, pairs in answers(run(one)).items()}  # fmt: skip
    if len(found) != 4:
        raise BenchmarkError(f"expected the answers of four sides; received {found}")
    compare_answers(found, COMPARED)


def _module(name: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", f"benchmarks.{name}", *arguments)


def measure(name: str, photographs: Sequence[Path], folder: Path, seconds: float,
            runs: int) -> Rates:  # fmt: skip
    """Measure all sides with one network; what they need is made in `folder`."""
    network = find_network(name)
    kind, weights = provide_file(network, folder / "keras")
    base = environment(folder) | {"PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryDirectory(prefix="work-", dir=folder) as work:
        graphs, output = Path(work), Path(work) / "results.jsonl"
        pictures = folder_pictures.link(photographs, Path(work) / "pictures", PICTURES)
        check_answers(network, weights, pictures, graphs, base)
        commands = steady_sides(network, weights, pictures, graphs, seconds, base)
        count = max(1, round(LONGER * seconds * rate(run(commands["rows"]))))
        many = folder_pictures.link(photographs, Path(work) / "many", count)
        batches = {"batch": batch_command(many, name, weights, output, base)}
        if run(Command((sys.executable, "-c", HAS_BF16), base)).output.strip() == "True":
            half = batch_command(many, name, weights, output, base, "--precision", "bf16")
            run(half)  # which compiles it
            batches["bf16"] = half
        timed = turn_by_turn([*commands.values(), *batches.values()], runs)
        if len(output.read_bytes().splitlines()) != count:
            raise BenchmarkError(f"topfive batch did not write {count} rows")
    sides = dict(zip([*commands, *batches], timed, strict=True))
    rates = {side: tuple(map(rate, sides[side])) for side in commands}
    whole = {side: tuple(count / one.seconds for one in sides[side]) for side in batches}
    return Rates(name, kind, **rates, **whole)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return 0 if it could be run, whatever its figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--seconds", type=float, default=8, help="counted in each round (8)")
    parser.add_argument("--runs", type=int, default=3, help="rounds (3)")
    parser.add_argument("--folder", type=Path, help="keep weights and caches here for a next time")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here, too")
    options = parser.parse_args(arguments)
    if importlib.util.find_spec("tensorflow") is None:
        parser.error("Keras's side needs TensorFlow: pip install 'topfive[tensorflow]'")
    with tempfile.TemporaryDirectory(prefix="topfive-benchmark-") as temporary:
        folder = (options.folder or Path(temporary)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        photographs, words = folder_pictures.find_photographs(folder / "photographs")
        rows = []
        try:
            for name in options.networks:
                print(f"measuring {name} ...", file=sys.stderr)
                rows.append(measure(name, photographs, folder, options.seconds, options.runs))
        except BenchmarkError as error:
            print(f"folder: {error}", file=sys.stderr)
            return 1
    circumstances = setting({row.weights for row in rows}, words, options.runs, options.seconds)
    print(circumstances, report(rows), sep="\n\n")
    if options.json:
        content = {
            "setting": circumstances.splitlines(),
            "networks": [row.to_dict() for row in rows],
        }
        options.json.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
