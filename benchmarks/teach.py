"""Teaching: how long it takes beside its features, and how good the network is.

    python -m benchmarks.teach [--each N] [--runs N] [--json FILE]

Ten classes of drawings (`benchmarks.class_pictures`) are taught to SqueezeNet, turn by turn
with `topfive features` on the same pictures: whole processes, each from an empty cache of
features, the network compiled before. Then the classes are appended to ImageNet's thousand
with one half of the real photographs that are beside the checkout, top-1 is measured on the
other half, and the other way round; and a correction is timed.
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
from benchmarks.weight_files import provide_file
from topfive.networks import find_published

NETWORK = "squeezenet"
RATIO, HELD_OUT, COST = 1.3, 88.0, 2.0  # the targets: times, percent, points
SIZE = 320  # pixels of a drawing's side


class Sides:
    """The commands that are measured, in a folder of their own."""

    def __init__(self, folder: Path, each: int) -> None:
        self.folder = folder
        self.environment = environment(folder) | {"TOPFIVE_DATA": str(folder / "data")}
        self.kind, file = provide_file(find_published(NETWORK), folder / "keras")
        self.model = ("--model", NETWORK, "--weights", str(file))
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
    """Return all figures."""
    sides.compile()
    features, taught = [], []
    told: dict[str, Any] = {}
    for _ in range(runs):
        features.append(sides.features().seconds)
        done, told = sides.teach()
        taught.append(done.seconds)
    found = {
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


def report(found: Mapping[str, Any], kind: str, runs: int) -> str:
    """Return the figures as a text, each beside its target."""
    right = found["held_out"]
    percent = 100 * right["hits"] / right["of"]
    lines = [
        f"Teaching SqueezeNet ten classes, {found['pictures']:,} drawings of {SIZE} x {SIZE};",
        f"whole processes, medians of {runs} runs, turn by turn.",
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"{kind} weights",
        f"topfive {version('topfive')}, openvino {version('openvino')}, "
        f"scikit-learn {version('scikit-learn')}",
        f"Each figure stands beside its target; {MISSED} marks one that is missed.",
        "",
        f"features alone                 {found['features']:6.2f} s",
        f"teach                          {found['teach']:6.2f} s",
        _row("teach, times features", f"{found['ratio']:6.2f}x", f"<= {RATIO}x",
             found["ratio"] <= RATIO),
        _row("right, of those held out", f"{percent:6.1f} %", f">= {HELD_OUT:.0f} %",
             percent >= HELD_OUT),
        f"a correction (--add)           {found['correction']:6.2f} s",
    ]  # fmt: skip
    if "extending" in found:
        told = found["extending"]
        points = 100 * (told["before"] - told["after"]) / told["of"]
        lines += [
            "",
            f"extending, with one half of {told['of']} photographs, measured on the other:",
            f"top-1 before                   {100 * told['before'] / told['of']:6.1f} %",
            f"top-1 after                    {100 * told['after'] / told['of']:6.1f} %",
            _row("it costs, in points", f"{points:6.1f}  ", f"<= {COST:.0f}", points <= COST),
            f"new ones recognised            {100 * told['recognised'] / told['new']:6.1f} %",
            f"extending                      {told['seconds']:6.2f} s",
        ]
    return "\n".join(lines)


def _row(what: str, figure: str, target: str, met: bool) -> str:
    mark = "" if met else f" {MISSED}"
    return f"{what:<30} {figure}   {target}{mark}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return 0 if it could be run, whatever its figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--each", type=int, default=100, help="pictures of a class (100)")
    parser.add_argument("--runs", type=int, default=5, help="timed runs of each side (5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here, too")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="topfive-benchmark-") as temporary:
        try:
            sides = Sides(Path(temporary), options.each)
            found = measure(sides, options.runs)
        except BenchmarkError as error:
            print(f"teach: {error}", file=sys.stderr)
            return 1
    print(report(found, sides.kind, options.runs))
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
