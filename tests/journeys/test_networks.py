"""Every network of Keras's answers, compiled, as `keras.applications` does; and all backends give
the same answers, each in a process of its own."""

from __future__ import annotations

import importlib.util
import inspect
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.conftest import ROOT, SHARED
from tests.engines.test_keras_models import KERAS_NETWORKS, compute, same
from tests.support import fakes
from topfive.engines import keras_models, openvino_engine
from topfive.networks import weights
from topfive.networks.cards import Network
from topfive.networks.published import NETWORKS

pytestmark = pytest.mark.slow

TUTORIAL = ("vgg16", "vgg19", "resnet50", "inception_v3", "xception")
# More blocks of the same builder and nothing else: their cards and sizes are compared, and each is
# proved against Keras where it is used first.
DEEPER = ("resnet101", "resnet152")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A place for weight files, 1.4 GB of the tutorial's, and for what is compiled of them."""
    folder = tmp_path_factory.mktemp("networks")
    yield folder
    shutil.rmtree(folder)


def provide(network: Network, folder: Path) -> Path:
    """Make a network's weight file, once."""
    file = folder / network.weights.name
    return file if file.is_file() else fakes.make_weights(network, file)


@pytest.mark.parametrize("name", [name for name in KERAS_NETWORKS if name not in DEEPER])
def test_a_network_answers_as_keras_applications_does(
    name: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    network = NETWORKS[name]
    file = provide(network, folder if name in TUTORIAL else tmp_path)
    builder = getattr(keras.applications, network.builder.partition(":")[2])
    preprocess = inspect.unwrap(builder).__globals__["preprocess_input"]
    # With "imagenet" Keras does all that it does for its own weights; EfficientNet scales twice.
    monkeypatch.setattr("keras.src.utils.file_utils.get_file", lambda *_, **__: str(file))
    with keras_models.without_initial_values():
        expected_model = builder(weights="imagenet")
    model = keras_models.build(network, file)
    assert same(model, expected_model), "the same numbers, to the bit"
    picture = fakes.pictures(1, network.size, seed=11)
    prepared = preprocess(picture.astype(np.float32))
    expected = compute(expected_model, prepared, tmp_path)
    assert expected.shape == (1, 1000)
    assert 0.002 < expected.max() < 0.999, "an answer that would show a difference"
    if name == "mobilenet":  # also operation by operation, which takes seconds for the others
        received = keras.ops.convert_to_numpy(model(picture)[0])
        by_steps = keras.ops.convert_to_numpy(expected_model(prepared))
        assert np.abs(received - by_steps).max() < 1e-5
    del model, expected_model
    keras.backend.clear_session()
    # Compiled, the scaling melts into the first convolution, which rounds otherwise.
    monkeypatch.setenv("TOPFIVE_CACHE", str(folder / "cache"))
    received = openvino_engine.load(network, file)(picture)
    assert "cannot keep" not in caplog.text
    assert len([*(folder / "cache").glob(f"{name}-*.blob")]) == 1
    assert abs(received.sum() - 1) < 1e-4
    assert np.abs(received - expected).max() < 1e-4


@pytest.fixture(scope="module")
def weight_files(folder: Path) -> Path:
    """The tutorial's networks, SqueezeNet and EfficientNet-Lite0, the last with real weights."""
    lite = NETWORKS["efficientnet_lite0"]
    shutil.copy(weights.path(lite), folder / lite.weights.name)
    real = SHARED / "weights" / "compressed_SqueezeNet.net"
    if real.is_file():
        shutil.copy(real, folder / NETWORKS["squeezenet"].weights.name)
    for name in (*TUTORIAL, *(() if real.is_file() else ("squeezenet_v1.1",))):
        provide(NETWORKS[name], folder)
    return folder


def answers(backend: str, folder: Path, out: Path) -> dict[str, NDArray[np.float32]]:
    command = [sys.executable, "-m", "tests.support.answers", backend, str(folder), str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "cannot keep" not in done.stderr  # or Keras answered in OpenVINO's place
    with np.load(out) as stored:
        return dict(stored)


@pytest.fixture(scope="module")
def expected(weight_files: Path) -> dict[str, NDArray[np.float32]]:
    """What the default engine answers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TOPFIVE_CACHE", str(weight_files / "cache"))
        return answers("openvino", weight_files, weight_files / "answers.npz")


def test_the_answers_compared_are_worth_comparing(
    expected: dict[str, NDArray[np.float32]],
) -> None:
    assert len(expected) == len(TUTORIAL) + 2
    for probabilities in expected.values():
        assert probabilities.sum(axis=1) == pytest.approx(1, abs=1e-4)
        assert probabilities.max() > 0.05
        assert np.abs(probabilities[0] - probabilities[1]).max() > 0.02


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_a_backend_agrees_with_the_default_engine_to_1e_4(
    backend: str, weight_files: Path, expected: dict[str, NDArray[np.float32]], tmp_path: Path
) -> None:
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"needs {backend}, which is not installed here")
    found = answers(backend, weight_files, tmp_path / "answers.npz")
    assert found.keys() == expected.keys()
    differences = {name: float(np.abs(found[name] - expected[name]).max()) for name in found}
    assert {name: d for name, d in differences.items() if not d < 1e-4} == {}
