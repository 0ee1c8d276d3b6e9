"""Lower precision: topfive's networks in float32, in bfloat16 and in 8 bits, side by side.

    python -m benchmarks.precision [--networks NAME ...] [--seconds N] [--runs N] [--json FILE]

Each network is made in 8 bits by `topfive quantize` with a part of the photographs; then what
topfive compiles in each precision is measured turn by turn, each time in a process of its
own, for many pictures at a time and for one after the other. Nothing is read or decoded.

Random weights lose their answers in 8 bits, and layers would go back to float32 for no good
reason: with them all layers are in 8 bits (`--all-layers`). The published weights, where they
are at hand, are made as by default, and what they lose stands beside its bar.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import folder_pictures
from benchmarks.folder_sides import rate
from benchmarks.one_photograph import MISSED, environment
from benchmarks.processes import BenchmarkError, Command, run, turn_by_turn
from benchmarks.weight_files import ROOT, own_options, provide_file
from topfive.networks.find import find_network

NETWORKS = ("efficientnet_lite0", "resnet50", "vgg16", "squeezenet")
FASTER = dict.fromkeys(("resnet50", "vgg16"), 1.7)  # the targets, for many pictures at a time
AGREEMENT, POINTS = 0.95, -1.0  # the bars, with published weights
PRECISIONS = ("f32", "bf16", "int8")
MODES = ("many", "one")
MADE_UP = 90  # pictures, where there are no photographs


@dataclass(frozen=True)
class Rates:
    """Pictures a second with one network: by `MODES` and by precision a number for each round.
    `quantised` is what `topfive quantize` said of it."""

    network: str
    weights: str
    many: Mapping[str, tuple[float, ...]]
    one: Mapping[str, tuple[float, ...]]
    quantised: Mapping[str, Any]

    def faster(self, precision: str, mode: str = "many") -> float:
        """Return how many times faster than float32 a precision is."""
        rates = self.many if mode == "many" else self.one
        return median(rates[precision]) / median(rates["f32"])

    def to_dict(self) -> dict[str, object]:
        """Return plain values, ready for JSON."""
        ratios = {
            mode: {precision: self.faster(precision, mode) for precision in getattr(self, mode)}
            for mode in MODES
        }
        return asdict(self) | {"faster": ratios}


def report(rows: Sequence[Rates]) -> str:
    """Return the results as a text within 80 columns, each figure beside its target."""
    lines = [
        f"{'many at a time':19}{'pictures/s':>30}{'times float32':>25}",
        f"{'network':19}{'f32':>10}{'bf16':>10}{'int8':>10}{'bf16':>10}{'int8':>8}{'target':>11}",
    ]
    for row in rows:
        target = FASTER.get(row.network)
        missed = MISSED if target and row.faster("int8") < target else ""
        lines.append(
            f"{row.network:19}{_rates(row.many)}{_times(row, 'bf16', 'many'):>10}"
            f"{_times(row, 'int8', 'many'):>8}{f'>= {target}x' if target else '-':>11}{missed}"
        )
    lines += [
        "",
        f"{'one at a time':19}{'milliseconds':>30}{'times float32':>25}",
        f"{'network':19}{'f32':>10}{'bf16':>10}{'int8':>10}{'bf16':>10}{'int8':>8}",
    ]
    for row in rows:
        lines.append(
            f"{row.network:19}{_rates(row.one, 1e3)}{_times(row, 'bf16', 'one'):>10}"
            f"{_times(row, 'int8', 'one'):>8}"
        )
    lines += [
        "",
        f"{'in 8 bits':19}{'layers':>11}{'first as f32':>14}{'bar':>9}{'top-5':>10}{'bar':>10}",
    ]
    for row in rows:
        layers, of = row.quantised["layers"]
        start = f"{row.network:19}{f'{layers} of {of}':>11}"
        if row.weights != "published":
            lines.append(f"{start}{'-, for the weights are random':>34}")
            continue
        measured = row.quantised["measurement"]
        agreement, top5 = measured["agreement"], measured["top5"]
        same = agreement["hits"] / agreement["of"]
        start += f"{same:14.1%}{f'>= {AGREEMENT:.0%}':>9}{MISSED if same < AGREEMENT else ''}"
        if top5:
            start += f"{top5['points']:+10.1f}{f'>= {POINTS:+g}':>10}"
            start += MISSED if top5["points"] < POINTS else ""
        lines.append(start)
    return "\n".join(lines)


def _rates(rates: Mapping[str, Sequence[float]], over: float | None = None) -> str:
    values = {precision: median(found) for precision, found in rates.items()}
    shown = {name: over / value if over else value for name, value in values.items()}
    return "".join(f"{shown[name]:10.1f}" if name in shown else f"{'-':>10}" for name in PRECISIONS)


def _times(row: Rates, precision: str, mode: str) -> str:
    return f"{row.faster(precision, mode):.2f}x" if precision in getattr(row, mode) else "-"


def setting(kinds: set[str], pictures: str, runs: int, seconds: float) -> str:
    """Return in what circumstances the figures were taken."""
    packages = ", ".join(
        f"{name} {version(name)}" for name in ("topfive", "keras", "openvino", "nncf")
    )
    return (
        f"Lower precision; medians of {runs} rounds, turn by turn, {seconds:g} s each.\n"
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"{'/'.join(sorted(kinds))} weights\n{packages}\n"
        f"oneDNN's instruction set: {os.environ.get('ONEDNN_MAX_CPU_ISA', 'the best there is')}\n"
        f"Made in 8 bits with a third of {pictures}, measured on the others.\n"
        "Random weights: all layers in 8 bits. bf16 stands where the CPU has it.\n"
        f"Each figure stands beside its target;{MISSED} marks one that is missed."
    )


def find_pictures(folder: Path) -> tuple[Path, str]:
    """Return a folder of enough pictures, and what they are in words: the real ones beside the
    checkout, where those are, or made-up ones in `folder`."""
    photographs, words = folder_pictures.find_photographs(folder)
    if len(photographs) >= MADE_UP:
        return photographs[0].parent, words
    more = folder.with_name("more")
    if not more.is_dir():
        folder_pictures.make(more, *folder_pictures.MADE, MADE_UP)
    return more, f"{MADE_UP} made-up pictures"


def precisions() -> tuple[str, ...]:
    """Return which of `PRECISIONS` this machine computes in."""
    without = tuple(name for name in PRECISIONS if name != "bf16")
    if "ONEDNN_MAX_CPU_ISA" in os.environ:  # OpenVINO says what the CPU has, not what it may use
        return without
    code = "from topfive.engines import devices; devices.check_device('CPU', 'bf16')"
    try:
        run(Command((sys.executable, "-c", code), dict(os.environ)))
    except BenchmarkError:
        return without
    return PRECISIONS


def measure(name: str, pictures: Path, folder: Path, seconds: float, runs: int) -> Rates:
    """Measure one network; what it needs is made in `folder`."""
    network = find_network(name)
    kind, weights = provide_file(network, folder / "keras")
    base = environment(folder) | {"PYTHONPATH": str(ROOT), "TOPFIVE_DATA": str(folder / "data")}
    named = (name, str(weights))
    line = (sys.executable, "-m", "topfive", "quantize", str(pictures), "--model", name,
            *own_options(network, weights), "--format", "json", "--force",
            *["--all-layers"] * (kind != "published"))  # fmt: skip
    quantised = json.loads(run(Command(line, base)).output)
    found = precisions()
    sides = [
        Command(
            (sys.executable, "-m", "benchmarks.precision_side", *named, precision,
             "--seconds", str(seconds), *["--one"] * (mode == "one")), base,
        )
        for mode, precision in product(MODES, found)
    ]  # fmt: skip
    for side in sides:
        run(side)  # compiles the network
    rates = [tuple(map(rate, timed)) for timed in turn_by_turn(sides, runs)]
    many, one = rates[: len(found)], rates[len(found) :]
    return Rates(name, kind, dict(zip(found, many, strict=True)),
                 dict(zip(found, one, strict=True)), quantised)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return 0 if it could be run, whatever its figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--seconds", type=float, default=8, help="counted in each round (8)")
    parser.add_argument("--runs", type=int, default=3, help="rounds (3)")
    parser.add_argument("--folder", type=Path, help="keep weights and caches here for a next time")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here, too")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="topfive-benchmark-") as temporary:
        folder = (options.folder or Path(temporary)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        pictures, words = find_pictures(folder / "photographs")
        rows = []
        try:
            for name in options.networks:
                print(f"measuring {name} ...", file=sys.stderr)
                rows.append(measure(name, pictures, folder, options.seconds, options.runs))
        except BenchmarkError as error:
            print(f"precision: {error}", file=sys.stderr)
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
