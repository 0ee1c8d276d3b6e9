"""The benchmark of lower precision: its figures, its sides, and what it makes of them."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from benchmarks.folder_sides import Window, rate
from benchmarks.precision import Rates
from benchmarks.precision_side import count
from benchmarks.processes import BenchmarkError, Command, Run, run
from numpy.typing import NDArray

from benchmarks import precision
from tests.conftest import ROOT
from tests.support import fakes
from topfive.conversion import admission
from topfive.engines import run as runs
from topfive.networks.cards import PRECISIONS

QUANTISED = {"layers": [54, 54], "measurement": {
    "agreement": {"hits": 96, "of": 100}, "top5": {"points": -0.5}}}  # fmt: skip
RATES = Rates("resnet50", "random", {"f32": (10.0, 9.0, 30.0), "bf16": (15.0,), "int8": (20.0,)},
              {"f32": (50.0,), "bf16": (100.0,), "int8": (125.0,)}, QUANTISED)  # fmt: skip


def test_ratios_are_of_medians() -> None:
    assert (RATES.faster("bf16"), RATES.faster("int8")) == (1.5, 2.0)
    assert RATES.faster("int8", "one") == 2.5
    assert RATES.to_dict()["faster"] == {"many": {"f32": 1.0, "bf16": 1.5, "int8": 2.0},
                                         "one": {"f32": 1.0, "bf16": 2.0, "int8": 2.5}}  # fmt: skip


@pytest.mark.parametrize(("name", "rate", "missed"), [
    ("resnet50", 17.0, False), ("resnet50", 16.9, True), ("vgg16", 16.9, True),
    ("squeezenet", 16.9, False), ("efficientnet_lite0", 16.9, False),
])  # fmt: skip
def test_a_network_that_is_too_slow_is_marked(name: str, rate: float, missed: bool) -> None:
    row = replace(RATES, network=name, many={**RATES.many, "int8": (rate,)})
    line = precision.report([row]).splitlines()[2]
    assert line.split()[:6] == [name, "10.0", "15.0", f"{rate}", "1.50x", f"{rate / 10:.2f}x"]
    assert line.endswith(" !") is missed
    assert (">= 1.7x" in line) is (name in ("resnet50", "vgg16"))


@pytest.mark.parametrize(
    ("hits", "points", "marks"), [(95, -1.0, 0), (94, 0.5, 1), (99, -1.25, 1), (90, -2.0, 2)]
)
def test_published_weights_that_lose_too_much_are_marked(
    hits: int, points: float, marks: int
) -> None:
    measured = {"agreement": {"hits": hits, "of": 100}, "top5": {"points": points}}
    quantised = {"layers": [17, 26], "measurement": measured}
    row = replace(RATES, network="squeezenet", weights="published", quantised=quantised)
    line = precision.report([row]).splitlines()[-1]
    assert line.count("!") == marks
    assert f"{hits / 100:.1%}" in line
    assert "17 of 26" in line


def test_one_picture_at_a_time_is_told_in_milliseconds() -> None:
    line = precision.report([RATES]).splitlines()[6]
    assert line.split() == ["resnet50", "20.0", "10.0", "8.0", "2.00x", "2.50x"]


def test_a_precision_that_the_machine_lacks_is_left_out() -> None:
    row = replace(RATES, many={"f32": (1.0,), "int8": (2.0,)}, one={"f32": (1.0,), "int8": (2.0,)})
    assert precision.report([row]).splitlines()[2].split()[:6] == [
        "resnet50", "1.0", "-", "2.0", "-", "2.00x",
    ]  # fmt: skip


def test_the_report_fits_80_columns() -> None:
    large = dict.fromkeys(PRECISIONS, (12_345.6,))
    measured = {"agreement": {"hits": 1, "of": 160}, "top5": {"points": -12.5}}
    rows = [Rates(name, kind, large, large, {"layers": [156, 156], "measurement": measured})
            for name in precision.NETWORKS for kind in ("random", "published")]  # fmt: skip
    text = precision.report(rows)
    text += "\n" + precision.setting({"random", "published"}, "160 photographs, 17.9 MB", 3, 7.5)
    assert max(len(line) for line in text.splitlines()) <= 80


def test_the_bars_are_those_of_the_admission() -> None:
    assert (admission.AGREEMENT, -admission.LOSS) == (precision.AGREEMENT, precision.POINTS)


@pytest.mark.parametrize("batch", [1, 4])
def test_all_threads_are_counted_and_all_end(batch: int) -> None:
    seen: list[int] = []

    def answer(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        seen.append(len(pictures))
        return np.zeros((1, 1), np.float32)

    window = Window(0.05, warm_up=0)
    run = runs.Run(answer, answer, answer, batch=batch)
    count(run, fakes.pictures(8, 8), 3, window)
    assert rate(Run(1, 1, window.report())) > 0
    assert set(seen) == {batch}


@pytest.mark.slow
def test_a_side_prints_the_rate_of_a_real_network(weight_file: Path, warm: Path) -> None:
    line = (sys.executable, "-m", "benchmarks.precision_side", "squeezenet_v1.1",
            str(weight_file), "f32", "--one", "--seconds", "0.2")  # fmt: skip

    assert rate(run(Command(line, {**os.environ, "PYTHONPATH": str(ROOT)}))) > 1


def test_the_benchmark_asks_for_what_it_reports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[str, ...]] = []

    def answer(command: Command) -> Run:
        asked.append(command.arguments)
        if "quantize" in command.arguments:
            return Run(1, 1, json.dumps(QUANTISED))
        if "-c" in command.arguments:
            raise BenchmarkError("no bfloat16 here")
        return Run(1, 1, f"Throughput: {40 if 'int8' in command.arguments else 20}.0 FPS\n")

    monkeypatch.setattr(precision, "run", answer)
    monkeypatch.setattr(precision, "turn_by_turn",
                        lambda sides, runs: [[answer(one)] * runs for one in sides])  # fmt: skip
    monkeypatch.setattr(precision, "provide_file", lambda *_: ("random", tmp_path / "w.h5"))
    monkeypatch.setattr(precision, "find_pictures", lambda _: (tmp_path, "90 made-up pictures"))
    file = tmp_path / "figures.json"
    arguments = ["--networks", "vgg16", "--runs", "2", "--folder", str(tmp_path)]
    assert precision.main([*arguments, "--json", str(file)]) == 0
    (network,) = json.loads(file.read_text())["networks"]
    assert network["many"] == {"f32": [20.0, 20.0], "int8": [40.0, 40.0]}
    assert network["faster"]["many"]["int8"] == 2.0
    assert ["--all-layers" in one for one in asked if "quantize" in one] == [True]
    assert {(one[5], "--one" in one) for one in asked if "benchmarks.precision_side" in one} == {
        (name, alone) for name in ("f32", "int8") for alone in (False, True)
    }  # fmt: skip
    assert "90 made-up pictures" in capsys.readouterr().out


def test_a_side_that_fails_ends_the_benchmark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> Rates:
        raise BenchmarkError("topfive quantize ended with 3")

    monkeypatch.setattr(precision, "measure", fail)
    monkeypatch.setattr(precision, "find_pictures", lambda _: (tmp_path, ""))
    assert precision.main(["--folder", str(tmp_path)]) == 1
    assert "precision: topfive quantize ended with 3" in capsys.readouterr().err
