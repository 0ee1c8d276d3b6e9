"""A network's features of pictures, each computed once: kept by the hash of its bytes.

They are what the layer is given that tells the classes. The file is a part of the cache: it
can be deleted at any time, and what is damaged in it is computed anew.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

import numpy as np

from topfive.classification.classifier import Classifier
from topfive.classification.pipeline import Response
from topfive.engines import blobs
from topfive.networks import records
from topfive.pictures.preparation import Found
from topfive.results import Failure
from topfive.system import sqlite
from topfive.version import __version__

if TYPE_CHECKING:
    from sqlite3 import Connection

    from topfive.sources.source import Picture, Source

LAYOUT = """
create table if not exists features (
    sha256 text primary key, width integer, height integer, crc32 integer, vector blob
) without rowid
"""
FIND = "select sha256, width, height, vector, crc32 from features where sha256 = ?"
KEEP = "insert or replace into features (sha256, width, height, vector, crc32) values (?,?,?,?,?)"
PATIENCE = 10.0  # seconds that one process waits for another
DAMAGED = (11, 26)  # SQLITE_CORRUPT, SQLITE_NOTADB
COMMIT = 1.0  # seconds between two

Row = tuple[str, int | None, int | None, bytes, int]

log = logging.getLogger("topfive")


class Features:
    """A network's features; `known` counts those that were kept, `computed` the others.

    What is in the way of the file costs a warning and its use, not the answers.
    """

    def __init__(self, classifier: Classifier) -> None:
        self.classifier = classifier
        self.known = self.computed = 0
        self._lock = threading.Lock()
        self._file = path(classifier)
        # Written together now and then: other processes can write in between.
        self._waiting: dict[str, Row] = {}
        self._committed = monotonic()
        self._content = self._open()

    def responses(self, pictures: Iterable[Picture | Source]) -> Iterator[tuple[Source, Response]]:
        """Yield each picture with its features, float32 (features,), in their order."""
        found = self.classifier.responses(pictures, output="features", known=self._find)
        for source, response in found:
            self._add(response)
            yield source, response

    def close(self) -> None:
        """Keep what was computed."""
        with self._lock:
            self._write()
            if self._content is not None:
                self._content.close()
                self._content = None

    def _find(self, sha256: str) -> Found | None:
        with self._lock:
            row = self._waiting.get(sha256) or self._read(sha256)
            if row is None or not isinstance(row[3], bytes) or _checksum(*row[:4]) != row[4]:
                return None
            _, width, height, vector, _ = row
            if width is None or height is None or width * height > self.classifier.max_pixels:
                return None  # which says so
            if len(vector) % 4 or not np.isfinite(values := np.frombuffer(vector, "<f4")).all():
                return None  # somebody else wrote it
            self.known += 1
        return Found(values, width, height)

    def _add(self, response: Response) -> None:
        values = response.values
        # What was kept is a view of bytes, which cannot be written to.
        if isinstance(values, Failure) or response.sha256 is None or not values.flags.writeable:
            return
        known = response.sha256, response.width, response.height, values.astype("<f4").tobytes()
        with self._lock:
            self.computed += 1
            if self._content is None:
                return
            self._waiting[response.sha256] = (*known, _checksum(*known))
            if monotonic() - self._committed >= COMMIT:
                self._write()

    def _read(self, sha256: str) -> Row | None:
        rows: list[Row] = []
        with self._watched():
            # All of it: a query that is not at its end would hold up the next write.
            rows = self._content.execute(FIND, (sha256,)).fetchall() if self._content else []
        return rows[0] if rows else None

    def _write(self) -> None:
        rows, self._waiting = self._waiting, {}
        if self._content is None or not rows:
            return
        with self._watched(), self._content:
            self._content.executemany(KEEP, rows.values())
        self._committed = monotonic()

    def _open(self) -> Connection | None:
        import sqlite3

        for _ in range(2):
            try:
                return _connect(self._file)
            except (OSError, sqlite3.Error) as error:
                if not self._remove(error):
                    log.warning("cannot keep features in %s: %s", self._file, error)
                    return None
        return None

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Begin a new file where this one is damaged; do without where it cannot be used."""
        import sqlite3

        try:
            yield
        except sqlite3.Error as error:
            if self._content is not None:
                with suppress(sqlite3.Error), closing(self._content):
                    self._content.rollback()
            self._content = None
            if self._remove(error):
                self._content = self._open()
            else:
                log.warning("features are not kept any longer: %s: %s", self._file, error)

    def _remove(self, error: Exception) -> bool:
        """Delete the file if the error says that it is damaged; return whether it is gone."""
        if getattr(error, "sqlite_errorcode", 0) & 0xFF not in DAMAGED:
            return False
        log.warning("%s is damaged (%s); making it anew", self._file, error)
        try:
            sqlite.remove(self._file)
        except OSError:
            return False
        return True


def open_features(classifier: Classifier) -> closing[Features]:
    """Return, for a `with`, a network's features; at its end what was computed is kept."""
    return closing(Features(classifier))


def path(classifier: Classifier) -> Path:
    """Return the file of a network's features; without its 8 bits here it is a `UsageError`."""
    network, precision = classifier.network, classifier.precision
    graph: tuple[str, ...] = ()
    if precision == "int8":
        _, graph = records.find_int8(network, classifier.weights)
    target = blobs.Target(precision=precision, graph=graph)
    identity = {
        **blobs.identity(network, classifier.weights, target),
        "recipe": str(classifier.recipe),
        "draft": classifier.throughput,
        "conversion": blobs.CONVERSION,
        "topfive": __version__,  # whose decoding may change
    }
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    return blobs.folder() / f"{network.name}-{digest}.features"


def _connect(file: Path) -> Connection:
    import sqlite3

    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()  # what was not used for long is deleted
    content = sqlite3.connect(file, PATIENCE, check_same_thread=False)
    try:
        content.execute("pragma journal_mode = wal")
        content.execute("pragma synchronous = off")  # each row has its checksum
        content.execute(LAYOUT)
    except sqlite3.Error:
        content.close()
        raise
    return content


def _checksum(sha256: str, width: int | None, height: int | None, vector: bytes) -> int:
    return zlib.crc32(vector, zlib.crc32(f"{sha256} {width} {height}".encode()))
