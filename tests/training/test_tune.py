"""Fine-tuning and training from scratch, for real: in processes of their own, on TensorFlow
and, where they are installed, JAX and PyTorch."""

from __future__ import annotations

import importlib.util
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.support import fakes, shapes
from topfive.engines import keras_models, weight_loading
from topfive.errors import MissingExtraError, UsageError
from topfive.networks import taught_cards, taught_folders
from topfive.networks.cards import KERAS_BACKENDS
from topfive.networks.published import NETWORKS
from topfive.system import extras
from topfive.training import curves
from topfive.training import tune as tuning
from topfive.training.messages import HistoryRow, Plan
from topfive.training.options import Options
from topfive.training.tune import tune

pytestmark = pytest.mark.slow


class Told(tuning.TrainingListener):
    """What a listener is told."""

    def __init__(self) -> None:
        self.plans: list[Plan] = []
        self.rows: list[HistoryRow] = []
        self.steps: list[tuple[int, int, int]] = []
        self.warnings: list[str] = []

    def begin(self, plan: Plan) -> None:
        self.plans.append(plan)

    def step(self, epoch: int, step: int, steps: int, loss: float) -> None:
        assert np.isfinite(loss)
        self.steps.append((epoch, step, steps))

    def epoch(self, row: HistoryRow) -> None:
        self.rows.append(row)

    def warn(self, text: str) -> None:
        self.warnings.append(text)


def needs(package: str) -> pytest.MarkDecorator:
    missing = importlib.util.find_spec(package) is None
    return pytest.mark.skipif(missing, reason=f"needs {package}")


def curve(rows: Any) -> list[list[float]]:
    fields = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")
    return [[row[field] for field in fields] for row in rows]


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """Six pictures of each of four shapes."""
    return shapes.write(tmp_path / "few", 6)


PROGRAM = """
import os, signal, sys
from topfive.training import tune as tuning
from topfive.training.options import Options

class Killed(tuning.TrainingListener):
    def step(self, epoch, step, steps, loss):
        if (epoch, step) == (2, steps):
            os.kill(os.getpid(), signal.SIGKILL)

folder, out, weights, backend = sys.argv[1:]
options = Options(head_epochs=1, epochs=2, batch=4)
tuning.tune(folder, out, "squeezenet_v1.1", backend=backend, weights=weights, options=options,
            listener=Killed())
"""


@pytest.mark.parametrize("backend", [pytest.param(one, marks=needs(one)) for one in KERAS_BACKENDS])
def test_a_killed_training_goes_on_to_the_same_curve(
    weight_file: Path, warm: Path, few: Path, tmp_path: Path, backend: str
) -> None:
    given: dict[str, Any] = {"weights": weight_file, "backend": backend}
    options = Options(head_epochs=1, epochs=2, batch=4)
    whole = tune(few, tmp_path / "whole", "squeezenet_v1.1", options=options, **given)
    assert whole.history[-1]["loss"] < whole.history[0]["loss"]
    out = tmp_path / "out"
    command = [sys.executable, "-c", PROGRAM, str(few), str(out), str(weight_file), backend]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert not (out / taught_cards.CARD).exists()

    assert len((out / curves.TABLE).read_text().splitlines()) == 2
    other = Options(head_epochs=1, epochs=3, batch=4)
    picture = few / "circle" / "000.png"
    known = picture.read_bytes()
    Image.new("RGB", (96, 96), "red").save(picture)
    with pytest.raises(UsageError, match=r"epochs \(2 then, 3 now\), pictures; --restart begins"):
        tune(few, out, "squeezenet_v1.1", options=other, **given)
    picture.write_bytes(known)
    told = Told()
    resumed = tune(few, out, "squeezenet_v1.1", options=options, listener=told, **given)
    assert told.plans[0]["resumed_from"] == 1
    assert {epoch for epoch, _, _ in told.steps} == {2, 3}, "the first is not learned again"
    assert tuple(told.rows) == resumed.history
    # float32, whose sums several threads may add up in another order.
    np.testing.assert_allclose(curve(resumed.history), curve(whole.history), rtol=1e-4, atol=1e-5)
    assert resumed.best_epoch == whole.best_epoch
    assert resumed.accuracy == whole.accuracy
    assert taught_folders.read_card(out).made["backend"] == backend
    assert len((out / curves.TABLE).read_text().splitlines()) == 4


@needs("tensorflow")
def test_a_training_that_fails_leaves_nothing_behind(
    few: Path, weight_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    for file in (few / "circle").iterdir():
        file.write_bytes(b"no picture")
    told = Told()
    with pytest.raises(UsageError, match="no picture is left to learn from of circle"):
        tune(few, out, "squeezenet_v1.1", weights=weight_file, listener=told)
    assert len(told.warnings) == 6
    assert not out.exists()


@pytest.mark.parametrize("name", ["mobilenet", "efficientnetb0", "convnext_tiny"])
def test_the_weights_before_a_head_come_back_whatever_layers_they_are_of(
    name: str, tmp_path: Path
) -> None:
    network = NETWORKS[name]
    body = keras_models.bare(network, "channels_last")
    fakes.randomise(body, network)
    file = tmp_path / "body.weights.h5"
    keras_models.features(body).save_weights(str(file))
    again = keras_models.features(keras_models.bare(network, "channels_last"))
    weight_loading.load_weights(again, file)
    for one, other in zip(keras_models.features(body).weights, again.weights, strict=True):
        assert np.array_equal(one.numpy(), other.numpy()), one.path


@needs("jax")
def test_several_devices_share_a_batch_on_jax(
    weight_file: Path, warm: Path, few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=2")
    told, options = Told(), Options(head_epochs=1, epochs=2, batch=8)
    result = tune(few, tmp_path / "out", "squeezenet_v1.1", weights=weight_file, backend="jax",
                  options=options, listener=told)  # fmt: skip
    assert len(told.plans[0]["devices"]) == 2
    assert result.history[-1]["loss"] < result.history[0]["loss"]
    with pytest.raises(UsageError, match="a batch of 7 cannot be divided among 2 devices"):
        tune(few, tmp_path / "odd", "squeezenet_v1.1", weights=weight_file, backend="jax",
             options=Options(batch=7))  # fmt: skip


def test_what_cannot_be_done_is_refused_before_a_framework_is_started(
    few: Path, weight_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(*_: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(tuning, "listen", start)
    out, name = tmp_path / "out", "squeezenet_v1.1"
    with pytest.raises(UsageError, match="unknown backend 'openvino'"):
        tune(few, out, name, weights=weight_file, backend="openvino")
    with pytest.raises(UsageError, match="batch is 1 to"):
        tune(few, out, name, weights=weight_file, options=Options(batch=0))
    with pytest.raises(UsageError, match="expected 2 or more folders"):
        tune(few / "circle", out, name, weights=weight_file)
    with pytest.raises(UsageError, match="a share from 0 to 1 is held out"):
        tune(few, out, name, weights=weight_file, split=0)
    with pytest.raises(UsageError, match="would lie among the pictures"):
        tune(few, few / "out", name, weights=weight_file)
    out.mkdir()
    (out / "letter.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds other files"):
        tune(few, out, name, weights=weight_file)
    with monkeypatch.context() as without:
        without.setattr(extras, "find_spec", lambda one: None if "board" in one else one)
        with pytest.raises(MissingExtraError, match=r"pip install 'topfive\[tune\]'"):
            tune(few, tmp_path / "new", name, weights=weight_file)
    monkeypatch.setattr(extras, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'topfive\[torch\]'"):
        tune(few, tmp_path / "new", name, weights=weight_file, backend="torch")
    assert [one.name for one in out.iterdir()] == ["letter.txt"]
    assert not (tmp_path / "new").exists()
