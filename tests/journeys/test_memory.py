"""Whatever is fed: `classify` stays under 700 MB, `batch` under 1.5 GB."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from PIL import Image

SIDE = 10_000
RUN = """
import resource, subprocess, sys
status = subprocess.run([sys.executable, "-m", "topfive", *sys.argv[1:]]).returncode
print("peak", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024, "status", status)
"""


def peak(folder: Path, *arguments: str) -> tuple[int, int]:
    """Run topfive; return its peak memory in bytes, and its exit status."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    _, bytes_, _, status = done.stdout.rsplit(maxsplit=3)[-4:]
    return int(bytes_), int(status)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the unit is Linux's")
def test_a_picture_of_100_megapixels_is_answered_in_little_memory(tmp_path: Path) -> None:
    Image.new("F", (SIDE, SIDE)).save(tmp_path / "f.tif", compression="tiff_lzw")
    used, status = peak(tmp_path, "classify", "f.tif")
    assert status == 0
    assert used < 700_000_000


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the unit is Linux's")
def test_large_members_and_pictures_wait_for_room(tmp_path: Path) -> None:
    Image.new("LA", (SIDE, SIDE)).save(tmp_path / "la.png", compress_level=1)
    with zipfile.ZipFile(tmp_path / "z.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for number in range(4):
            archive.write(tmp_path / "la.png", f"{number}.png")
            archive.writestr(f"{number}.jpg", bytes(400_000_000))
    used, status = peak(tmp_path, "batch", "z.zip", "-q", "-o", "o.jsonl")
    assert status == 1
    assert (tmp_path / "o.jsonl").read_text().count("not-a-picture") == 4
    assert used < 1_500_000_000
