"""A folder of photographs: topfive against raw OpenVINO, and against Keras and TensorFlow.

    python -m benchmarks.folder [--networks NAME ...] [--seconds N] [--runs N] [--json FILE]

The sides run turn by turn, each a process of its own: OpenVINO's benchmark_app on ready-made
arrays, with the network as Keras exports it and with the one that topfive compiles; `topfive
batch` over files, and the library's `Classifier.rows`; and Keras's `model.predict` on the same
files, with Keras's own loader and with a `tf.data` pipeline. Where the processor has bfloat16,
`topfive batch --precision bf16` runs, too. The command is measured as a whole, from its start
to its end; the others count pictures over a steady window. Before that, all answer some
pictures in float32, and the benchmark ends where they do not agree. A matrix product runs among
them: the arithmetic that a target takes stands beside the most that this machine was seen to do.
And one thread goes through some files, with the clock of its own core: how long it decodes,
resizes and computes.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks import folder_pictures
from benchmarks.folder_rates import LONGER, NETWORKS, Rates, report, setting
from benchmarks.folder_sides import answers, batch_command, compare_answers, rate, stages, work
from benchmarks.one_photograph import environment
from benchmarks.processes import BenchmarkError, Command, run, turn_by_turn
from benchmarks.weight_files import ROOT, provide_file
from topfive.networks.cards import Network
from topfive.networks.find import find_network

PICTURES = 320  # whole batches of Keras's, so that no part of one counts as a batch's time
COMPARED = 8

HAS_BF16 = (
    "import openvino; "
    "print('BF16' in openvino.Core().get_property('CPU', 'OPTIMIZATION_CAPABILITIES'))"
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
        "product": Command((app, "-m", str(graphs / "product.xml"), *raw), base),
        "rows": Command(_module("folder_topfive", *files), base),
        "directory": Command(
            _module("folder_keras", *files, "--pipeline", "directory"), on_tensorflow
        ),
        "tf_data": Command(_module("folder_keras", *files, "--pipeline", "tf.data"), on_tensorflow),
    }


def check_answers(network: Network, weights: Path, pictures: Path, graphs: Path,
                  base: Mapping[str, str]) -> tuple[int, int]:  # fmt: skip
    """Write the graphs, compile topfive's network, and let all sides answer some pictures.

    Return how many operations a picture and the matrix product are.

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
    made = run(graph)
    found = {side: pairs for one in (run(keras), made, run(topfive))
             for side, pairs in answers(one).items()}  # fmt: skip
    if len(found) != 4:
        raise BenchmarkError(f"expected the answers of four sides; received {found}")
    compare_answers(found, COMPARED)
    return work(made)


def _module(name: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", f"benchmarks.{name}", *arguments)


def measure(name: str, photographs: Sequence[Path], folder: Path, seconds: float,
            runs: int) -> Rates:  # fmt: skip
    """Measure all sides with one network; what they need is made in `folder`."""
    network = find_network(name)
    kind, weights = provide_file(network, folder / "keras")
    base = environment(folder) | {"PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryDirectory(prefix="work-", dir=folder) as place:
        graphs, output = Path(place), Path(place) / "results.jsonl"
        pictures = folder_pictures.link(photographs, graphs / "pictures", PICTURES)
        operations, product = check_answers(network, weights, pictures, graphs, base)
        commands = steady_sides(network, weights, pictures, graphs, seconds, base)
        counts = {"batch": max(1, round(LONGER * seconds * rate(run(commands["rows"]))))}
        if run(Command((sys.executable, "-c", HAS_BF16), base)).output.strip() == "True":
            half = ("--precision", "bf16")
            run(batch_command(pictures, network, weights, output, base, *half))  # compiles it
            counts["bf16"] = 2 * counts["batch"]  # about as long
        batches = {}
        for side, count in counts.items():
            many = folder_pictures.link(photographs, graphs / side, count)
            more = half if side == "bf16" else ()
            batches[side] = batch_command(many, network, weights, output, base, *more)
        line = _module("folder_stages", network.name, str(weights), str(pictures))
        timed = turn_by_turn([*commands.values(), *batches.values(), Command(line, base)], runs)
        if len(output.read_bytes().splitlines()) != count:
            raise BenchmarkError(f"topfive batch did not write {count} rows")
    sides = dict(zip([*commands, *batches, "stages"], timed, strict=True))
    rates = {side: tuple(map(rate, sides[side])) for side in commands}
    rates["product"] = tuple(product * one for one in rates["product"])
    for side, count in counts.items():
        rates[side] = tuple(count / one.seconds for one in sides[side])
    return Rates(name, kind, operations, **rates, stages=tuple(map(stages, sides["stages"])))


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
