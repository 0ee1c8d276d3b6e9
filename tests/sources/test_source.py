"""One source: its content within limits, its name without what nobody should read."""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.loopback import Page, Server, serving
from topfive.errors import PictureError, UsageError
from topfive.sources import arguments, lists, spool
from topfive.sources.source import Source, from_object
from topfive.system import downloads, memory


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(downloads, "BACKOFF", 0.005)
    with serving() as running:
        yield running


@pytest.mark.parametrize("size", [0, 1000, 3 << 20])
def test_an_address_is_read_whole_and_can_be_held(server: Server, size: int) -> None:
    body = os.urandom(size)
    server.pages["/picture"] = Page(body, cuts=[10] if size else [])
    held = from_object(server.url("/picture")).hold()
    assert isinstance(held.content, spool.Spool)
    assert held.read() == held.read() == body
    assert held.hold() is held


def test_names_have_no_passwords_and_addresses_keep_them(server: Server) -> None:
    server.pages["/picture?sig=s3cret&size=2"] = Page(b"x")
    address = server.url("/picture?sig=s3cret&size=2").replace("//", "//me:s3cret@")
    for source in (
        from_object(address), *arguments.read([address]),
        *arguments.read_names(io.BytesIO(address.encode() + b"\0")),
    ):  # fmt: skip
        assert source.name == server.url("/picture?sig=***&size=2").replace("//", "//***@")
        assert source.read() == b"x"
    with pytest.raises(PictureError) as caught:
        from_object(address.replace("size", "other")).read()
    assert "s3cret" not in str(caught.value)


def test_an_address_is_given_up_after_its_time(server: Server) -> None:
    server.pages["/picture"] = Page(b"x" * 1000, delay=0.1, block=1)
    start = time.monotonic()
    with pytest.raises(PictureError, match="--timeout") as caught:
        from_object(server.url("/picture")).read(timeout=0.4)
    assert caught.value.kind == "download"
    assert time.monotonic() - start < 3


def test_what_is_held_of_a_stream_is_on_disk_where_it_is_large(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held = spool.Spool()
    memory.reset_peak()
    before = memory.peak()
    for _ in range(200):
        held.write(bytes(500_000))
    assert held.size == 100_000_000
    if sys.platform == "linux":
        assert memory.peak() - before < 50_000_000
    held.restart()
    held.write(b"anew")
    assert held.read() == b"anew"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"y" * 2_000_000)))
    assert Source("-", "-").hold().read() == b"y" * 2_000_000


@pytest.mark.skipif(sys.platform != "linux", reason="Linux has all of them")
def test_what_is_no_regular_file_is_no_picture_and_no_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    for name in ("pipe", "/dev/zero", "/proc/self/status", "/proc/kmsg"):
        with pytest.raises(PictureError, match=r"regular file|cannot be read") as caught:
            Source(name, Path(name)).read()
        assert caught.value.kind == "unreadable"
        with pytest.raises(UsageError, match=r"regular file|cannot read"):
            lists.open_list(f"@{name}")


def test_files_are_claimed_before_they_are_read(tmp_path: Path) -> None:
    file = tmp_path / "a.jpg"
    file.write_bytes(b"x" * 1000)
    with memory.PICTURES.claim() as claim:
        Source("a", file).read(claim)
        assert claim.read == 1000
