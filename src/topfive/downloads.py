"""Fetch files over HTTP: retries with back-off, time-outs, resumption, progress, hashes.

requests and urllib3 do the transfer, its retries and the proxies; what they do not do is
go on after a cut in the middle of a body, which is what 553 MB need.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from topfive import transfers
from topfive.errors import DownloadError
from topfive.progress import show

if TYPE_CHECKING:
    import requests

CONNECTS = 2  # retries where no answer comes at all: without a network, say so soon
RETRY_STATUS = (429, 500, 502, 503, 504)
MAX_REDIRECTS = 10


def read(url: str, max_bytes: int) -> bytes:
    """Return the body behind an http(s) address.

    Raises:
        DownloadError: it cannot be fetched or has over `max_bytes`.
    """
    body = bytearray()
    with (
        _session() as session,
        _as_download_error(url),
        session.get(url, stream=True, timeout=transfers.TIMEOUT) as response,
    ):
        response.raise_for_status()
        for block in response.iter_content(transfers.BLOCK):
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
                pieced = transfers.transfer(session, url, part, size, progress)
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


def matches(path: Path, checksum: str) -> bool:
    """Whether the file has the hash `md5:…` or `sha256:…`."""
    algorithm, _, expected = checksum.partition(":")
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest() == expected


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


def _session() -> requests.Session:
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.util import Retry

    session = requests.Session()
    session.max_redirects = MAX_REDIRECTS
    session.headers["Accept-Encoding"] = "identity"  # sizes and ranges are of the file itself
    retry = Retry(
        total=transfers.RETRIES, connect=CONNECTS, read=CONNECTS, backoff_factor=transfers.BACKOFF,
        status_forcelist=RETRY_STATUS, raise_on_status=False,
        respect_retry_after_header=False,  # it may ask for a day
    )  # fmt: skip
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
    while inner := (getattr(cause, "reason", None) or cause.__cause__ or _argument(cause)):
        if not isinstance(inner, BaseException):
            break
        cause = inner
    return str(cause).rpartition("> : ")[2].rpartition(">: ")[2] or type(cause).__name__


def _argument(error: BaseException) -> object:
    return error.args[0] if error.args else None
