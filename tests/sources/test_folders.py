"""Folders of any size, in order, in little memory."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from topfive.errors import OutputError
from topfive.sources import folders
from topfive.sources.folders import Names, match, walk

ODD = ["b\udcff.jpg", "ünï ☃.jpg", "line\nbreak", "😀", "\uffee", "Z", "a", "b", "-"]


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """All but the smallest folders are sorted on disk."""
    monkeypatch.setattr(folders, "FEW", 3)


def test_names_come_sorted_and_once_in_memory_and_on_disk(few: None) -> None:
    for length in (0, 2, 3, 4, len(ODD)):
        names = Names()
        for name in [*ODD[:length], *ODD[:length]]:
            names.add(name)
        assert list(names) == sorted(ODD[:length])
        assert list(names) == sorted(ODD[:length])
        names.close()


def tree(top: Path) -> list[str]:
    """Make files in folders in folders; return them as `walk` should."""
    expected = []
    for folder in ("", "in", "in/deep", "z"):
        (top / folder).mkdir(exist_ok=True)
        for name in sorted(["1", "2", "10", "x.jpg", "y", *ODD[:3]]):
            (top / folder / name).touch()
            expected.append(str(top / folder / name))
    return expected


def test_large_folders_come_in_the_order_of_small_ones(few: None, tmp_path: Path) -> None:
    expected = tree(tmp_path)
    assert list(walk(str(tmp_path), recursive=True)) == expected
    assert list(walk(str(tmp_path), recursive=False)) == expected[:8]
    assert list(match(f"{tmp_path}/**")) == sorted(expected)
    assert list(match(f"{tmp_path}/**/**/*.jpg")) == sorted(
        path for path in expected if path.endswith(".jpg")
    )


def test_unordered_the_same_files_come(few: None, tmp_path: Path) -> None:
    expected = tree(tmp_path)
    assert sorted(map(str, walk(str(tmp_path), True, ordered=False))) == sorted(expected)
    assert sorted(match(f"{tmp_path}/**", ordered=False)) == sorted(expected)
    twice = list(match(f"{tmp_path}/**/*e*/**", ordered=False))
    assert sorted(twice) == sorted(path for path in expected if "/deep/" in path)


def test_folders_nested_deeper_than_pythons_stack_are_walked(tmp_path: Path) -> None:
    depth = sys.getrecursionlimit() + 100
    start = Path.cwd()
    os.chdir(tmp_path)
    try:
        for _ in range(depth):
            Path("d").mkdir()
            os.chdir("d")
        Path("file").touch()
        os.chdir(tmp_path)
        assert list(walk("d", recursive=True)) == ["d/" * depth + "file"]
        assert list(match("**/file")) == ["d/" * depth + "file"]
    finally:
        os.chdir(tmp_path)
        subprocess.run(["/bin/rm", "-rf", "d"], check=True)
        os.chdir(start)


def test_the_first_file_of_an_unordered_folder_comes_before_the_others(tmp_path: Path) -> None:
    for number in range(2000):
        (tmp_path / str(number)).touch()
    tracemalloc.start()
    try:
        found = walk(str(tmp_path), False, ordered=False)
        next(found)
        assert tracemalloc.get_traced_memory()[1] < 100_000
        assert sum(1 for _ in found) == 1999
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


MEASURE = """
import os, sys
from topfive.sources import folders

class Entry:
    def __init__(self, number):
        self.name = f"{number * 7919 % 300_000:06}-with-a-name-of-usual-length.jpg"
        self.path = os.path.join("many", self.name)
    def is_dir(self):
        return False

class Entries:
    def __enter__(self):
        return map(Entry, range(int(sys.argv[1])))
    def __exit__(self, *error):
        pass

def peak():
    text = open("/proc/self/status").read()
    return int(text.split("VmHWM:")[1].split()[0])

import sqlite3, tempfile
os.scandir = lambda folder: Entries()
before, last, number = peak(), "", 0
for path in folders.walk("many", False):
    if not last < path:
        sys.exit(f"{last} before {path}")
    last, number = path, number + 1
print(number, peak() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's counters")
def test_memory_does_not_grow_with_the_folder() -> None:
    """The folder is made up: to make 300,000 files takes longer than all tests here."""
    command = [sys.executable, "-c", MEASURE, "300000"]
    number, grown = subprocess.run(
        command, capture_output=True, text=True, check=True
    ).stdout.split()
    assert number == "300000"
    assert int(grown) < 10 << 10  # KiB


FILL = """
import resource
from topfive.sources import folders
from topfive.errors import OutputError
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
names = folders.Names()
try:
    for number in range(200_000):
        names.add(f"{number:060}")
    list(names)
except OutputError as error:
    print(error)
"""


def test_a_full_disk_is_one_line_that_says_what_to_do() -> None:
    done = subprocess.run([sys.executable, "-c", FILL], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1
    assert "cannot sort the names" in done.stdout
    assert "SQLITE_TMPDIR" in done.stdout


def test_a_database_that_goes_wrong_is_an_output_error(few: None) -> None:
    names = Names()
    for name in ODD:
        names.add(name)
    names.close()
    with pytest.raises(OutputError):
        list(names)
