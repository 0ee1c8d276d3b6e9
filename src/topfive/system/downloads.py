"""Fetch files over HTTP: retries with back-off, time-outs, resumption, progress, hashes.

requests and urllib3 do the transfer, its retries and the proxies; what they do not do is
go on after a cut in the middle of a body, which is what 553 MB need.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from topfive.errors import DownloadError
from topfive.system.deadlines import Deadline, watch_connections
from topfive.system.files import matches
from topfive.system.progress import Progress, show
from topfive.system.text import hide_secrets
from topfive.version import __version__

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
BLOCK_SECONDS = 60.0  # for a block of weights, or an answer to begin: over 1 KB a second
SLACK = 1.25  # how much larger or smaller than its card says a file may be


def user_agent() -> str:
    """Return what servers are told of who asks: topfive, and the address of the project if its
    package names one."""
    from importlib.metadata import PackageNotFoundError, metadata

    try:
        urls = metadata("topfive").get_all("Project-URL") or []
    except PackageNotFoundError:
        urls = []
    return " ".join([f"topfive/{__version__}", *(f"(+{url.split(', ')[-1]})" for url in urls[:1])])


class Sink(Protocol):
    """What takes a body, and throws it away where it has to begin anew."""

    def write(self, block: bytes) -> None: ...

    def restart(self) -> None: ...


def read(url: str, sink: Sink, max_bytes: int, seconds: float) -> None:
    """Give a sink the body behind an http(s) address, whole; a cut is followed by another try.

    All of it, redirects and tries included, takes at most `seconds`.

    Raises:
        DownloadError: it cannot be fetched, has over `max_bytes`, or there is no room for it.
    """
    import requests
    from requests.exceptions import ChunkedEncodingError, ConnectionError, Timeout

    with Deadline(seconds) as deadline, _session(deadline) as session:
        for cuts in range(RETRIES + 1):
            begun = False
            try:
                with (
                    _as_download_error(url, deadline),
                    session.get(url, stream=True, timeout=TIMEOUT) as response,
                ):
                    begun = True
                    response.raise_for_status()
                    _read_body(response, sink, max_bytes)
                    if deadline.passed:  # a body that has no length ends there, too
                        raise requests.Timeout
                return
            except DownloadError as error:
                cut = isinstance(error.__cause__, (ChunkedEncodingError, ConnectionError, Timeout))
                wait = BACKOFF * 2**cuts
                if not (begun and cut) or cuts == RETRIES or deadline.left() < wait:
                    raise
            sink.restart()
            time.sleep(wait)


def _read_body(response: requests.Response, sink: Sink, max_bytes: int) -> None:
    received = 0
    if (_total(response, 0) or 0) <= max_bytes:
        for block in response.iter_content(BLOCK):
            received += len(block)
            if received > max_bytes:
                break
            sink.write(block)
        else:
            return
    raise DownloadError(f"{hide_secrets(response.url)}: over {max_bytes:,} bytes")


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
    with show(target.name, size) as progress:
        for _ in ("as it comes", "fresh"):
            with _as_download_error(url, part=part):
                pieced = transfer(url, part, size, progress)
            if matches(part, checksum) if checksum else _begins(part, magic):
                part.replace(target)
                return
            received = part.stat().st_size
            part.unlink()
            if not pieced:
                break  # only pieces of two different files are worth a second try
    raise DownloadError(
        f"{hide_secrets(url)} sent {received:,} bytes that are not {target.name}: "
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


def transfer(url: str, part: Path, size: int, progress: Progress) -> bool:
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
            with (
                Deadline(None) as deadline,
                _session(deadline) as session,
                _get(session, deadline, url, headers) as response,
            ):
                if have and response.status_code == 416 and _total(response, 0) == have:
                    return True
                start = _start(response, have, size)
                begun, pieced = True, start > 0
                validator = _validator(response)
                _append(response, part, start, size, _renewing(deadline, progress))
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


def _get(
    session: requests.Session, deadline: Deadline, url: str, headers: dict[str, str]
) -> requests.Response:
    deadline.renew(BLOCK_SECONDS)
    return session.get(url, headers=headers, stream=True, timeout=TIMEOUT)


def _renewing(deadline: Deadline, progress: Progress) -> Progress:
    """Return a `progress` that also gives a server time for its next block."""

    def note(done: int, total: int) -> None:
        deadline.renew(BLOCK_SECONDS)
        progress(done, total)

    return note


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
        raise DownloadError(
            f"{hide_secrets(response.url)} answered with a web page instead of the file"
        )
    total = _total(response, have if response.status_code == 206 else 0)
    if total is not None and not size / SLACK <= total <= size * SLACK:
        announced = f"{hide_secrets(response.url)} announces a file of {total:,} bytes"
        raise DownloadError(f"{announced}; {size:,} are expected")
    if response.status_code == 416:
        raise _NoContinuation(f"{hide_secrets(response.url)} does not go on after {have:,} bytes")
    if response.status_code != 206:
        return 0
    found = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    if found is None or int(found[1]) > have or _encoded(response):
        raise _NoContinuation(
            f"{hide_secrets(response.url)} sends another range than bytes {have:,} and on"
        )
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
        raise DownloadError(f"{hide_secrets(response.url)} sends more than {most:,} bytes")
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


def _session(deadline: Deadline) -> requests.Session:
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.util import Retry

    class Adapter(HTTPAdapter):
        def get_connection_with_tls_context(self, *args: Any, **options: Any) -> Any:
            pool: Any = super().get_connection_with_tls_context(*args, **options)
            pool.ConnectionCls = watch_connections(type(pool).ConnectionCls, deadline)
            return pool

    class Patience(Retry):
        def sleep(self, *args: Any, **options: Any) -> None:
            if deadline.left() <= self.get_backoff_time():
                raise requests.Timeout
            super().sleep(*args, **options)

    session = requests.Session()
    session.max_redirects = MAX_REDIRECTS
    session.headers["Accept-Encoding"] = "identity"  # sizes and ranges are of the file itself
    session.headers["User-Agent"] = os.environ.get("TOPFIVE_USER_AGENT") or user_agent()
    counts = RETRIES, CONNECTS, CONNECTS
    retry = Patience(*counts, status_forcelist=RETRY_STATUS, raise_on_status=False)
    retry.backoff_factor = BACKOFF
    retry.respect_retry_after_header = False  # it may ask for a day
    for scheme in ("http://", "https://"):
        session.mount(scheme, Adapter(max_retries=retry))
    return session


@contextlib.contextmanager
def _as_download_error(
    url: str, deadline: Deadline | None = None, part: Path | None = None
) -> Iterator[None]:
    import requests
    from urllib3.exceptions import HTTPError

    try:
        yield
    except DownloadError:
        raise
    # What is no address is many errors: of requests, urllib3, idna, urllib, codecs.
    except (requests.RequestException, HTTPError, ValueError) as error:
        reason = _reason(error)
        if deadline and deadline.passed:
            reason = "it took too long (--timeout)"
        raise DownloadError(hide_secrets(f"cannot fetch {url}: {reason}")) from error
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        what = "no room for" if full else "cannot store"
        text = f"{what} {part or url}: {error.strerror or error}"
        raise DownloadError(hide_secrets(text)) from error


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
