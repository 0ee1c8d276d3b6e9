"""The pictures that the benchmarks of folders read: many links to a few photographs.

Run as `python -m benchmarks.folder_pictures FOLDER [--small]` it makes photographs of its
own, in a process whose memory nobody counts.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from benchmarks.weight_files import ROOT

PHOTOGRAPHS = ROOT.parent / "shared" / "images"
MADE, SMALL = (500, 375), (64, 48)  # width, height in pixels
A_FOLDER = 1000


def find_photographs(folder: Path, small: bool = False) -> tuple[list[Path], str]:
    """Return photographs, in the order of their names, and what they are in words.

    They are the real ones beside the checkout, where those are; else, or where `small` ones
    are asked for, they are made in `folder`.
    """
    real = sorted(PHOTOGRAPHS.glob("*.JPEG"))
    if real and not small:
        return real, f"{len(real)} photographs, {_megabytes(real)}"
    if not folder.is_dir():
        size = ["--small"] if small else []
        maker = (sys.executable, "-m", "benchmarks.folder_pictures", str(folder), *size)
        subprocess.run(maker, cwd=ROOT, check=True)
    made = sorted(folder.glob("*.jpg"))
    width, height = SMALL if small else MADE
    return made, f"{len(made)} made-up JPEGs of {width} x {height}, {_megabytes(made)}"


def link(photographs: Sequence[Path], folder: Path, count: int, nested: bool = False) -> Path:
    """Fill a new folder with `count` links to the photographs, in turn; return it.

    They lie side by side or, `nested`, in folders of a thousand. Each is called `.jpg`.
    """
    folder.mkdir(parents=True)
    for number in range(count):
        place = folder / f"{number // A_FOLDER:04}" if nested else folder
        if nested and number % A_FOLDER == 0:
            place.mkdir()
        (place / f"{number:07}.jpg").symlink_to(photographs[number % len(photographs)])
    return folder


def first(folder: Path, count: int) -> list[Path]:
    """Return the folder's first pictures, in the order of their names."""
    return list(islice(sorted(folder.iterdir()), count))


def make(folder: Path, width: int, height: int, count: int = 32) -> None:
    """Write JPEGs of coloured blobs."""
    from PIL import Image
    from tests.support.fakes import pictures

    folder.mkdir(parents=True)
    for number, pixels in enumerate(pictures(count, max(width, height))):
        Image.fromarray(pixels[:height, :width]).save(folder / f"{number:04}.jpg", quality=90)


def _megabytes(files: Sequence[Path]) -> str:
    return f"{sum(file.stat().st_size for file in files) / 1e6:.1f} MB"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--small", action="store_true")
    options = parser.parse_args()
    make(options.folder, *(SMALL if options.small else MADE))
