"""Pictures sorted into folders: each once, nothing overwritten, nothing outside."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from topfive.batches import placing
from topfive.batches.journal import Journal
from topfive.batches.placing import Placer
from topfive.errors import OutputError, PictureError, UsageError
from topfive.networks import hierarchy, labels
from topfive.sources.source import Source

LABELS = labels.load("imagenet")
NODES = hierarchy.load(LABELS)
LOOP = """
import sys; from pathlib import Path
from tests.batches.test_placing import row
from topfive.batches.journal import Journal; from topfive.batches.placing import Placer
from topfive.sources.source import Source
folder, how = Path(sys.argv[1]), sys.argv[2]
with Journal(folder / "run.partial", {}) as journal:
    placer = Placer(Path(sys.argv[3]), how, journal)
    for name, fault in placer.go_on():
        if fault: raise fault
    print(flush=True)
    for file in sorted((folder / "pictures").glob("*/*.jpg")):
        if not journal.claim(str(file)):
            placer.add(Source(str(file), file), row(file))
    journal.finish()
"""


def row(file: Path | str, label: str = "dog", index: int = 0, content: bytes = b"") -> Any:
    """Return the row of a picture with this first label."""
    content = file.read_bytes() if isinstance(file, Path) else content
    first = {"index": index, "wnid": LABELS[index].wnid, "label": label, "probability": 0.9}
    hashed = hashlib.sha256(content).hexdigest()
    return {"source": str(file), "sha256": hashed, "predictions": [first], "error": None}


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "run.partial", {}) as journal:
        yield journal


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    return make(tmp_path / "pictures" / "a.jpg")


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on another file system than the temporary folder."""
    import tempfile

    try:
        with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
            if Path(folder).stat().st_dev == tmp_path.stat().st_dev:
                pytest.skip("needs two file systems")
            yield Path(folder)
    except OSError:
        pytest.skip("needs two file systems")


def make(file: Path, content: str | None = None) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content or str(file))
    os.utime(file, (1e9, 1e9))
    return file


def place(placer: Placer, file: Path, **options: Any) -> None:
    placer.add(Source(str(file), file), row(file, **options))


def tree(folder: Path) -> dict[str, str]:
    """Return what is in a folder, hidden files too, by the names in it."""
    return {str(file.relative_to(folder)): file.read_text()
            for file in sorted(folder.rglob("*")) if not file.is_dir()}  # fmt: skip


@pytest.mark.parametrize("how", placing.WAYS)
def test_a_picture_goes_into_the_folder_of_its_first_label(
    tmp_path: Path, journal: Journal, picture: Path, how: str
) -> None:
    out = tmp_path / "deep" / "out"
    place(Placer(out, how, journal), picture)
    assert tree(out) == {"dog/a.jpg": str(picture)}
    assert picture.exists() is (how != "move")
    assert (out / "dog" / "a.jpg").is_symlink() is (how == "link")
    assert (out / "dog" / "a.jpg").stat().st_mtime == 1e9
    assert (journal.summary().placed, [*journal.waiting()]) == (1, [])


def test_links_last_when_the_folder_is_moved(
    tmp_path: Path, journal: Journal, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    place(Placer(Path("out"), "link", journal), picture.relative_to(tmp_path))
    (tmp_path / "elsewhere").mkdir()
    Path("out").rename("elsewhere/out")
    assert Path("elsewhere/out/dog/a.jpg").read_text() == str(picture)


@pytest.mark.parametrize("how", placing.WAYS)
def test_pictures_with_one_name_get_numbers_and_nothing_is_overwritten(
    tmp_path: Path, journal: Journal, how: str
) -> None:
    out = tmp_path / "out"
    make(out / "dog" / "a.jpg", "mine")
    make(out / "dog" / "a-3.jpg", "mine")
    files = [make(tmp_path / f"{number}" / "a.jpg") for number in range(3)]
    placer = Placer(out, how, journal)
    names = [str(file) for file in files]
    for file in files:
        place(placer, file)
    assert tree(out / "dog") == {
        "a.jpg": "mine", "a-2.jpg": names[0], "a-3.jpg": "mine", "a-4.jpg": names[1],
        "a-5.jpg": names[2],
    }  # fmt: skip


def test_ancestors_are_folders_in_their_order_and_the_rest_is_other(
    tmp_path: Path, journal: Journal
) -> None:
    index = {label.name: number for number, label in enumerate(LABELS)}
    groups = [hierarchy.find_node(NODES, name) for name in ("hound", "dog", "bird")]
    placer = Placer(tmp_path / "out", "copy", journal, groups)
    for name in ("beagle", "pug", "hen", "soccer_ball"):
        place(placer, make(tmp_path / name), label=name, index=index[name])
    assert [*tree(tmp_path / "out")] == ["bird/hen", "dog/pug", "hound/beagle", "other/soccer_ball"]


def test_two_classes_with_one_label_have_a_folder_each(tmp_path: Path, journal: Journal) -> None:
    placer = Placer(tmp_path / "out", "copy", journal, labels=LABELS)
    for number, label in enumerate(LABELS):
        if label.name in ("crane", "beagle"):
            place(placer, make(tmp_path / "a.jpg"), label=label.name, index=number)
    assert [*tree(tmp_path / "out")] == [
        "beagle/a.jpg", "crane-n02012849/a.jpg", "crane-n03126707/a.jpg",
    ]  # fmt: skip


def test_a_failure_and_what_is_not_wanted_are_rows_and_are_not_placed(
    tmp_path: Path, journal: Journal, picture: Path
) -> None:
    failure = row(picture) | {"predictions": [], "error": {"kind": "broken", "message": "x"}}
    Placer(tmp_path / "out", "move", journal).add(Source(str(picture), picture), failure)
    Placer(tmp_path / "out", "move", journal).add(Source("a", picture), row(picture), wanted=False)
    assert journal.summary().rows == 2
    assert tree(tmp_path / "out") == {}


@pytest.mark.parametrize("how", placing.WAYS)
def test_a_picture_that_lies_in_its_folder_stays(
    tmp_path: Path, journal: Journal, how: str
) -> None:
    file = make(tmp_path / "out" / "dog" / "a.jpg")
    place(Placer(tmp_path / "out", how, journal), file)
    assert tree(tmp_path / "out") == {"dog/a.jpg": str(file)}


def test_a_link_that_is_moved_still_leads_to_its_picture(
    tmp_path: Path, journal: Journal, picture: Path
) -> None:
    link = tmp_path / "links" / "b.jpg"
    link.parent.mkdir()
    link.symlink_to("../pictures/a.jpg")
    place(Placer(tmp_path / "far" / "out", "move", journal), link)
    assert tree(tmp_path / "far" / "out") == {"dog/b.jpg": str(picture)}
    assert picture.exists()
    assert not link.is_symlink()


def test_a_move_to_another_file_system_leaves_one_picture_with_its_time(
    other_disk: Path, journal: Journal, picture: Path
) -> None:
    place(Placer(other_disk, "move", journal), picture)
    assert tree(other_disk) == {"dog/a.jpg": str(picture)}
    assert (other_disk / "dog" / "a.jpg").stat().st_mtime == 1e9
    assert not picture.exists()


@pytest.mark.parametrize("how", ["copy", "move"])
def test_file_systems_without_hard_links_do_as_well(
    tmp_path: Path, journal: Journal, picture: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", link)
    out = tmp_path / "out"
    place(Placer(out, how, journal), picture)
    assert tree(out) == {"dog/a.jpg": str(picture)}
    assert picture.exists() is (how == "copy")


def test_content_that_is_no_file_is_copied_under_a_safe_name(
    tmp_path: Path, journal: Journal
) -> None:
    placer = Placer(tmp_path / "out", "copy", journal)
    for name in ("photos.zip/x/..", "a.tar/b/é\x1b.jpg", "photos.zip/..\\..\\c.jpg", ""):
        placer.add(Source(name, b"data"), row(name, content=b"data"))
    assert [*tree(tmp_path / "out" / "dog")] == ["_.._c.jpg", "unnamed", "unnamed-2", "é_.jpg"]
    with pytest.raises(PictureError, match="another one since"):
        placer.add(Source("a", b"changed"), row("a", content=b"data"))
    with pytest.raises(PictureError, match="no bytes"):
        placer.add(Source("a", object()), row("a"))
    for how in ("move", "link"):
        with pytest.raises(PictureError, match=f"cannot {how} what is not a file"):
            Placer(tmp_path / "out", how, journal).add(Source("a", b"x"), row("a"))
    assert (journal.summary().placed, journal.summary().unplaced) == (4, 4)


def test_the_name_of_an_address_is_its_last_part() -> None:
    assert placing.last_part("https://x.org/a/my%20cat.jpg?size=/1#/b") == "my cat.jpg"
    assert placing.safe_name(placing.last_part("https://x.org/a%2F..%2Fb.jpg")) == "b.jpg"
    assert placing.last_part("s3://bucket/") == "bucket"


@pytest.mark.parametrize(
    ("label", "folder"),
    [
        ("..", "unnamed"), (".", "unnamed"), ("", "unnamed"), ("/etc/passwd", "_etc_passwd"),
        ("a/../../b", "a_.._.._b"), ("x\0\n\x1b[2J", "x___[2J"), ("dots...", "dots"),
        ("möwe 鷗", "möwe 鷗"), ("\udcff\u202e", "__"), (300 * "é", 127 * "é"),
    ],
)  # fmt: skip
def test_no_label_leads_out_of_the_folder(
    tmp_path: Path, journal: Journal, picture: Path, label: str, folder: str
) -> None:
    place(Placer(tmp_path / "out", "copy", journal), picture, label=label)
    assert [*tree(tmp_path / "out")] == [f"{folder}/a.jpg"]


def test_names_of_files_are_kept_byte_for_byte_and_numbers_fit_into_long_ones(
    tmp_path: Path, journal: Journal
) -> None:
    placer = Placer(tmp_path / "out", "copy", journal)
    strange = os.fsdecode(b"\xff a\n.jpg")
    long = 125 * "é" + "x.jpg"
    for folder, name in (("1", strange), ("1", long), ("2", long)):
        place(placer, make(tmp_path / folder / name, "x"))
    assert {*tree(tmp_path / "out" / "dog")} == {strange, long, 124 * "é" + "x-2.jpg"[1:]}


def test_a_picture_that_cannot_be_placed_is_said_and_counted(
    tmp_path: Path, journal: Journal, picture: Path
) -> None:
    placer = Placer(tmp_path / "out", "copy", journal)
    make(tmp_path / "out" / "dog")
    with pytest.raises(PictureError, match=r"cannot copy it to .*dog/a\.jpg: ") as caught:
        place(placer, picture)
    assert caught.value.kind == "unsaved"
    answer = row(picture, label="cat")
    picture.unlink()
    with pytest.raises(PictureError, match="No such file"):
        placer.add(Source(str(picture), picture), answer)
    assert (journal.summary().unplaced, [*journal.waiting()]) == (2, [])


def test_a_full_disk_stops_the_run_and_it_goes_on_when_there_is_room(
    small_disk: Path,
    journal: Journal,
    picture: Path,
) -> None:
    picture.write_bytes(bytes(300_000))
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(900_000))
    placer = Placer(small_disk / "out", "copy", journal)
    with pytest.raises(OutputError, match="disk is full; make room"):
        place(placer, picture)
    assert tree(small_disk / "out") == {}
    ballast.unlink()
    assert [*placer.go_on()] == [(str(picture), None)]
    assert (small_disk / "out" / "dog" / "a.jpg").stat().st_size == 300_000


def test_somebody_elses_file_that_came_in_between_is_left_alone(
    tmp_path: Path, journal: Journal, picture: Path
) -> None:
    for how in placing.WAYS:
        file = make(picture.with_name(f"{how}.jpg"), "picture")
        journal.add(row(file), f"dog/{how}.jpg")
        make(tmp_path / "out" / "dog" / f"{how}.jpg", "mine")
        assert [*Placer(tmp_path / "out", how, journal).go_on()] == [(str(file), None)]
    found = tree(tmp_path / "out" / "dog")
    assert {name for name, text in found.items() if text == "mine"} == {
        "copy.jpg", "move.jpg", "link.jpg",
    }  # fmt: skip
    assert len(found) == 6


def test_what_was_done_but_not_recorded_is_not_done_twice(
    tmp_path: Path, journal: Journal, picture: Path
) -> None:
    for how in placing.WAYS:
        file = make(picture.with_name(f"{how}.jpg"))
        answer = row(file)
        target = tmp_path / "out" / "dog" / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        if how == "link":
            target.symlink_to(file)
        else:
            os.link(file, target)  # a move that has not let go of the old name, too
        journal.add(answer, f"dog/{how}.jpg")
        assert [*Placer(tmp_path / "out", how, journal).go_on()] == [(str(file), None)]
        assert file.exists() is (how != "move")
    assert len(tree(tmp_path / "out")) == 3
    assert journal.summary().placed == 3


@pytest.mark.slow
@pytest.mark.parametrize("how", ["copy", "move", "move far", "link"])
def test_killed_at_any_moment_each_picture_is_placed_once(
    tmp_path: Path, how: str, request: pytest.FixtureRequest
) -> None:
    out = request.getfixturevalue("other_disk") if how == "move far" else tmp_path / "out"
    how = how.split()[0]
    expected = []
    for number in range(600):
        file = make(tmp_path / "pictures" / f"{number % 3}" / f"{number // 3}.jpg")
        expected.append(str(file))
    moments = random.Random(5)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", LOOP, str(tmp_path), how, str(out)]
    for _ in range(6):
        running = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)
        assert running.stdout is not None
        running.stdout.readline()
        time.sleep(moments.uniform(0, 0.03))
        running.send_signal(signal.SIGKILL)
        running.communicate()
    subprocess.run(command, env=environment, check=True)
    found = tree(out)
    assert sorted(found.values()) == sorted(expected)
    numbered = {f"dog/{n}{end}.jpg" for n in range(200) for end in ("", "-2", "-3")}
    assert {*found} == numbered
    left = 0 if how == "move" else 600
    assert len(tree(tmp_path / "pictures")) == left
    with Journal(tmp_path / "run.partial", {}) as journal:
        sources = [row["source"] for row in journal.rows()]
        assert len(sources) == len({*sources}) == 600
        assert (journal.summary().placed, journal.finished) == (600, True)


def test_a_folder_that_is_itself_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos" / "new").mkdir(parents=True)
    (tmp_path / "linked").symlink_to("photos")
    out = Path("photos/sorted")
    for read in ("photos", "linked", ".", "photos/**/*.jpg", "photos/**", "**", "p*/*/*/*.jpg"):
        with pytest.raises(UsageError, match="would be classified, too"):
            placing.check(out, ["elsewhere", read])
    with pytest.raises(UsageError):
        placing.check(Path("photos"), ["photos"])
    for read in ("photos/new", "photos/*.jpg", "photos/*/*.jpg", "photos/new/**", "-", "@names",
                 "https://x.org/**/photos?", "photos/sorted.zip", "photos/a.jpg"):  # fmt: skip
        placing.check(out, [read])
    placing.check(Path("photos/.sorted"), ["photos", "photos/**"])
    placing.check(Path("photos"), ["photos/new"])
