"""The command `topfive quantize`, as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.conversion.test_quantize import wrong as wrong  # a fixture
from tests.support import fakes
from topfive.cli.main import main
from topfive.cli.quantize import describe
from topfive.conversion.admission import Accuracy, Measurement
from topfive.conversion.quantize import Quantized
from topfive.evaluation.metrics import Measure, share
from topfive.networks import records, weights
from topfive.system import files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures of two classes."""
    folder = tmp_path / "photographs"
    for number, pixels in enumerate(fakes.pictures(24, 40)):
        into = folder / ("tench", "great white shark")[number % 2]
        into.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(into / f"{number}.png")
    return folder


@pytest.fixture
def line(folder: Path, weight_file: Path) -> list[str]:
    """A command that measures made-up answers in bfloat16."""
    return ["quantize", str(folder), "-m", "squeezenet_v1.1", "--weights", str(weight_file),
            "--precision", "bf16"]  # fmt: skip


def test_the_figures_are_printed_within_80_columns(
    line: list[str], wrong: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(line) == 0
    said = capsys.readouterr().out.splitlines()
    assert max(map(len, said)) <= 80
    words = [text.split() for text in said]
    assert "squeezenet_v1.1 in bf16, measured on 24 pictures" in said
    assert "recipe stretch-bicubic, CPU" in said
    assert words[3][:5] == ["first", "answer", "as", "float32's", "100.0%"]
    (top5,) = (row for row in words if row[:1] == ["top-5"])
    assert top5[5:7] == ["+0.0", "points"]
    assert said[-1] == "Use it with --model squeezenet_v1.1 --precision bf16."


def test_the_figures_come_as_json_and_stand_in_the_record(
    line: list[str], wrong: set[str], weight_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*line, "--format", "json", "--quiet"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["measurement"]["agreement"]["of"] == 24
    entry = records.read("squeezenet_v1.1", files.checksum_of(weight_file))["precisions"]["bf16"]
    assert entry.items() >= said.items()


@pytest.mark.slow
def test_what_was_measured_is_shown_with_the_network(
    line: list[str], wrong: set[str], weight_file: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(weights, "checksum", lambda _: files.checksum_of(weight_file))
    assert main(line) == 0
    capsys.readouterr()
    assert main(["networks"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "squeezenet_v1.1 bf16: its first label is float32's on 100.0% of 24 pictures" in told


@pytest.mark.slow
def test_a_network_that_loses_too_much_is_refused_and_kept_by_force(
    line: list[str], wrong: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    wrong.add("bf16")
    assert main(line) == 3
    said = capsys.readouterr()
    assert said.out == ""
    assert "loses too much and is not kept; --force keeps it: its first answer" in said.err
    assert "on 0.0% of 24 pictures (at least 95% is enough)" in said.err
    assert main([*line, "--force"]) == 0
    said = capsys.readouterr()
    assert [row.endswith(" !") for row in said.out.splitlines()].count(True) == 1
    assert said.out.rstrip().endswith("--precision bf16; ! marks what falls short.")


def test_a_bad_picture_is_said_and_the_status_tells(
    line: list[str], folder: Path, wrong: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "tench" / "evil\x1b[2J.jpg").write_bytes(b"")
    assert main(line) == 1
    said = capsys.readouterr()
    assert "evil\\x1b[2J.jpg: " in said.err
    assert "measured on 24 pictures" in said.out


@pytest.mark.parametrize(
    ("more", "status", "message"),
    [
        (["--model", "nope"], 2, "unknown network 'nope'"),
        (["--precision", "f32"], 2, "'f32' is not one of 'bf16', 'f16', 'int8'"),
        (["--pictures", "10"], 2, "holds 10 different pictures that can be read; 20 or more"),
        (["--truth", "nowhere.csv"], 2, "nowhere.csv"),
        (["--backend", "torch"], 2, "No such option"),
        (["--all-layers"], 2, "--all-layers is for int8"),
        (["--pictures", "0"], 2, "0 is not in the range"),
        (["--weights", "nowhere.h5"], 3, "nowhere.h5"),
    ],
)
def test_wrong_usage_is_said_in_a_line(
    line: list[str], wrong: set[str], more: list[str], status: int, message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert main([*line, *more]) == status
    said = capsys.readouterr()
    assert message in said.err.splitlines()[-1]
    assert said.out == ""


def test_a_folder_that_is_not_there_is_wrong_usage(
    wrong: set[str], weight_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["quantize", "nowhere", "-m", "squeezenet_v1.1", "--weights", str(weight_file),
                 "--precision", "bf16"]) == 2  # fmt: skip
    assert "nowhere: expected a folder, an archive or a bucket" in capsys.readouterr().err


def test_a_missing_package_is_named(
    line: list[str], wrong: set[str], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr("topfive.system.extras.find_spec", lambda _: None)
    assert main([*line, "--precision", "int8"]) == 3
    assert "pip install 'topfive[int8]'" in capsys.readouterr().err


def test_large_figures_fit_80_columns_and_what_is_not_enough_is_marked() -> None:
    accuracy = Accuracy(share(1000, 1000), share(900, 1000), -10.0, -12.3, -10.1)
    measurement = Measurement(100_000, Measure(94_999, 100_000, 0.9, 1.0), 1.0, 1.0, accuracy,
                              accuracy, (12_345.6, 123_456.7))  # fmt: skip
    lowered = Quantized("squeezenet_v1.1", "int8", "crop-256-bicubic-keras", "CPU", 300,
                        measurement,
                      (553_467_096, 138_451_648), (156, 156))  # fmt: skip
    said = describe(lowered, "squeezenet_v1.1").splitlines()
    assert max(map(len, said)) <= 80
    assert [row.split()[0] for row in said if row.endswith(" !")] == ["first", "top-5"]
    assert "made with 300 pictures, measured on 100,000 others" in said[0]
    assert "156 of 156 layers" in " ".join(said)
