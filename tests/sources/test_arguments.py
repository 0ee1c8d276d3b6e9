"""Whatever the user names becomes sources, in one order, each with content or a reason."""

from __future__ import annotations

import http.server
import io
import os
import pickle
import tarfile
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from tests.support import pictures
from topfive.errors import PictureError, UsageError
from topfive.sources import arguments as sources
from topfive.sources.arguments import read, read_names
from topfive.sources.source import MAX_BYTES, Source, from_object

DATA = pictures.encode(pictures.colours(), "PNG")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, the current one, with files inside and below."""
    place = tmp_path / "photos"
    for name in ("b.jpg", "a.jpg", "c.txt", ".hidden.jpg", "in/d.jpg", "in/deep/e.jpg",
                 "in/.hidden/f.jpg", ".git/g.jpg"):  # fmt: skip
        file = place / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(name.encode())
    monkeypatch.chdir(place)
    return place


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A folder whose permissions hold for this process even where root runs the tests."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o777)
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)
        try:
            yield place
        finally:
            if root:
                os.seteuid(0)


def names(*arguments: str, recursive: bool = False) -> list[str]:
    found = []
    for source in read(arguments, recursive):
        assert isinstance(source.read(), bytes)  # each leads to a file
        found.append(source.name)
    return found


def failure(source: Source) -> PictureError:
    with pytest.raises(PictureError) as caught:
        source.read()
    assert "\n" not in str(caught.value)
    return caught.value


def only_failure(*arguments: str, recursive: bool = False) -> PictureError:
    """Return the failure of the one source that the arguments lead to."""
    (source,) = read(arguments, recursive)
    assert source.name == arguments[0]
    return failure(source)


def test_files_come_in_the_order_of_the_arguments(folder: Path) -> None:
    assert names("b.jpg", "a.jpg", "b.jpg") == ["b.jpg", "a.jpg", "b.jpg"]
    assert [source.read() for source in read(["in/d.jpg"])] == [b"in/d.jpg"]


def test_a_folder_gives_its_visible_files_in_order(folder: Path) -> None:
    assert names(".") == ["./a.jpg", "./b.jpg", "./c.txt"]
    assert names("in") == ["in/d.jpg"]


def test_a_recursive_folder_gives_its_own_files_first(folder: Path) -> None:
    expected = ["a.jpg", "b.jpg", "c.txt", "in/d.jpg", "in/deep/e.jpg"]
    assert names(str(folder), recursive=True) == [str(folder / name) for name in expected]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.jpg", ["a.jpg", "b.jpg"]),
        ("?.*", ["a.jpg", "b.jpg", "c.txt"]),
        ("[bc].*", ["b.jpg", "c.txt"]),
        ("i*/*.jpg", ["in/d.jpg"]),
        ("*", ["a.jpg", "b.jpg", "c.txt"]),
        ("**", ["a.jpg", "b.jpg", "c.txt", "in/d.jpg", "in/deep/e.jpg"]),
        ("**/*.jpg", ["a.jpg", "b.jpg", "in/d.jpg", "in/deep/e.jpg"]),
        ("in/**/*.jpg", ["in/d.jpg", "in/deep/e.jpg"]),
        ("**/deep/**/*.jpg", ["in/deep/e.jpg"]),
        ("**/**/e.jpg", ["in/deep/e.jpg"]),
        (".h*", [".hidden.jpg"]),
    ],
)
def test_patterns_give_files_in_order_each_once(
    folder: Path, pattern: str, expected: list[str]
) -> None:
    assert names(pattern) == expected
    assert names(str(folder / pattern)) == [str(folder / name) for name in expected]


def test_names_with_wildcards_that_exist_are_files_and_folders(folder: Path) -> None:
    Path("a[1].jpg").write_bytes(b"bracket")
    Path("what?").write_bytes(b"question")
    Path("set [x]").mkdir()
    Path("set [x]/h.jpg").write_bytes(b"inside")
    assert names("a[1].jpg") == ["a[1].jpg"]
    assert names("what?") == ["what?"]
    assert names("set [[]x]/*") == ["set [x]/h.jpg"]
    assert names("set [x]") == ["set [x]/h.jpg"]
    assert "set [x]/h.jpg" in names("**/*.jpg")


def test_links_that_lead_in_circles_are_not_followed(folder: Path) -> None:
    Path("in/loop").symlink_to(folder)
    Path("in/deep/loop").symlink_to(folder)
    Path("round").symlink_to("round")
    expected = ["a.jpg", "b.jpg", "in/d.jpg", "in/deep/e.jpg"]
    assert names("**/*.jpg") == expected
    found = list(read(["."], recursive=True))
    assert [source.name for source in found] == [
        "./a.jpg", "./b.jpg", "./c.txt", "./round", "./in/d.jpg", "./in/deep/e.jpg",
    ]  # fmt: skip
    assert failure(found[3]).kind == "unreadable"
    assert only_failure("round").kind == "unreadable"


def test_links_to_files_are_read_and_broken_ones_are_missing(folder: Path) -> None:
    Path("link.jpg").symlink_to("a.jpg")
    Path("broken.jpg").symlink_to("nowhere.jpg")
    assert names("link.jpg") == ["link.jpg"]
    assert only_failure("broken.jpg").kind == "missing"
    assert sum(source.name == "./broken.jpg" for source in read(["."])) == 1


@pytest.mark.slow
def test_a_folder_of_ten_thousand_files_is_listed_at_once(tmp_path: Path) -> None:
    many = tmp_path / "many"
    many.mkdir()
    for number in range(10_000):
        (many / f"{number:05}.jpg").touch()
    start = time.perf_counter()
    found = [source.name for source in read([str(many)])]
    assert time.perf_counter() - start < 2
    assert found == [str(many / f"{number:05}.jpg") for number in range(10_000)]


@pytest.mark.parametrize("argument", ["nowhere.jpg", "nowhere/*.jpg", "*.gif", "**/*.gif", ""])
def test_what_leads_to_nothing_is_one_missing_source(folder: Path, argument: str) -> None:
    assert only_failure(argument).kind == "missing"


def test_an_empty_folder_says_what_would_help(folder: Path) -> None:
    Path("empty").mkdir()
    Path("outer/inner").mkdir(parents=True)
    assert "--recursive" in str(only_failure("outer"))
    assert "--recursive" not in str(only_failure("outer", recursive=True))
    assert only_failure("empty").kind == "missing"


@pytest.mark.parametrize("name", ["line\nbreak.jpg", "b\udcff\udcfe.jpg", "ünï ☃.jpg", "-", "~"])
def test_odd_names_are_files_like_others(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"odd")
    assert names(f"./{name}") == [f"./{name}"]
    assert f"./{name}" in names(".")
    assert from_object(Path(name)).read() == b"odd"
    if name != "-":
        (folder / name).unlink()
        assert only_failure(name).kind == "missing"


@pytest.mark.parametrize("name", ["nul\0byte.jpg", "n" * 300, "a/" * 3000, "http:/x"])
def test_impossible_names_are_failures(folder: Path, name: str) -> None:
    assert only_failure(name).kind in ("missing", "unreadable")
    assert failure(from_object(name)).kind in ("missing", "unreadable")


def test_pipes_and_devices_are_refused_without_waiting(folder: Path) -> None:
    os.mkfifo("pipe")
    assert only_failure("pipe").kind == "unreadable"
    assert "not a regular file" in str(only_failure("/dev/zero"))
    assert [source.name for source in read(["."])].count("./pipe") == 1


def test_a_folder_as_one_picture_is_a_failure(folder: Path) -> None:
    assert failure(from_object(folder)).kind == "unreadable"


def test_what_may_not_be_read_is_a_failure_with_the_reason(unprivileged: Path) -> None:
    (unprivileged / "file.jpg").write_bytes(DATA)
    (unprivileged / "file.jpg").chmod(0)
    (unprivileged / "closed").mkdir(mode=0o000)
    found = list(read([str(unprivileged)], recursive=True))
    assert [Path(source.name).name for source in found] == ["file.jpg", "closed"]
    for source in found:
        error = failure(source)
        assert error.kind == "unreadable"
        assert "Permission denied" in str(error)
    assert "Permission denied" in str(only_failure(str(unprivileged / "closed")))
    (unprivileged / "closed").chmod(0o700)


def test_an_over_long_file_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "long.jpg").open("wb") as file:
        file.truncate(MAX_BYTES + 1)  # a hole: no disk, no memory
    start = time.perf_counter()
    error = only_failure(str(tmp_path / "long.jpg"))
    assert error.kind == "too-large"
    assert time.perf_counter() - start < 0.1


def test_a_dash_is_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(DATA)))
    first, second = read(["-", "-"])
    assert (first.name, first.read()) == ("-", DATA)
    assert second.read() == b""  # what `decode` calls an empty file


def test_a_broken_or_endless_standard_input_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", None)
    assert only_failure("-").kind == "unreadable"
    monkeypatch.setattr("sys.stdin", (closed := io.TextIOWrapper(io.BytesIO())))
    closed.close()
    assert only_failure("-").kind == "unreadable"
    reader, writer = os.pipe()
    os.close(writer)
    with open(reader, "rb") as pipe:  # noqa: PTH123  there is no path
        monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=pipe))
        assert from_object("-").read() == b""
    monkeypatch.setattr("topfive.sources.source.MAX_BYTES", 1000)
    with Path("/dev/zero").open("rb") as endless:
        monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=endless))
        assert only_failure("-").kind == "too-large"


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves a picture, an error, a redirection, an endless body or a cut one."""

    def do_GET(self) -> None:
        if self.path == "/missing":
            self.send_error(404)
            return
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/photo")
            self.end_headers()
            return
        self.send_response(200)
        if self.path == "/cut":
            self.send_header("Content-Length", str(len(DATA)))
        self.end_headers()
        body = {"/long": bytes(20_000), "/cut": DATA[:50]}.get(self.path, DATA)
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def test_an_address_is_fetched_from_the_command_line_and_from_python(server: str) -> None:
    for path in ("/photo", "/moved"):
        (source,) = read([server + path])
        assert source.name == server + path
        assert source.read() == DATA
    assert from_object(f"HTTP{server[4:]}/photo").read() == DATA


def test_an_address_that_fails_is_a_failure_that_says_why(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("topfive.system.downloads.BACKOFF", 0)
    assert "404" in str(only_failure(f"{server}/missing"))
    assert only_failure(f"{server}/missing").kind == "download"
    assert only_failure(f"{server}/cut").kind == "download"
    monkeypatch.setattr("topfive.sources.source.MAX_BYTES", 10_000)
    assert "10,000 bytes" in str(only_failure(f"{server}/long"))


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/x.jpg", "http://[::1", "http://", "https://a\nb"]
)
def test_a_refused_connection_or_a_wrong_address_is_a_failure(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("topfive.system.downloads.BACKOFF", 0)
    assert only_failure(url).kind == "download"


def test_every_form_of_a_picture_becomes_a_source(tmp_path: Path) -> None:
    file = tmp_path / "photo.png"
    file.write_bytes(DATA)
    for given in (file, str(file)):
        assert from_object(given).name == str(file)
        assert from_object(given).read() == DATA
    assert from_object(DATA) == Source("<bytes>", DATA)
    assert from_object(memoryview(DATA)).read() == DATA  # type: ignore[arg-type]
    array = pictures.colours()
    assert from_object(array).name == "<ndarray>"
    assert from_object(array).read() is array
    picture = Image.fromarray(array)
    assert from_object(picture).name == "<Image>"
    assert from_object(picture).read() is picture
    with Image.open(file) as opened:
        assert from_object(opened).name == str(file)
    with Image.open(io.BytesIO(DATA)) as nameless:
        assert from_object(nameless).name == "<PngImageFile>"
    source = Source("mine", np.zeros((2, 2)))
    assert from_object(source) is source


def batch(*arguments: str, recursive: bool = False) -> list[str]:
    """Return the names of all sources of a batch; counted, they are as many."""
    found = [source.name for source in read(arguments, recursive, unpack=True)]
    assert sources.count(arguments, recursive, unpack=True) == len(found)
    return found


def test_a_list_of_names_gives_each_name_as_it_is(folder: Path) -> None:
    with zipfile.ZipFile("photos.zip", "w") as archive:
        archive.writestr("x.jpg", b"inside")
    listed = ["b.jpg", "*.jpg", "@x", "-", "in", "http://127.0.0.1:9/x", "nowhere", "photos.zip",
              str(folder / "a.jpg"), "b.jpg"]  # fmt: skip
    expected = [*listed[:7], "photos.zip/x.jpg", *listed[8:]]
    for end in ("\n", "\0", "\r\n"):
        Path("names.txt").write_text(end.join(listed), newline="")
        assert batch("@names.txt", "c.txt") == [*expected, "c.txt"]
    found = list(read(["@names.txt"], unpack=True))
    assert [failure(found[place]).kind for place in (1, 2, 3, 4, 6)] == [
        "missing", "missing", "missing", "unreadable", "missing",
    ]  # fmt: skip
    assert found[7].read() == b"inside"


def test_a_list_is_asked_for_and_has_to_be_there(folder: Path) -> None:
    Path("@x").write_bytes(b"a file")
    assert names("@x") == ["@x"]
    assert batch("./@x") == ["./@x"]
    with pytest.raises(UsageError, match="nowhere"):  # before anything is read
        next(read(["a.jpg", "@nowhere"], unpack=True))
    Path("empty").touch()
    (source,) = read(["@empty"], unpack=True)
    assert (source.name, failure(source).kind) == ("@empty", "missing")


def test_names_on_standard_input_are_ended_by_nuls_and_come_as_they_are_sent(folder: Path) -> None:
    reader, writer = os.pipe()
    with open(reader, "rb", buffering=0) as stream, open(writer, "wb", buffering=0) as sink:  # noqa: PTH123
        found = read_names(stream)
        sink.write(b"a.jpg\0line\nbreak\0")
        assert next(found).read() == b"a.jpg"
        assert next(found).name == "line\nbreak"
        sink.write(b"@names\0b.jpg")
        assert next(found).name == "@names"
        sink.close()
        assert [source.read() for source in found] == [b"b.jpg"]


def test_sources_are_counted_without_their_contents(folder: Path) -> None:
    def count(*arguments: str, recursive: bool = False, unpack: bool = True) -> int | None:
        return sources.count(arguments, recursive, unpack=unpack)

    with zipfile.ZipFile("photos.zip", "w") as archive:
        archive.writestr("x.jpg", b"inside")
        archive.writestr("y.jpg", b"inside")
    with tarfile.open("photos.tgz", "w:gz") as tar:
        tar.add("in")
    assert count("a.jpg", "-", "http://x/y", "nowhere", "*.gif") == 5
    assert count("in") == 1
    assert count("in", recursive=True) == 2
    assert count("**/*.jpg") == 4
    assert count("photos.zip") == 2
    assert count("photos.zip", "photos.tgz", unpack=False) == 2
    assert count("a.jpg", "photos.tgz") is None
    assert count("a.jpg", "s3://photos/x") is None
    assert count() == 0


def test_sources_can_be_sent_to_other_machines(folder: Path) -> None:
    with zipfile.ZipFile("photos.zip", "w") as archive:
        archive.writestr("x.jpg", b"inside")
    with tarfile.open("photos.tar", "w") as tar:
        tar.add("in")
    Path("names").write_text("s3://photos/x\nhttp://x/y")
    arguments = ["a.jpg", "*.txt", "in", "nowhere", "photos.zip", "photos.tar", "@names", "-"]
    for source in read(arguments, unpack=True):
        sent = pickle.loads(pickle.dumps(source))  # noqa: S301  our own
        if isinstance(source.content, PictureError):
            assert str(failure(sent)) == str(failure(source))
        else:
            assert sent == source


def test_a_source_that_is_an_error_raises_it_each_time() -> None:
    source = Source("gone", PictureError("missing", "no such file"))
    for _ in range(2):
        error = failure(source)
        assert (error.kind, str(error)) == ("missing", "no such file")
