"""One file over HTTP, through cuts: what is here already is asked for no second time."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

from topfive.errors import DownloadError
from topfive.progress import Progress

if TYPE_CHECKING:
    import requests

TIMEOUT = (10.0, 30.0)  # seconds to connect, and between two packets
BLOCK = 1 << 16  # bytes; a cut loses what has arrived of one block
GAIN = 1 << 20  # bytes that have to arrive for the count of cuts to start anew
RETRIES = 5
BACKOFF = 0.5  # seconds, doubled each time
SLACK = 1.25  # how much larger or smaller than its card says a file may be


def transfer(
    session: requests.Session, url: str, part: Path, size: int, progress: Progress
) -> bool:
    """Append to `part` until the server says that it is whole; go on after every cut.

    `size` is what is expected, in bytes, roughly. Returns whether the file was put together
    from more than one answer.

    Raises:
        DownloadError: what the server sends is plainly not the file.
        requests.RequestException: no connection, a bad status, or too many cuts in a row.
    """
    from requests.exceptions import ChunkedEncodingError, ConnectionError, Timeout

    cuts, begun, pieced = 0, False, False
    validator: str | None = None
    while True:
        have = part.stat().st_size if part.exists() else 0
        headers = {"Range": f"bytes={have}-"} if have else {}
        if have and validator:
            headers["If-Range"] = validator
        try:
            with session.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
                if have and response.status_code == 416 and _total(response, 0) == have:
                    return True
                start = _start(response, have, size)
                begun, pieced = True, start > 0
                validator = _validator(response)
                total = _total(response, start)
                arrived = _append(response, part, start, total, size, progress)
                if total is None or arrived >= total:
                    return pieced
                raise ConnectionError(f"cut off at {arrived:,} of {total:,} bytes")
        except _NoContinuation as error:
            part.unlink(missing_ok=True)
            cut: Exception = error
        except (ChunkedEncodingError, ConnectionError, Timeout) as error:
            if not begun:
                raise
            cut = error
        if part.exists() and part.stat().st_size >= have + GAIN:
            cuts = 0
        if cuts == RETRIES:
            raise cut
        time.sleep(BACKOFF * 2**cuts)
        cuts += 1


class _NoContinuation(DownloadError):
    """The server's answer does not go on where the part ends."""


def _start(response: requests.Response, have: int, size: int) -> int:
    """Return the byte of the file at which the body of the answer starts.

    A page that says "log in" must not take the place of 400 MB that are already here, so
    what is plainly not the file is refused before the part is touched.
    """
    if response.status_code != 416:
        response.raise_for_status()
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip()
    if kind == "text/html":
        raise DownloadError(f"{response.url} answered with a web page instead of the file")
    total = _total(response, have if response.status_code == 206 else 0)
    if total is not None and not size / SLACK <= total <= size * SLACK:
        raise DownloadError(
            f"{response.url} announces a file of {total:,} bytes; {size:,} are expected"
        )
    if response.status_code == 416:
        raise _NoContinuation(f"{response.url} does not go on after {have:,} bytes")
    if response.status_code != 206:
        return 0
    found = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    if found is None or int(found[1]) > have or _encoded(response):
        raise _NoContinuation(f"{response.url} sends another range than bytes {have:,} and on")
    return int(found[1])


def _append(
    response: requests.Response,
    part: Path,
    have: int,
    total: int | None,
    size: int,
    progress: Progress,
) -> int:
    most = int(size * SLACK)
    progress(have, total or size)
    with part.open("r+b" if have else "wb") as file:
        file.seek(have)
        try:
            for block in response.iter_content(BLOCK):
                file.write(block)
                have += len(block)
                progress(have, total or size)
                if have > most:
                    break
        finally:
            file.truncate()
    if have > most:
        part.unlink()
        raise DownloadError(f"{response.url} sends more than {most:,} bytes")
    return have


def _total(response: requests.Response, start: int) -> int | None:
    """The whole file's bytes, as far as the answer says."""
    whole = response.headers.get("Content-Range", "").rpartition("/")[2]
    if whole.isdigit():
        return int(whole)
    length = response.headers.get("Content-Length", "")
    known = length.isdigit() and response.ok and not _encoded(response)
    return start + int(length) if known else None


def _encoded(response: requests.Response) -> bool:
    """Whether lengths and ranges are those of a compressed form, unasked for."""
    return response.headers.get("Content-Encoding", "identity") != "identity"


def _validator(response: requests.Response) -> str | None:
    tag = response.headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified")
