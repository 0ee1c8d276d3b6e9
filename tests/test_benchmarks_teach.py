"""The benchmark of teaching: its figures beside their targets, and a small run of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from benchmarks import teach
from benchmarks.processes import BenchmarkError

FOUND: dict[str, Any] = {
    "features": 5.0, "teach": 6.5, "ratio": 1.3, "pictures": 1000, "correction": 1.0,
    "held_out": {"hits": 176, "of": 200},
    "extending": {
        "seconds": 9.0, "before": 100, "after": 97, "of": 150, "recognised": 190, "new": 200,
    },
}  # fmt: skip


def after(hits: int) -> dict[str, Any]:
    return {"extending": {**FOUND["extending"], "after": hits}}


@pytest.mark.parametrize(
    ("changed", "missed"),
    [
        ({}, []),
        ({"ratio": 1.31}, ["teach, times features"]),
        ({"held_out": {"hits": 175, "of": 200}}, ["right, of those held out"]),
        (after(96), ["it costs, in points"]),
        (after(103), []),
    ],
)
def test_a_figure_that_misses_its_target_is_marked(
    changed: dict[str, Any], missed: list[str]
) -> None:
    lines = teach.report({**FOUND, **changed}, "published", 5).splitlines()
    marked = [line for line in lines if line.endswith("!")]
    assert len(marked) == len(missed)
    assert all(line.startswith(start) for line, start in zip(marked, missed, strict=True))


def test_without_photographs_nothing_is_said_of_extending() -> None:
    found = {name: value for name, value in FOUND.items() if name != "extending"}
    assert "top-1" not in teach.report(found, "random", 3)
    assert "top-1 before" in teach.report(FOUND, "published", 3)


def test_the_report_fits_80_columns() -> None:
    large = {**FOUND, "features": 123_456.7, "teach": 123_456.7, "ratio": 1234.5,
             "pictures": 1_000_000}  # fmt: skip
    assert max(map(len, teach.report(large, "published", 100).splitlines())) <= 80


def test_a_side_that_fails_ends_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(folder: Path, each: int) -> None:
        raise BenchmarkError(f"no room for {each} pictures")

    monkeypatch.setattr(teach, "Sides", fail)
    assert teach.main(["--each", "3"]) == 1
    assert "teach: no room for 3 pictures" in capsys.readouterr().err


def test_a_small_run_goes_the_whole_way(
    shared: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(teach, "SIZE", 64)
    monkeypatch.setattr(teach, "PHOTOGRAPHS", tmp_path / "nowhere")
    out = tmp_path / "figures.json"
    assert teach.main(["--each", "6", "--runs", "1", "--json", str(out)]) == 0
    found = json.loads(out.read_text())
    assert found["pictures"] == 60
    assert found["held_out"]["of"] == 10
    assert found["ratio"] == pytest.approx(found["teach"] / found["features"])
    assert min(found["features"], found["teach"], found["correction"]) > 0
    assert "extending" not in found
    assert "right, of those held out" in capsys.readouterr().out
