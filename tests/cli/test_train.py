"""The command `topfive train`, as a user meets it."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import click
import numpy as np
import pytest
from PIL import Image

from tests.cli.test_tune import TUNED, Fake
from tests.cli.test_tune import fake as fake  # a fixture
from topfive.cli.main import main
from topfive.cli.train import train
from topfive.cli.tune import tune
from topfive.networks import taught_folders
from topfive.training.options import Options


@pytest.fixture
def line(tmp_path: Path) -> list[str]:
    """A command that needs nothing to be there."""
    return ["train", str(tmp_path / "many"), "-o", str(tmp_path / "own"), "-m", "squeezenet"]


def test_without_from_scratch_it_names_the_other_command(
    fake: Fake, line: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(line) == 2
    assert "say --from-scratch" in capsys.readouterr().err
    assert not fake.called


def test_it_is_tune_with_random_weights(
    fake: Fake, line: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    fake.outcome = replace(TUNED, options=Options(from_scratch=True).resolved())
    assert main([*line, "--from-scratch", "--initializer", "glorot", "--batch", "256"]) == 0
    assert fake.called["options"] == Options(from_scratch=True, initializer="glorot", batch=256)
    said = capsys.readouterr()
    assert said.out.startswith("squeezenet, trained from scratch for 2 classes")
    assert "blocks 5/5" in said.err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--weights", "x.h5"], "No such option"),
        (["--head-epochs", "3"], "No such option"),
        (["--unfreeze", "3"], "No such option"),
        (["--initializer", "zeros"], "'zeros' is not one of 'he', 'glorot'"),
        (["--epochs", "0"], "0 is not in the range x>=1"),
        (["--split", "0.2", "--validation", "x"], "give one of --validation and --split"),
    ],
)
def test_wrong_usage_is_said_in_a_line(
    fake: Fake, line: list[str], more: list[str], message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert main([*line, "--from-scratch", *more]) == 2
    said = capsys.readouterr()
    assert message in said.err.splitlines()[-1]
    assert said.out == ""
    assert not fake.called


def test_ctrl_c_says_how_it_goes_on(
    fake: Fake, line: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    fake.outcome = KeyboardInterrupt()
    assert main([*line, "--from-scratch"]) == 130
    assert "the same command goes on after epoch 5" in capsys.readouterr().err


def test_what_the_help_page_says_is_so() -> None:
    options = Options(from_scratch=True).resolved()
    told = {one.name: one.help or "" for one in train.params if isinstance(one, click.Option)}
    assert f"[default: {options.epochs}]" in told["epochs"]
    assert f"{options.learning_rate:g} for adamw" in told["learning_rate"]
    assert "[default: never]" in told["patience"]
    assert (options.patience or 0) >= (options.epochs or 0)
    (initializer,) = (one for one in train.params if one.name == "initializer")
    assert initializer.default == options.initializer


def test_its_options_are_those_of_tune_but_for_what_random_weights_change() -> None:
    own, others = ([one.name for one in command.params] for command in (train, tune))
    useless = {"head_epochs", "unfreeze", "weights", "offline"}  # without published weights
    assert set(own) == set(others) - useless | {"from_scratch", "initializer"}
    assert len(own) == len(set(own))


@pytest.mark.slow
@pytest.mark.skipif(find_spec("tensorflow") is None, reason="needs TensorFlow")
def test_a_network_learns_from_scratch_and_answers(
    tmp_path: Path, warm: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    random = np.random.default_rng(0)
    folder, own = tmp_path / "colours", tmp_path / "own"
    for channel, name in enumerate(("red", "green", "blue")):
        (folder / name).mkdir(parents=True)
        for number in range(20):
            pixels = random.integers(0, 90, (48, 48, 3))
            pixels[..., channel] += random.integers(90, 160)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{number}.png")
    asked = ["train", str(folder), "-o", str(own), "-m", "squeezenet_v1.1", "--from-scratch"]
    options = ["--epochs", "4", "--batch", "12", "--no-augment", "-f", "json", "-q"]
    assert main([*asked, *options]) == 0
    trained = json.loads(capsys.readouterr().out)
    assert [row["phase"] for row in trained["history"]] == ["all"] * 4
    assert trained["options"]["from_scratch"]
    assert trained["accuracy"]["low"] > 1 / 3, "better than chance, with 95 % confidence"
    assert taught_folders.read_card(own).made["by"] == "train"
    picture = str(folder / "red" / "0.png")
    assert main(["classify", picture, "--model", str(own), "-f", "json"]) == 0
    (answer,) = json.loads(capsys.readouterr().out)
    assert {one["label"] for one in answer["predictions"]} == {"red", "green", "blue"}
