"""Files that tell the classes of pictures: tables and lists, ImageNet's own among them."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from topfive.errors import UsageError
from topfive.evaluation.class_numbers import INDEX, MAX_BYTES, NAMES, names_with
from topfive.networks.class_names import ClassNames, is_number
from topfive.networks.labels import Label
from topfive.system import text as texts
from topfive.system.files import read_regular
from topfive.system.text import csv_text, printable

TABLES = {".csv": ",;\t", ".tsv": "\t"}  # what may stand between the cells
# The columns that are looked for, in this order. The last of each are those of Kaggle's
# LOC_val_solution.csv, whose names have no ending and whose first word is the class.
PICTURES = ("source", "file", "filename", "file_name", "path", "image", "picture", "imageid")
INDEX_COLUMN, FIRST_WORD = "index", "predictionstring"
CLASSES = ("wnid", INDEX_COLUMN, "label", "class", FIRST_WORD)
MANY = 10  # rows, among which as many different numbers count rather than name
ASK = "--class-column"  # the option that names the column of the classes

log = logging.getLogger("topfive")


@dataclass(frozen=True)
class Entry:
    """A picture's name, None where lines are in the pictures' order, and its class's index;
    `others` is what further columns for the pictures have in that line."""

    line: int
    name: str | None
    index: int
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class TruthFile:
    """What a file says, and in words which of its columns; `columns` are those for the pictures."""

    entries: tuple[Entry, ...]
    told: str
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Column:
    """A column's title, lower case, and its cells."""

    title: str
    cells: tuple[str, ...]

    def read(
        self, labels: Sequence[Label], numbers: str | None, file: Path
    ) -> tuple[ClassNames, tuple[str, ...], str]:
        """Return the classes as this column names them, how it names each picture's, and in words
        what its numbers are, if it has any.

        Raises:
            UsageError: what its numbers mean is unknown, or may be several things.
        """
        said = self.cells
        if self.title == FIRST_WORD:
            said = tuple(cell.split()[0] if cell else "" for cell in said)
        bare = {int(name) for name in said if is_number(name)}
        asked = INDEX if self.title == INDEX_COLUMN else numbers
        classes, told = names_with(labels, bare, asked, str(file), [file.parent])
        return classes, said, told if bare else ""


def read(
    file: Path, labels: Sequence[Label], numbers: str | None = None, column: str | None = None
) -> TruthFile:
    """Return what a file says.

    A .csv or .tsv file has a header with one of `PICTURES` and one of `CLASSES` in it. Of several
    of these, those that do not number the rows have to agree, unless `column` names one, whatever
    its title is. Any other file has a line for each picture: its name and its class, or the class
    alone. A class is a WordNet id, a label, or a number; what numbers are is said by `numbers`, see
    `class_numbers.names_with`. In a column `index` they are Keras's, 0 to 999.

    Raises:
        UsageError: it cannot be read, or a class, what its number means or which column it stands
            in is unknown or ambiguous.
    """
    text = _text(file)
    delimiters = TABLES.get(file.suffix.lower())
    if not delimiters and column is not None:
        raise UsageError(f"{file}: {ASK} is asked of a table, {' or '.join(TABLES)}")
    if delimiters:
        lines, names, classes = _table(text, file, delimiters, column)
        taken = _choose(classes, labels, numbers, file, column)
    else:
        rows = _lines(text, file, labels)
        lines = [line for line, _, _ in rows]
        names = [_Column("", tuple(name for _, name, _ in rows if name is not None))]
        taken = _Column("", tuple(name for _, _, name in rows))
    if not lines:
        raise UsageError(f"{file}: no picture in it")
    known, said, numbered = taken.read(labels, numbers, file)
    told = file.name + (f", column {printable(taken.title)}" if taken.title else "")
    if numbered not in ("", NAMES[INDEX]):
        told += f", classes by {numbered}"
    entries = []
    for place, (line, one) in enumerate(zip(lines, said, strict=True)):
        name, *others = (each.cells[place] if each.cells else None for each in names)
        if delimiters and not (name and one):
            raise _incomplete(file, line)
        index = known.get(one, f"{file}, line {line}")
        entries.append(Entry(line, name, index, tuple(other or "" for other in others)))
    return TruthFile(tuple(entries), told, tuple(one.title for one in names))


def _text(file: Path) -> str:
    try:
        content = read_regular(file, MAX_BYTES)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{file}: cannot be read: {reason}") from error
    text = texts.decode(content)
    if "\0" in text:
        raise UsageError(f"{file}: NUL bytes in it; expected a text in UTF-8")
    if not texts.is_utf8(text):
        encoding = texts.platform_encoding()
        log.warning("%s: not all of it is UTF-8; the rest is read as %s", file, encoding)
    return text


def _table(
    text: str, file: Path, delimiters: str, column: str | None
) -> tuple[list[int], list[_Column], list[_Column]]:
    """Return the numbers of a table's lines, and the columns that may hold the pictures and those
    that may hold their classes, the likeliest first."""
    asked = None if column is None else _title(column)
    header: list[str] = []
    for delimiter in delimiters:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        try:
            header = [_title(name) for name in next(reader, [])]
            names = _places(header, PICTURES)
            classes = _places(header, CLASSES if asked is None else (asked,))
            if not (names and classes):
                continue
            rows = [(reader.line_num, [*map(csv_text, row)]) for row in reader if any(row)]
        except csv.Error as error:
            raise UsageError(f"{file}, line {reader.line_num}: {error}") from error
        width = max(*names, *classes) + 1
        cells = [row + [""] * (width - len(row)) for _, row in rows]
        lines = [line for line, _ in rows]
        pictures = [
            _Column(header[place], tuple(row[place] if row[place].strip() else "" for row in cells))
            for place in names
        ]
        held = [
            _Column(header[place], tuple(texts.recode(row[place].strip()) for row in cells))
            for place in classes
        ]
        # A column without a cell is none, where there is another one.
        return (
            lines,
            [one for one in pictures if any(one.cells)] or pictures[:1],
            [one for one in held if any(one.cells)] or held[:1],
        )
    wanted = f"the column {column!a}" if column else f"one for their classes ({', '.join(CLASSES)})"
    hint = "" if column else f"; {ASK} names another one for the classes"
    raise UsageError(
        f"{file}: expected a header with a column for the pictures ({', '.join(PICTURES)}) and "
        f"{wanted}{hint}"
    )


def _title(name: str) -> str:
    return texts.recode(name).strip().lower()


def _places(header: Sequence[str], titles: Sequence[str]) -> list[int]:
    return [place for one in titles for place, title in enumerate(header) if title == one]


def _choose(
    columns: Sequence[_Column],
    labels: Sequence[Label],
    numbers: str | None,
    file: Path,
    asked: str | None,
) -> _Column:
    """Return the column that holds the classes.

    Raises:
        UsageError: several may, and say different things, or the only one numbers the rows.
    """
    if asked is not None and len(columns) == 1:
        return columns[0]
    counting = [one for one in columns if _numbers_rows(one)]
    known = {id(one): _known(one, labels, numbers, file) for one in columns if one not in counting}
    left = [one for one in columns if id(one) in known and known[id(one)] != []]
    if not left and counting and len(counting[0].cells) > 1:
        raise UsageError(
            f"{file}: its column {counting[0].title} may number the rows rather than name the "
            f"classes; name the column with the classes: {ASK} {counting[0].title}, or another"
        )
    first, *others = left or columns
    for other in others if left else ():
        if _differ(known[id(first)], known[id(other)]):
            raise UsageError(
                f"{file}: its columns {first.title} and {other.title} may both hold the classes, "
                f"and do not say the same; say which with {ASK} {first.title} or "
                f"{ASK} {other.title}"
            )
    return first


def _numbers_rows(column: _Column) -> bool:
    """Whether a column counts the rows, as pandas' index does, in any order; from `MANY` on some
    may be missing that were dropped."""
    if column.title != INDEX_COLUMN or not all(map(is_number, column.cells)):
        return False
    found, count = set(map(int, column.cells)), len(column.cells)
    if found in (set(range(count)), set(range(1, count + 1))):
        return True
    return len(found) == count >= MANY and max(found) - min(found) < 2 * count


def _known(
    column: _Column, labels: Sequence[Label], numbers: str | None, file: Path
) -> list[int | None] | None:
    """Return the classes of a column, None for what is none or several; [] where there is none,
    None where it depends on what numbers mean."""
    try:
        classes, said, _ = column.read(labels, numbers, file)
    except UsageError:
        return None
    found = {name: _find(classes, name) for name in set(said)}
    return [found[name] for name in said] if set(found.values()) - {None} else []


def _find(classes: ClassNames, name: str) -> int | None:
    try:
        return classes.find(name, "") if name else None
    except UsageError:  # the label of several
        return None


def _differ(first: list[int | None] | None, second: list[int | None] | None) -> bool:
    if first is None or second is None:
        return True
    return any(
        one != other and None not in (one, other) for one, other in zip(first, second, strict=True)
    )


TruthRow = tuple[int, str | None, str]  # the line's number, the picture's name, the class's


def _lines(text: str, file: Path, labels: Sequence[Label]) -> list[TruthRow]:
    lines = [line.strip() for line in text.rstrip().split("\n")] if text.strip() else []
    first = texts.recode(lines[0]) if lines else ""
    if len(first.split()) < 2 or ClassNames(labels).find(first, f"{file}, line 1") is not None:
        return [(number, None, texts.recode(line)) for number, line in enumerate(lines, start=1)]
    rows: list[TruthRow] = []
    for number, line in enumerate(lines, start=1):
        parts = line.rsplit(maxsplit=1)  # a name may have spaces in it
        if len(parts) == 1:
            raise _incomplete(file, number)
        rows += [(number, parts[0], texts.recode(parts[1]))] if parts else []
    return rows


def _incomplete(file: Path, line: int) -> UsageError:
    return UsageError(f"{file}, line {line}: expected a picture's name and its class")
