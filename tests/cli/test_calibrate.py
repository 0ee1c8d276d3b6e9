"""The command `topfive calibrate`, and the answers of `classify` by what it stored."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support import photographs
from topfive import Classifier
from topfive.classification import calibration
from topfive.cli.main import main
from topfive.networks import labels, records

NETWORK = ["--model", "lite0"]
FORTY = "40 pictures of 5 classes"


@pytest.fixture
def folder(warm: Path, tmp_path: Path) -> Path:
    """Forty pictures whose names begin with the WordNet ids of what is in them."""
    folder = tmp_path / "forty"
    folder.mkdir()
    wnids = {label.name: label.wnid for label in labels.load("imagenet")}
    for name in ("cat", "coffee", "rocket", "temple", "flower"):
        for number, picture in enumerate(photographs.variations(name, 8)):
            picture.save(folder / f"{wnids[photographs.LABELS[name]]}_{name}_{number}.jpg")
    return folder


@pytest.fixture
def unlike(tmp_path: Path) -> Path:
    """Noise."""
    file = tmp_path / "noise.png"
    pixels = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
    Image.fromarray(pixels).save(file)
    return file


@pytest.mark.slow
def test_it_measures_and_stores_and_classify_answers_by_it(
    folder: Path, unlike: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["calibrate", str(folder), *NETWORK]) == 0
    said = capsys.readouterr()
    table = said.out
    assert f"efficientnet_lite0, f32, crop-256-bicubic: {FORTY}" in table
    assert "temperature" in table
    assert "--coverage 0.95" in table
    assert "rejected: 2 of 40" in table or "rejected: 1 of 40" in table
    assert "note: 40 pictures are few" in table
    assert all(len(line) <= 80 for line in table.splitlines())

    cat = str(photographs.PHOTOGRAPHS["cat"])
    asked = ["classify", cat, str(unlike), *NETWORK, "-f", "json", "--reject"]
    assert main([*asked, "--coverage", "0.9"]) == 0
    photograph, noise = json.loads(capsys.readouterr().out)
    assert photograph["rejected"] is False
    assert noise["rejected"] is True
    classifier = Classifier("lite0", calibrated=True)
    found = classifier.calibration
    assert found is not None
    [(_, response)] = classifier.responses([cat], output="logits")
    assert isinstance(response.values, np.ndarray)
    members = found.prediction_set(found.probabilities(response.values), 0.9)
    assert [one["index"] for one in photograph["prediction_set"]] == members.tolist()
    assert "Egyptian_cat" in [one["label"] for one in photograph["prediction_set"]]
    assert len(noise["prediction_set"]) > len(members)

    assert main([*asked[:-3], "--coverage", "0.99"]) == 2
    assert "0.99 needs at least 99 pictures" in capsys.readouterr().err


@pytest.mark.slow
def test_a_rejected_picture_is_not_named(
    folder: Path, unlike: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["calibrate", str(folder), *NETWORK, "-q"]) == 0
    capsys.readouterr()
    assert main(["classify", str(unlike), *NETWORK, "--reject"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("I don't know")
    assert len(said.splitlines()) == 1


def test_before_it_classify_says_what_to_run(
    unlike: Path, warm: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for option in (["--coverage", "0.9"], ["--reject"], ["--calibrated"]):
        assert main(["classify", str(unlike), *NETWORK, *option]) == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert "topfive calibrate DIR --model efficientnet_lite0" in said.err


@pytest.mark.slow
def test_json_is_the_whole_result_and_a_dry_run_stores_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["calibrate", str(folder), *NETWORK, "-q", "-f", "json", "--dry-run"]
    assert main([*arguments, "--method", "aps", "--reject-score", "max_logit"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    result = json.loads(said.out)
    found = calibration.Calibration.from_dict(result["calibration"])
    assert (found.method, found.reject_score, found.pictures) == ("aps", "max_logit", 40)
    assert [one["coverage"] for one in result["sets"]] == [0.8, 0.9, 0.95]
    assert result["rejected"]["of"] == 40
    assert not records.folder().exists()


@pytest.mark.slow
def test_a_broken_picture_is_said_and_the_status_is_1(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "n02124075_broken\x1b[2J.JPEG").write_bytes(b"\xff\xd8\xff broken")
    assert main(["calibrate", str(folder), *NETWORK]) == 1
    said = capsys.readouterr()
    assert FORTY in said.out
    assert "1 failed" in said.out
    assert "broken\\x1b[2J.JPEG: " in said.err
    assert "\x1b" not in said.out + said.err


@pytest.mark.slow
def test_pictures_that_the_network_learned_from_are_said_in_a_line_and_the_status_is_0(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in ("calibrate", "evaluate"):
        assert main([command, str(folder), *NETWORK, "-q"]) == 0
        assert capsys.readouterr().err == ""
    for number, file in enumerate(sorted(folder.iterdir())):
        file.rename(folder / f"{file.name[:9]}_{number}.JPEG")
    for command in ("calibrate", "evaluate"):
        assert main([command, str(folder), *NETWORK, "-q"]) == 0
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("topfive: 40 of 40 pictures are named as those of ImageNet's ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["missing"], "missing: expected a folder"),
        ([], "Missing argument 'DIR'"),
        ([".", "--reject-rate", "1"], "0<x<1"),
        ([".", "--method", "lac"], "'raps', 'aps'"),
        ([".", "--model", "vgg"], "unknown network"),
        (["."], "no picture whose class is known"),
    ],
)
def test_wrong_usage_is_said(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(["calibrate", *arguments]) == 2
    assert said in " ".join(capsys.readouterr().err.split())
