"""The command `topfive evaluate`, as a user meets it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from tests.support import fakes, photographs
from topfive.cli.evaluate import evaluate
from topfive.cli.main import main
from topfive.networks.labels import load
from topfive.system import progress

LABELS = load("imagenet")
TOPFIVE = [sys.executable, "-m", "topfive"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four pictures of two classes."""
    folder = tmp_path / "photographs"
    for number, pixels in enumerate(fakes.pictures(4, 80)):
        into = folder / ("tench", "great white shark")[number % 2]
        into.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(into / f"{number}.jpg")
    return folder


@pytest.fixture
def network(weight_file: Path, warm: Path) -> list[str]:
    """The options that name the self-test's network."""
    return ["-m", "squeezenet_v1.1", "--weights", str(weight_file)]


@pytest.fixture
def real(warm: Path, tmp_path: Path) -> list[str]:
    """The arguments for a real network on real photographs, five variations of each."""
    for name, label in photographs.LABELS.items():
        wnid = next(one.wnid for one in LABELS if one.name == label)
        (tmp_path / "real").mkdir(exist_ok=True)
        for number, picture in enumerate(photographs.variations(name, 5)):
            picture.save(tmp_path / "real" / f"{wnid}_{number}.png")
    return ["evaluate", str(tmp_path / "real"), "-m", "efficientnet_lite0"]


@pytest.mark.slow
def test_measured_stands_beside_published(
    real: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*real, "--recipe", "default", "--recipe", "tutorial"]) == 0
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert all(len(line) <= 80 for line in lines)
    text = " ".join(said.out.split())
    assert ("35 pictures of 7 classes, known from file names that begin with a WordNet id"
            in text)  # fmt: skip
    measured = next(line.split() for line in lines if line.startswith("  crop-256"))
    assert measured[1:6] == ["65.7", "49.2-79.2", "88.6", "74.0-95.5", "0.228"]
    assert next(line.split() for line in lines if line.startswith("  published")) == [
        "published", "75.1", "-",
    ]  # fmt: skip
    assert "efficientnet_lite0: published with TensorFlow, single centre crop" in lines
    assert "of crop-256-bicubic, 7 of 1,000 classes, other pictures than ImageNet's" in text
    assert "lite0 crop-256-bicubic and efficientnet_lite0 stretch-nearest-keras: the same" in text
    assert "may be chance (McNemar's p = 0.39)" in text
    assert "the answers differ for 16 pictures" in text
    assert (
        said.err.splitlines()
        == [
            "topfive: efficientnet_lite0, f32, crop-256-bicubic",
            "topfive: efficientnet_lite0, f32, stretch-nearest-keras",
        ]
        or "compiling" in said.err
    )


@pytest.mark.slow
def test_restricted_to_the_classes_that_are_here(
    real: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (wrong,) = photographs.variations("coffee", 1, seed=1)
    wrong.save(Path(real[1]) / "n03785016_no_moped.png")
    assert main([*real, "--restrict", "-q", "--per-class"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    text = " ".join(said.out.split())
    assert "classes to choose from instead of 1,000" in text
    assert "the most confident errors:" in text
    accuracy = float(
        next(line for line in said.out.splitlines() if "  crop-256-" in line).split()[1]
    )
    assert 80 < accuracy < 100
    assert sum(line.startswith("  n0") or line.startswith("  n1")
               for line in said.out.splitlines()) == 7  # fmt: skip


@pytest.mark.slow
def test_weak_classes_and_confusions_are_shown(
    folder: Path, network: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(folder), "-q", *network]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert "squeezenet_v1.1, the weakest classes:" in lines
    weak = next(line for line in lines if "great_white_shark " in line)
    assert weak.split()[:4] == ["n01484850", "great_white_shark", "2", "0.0"]


@pytest.mark.slow
def test_json_and_markdown_and_files(
    folder: Path, network: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report, sheet = tmp_path / "report.json", tmp_path / "sheet.png"
    arguments = ["evaluate", str(folder), "-q", *network]
    more = ["--report", str(report), "--review", "2", "--review-to", str(sheet)]
    assert main([*arguments, "-f", "json", *more]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["num_classes"] == 2
    assert found["evaluations"][0]["top1"]["of"] == 4
    written = json.loads(report.read_text())
    assert written["evaluations"][0]["judgements"] == found["evaluations"][0]["judgements"]
    with Image.open(sheet) as drawn:
        assert drawn.width > 640
    assert main([*arguments, "-f", "markdown"]) == 0
    assert capsys.readouterr().out.startswith("# ")


@pytest.mark.slow
def test_where_nothing_is_to_review_nothing_is_drawn(
    folder: Path, network: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet = tmp_path / "sheet.jpg"
    review = ["--review", "3", "--review-to", str(sheet)]
    both = ["--precision", "f32", "--precision", "f32", "--recipe", "default"]
    assert main(["evaluate", str(folder), "-q", *network, *both, *review]) == 0
    assert sheet.exists()  # one network, and its errors
    sheet.unlink()
    same = ["--recipe", "default", "--recipe", "tutorial", "--fit", "stretch"]
    (folder / "tench" / "2.jpg").unlink()
    for file in folder.rglob("*.jpg"):
        Image.new("RGB", (300, 300), (90, 120, 30)).save(file)
    assert main(["evaluate", str(folder), "-q", *network, *same, *review]) == 0
    assert "nothing to review" in capsys.readouterr().err
    assert not sheet.exists()


@pytest.mark.slow
def test_failures_are_said_once_and_end_with_1(
    folder: Path, network: list[str], capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(progress, "FIRST_LINE", 0)
    monkeypatch.setattr(progress, "REFRESH", 60)  # of a slow run, too, only the last is shown
    (folder / "tench" / "bad\x1b.jpg").write_text("no picture")
    (folder / "labels.txt").write_text("of no class")
    assert main(["evaluate", str(folder), *network, "--recipe", "default", "--recipe",
                 "tutorial"]) == 1  # fmt: skip
    said = capsys.readouterr()
    errors = said.err.splitlines()
    assert sum("bad\\x1b.jpg: " in line for line in errors) == 1
    assert any("without a class, left out: 1 files: " in line for line in errors)
    assert sum("5 of 5 pictures, " in line and "1 failed" in line for line in errors) == 2
    assert "squeezenet_v1.1 stretch-bicubic: failed and not counted: 1" in said.out
    assert "\x1b" not in said.out + said.err


@pytest.mark.slow
def test_a_table_beside_the_pictures(
    folder: Path, network: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "labels.csv").write_text("file,label\ntench/0.jpg,goldfish\ngone.jpg,tench\n")
    assert main(["evaluate", str(folder), "--truth", str(folder / "labels.csv"), *network]) == 1
    said = capsys.readouterr()
    assert "known from labels.csv, column label, by their names" in " ".join(said.out.split())
    assert "gone.jpg: no such file" in said.err
    assert "without a class, left out: 3 files: " in said.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Missing argument 'DIR'"),
        (["no"], "no: expected a folder, an archive or a bucket with pictures"),
        (["."], "no picture whose class is known"),
        ([".", "-m", "vgg61"], "Did you mean vgg"),
        ([".", "--recipe", "keras"], "'keras' is not one of 'default', 'tutorial'"),
        ([".", "-m", "vgg16", "-m", "vgg19", "--weights", "x.h5"], "are those of one network"),
        ([".", "--report", "out.pdf"], "out.pdf: expected a name that ends in .html, .md, .json"),
        ([".", "--report", "no/out.html"], "there is no folder no; make it first"),
        ([".", "--review", "0"], "0 is not in the range x>=1"),
        ([".", "--review", "3", "--review-to", "x.pdf"], "x.pdf: expected a name that ends in"),
        ([".", "--review", "3"], "review.jpg would lie among the pictures; name another"),
        (["in", "--review", "3", "--review-to", "no/x.jpg"], "expected a file in a folder that"),
        ([".", "--truth", "no.csv"], "no.csv: cannot be read: No such file or directory"),
        ([".", "--numbers", "ilsvrc"], "none is given"),
        ([".", "--numbers", "keras"], "'keras' is not one of 'index', 'ilsvrc'"),
    ],
)  # fmt: skip
def test_wrong_usage_is_told_in_a_line(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(["evaluate", *arguments]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert said in error


@pytest.mark.slow
def test_what_was_measured_is_said_although_a_report_cannot_be_written(
    folder: Path, network: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    small_disk: Path,
) -> None:  # fmt: skip
    (small_disk / "full").write_bytes(b"x" * (1 << 20))
    report = small_disk / "report.json"
    assert main(["evaluate", str(folder), "-q", *network, "--report", str(report)]) == 1
    said = capsys.readouterr()
    assert "4 pictures of 2 classes" in " ".join(said.out.split())
    assert "the disk is full" in said.err
    assert not report.exists()


@pytest.mark.slow
def test_ctrl_c_ends_it_at_once(folder: Path, network: list[str], tmp_path: Path) -> None:
    for number in range(400):
        (folder / "tench" / f"x{number}.jpg").symlink_to(folder / "tench" / "0.jpg")
    report = tmp_path / "report.json"
    command = [*TOPFIVE, "evaluate", str(folder), "--report", str(report), *network]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert "squeezenet_v1.1" in process.stderr.readline()
    time.sleep(0.3)
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert err.strip().endswith("topfive: interrupted")
    assert out == ""
    assert not report.exists()


def test_what_may_be_repeated() -> None:
    several = {option.name for option in evaluate.params if getattr(option, "multiple", False)}
    assert several == {"networks", "precisions", "recipes"}
