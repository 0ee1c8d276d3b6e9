"""What the benchmark of folders found: rates, their ratios, the targets, a report."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from statistics import median

from benchmarks.one_photograph import MISSED

NETWORKS = ("efficientnet_lite0", "vgg16", "resnet50", "inception_v3", "xception", "squeezenet")
LONGER = 15  # the command's start and end are counted, too, but should be a small part
# The targets. EfficientNet-Lite0 has none of the first: it computes for so short a time that the
# cores which it shares with decoding decide.
OF_RAW = dict.fromkeys(NETWORKS[1:], 0.95) | {"squeezenet": 0.85}
FASTER = 1.7


@dataclass(frozen=True)
class Rates:
    """Pictures a second with one network, a number for each round. `operations` are those of
    its arithmetic for one picture, and `product` those that a matrix product does in a second.
    `stages` are seconds of one core for a picture: read and decoded, resized and cut out,
    computed."""

    network: str
    weights: str
    operations: int
    exported: tuple[float, ...]
    own: tuple[float, ...]
    batch: tuple[float, ...]
    rows: tuple[float, ...]
    directory: tuple[float, ...]
    tf_data: tuple[float, ...]
    product: tuple[float, ...]
    bf16: tuple[float, ...] = ()
    stages: tuple[tuple[float, float, float], ...] = ()

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

    @property
    def needed(self) -> float:
        """The operations a second that the target over Keras and TensorFlow takes in float32."""
        return FASTER * self.keras * self.operations

    @property
    def most(self) -> float:
        """The operations a second, in float32, of the side that does most."""
        sides = (self.exported, self.own, self.batch, self.rows, self.directory, self.tf_data)
        return max(median(self.product), *(self.operations * median(side) for side in sides))

    @property
    def shares(self) -> list[tuple[float, float]]:
        """Each stage's seconds and its part of their sum."""
        seconds = [median(stage) for stage in zip(*self.stages, strict=True)]
        return [(stage, stage / sum(seconds)) for stage in seconds]

    def to_dict(self) -> dict[str, object]:
        """Return plain values, ready for JSON."""
        ratios = ("of_exported", "of_own", "keras", "faster", "faster_in_bf16", "needed", "most",
                  "shares")  # fmt: skip
        return asdict(self) | {name: getattr(self, name) for name in ratios}


def report(rows: Sequence[Rates]) -> str:
    """Return the results as a text within 80 columns, each figure beside its target."""
    lines = [
        f"{'pictures/s':19}{'benchmark_app, arrays':>22}{'topfive, files':>18}"
        f"{'Keras + TF, files':>20}",
        f"{'network':19}{'Keras graph':>12}{'own graph':>10}{'batch':>9}{'rows()':>9}"
        f"{'its loader':>12}{'tf.data':>8}",
    ]
    for row in rows:
        lines.append(
            f"{row.network:19}{median(row.exported):12.1f}{median(row.own):10.1f}"
            f"{median(row.batch):9.1f}{median(row.rows):9.1f}"
            f"{median(row.directory):12.1f}{median(row.tf_data):8.1f}"
        )
    lines += [
        "",
        f"{'topfive batch':19}{'of Keras graph':>15}{'target':>8}{'of own graph':>14}"
        f"{'of Keras + TF':>15}{'target':>9}",
    ]
    for row in rows:
        least = OF_RAW.get(row.network, 0.0)
        target = f">= {least:.0%}" if least else "-"
        lines.append(
            f"{row.network:19}{row.of_exported:13.1%}{_mark(row.of_exported, least)}"
            f"{target:>8}{row.of_own:12.1%}{_mark(row.of_own, least)}"
            f"{row.faster:12.2f}x{_mark(row.faster, FASTER)}{f'>= {FASTER}x':>9}"
        )
    halves = [(row, row.faster_in_bf16) for row in rows]
    if any(faster for _, faster in halves):
        lines += [
            "",
            f"{'topfive batch':19}{'--precision bf16':>20}{'of Keras + TF (float32)':>28}"
            f"{'target':>12}",
        ]
    for row, faster in halves:
        if faster:
            lines.append(
                f"{row.network:19}{median(row.bf16):20.1f}{faster:25.2f}x"
                f"{_mark(faster, FASTER)}{f'>= {FASTER}x':>12}"
            )
    return "\n".join(lines + _arithmetic(rows) + _stages(rows))


def _arithmetic(rows: Sequence[Rates]) -> list[str]:
    """Return what the target takes of the arithmetic that the machine was seen to do."""
    most = max(row.most for row in rows)
    lines = [
        "",
        f"{'10^9 operations':19}{'a picture':>10}{'Keras + TF':>13}{f'{FASTER} times that':>15}"
        f"{'the most here':>14}{'of that':>9}",
    ]
    for row in rows:
        lines.append(
            f"{row.network:19}{row.operations / 1e9:10.1f}"
            f"{row.keras * row.operations / 1e9:13.0f}{row.needed / 1e9:15.0f}"
            f"{most / 1e9:14.0f}{row.needed / most:9.0%}"
        )
    return lines


def _stages(rows: Sequence[Rates]) -> list[str]:
    """Return what one core spends on a picture, where that was measured."""
    lines = [
        "",
        f"{'ms of one core':19}{'read, decode':>13}{'share':>7}{'resize, cut':>13}{'share':>7}"
        f"{'network':>12}{'share':>7}",
    ]
    for row in rows:
        if row.stages:
            shown = zip((13, 13, 12), row.shares, strict=True)
            figures = [f"{1e3 * seconds:{width}.2f}{part:7.0%}" for width, (seconds, part) in shown]
            lines.append(f"{row.network:19}{''.join(figures)}")
    return lines if len(lines) > 2 else []


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
        "10^9 operations a second: of convolutions and dense layers, in float32; the most\n"
        "that any side, or a matrix product, does.\n"
        "ms of one core: a picture's, of processor time, in one thread.\n"
        f"Each figure stands beside its target;{MISSED} marks one that is missed (the own graph\n"
        "has the same target as Keras's, as a stricter measure)."
    )
