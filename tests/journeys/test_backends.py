"""All backends give the same answers, each in a process of its own."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT, SHARED
from topfive.networks import weights
from topfive.networks.published import NETWORKS

pytestmark = pytest.mark.slow

TUTORIAL = ("vgg16", "vgg19", "resnet50", "inception_v3", "xception")
MADE = """
import sys; from pathlib import Path; from tests.support import fakes
from topfive.networks.published import NETWORKS
for name in sys.argv[2:]:
    fakes.make_weights(NETWORKS[name], Path(sys.argv[1]) / NETWORKS[name].weights.name)
"""


@pytest.fixture(scope="module")
def weight_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The tutorial's networks, SqueezeNet and EfficientNet-Lite0, the last with its real weights:
    1.4 GB, made once and removed."""
    folder = tmp_path_factory.mktemp("backends")
    names = list(TUTORIAL)
    lite = NETWORKS["efficientnet_lite0"]
    shutil.copy(weights.path(lite), folder / lite.weights.name)
    real = SHARED / "weights" / "compressed_SqueezeNet.net"
    if real.is_file():
        shutil.copy(real, folder / NETWORKS["squeezenet"].weights.name)
    else:
        names.append("squeezenet_v1.1")
    # In a process of its own, which gives the memory of all these models back.
    subprocess.run([sys.executable, "-c", MADE, str(folder), *names], cwd=ROOT, check=True)
    yield folder
    shutil.rmtree(folder)


def answers(backend: str, folder: Path, out: Path) -> dict[str, np.ndarray]:
    command = [sys.executable, "-m", "tests.support.answers", backend, str(folder), str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "cannot keep" not in done.stderr  # or Keras answered in OpenVINO's place
    with np.load(out) as stored:
        return dict(stored)


@pytest.fixture(scope="module")
def expected(weight_files: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """What the default engine answers, from a cache of its own."""
    folder = tmp_path_factory.mktemp("openvino")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TOPFIVE_CACHE", str(folder / "cache"))
        found = answers("openvino", weight_files, folder / "answers.npz")
    shutil.rmtree(folder)
    return found


def test_the_answers_compared_are_worth_comparing(expected: dict[str, np.ndarray]) -> None:
    assert len(expected) == len(TUTORIAL) + 2
    for probabilities in expected.values():
        assert probabilities.sum(axis=1) == pytest.approx(1, abs=1e-4)
        assert probabilities.max() > 0.05
        assert np.abs(probabilities[0] - probabilities[1]).max() > 0.02


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_a_backend_agrees_with_the_default_engine_to_1e_4(
    backend: str, weight_files: Path, expected: dict[str, np.ndarray], tmp_path: Path
) -> None:
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"needs {backend}, which is not installed here")
    found = answers(backend, weight_files, tmp_path / "answers.npz")
    assert found.keys() == expected.keys()
    differences = {name: float(np.abs(found[name] - expected[name]).max()) for name in found}
    assert {name: d for name, d in differences.items() if not d < 1e-4} == {}
