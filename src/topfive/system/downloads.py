"""Fetch files over HTTP: retries with back-off, time-outs, resumption, progress, hashes.

requests and urllib3 do the transfer, its retries and the proxies; what they do not do is
go on after a cut in the middle of a body, which is what 553 MB need.
"""

from __future__ import annotations

import contextlib
import errno
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from topfive.errors import DownloadError
from topfive.system.files import matches
from topfive.system.progress import Progress, show

if TYPE_CHECKING:
    import requests

CONNECTS = 2  # retries where no answer comes at all: without a network, say so soon
RETRY_STATUS = (429, 500, 502, 503, 504)
MAX_REDIRECTS = 10
TIMEOUT = (10.0, 30.0)  # seconds to connect, and between two packets
BLOCK = 1 << 16  # bytes; a cut loses what has arrived of one block
GAIN = 1 << 20  # bytes that have to arrive for the count of cuts to start anew
RETRIES = 5
BACKOFF = 0.5  # seconds, doubled each time
SLACK = 1.25  # how much larger or smaller than its card says a file may be


def read(url: str, max_bytes: int) -> bytes:
    """Return the body behind an http(s) address.

    Raises:
        DownloadError: it cannot be fetched or has over `max_bytes`.
    """
    body = bytearray()
    with (
        _session() as session,
        _as_download_error(url),
        session.get(url, stream=True, timeout=TIMEOUT) as response,
    ):
        response.raise_for_status()
        for block in response.iter_content(BLOCK):
            body += block
            if len(body) > max_bytes:
                raise DownloadError(f"{url}: over {max_bytes:,} bytes")
    return bytes(body)


def fetch(url: str, target: Path, checksum: str | None, size: int, magic: bytes = b"") -> None:
    """Download `url` to `target`, which appears only when it is whole and its hash right.

    Goes on from `target.part` after a cut, in this call or an earlier one. `checksum` is
    `md5:…` or `sha256:…` or None; then the file at least begins with `magic`. `size` in
    bytes, roughly, is what must fit on the disk and bounds a server that never ends.

    Raises:
        DownloadError: no connection, wrong content, or no room; the part stays if it is
            worth going on from.
    """
    part = target.with_name(target.name + ".part")
    if checksum is None:
        part.unlink(missing_ok=True)  # an old part cannot be told from another file's
    _check_room(part, size)
    with show(target.name, size) as progress, _session() as session:
        for _ in ("as it comes", "fresh"):
            with _as_download_error(url, part):
                pieced = transfer(session, url, part, size, progress)
            if matches(part, checksum) if checksum else _begins(part, magic):
                part.replace(target)
                return
            received = part.stat().st_size
            part.unlink()
            if not pieced:
                break  # only pieces of two different files are worth a second try
    raise DownloadError(
        f"{url} sent {received:,} bytes that are not {target.name}: "
        f"expected {checksum or repr(magic) + ' in front'}. "
        "A proxy or a mirror may be answering in its place"
    )


def _begins(path: Path, magic: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(magic)) == magic


def _check_room(part: Path, size: int) -> None:
    needed = size - (part.stat().st_size if part.exists() else 0)
    free = shutil.disk_usage(part.parent).free
    if free < needed:
        raise DownloadError(
            f"no room in {part.parent}: {needed / 1e6:,.1f} MB are needed, "
            f"{free / 1e6:,.1f} MB are free"
        )


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
                _append(response, part, start, size, progress)
                return pieced
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
    response: requests.Response, part: Path, have: int, size: int, progress: Progress
) -> None:
    """Write the body from that byte of the file on."""
    from requests.exceptions import ConnectionError

    total, most = _total(response, have), int(size * SLACK)
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
    if total is not None and have < total:
        raise ConnectionError(f"cut off at {have:,} of {total:,} bytes")


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


def _session() -> requests.Session:
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.util import Retry

    session = requests.Session()
    session.max_redirects = MAX_REDIRECTS
    session.headers["Accept-Encoding"] = "identity"  # sizes and ranges are of the file itself
    retry = Retry(RETRIES, CONNECTS, CONNECTS, status_forcelist=RETRY_STATUS, raise_on_status=False)
    retry.backoff_factor = BACKOFF
    retry.respect_retry_after_header = False  # it may ask for a day
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(max_retries=retry))
    return session


@contextlib.contextmanager
def _as_download_error(url: str, part: Path | None = None) -> Iterator[None]:
    import requests

    try:
        yield
    except requests.RequestException as error:
        raise DownloadError(f"cannot fetch {url}: {_reason(error)}") from error
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        what = "no room for" if full else "cannot store"
        raise DownloadError(f"{what} {part or url}: {error.strerror or error}") from error


def _reason(error: Exception) -> str:
    import requests

    if isinstance(error, requests.HTTPError):
        return f"the server answered {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout):
        return "the server did not answer in time"
    cause: BaseException = error
    while isinstance(inner := _inner(cause), BaseException):
        cause = inner
    return str(cause).rpartition("> : ")[2].rpartition(">: ")[2] or type(cause).__name__


def _inner(error: BaseException) -> object:
    return getattr(error, "reason", None) or error.__cause__ or next(iter(error.args), None)
