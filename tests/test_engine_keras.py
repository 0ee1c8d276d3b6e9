"""The Keras model itself as an engine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from topfive import Classifier, engine_keras, self_test
from topfive.errors import EngineError, MissingExtraError, UsageError
from topfive.networks import NETWORKS

CARD = NETWORKS["squeezenet_v1.1"]


def test_keras_on_openvino_answers_as_stored_and_in_float32(weight_file: Path) -> None:
    run = engine_keras.load(CARD, weight_file, backend="openvino")
    assert self_test.difference(run(self_test.pictures(CARD.size))) < 1e-4


def test_many_pictures_are_answered_in_parts(weight_file: Path) -> None:
    run = engine_keras.load(CARD, weight_file, backend="openvino")
    pictures = self_test.pictures(CARD.size)[[0, 1] * 17]
    answers = run(pictures)
    assert answers.shape == (34, 1000)
    assert np.abs(answers - answers[[0, 1] * 17]).max() < 1e-6


def test_no_pictures_are_no_rows(weight_file: Path) -> None:
    run = engine_keras.load(CARD, weight_file, backend="openvino")
    assert run(np.empty((0, 227, 227, 3), np.uint8)).shape == (0, 1000)


def test_a_process_keeps_its_backend(weight_file: Path) -> None:
    engine_keras.start_keras("openvino")
    with pytest.raises(EngineError, match="Keras runs on openvino in this process"):
        engine_keras.load(CARD, weight_file, backend="jax")


@pytest.mark.parametrize("option", [{"device": "CPU"}, {"threads": 2}])
def test_openvinos_options_are_not_taken_for_anothers(
    weight_file: Path, option: dict[str, object]
) -> None:
    with pytest.raises(UsageError, match="are for OpenVINO"):
        Classifier(CARD, weights=weight_file, backend="torch", **option)  # type: ignore[arg-type]


@pytest.mark.parametrize("backend", engine_keras.BACKENDS)
def test_a_backend_that_is_not_installed_names_its_extra(
    backend: str, weight_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(f"import sys; sys.modules[{backend!r}] = None\n")
    code = (
        "import sys; from topfive.cli import main\n"
        "sys.exit(main(['classify', 'x.jpg', '-m', 'squeezenet_v1.1', '--weights', sys.argv[1],"
        " '--backend', sys.argv[2]]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(weight_file), backend],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert done.stderr.strip().splitlines()[-1] == (
        f"topfive: the {backend} backend needs an extra: pip install 'topfive[{backend}]'"
    )


def test_another_missing_module_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "keras", raising=False)

    class Finder:
        @staticmethod
        def find_spec(name: str, *_: object) -> None:
            if name == "keras":
                raise ModuleNotFoundError("no h5py", name="h5py")

    monkeypatch.setattr(sys, "meta_path", [Finder, *sys.meta_path])
    with pytest.raises(ModuleNotFoundError, match="h5py"):
        engine_keras.start_keras("openvino")
    assert not issubclass(ModuleNotFoundError, MissingExtraError)
