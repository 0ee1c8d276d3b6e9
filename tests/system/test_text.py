"""CSV is CSV for everyone who reads it, its cells are no formulas, a terminal obeys no name."""

from __future__ import annotations

import csv
import io
import logging
import re
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from topfive.batches import tables
from topfive.classification import feature_formats, outputs
from topfive.classification.feature_formats import Block, Entry, Origin
from topfive.classification.outputs import Wanted
from topfive.cli import terminal
from topfive.cli.main import main
from topfive.results import Classification, Failure, Prediction, Row
from topfive.system.text import FORMULAS, Number, csv_line, csv_text

HOSTILE = [*(f"{sign}1+1" for sign in FORMULAS), "a\rb", "a\r\nb", "\r", "a\nb", '"', "a,b", "é",
           "'=1", "''@x", "'", "-", "'-", "it's", "'quoted'"]  # fmt: skip
# What a terminal would obey: C0, DEL, C1, a colour, a title, a change of direction.
CONTROLS = ["\x07", "\x08", "\x1b[31m", "\x1b]0;x\x07", "\x7f", "\x9b31m", "\u202e", "\u2066"]
OBEYED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def read_csv(text: str) -> list[list[str]]:
    return [*csv.reader(io.StringIO(text, newline=""), strict=True)]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=2))
def test_a_line_of_csv_is_read_as_what_was_written(cells: list[str]) -> None:
    ((*found,),) = read_csv(csv_line(cells))
    assert [csv_text(cell) for cell in found] == cells
    assert all(len(cell) < 2 or cell[0] not in FORMULAS for cell in found)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_cell_is_one_cell_of_one_row_and_no_formula(name: str) -> None:
    (found,) = read_csv(csv_line([name, -1.5, None, Number("-0.50")]))
    assert [csv_text(found[0]), *found[1:]] == [name, "-1.5", "", "-0.50"]
    assert len(name) == 1 or found[0][0] not in FORMULAS


def by_csv(file: Path) -> list[str]:
    with file.open(encoding="utf-8", newline="") as stream:
        return [row["source"] for row in csv.DictReader(stream, strict=True)]


def by_pandas(file: Path) -> list[str]:
    return [*pytest.importorskip("pandas").read_csv(file, keep_default_na=False)["source"]]


def by_duckdb(file: Path) -> list[str]:
    found = pytest.importorskip("duckdb").read_csv(str(file), header=True, all_varchar=True)
    return [row[0] for row in found.project("source").fetchall()]


def by_polars(file: Path) -> list[str]:
    return [*pytest.importorskip("polars").read_csv(file, infer_schema=False)["source"]]


def as_table(file: Path) -> None:
    rows = [Row(Failure(name, "broken", "x"), "n", "r", "w", 1.0).to_dict() for name in HOSTILE]
    tables.write(file, rows, Wanted(1))


def as_answers(file: Path) -> None:
    failures = [Failure(name, "broken", "x") for name in HOSTILE]
    text = "".join(outputs.as_csv(failures, Wanted(1).layout(), True))
    file.write_text(text, "utf-8", newline="")


def as_features(file: Path) -> None:
    origin = Origin("n", "w", "r", "f32")
    entries = [Entry(name, None, None, None, *origin, "broken", "x") for name in HOSTILE]
    features = np.full((len(entries), 1), np.nan, np.float32)
    feature_formats.write_npy(file.with_suffix(".npy"), 1, origin, [Block(entries, features)])


@pytest.mark.parametrize("read", [by_csv, by_pandas, by_duckdb, by_polars])
@pytest.mark.parametrize("write", [as_table, as_answers, as_features])
def test_every_reader_finds_a_row_for_each_name(
    tmp_path: Path, write: Callable[[Path], None], read: Callable[[Path], list[str]]
) -> None:
    write(tmp_path / "rows.csv")
    assert [csv_text(name) for name in read(tmp_path / "rows.csv")] == HOSTILE


def test_features_come_back_with_the_names_that_they_had(tmp_path: Path) -> None:
    as_features(tmp_path / "f.csv")
    (block,) = feature_formats.read_npy(tmp_path / "f.npy")
    assert [entry.source for entry in block.entries] == HOSTILE


class Screen(io.TextIOWrapper):
    """A terminal that keeps what it is told."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), "utf-8", errors="backslashreplace", write_through=True)

    def isatty(self) -> bool:
        return True

    def told(self) -> str:
        assert isinstance(self.buffer, io.BytesIO)
        text = self.buffer.getvalue().decode()
        # Colours are our own, between the lines of a table.
        return re.sub(r"\x1b\[[013]m", "", text)


def answered(format: str) -> Callable[[str], None]:
    def write(name: str) -> None:
        answer = Classification(name, (Prediction(0, "n1", name, 1.0),), "n", "r")
        for piece in outputs.FORMATS[format]([answer], Wanted(1).layout(), True):
            terminal.write(piece)

    return write


def as_row(name: str) -> None:
    table = terminal.table(name)
    table.add_row(name)
    terminal.console().print(table)


def as_log(name: str) -> None:
    main(["weights", "path"])
    logging.getLogger("topfive").warning("%s", name)


SAYS: dict[str, Callable[[str], Any]] = {
    **{format: answered(format) for format in outputs.FORMATS},
    "a table": as_row,
    "a line": lambda name: terminal.console(stderr=True).print(f"of {name}"),
    "a message": terminal.tell,
    "a usage error": lambda name: main(["classify", "x.jpg", "--model", name]),
    "click's error": lambda name: main(["classify", f"--{name}"]),
    "click's value": lambda name: main(["classify", "x.jpg", "--top", name]),
    "a log": as_log,
}


@pytest.mark.parametrize("way", SAYS)
def test_a_terminal_gets_nothing_that_it_obeys(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    screen = Screen()
    with redirect_stdout(screen), redirect_stderr(screen):
        SAYS[way]("".join(CONTROLS) + "name")
    said = screen.told()
    assert "name" in said
    assert not OBEYED.search(said)
    assert "\\x1b[31m" in said or "\\u001b[31m" in said


@pytest.mark.parametrize("format", ["text", "csv"])
def test_csv_in_a_pipe_keeps_names_as_they_are(
    capsys: pytest.CaptureFixture[str], format: str
) -> None:
    answered(format)("\x1b[31m")
    assert ("\x1b[31m" in capsys.readouterr().out) == (format == "csv")
