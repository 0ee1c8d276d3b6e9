"""A loopback server that speaks enough of S3, Google's storage and Hugging Face's hub for the
real clients to list and read what is in `objects`."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

BUCKET = "photos"
REPOSITORY = "datasets/me/photos"
COMMIT = "0" * 40


@dataclass
class Server:
    address: str
    objects: dict[str, bytes]
    page: int = 3  # entries in a page of a listing
    requests: list[str] = field(default_factory=list)

    def environment(self, cache: str) -> dict[str, str]:
        """What leads the three clients here and nowhere else; `cache` is a folder."""
        return {
            "AWS_ENDPOINT_URL": self.address,
            "AWS_ACCESS_KEY_ID": "dummy",
            "AWS_SECRET_ACCESS_KEY": "dummy",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "STORAGE_EMULATOR_HOST": self.address,
            "FSSPEC_GS_TOKEN": "anon",
            "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",  # asks by gRPC
            "HF_ENDPOINT": self.address,
            "HF_HOME": cache,
            "HF_HUB_DISABLE_TELEMETRY": "1",
        }


@contextmanager
def serving(objects: dict[str, bytes]) -> Iterator[Server]:
    """Run a server as long as the block lasts."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as http:
        http.daemon_threads = True
        server = Server(f"http://127.0.0.1:{http.server_address[1]}", objects)
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

    @property
    def loopback(self) -> Server:
        return self.server.loopback  # type: ignore[attr-defined, no-any-return]

    def do_GET(self) -> None:
        self.loopback.requests.append(f"{self.command} {self.path}")
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        path = unquote(url.path)
        if match := re.fullmatch(r"(?:/download)?/storage/v1/b/([^/]+)(?:/o(?:/(.+))?)?", path):
            self._google(match[1], match[2], query, path)
        elif path.startswith(f"/api/{REPOSITORY}"):
            self._hub(path.removeprefix(f"/api/{REPOSITORY}"))
        elif match := re.fullmatch(rf"/{REPOSITORY}/resolve/[^/]+/(.+)", path):
            self._object(match[1], {"X-Repo-Commit": COMMIT})
        elif "list-type" in query:
            self._s3_page(path.strip("/"), query)
        else:
            bucket, _, key = path.lstrip("/").partition("/")
            self._object(key if bucket == BUCKET else None)

    do_HEAD = do_GET

    def do_POST(self) -> None:
        self.loopback.requests.append(f"{self.command} {self.path}")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Content-Type", "").startswith("application/json"):
            paths = json.loads(body)["paths"]
        else:
            paths = parse_qs(body.decode())["paths"]
        found = [self._hub_file(key) for key in paths if key in self.loopback.objects]
        found += [{"type": "directory", "path": path, "oid": COMMIT} for path in paths
                  if any(key.startswith(path + "/") for key in self.loopback.objects)]  # fmt: skip
        self._json(found)

    def _object(self, key: str | None, headers: dict[str, str] | None = None) -> None:
        body = self.loopback.objects.get(key or "")
        if body is None:
            text = b"<Error><Code>NoSuchKey</Code><Message>gone</Message></Error>"
            self._answer(404, text, {"X-Error-Code": "EntryNotFound"})
            return
        headers = {"ETag": '"tag"', "Accept-Ranges": "bytes", **(headers or {})}
        if match := re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", "")):
            start, last = int(match[1]), min(int(match[2]), len(body) - 1)
            if start >= len(body):
                self._answer(416, b"<Error><Code>InvalidRange</Code></Error>", headers)
                return
            headers["Content-Range"] = f"bytes {start}-{last}/{len(body)}"
            self._answer(206, body[start : last + 1], headers)
        else:
            self._answer(200, body, headers)

    def _level(self, prefix: str, delimiter: str) -> tuple[list[str], list[str]]:
        """Return the keys and the folders that begin with a prefix."""
        keys, inside = [], []
        for key in sorted(self.loopback.objects):
            if key.startswith(prefix):
                head, found, _ = key[len(prefix) :].partition(delimiter or "\0")
                if found:
                    inside.append(prefix + head + delimiter)
                else:
                    keys.append(key)
        return keys, sorted(set(inside))

    def _page(self, query: dict[str, str], token: str) -> tuple[list[str], list[str], str]:
        keys, inside = self._level(query.get("prefix", ""), query.get("delimiter", ""))
        both = sorted([*keys, *inside])
        start = int(query.get(token, "0"))
        end = start + self.loopback.page
        here = both[start:end]
        following = str(end) if end < len(both) else ""
        return [k for k in here if k in keys], [k for k in here if k in inside], following

    def _s3_page(self, bucket: str, query: dict[str, str]) -> None:
        if bucket != BUCKET:
            self._answer(404, b"<Error><Code>NoSuchBucket</Code></Error>", {})
            return
        keys, inside, following = self._page(query, "continuation-token")
        text = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(self.loopback.objects[key])}</Size>"
            "<LastModified>2026-01-01T00:00:00Z</LastModified></Contents>"
            for key in keys
        )
        text += "".join(
            f"<CommonPrefixes><Prefix>{escape(prefix)}</Prefix></CommonPrefixes>"
            for prefix in inside
        )
        if following:
            text += f"<NextContinuationToken>{following}</NextContinuationToken>"
        text += f"<IsTruncated>{str(bool(following)).lower()}</IsTruncated>"
        body = f"<ListBucketResult><Name>{bucket}</Name>{text}</ListBucketResult>"
        self._answer(200, body.encode(), {"Content-Type": "application/xml"})

    def _google(self, bucket: str, key: str | None, query: dict[str, str], path: str) -> None:
        objects = self.loopback.objects
        if bucket != BUCKET or (key is not None and key not in objects):
            self._answer(404, b'{"error": {"code": 404, "message": "gone"}}', {})
        elif path.startswith("/download") or query.get("alt") == "media":
            self._object(key)
        elif key is not None:
            self._json(self._google_file(key))
        elif path.endswith("/o"):
            keys, inside, following = self._page(query, "pageToken")
            page: dict[str, Any] = {"kind": "storage#objects"}
            page["items"] = [self._google_file(key) for key in keys]
            page["prefixes"] = inside
            self._json({**page, "nextPageToken": following} if following else page)
        else:
            self._json({"kind": "storage#bucket", "name": bucket})

    def _google_file(self, key: str) -> dict[str, str]:
        return {"name": key, "size": str(len(self.loopback.objects[key])), "bucket": BUCKET}

    def _hub(self, path: str) -> None:
        if match := re.fullmatch(r"/tree/[^/]+(?:/(.+))?", path):
            prefix = f"{match[1]}/" if match[1] else ""
            keys, inside = self._level(prefix, "/")
            folders = [{"type": "directory", "path": name[:-1], "oid": COMMIT} for name in inside]
            self._json([*folders, *map(self._hub_file, keys)])
        else:
            self._json({"id": "me/photos", "sha": COMMIT, "private": False, "tags": [],
                        "downloads": 0, "likes": 0, "siblings": []})  # fmt: skip

    def _hub_file(self, key: str) -> dict[str, Any]:
        size = len(self.loopback.objects[key])
        return {"type": "file", "path": key, "size": size, "oid": COMMIT}

    def _json(self, value: Any) -> None:
        self._answer(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):  # the client has seen enough
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Keep standard error for the program under test."""
