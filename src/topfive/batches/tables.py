"""Many rows as one file, which appears under its name when it is complete.

The same rows give the same bytes. CSV and Parquet are flat, with the same columns.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from topfive.classification.feature_formats import valid
from topfive.classification.outputs import Wanted
from topfive.results import RowDict
from topfive.system import extras, files
from topfive.system.text import csv_line

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
    files.check_target(file, TABLES, force=True)
    if file.suffix.lower() == ".parquet":
        extras.require("parquet", "Parquet", hint=".jsonl and .csv do without it")


def write(file: Path, rows: Iterable[RowDict], wanted: Wanted, force: bool = False) -> None:
    """Write rows, as `Row.to_dict` makes them, to a file whose suffix is in `TABLES`.

    Flat tables have the columns that `wanted` names. A row may have more ancestors than are
    wanted, which are its first; the others are left out.

    Names that are no valid Unicode are kept as they are by JSON alone: elsewhere `\\udcff`
    is spelled out. In CSV, text that a spreadsheet would take for a formula is marked, see
    `csv_line`.

    Raises:
        UsageError, MissingExtraError: as `check` does.
        OutputError: it cannot be written, or the name is taken and `force` does not allow to
            replace it; nothing of it is left then.
    """
    check(file)
    with files.replacing(file, force) as part, part.open("xb") as stream:
        TABLES[file.suffix.lower()](stream, rows, wanted)


def write_jsonl(stream: BinaryIO, rows: Iterable[RowDict], wanted: Wanted) -> None:
    """Write a line of JSON for each row, which says all that the row does."""
    for row in rows:
        kept = row.copy()
        if ancestors := row.get("ancestors", [])[: len(wanted.ancestors)]:
            kept["ancestors"] = ancestors
        else:
            kept.pop("ancestors", None)
        stream.write(json.dumps(kept).encode() + b"\n")


def write_csv(stream: BinaryIO, rows: Iterable[RowDict], wanted: Wanted) -> None:
    """Write the names of the columns, then a line for each row."""
    stream.write(_encode(csv_line([*columns(wanted)])))
    for row in rows:
        stream.write(_encode(csv_line(_flat(row, wanted))))


def write_parquet(stream: BinaryIO, rows: Iterable[RowDict], wanted: Wanted) -> None:
    """Write groups of `ROW_GROUP` rows.

    Probabilities are float64, as sums of many classes and in the other formats.
    """
    import pyarrow as pa
    from pyarrow import parquet

    types = {str: pa.string(), int: pa.int32(), float: pa.float64(), bool: pa.bool_()}
    schema = pa.schema([(name, types[kind]) for name, kind in columns(wanted).items()])
    with parquet.ParquetWriter(stream, schema, compression="zstd", store_schema=False) as writer:
        cells = (_flat(row, wanted) for row in rows)
        while group := list(islice(cells, ROW_GROUP)):
            arrays = [
                pa.array(map(valid, column), field.type)
                for column, field in zip(zip(*group, strict=True), schema, strict=True)
            ]
            writer.write_batch(pa.record_batch(arrays, schema=schema))


TABLES = {".parquet": write_parquet, ".jsonl": write_jsonl, ".csv": write_csv}


def columns(wanted: Wanted) -> dict[str, type]:
    """Return the columns of a flat table, `str`, `int`, `float` or `bool` each.

    An ancestor whose name is taken, in upper or lower case, gets a number (`source_2`).
    """
    named: dict[str, type] = dict(BEFORE)
    for name in replace(wanted, ancestors=()).columns():
        kind = bool if name == "rejected" else str
        named[name] = float if "probability" in name else kind
    taken = {*named, *AFTER, *ERROR}
    for ancestor in wanted.ancestors:
        name, number = str(valid(ancestor)), 1
        while name.casefold() in taken:
            number += 1
            name = f"{valid(ancestor)}_{number}"
        taken.add(name.casefold())
        named[name] = float
    return named | AFTER | ERROR


def _flat(row: RowDict, wanted: Wanted) -> list[object]:
    told: Mapping[str, object] = row
    error = row["error"] or {}
    before, after = ([told[name] for name in names] for names in (BEFORE, AFTER))
    return [*before, *wanted.cells(row), *after, error.get("kind"), error.get("message")]


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")
