"""A fresh install answers at once, about real photographs, with no network at all."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.support.photographs import PHOTOGRAPHS
from topfive import Classifier, classify, find_network
from topfive.cli.main import main
from topfive.errors import UnknownNetworkError
from topfive.networks.published import DEFAULT_NETWORK, NETWORKS

pytestmark = pytest.mark.slow

EXAMPLE = ROOT / "examples" / "soccer_ball.jpg"
SAID = {"cat": "tiger_cat", "coffee": "espresso", "camera": "tripod", "motorcycle": "moped",
        "temple": "palace", "flower": "daisy"}  # fmt: skip


@pytest.mark.parametrize("name", SAID)
def test_the_default_network_knows_what_is_in_real_photographs(name: str, warm: Path) -> None:
    result = classify(str(PHOTOGRAPHS[name]))
    assert result.network == DEFAULT_NETWORK
    assert result.predictions[0].label == SAID[name]


def test_the_real_probabilities_of_a_photograph_are_these(warm: Path) -> None:
    """As PyTorch computed them, from the same weights; see `scripts/make_torch_answers.py`."""
    best = Classifier().classify(str(PHOTOGRAPHS["camera"])).predictions[0]
    assert best.label == "tripod"
    assert best.probability == pytest.approx(0.93665, abs=1e-4)


def test_no_name_means_the_network_that_comes_along_unless_the_variable_names_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert find_network() is NETWORKS["efficientnet_lite0"]
    assert find_network("lite0") is find_network("EfficientNet-Lite0") is find_network()
    monkeypatch.setenv("TOPFIVE_MODEL", "")
    assert find_network() is NETWORKS["efficientnet_lite0"]
    monkeypatch.setenv("TOPFIVE_MODEL", "lite2")
    assert find_network() is NETWORKS["efficientnet_lite2"]
    assert find_network("vgg16") is NETWORKS["vgg16"]
    monkeypatch.setenv("TOPFIVE_MODEL", "vgg61")
    with pytest.raises(UnknownNetworkError, match="TOPFIVE_MODEL, which names the default: unk"):
        find_network()


def test_the_command_says_which_network_answered_and_how_to_ask_another(
    warm: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = str(PHOTOGRAPHS["camera"])
    assert main(["classify", picture, "--top", "1"]) == 0
    told = capsys.readouterr()
    assert told.out == "1. tripod: 93.66%\n"
    assert told.err.splitlines()[-1] == (
        "topfive: EfficientNet-Lite0 answered; --model NAME asks another (topfive networks)"
    )
    for arguments in (["--model", "lite0"], ["--format", "json"]):
        assert main(["classify", picture, *arguments]) == 0
        assert "answered" not in capsys.readouterr().err
    monkeypatch.setenv("TOPFIVE_MODEL", "lite1")
    assert main(["classify", picture, "--top", "1"]) == 0
    assert "EfficientNet-Lite1 answered" in capsys.readouterr().err
    assert main(["classify", "nothing.jpg"]) == 1
    assert "answered" not in capsys.readouterr().err


def test_batch_says_which_network_answered(
    warm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkey = [str(PHOTOGRAPHS["camera"]), "-o", str(tmp_path / "a.csv")]
    assert main(["batch", *monkey]) == 0
    assert "1 answered by EfficientNet-Lite0" in " ".join(capsys.readouterr().err.split())


def alone(*command: str) -> list[str]:
    """Return a command in a network namespace of its own, which has no interface that is up."""
    for how in (["unshare", "-n"], ["unshare", "-r", "-n"]) if shutil.which("unshare") else ():
        tried = subprocess.run([*how, "true"], capture_output=True, check=False)
        if tried.returncode == 0:
            return [*how, *command]
    pytest.skip("needs the right to make a network namespace")


@pytest.mark.parametrize("command", ["topfive", "make"])
def test_the_first_answer_of_a_fresh_install_needs_no_network(command: str, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items()
                   if name not in ("KERAS_HOME", "TOPFIVE_CACHE", "TOPFIVE_DATA")}  # fmt: skip
    environment |= {"HOME": str(tmp_path), "IMAGE": str(EXAMPLE)}
    topfive = [sys.executable, "-m", "topfive", "classify", str(EXAMPLE)]
    if command == "make":  # set up already, as after its first run
        binaries = tmp_path / "bin"
        binaries.mkdir()
        (binaries / "topfive").write_text(f'#!/bin/sh\nexec {sys.executable} -m topfive "$@"\n')
        (binaries / "topfive").chmod(0o755)
        topfive = ["make", "-C", str(ROOT), "--no-print-directory", "-o", ".venv/installed",
                   f"BIN={binaries}", "classify"]  # fmt: skip
    for _ in range(2):
        done = subprocess.run(
            alone(*topfive), env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[0] == "1. soccer_ball: 72.91%"
        assert len(done.stdout.splitlines()) == 5
        assert "EfficientNet-Lite0 answered" in done.stderr


def test_the_tutorials_script_keeps_the_tutorials_network() -> None:
    said = subprocess.run(
        [sys.executable, str(ROOT / "classify_image.py"), "--image", str(EXAMPLE)],
        capture_output=True, text=True, check=False,
        env={**os.environ, "TOPFIVE_MIRROR": "http://127.0.0.1:9"},
    )  # fmt: skip
    assert said.returncode == 3
    assert "VGG16 needs its weights, 553.5 MB" in said.stderr
    assert "EfficientNet-Lite0 is here and answers now: --model efficientnet_lite0" in said.stderr
