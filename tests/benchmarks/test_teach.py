"""The benchmark of teaching: its figures beside their targets, and a small run of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from benchmarks.processes import BenchmarkError

from benchmarks import teach

FOUND: dict[str, Any] = {
    "weights": "published", "features": 5.0, "teach": 6.5, "ratio": 1.3, "pictures": 1000,
    "correction": 1.0, "held_out": {"hits": 176, "of": 200},
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
@pytest.mark.parametrize("other", [{}, {"squeezenet": FOUND}])
def test_a_figure_that_misses_its_target_is_marked(
    changed: dict[str, Any], missed: list[str], other: dict[str, Any]
) -> None:
    lines = teach.report({"efficientnet_lite0": {**FOUND, **changed}, **other}, 5).splitlines()
    marked = [line for line in lines[6:] if " ! " in line]
    assert [line.count("!") for line in marked] == [1] * len(missed)
    assert all(line.startswith(start) for line, start in zip(marked, missed, strict=True))


def test_each_network_has_its_own_column() -> None:
    slower = {**FOUND, "ratio": 1.5, "weights": "random"}
    lines = teach.report({"efficientnet_lite0": FOUND, "squeezenet": slower}, 5).splitlines()
    assert lines[6].split() == ["efficientnet_lite0", "squeezenet", "target"]
    assert lines[9].split() == "teach, times features 1.30x 1.50x ! <= 1.3x".split()
    assert "published/random weights" in lines[2]


def test_without_photographs_nothing_is_said_of_extending() -> None:
    found = {name: value for name, value in FOUND.items() if name != "extending"}
    assert "top-1" not in teach.report({"squeezenet": found}, 3)
    assert "top-1 before" in teach.report({"squeezenet": FOUND}, 3)


def test_the_report_fits_80_columns() -> None:
    large = {**FOUND, "features": 123_456.7, "teach": 123_456.7, "ratio": 1234.5,
             "pictures": 1_000_000}  # fmt: skip
    report = teach.report(dict.fromkeys(teach.NETWORKS, large), 100)
    assert max(map(len, report.splitlines())) <= 80


def test_squeezenet_is_taught_where_its_weights_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teach, "published_file", lambda network: None)
    assert teach.at_hand() == ["efficientnet_lite0"]
    monkeypatch.setattr(teach, "published_file", lambda network: tmp_path)
    assert teach.at_hand() == ["efficientnet_lite0", "squeezenet"]


def test_a_side_that_fails_ends_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(folder: Path, each: int, name: str) -> None:
        raise BenchmarkError(f"no room for {each} pictures")

    monkeypatch.setattr(teach, "Sides", fail)
    assert teach.main(["--each", "3"]) == 1
    assert "teach: no room for 3 pictures" in capsys.readouterr().err


@pytest.mark.slow
def test_a_small_run_goes_the_whole_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(teach, "SIZE", 64)
    monkeypatch.setattr(teach, "PHOTOGRAPHS", tmp_path / "nowhere")
    out = tmp_path / "figures.json"
    networks = ("--networks", teach.NETWORKS[0])
    assert teach.main([*networks, "--each", "6", "--runs", "1", "--json", str(out)]) == 0
    ((name, found),) = json.loads(out.read_text()).items()
    assert (name, found["pictures"]) == ("efficientnet_lite0", 60)
    assert found["held_out"]["of"] == 10
    assert found["ratio"] == pytest.approx(found["teach"] / found["features"])
    assert min(found["features"], found["teach"], found["correction"]) > 0
    assert "extending" not in found
    assert "right, of those held out" in capsys.readouterr().out
