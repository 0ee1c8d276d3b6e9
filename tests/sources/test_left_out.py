"""What systems lay beside pictures, and links, are left out with a word; nothing is in silence."""

from __future__ import annotations

import io
import logging
import os
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from topfive.sources import arguments, left_out
from topfive.teaching import class_folders

SYSTEM = (
    "@eaDir/a.jpg/SYNOPHOTO_THUMB_XL.jpg", ".thumbnails/a.jpg", "Thumbs.db", "in/THUMBS.DB",
    "desktop.ini", "__MACOSX/._a.jpg", "Icon\r", ".DS_Store", "$RECYCLE.BIN/b.jpg",
)  # fmt: skip
MINE = ("a.jpg", "in/b.jpg", "Icon", "thumbs.db.jpg")


def folder(where: Path) -> list[str]:
    for name in (*SYSTEM, *MINE):
        file = where / "photos" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")
    return ["photos"]


def patterns(where: Path) -> list[str]:
    folder(where)
    return ["photos/**/*"]


def tar(where: Path) -> list[str]:
    folder(where)
    with tarfile.open("photos.tar", "w") as archive:
        archive.add("photos")
    return ["photos.tar"]


def compressed(where: Path) -> list[str]:
    folder(where)
    with tarfile.open("photos.tgz", "w:gz") as archive:
        archive.add("photos")
    return ["photos.tgz"]


def zipped(_: Path) -> list[str]:
    with zipfile.ZipFile("photos.zip", "w") as archive:
        for name in (*SYSTEM, *MINE):
            archive.writestr(f"photos/{name}", b"x")
    return ["photos.zip"]


@pytest.fixture(autouse=True)
def current(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.INFO, "topfive")
    left_out._tell.cache_clear()
    yield
    left_out._tell.cache_clear()


@pytest.mark.parametrize("make", [folder, patterns, tar, compressed, zipped])
def test_what_systems_lay_beside_pictures_is_left_out_with_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, make: Callable[[Path], list[str]]
) -> None:
    names = make(tmp_path)
    # Of a folder's icon in an archive there is a row: what stands there is not the Finder's doing.
    mine = sorted(MINE if make in (folder, patterns) else (*MINE, "Icon\r"))
    for _ in range(2):  # as a folder that is watched
        found = [source.name for source in arguments.read(names, recursive=True, unpack=True)]
        assert sorted(name.partition("photos/")[2].rpartition("photos/")[2] for name in found) == (
            mine
        )
        assert arguments.count(names, recursive=True, unpack=True) in (len(mine), None)
    (message,) = [one for one in caplog.messages if one.startswith("left out: ")]
    for name in ("@eaDir", ".thumbnails", "Thumbs.db", "desktop.ini", ".DS_Store"):
        assert f"{name} (1)" in message
    assert ("Icon\\r (1)" in message) == ("Icon\r" not in mine)


def test_what_systems_lay_in_a_bucket_is_left_out_too(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Bucket:
        def info(self, _: str) -> dict[str, str]:
            return {"type": "directory"}

        def ls(self, folder: str, detail: bool) -> list[dict[str, object]]:
            assert detail
            inside = {name[len(folder) + 1 :].partition("/")[::2] for name in objects
                      if name.startswith(f"{folder}/")}  # fmt: skip
            kinds = {first: "directory" if more else "file" for first, more in inside}
            return [{"name": f"{folder}/{one}", "type": kind, "size": 1}
                    for one, kind in kinds.items()]  # fmt: skip

    objects = [f"me/photos/{name}" for name in (*SYSTEM, *MINE)]
    monkeypatch.setattr("topfive.sources.buckets.connect", lambda _: Bucket())
    found = [source.name for source in arguments.read(["hf://me/photos"], recursive=True)]
    assert sorted(name.removeprefix("hf://me/photos/") for name in found) == sorted(MINE)
    assert "Thumbs.db (1)" in caplog.text


def test_what_is_named_is_read_whatever_it_is_called() -> None:
    Path("Thumbs.db").write_bytes(b"mine")
    for name in ("Thumbs.db", "[T]humbs.db"):
        (source,) = arguments.read([name])
        assert (source.content == Path("Thumbs.db")) == (name == "Thumbs.db")


@pytest.mark.parametrize("names", [["photos"], ["photos/**"], ["photos/**/*.jpg"]])
def test_links_to_folders_are_left_out_with_a_word(
    caplog: pytest.LogCaptureFixture, names: list[str]
) -> None:
    Path("photos").mkdir()
    Path("other").mkdir()
    Path("other/b.jpg").write_bytes(b"x")
    Path("photos/a.jpg").write_bytes(b"x")
    Path("photos/loop").symlink_to(".")
    Path("photos/beside").symlink_to("../other")
    Path("photos/linked.jpg").symlink_to("../other/b.jpg")
    found = [os.fspath(Path(one.name)) for one in arguments.read(names, recursive=True)]
    assert found == ["photos/a.jpg", "photos/linked.jpg"]
    assert "links to folders: name one to have it read (2)" in caplog.text
    assert [one.name for one in arguments.read(["photos/beside"])] == ["photos/beside/b.jpg"]


def linked_tar(mode: str) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode=mode) as archive:  # type: ignore[call-overload]
        for name, kind, target in (
            ("early.jpg", tarfile.SYMTYPE, "in/a.jpg"), ("in/a.jpg", tarfile.REGTYPE, ""),
            ("hard.jpg", tarfile.LNKTYPE, "in/a.jpg"),
            ("in/up.jpg", tarfile.SYMTYPE, "../early.jpg"),
            ("out.jpg", tarfile.SYMTYPE, "/etc/passwd"),
            ("gone.jpg", tarfile.LNKTYPE, "nowhere"),
            ("folder", tarfile.SYMTYPE, "in"), ("round.jpg", tarfile.SYMTYPE, "round.jpg"),
            ("pipe", tarfile.FIFOTYPE, ""), ("", tarfile.REGTYPE, ""),
        ):  # fmt: skip
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            member.size = 5 if kind == tarfile.REGTYPE else 0
            archive.addfile(member, io.BytesIO(b"first" if name else b"named"))
    return sink.getvalue()


def linked_zip(_: str) -> bytes:
    with zipfile.ZipFile(sink := io.BytesIO(), "w") as archive:
        for name, mode, content in (
            ("early.jpg", 0o120777, "in/a.jpg"), ("in/a.jpg", 0o100644, "first"),
            ("in/up.jpg", 0o120777, "../early.jpg"),
            ("out.jpg", 0o120777, "/etc/passwd"),
            ("gone.jpg", 0o120777, "x" * 5000), ("round.jpg", 0o120777, "round.jpg"),
            ("folder", 0o120777, "in"), ("pipe", 0o010644, ""), ("", 0o100644, "named"),
        ):  # fmt: skip
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, content)
    return sink.getvalue()


@pytest.mark.parametrize(("make", "mode"), [
    (linked_tar, "w"), (linked_tar, "w:gz"), (linked_tar, "w:bz2"), (linked_tar, "w:xz"),
    (linked_zip, ""),
], ids=["tar", "gz", "bz2", "xz", "zip"])  # fmt: skip
def test_a_link_in_an_archive_is_the_file_that_it_leads_to_or_a_word(
    caplog: pytest.LogCaptureFixture, make: Callable[[str], bytes], mode: str
) -> None:
    Path("it").write_bytes(make(mode))
    read = list(arguments.read(["it"], unpack=True))
    content = {source.name.removeprefix("it/"): source.read() for source in read}
    nameless = next(name for name in content if name.startswith("(without a name"))
    assert content.pop(nameless) == b"named"
    linked = ["early.jpg", "hard.jpg", "in/a.jpg", "in/up.jpg"]
    expected = [name for name in linked if make is linked_tar or name != "hard.jpg"]
    assert content == dict.fromkeys(expected, b"first")
    assert "links to what is no file in the archive (4)" in caplog.text
    assert "devices" in caplog.text
    assert arguments.count(["it"], unpack=True) in (len(read), None)


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_what_stands_beside_a_picture_in_a_shard_is_left_out_with_a_word(
    caplog: pytest.LogCaptureFixture, mode: str
) -> None:
    names = [
        "0.cls", "0.jpg", "0.json", "1.png", "1.seg.json", "2.txt", "2.json", "in/1.txt",
        "in/1.tiff", "3.txt", "4.jpg", "5.seg.jpg", "5.jpg", "5.xyz",
    ]  # fmt: skip
    with tarfile.open("shard", mode) as archive:  # type: ignore[call-overload]
        for name in names:
            archive.addfile(tarfile.TarInfo(name))
    found = [
        source.name.removeprefix("shard/") for source in arguments.read(["shard"], unpack=True)
    ]
    assert found == [
        "0.jpg", "1.png", "2.txt", "2.json", "in/1.tiff", "3.txt", "4.jpg", "5.seg.jpg", "5.jpg",
        "5.xyz",
    ]  # fmt: skip
    assert "files of labels and notes beside a picture in a tar (4)" in caplog.text


def test_what_systems_lay_there_is_no_class(caplog: pytest.LogCaptureFixture) -> None:
    for name in ("cat/a.jpg", "dog/b.jpg", "dog/@eaDir/b.jpg/b.jpg", "@eaDir/c.jpg", "Thumbs.db"):
        Path("pets", name).parent.mkdir(parents=True, exist_ok=True)
        Path("pets", name).write_bytes(b"x")
    found = class_folders.read("pets")
    assert found.classes == ("cat", "dog")
    assert [source.name for source, _ in found.pictures] == ["pets/cat/a.jpg", "pets/dog/b.jpg"]
    assert found.unlabelled == ()
    assert "@eaDir (2), Thumbs.db (1)" in caplog.text
