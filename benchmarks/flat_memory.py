"""Peak memory of many pictures: does it grow with their number?

    python -m benchmarks.flat_memory [--counts 10000 100000] [--nested] [--picture small]

Each count is a whole process, `topfive batch` with SqueezeNet over a folder of that many links
to photographs. 100,000 of them take some ten minutes on two cores; `--picture small` is
faster and says so.
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
from pathlib import Path

from benchmarks import folder_pictures
from benchmarks.folder_sides import batch_command
from benchmarks.one_photograph import MISSED, environment
from benchmarks.processes import BenchmarkError, run
from benchmarks.weight_files import ROOT, provide_file
from topfive.networks.find import find_network

COUNTS = (10_000, 100_000)
GROWTH = 1.05  # the target
NETWORK = "squeezenet"


@dataclass(frozen=True)
class Peak:
    """What one process took for `pictures` pictures: seconds, and bytes at most."""

    pictures: int
    seconds: float
    memory: int


def growth(peaks: Sequence[Peak]) -> float:
    """Return the highest peak as a multiple of the lowest."""
    return max(peak.memory for peak in peaks) / min(peak.memory for peak in peaks)


def report(peaks: Sequence[Peak]) -> str:
    """Return the results as a text, the ratio beside its target."""
    lines = [f"{'pictures':>10}{'seconds':>10}{'peak, MB':>12}"]
    lines += [
        f"{peak.pictures:10,}{peak.seconds:10.1f}{peak.memory / 1e6:12,.1f}" for peak in peaks
    ]
    missed = "" if growth(peaks) <= GROWTH else MISSED
    return "\n".join([*lines, f"{'ratio':10}{growth(peaks):22.3f}  <= {GROWTH}{missed}"])


def measure(
    photographs: Sequence[Path], count: int, nested: bool, weights: Path, base: Mapping[str, str]
) -> Peak:
    """Measure one process over `count` links.

    Raises:
        BenchmarkError: it failed, or did not write a row for each.
    """
    with tempfile.TemporaryDirectory(prefix="topfive-pictures-") as folder:
        pictures = folder_pictures.link(photographs, Path(folder) / "pictures", count, nested)
        output = Path(folder) / "results.jsonl"
        done = run(batch_command(pictures, find_network(NETWORK), weights, output, base))
        with output.open("rb") as lines:
            rows = sum(1 for _ in lines)
    if rows != count:
        raise BenchmarkError(f"expected {count} rows; received {rows}")
    return Peak(count, done.seconds, done.memory)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return 0 if it could be run, whatever its figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--counts", nargs="+", type=int, default=COUNTS, metavar="N")
    parser.add_argument("--nested", action="store_true", help="folders of 1,000 instead of one")
    parser.add_argument("--picture", choices=("real", "small"), default="real")
    parser.add_argument("--folder", type=Path, help="keep weights and caches here for a next time")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here, too")
    options = parser.parse_args(arguments)
    small = options.picture == "small"
    with tempfile.TemporaryDirectory(prefix="topfive-benchmark-") as temporary:
        folder = (options.folder or Path(temporary)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        name = "small" if small else "photographs"
        photographs, words = folder_pictures.find_photographs(folder / name, small)
        kind, weights = provide_file(find_network(NETWORK), folder / "keras")
        base = environment(folder) | {"PYTHONPATH": str(ROOT)}
        try:
            measure(photographs, 32, False, weights, base)  # compiles the network
            peaks = []
            for count in options.counts:
                print(f"measuring {count:,} pictures ...", file=sys.stderr)
                peaks.append(measure(photographs, count, options.nested, weights, base))
        except BenchmarkError as error:
            print(f"flat_memory: {error}", file=sys.stderr)
            return 1
    circumstances = (
        f"Peak memory of `topfive batch` with {NETWORK} ({kind} weights), whole process.\n"
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n"
        f"Links to {words}, {'in folders of 1,000' if options.nested else 'in one folder'}.\n"
        f"{MISSED.strip()} marks a target that is missed."
    )
    print(circumstances, report(peaks), sep="\n\n")
    if options.json:
        content = {
            "setting": circumstances.splitlines(),
            "peaks": [asdict(peak) for peak in peaks],
            "ratio": growth(peaks),
        }
        options.json.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
