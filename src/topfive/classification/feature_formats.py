"""The features of many pictures as a Parquet table, or as a `.npy` beside a CSV.

Both are written and read in blocks, so that memory stays flat however many there are.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TextIO

import numpy as np
from numpy.typing import NDArray

from topfive.system import extras
from topfive.system.arrays import read_start
from topfive.system.files import open_regular
from topfive.system.text import csv_line, csv_text
from topfive.version import __version__

MAX_ROWS = 4_096  # of a block
BLOCK = 8 * 1024**2  # bytes of features in a block, at most
FOREIGN = 1_024  # rows of a block, where it is not known how long they are
FEATURES, ROW = "features", "row"
# What a Parquet file may hold, whoever wrote it: a few kilobytes can unpack to anything.
MAX_FEATURES = 16_384  # of a picture
MAX_TEXT = 65_536  # bytes of a cell
SLACK, RATIO = 16 * 1024**2, 100  # bytes of a row group: these, and so many times the file's


class Origin(NamedTuple):
    """What features come from: `network` is a name or a taught one's folder, `weights` their
    hash, `recipe` a recipe's text."""

    network: str
    weights: str
    recipe: str
    precision: str


class Entry(NamedTuple):
    """What is known of a picture beside its features, which are missing where there is an
    error; `width` and `height` are the upright picture's."""

    source: str
    sha256: str | None
    width: int | None
    height: int | None
    network: str
    weights: str
    recipe: str
    precision: str
    error_kind: str | None
    error: str | None

    @property
    def origin(self) -> Origin:
        """What its features come from."""
        return Origin(self.network, self.weights, self.recipe, self.precision)


ALWAYS = ("source", *Origin._fields)  # the others may be missing


@dataclass(frozen=True)
class Block:
    """Pictures in a row: their entries, and float32 (pictures, features), NaN where missing."""

    entries: list[Entry]
    features: NDArray[np.float32]

    def answered(self) -> Block:
        """Return those without an error."""
        kept = [number for number, one in enumerate(self.entries) if one.error_kind is None]
        if len(kept) == len(self.entries):
            return self
        return Block([self.entries[number] for number in kept], self.features[kept])


def block_rows(size: int) -> int:
    """Return how many rows of `size` features a block has."""
    return max(1, min(MAX_ROWS, BLOCK // (4 * size)))


def write_parquet(file: Path, size: int, come_from: Origin, blocks: Iterable[Block]) -> None:
    """Write a row group a block: the columns of `Entry`, and the features as a list of `size`
    float32, null where there are none."""
    pa, parquet = load_pyarrow()
    types = _types(pa)
    schema = pa.schema([*types.items(), (FEATURES, pa.list_(pa.float32(), size))])
    schema = schema.with_metadata({**come_from._asdict(), "topfive": __version__})
    options = {"compression": "zstd", "use_dictionary": [*types], "write_page_checksum": True}
    with file.open("xb") as stream, parquet.ParquetWriter(stream, schema, **options) as writer:
        for block in blocks:
            columns = zip(types.values(), zip(*block.entries, strict=True), strict=True)
            arrays = [pa.array(map(valid, cells), kind) for kind, cells in columns]
            values = pa.array(block.features.reshape(-1))
            missing = pa.array([one.error_kind is not None for one in block.entries])
            lists = pa.FixedSizeListArray.from_arrays(values, size, mask=missing)
            writer.write_batch(pa.record_batch([*arrays, lists], schema=schema))


def read_parquet(file: Path) -> Iterator[Block]:
    """Yield what `write_parquet` wrote, or another program with the same columns.

    Raises:
        MissingExtraError: pyarrow is not installed.
        ValueError: it is damaged, or not such a file.
        OSError: it cannot be read.
    """
    pa, parquet = load_pyarrow()
    types, size = _types(pa), 0
    try:
        with (
            open_regular(file) as stream,
            # What is read ahead would stay in memory until the end.
            parquet.ParquetFile(
                stream, page_checksum_verification=True, pre_buffer=False
            ) as content,
        ):
            _check_sizes(content.metadata, file.stat().st_size)
            names = content.schema_arrow.names
            if absent := [one for one in (*types, FEATURES) if names.count(one) != 1]:
                expected = f"expected the columns {', '.join(types)} and {FEATURES}"
                raise ValueError(f"{expected}; received none, or several, of {', '.join(absent)}")
            for batch in content.iter_batches(FOREIGN, columns=[*types, FEATURES]):
                columns = {name: batch.column(name).cast(kind) for name, kind in types.items()}
                if empty := [name for name in ALWAYS if columns[name].null_count]:
                    raise ValueError(f"a row says nothing in {empty[0]}")
                _check_texts(columns)
                rows = zip(*(one.to_pylist() for one in columns.values()), strict=True)
                features = _stacked(batch.column(FEATURES).cast(pa.list_(pa.float32())), size)
                size = features.shape[1]
                yield Block([Entry(*row) for row in rows], features)
    except pa.ArrowException as error:
        raise ValueError(" ".join(str(error).split())) from error


def _check_sizes(metadata: Any, size: int) -> None:
    """Refuse what would unpack to far more than its `size`, before there is memory for it."""
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        columns = map(group.column, range(group.num_columns))
        known = {one.path_in_schema: one.total_uncompressed_size for one in columns}
        read = [known[one] for one in known if one.partition(".")[0] in (*Entry._fields, FEATURES)]
        if min(read, default=0) < 0 or sum(read) > SLACK + RATIO * size:
            raise ValueError(f"{size:,} bytes say that they unpack to {sum(read):,}")


def _check_texts(columns: Mapping[str, Any]) -> None:
    from pyarrow import compute

    for name, cells in columns.items():
        if str(cells.type) == "string":
            longest = compute.max(compute.binary_length(cells)).as_py() or 0
            if longest > MAX_TEXT:
                raise ValueError(f"{longest:,} bytes in {name}; at most {MAX_TEXT:,} are expected")


def _stacked(lists: Any, size: int) -> NDArray[np.float32]:
    """Return lists as rows of `size`, 0 where that is not known yet; NaN where there is none."""
    sizes = {*lists.value_lengths().drop_null().to_pylist(), size} - {0}
    if len(sizes) > 1 or 0 in lists.value_lengths().to_pylist():
        raise ValueError("not all rows have the same number of features")
    if max(sizes, default=0) > MAX_FEATURES:
        raise ValueError(
            f"a row has {max(sizes):,} features; at most {MAX_FEATURES:,} are expected"
        )
    features = np.full((len(lists), max(sizes, default=0)), np.nan, np.float32)
    if len(lists) > lists.null_count:
        there = lists.is_valid().to_numpy(zero_copy_only=False)
        values = lists.flatten().to_numpy(zero_copy_only=False)
        features[there] = values.reshape(-1, features.shape[1])
    return features


def write_npy(file: Path, size: int, come_from: Origin, blocks: Iterable[Block]) -> None:  # noqa: ARG001
    """Write float32 (rows, size) as NumPy does, and the entries, numbered, to a CSV beside it."""
    rows = 0
    with file.open("xb") as stream, beside(file).open("xb") as table:
        _write_start(stream, rows, size)
        table.write(csv_line([ROW, *Entry._fields]).encode())
        for block in blocks:
            stream.write(block.features.astype("<f4").tobytes())
            for entry in block.entries:
                line = csv_line([rows, *entry])
                table.write(line.encode("utf-8", "backslashreplace"))
                rows += 1
        stream.seek(0)
        _write_start(stream, rows, size)


def read_npy(file: Path) -> Iterator[Block]:
    """Yield what `write_npy` wrote.

    Raises:
        ValueError: it is damaged, or not such a file.
        OSError: it, or the CSV beside it, cannot be read.
    """
    with open_regular(file) as stream:
        what = "float32 (pictures, features)"
        start = read_start(stream, what)
        if start.kind != np.dtype("<f4") or start.is_turned or len(start.shape) != 2:
            raise ValueError(f"expected {what} as NumPy writes it")
        (left, size), name = start.shape, beside(file).name
        if size < 1 or file.stat().st_size != stream.tell() + start.size:
            raise ValueError(f"its length is not that of {left:,} x {size:,} numbers")
        table = open_regular(beside(file))
        with TextIOWrapper(table, encoding="utf-8-sig", newline="") as lines:
            entries = _entries(lines, name)
            while some := list(islice(entries, block_rows(size))):
                left -= len(some)
                if left < 0:
                    raise ValueError(f"{name} has more rows")
                features = np.fromfile(stream, "<f4", len(some) * size)
                yield Block(some, features.reshape(-1, size))
        if left:
            raise ValueError(f"{name} has {left:,} rows less")


def beside(file: Path) -> Path:
    """Return the CSV that goes with a `.npy`."""
    return file.with_suffix(".csv")


def _write_start(stream: BinaryIO, rows: int, size: int) -> None:
    """Write what NumPy does, which leaves room for the number of rows to grow."""
    shape = {"descr": "<f4", "fortran_order": False, "shape": (rows, size)}
    np.lib.format.write_array_header_1_0(stream, shape)


def _entries(table: TextIO, name: str) -> Iterator[Entry]:
    expected = [ROW, *Entry._fields]
    try:
        lines = csv.reader(table, strict=True)
        if next(lines, None) != expected:
            raise ValueError(f"expected the columns {', '.join(expected)}")
        for number, cells in enumerate(lines):
            if len(cells) != len(expected) or cells[0] != str(number):
                raise ValueError(f"expected row {number:,}, received {cells[:2]!a:.40}")
            source, sha256, width, height, *come_from, kind, fault = map(csv_text, cells[1:])
            sides = int(width) if width else None, int(height) if height else None
            known = source, sha256 or None, *sides, *Origin(*come_from)
            yield Entry(*known, kind or None, fault or None)
    except (csv.Error, ValueError) as error:
        raise ValueError(f"{name}: {error}") from error


def _types(pa: Any) -> dict[str, Any]:
    texts = dict.fromkeys(Entry._fields, pa.string())
    return {**texts, "width": pa.int32(), "height": pa.int32()}


def valid(cell: object) -> object:
    """Return text that is valid Unicode, and anything else as it is."""
    return cell.encode("utf-8", "backslashreplace").decode() if isinstance(cell, str) else cell


def load_pyarrow() -> tuple[Any, Any]:
    """Return pyarrow and its Parquet module, or raise a `MissingExtraError`."""
    extras.require("parquet", "Parquet", hint=".npy does without it")
    import pyarrow as pa
    from pyarrow import parquet

    return pa, parquet
