"""How a network learns, on each backend that is installed: what changes in it, how fast, and
that a training that was stopped comes to the same end."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from tests.conftest import ROOT
from topfive.networks.cards import KERAS_BACKENDS

pytestmark = pytest.mark.slow

STEPS = 6  # of an epoch


@pytest.fixture(scope="module", params=KERAS_BACKENDS)
def found(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What `small_trainings` prints."""
    if importlib.util.find_spec(request.param) is None:
        pytest.skip(f"needs {request.param}")
    folder = tmp_path_factory.mktemp("small")
    environment = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.small_trainings", request.param, str(folder)],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def rate(step: int, steps: int, highest: float, warmup: float) -> float:
    """The rate after so many steps: up in a line, down along a cosine."""
    rising = round(warmup * steps)
    if step < rising:
        return highest * step / rising
    return highest * 0.5 * (1 + math.cos(math.pi * (step - rising) / (steps - rising)))


def test_the_rate_rises_and_falls_along_a_cosine_in_each_phase(found: Any) -> None:
    rows = found["whole"]["history"]
    assert [row["phase"] for row in rows] == ["head"] * 2 + ["blocks"] * 3
    expected = [rate(STEPS * epoch, STEPS * 2, 1e-3, 0.25) for epoch in (1, 2)]
    expected += [rate(STEPS * epoch, STEPS * 3, 1e-4, 0.25) for epoch in (1, 2, 3)]
    np.testing.assert_allclose([row["learning_rate"] for row in rows], expected, atol=1e-9)


def test_fine_tuning_changes_the_head_and_the_top_block_and_no_batch_normalisation(
    found: Any,
) -> None:
    assert found["whole"]["changed"] == [
        "block3_conv/bias", "block3_conv/kernel", "head/bias", "head/kernel",
    ]  # fmt: skip


def test_from_scratch_all_learns(found: Any) -> None:
    norm = ("beta", "gamma", "moving_mean", "moving_variance")
    assert found["scratch"]["changed"] == sorted([
        *(f"block{number}_conv/{name}" for number in (1, 2, 3) for name in ("bias", "kernel")),
        *(f"block{number}_norm/{name}" for number in (1, 2, 3) for name in norm),
        "head/bias", "head/kernel",
    ])  # fmt: skip


@pytest.mark.parametrize("epoch", [1, 2, 4])
def test_a_stopped_training_goes_on_to_the_same_weights(found: Any, epoch: int) -> None:
    whole, stopped = found["whole"], found[f"stopped_{epoch}"]
    for one, other in zip(whole["history"], stopped["history"], strict=True):
        assert other["phase"] == one["phase"]
        for name in other.keys() - {"phase"}:
            assert other[name] == pytest.approx(one[name], rel=1e-5), name
    np.testing.assert_allclose(stopped["weights"], whole["weights"], rtol=1e-4, atol=1e-6)


def test_mixed_precision_computes_in_half_and_keeps_and_answers_in_whole_floats(
    found: Any,
) -> None:
    mixed = found["mixed"]
    assert mixed["computes"] == ["float16", "float32"]
    assert mixed["keeps"] == ["float32"]
    assert mixed["optimizer"] == "LossScaleOptimizer"
    assert mixed["history"][-1]["loss"] < 0.9 * mixed["history"][0]["loss"]
    assert np.isfinite(mixed["weights"]).all()


def test_each_epoch_varies_pictures_anew_and_again_in_the_same_way(found: Any) -> None:
    varied = found["varied"]
    assert varied["grey"], "a grey picture stays grey"
    assert varied["first"] == varied["again"]
    assert varied["first"] != varied["second"]
    assert varied["first"] != varied["plain"]


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_kernels_that_learn_decay_and_labels_are_smoothed(found: Any, optimizer: str) -> None:
    told = found[optimizer]
    assert told["left"]["block3_conv/kernel"] == pytest.approx(1 - 0.1 * 0.5, rel=1e-5)
    assert told["left"]["block3_conv/bias"] in (0, 1), "a bias keeps its size"
    assert told["left"]["block1_conv/kernel"] == 1
    logits = np.array([2.0, 0.0, 1.0])
    wanted = np.array([0.8, 0.1, 0.1])  # 0.3 of the truth over three classes
    expected = np.log(np.exp(logits).sum()) - wanted @ logits
    assert told["loss"] == pytest.approx(expected, rel=1e-5)
