"""Compiled networks on disk: one file each, which is whole and the right one, or not used.

OpenVINO's own cache does not notice a flipped bit or a zeroed page, and dies where several
processes share it. Here a blob carries its key and its checksum, and appears by a rename.
A file is: the magic, the header's length, the header (JSON), zeros up to `ALIGNMENT`, the blob.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import mmap
import os
import struct
import time
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from topfive.errors import OutputError, TopfiveError, UnusableWeightsError, WrongAnswersError
from topfive.networks import weights as weight_files
from topfive.networks.cards import Network
from topfive.system import files, json_text
from topfive.system.processes import Background
from topfive.version import __version__

MAGIC = b"topfive blob 1\n\0"
ALIGNMENT = 4096
UNUSED_DAYS = 30
REFUSED = ".refused"  # the ending of a note why there is no blob
REFUSALS = {one.__name__: one for one in (UnusableWeightsError, WrongAnswersError)}
WORK = ".converting-"  # folders of conversions under way
CONVERSION = 4  # counts the changes of what `convert` makes of a network
DEFAULT_DEVICE = "CPU"

Key = dict[str, Any]

_ahead: dict[str, Reading] = {}


class DamagedBlobError(Exception):
    """A file in the cache is cut, foreign or not what it was when it was written."""


def folder() -> Path:
    """Return where compiled networks are kept: `TOPFIVE_CACHE`, else the platform's folder."""
    return files.user_folder("TOPFIVE_CACHE", "cache")


@dataclass(frozen=True)
class Target:
    """What a network is compiled for: a device of OpenVINO's, an answer at once or
    `throughput`, a precision. In 8 bits it has a graph of its own: the hashes of its files."""

    device: str = DEFAULT_DEVICE
    throughput: bool = False
    precision: str = "f32"
    graph: tuple[str, ...] = ()

    @property
    def dense_in_place(self) -> bool:
        """Whether large dense layers are read where they are, and not copied to be faster later."""
        return not self.throughput and self.precision != "int8"

    def batch(self, network: Network) -> int:
        """Return how many pictures its graph takes at a time: large dense layers are then read
        once for four (8 were no faster); other networks are fastest with one."""
        many = self.throughput and self.device == DEFAULT_DEVICE
        return 4 if many and network.large_dense else 1


def identity(network: Network, content: str, target: Target) -> Key:
    """Return what a blob is of, one file each; `content` is the weights' hash or stamp."""
    card = asdict(network)
    return {
        "network": {field: card[field] for field in ("name", "builder", "size", "scaling")},
        "weights": content,
        "taught": network.taught and network.taught.fingerprint,
        "precision": target.precision,
        "graph": target.graph,
        "device": target.device,
        "dense_in_place": network.large_dense and target.dense_in_place,
        "batch": target.batch(network),
    }


def key(identity: Key) -> Key:
    """Return all that a blob depends on, as JSON gives it back: an upgrade makes it anew.
    Not Keras's version: topfive pins the minor one, and each blob is checked against it."""
    import openvino

    made = {"conversion": CONVERSION, "topfive": __version__, "openvino": openvino.get_version()}
    found: Key = json.loads(json.dumps({**identity, **made}))
    return found


def path(identity: Key) -> Path:
    """Return where the blob of that identity is, or would be."""
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    return folder() / f"{identity['network']['name']}-{identity['precision']}-{digest}.blob"


def is_current(identity: Key) -> bool:
    """Whether the blob is there and of this version, as far as its header says."""
    try:
        with files.open_regular(path(identity)) as stream:
            header = _read_header(stream.read(ALIGNMENT))
    except (OSError, DamagedBlobError):
        return False
    return bool(header.get("key") == key(identity))


@contextlib.contextmanager
def writing(file: Path, identity: Key) -> Iterator[io.BytesIO]:
    """Yield a stream to export a blob to; afterwards the file is whole.
    Nothing waits for the disk: what a power cut leaves does not have its checksum."""
    with file.open("wb+") as stream:
        stream.write(bytes(ALIGNMENT))
        yield _Sink(stream)
        size = stream.seek(0, os.SEEK_END) - ALIGNMENT
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            checksum = zlib.crc32(memoryview(mapped)[ALIGNMENT:])
        text = json.dumps({"key": key(identity), "size": size, "crc32": checksum}).encode()
        start = MAGIC + struct.pack("<I", len(text)) + text
        if len(start) > ALIGNMENT:
            raise ValueError(f"a header of {len(start)} bytes does not fit")
        stream.seek(0)
        stream.write(start)


class _Sink(io.BytesIO):
    """Passes on what is written: OpenVINO exports to a BytesIO alone; a copy costs a second."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__()
        self.stream = stream

    def write(self, data: Any, /) -> int:
        return self.stream.write(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        start = ALIGNMENT if whence == os.SEEK_SET else 0
        return self.stream.seek(start + offset, whence) - ALIGNMENT


class Reading:
    """A blob file that is mapped and summed up in the background, while OpenVINO is imported."""

    def __init__(self, identity: Key, file: Path | None = None) -> None:
        self.identity = identity
        self.file = file or path(identity)
        self._found = Background(partial(_read, self.file))

    def blob(self) -> memoryview | None:
        """Return the blob, or None where there is no file.

        Raises:
            DamagedBlobError: the file is not what was written for that identity.
        """
        found = self._found.result()
        if found is None:
            return None
        header, blob, checksum = found
        if header.get("key") != key(self.identity):
            raise DamagedBlobError(f"{self.file} (made for something else)")
        if len(blob) != header.get("size"):
            raise DamagedBlobError(
                f"{self.file} ({header.get('size')} bytes expected, {len(blob)} found)"
            )
        if checksum != header.get("crc32"):
            raise DamagedBlobError(f"{self.file} (wrong checksum)")
        with contextlib.suppress(OSError):  # a cache that is only read still answers
            os.utime(self.file)
        return blob


def read_ahead(
    network: Network, weights: Path | None, backend: str, device: str | None, precision: str
) -> None:
    """Start to read what the engine will ask for, before NumPy is imported; see its `load`."""
    if backend != "openvino" or precision == "int8":
        return
    target = Target((device or DEFAULT_DEVICE).upper(), precision=precision)
    if reading := find(network, weights, target):
        _ahead[str(reading.file)] = reading


def find(network: Network, weights: Path | None, target: Target) -> Reading | None:
    """Start to read a network's blob; None while the hash of its weights is not known.

    Raises:
        WeightsError: the file cannot be read.
    """
    content = files.stamp(weights) if weights else weight_files.checksum(network)
    if content is None:
        return None
    wanted = identity(network, content, target)
    return _ahead.pop(str(path(wanted)), None) or Reading(wanted)


def _read(file: Path) -> tuple[dict[str, Any], memoryview, int] | None:
    """Return the header, the blob and its checksum."""
    try:
        with files.open_regular(file) as stream:
            # A private, writable view: OpenVINO refuses memory that is read-only.
            mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY)
        header = _read_header(mapped)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, DamagedBlobError) as error:  # an empty file cannot be mapped
        raise DamagedBlobError(f"{file} ({error})") from error
    blob = memoryview(mapped)[ALIGNMENT:]
    return header, blob, zlib.crc32(blob)


def refusal(identity: Key) -> TopfiveError | None:
    """Return why that network was compiled and not kept, the last time, with these versions."""
    file = path(identity).with_suffix(REFUSED)
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        found = json_text.parse(files.read_regular(file, ALIGNMENT), ALIGNMENT)
        if found["made"] == _made(identity):
            again = f"; it was not compiled again. To have it tried: delete {file}"
            return REFUSALS[found["kind"]](str(found["why"]) + again)
    return None


def refuse(identity: Key, error: TopfiveError) -> None:
    """Note for `refusal` why a compiled network cannot be used."""
    content = {"made": _made(identity), "kind": type(error).__name__, "why": str(error)[:1000]}
    with (
        contextlib.suppress(OutputError),
        files.replacing(path(identity).with_suffix(REFUSED)) as part,
    ):
        part.write_text(json.dumps(content), "utf-8")


def _made(identity: Key) -> Key:
    """Return what a refusal depends on: the key, and the processor with what it may use of it."""
    import openvino

    processor = openvino.Core().get_property(DEFAULT_DEVICE, "FULL_DEVICE_NAME")
    return {"key": key(identity), "on": [processor, os.environ.get("ONEDNN_MAX_CPU_ISA")]}


def remove_unused(keep: Path) -> None:
    """Delete what no command has used for `UNUSED_DAYS`, and what killed conversions left."""
    oldest = time.time() - UNUSED_DAYS * 86_400
    parent = keep.parent
    patterns = ("*.blob", "*.features", f"*{REFUSED}", f"{WORK}*/*")
    for file in (file for pattern in patterns for file in parent.glob(pattern)):
        with contextlib.suppress(OSError):  # another process may remove it first
            if file != keep and file.stat().st_mtime < oldest:
                file.unlink()


def _read_header(mapped: mmap.mmap | bytes) -> dict[str, Any]:
    start = len(MAGIC) + 4
    if len(mapped) < start or mapped[: len(MAGIC)] != MAGIC:
        raise DamagedBlobError("no blob of topfive's")
    (length,) = struct.unpack("<I", mapped[len(MAGIC) : start])
    with contextlib.suppress(ValueError):
        header = json_text.parse(mapped[start : min(start + length, ALIGNMENT)], ALIGNMENT)
        if isinstance(header, dict):
            return header
    raise DamagedBlobError("its header is damaged")
