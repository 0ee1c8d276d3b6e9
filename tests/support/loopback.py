"""A real HTTP server on 127.0.0.1 that serves files, and is cut, slowed and made to lie."""

from __future__ import annotations

import gzip
import hashlib
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Page:
    """A file and how the server behaves when it is asked for."""

    body: bytes
    statuses: list[int] = field(default_factory=list)  # answered first, one a request
    retry_after: str = ""  # goes with them
    cuts: list[int] = field(default_factory=list)  # body bytes before a cut, one a request
    delay: float = 0.0  # seconds before every block of the body
    block: int = 1 << 16
    location: str = ""  # redirects there
    tag: str | None = None  # the ETag; by default it follows from the body
    content_type: str = "application/octet-stream"
    length: int | None = None  # the Content-Length, whatever the body's is
    ranges: str = "kept"  # or "ignored": 200 and the whole; or "shifted": from another byte
    gzip: bool = False
    endless: bool = False
    chunked: bool = False  # says no length


@dataclass(frozen=True)
class Request:
    path: str
    range: str | None
    if_range: str | None
    encoding: str | None
    agent: str | None


class Server:
    """`pages` by path; `requests` are recorded in order."""

    def __init__(self, port: int) -> None:
        self.pages: dict[str, Page] = {}
        self.requests: list[Request] = []
        self.address = f"http://127.0.0.1:{port}"

    def url(self, path: str) -> str:
        return self.address + path


@contextmanager
def serving() -> Iterator[Server]:
    """Run a server as long as the block lasts."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as http:
        http.daemon_threads = True
        server = Server(http.server_address[1])
        http.loopback = server  # type: ignore[attr-defined]
        thread = threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        server: Server = self.server.loopback  # type: ignore[attr-defined]
        get = self.headers.get
        server.requests.append(
            Request(
                self.path, get("Range"), get("If-Range"), get("Accept-Encoding"), get("User-Agent")
            )
        )
        page = server.pages.get(self.path)
        self.close_connection = True
        with suppress(BrokenPipeError, ConnectionResetError):  # the client has seen enough
            if page is None:
                self.send_error(404)
            elif page.statuses:
                headers = {"Retry-After": page.retry_after} if page.retry_after else {}
                self._head(page.statuses.pop(0), {**headers, "Content-Length": "0"})
            elif page.location:
                self._head(302, {"Location": page.location, "Content-Length": "0"})
            else:
                self._answer(page)

    def _answer(self, page: Page) -> None:
        body, status, headers = page.body, 200, {"Content-Type": page.content_type}
        tag = page.tag if page.tag is not None else f'"{hashlib.md5(body).hexdigest()}"'  # noqa: S324
        if tag:
            headers["ETag"] = tag
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        same = self.headers.get("If-Range") in (None, tag)
        if page.ranges != "ignored" and wanted and same:
            start, size = int(wanted[1]), len(body)
            if start >= size:
                self._head(416, {"Content-Range": f"bytes */{size}", "Content-Length": "0"})
                return
            if page.ranges == "shifted":
                start += 10
            status, body = 206, body[start:]
            headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
        if page.gzip:
            body = gzip.compress(body)
            headers["Content-Encoding"] = "gzip"
        if not page.endless and not page.chunked:
            headers["Content-Length"] = str(len(body) if page.length is None else page.length)
        self._head(status, headers)
        cut = page.cuts.pop(0) if page.cuts else None
        self._send(body if cut is None else body[:cut], page)
        while page.endless:
            self._send(body, page)

    def _send(self, body: bytes, page: Page) -> None:
        for start in range(0, len(body), page.block):
            time.sleep(page.delay)
            self.wfile.write(body[start : start + page.block])
            self.wfile.flush()

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Connection": "close"}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Keep standard error for the program under test."""
