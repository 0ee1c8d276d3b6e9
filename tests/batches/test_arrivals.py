"""A file in a watched folder gets the answer of the whole file in the end, however it came."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import pytest
from PIL import Image

from tests.support import fakes
from topfive.batches import arrivals
from topfive.batches.arrivals import Arrivals
from topfive.batches.journal import Journal
from topfive.batches.placing import Placer
from topfive.errors import PictureError
from topfive.results import Failure, Prediction, Row, RowDict
from topfive.sources import arguments
from topfive.sources.source import Source

WHOLE = b"a whole picture"
FUTURE = 4e9


class Watch:
    """A folder that is watched: what is no `WHOLE` picture is broken. The test has the clock."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.late = folder, 0.0
        self.file = folder / "a.jpg"
        self.journal = Journal(folder.parent / "rows.partial", {})
        self.placer: Placer | None = None
        self.answered = 0
        monkeypatch.setattr(arrivals, "monotonic", lambda: self.late)
        self.begin()

    def begin(self) -> None:
        """Be a new process."""
        self.arrivals = Arrivals(self.journal, self.placer)
        self.journal.renew()

    def look(self, times: int = 4) -> None:
        """Look now and then, a second between."""
        for _ in range(times):
            found = arguments.read([str(self.folder)], recursive=True, unpack=True)
            for source in self.arrivals.look(found):
                self.answered += 1
                self.add(source)
            self.journal.renew()
            self.late += 1.0

    def add(self, source: Source) -> None:
        try:
            content = bytes(source.read())
        except PictureError:
            content = b""
        found = Failure(source.name, "broken", "cut off")
        row: RowDict = Row(found, "n", "r", "w", 1.0, hashlib.sha256(content).hexdigest()).to_dict()
        if content == WHOLE or content.startswith(b"RIFF"):
            best = Prediction(0, "n1", "whole" if content == WHOLE else "other", 1.0)
            row = {**row, "error": None, "predictions": [asdict(best)]}
        if self.placer:
            self.placer.add(source, row)
        else:
            self.journal.add(row)

    def states(self) -> list[str]:
        """Return of each row whether the picture is whole."""
        return ["broken" if row["error"] else "whole" for row in self.journal.rows()]


@pytest.fixture
def watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    (tmp_path / "in").mkdir()
    made = Watch(tmp_path / "in", monkeypatch)
    yield made
    made.journal.close()


def grow(watch: Watch) -> None:
    for size in range(1, len(WHOLE) + 1):
        watch.file.write_bytes(WHOLE[:size])
        watch.look(1)


def stall(watch: Watch) -> None:
    watch.file.write_bytes(WHOLE[:5])
    watch.look()
    assert watch.states() == ["broken"]
    watch.file.write_bytes(WHOLE)


def grow_of_another_time(when: float) -> Callable[[Watch], None]:
    def come(watch: Watch) -> None:
        for size in range(1, len(WHOLE) + 1):
            watch.file.write_bytes(WHOLE[:size])
            os.utime(watch.file, (when, when))
            watch.look(1)

    return come


def stay_of_the_same_size_and_time(watch: Watch) -> None:
    watch.file.write_bytes(WHOLE[::-1])
    os.utime(watch.file, (0, 0))
    watch.look()
    watch.file.write_bytes(WHOLE)
    os.utime(watch.file, (0, 0))


def be_replaced(watch: Watch) -> None:
    watch.file.write_bytes(b"another")
    watch.look()
    new = watch.folder / ".upload"
    new.write_bytes(WHOLE)
    new.rename(watch.file)


def shrink(watch: Watch) -> None:
    watch.file.write_bytes(WHOLE + bytes(99))  # room was made for more
    watch.look()
    os.truncate(watch.file, len(WHOLE))


def lead_nowhere(watch: Watch) -> None:
    watch.file.symlink_to(watch.folder.parent / "later")
    watch.look(1)
    (watch.folder.parent / "later").write_bytes(WHOLE)


def come_while_nobody_looks(watch: Watch) -> None:
    watch.file.write_bytes(WHOLE[:5])
    watch.look()
    watch.file.write_bytes(WHOLE)
    watch.begin()


WAYS = [
    grow, stall, grow_of_another_time(0.0), grow_of_another_time(FUTURE),
    stay_of_the_same_size_and_time, be_replaced, shrink, lead_nowhere, come_while_nobody_looks,
]  # fmt: skip


@pytest.mark.parametrize("come", WAYS)
def test_there_is_one_row_in_the_end_and_it_is_of_the_whole_file(
    watch: Watch, come: Callable[[Watch], None]
) -> None:
    come(watch)
    watch.look()
    assert watch.states() == ["whole"]
    before = watch.answered
    watch.look(9)
    assert watch.answered == before <= 2
    assert watch.journal.summary().rows == 1


def test_a_file_that_grows_is_not_answered_before_it_is_whole(watch: Watch) -> None:
    for when in (None, 0.0, FUTURE):
        watch.file = watch.folder / f"{when}.jpg"
        for size in range(1, len(WHOLE) + 1):
            watch.file.write_bytes(WHOLE[:size])
            if when is not None:
                os.utime(watch.file, (when, when))
            watch.look(1)
    watch.look()
    assert watch.answered == 3
    assert watch.states() == ["whole"] * 3


def test_what_is_touched_or_linked_is_not_answered_again(watch: Watch) -> None:
    watch.file.write_bytes(WHOLE)
    watch.look()
    watch.file.touch()
    watch.look()
    watch.file.chmod(0o600)
    watch.look()
    os.link(watch.file, watch.folder.parent / "backup")
    watch.look()
    assert watch.answered == 1


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_an_archive_that_was_cut_off_is_no_row_any_longer(watch: Watch, compression: int) -> None:
    whole = watch.folder.parent / "whole.zip"
    with zipfile.ZipFile(whole, "w", compression) as archive:
        archive.writestr("a.jpg", WHOLE)
    file = watch.folder / "a.zip"
    found = [str(file)]

    def look() -> None:
        for _ in range(4):
            for source in watch.arrivals.look(arguments.read(found, unpack=True)):
                watch.add(source) if source.name != found[0] else watch.journal.add(
                    Row(Failure(source.name, "broken", "cut"), "n", "r", "w", 1.0).to_dict()
                )
            watch.journal.renew()
            watch.late += 1

    file.write_bytes(whole.read_bytes()[:-9])
    look()
    assert [row["source"] for row in watch.journal.rows()] == found
    file.write_bytes(whole.read_bytes())
    look()
    assert [row["source"] for row in watch.journal.rows()] == [f"{file}/a.jpg"]
    assert watch.states() == ["whole"]


@pytest.mark.parametrize("how", ["copy", "link", "move"])
def test_what_was_placed_of_a_changed_picture_follows_it(watch: Watch, how: str) -> None:
    place = watch.folder.parent / "sorted"
    watch.placer = Placer(place, how, watch.journal)
    watch.begin()
    watch.file.write_bytes(b"RIFF")
    watch.look()
    assert [file.parent.name for file in place.rglob("*.jpg")] == ["other"]
    watch.file.unlink(missing_ok=True)
    watch.file.write_bytes(WHOLE)
    watch.look()
    placed = {file.parent.name: file.read_bytes() for file in place.rglob("*.jpg")}
    moved = {"other": b"RIFF"} if how == "move" else {}  # which was another picture
    assert placed == {"whole": WHOLE} | moved
    assert watch.states() == ["whole"] * len(placed)


@pytest.mark.slow
def test_a_file_that_stalls_is_answered_whole_by_the_command(
    tmp_path: Path, weight_file: Path, warm: Path
) -> None:
    folder, output = tmp_path / "in", tmp_path / "rows.csv"
    folder.mkdir()
    Image.fromarray(fakes.pictures(1, 80)[0]).save(tmp_path / "whole.png")
    content = (tmp_path / "whole.png").read_bytes()
    line = [sys.executable, "-m", "topfive", "batch", str(folder), "-o", str(output), "--watch",
            "-m", "squeezenet_v1.1", "--weights", str(weight_file), "-q"]  # fmt: skip
    (folder / "a.png").write_bytes(content[: len(content) // 2])
    process = subprocess.Popen(line)
    limit = time.monotonic() + 60

    def wait(word: str) -> None:
        while not output.exists() or word not in output.read_text():
            assert time.monotonic() < limit
            time.sleep(0.1)

    wait(",broken,")
    (folder / "a.png").write_bytes(content)
    wait(",n0")
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
    assert len(output.read_text().splitlines()) == 2
