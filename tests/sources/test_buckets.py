"""Buckets are listed page by page and read through the real clients, from a server here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import bucket_server
from topfive.errors import MissingExtraError
from topfive.sources import arguments as sources
from topfive.sources import buckets
from topfive.sources.source import from_object

pytest.importorskip("fsspec")

OBJECTS = {
    "top.jpg": b"top", "empty.jpg": b"", "in/": b"", "in/[x].jpg": b"bracket",
    "in/a b#?é.jpg": b"odd", "in/.hidden/y.jpg": b"h", "in/.h.jpg": b"h", "in/deep/x.jpg": b"deep",
    "in/a::file.jpg": b"chain", **{f"in/{n}.jpg": str(n).encode() for n in range(7)},
}  # fmt: skip
DIGITS = [f"in/{n}.jpg" for n in range(7)]
FOLDER = [*DIGITS, "in/[x].jpg", "in/a b#?é.jpg", "in/a::file.jpg"]
PLACES = {"s3": "s3://photos", "gs": "gs://photos", "hf": "hf://datasets/me/photos"}
PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "hf": "huggingface_hub"}

# In a process of its own: the clients keep sessions and a thread until its end.
READ = """
import json, sys
from concurrent.futures import ThreadPoolExecutor
from topfive.sources import arguments as sources, source
from topfive.errors import PictureError

def outcome(one):
    try:
        return one.read().decode()
    except PictureError as error:
        return f"{error.kind}: {error}"

options = json.loads(sys.argv[1])
source.MAX_BYTES = options.pop("limit", source.MAX_BYTES)
pool = ThreadPoolExecutor(8)
for argument in sys.argv[2:]:
    found = list(sources.read([argument], **options))
    print(json.dumps([[s.name, r] for s, r in zip(found, pool.map(outcome, found))]))
"""


@pytest.fixture(scope="module")
def server() -> Iterator[bucket_server.Server]:
    with bucket_server.serving(OBJECTS) as running:
        yield running


def read(
    server: bucket_server.Server, cache: Path, *arguments: str, **options: Any
) -> list[dict[str, str]]:
    """Return names and outcomes, in order, for each argument."""
    command = [sys.executable, "-W", "error", "-c", READ, json.dumps(options), *arguments]
    environment = {**os.environ, **server.environment(str(cache))}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [dict(json.loads(line)) for line in done.stdout.splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("protocol", PLACES)
def test_objects_folders_and_patterns_are_listed_and_read(
    protocol: str, server: bucket_server.Server, tmp_path: Path
) -> None:
    pytest.importorskip(PACKAGES[protocol])
    place = PLACES[protocol]

    def expected(*keys: str) -> dict[str, str]:
        return {f"{place}/{key}": OBJECTS[key].decode() for key in keys}

    arguments = ["/top.jpg", "/empty.jpg", "", "/in", "/in/", "/in/[x].jpg", "/in/[0-2]*",
                 "/**/x.jpg", "/*/deep/?.jpg", "/in/a::file.jpg"]  # fmt: skip
    results = read(server, tmp_path, *(place + part for part in arguments), recursive=True)
    everything = expected("empty.jpg", "top.jpg", *FOLDER, "in/deep/x.jpg")
    folder = expected(*FOLDER, "in/deep/x.jpg")
    assert results == [
        expected("top.jpg"), expected("empty.jpg"), everything, folder, folder,
        expected("in/[x].jpg"), expected(*DIGITS[:3]), expected("in/deep/x.jpg"),
        expected("in/deep/x.jpg"), expected("in/a::file.jpg"),
    ]  # fmt: skip
    assert list(results[3]) == list(folder)  # in order


@pytest.mark.slow
@pytest.mark.parametrize("protocol", PLACES)
def test_what_cannot_be_read_is_one_failure_that_says_why(
    protocol: str, server: bucket_server.Server, tmp_path: Path
) -> None:
    pytest.importorskip(PACKAGES[protocol])
    place = PLACES[protocol]
    names = tmp_path / "names.txt"
    names.write_text(f"{place}/nowhere.jpg\n{place}/in/*\n{place}/in\n{place}/top.jpg\n")
    gone, below, pattern, listed = read(
        server, tmp_path, f"{place}/nowhere.jpg", f"{place}/", f"{place}/no*/*.gif", f"@{names}",
        unpack=True, limit=3,
    )  # fmt: skip
    assert gone == {f"{place}/nowhere.jpg": "missing: no such object"}
    assert below == {f"{place}/empty.jpg": "", f"{place}/top.jpg": "top"}
    assert list(pattern) == [f"{place}/no*/*.gif"]
    assert pattern[f"{place}/no*/*.gif"].startswith("missing: ")
    assert listed[f"{place}/nowhere.jpg"] == "missing: no such object"
    assert listed[f"{place}/in/*"] == "missing: no such object"  # no pattern in a list
    assert listed[f"{place}/in"] == "unreadable: a folder; expected an object"
    assert listed[f"{place}/top.jpg"] == "top"
    (large,) = read(server, tmp_path, f"{place}/in/[[]x].jpg", f"{place}/in/[[]x].jpg", limit=3)[:1]
    assert large == {f"{place}/in/[x].jpg": "too-large: over the limit of 3 bytes"}


@pytest.mark.slow
def test_a_bucket_is_listed_page_by_page(server: bucket_server.Server, tmp_path: Path) -> None:
    pytest.importorskip("s3fs")
    code = ("from topfive.sources import arguments as sources; found = sources.read(['s3://photos/in/'])\n"
            "print(next(found).name)")  # fmt: skip
    server.requests.clear()
    environment = {**os.environ, **server.environment(str(tmp_path))}
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "s3://photos/in/0.jpg\n"
    assert len(server.requests) == 2  # pages of three, the first hidden or the folder itself


@pytest.mark.slow
def test_a_server_that_refuses_is_a_failure(tmp_path: Path) -> None:
    pytest.importorskip("s3fs")
    with bucket_server.serving({}) as other:
        (bucket, version) = read(other, tmp_path, "s3://elsewhere/", "s3://photos/a?versionId=1")
    assert bucket["s3://elsewhere/"].startswith(("missing: ", "download: "))
    assert version["s3://photos/a?versionId=1"].startswith(("missing: ", "download: "))


@pytest.mark.parametrize(
    "name", ["file:///etc/passwd", "local://x", "reference://x", "zip::s3://photos/a.zip",
             "github://a:b@/x", "memory://x", "simplecache::s3://photos/x", "s3:/photos/x"],
)  # fmt: skip
def test_no_other_protocol_reaches_fsspec(name: str) -> None:
    assert not buckets.is_address(name)
    (source,) = sources.read([name])
    with pytest.raises(Exception, match="no such file"):
        source.read()


def test_a_missing_package_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    buckets._connect.cache_clear()
    for reading in (
        lambda: next(sources.read(["s3://photos/a.jpg"])),
        lambda: from_object("gs://photos/a.jpg").read(),
    ):
        with pytest.raises(MissingExtraError, match=r"pip install 'topfive\[buckets\]'"):
            reading()
    assert sources.count(["s3://photos"]) is None
