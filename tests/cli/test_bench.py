"""The command `topfive bench`, as a user meets it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from tests.evaluation.test_bench import squeezenet, turns, ways
from topfive.cli.bench import gains, print_tables
from topfive.cli.main import main as run
from topfive.engines import blobs
from topfive.evaluation import bench as library
from topfive.evaluation.bench import Turn
from topfive.evaluation.bench_subjects import Subject

__all__ = ("squeezenet", "turns", "ways")  # fixtures


def main(arguments: list[str]) -> int:
    """Run `topfive bench`."""
    return run(["bench", *arguments])


@pytest.fixture
def network(weight_file: Path) -> list[str]:
    """The options that name the self-test's network, and little time for it."""
    return ["-m", "squeezenet_v1.1", "--weights", str(weight_file), "--seconds", "0.02"]


@pytest.mark.slow
def test_latency_and_throughput_are_printed(
    network: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plot = tmp_path / "bench.svg"
    arguments = ["--threads", "1", "--batch", "1,2", "--batch", "1", "--runs", "2", "-o", str(plot)]
    assert main([*arguments, *network]) == 0
    said = capsys.readouterr()
    assert "SqueezeNet v1.1: 0.39 billion multiply-adds a picture" in said.out
    assert "2 x 0.02 s each, medians" in said.out
    rows = [line.split() for line in said.out.splitlines() if line.startswith("f32 ")]
    assert [row[1:3] for row in rows[1:]] == [["1", "1"], ["1", "2"]]
    assert all(row[-1].endswith("%") for row in rows)
    assert float(rows[0][2]) <= float(rows[0][3])  # the median and the 95th percentile
    assert all(len(line) <= 80 for line in said.out.splitlines())
    assert "topfive: 6 turns" in said.err
    assert plot.read_bytes().startswith(b"<?xml")
    assert list(blobs.folder().iterdir()) == []


@pytest.mark.slow
def test_json_holds_what_was_measured_with_what(
    network: list[str], squeezenet: Subject, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(
        "topfive.evaluation.bench_subjects.open_subjects", lambda *_: nullcontext([squeezenet])
    )
    options = ["--threads", "1", "--batch", "2", "--runs", "1", "-f", "json"]
    assert main([*options, *network]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["settings"] | {"product": 0} == {
        "seconds": 0.02, "runs": 1, "complete": True, "product": 0,
    }  # fmt: skip
    latency, throughput = told["measurements"]
    assert (latency["mode"], latency["batch"]) == ("latency", 1)
    assert (throughput["mode"], throughput["batch"]) == ("throughput", 2)
    work = told["networks"][0]["multiply_adds"]
    for one in told["measurements"]:
        rate = one["pictures_per_second"]
        assert rate["lowest"] == rate["median"] == rate["highest"] > 0
        assert one["operations_per_second"] == pytest.approx(2 * work * rate["median"])
        share = one["operations_per_second"] / one["product_operations_per_second"]
        assert one["share_of_product"] == pytest.approx(share)


@pytest.mark.slow
def test_random_weights_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["-m", "squeezenet", "--random-weights", "--seconds", "0.01", "--threads", "1"]
    assert main([*options, "--batch", "1", "--runs", "1"]) == 0
    assert "SqueezeNet v1.0: 0.83 billion multiply-adds a picture, random weights" in (
        capsys.readouterr().out
    )


def test_tables_of_many_measurements_fit_into_80_columns(
    turns: list[Turn], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    settings = {"seconds": 3.0, "runs": 3, "complete": False}
    print_tables(library.summarise(turns), settings)
    said = capsys.readouterr().out
    assert all(len(line) <= 80 for line in said.splitlines())
    assert "as far as they were measured" in said
    assert said.index("VGG16: 15.47 billion") < said.index("MobileNet: 0.57 billion")
    rows = re.findall(r"^(f32|int8) .* 60%$", said, re.MULTILINE)
    assert len(rows) == 24
    assert "…" not in said
    assert "\nint8: 1.00 times as many pictures a second as f32\n" in said


def test_a_lower_precision_is_compared_at_the_best_of_both(turns: list[Turn]) -> None:
    measurements = [
        replace(one, rate=one.rate * 2.5) if one.configuration.subject.precision == "int8" else one
        for one in library.summarise(turns)
        if one.configuration.subject.network.name == "vgg16"
    ]
    assert gains(measurements) == {"int8": pytest.approx(2.5)}
    without = [one for one in measurements if one.configuration.subject.precision == "int8"]
    assert gains(without) == {}


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["-m", "vgg16"], 3, "the weights of VGG16 are not here: topfive weights fetch vgg16"),
        (["-m", "vgg61"], 2, "unknown network 'vgg61'"),
        (["--precision", "f32,f33"], 2, "'f33' is not one of 'f32', 'bf16', 'f16', 'int8'"),
        (["--threads", "1,x"], 2, "'x' is not a valid integer"),
        (["--threads", "4096"], 2, "4096 threads: this process may use"),
        (["--batch", "0"], 2, "0 is not in the range x>=1"),
        (["--batch", ""], 2, "is not a valid integer"),
        (["--seconds", "0"], 2, "0.0 is not in the range x>0"),
        (["--runs", "0"], 2, "0 is not in the range x>=1"),
        (["--random-weights", "--precision", "int8"], 2, "have no graph in 8 bits"),
        (["-o", "x.pdf"], 2, "x.pdf: expected a name that ends in .svg, .png"),
        (["-o", "no/x.svg"], 2, "there is no folder no; make it first"),
        (["x.jpg"], 2, "unexpected extra argument"),
    ],
)
def test_a_wrong_call_is_one_line(
    arguments: list[str], status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == status
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error


@pytest.mark.slow
def test_ctrl_c_shows_what_was_measured_so_far(network: list[str]) -> None:
    line = [sys.executable, "-m", "topfive", "bench", *network, "--runs", "1000", "--threads", "1",
            "--batch", "1"]  # fmt: skip
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert process.stderr.readline() == "topfive: 2000 turns\n"  # the first is over
    time.sleep(1)
    start = time.monotonic()
    process.send_signal(signal.SIGINT)
    said, error = process.communicate(timeout=20)
    assert time.monotonic() - start < 10
    assert process.returncode == 130
    assert error.strip() == "topfive: interrupted"
    assert "as far as they were measured" in said
    assert re.search(r"^f32 +1 .*%$", said, re.MULTILINE)
