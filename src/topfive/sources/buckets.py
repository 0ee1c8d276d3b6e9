"""Objects in buckets: `s3://`, `gs://` and `hf://` through fsspec, listed page by page."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from topfive.errors import MissingExtraError, OutputError, PictureError
from topfive.sources import folders
from topfive.sources.archives import too_large
from topfive.sources.left_out import LeftOut
from topfive.sources.patterns import leads_to
from topfive.system import extras

# The only ones: fsspec knows others that read this machine's files or run code.
PROTOCOLS = ("s3://", "gs://", "hf://")
GS_FIELDS = "items(name,size),prefixes,nextPageToken"


@dataclass(frozen=True)
class Object:
    """An object in a bucket; its size in bytes, or None where no listing told it."""

    address: str
    size: int | None = None

    def measure(self, limit: int) -> Object:
        """Return it with its size, which is asked for where no listing told it.

        Raises: see `read`.
        """
        system = connect(self.address)
        try:
            if "?versionId=" in self.address:
                raise ValueError("an address with ?versionId=, which names another object")
            size = self.size
            if size is None:
                entry = system.info(_path(self.address))
                if entry["type"] == "directory":
                    raise PictureError("unreadable", "a folder; expected an object")
                size = entry["size"]
        except Exception as error:
            raise _failure(error) from error
        if size > limit:
            raise too_large(limit)
        return replace(self, size=size)

    def read(self, limit: int) -> bytes:
        """Fetch the bytes; from any thread.

        Raises:
            MissingExtraError: fsspec or the protocol's package is not installed.
            PictureError: it is missing, has over `limit` bytes or cannot be fetched.
        """
        system, size = connect(self.address), self.measure(limit).size or 0
        try:
            # Servers refuse a range of an empty object.
            data = system.cat_file(_path(self.address), start=0, end=size + 1) if size else b""
        except Exception as error:
            raise _failure(error) from error
        if len(data) > size:
            raise PictureError("download", "cannot be fetched: it grew meanwhile")
        return bytes(data)


def is_address(text: str) -> bool:
    """Whether a name is that of an object, a folder or a pattern in a bucket."""
    return text.lower().startswith(PROTOCOLS)


def find(
    address: str, recursive: bool, left_out: LeftOut | None = None
) -> Iterator[tuple[str, Object | PictureError]]:
    """Yield the name and the object, or the reason for none, behind an address.

    An address is an object's, a folder's (with a slash at its end it can be nothing else)
    or a pattern. A folder's visible objects come by their names, before those inside its folders.

    Raises: see `connect`.
    """
    system = connect(address)
    left_out = LeftOut() if left_out is None else left_out
    try:
        entry: dict[str, Any] | None = {"type": "directory"}
        if "/" in _path(address) and not address.endswith("/"):
            entry = None
            with suppress(FileNotFoundError):
                entry = dict(system.info(_path(address)))
        found: Iterator[tuple[str, Object]] = iter(())
        message = "no such object"
        if entry is None and glob.has_magic(address):
            found, message = _match(system, address, left_out), "no object has such a name"
        elif entry and entry["type"] == "directory":
            hint = "" if recursive else "; --recursive looks into the folders inside"
            found = _walk(system, address.rstrip("/") + "/", lambda _: recursive, left_out)
            message = f"no object in this folder{hint}"
        elif entry:
            found = iter([(address, Object(address, entry["size"]))])
        yield next(found, (address, PictureError("missing", message)))
        yield from found
    except OutputError:
        raise
    except Exception as error:
        yield address, _failure(error)


def _match(system: Any, address: str, left_out: LeftOut) -> Iterator[tuple[str, Object]]:
    """Yield what a pattern leads to, from the folder where its first wildcard stands."""
    parts = address.split("/")
    fixed = next(place for place, part in enumerate(parts) if glob.has_magic(part))
    top, wanted = "/".join(parts[:fixed]) + "/", parts[fixed:]

    def leads(name: str, begins: bool = True) -> bool:
        return leads_to(wanted, name.removeprefix(top).rstrip("/").split("/"), begins)

    for name, found in _walk(system, top, leads, left_out):
        if leads(name, begins=False):
            yield name, found


def _walk(
    system: Any, top: str, enters: Callable[[str], bool], left_out: LeftOut
) -> Iterator[tuple[str, Object]]:
    """Yield the visible objects of a folder, then those of the folders that are entered."""

    def look(folder: str, inside: folders.Names) -> Iterator[tuple[str, Object]]:
        for name, size in _list(system, folder):
            last = name.rstrip("/").rpartition("/")[2]
            if name == folder or left_out.is_system(last) or last.startswith("."):
                continue
            if size is not None and not name.endswith("/"):
                yield name, Object(name, size)
            elif size is None and enters(name):
                inside.add(name)

    yield from folders.descend(top, look)


def _list(system: Any, folder: str) -> Iterator[tuple[str, int | None]]:
    """Yield a folder's entries by their names; a folder in it ends with a slash, without a size.
    fsspec's own listings hold a folder whole; only Hugging Face's rules keep that small."""
    protocol, _, path = folder.partition("://")
    bucket, _, prefix = path.partition("/")
    start = f"{protocol}://{bucket}/"
    token: dict[str, str] = {}
    if protocol.lower() == "hf":
        found = system.ls(path.rstrip("/"), detail=True)
        for entry in sorted(found, key=lambda entry: str(entry["name"])):
            name, inner = f"{protocol}://{entry['name']}", entry["type"] == "directory"
            yield (f"{name}/", None) if inner else (name, entry["size"])
        return
    while True:
        if protocol.lower() == "s3":
            page = system.call_s3(
                "list_objects_v2", Bucket=bucket, Prefix=prefix, Delimiter="/", **token
            )
            files = [(entry["Key"], entry["Size"]) for entry in page.get("Contents", ())]
            inside = [entry["Prefix"] for entry in page.get("CommonPrefixes", ())]
            token = {"ContinuationToken": str(page.get("NextContinuationToken") or "")}
        else:
            asked = {"delimiter": "/", "prefix": prefix, "fields": GS_FIELDS, **token}
            page = system.call("GET", "b/{}/o", bucket, json_out=True, **asked)
            files = [(entry["name"], int(entry["size"])) for entry in page.get("items", ())]
            inside = page.get("prefixes", [])
            token = {"pageToken": str(page.get("nextPageToken") or "")}
        yield from ((start + key, size) for key, size in files)
        yield from ((start + key, None) for key in inside)
        if not any(token.values()):
            return


def connect(address: str) -> Any:
    """Return what reads an address: one for all threads, whose calls fsspec runs in its own.

    Raises:
        MissingExtraError: fsspec or the protocol's package is not installed.
    """
    return _connect(address.partition("://")[0].lower(), os.getpid())


@cache
def _connect(protocol: str, _process: int) -> Any:
    try:
        import fsspec

        # By its protocol, not by an address: no address can ask for another, or a chain of them.
        return fsspec.filesystem(protocol, use_listings_cache=False)
    except ImportError as error:
        needs = f"{protocol}:// needs packages that are not installed ({error})"
        raise MissingExtraError(f"{needs}: {extras.install('buckets')}") from error


def _path(address: str) -> str:
    return address.partition("://")[2]


def _failure(error: Exception) -> PictureError:
    if isinstance(error, PictureError):
        return error
    if isinstance(error, FileNotFoundError):
        return PictureError("missing", "no such object")
    reason = " ".join(str(error).split())[:300] or type(error).__name__
    return PictureError("download", f"cannot be fetched: {reason}")
