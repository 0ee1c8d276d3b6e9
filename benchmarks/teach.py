"""Teaching: how long it takes beside its features, and how good the network is.

    python -m benchmarks.teach [--networks NAME ...] [--each N] [--runs N] [--json FILE]

Ten classes of drawings (`benchmarks.class_pictures`) are taught to the default network, and to
SqueezeNet where its weights are at hand, turn by turn with `topfive features` on the same
pictures: whole processes, each from an empty cache of features, the network compiled before. Then
the classes are appended to ImageNet's thousand with one half of the real photographs that are
beside the checkout, top-1 is measured on the other half, and the other way round; and a
correction is timed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import class_pictures
from benchmarks.folder_pictures import PHOTOGRAPHS
from benchmarks.one_photograph import MISSED, environment
from benchmarks.processes import BenchmarkError, Command, Run, run
from benchmarks.weight_files import own_options, provide_file, published_file
from topfive.networks.published import DEFAULT_NETWORK, find_published

NETWORKS = (DEFAULT_NETWORK, "squeezenet")
RATIO, HELD_OUT, COST = 1.3, 88.0, 2.0  # the targets: times, percent, points
SIZE = 320  # pixels of a drawing's side


class Sides:
    """The commands that are measured with one network, in a folder of their own."""

    def __init__(self, folder: Path, each: int, name: str) -> None:
        self.folder = folder
        self.environment = environment(folder) | {"TOPFIVE_DATA": str(folder / "data")}
        network = find_published(name)
        self.kind, file = provide_file(network, folder / "keras")
        self.model = ("--model", name, *own_options(network, file))
        self.pictures = class_pictures.write(folder / "shapes", each=each, size=SIZE)

    def topfive(self, *arguments: str) -> Run:
        """Run a command."""
        command = (sys.executable, "-m", "topfive", *arguments)
        return run(Command(command, self.environment))

    def compile(self) -> None:
        """Have the network compiled, which is not a part of what is measured."""
        picture = next(self.pictures.rglob("*.jpg"))
        self.topfive("classify", str(picture), *self.model)

    def features(self) -> Run:
        """Compute the features of the pictures, and nothing else."""
        self._forget()
        out = str(self.folder / "shapes.npy")
        return self.topfive("features", str(self.pictures), "-o", out, "--force", "-q", *self.model)

    def teach(self) -> tuple[Run, dict[str, Any]]:
        """Teach the classes; return what was said of the network, too."""
        self._forget()
        done = self.topfive("teach", str(self.pictures), "-o", str(self.folder / "own"), "--force",
                            "-q", "-f", "json", *self.model)  # fmt: skip
        return done, json.loads(done.output)

    def extend(self, photographs: Path) -> dict[str, Any]:
        """Append the classes to ImageNet's; return what was said of the network."""
        done = self.topfive("teach", str(self.pictures), "-o", str(self.folder / "both"), "--force",
                            "--extend", "--old", str(photographs), "-q", "-f", "json",
                            *self.model)  # fmt: skip
        return dict(json.loads(done.output), seconds=done.seconds)

    def top1(self, photographs: Path, *model: str) -> Mapping[str, Any]:
        """Return the top-1 of a network on the photographs: `hits` and `of`."""
        done = self.topfive("evaluate", str(photographs), "-q", "-f", "json", *model)
        top1: Mapping[str, Any] = json.loads(done.output)["evaluations"][0]["top1"]
        return top1

    def correct(self, picture: Path) -> Run:
        """Add a picture of a class that is there."""
        return self.topfive("teach", str(self.folder / "own"), "--add", str(picture), "rings")

    def _forget(self) -> None:
        for file in (self.folder / "cache").glob("*.features*"):
            file.unlink()


def measure(sides: Sides, runs: int) -> dict[str, Any]:
    """Return all figures of one network."""
    sides.compile()
    features, taught = [], []
    told: dict[str, Any] = {}
    for _ in range(runs):
        features.append(sides.features().seconds)
        done, told = sides.teach()
        taught.append(done.seconds)
    found = {
        "weights": sides.kind,
        "features": median(features),
        "teach": median(taught),
        "ratio": median(taught) / median(features),
        "pictures": told["pictures"] + told["held_out"],
        "held_out": told["accuracy"]["all"],
    }
    drawn = class_pictures.write(sides.folder / "more", ["rings"], each=runs, size=SIZE, seed=99)
    times = [sides.correct(picture).seconds for picture in sorted(drawn.rglob("*.jpg"))]
    found["correction"] = median(times)
    if PHOTOGRAPHS.is_dir():
        found["extending"] = extending(sides)
    return found


def extending(sides: Sides) -> dict[str, Any]:
    """Return what it costs to extend with one half of the photographs, measured on the other,
    both ways: counts `before` and `after`, of all; new ones recognised; the seconds."""
    photographs = sorted(PHOTOGRAPHS.glob("*.JPEG"))
    halves = [sides.folder / f"half{number}" for number in range(2)]
    for number, half in enumerate(halves):
        half.mkdir()
        for photograph in photographs[number::2]:
            (half / photograph.name).symlink_to(photograph)
    counts = dict.fromkeys(("before", "after", "of", "recognised", "new"), 0)
    seconds = []
    for old, others in (halves, reversed(halves)):
        told = sides.extend(old)
        seconds.append(told["seconds"])
        before = sides.top1(others, *sides.model)
        counts["before"] += before["hits"]
        counts["of"] += before["of"]
        counts["after"] += sides.top1(others, "--model", str(sides.folder / "both"))["hits"]
        counts["recognised"] += told["outcome"]["recognised"]["hits"]
        counts["new"] += told["outcome"]["recognised"]["of"]
    return {**counts, "seconds": median(seconds)}


def report(found: Mapping[str, Mapping[str, Any]], runs: int) -> str:
    """Return each network's figures as a text, each beside its target."""
    kinds = "/".join(sorted({one["weights"] for one in found.values()}))
    pictures = next(iter(found.values()))["pictures"]
    lines = [
        f"Teaching ten classes, {pictures:,} drawings of {SIZE} x {SIZE};",
        f"whole processes, medians of {runs} runs, turn by turn.",
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"{kinds} weights",
        f"topfive {version('topfive')}, openvino {version('openvino')}, "
        f"scikit-learn {version('scikit-learn')}",
        f"Each figure stands beside its target; {MISSED.strip()} marks one that is missed.",
        "",
        f"{'':28}{''.join(f'{name:>20}' for name in found)}{'target':>12}",
        _row("features alone", [f"{one['features']:.2f} s" for one in found.values()]),
        _row("teach", [f"{one['teach']:.2f} s" for one in found.values()]),
        _row("teach, times features", [f"{one['ratio']:.2f}x" for one in found.values()],
             f"<= {RATIO}x", [one["ratio"] <= RATIO for one in found.values()]),
    ]  # fmt: skip
    right = [_percent(one["held_out"]["hits"], one["held_out"]["of"]) for one in found.values()]
    lines += [
        _row("right, of those held out", [f"{one:.1f} %" for one in right],
             f">= {HELD_OUT:.0f} %", [one >= HELD_OUT for one in right]),
        _row("a correction (--add)", [f"{one['correction']:.2f} s" for one in found.values()]),
    ]  # fmt: skip
    told = [one["extending"] for one in found.values() if "extending" in one]
    return "\n".join([*lines, *(_extending(told) if told else ())])


def _extending(told: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what it costs each network to be extended."""
    points = [100 * (one["before"] - one["after"]) / one["of"] for one in told]
    before, after = (
        [f"{_percent(one[when], one['of']):.1f} %" for one in told] for when in ("before", "after")
    )
    new = [f"{_percent(one['recognised'], one['new']):.1f} %" for one in told]
    return [
        "",
        f"extending, with one half of {told[0]['of']} photographs, measured on the other:",
        _row("top-1 before", before),
        _row("top-1 after", after),
        _row("it costs, in points", [f"{one:.1f}  " for one in points], f"<= {COST:.0f}",
             [one <= COST for one in points]),
        _row("new ones recognised", new),
        _row("extending", [f"{one['seconds']:.2f} s" for one in told]),
    ]  # fmt: skip


def _percent(hits: int, of: int) -> float:
    return 100 * hits / of


def _row(
    what: str, figures: Sequence[str], target: str = "", met: Sequence[bool] | None = None
) -> str:
    marks = ["" if good else MISSED for good in met or [True] * len(figures)]
    cells = [f"{figure:>18}{mark:2}" for figure, mark in zip(figures, marks, strict=True)]
    return f"{what:28}{''.join(cells)}{target:>12}".rstrip()


def at_hand() -> list[str]:
    """Return the default network and those of the others whose published weights are here."""
    default, *others = NETWORKS
    return [default, *(name for name in others if published_file(find_published(name)))]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return 0 if it could be run, whatever its figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, metavar="NAME",
                        help="those whose published weights are at hand")  # fmt: skip
    parser.add_argument("--each", type=int, default=100, help="pictures of a class (100)")
    parser.add_argument("--runs", type=int, default=5, help="timed runs of each side (5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here, too")
    options = parser.parse_args(arguments)
    found = {}
    with tempfile.TemporaryDirectory(prefix="topfive-benchmark-") as temporary:
        try:
            for name in options.networks or at_hand():
                print(f"measuring {name} ...", file=sys.stderr)
                found[name] = measure(
                    Sides(Path(temporary) / name, options.each, name), options.runs
                )
        except BenchmarkError as error:
            print(f"teach: {error}", file=sys.stderr)
            return 1
    print(report(found, options.runs))
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
