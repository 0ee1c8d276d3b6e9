"""The files in a tar archive, in its order, its links followed."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Iterator
from typing import IO, Any

from topfive.errors import PictureError
from topfive.sources.left_out import LeftOut
from topfive.sources.members import Member, take, too_large
from topfive.sources.spool import Spool
from topfive.sources.unpacking import open_archive

MAX_HEADER = 1 << 20  # bytes of one member's tar headers
MAX_HELD = 1 << 20  # bytes of a compressed tar's member that are in memory until asked for
MAX_END = 1 << 20  # bytes behind a compressed tar's last member
MAX_LINKS = 100_000  # that are followed
# What stands beside the picture of a key in a shard of WebDataset's.
SIDECARS = frozenset(
    "json txt cls cls2 id index caption cap xml yaml yml csv npy npz pyd pkl pth pt "
    "msgpack msg ten tb".split()
)

Link = tuple[str, str]  # its name, and where it leads


def find(
    path: str, limit: int, compressed: bool, is_picture: Callable[[str], bool], left_out: LeftOut
) -> Iterator[tuple[str, Any]]:
    """Yield the name and the content of each file in a tar, then of the links to them.

    Raises:
        Exception: whatever `tarfile` and decompressors do where it is broken.
    """
    links: list[Link] = []
    found = _walk(path, limit, compressed, links, left_out)
    yield from _without_sidecars(found, is_picture, left_out)
    wanted = _follow(links)
    if wanted:
        for name, content in _walk(path, limit, compressed, None, LeftOut()):
            for link in wanted.pop(posixpath.normpath(name), ()):
                yield link, content
    left_out["links to what is no file in the archive"] += sum(map(len, wanted.values()))


def _walk(
    path: str, limit: int, compressed: bool, links: list[Link] | None, left_out: LeftOut
) -> Iterator[tuple[str, Any]]:
    import tarfile

    with open_archive(path) as file:
        length = None if compressed else os.fstat(file.fileno()).st_size
        headers = _Headers(file)
        tar = tarfile.TarFile(fileobj=headers, encoding="utf-8")  # type: ignore[arg-type]
        place = 0
        while True:
            # `tar.next` would keep every header, and end where one is damaged.
            headers.restart(place)
            try:
                member = tarfile.TarInfo.fromtarfile(tar)
            except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
                break
            except tarfile.EmptyHeaderError as error:  # type: ignore[attr-defined]
                raise EOFError("it has no end mark and may be cut off") from error
            tar.pax_headers = {}  # the global ones, which would pile up
            if tar.offset <= place:
                raise tarfile.ReadError("a member of negative size")
            place, start, size = tar.offset, member.offset_data, member.size
            name = member.name or f"(without a name, at byte {start})"
            if not member.isreg():
                if (member.issym() or member.islnk()) and links is not None:
                    if len(links) < MAX_LINKS:
                        links.append((name, _leads_to(member)))
                    else:
                        left_out[f"links after the first {MAX_LINKS:,}"] += 1
                elif not member.isdir():
                    left_out["devices and pipes in an archive"] += 1
            elif member.issparse():
                yield name, PictureError("unsupported", "stored with holes in the tar file")
            elif length is not None and start + size > length:
                raise tarfile.ReadError(f"cut off inside {name!r}")
            elif size > limit:
                yield name, too_large(limit)
            elif length is not None:
                yield name, Member(path, start, size)
            else:
                yield name, _hold(file, start, size)
        if compressed:
            file.read(MAX_END)  # the checksum comes last


def _leads_to(member: Any) -> str:
    """Return where a link leads: a hard one from the top, a symbolic one from where it stands."""
    folder = posixpath.dirname(member.name) if member.issym() else ""
    return posixpath.normpath(posixpath.join(folder, member.linkname))


def _follow(links: list[Link]) -> dict[str, list[str]]:
    """Return the links that lead to each name, through other links, too."""
    places = {posixpath.normpath(name): place for name, place in links}
    found: dict[str, list[str]] = {}
    for name, place in links:
        for _ in range(8):
            place = places.get(place, place)
        found.setdefault(place, []).append(name)
    return found


def _hold(file: IO[bytes], start: int, size: int) -> bytes | Spool:
    """Return what comes only once: small, or in a file of its own."""
    if size <= MAX_HELD:
        return take(file, start, size)
    file.seek(start)
    spool = Spool()
    spool.fill(file, size)
    if spool.size < size:
        raise EOFError("cut off")
    return spool


def _without_sidecars(
    found: Iterator[tuple[str, Any]], is_picture: Callable[[str], bool], left_out: LeftOut
) -> Iterator[tuple[str, Any]]:
    """Yield all but what stands next to a picture of the same key, `a/1` in `a/1.json`."""
    key, has_picture = "", False
    waiting: list[tuple[str, Any]] = []
    for name, content in found:
        folder, _, file = name.rpartition("/")
        stem, _, suffix = file.partition(".")
        if f"{folder}/{stem}" != key:
            yield from waiting
            key, has_picture = f"{folder}/{stem}", False
            waiting.clear()
        if suffix.lower().rpartition(".")[2] in SIDECARS:
            waiting.append((name, content))
        else:
            has_picture = has_picture or is_picture(name)
            yield name, content
        if has_picture or len(waiting) > len(SIDECARS):
            if has_picture:
                left_out["files of labels and notes beside a picture in a tar"] += len(waiting)
            else:
                yield from waiting
            waiting.clear()
    yield from waiting


class _Headers:
    """A tar file as `tarfile` sees it, which would read headers of any length."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._left = file, MAX_HEADER
        self.seek, self.tell = file.seek, file.tell

    def restart(self, place: int) -> None:
        self._left = MAX_HEADER
        self.seek(place)

    def read(self, size: int) -> bytes:
        self._left -= size
        if size < 0 or self._left < 0:
            raise ValueError(f"a member with over {MAX_HEADER:,} bytes of headers")
        return self._file.read(size)


def is_tar(start: bytes) -> bool:
    """Whether a file that begins so is a tar."""
    import tarfile

    try:
        tarfile.TarInfo.frombuf(start, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        return False
    return True
