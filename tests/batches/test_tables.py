"""Many rows as one file: complete or not there, and read by those who will read it."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from topfive.batches import tables
from topfive.classification.outputs import Wanted
from topfive.errors import MissingExtraError, OutputError, UsageError
from topfive.results import Classification, Failure, Prediction, Row, RowDict, Statement

BALL = Prediction(805, "n04254680", "soccer_ball", 0.934312345)
GOLF = Prediction(574, "n03445777", "golf_ball", 0.01)
DOG, BEAGLE = Statement("n1", "dog", 0.97), Statement("n2", "beagle", 0.61)
FACTS = ("squeezenet", "crop-256-bicubic", "md5:1", 12.5)
GOOD = Row(
    Classification("möwe 鷗, \n=1+1.jpg", (BALL, GOLF), *FACTS[:2], (DOG, BEAGLE), (DOG, BEAGLE)),
    *FACTS, "ab", 640, 480,
).to_dict()  # fmt: skip
BAD = Row(Failure("\udcff.jpg", "broken", "cut \udcff off"), *FACTS).to_dict()
WANTED = Wanted(3, True, ["Source"])
ALL = pytest.mark.parametrize("suffix", tables.TABLES)
CSV_AND_PARQUET = (
    "source sha256 width height wnid_1 label_1 probability_1 wnid_2 label_2 probability_2"
    " wnid_3 label_3 probability_3 hierarchy_wnid hierarchy_label hierarchy_probability Source_2"
    " network recipe weights milliseconds error_kind error"
).split()


def write(file: Path, rows: Iterable[RowDict] = (GOOD, BAD)) -> Path:
    """Write three classes of which a row has two, and an ancestor whose name is taken."""
    tables.write(file, rows, WANTED)
    return file


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    pytest.importorskip("pyarrow")
    return write(tmp_path / "rows.parquet")


def check_records(good: dict[str, Any], bad: dict[str, Any]) -> None:
    """Compare records of a flat table, as Python's values, with what was written."""
    assert list(good) == list(bad) == CSV_AND_PARQUET
    assert (good["source"], good["sha256"]) == (GOOD["source"], "ab")
    assert (good["width"], good["height"]) == (640, 480)
    assert (good["label_1"], good["probability_1"]) == ("soccer_ball", 0.934312345)
    assert (good["label_2"], good["probability_2"]) == ("golf_ball", 0.01)
    assert (good["label_3"], good["probability_3"]) == (None, None)
    assert (good["hierarchy_label"], good["hierarchy_probability"]) == ("beagle", 0.61)
    assert (good["Source_2"], good["milliseconds"], good["error"]) == (0.97, 12.5, None)
    assert (bad["source"], bad["error"]) == ("\\udcff.jpg", "cut \\udcff off")
    assert (bad["error_kind"], bad["weights"]) == ("broken", "md5:1")
    assert {bad[name] for name in CSV_AND_PARQUET[1:17]} == {None}


def test_duckdb_reads_the_parquet(parquet: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    found = duckdb.read_parquet(str(parquet))
    types = dict(zip(found.columns, map(str, found.types), strict=True))
    assert (types["source"], types["width"]) == ("VARCHAR", "INTEGER")
    assert (types["probability_1"], types["Source_2"]) == ("DOUBLE", "DOUBLE")
    check_records(*(dict(zip(found.columns, row, strict=True)) for row in found.fetchall()))
    assert found.filter("probability_1 > 0.9").count("*").fetchall() == [(1,)]


def test_pandas_reads_the_parquet(parquet: Path) -> None:
    pandas = pytest.importorskip("pandas")
    found = pandas.read_parquet(parquet)
    assert str(found["probability_1"].dtype) == str(found["milliseconds"].dtype) == "float64"
    assert pandas.api.types.is_numeric_dtype(found["width"])
    assert found["error_kind"].isna().tolist() == [True, False]
    found = found.astype(object).where(found.notna(), None)
    check_records(*found.to_dict("records"))


def test_polars_reads_the_parquet(parquet: Path) -> None:
    polars = pytest.importorskip("polars")
    found = polars.read_parquet(parquet)
    assert found.schema["width"] == polars.Int32
    assert found.schema["source"] == polars.String
    assert found.schema["hierarchy_probability"] == polars.Float64
    check_records(*found.to_dicts())


def test_csv_has_the_columns_of_the_parquet_and_names_as_they_are(tmp_path: Path) -> None:
    file = write(tmp_path / "rows.csv")
    with file.open(encoding="utf-8", newline="") as stream:
        good, bad = csv.DictReader(stream)
    numbers = [name for name, kind in tables.columns(WANTED).items() if kind is not str]
    for record in (good, bad):
        typed: dict[str, Any] = {name: cell or None for name, cell in record.items()}
        typed |= {name: float(typed[name]) for name in numbers if typed[name]}
        record.update(typed)
    check_records(good, bad)


def test_jsonl_keeps_all_that_a_row_says_but_what_was_not_asked_for(tmp_path: Path) -> None:
    file = write(tmp_path / "rows.jsonl")
    good, bad = map(json.loads, file.read_text("utf-8").splitlines())
    assert good == GOOD | {"ancestors": [{"wnid": "n1", "label": "dog", "probability": 0.97}]}
    assert bad == BAD
    tables.write(file, [GOOD], Wanted(2, True), force=True)
    assert "ancestors" not in json.loads(file.read_bytes())


@pytest.mark.slow
@ALL
def test_the_same_rows_give_the_same_bytes(tmp_path: Path, suffix: str) -> None:
    rows = [GOOD, BAD] * 20_000
    first, second = (write(tmp_path / f"{name}{suffix}", rows) for name in "ab")
    assert first.read_bytes() == second.read_bytes()
    assert {file.name for file in tmp_path.glob(".*")} == set()


@ALL
def test_no_rows_are_a_complete_file_too(tmp_path: Path, suffix: str) -> None:
    assert write(tmp_path / f"rows{suffix}", []).is_file()


def test_groups_of_a_fixed_number_of_rows(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    file = write(tmp_path / "rows.parquet", (GOOD for _ in range(tables.ROW_GROUP + 1)))
    found = parquet.ParquetFile(file)
    assert [found.metadata.row_group(n).num_rows for n in range(2)] == [tables.ROW_GROUP, 1]


def test_ancestors_with_one_name_have_a_column_each() -> None:
    wanted = Wanted(1, ancestors=["dog", "Dog", "error", "dog_2", "\udcff"])
    names = [*tables.columns(wanted)]
    assert names[7:12] == ["dog", "Dog_2", "error_2", "dog_2_2", "\\udcff"]


@pytest.mark.slow
@ALL
def test_an_error_in_the_middle_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, suffix: str
) -> None:
    file = tmp_path / f"rows{suffix}"
    file.write_text("old")

    def rows() -> Iterator[RowDict]:
        yield from [GOOD] * 20_000
        raise OutputError("the journal is damaged")

    with pytest.raises(OutputError, match="journal"):
        write(file, rows())
    assert [left.read_text() for left in tmp_path.iterdir() if left.is_file()] == ["old"]


@pytest.mark.slow
@ALL
def test_a_full_disk_is_one_line_and_leaves_nothing(small_disk: Path, suffix: str) -> None:
    rows = (GOOD | {"sha256": f"{number**40:x}"} for number in range(200_000))
    with pytest.raises(OutputError, match="the disk is full; make room") as caught:
        write(small_disk / f"rows{suffix}", rows)
    assert "\n" not in str(caught.value)
    assert [*small_disk.iterdir()] == []


def test_what_a_killed_run_left_is_written_over(tmp_path: Path) -> None:
    left = tmp_path / ".rows.csv.writing-1"
    left.write_text("half")
    os.utime(left, (0, 0))  # long ago: no other run is writing it
    write(tmp_path / "rows.csv")
    assert not left.exists()


def test_what_cannot_be_written_is_said_before_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match=r"\.parquet, \.jsonl, \.csv"):
        tables.check(tmp_path / "rows.xlsx")
    with pytest.raises(UsageError, match="no folder"):
        tables.check(tmp_path / "missing" / "rows.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(UsageError, match="not a file"):
        tables.check(tmp_path / "folder.csv")
    tables.check(tmp_path / "ROWS.JSONL")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'topfive\[parquet\]'"):
        tables.check(tmp_path / "rows.parquet")


MEASURE = """
import json, resource, sys; from pathlib import Path; from topfive.batches import tables
from topfive.classification.outputs import Wanted
row = json.loads(sys.argv[3])
rows = (row | {"source": f"{n}.jpg"} for n in range(int(sys.argv[2])))
tables.write(Path(sys.argv[1]), rows, Wanted(5, True, ["dog"]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    peaks = []
    for number in (40_000, 200_000):
        arguments = str(tmp_path / f"{number}.parquet"), str(number), json.dumps(GOOD)
        command = [sys.executable, "-c", MEASURE, *arguments]
        done = subprocess.run(command, capture_output=True, check=True)
        peaks.append(int(done.stdout))
    assert peaks[1] < 1.15 * peaks[0]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_set_and_a_rejection_have_their_columns(tmp_path: Path, suffix: str) -> None:
    duckdb = pytest.importorskip("duckdb")
    told = GOOD | {"prediction_set": GOOD["predictions"], "rejected": True}
    file = tmp_path / f"rows{suffix}"
    tables.write(file, [told, BAD], Wanted(1, coverage=0.9, reject=True))
    found = duckdb.sql(f"SELECT prediction_set, rejected FROM '{file}'").fetchall()  # noqa: S608
    assert found == [("soccer_ball|golf_ball", True), (None, None)]
