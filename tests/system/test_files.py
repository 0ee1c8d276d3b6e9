"""Files appear whole or not at all, and what killed processes left is cleared away."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from topfive.errors import OutputError
from topfive.system import files


def interrupt(part: Path) -> None:
    part.write_text("half")
    raise KeyboardInterrupt


def test_a_file_appears_when_the_block_has_ended(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("old")
    with files.replacing(file) as part:
        part.write_text("new")
        assert file.read_text() == "old"
        assert part.parent == tmp_path
    assert file.read_text() == "new"
    assert list(tmp_path.iterdir()) == [file]


def test_what_was_there_stays_where_the_block_fails(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("old")
    with pytest.raises(KeyboardInterrupt), files.replacing(file) as part:
        interrupt(part)
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_what_the_file_system_refuses_is_one_line(tmp_path: Path, small_disk: Path) -> None:
    absent = tmp_path / "absent" / "a.txt"
    with (
        pytest.raises(OutputError, match=f"cannot write {absent}: No such file"),
        files.replacing(absent) as part,
    ):
        part.touch()
    with (
        pytest.raises(OutputError, match="the disk is full"),
        files.replacing(small_disk / "b.bin") as part,
    ):
        part.write_bytes(bytes(2**21))
    assert list(small_disk.iterdir()) == []
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(OutputError, match="cannot write"), files.replacing(folder) as part:
        part.touch()


@pytest.mark.parametrize("name", ["é" * 120, "[x]*?.txt", "a\udcff.txt"])
def test_any_name_will_do(tmp_path: Path, name: str) -> None:
    with files.replacing(tmp_path / name) as part:
        part.write_text("new")
    assert os.listdir(tmp_path) == [name]


def test_what_a_killed_process_left_goes_after_a_day(tmp_path: Path) -> None:
    old, new, other = (tmp_path / f".{name}" for name in (
        "a.txt.writing-1", "a.txt.writing-2", "b.txt.writing-1"))  # fmt: skip
    for left in (old, new, other):
        left.touch()
    os.utime(old, (1, 1))
    os.utime(other, (1, 1))
    with files.replacing(tmp_path / "a.txt") as part:
        part.touch()
    assert sorted(tmp_path.iterdir()) == sorted([tmp_path / "a.txt", new, other])


def test_a_work_folder_goes_and_takes_those_of_killed_processes_along(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from topfive.system.files import work_folder\n"
        "with work_folder(Path(sys.argv[1]), '.x-'): print(flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    killed, alive = (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(2)
    )
    for one in (killed, alive):
        assert one.stdout
        assert one.stdout.readline()
    killed.kill()
    killed.communicate()
    assert len(list(tmp_path.iterdir())) == 2
    with files.work_folder(tmp_path, ".x-") as work:
        assert len(list(tmp_path.iterdir())) == 2
        (work / "part").touch()
    assert len(list(tmp_path.iterdir())) == 1
    alive.communicate()
    assert list(tmp_path.iterdir()) == []


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(os.fspath(path))


NOT_REGULAR: dict[str, Callable[[Path], object]] = {
    "a pipe": os.mkfifo,
    "a socket": make_socket,
    "a folder": Path.mkdir,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a file of /proc": lambda path: path.symlink_to("/proc/self/status"),
    "a circle": lambda path: path.symlink_to(path),
}


@pytest.mark.skipif(sys.platform != "linux", reason="Linux has all of them")
@pytest.mark.parametrize("make", NOT_REGULAR.values(), ids=NOT_REGULAR)
def test_what_is_no_regular_file_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], object]
) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's name is short
    make(Path("it"))
    for read in (files.open_regular, files.sha256_of, lambda file: files.read_regular(file, 9)):
        with pytest.raises(OSError, match=r"regular|irectory|symbolic"):
            read(Path("it"))


def test_what_takes_a_files_place_meanwhile_is_refused_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "it"
    file.write_bytes(b"x")
    status = os.stat(file)  # noqa: PTH116
    file.unlink()
    os.mkfifo(file)
    monkeypatch.setattr(os, "stat", lambda _: status)
    with pytest.raises(OSError, match="not a regular file"):
        files.open_regular(file)


def test_a_regular_file_is_read_up_to_a_limit(tmp_path: Path) -> None:
    file = tmp_path / "it"
    for content in (b"", b"12345"):
        file.write_bytes(content)
        assert files.read_regular(file, 5) == content
        with files.open_regular(file) as stream:
            assert os.get_blocking(stream.fileno())
            assert stream.read() == content
    with pytest.raises(OSError, match="over the limit of 4 bytes"):
        files.read_regular(file, 4)
