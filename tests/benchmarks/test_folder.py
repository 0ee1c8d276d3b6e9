"""The benchmarks of folders: their counting, their figures, and one short real run."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from benchmarks.flat_memory import Peak
from benchmarks.folder_rates import Rates
from benchmarks.folder_sides import Answer, Window, compare_answers, rate
from benchmarks.processes import BenchmarkError, Command, Run, run
from numpy.typing import NDArray

from benchmarks import (
    flat_memory,
    folder,
    folder_pictures,
    folder_rates,
    folder_sides,
    folder_stages,
    weight_files,
)
from tests.conftest import ROOT
from topfive.engines import run as runs
from topfive.networks.cards import WeightFile
from topfive.networks.find import find_network

RATES = Rates("vgg16", "random", 10**10, (9.0, 10.0, 30.0), (8.0, 20.0, 21.0), (9.5, 1.0, 50.0),
              (12.0, 1.0, 90.0), (5.0, 1.0, 9.0), (4.0, 3.0, 8.0), (0.0, 1e11, 9e11))  # fmt: skip


def clock(*times: float) -> Callable[[], float]:
    """A clock that shows one time after the other."""
    left = iter(times)
    return lambda: next(left)


def table(report: str, title: str) -> str:
    """The first line of the table with that title."""
    lines = report.splitlines()
    (number,) = (number for number, line in enumerate(lines) if title in line)
    return lines[number + 1]


# --- counting ---


def test_a_window_leaves_the_warm_up_out_and_counts_from_one_batch_s_end_to_another_s() -> None:
    window = Window(3, warm_up=2, clock=clock(100, 101, 102.5, 104.5, 106.5))
    assert [window.add(32) for _ in range(5)] == [False, False, False, False, True]
    assert window.report() == "Throughput: 16.000 FPS"


def test_too_few_pictures_are_refused() -> None:
    window = Window(3, warm_up=2, clock=clock(100, 103, 105))
    for _ in range(3):
        window.add(1)
    with pytest.raises(BenchmarkError, match="ended before the time was over"):
        window.report()


@pytest.mark.parametrize(
    "line", ["[ INFO ] Throughput:   153.36 FPS", "Throughput: 153.360 FPS"], ids=["app", "ours"]
)
def test_a_rate_is_read_from_what_a_side_printed(line: str) -> None:
    assert rate(Run(1, 1, f"[ INFO ] Count: 462 iterations\n{line}\n")) == 153.36


@pytest.mark.parametrize("output", ["", "Throughput: nan FPS", "Throughput: 0.00 FPS"])
def test_a_side_that_prints_no_rate_is_refused(output: str) -> None:
    with pytest.raises(BenchmarkError, match="expected one line"):
        rate(Run(1, 1, output))


# --- the answers ---


def test_answers_come_back_as_they_were_printed(capsys: pytest.CaptureFixture[str]) -> None:
    folder_sides.print_answers("own", [(7, 0.25), (1, 0.5)])
    folder_sides.print_answers("topfive", [(7, 0.25)])
    printed = Run(1, 1, "some warning\n" + capsys.readouterr().out)
    assert folder_sides.answers(printed) == {"own": [(7, 0.25), (1, 0.5)], "topfive": [(7, 0.25)]}


def test_answers_pass_within_the_tolerance() -> None:
    compare_answers({"Keras": [(7, 0.25)], "own": [(7, 0.2509)], "topfive": [(7, 0.2491)]}, 1)


@pytest.mark.parametrize(
    "received", [[(8, 0.25)], [(7, 0.2515)], [], [(7, 0.25), (7, 0.25)], [(7, float("nan"))]]
)
def test_a_side_that_answers_differently_is_refused(received: list[Answer]) -> None:
    with pytest.raises(BenchmarkError, match="the answers differ from Keras's"):
        compare_answers({"Keras": [(7, 0.25)], "own": [(7, 0.25)], "topfive": received}, 1)


# --- the figures ---


def test_the_ratios_are_of_medians_and_the_faster_pipeline_is_the_opponent() -> None:
    assert (RATES.of_exported, RATES.of_own) == (0.95, 0.475)
    assert (RATES.keras, RATES.faster) == (5.0, 1.9)
    assert replace(RATES, tf_data=(6.0,)).keras == 6.0


@pytest.mark.parametrize(
    ("batch", "missed"), [(20.0, "+++"), (18.9, "+-+"), (9.5, "+-+"), (9.4, "--+"), (8.4, "---")]
)
def test_each_missed_target_is_marked(batch: float, missed: str) -> None:
    line = table(folder_rates.report([replace(RATES, batch=(batch,))]), "of Keras graph")
    marks = re.findall(r"\d+\.(?:\d%|\d\dx)( !)?", line)
    assert "".join("-" if mark else "+" for mark in marks) == missed


def test_the_default_network_has_no_target_beside_benchmark_app() -> None:
    slow = replace(RATES, network="efficientnet_lite0", batch=(0.1,))
    line = table(folder_rates.report([slow]), "of Keras graph")
    assert line.split() == ["efficientnet_lite0", "1.0%", "-", "0.5%", "0.02x", "!", ">=", "1.7x"]


def test_the_stages_of_a_picture_are_medians_and_parts_of_their_sum() -> None:
    assert "ms of one core" not in folder_rates.report([RATES])
    stages = ((0.002, 0.003, 0.9), (0.001, 0.003, 0.005), (0.002, 0.003, 0.005))
    line = table(folder_rates.report([RATES, replace(RATES, stages=stages)]), "ms of one core")
    assert line.split() == ["vgg16", "2.00", "20%", "3.00", "30%", "5.00", "50%"]


@pytest.mark.parametrize(("half", "mark"), [(8.6, "1.72x "), (8.4, "1.68x !")])
def test_bfloat16_has_its_own_table_where_the_processor_has_it(half: float, mark: str) -> None:
    assert "bf16" not in folder_rates.report([RATES])
    assert RATES.faster_in_bf16 is None
    line = table(folder_rates.report([replace(RATES, bf16=(half, half, 1.0))]), "bf16")
    assert mark in line
    assert line.endswith(">= 1.7x")


def test_what_the_target_takes_stands_beside_the_most_that_was_done() -> None:
    """Keras answers 5 pictures of 10 billion operations; topfive's own graph 20."""
    assert RATES.needed == pytest.approx(85e9)
    assert RATES.most == pytest.approx(200e9)
    assert replace(RATES, product=(3e11,)).most == pytest.approx(300e9)
    other = replace(RATES, network="xception", operations=10**11)  # 2,000 billion of them
    report = folder_rates.report([RATES, other])
    assert table(report, "10^9 operations").split() == ["vgg16", "10.0", "50", "85", "2000", "4%"]
    assert report.splitlines()[-1].split() == ["xception", "100.0", "500", "850", "2000", "42%"]


def test_the_report_fits_80_columns() -> None:
    large = (12_345.6,)
    rows = [Rates(name, "random", 10**10, large, large, (0.5,), large, large, large, (1e15,), large,
                  ((1.23456,) * 3,))
            for name in folder_rates.NETWORKS]  # fmt: skip
    text = folder_rates.report(rows)
    text += "\n" + folder_rates.setting({"random", "published"}, "160 photographs, 17.9 MB", 3, 7.5)
    assert max(len(line) for line in text.splitlines()) <= 80
    assert all(row.network in text for row in rows)


@pytest.mark.parametrize(("highest", "missed"), [(105.0, False), (105.2, True)])
def test_memory_that_grows_is_marked(highest: float, missed: bool) -> None:
    peaks = [Peak(100, 1.0, 100_000), Peak(1000, 9.0, round(highest * 1000))]
    assert ("!" in flat_memory.report(peaks)) is missed
    # A peak that falls has moved as much as one that grows.
    assert flat_memory.growth(peaks[::-1]) == flat_memory.growth(peaks)


def test_each_stage_is_timed_for_each_picture(tmp_path: Path) -> None:
    """The clock goes on by one whenever it is looked at: a batch is computed once."""
    folder_pictures.make(tmp_path / "made", 64, 48, 6)
    files = folder_pictures.first(tmp_path / "made", 6)
    ticks, sizes = iter(range(1000)), []

    def answer(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        sizes.append(pictures.shape)
        return np.zeros((len(pictures), 1), np.float32)

    network = find_network("efficientnet_lite0")
    timed = runs.Run(answer, answer, answer, batch=2)
    found = folder_stages.measure(network, timed, files, lambda: float(next(ticks)))
    assert found == (1.0, 1.0, 0.5)
    assert sizes == [(2, 224, 224, 3)] * 3


# --- what all read ---


def test_links_go_through_the_photographs_in_turn(tmp_path: Path) -> None:
    photographs = [tmp_path / "a.JPEG", tmp_path / "b.JPEG"]
    flat = folder_pictures.link(photographs, tmp_path / "flat", 5)
    assert [file.readlink().name[0] for file in sorted(flat.iterdir())] == list("ababa")
    nested = folder_pictures.link(photographs, tmp_path / "nested", 2001, nested=True)
    assert [len([*part.iterdir()]) for part in sorted(nested.iterdir())] == [1000, 1000, 1]


def test_a_network_s_own_file_is_not_named_to_topfive(tmp_path: Path) -> None:
    network = find_network("efficientnet_lite0")
    kind, own = weight_files.provide_file(network, tmp_path / "home")
    assert (kind, own.name) == ("published", network.weights.name)
    assert weight_files.own_options(network, own) == []
    assert weight_files.own_options(network, tmp_path / "a.h5") == [
        "--weights", str(tmp_path / "a.h5"),
    ]  # fmt: skip
    command = folder_sides.batch_command(tmp_path, network, own, tmp_path / "out.jsonl", {})
    assert "--weights" not in command.arguments


@pytest.mark.parametrize(("content", "kind"), [(b"right", "published"), (b"damaged", "random")])
def test_published_weights_beside_the_checkout_are_used_where_their_hash_is_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, kind: str
) -> None:
    digest = hashlib.md5(b"right", usedforsecurity=False).hexdigest()
    file = WeightFile("https://example.org/a.h5", f"md5:{digest}", 5, "none")
    card = replace(find_network("vgg16"), weights=file)
    beside, made = tmp_path / "a.h5", tmp_path / "home" / "models" / "vgg16_random.h5"
    made.parent.mkdir(parents=True)
    made.touch()
    beside.write_bytes(content)
    monkeypatch.setattr(weight_files, "SHARED", tmp_path)
    found = weight_files.provide_file(card, tmp_path / "home")
    assert found == (kind, beside if kind == "published" else made)


def test_the_process_that_measures_stays_small() -> None:
    code = "import benchmarks.folder, benchmarks.flat_memory, sys; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split()
    assert not {"numpy", "keras", "h5py", "openvino", "PIL", "requests"} & set(loaded)


# --- the whole ---


def test_sides_that_differ_end_the_benchmark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: True)
    monkeypatch.setattr(
        folder_pictures, "find_photographs", lambda place, small=False: ([tmp_path], "one")
    )
    monkeypatch.setattr(folder, "provide_file", lambda network, home: ("random", tmp_path))

    def answer(command: Command) -> Run:
        assert "--answers" in command.arguments, "nothing is timed"
        side = command.arguments[2].rpartition("_")[2]
        sides = ("exported", "own") if side == "graphs" else (side,)
        pairs = [(1, 0.5 if side == "topfive" else 0.6)] * folder.COMPARED
        lines = [folder_sides.WORK + "9 9"] if side == "graphs" else []
        lines += [folder_sides.ANSWERS + json.dumps({one: pairs}) for one in sides]
        return Run(1, 1, "\n".join(lines))

    monkeypatch.setattr(folder, "run", answer)
    monkeypatch.setattr(folder, "turn_by_turn", lambda commands, runs: pytest.fail("timed"))
    assert folder.main(["--networks", "vgg16", "--folder", str(tmp_path / "kept")]) == 1
    captured = capsys.readouterr()
    assert "the answers differ from keras's" in captured.err
    assert captured.out == ""


@pytest.mark.slow
def test_the_sides_of_openvino_and_topfive_agree_and_say_their_rates(
    tmp_path: Path, weight_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_pictures, "PHOTOGRAPHS", tmp_path / "none")
    photographs, words = folder_pictures.find_photographs(tmp_path / "made")
    assert words.startswith("32 made-up JPEGs of 500 x 375")
    pictures = folder_pictures.link(photographs, tmp_path / "pictures", 32)
    network = find_network("squeezenet_v1.1")
    base = dict(os.environ) | {"PYTHONPATH": str(ROOT)}
    graphs = tmp_path / "graphs"
    graphs.mkdir()

    line = (network.name, str(weight_file), str(pictures))
    made = Command(folder._module("folder_graphs", *line, str(graphs), "--answers", "2"), base)
    ours = Command(folder._module("folder_topfive", *line, "--answers", "2"), base)
    graphs_made = run(made)
    found = {side: pairs for done in (graphs_made, run(ours))
             for side, pairs in folder_sides.answers(done).items()}  # fmt: skip
    picture, product = folder_sides.work(graphs_made)
    assert 0.35e9 < picture / 2 < 0.4e9, "0.35 at torchvision's 224 pixels, which are 227 here"
    assert product == 2 * 1024**3
    assert [*found] == ["exported", "own", "topfive"]
    compare_answers(found, 2)

    sides = folder.steady_sides(network, weight_file, pictures, graphs, 0.5, base)
    for side in ("exported", "own", "product", "rows"):
        assert rate(run(sides[side])) > 1

    spent = Command(folder._module("folder_stages", *line, "--pictures", "4"), base)
    assert all(0 < seconds < 10 for seconds in folder_sides.stages(run(spent)))


@pytest.mark.slow
def test_the_command_s_memory_does_not_grow_with_the_number_of_pictures(tmp_path: Path) -> None:
    # From a small process, see `processes`: this one's own memory would count.
    result = tmp_path / "result.json"
    line = (sys.executable, "-m", "benchmarks.flat_memory", "--counts", "400", "1600")
    options = ("--picture", "small", "--folder", str(tmp_path / "kept"), "--json", str(result))
    done = subprocess.run([*line, *options], cwd=ROOT, check=True, capture_output=True, text=True)
    found = json.loads(result.read_text())
    assert [peak["pictures"] for peak in found["peaks"]] == [400, 1600]
    assert 1 <= found["ratio"] <= flat_memory.GROWTH
    assert "made-up JPEGs of 64 x 48" in done.stdout
