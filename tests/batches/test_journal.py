"""The journal of a run: nothing committed is lost, nothing is doubled, nobody is in the way."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from topfive.batches.journal import Journal
from topfive.errors import OutputError, UsageError

SETTINGS: dict[str, object] = {"--top": 5, "sources": ["a", "b"], "--where": None}
LOCK = """
import sys; from pathlib import Path; from topfive.batches.journal import Journal
with Journal(Path(sys.argv[1]), {}): print(); sys.stdin.read()
"""
LOOP = """
import sys; from pathlib import Path; from topfive.batches import journal
from tests.batches.test_journal import row
journal.ROWS_A_COMMIT = 7
with journal.Journal(Path(sys.argv[1]), {}) as opened:
    print(opened.found, flush=True)
    for number in range(opened.found, 10**9):
        opened.add(row(str(number)), str(number) if number % 3 == 0 else None)
        if number % 10 == 0:
            opened.commit()
            print(number + 1, flush=True)
"""


def row(source: str, label: str | None = "dog") -> Any:
    """Return a row as far as the journal looks at it; a failure, without a label."""
    return {
        "source": source,
        "predictions": [{"label": label, "probability": 0.1 + 0.2}] if label else [],
        "error": None if label else {"kind": "broken", "message": "cut off"},
    }


def names(journal: Journal) -> list[str]:
    return [row["source"] for row in journal.rows()]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "results.parquet.partial"


def test_rows_come_back_as_they_were_added_and_in_that_order(file: Path) -> None:
    rows = [row("b"), row("\udcff\ud800.jpg"), row("a", None), row("鷗\n")]
    with Journal(file, SETTINGS) as journal:
        assert (journal.found, journal.finished) == (0, False)
        assert [journal.add(one) for one in rows] == [1, 2, 3, 4]
        assert list(journal.rows()) == rows
    with Journal(file, SETTINGS) as journal:
        assert journal.found == 4
        assert list(journal.rows()) == rows


def test_nothing_stays_beside_a_journal_that_was_closed_and_nothing_of_one_removed(
    file: Path,
) -> None:
    with Journal(file, SETTINGS) as journal:
        journal.add(row("a"))
        journal.commit()
    assert [left.name for left in file.parent.iterdir() if left.is_file()] == [file.name]
    with Journal(file, SETTINGS) as journal:
        journal.remove()
    assert [left for left in file.parent.iterdir() if left.is_file()] == []


def test_a_name_is_claimed_as_often_as_earlier_sessions_have_it(file: Path) -> None:
    with Journal(file, SETTINGS) as journal:
        for name in ("a", "twice", "\udcff", "twice"):
            journal.add(row(name))
        assert not journal.claim("a")  # it is this session's own
    with Journal(file, SETTINGS) as journal:
        journal.add(row("new"))
        claimed = [journal.claim(name) for name in ("twice", "\udcff", "twice", "twice", "new")]
        assert claimed == [True, True, True, False, False]
        journal.renew()
        assert [journal.claim(name) for name in ("twice", "new", "new")] == [True, True, False]


def test_a_changed_setting_is_named_with_the_old_and_the_new_value(file: Path) -> None:
    Journal(file, SETTINGS).close()
    changed = {"--top": 3, "sources": ["a", "c"], "--where": "dog\x1b", "--hierarchy": False}
    with pytest.raises(UsageError, match="--restart") as caught:
        Journal(file, changed)
    said = str(caught.value)
    assert "--top was 5, now 3" in said
    assert "sources was b, now c" in said
    assert "--where was not given, now dog\\x1b" in said
    assert "--hierarchy" not in said
    Journal(file, SETTINGS).close()  # it was left as it was


def test_a_restart_forgets_the_rows_and_the_settings(file: Path) -> None:
    with Journal(file, SETTINGS) as journal:
        journal.add(row("a"))
    with Journal(file, {}, restart=True) as journal:
        assert (journal.found, names(journal)) == (0, [])


def _foreign_database(file: Path) -> None:
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE precious (x)")
    database.close()


def _damaged(file: Path) -> None:
    with Journal(file, SETTINGS) as journal:
        for number in range(100):
            journal.add(row(str(number)))
    content = file.read_bytes()
    file.write_bytes(content[:100] + bytes(len(content) - 100))


@pytest.mark.parametrize(
    "spoil",
    [lambda file: file.write_text("precious"), _foreign_database, _damaged],
    ids=["text", "another's database", "damaged"],
)
def test_a_file_that_is_no_journal_is_only_overwritten_by_a_restart(file: Path, spoil: Any) -> None:
    spoil(file)
    before = file.read_bytes()
    with pytest.raises(UsageError, match="--restart"):
        Journal(file, SETTINGS)
    assert file.read_bytes() == before
    with Journal(file, SETTINGS, restart=True) as journal:
        assert journal.found == 0


def test_a_journal_that_was_killed_while_it_was_made_is_made_anew(file: Path) -> None:
    file.touch()
    with Journal(file, SETTINGS) as journal:
        journal.add(row("a"))
    with Journal(file, SETTINGS) as journal:
        assert journal.found == 1


@pytest.mark.parametrize("restart", [False, True])
def test_a_second_run_on_the_same_journal_is_refused(file: Path, restart: bool) -> None:
    command = [sys.executable, "-c", LOCK, str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        running.stdout.readline()
        with pytest.raises(OutputError, match="another run is writing"):
            Journal(file, {}, restart)
        running.communicate()
    Journal(file, {}).close()


def test_a_folder_in_its_place_or_none_around_it_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a file"):
        Journal(tmp_path, {})
    with pytest.raises(OutputError, match="No such file"):
        Journal(tmp_path / "missing" / "file", {})


def test_the_summary_counts_the_rows_of_all_sessions(file: Path) -> None:
    with Journal(file, SETTINGS) as journal:
        journal.add(row("x", None))
        for label in ("cat", "dog", "dog"):
            journal.settle(journal.add(row("x", label), f"{label}/x"), placed=True)
    with Journal(file, SETTINGS) as journal:
        journal.settle(journal.add(row("y", "dog"), "dog/y"), placed=False)
        summary = journal.summary()
    assert (summary.rows, summary.failures) == (5, {"broken": 1})
    assert list(summary.labels.items()) == [("dog", 3), ("cat", 1)]
    assert (summary.placed, summary.unplaced) == (3, 1)


def test_what_is_to_be_placed_waits_until_it_is_settled(file: Path) -> None:
    with Journal(file, SETTINGS) as journal:
        first, second = journal.add(row("a"), "dog/\udcff"), journal.add(row("b"), "dog/b")
        journal.add(row("c"))
        assert journal.is_target("dog/b")
        journal.settle(first, placed=True)
    with Journal(file, SETTINGS) as journal:
        assert list(journal.waiting()) == [(second, "dog/b", row("b"))]
        journal.retarget(second, "dog/b-2")
        assert [journal.is_target(f"dog/{name}") for name in ("b", "b-2", "\udcff")] == [
            False, True, True,
        ]  # fmt: skip
        journal.finish()
    with Journal(file, SETTINGS) as journal:
        assert journal.finished


def test_a_full_disk_stops_with_one_line_and_the_journal_goes_on_when_there_is_room(
    small_disk: Path,
) -> None:
    file, ballast = small_disk / "run.partial", small_disk / "ballast"
    ballast.write_bytes(bytes(600_000))
    journal = Journal(file, SETTINGS)
    added = 0
    with pytest.raises(OutputError, match="disk is full; make room") as caught:  # noqa: PT012
        while True:
            journal.add(row(f"{added}" + 500 * "x"))
            added += 1
            if added % 50 == 0:
                journal.commit()
                kept = added
    assert "\n" not in str(caught.value)
    with pytest.raises(OutputError):
        journal.close()
    ballast.unlink()
    with Journal(file, SETTINGS) as journal:
        assert journal.found >= kept > 0
        journal.add(row("more"))
        assert len(names(journal)) == journal.found + 1


@pytest.mark.slow
def test_killed_at_any_moment_it_holds_what_was_committed_once_and_in_order(file: Path) -> None:
    moments = random.Random(3)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for _ in range(20):
        running = subprocess.Popen(
            [sys.executable, "-c", LOOP, str(file)], stdout=subprocess.PIPE, env=environment
        )
        assert running.stdout is not None
        if moments.random() < 0.8:
            running.stdout.readline()
            time.sleep(moments.uniform(0, 0.03))
        else:
            time.sleep(moments.uniform(0, 0.2))  # while it is opened or made
        running.send_signal(signal.SIGKILL)
        committed = [int(line) for line in running.communicate()[0].split()]
        with Journal(file, {}) as journal:
            assert journal.found >= max(committed, default=0)
            assert names(journal) == [str(number) for number in range(journal.found)]
            assert len([*journal.waiting()]) == len(range(0, journal.found, 3))
    assert journal.found > 0
