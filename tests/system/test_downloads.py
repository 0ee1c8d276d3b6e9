from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import io
import itertools
import logging
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from email.message import Message
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from tests.support.loopback import Page, Server, serving
from topfive.errors import DownloadError
from topfive.sources.spool import Spool
from topfive.system import downloads, files, progress
from topfive.version import __version__

BODY = np.random.default_rng(3).bytes(3_000_000)
CHECKSUM = "md5:" + hashlib.md5(BODY).hexdigest()  # noqa: S324
LOGIN = b"<html><body>Please log in to the hotel's network</body></html>"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(downloads, "BACKOFF", 0.005)
    monkeypatch.setattr(downloads, "TIMEOUT", (2.0, 0.5))
    with serving() as running:
        yield running


def fetch(server: Server, target: Path, page: Page, checksum: str | None = CHECKSUM) -> list[str]:
    """Fetch the page and return the Range headers of the requests that this took."""
    server.pages["/file"] = page
    before = len(server.requests)
    downloads.fetch(server.url("/file"), target, checksum, len(BODY))
    return [request.range or "" for request in server.requests[before:]]


def read(server: Server, path: str, most: int = len(BODY), seconds: float = 60) -> bytes:
    spool = Spool()
    downloads.read(server.url(path), spool, most, seconds)
    return spool.read()


def start(range_header: str) -> int:
    return int(range_header.removeprefix("bytes=").removesuffix("-"))


def leftovers(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_a_file_arrives_whole_and_nothing_else_is_left(server: Server, tmp_path: Path) -> None:
    assert fetch(server, tmp_path / "x.h5", Page(BODY)) == [""]
    assert (tmp_path / "x.h5").read_bytes() == BODY
    assert leftovers(tmp_path) == ["x.h5"]
    assert server.requests[0].encoding == "identity"


@pytest.mark.slow
def test_a_body_that_is_cut_again_and_again_is_gone_on_with(server: Server, tmp_path: Path) -> None:
    # Cuts in a row are counted anew after a megabyte: these are more than RETRIES allows.
    cuts = [150_000, 400_000, 20_000, 1_100_000, 100_000, 90_000, 200_000, 70_000]
    num_cuts, total = len(cuts), sum(cuts)
    assert num_cuts > downloads.RETRIES
    ranges = fetch(server, tmp_path / "x", Page(BODY, cuts=cuts))
    assert (tmp_path / "x").read_bytes() == BODY
    assert len(ranges) == num_cuts + 1
    starts = [start(r) for r in ranges[1:]]
    assert starts == sorted(starts)
    # No cut costs more than what had arrived of one block.
    assert total - starts[-1] <= num_cuts * downloads.BLOCK
    assert {r.if_range for r in server.requests[1:]} == {server.requests[-1].if_range}
    assert server.requests[-1].if_range


def test_a_server_that_gives_nothing_more_is_given_up_and_the_part_stays(
    server: Server, tmp_path: Path
) -> None:
    page = Page(BODY, cuts=[500_000] + [0] * 50)
    with pytest.raises(DownloadError, match=r"cannot fetch .*/file"):
        fetch(server, tmp_path / "x", page)
    assert len(server.requests) == 1 + downloads.RETRIES
    assert leftovers(tmp_path) == ["x.part"]
    have = (tmp_path / "x.part").stat().st_size
    assert 500_000 - downloads.BLOCK <= have <= 500_000
    page.cuts.clear()
    assert fetch(server, tmp_path / "x", page) == [f"bytes={have}-"]
    assert (tmp_path / "x").read_bytes() == BODY


def test_the_part_of_an_earlier_run_is_gone_on_with(server: Server, tmp_path: Path) -> None:
    (tmp_path / "x.part").write_bytes(BODY[:2_000_000])
    assert fetch(server, tmp_path / "x", Page(BODY)) == ["bytes=2000000-"]
    assert (tmp_path / "x").read_bytes() == BODY


def test_a_part_that_is_whole_already_is_only_checked(server: Server, tmp_path: Path) -> None:
    (tmp_path / "x.part").write_bytes(BODY)
    assert fetch(server, tmp_path / "x", Page(BODY)) == [f"bytes={len(BODY)}-"]
    assert (tmp_path / "x").read_bytes() == BODY


@pytest.mark.parametrize(
    "part",
    [b"foreign" * 1000, BODY + b"too long", b"\0" * len(BODY)],
    ids=["other", "long", "as long"],
)
def test_a_part_of_another_file_costs_a_second_download_not_the_answer(
    server: Server, tmp_path: Path, part: bytes
) -> None:
    (tmp_path / "x.part").write_bytes(part)
    assert fetch(server, tmp_path / "x", Page(BODY))[-1] == ""
    assert (tmp_path / "x").read_bytes() == BODY
    assert leftovers(tmp_path) == ["x"]


def test_without_a_hash_no_part_of_an_earlier_run_is_trusted(
    server: Server, tmp_path: Path
) -> None:
    (tmp_path / "x.part").write_bytes(b"foreign")
    assert fetch(server, tmp_path / "x", Page(BODY), checksum=None) == [""]
    assert (tmp_path / "x").read_bytes() == BODY


def test_without_a_hash_the_first_bytes_must_be_right(server: Server, tmp_path: Path) -> None:
    server.pages["/file"] = Page(BODY)
    with pytest.raises(DownloadError, match="not x: expected b'HDF' in front"):
        downloads.fetch(server.url("/file"), tmp_path / "x", None, len(BODY), b"HDF")
    assert leftovers(tmp_path) == []
    downloads.fetch(server.url("/file"), tmp_path / "x", None, len(BODY), BODY[:3])
    assert leftovers(tmp_path) == ["x"]


def test_a_file_that_changes_between_two_cuts_is_started_again(
    server: Server, tmp_path: Path
) -> None:
    (tmp_path / "x.part").write_bytes(BODY[:1000])
    old = Page(b"old" * 1_000_000, cuts=[200_000], tag='"old"')
    server.pages["/file"] = old

    class Changing(dict[str, Page]):
        """The publisher replaces the file after the first request."""

        def get(self, key: str, default: object = None) -> Page:
            return old if len(server.requests) == 1 else Page(BODY, tag='"new"')

    server.pages = Changing()
    downloads.fetch(server.url("/file"), tmp_path / "x", CHECKSUM, len(BODY))
    assert (tmp_path / "x").read_bytes() == BODY
    assert server.requests[1].if_range == '"old"'


@pytest.mark.parametrize("ranges", ["ignored", "shifted"])
@pytest.mark.parametrize("cuts", [[], [800_000]], ids=["earlier", "now"])
def test_a_server_that_cannot_go_on_where_asked_still_delivers(
    server: Server, tmp_path: Path, ranges: str, cuts: list[int]
) -> None:
    if not cuts:
        (tmp_path / "x.part").write_bytes(BODY[:700_000])
    fetch(server, tmp_path / "x", Page(BODY, cuts=cuts, ranges=ranges))
    assert (tmp_path / "x").read_bytes() == BODY


@pytest.mark.slow
def test_an_unasked_compression_is_undone(server: Server, tmp_path: Path) -> None:
    fetch(server, tmp_path / "x", Page(BODY, gzip=True, cuts=[300_000, 900_000]))
    assert (tmp_path / "x").read_bytes() == BODY


def test_a_body_without_a_length_arrives_whole(server: Server, tmp_path: Path) -> None:
    fetch(server, tmp_path / "x", Page(BODY, chunked=True))
    assert (tmp_path / "x").read_bytes() == BODY


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_server_in_trouble_is_asked_again(server: Server, tmp_path: Path, status: int) -> None:
    fetch(server, tmp_path / "x", Page(BODY, statuses=[status] * 3))
    assert len(server.requests) == 4
    assert (tmp_path / "x").read_bytes() == BODY


def test_a_server_does_not_set_how_long_it_is_waited_for(server: Server, tmp_path: Path) -> None:
    before = time.monotonic()
    fetch(server, tmp_path / "x", Page(BODY, statuses=[503], retry_after="12"))
    assert time.monotonic() - before < 10


@pytest.mark.parametrize(("status", "requests"), [(404, 1), (403, 1), (503, downloads.RETRIES + 1)])
def test_a_refusal_names_its_status_and_costs_no_more_requests_than_it_may(
    server: Server, tmp_path: Path, status: int, requests: int
) -> None:
    (tmp_path / "x.part").write_bytes(BODY[:1000])
    with pytest.raises(DownloadError, match=f"the server answered {status}"):
        fetch(server, tmp_path / "x", Page(BODY, statuses=[status] * 99))
    assert len(server.requests) == requests
    assert (tmp_path / "x.part").read_bytes() == BODY[:1000]


def test_waits_double_from_cut_to_cut(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(downloads, "BACKOFF", 1.0)
    monkeypatch.setattr("topfive.system.downloads.time.sleep", waits.append)
    with pytest.raises(DownloadError):
        fetch(server, tmp_path / "x", Page(BODY, cuts=[0] * 50))
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0]


def test_redirects_are_followed_to_the_file_and_not_round_in_circles(
    server: Server, tmp_path: Path
) -> None:
    server.pages["/real"] = Page(BODY, cuts=[1_000_000])
    fetch(server, tmp_path / "x", Page(b"", location="/real"))
    assert (tmp_path / "x").read_bytes() == BODY
    with pytest.raises(DownloadError, match="redirects"):
        fetch(server, tmp_path / "y", Page(b"", location="/file"))


LIES: dict[str, Callable[[], Page]] = {
    "other content": lambda: Page(BODY[::-1]),
    "a length too small": lambda: Page(BODY, length=len(BODY) - 100_000),
    "cut content as a whole": lambda: Page(BODY[:-1]),
    "a login page": lambda: Page(LOGIN, content_type="text/html; charset=utf-8", ranges="ignored"),
    "a large login page": lambda: Page(
        LOGIN.ljust(len(BODY)), content_type="text/html", ranges="ignored"
    ),
    "a small file": lambda: Page(LOGIN, ranges="ignored"),
    "a small file with ranges": lambda: Page(LOGIN),
    "endless": lambda: Page(BODY, endless=True),
    "endless with a length": lambda: Page(BODY * 3),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_an_error_and_never_the_file(server: Server, tmp_path: Path, lie: str) -> None:
    with pytest.raises(DownloadError, match=re.escape(server.url("/file"))):
        fetch(server, tmp_path / "x", LIES[lie]())
    assert not (tmp_path / "x").exists()
    size = sum(file.stat().st_size for file in tmp_path.iterdir())
    assert size == 0, "what is not the file is not kept either"


@pytest.mark.parametrize(
    "lie", ["a login page", "a large login page", "a small file", "a small file with ranges"]
)
def test_a_captive_portal_does_not_take_the_place_of_what_has_arrived(
    server: Server, tmp_path: Path, lie: str
) -> None:
    (tmp_path / "x.part").write_bytes(BODY[:2_500_000])
    with pytest.raises(DownloadError):
        fetch(server, tmp_path / "x", LIES[lie]())
    assert fetch(server, tmp_path / "x", Page(BODY)) == ["bytes=2500000-"]


def test_a_length_too_large_is_a_cut(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="cannot fetch"):
        fetch(server, tmp_path / "x", Page(BODY, length=len(BODY) + 10, ranges="ignored"))
    assert not (tmp_path / "x").exists()


def test_a_server_that_stops_sending_runs_into_the_time_out(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "TIMEOUT", (2.0, 0.1))
    monkeypatch.setattr(downloads, "RETRIES", 1)
    with pytest.raises(DownloadError, match=r"cannot fetch .*(timed out|in time)"):
        fetch(server, tmp_path / "x", Page(BODY, delay=0.6))


@pytest.mark.slow
def test_a_slow_server_is_waited_for(server: Server, tmp_path: Path) -> None:
    assert fetch(server, tmp_path / "x", Page(BODY, delay=0.01)) == [""]


def test_no_server_at_all_is_said_soon_and_plainly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "BACKOFF", 0.005)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/x"
        with pytest.raises(DownloadError, match=f"cannot fetch {url}: .*Connection refused"):
            downloads.fetch(url, tmp_path / "x", CHECKSUM, 10)
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("url", ["file:///etc/passwd", "weights/x", "http://", "http://[::1/x"])
def test_what_is_no_http_address_is_an_error(tmp_path: Path, url: str) -> None:
    with pytest.raises(DownloadError, match="cannot fetch"):
        downloads.fetch(url, tmp_path / "x", CHECKSUM, 10)


def test_a_file_that_the_disk_has_no_room_for_is_not_begun(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"no room in .* are needed, .* are free"):
        downloads.fetch(server.url("/file"), tmp_path / "x", CHECKSUM, 10**18)
    assert server.requests == []


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="has no file size limit")
def test_a_disk_that_runs_full_keeps_the_part_for_later(server: Server, tmp_path: Path) -> None:
    program = f"""
import resource, signal
from pathlib import Path
from topfive.system import downloads
from topfive.errors import DownloadError
from topfive.sources.spool import Spool
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # so that writing fails, as on a full disk
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
try:
    downloads.fetch({server.url("/file")!r}, Path("x"), {CHECKSUM!r}, {len(BODY)})
except DownloadError as error:
    print(error)
"""
    server.pages["/file"] = Page(BODY)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert re.match(r"no room for x\.part: File too large", done.stdout)
    assert leftovers(tmp_path) == ["x.part"]
    have = (tmp_path / "x.part").stat().st_size
    assert fetch(server, tmp_path / "x", Page(BODY)) == [f"bytes={have}-"]
    assert (tmp_path / "x").read_bytes() == BODY


def test_a_small_body_is_read_and_a_large_one_refused(server: Server) -> None:
    server.pages["/picture"] = Page(BODY, statuses=[503])
    assert read(server, "/picture") == BODY
    with pytest.raises(DownloadError, match="over 1,000 bytes"):
        read(server, "/picture", 1000)
    server.pages["/endless"] = Page(BODY, endless=True)
    with pytest.raises(DownloadError, match="over 9,000,000 bytes"):
        read(server, "/endless", 9_000_000)


def test_a_body_that_is_cut_is_not_read_as_if_it_were_whole(server: Server) -> None:
    server.pages["/picture"] = Page(BODY, cuts=[1000] * 9)
    with pytest.raises(DownloadError, match="cannot fetch"):
        read(server, "/picture")
    assert len(server.requests) == 1 + downloads.RETRIES


def test_elsewhere_than_on_a_terminal_one_line_says_what_is_fetched(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(logging.getLogger("topfive"), "handlers", [])  # the command line's
    caplog.set_level("INFO", "topfive")
    fetch(server, tmp_path / "x.h5", Page(BODY))
    assert caplog.messages == ["fetching x.h5 (3.0 MB)"]
    assert capsys.readouterr() == ("", ""), "a library prints nothing"


def test_a_terminal_shows_size_speed_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    screen, seconds = io.StringIO(), itertools.count(0.0, 0.5)
    terminal = Console(
        file=screen, force_terminal=True, width=80, color_system=None,
        get_time=lambda: next(seconds), legacy_windows=False,
    )  # fmt: skip
    monkeypatch.setattr("rich.console.Console", lambda **_: terminal)
    with progress.show("vgg16_weights_tf_dim_ordering_tf_kernels.h5", 553_467_096) as advance:
        for done in range(0, 200_000_000, 20_000_000):
            advance(done, 553_467_096)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.getvalue())
    frames = [frame for frame in re.split(r"[\r\n]+", text) if frame.strip()]
    assert re.search(r"180\.0/553\.5 MB +\d+\.\d MB/s +\d\d:\d\d", frames[-1])
    assert max(map(len, frames)) <= 80


@pytest.mark.parametrize("algorithm", ["md5", "sha256"])
def test_hashes_are_checked_to_the_last_bit(tmp_path: Path, algorithm: str) -> None:
    file = tmp_path / "x"
    file.write_bytes(BODY)
    checksum = f"{algorithm}:{hashlib.new(algorithm, BODY).hexdigest()}"
    assert files.matches(file, checksum)
    file.write_bytes(BODY[:-1] + bytes([BODY[-1] ^ 1]))
    assert not files.matches(file, checksum)


def test_a_file_in_the_place_of_the_folder_is_an_error(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DownloadError, match=r"cannot store .*: Not a directory"):
        fetch(server, tmp_path / "file" / "x", Page(BODY))


@pytest.mark.parametrize("page", [
    Page(BODY, delay=0.05, block=1),
    Page(BODY, delay=0.05, block=1, chunked=True),
    Page(BODY, statuses=[503] * 99),
    Page(BODY, cuts=[10] * 999),
], ids=["body", "chunks", "trouble", "cuts"])  # fmt: skip
def test_a_transfer_ends_when_its_time_is_up(
    server: Server, monkeypatch: pytest.MonkeyPatch, page: Page
) -> None:
    monkeypatch.setattr(downloads, "BACKOFF", 0.3)
    server.pages["/slow"] = page
    start = time.monotonic()
    with pytest.raises(DownloadError, match="cannot fetch"):
        read(server, "/slow", seconds=0.5)
    assert time.monotonic() - start < 5


def test_headers_that_drip_are_given_up() -> None:
    with dripping(b"HTTP/1.1 200 OK\r\n") as address:
        start = time.monotonic()
        with pytest.raises(DownloadError, match=r"took too long \(--timeout\)"):
            downloads.read(address, Spool(), 1000, 0.5)
        assert time.monotonic() - start < 3


def test_weights_that_drip_are_a_cut(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in {"BLOCK_SECONDS": 0.2, "BACKOFF": 0.005, "RETRIES": 1}.items():
        monkeypatch.setattr(downloads, name, value)
    for head in (b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"):
        with dripping(head) as address, pytest.raises(DownloadError):
            downloads.fetch(address, tmp_path / "x", CHECKSUM, 1000)


@contextlib.contextmanager
def dripping(head: bytes) -> Iterator[str]:
    """Run a server that never stops, and sends a byte every 20 ms."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=drip, args=listening.accept()[:1], daemon=True).start()

        def drip(connection: socket.socket) -> None:
            with contextlib.suppress(OSError), connection:
                connection.sendall(head)
                while True:
                    connection.sendall(b"x")
                    time.sleep(0.02)

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"


def test_a_picture_that_was_cut_is_fetched_again(server: Server) -> None:
    server.pages["/picture"] = Page(BODY, cuts=[1000, 500_000])
    assert read(server, "/picture") == BODY


def test_a_body_that_is_announced_as_too_large_is_not_fetched(server: Server) -> None:
    server.pages["/picture"] = Page(BODY, delay=0.2)
    start = time.monotonic()
    with pytest.raises(DownloadError, match="over 1,000 bytes"):
        read(server, "/picture", 1000)
    assert time.monotonic() - start < 2


@pytest.mark.parametrize("url", [
    "http://a..b/x.jpg", "http://[", "http://[::1", "http://" + "a" * 64 + ".example/", "http://",
    "http://\udcff/", "http://127.0.0.1:99999/", "http://xn--/", "http://\u2488com/", "http:///x",
])  # fmt: skip
def test_a_bad_address_is_an_error_and_never_another_exception(server: Server, url: str) -> None:
    with pytest.raises(DownloadError, match="cannot fetch"):
        downloads.read(url, Spool(), 1000, 5)
    server.pages["/redirects"] = Page(b"", location=url)
    with pytest.raises(DownloadError):
        read(server, "/redirects", seconds=5)


def test_addresses_are_fetched_under_topfives_name(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_it = Page(BODY)
    server.pages["/picture"] = read_it
    read(server, "/picture")
    monkeypatch.setenv("TOPFIVE_USER_AGENT", "mine/1")
    fetch(server, tmp_path / "x", read_it)
    assert server.requests[0].agent == f"topfive/{__version__}"
    assert server.requests[-1].agent == "mine/1"


def test_the_projects_address_is_told_where_its_package_names_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    package = Message()
    package["Project-URL"] = "Homepage, https://example.org/topfive"
    monkeypatch.setattr(importlib.metadata, "metadata", lambda name: package)
    assert downloads.user_agent() == f"topfive/{__version__} (+https://example.org/topfive)"


@pytest.mark.parametrize("secret", [
    "http://me:s3cret@127.0.0.1:1/x", "http://s3cret@127.0.0.1:1/x", "https://me:s3cret@[",
    "http://127.0.0.1:1/x?X-Amz-Signature=s3cret&a=1", "http://127.0.0.1:1/x?a=1&sig=s3cret%2B",
])  # fmt: skip
def test_no_error_names_a_password(tmp_path: Path, secret: str) -> None:
    fetchings: list[Callable[[], None]] = [
        lambda: downloads.read(secret, Spool(), 1000, 5),
        lambda: downloads.fetch(secret, tmp_path / "x", None, 1000),
    ]
    for fetching in fetchings:
        with pytest.raises(DownloadError) as caught:
            fetching()
        assert "s3cret" not in str(caught.value)
        assert "***" in str(caught.value)
