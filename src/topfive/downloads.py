"""Fetch files over HTTP: retries with back-off, time-outs, resumption, progress, hashes.

requests and urllib3 do the transfer, its retries and the proxies; what they do not do is
go on after a cut in the middle of a body, which is what 553 MB need.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from topfive.errors import DownloadError

if TYPE_CHECKING:
    import requests

TIMEOUT = (10.0, 30.0)  # seconds to connect, and between two packets
CHUNK = 1 << 20
RETRIES = 5
CONNECTS = 2  # retries where no answer comes at all: without a network, say so soon
BACKOFF = 0.5  # seconds, doubled each time
RETRY_STATUS = (429, 500, 502, 503, 504)
MAX_REDIRECTS = 10

Progress = Callable[[int, int], None]  # bytes so far, bytes in all


def read(url: str, max_bytes: int) -> bytes:
    """Return the body behind an http(s) address.

    Raises:
        DownloadError: it cannot be fetched or has over `max_bytes`.
    """
    body = bytearray()
    with _session() as session, _as_download_error(url):
        with session.get(url, stream=True, timeout=TIMEOUT) as response:
            response.raise_for_status()
            for chunk in response.iter_content(CHUNK):
                body += chunk
                if len(body) > max_bytes:
                    raise DownloadError(f"{url}: over {max_bytes:,} bytes")
    return bytes(body)


def fetch(url: str, target: Path, checksum: str | None, size: int) -> None:
    """Download `url` to `target`, which appears only when it is whole and its hash right.

    Goes on from `target.part` after a cut, in this call or an earlier one. `checksum` is
    `md5:…` or `sha256:…` or None; `size` in bytes, roughly, bounds a server that never ends.

    Raises:
        DownloadError: no connection, wrong content, or no room; the part stays if it is
            worth going on from.
    """
    part = target.with_name(target.name + ".part")
    if checksum is None:
        part.unlink(missing_ok=True)  # an old part cannot be told from another file's
    with _progress(target.name, size) as progress, _session() as session:
        for attempt in ("resumed", "fresh"):
            resumed = part.exists() and part.stat().st_size > 0
            with _as_download_error(url):
                _transfer(session, url, part, int(size * 1.25) + CHUNK, progress)
            if checksum is None or matches(part, checksum):
                os.replace(part, target)
                return
            received = part.stat().st_size
            part.unlink()
            if not resumed or attempt == "fresh":
                break  # only a part of an earlier run can be the reason for a second try
    raise DownloadError(
        f"{url} sent {received:,} bytes that are not {target.name}: "
        f"expected {checksum}. A proxy or a mirror may be answering in its place"
    )


def matches(path: Path, checksum: str) -> bool:
    """Whether the file has the hash `md5:…` or `sha256:…`."""
    algorithm, _, expected = checksum.partition(":")
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest() == expected


def _session() -> requests.Session:
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.util import Retry

    session = requests.Session()
    session.max_redirects = MAX_REDIRECTS
    session.headers["Accept-Encoding"] = "identity"  # sizes and ranges are of the file itself
    retry = Retry(
        total=RETRIES, connect=CONNECTS, read=CONNECTS, backoff_factor=BACKOFF,
        status_forcelist=RETRY_STATUS, raise_on_status=False,
    )  # fmt: skip
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(max_retries=retry))
    return session


def _transfer(
    session: requests.Session, url: str, part: Path, most: int, progress: Progress
) -> None:
    """Append to `part` until the server says that it is whole; go on after every cut."""
    from requests.exceptions import ChunkedEncodingError, ConnectionError, Timeout
    from urllib3.util import Retry

    # Counts the cuts in a row: a megabyte that arrives starts the count anew.
    retry = fresh = Retry(total=RETRIES, backoff_factor=BACKOFF)
    validator: str | None = None
    while True:
        have = part.stat().st_size if part.exists() else 0
        headers = {"Range": f"bytes={have}-"} if have else {}
        if have and validator:
            headers["If-Range"] = validator
        with session.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
            if response.status_code == 416:
                if _total(response, 0) == have:
                    return
                part.unlink()  # longer than the server's file is now: start again
                continue
            response.raise_for_status()
            start = have if _continues(response, have) else 0
            validator = _validator(response)
            total = _total(response, start)
            try:
                arrived = _append(response, part, start, total, most, progress)
                if total is None or arrived >= total:
                    return
                cut: Exception = ConnectionError(f"cut off at {arrived:,} of {total:,} bytes")
            except (ChunkedEncodingError, ConnectionError, Timeout) as error:
                cut = error
        if part.stat().st_size >= have + CHUNK:
            retry = fresh
        if retry.total == 0:
            raise cut
        retry = retry.increment("GET", url)
        retry.sleep()


def _append(
    response: requests.Response,
    part: Path,
    have: int,
    total: int | None,
    most: int,
    progress: Progress,
) -> int:
    with part.open("r+b" if have else "wb") as file:
        file.seek(have)
        try:
            for chunk in response.iter_content(CHUNK):
                file.write(chunk)
                have += len(chunk)
                progress(have, total or most)
                if have > most:
                    raise DownloadError(f"{response.url} sends more than {most:,} bytes")
        finally:
            file.truncate()
    return have


def _continues(response: requests.Response, have: int) -> bool:
    content_range = response.headers.get("Content-Range", "")
    return response.status_code == 206 and content_range.startswith(f"bytes {have}-")


def _total(response: requests.Response, have: int) -> int | None:
    """The whole file's bytes, as far as the answer says."""
    whole = response.headers.get("Content-Range", "").rpartition("/")[2]
    if whole.isdigit():
        return int(whole)
    length = response.headers.get("Content-Length", "")
    return have + int(length) if length.isdigit() and response.status_code < 400 else None


def _validator(response: requests.Response) -> str | None:
    tag = response.headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified")


@contextlib.contextmanager
def _as_download_error(url: str) -> Iterator[None]:
    import requests

    try:
        yield
    except requests.RequestException as error:
        raise DownloadError(f"cannot fetch {url}: {_reason(error)}") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DownloadError(f"no room on the disk for {url}") from error
        raise DownloadError(f"cannot store {url}: {error}") from error


def _reason(error: Exception) -> str:
    import requests

    if isinstance(error, requests.HTTPError):
        return f"the server answered {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout):
        return "the server did not answer in time"
    cause: BaseException = error
    while inner := (getattr(cause, "reason", None) or cause.__cause__ or _argument(cause)):
        if not isinstance(inner, BaseException):
            break
        cause = inner
    return str(cause).rpartition("> : ")[2].rpartition(">: ")[2] or type(cause).__name__


def _argument(error: BaseException) -> object:
    return error.args[0] if error.args else None


@contextlib.contextmanager
def _progress(name: str, size: int) -> Iterator[Progress]:
    """A bar with size, speed and time left on a terminal, two lines elsewhere."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    console = Console(stderr=True)
    if not console.is_terminal:
        print(f"fetching {name} ({size / 1e6:,.1f} MB)", file=sys.stderr, flush=True)
        yield lambda done, total: None
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(bar_width=None), DownloadColumn(),
        TransferSpeedColumn(), TimeRemainingColumn(compact=True),
    )  # fmt: skip
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(name[:24], total=size)
        yield lambda done, total: bar.update(task, completed=done, total=total)
