"""Many rows as one file, which appears under its name when it is complete.

The same rows give the same bytes. CSV and Parquet are flat, with the same columns.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from topfive.classification import outputs
from topfive.errors import MissingExtraError, UsageError
from topfive.system import files
from topfive.system.text import csv_line

Row = Mapping[str, Any]

BEFORE = {"source": str, "sha256": str, "width": int, "height": int}
AFTER = {"network": str, "recipe": str, "weights": str, "milliseconds": float}
ERROR = {"error_kind": str, "error": str}
ROW_GROUP = 8_192  # rows of a Parquet file that are held in memory at a time


def check(file: Path) -> None:
    """Refuse, before a run begins, what `write` could not write.

    Raises:
        UsageError: the suffix is none of `TABLES`, the folder is missing, or something that
            is not a file is there.
        MissingExtraError: pyarrow is not installed.
    """
    suffix = file.suffix.lower()
    if suffix not in TABLES:
        raise UsageError(f"{file}: expected a name that ends in {', '.join(TABLES)}")
    if not file.parent.is_dir():
        raise UsageError(f"{file}: there is no folder {file.parent}; make it first")
    if file.exists() and not file.is_file():
        raise UsageError(f"{file} is not a file; expected one, or a new name")
    if suffix == ".parquet" and find_spec("pyarrow") is None:
        raise _without_pyarrow()


def write(
    file: Path, rows: Iterable[Row], top: int, hierarchy: bool, ancestors: Sequence[str],
    coverage: float | None = None, reject: bool = False,
) -> None:  # fmt: skip
    """Write rows, as `Row.to_dict` makes them, to a file whose suffix is in `TABLES`.

    Flat tables have the columns that `outputs.columns` names. A row may have more ancestors
    than `ancestors`, which are its first; the others are left out.

    Names that are no valid Unicode are kept as they are by JSON alone: elsewhere `\\udcff`
    is spelled out. Names that a spreadsheet would take for formulas are left as they are.

    Raises:
        UsageError, MissingExtraError: as `check` does.
        OutputError: it cannot be written; nothing of it is left then.
    """
    check(file)
    with files.replacing(file) as part, part.open("xb") as stream:
        TABLES[file.suffix.lower()](
            stream,
            rows,
            top=top,
            hierarchy=hierarchy,
            ancestors=ancestors,
            coverage=coverage,
            reject=reject,
        )


def write_jsonl(
    stream: BinaryIO, rows: Iterable[Row], *, ancestors: Sequence[str], **_: object
) -> None:
    """Write a line of JSON for each row, which says all that the row does."""
    for row in rows:
        kept = dict(row)
        if len(kept.get("ancestors", ())) > len(ancestors):
            kept["ancestors"] = kept["ancestors"][: len(ancestors)]
        if not kept.get("ancestors", True):
            del kept["ancestors"]
        stream.write(json.dumps(kept).encode() + b"\n")


def write_csv(stream: BinaryIO, rows: Iterable[Row], **asked: Any) -> None:
    """Write the names of the columns, then a line for each row."""
    stream.write(_encode(csv_line([*columns(**asked)])))
    for row in rows:
        stream.write(_encode(csv_line(_flat(row, asked))))


def write_parquet(stream: BinaryIO, rows: Iterable[Row], **asked: Any) -> None:
    """Write groups of `ROW_GROUP` rows.

    Probabilities are float64, as sums of many classes and in the other formats.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise _without_pyarrow() from error

    types = {str: pa.string(), int: pa.int32(), float: pa.float64(), bool: pa.bool_()}
    named = columns(**asked)
    schema = pa.schema([(name, types[kind]) for name, kind in named.items()])
    with parquet.ParquetWriter(stream, schema, compression="zstd", store_schema=False) as writer:
        for group in _groups(_flat(row, asked) for row in rows):
            arrays = [
                pa.array([_valid(cell) for cell in cells], field.type)
                for cells, field in zip(zip(*group, strict=True), schema, strict=True)
            ]
            writer.write_batch(pa.record_batch(arrays, schema=schema))


# Called with what was asked for: `ancestors`, and what else `outputs.columns` takes.
TABLES: dict[str, Callable[..., None]] = {
    ".parquet": write_parquet,
    ".jsonl": write_jsonl,
    ".csv": write_csv,
}


def columns(
    top: int, hierarchy: bool, ancestors: Sequence[str],
    coverage: float | None = None, reject: bool = False,
) -> dict[str, type]:  # fmt: skip
    """Return the columns of a flat table, `str`, `int`, `float` or `bool` each.

    An ancestor whose name is taken, in upper or lower case, gets a number (`source_2`).
    """
    named: dict[str, type] = dict(BEFORE)
    for name in outputs.columns(top, hierarchy, (), coverage, reject):
        kind = bool if name == "rejected" else str
        named[name] = float if "probability" in name else kind
    taken = {*named, *AFTER, *ERROR}
    for ancestor in ancestors:
        name, number = str(_valid(ancestor)), 1
        while name.casefold() in taken:
            number += 1
            name = f"{_valid(ancestor)}_{number}"
        taken.add(name.casefold())
        named[name] = float
    return named | AFTER | ERROR


def _flat(row: Row, asked: Mapping[str, Any]) -> list[object]:
    error = row["error"] or {}
    return [
        *(row[name] for name in BEFORE),
        *outputs.cells(row, **asked),
        *(row[name] for name in AFTER),
        error.get("kind"),
        error.get("message"),
    ]


def _groups(rows: Iterable[list[object]]) -> Iterator[list[list[object]]]:
    rows = iter(rows)
    while group := list(islice(rows, ROW_GROUP)):
        yield group


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")


def _valid(cell: object) -> object:
    """Return text that is valid Unicode, and anything else as it is."""
    return _encode(cell).decode() if isinstance(cell, str) else cell


def _without_pyarrow() -> MissingExtraError:
    return MissingExtraError(
        "Parquet needs pyarrow: pip install 'topfive[parquet]' (.jsonl and .csv do without it)"
    )
