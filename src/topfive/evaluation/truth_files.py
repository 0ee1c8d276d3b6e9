"""Files that tell the classes of pictures: tables and lists, ImageNet's own among them."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from topfive.errors import UsageError
from topfive.networks.class_names import ClassNames, is_number
from topfive.networks.labels import Label

MAX_BYTES = 256 * 1024**2
TABLES = {".csv": ",;\t", ".tsv": "\t"}  # what may stand between the cells
# The columns that are looked for, in this order. The last of each are those of Kaggle's
# LOC_val_solution.csv, whose names have no ending and whose first word is the class.
NAMES = ("source", "file", "filename", "file_name", "path", "image", "picture", "imageid")
INDEX_COLUMN, FIRST_WORD = "index", "predictionstring"
CLASSES = ("wnid", INDEX_COLUMN, "label", "class", FIRST_WORD)
INDEX, ILSVRC = NUMBERS = ("index", "ilsvrc")
META = "meta.mat"

TruthRow = tuple[int, str | None, str]  # the line's number, the picture's name, the class's


@dataclass(frozen=True)
class Entry:
    """What a line says: the index of the class of a picture. The name is None where the lines
    are in the order of the pictures."""

    line: int
    name: str | None
    index: int


def read(file: Path, labels: Sequence[Label], numbers: str | None = None) -> list[Entry]:
    """Return what a file says.

    A .csv or .tsv file has a header with one of `NAMES` and one of `CLASSES` in it. Any
    other has a line for each picture: its name and its class, or the class alone. A class
    is a WordNet id, a label, or a number; what numbers are is said by `numbers`, one of
    `NUMBERS`. In a column `index` they are Keras's, 0 to 999, and so they are where a 0 is
    among them; where the development kit's `meta.mat` lies beside the file they are its ids.
    Otherwise they are labels where a class is called by a number, and indices where no class
    is ImageNet's.

    Raises:
        UsageError: it cannot be read, a class is unknown or ambiguous, or the numbers may be
            either.
    """
    if numbers not in (None, *NUMBERS):
        raise UsageError(f"unknown numbers {numbers!r}; expected one of {', '.join(NUMBERS)}")
    text = _text(file)
    delimiters = TABLES.get(file.suffix.lower())
    column = ""
    if delimiters:
        rows, column = _table(text, file, delimiters)
    else:
        rows = _lines(text, file, labels)
    if not rows:
        raise UsageError(f"{file}: no picture in it")
    bare = {int(name) for _, _, name in rows if is_number(name)}
    asked = INDEX if column == INDEX_COLUMN else numbers
    if asked is None and any(is_number(label.name) for label in labels):
        classes = ClassNames(labels)
    elif bare and (asked or _meaning(bare, labels, file)) == ILSVRC:
        classes = ClassNames(labels, _ilsvrc_ids(file.parent / META))
    else:
        classes = ClassNames(labels, indices=True)
    return [Entry(line, name, classes.get(one, f"{file}, line {line}")) for line, name, one in rows]


def _text(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{file}: cannot be read: {reason}") from error
    if len(content) > MAX_BYTES:
        raise UsageError(f"{file}: over the limit of {MAX_BYTES:,} bytes")
    if b"\0" in content:
        raise UsageError(f"{file}: NUL bytes in it; expected a text in UTF-8")
    # File names may be any bytes; surrogates stand for them, as in the names of sources.
    return content.decode("utf-8-sig", "surrogateescape")


def _table(text: str, file: Path, delimiters: str) -> tuple[list[TruthRow], str]:
    for delimiter in delimiters:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        try:
            header = [name.strip().lower() for name in next(reader, [])]
            names = [header.index(name) for name in NAMES if name in header]
            classes = [header.index(name) for name in CLASSES if name in header]
            if names and classes:
                cells = [(reader.line_num, row) for row in reader if any(row)]
                column = header[classes[0]]
                return [_row(file, *one, names[0], classes[0], column) for one in cells], column
        except csv.Error as error:
            raise UsageError(f"{file}, line {reader.line_num}: {error}") from error
    raise UsageError(
        f"{file}: expected a header with a column for the pictures ({', '.join(NAMES)}) and one "
        f"for their classes ({', '.join(CLASSES)})"
    )


def _row(file: Path, line: int, cells: list[str], name: int, label: int, column: str) -> TruthRow:
    if len(cells) <= max(name, label) or not (cells[name].strip() and cells[label].strip()):
        raise _incomplete(file, line)
    text = cells[label].strip()
    return line, cells[name], text.split()[0] if column == FIRST_WORD else text


def _lines(text: str, file: Path, labels: Sequence[Label]) -> list[TruthRow]:
    lines = [line.strip() for line in text.rstrip().split("\n")] if text.strip() else []
    first = lines[0] if lines else ""
    if len(first.split()) < 2 or ClassNames(labels).find(first, f"{file}, line 1") is not None:
        return [(number, None, line) for number, line in enumerate(lines, start=1)]
    rows: list[TruthRow] = []
    for number, line in enumerate(lines, start=1):
        parts = line.rsplit(maxsplit=1)  # a name may have spaces in it
        if len(parts) == 1:
            raise _incomplete(file, number)
        rows += [(number, parts[0], parts[1])] if parts else []
    return rows


def _incomplete(file: Path, line: int) -> UsageError:
    return UsageError(f"{file}, line {line}: expected a picture's name and its class")


def _meaning(bare: set[int], labels: Sequence[Label], file: Path) -> str:
    if 0 in bare or not any(label.wnid for label in labels):
        return INDEX
    if (file.parent / META).is_file():
        return ILSVRC
    raise UsageError(
        f"{file}: its numbers may be indices from 0, as Keras counts, or the ids from 1 of "
        f"ImageNet's development kit, whose order is another; say which with --numbers {INDEX} "
        f"or --numbers {ILSVRC}"
    )


def _ilsvrc_ids(meta: Path) -> dict[int, str]:
    """Return the WordNet ids by the numbers of ImageNet's development kit of 2012.

    Source: its readme.txt; `synsets` is a table with ILSVRC2012_ID and WNID in it.
    """
    from scipy.io import loadmat

    if not meta.is_file():
        raise UsageError(f"{meta}: no such file; it tells what the numbers of ImageNet's kit are")
    try:
        if meta.stat().st_size > MAX_BYTES:
            raise ValueError("too large")
        synsets = loadmat(str(meta), squeeze_me=True, variable_names=["synsets"])["synsets"]
        pairs = zip(synsets["ILSVRC2012_ID"].tolist(), synsets["WNID"].tolist(), strict=True)
        return {int(number): str(wnid) for number, wnid in pairs}
    except Exception as error:  # SciPy raises anything where the file is another one
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UsageError(
            f"{meta}: not the {META} of ImageNet's development kit: {reason}"
        ) from error
