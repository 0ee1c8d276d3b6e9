"""The Keras model itself as an engine."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.support import made_up
from topfive import Classifier
from topfive.engines import keras_engine, proofs
from topfive.errors import EngineError, MissingExtraError, UsageError
from topfive.networks.cards import KERAS_BACKENDS
from topfive.networks.published import NETWORKS

CARD = NETWORKS["squeezenet_v1.1"]


@pytest.mark.slow
def test_keras_on_openvino_answers_as_stored_and_in_float32(weight_file: Path) -> None:
    run = keras_engine.load(CARD, weight_file, backend="openvino")
    assert made_up.difference(run(proofs.pictures(CARD.size))) < 1e-4


@pytest.mark.slow
def test_many_pictures_are_answered_in_parts(weight_file: Path) -> None:
    run = keras_engine.load(CARD, weight_file, backend="openvino")
    pictures = proofs.pictures(CARD.size)[[0, 1] * 17]
    answers = run(pictures)
    assert answers.shape == (34, 1000)
    assert np.abs(answers - answers[[0, 1] * 17]).max() < 1e-6


class Recorder:
    """A model that answers with each picture's bytes, one an output, and knows what it was
    given."""

    outputs = [np.empty((0, 1))] * 3

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.busy = threading.Lock()

    def predict_on_batch(self, pictures: np.ndarray) -> list[np.ndarray]:
        assert self.busy.acquire(blocking=False), "two at a time"
        self.sizes.append(len(pictures))
        time.sleep(0.001)
        self.busy.release()
        return [pictures[:, 0, 0, place : place + 1].astype(np.float64) for place in range(3)]


@pytest.mark.parametrize(
    ("number", "sizes"),
    [(0, []), (1, [1]), (2, [2]), (3, [4]), (5, [8]), (17, [32]), (32, [32]), (33, [32, 1]),
     (70, [32, 32, 8])],
)  # fmt: skip
def test_parts_are_filled_up_to_few_sizes_and_only_what_was_asked_is_answered(
    number: int, sizes: list[int]
) -> None:
    model = Recorder()
    run = keras_engine.run_of(model)
    pictures = np.arange(3 * number, dtype=np.uint8).reshape(number, 1, 1, 3)
    before = pictures.copy()
    answers = run(pictures)
    assert model.sizes == sizes
    assert answers.dtype == np.float32
    assert np.array_equal(answers, pictures[:, 0, 0, :1])
    assert np.array_equal(run.logits(pictures), pictures[:, 0, 0, 1:2])
    assert np.array_equal(run.features(pictures), pictures[:, 0, 0, 2:])
    assert np.array_equal(pictures, before)


def test_it_says_how_it_is_fastest_and_answers_threads_one_by_one() -> None:
    run = keras_engine.run_of(Recorder())
    assert (run.batch, run.parallel()) == (keras_engine.BATCH, 1)
    pictures = np.arange(60, dtype=np.uint8).reshape(20, 1, 1, 3)
    with ThreadPoolExecutor(8) as pool:
        rows = list(pool.map(lambda picture: run(picture[None])[0, 0], pictures))
    assert rows == [*range(0, 60, 3)]


def test_an_error_of_the_model_is_raised_and_the_next_call_answers() -> None:
    class Failing(Recorder):
        def predict_on_batch(self, pictures: np.ndarray) -> list[np.ndarray]:
            if pictures.max() == 255:
                raise MemoryError
            return super().predict_on_batch(pictures)

    run = keras_engine.run_of(Failing())
    with pytest.raises(MemoryError):
        run(np.full((1, 1, 1, 3), 255, np.uint8))
    assert run(np.full((1, 1, 1, 3), 7, np.uint8)) == [[7]]


def test_no_pictures_are_no_rows(weight_file: Path) -> None:
    run = keras_engine.load(CARD, weight_file, backend="openvino")
    assert run(np.empty((0, 227, 227, 3), np.uint8)).shape == (0, 1000)


def test_a_process_keeps_its_backend(weight_file: Path) -> None:
    keras_engine.start_keras("openvino")
    with pytest.raises(EngineError, match="Keras runs on openvino in this process"):
        keras_engine.load(CARD, weight_file, backend="jax")


@pytest.mark.parametrize("option", [{"device": "CPU"}, {"threads": 2}])
def test_openvinos_options_are_not_taken_for_anothers(
    weight_file: Path, option: dict[str, object]
) -> None:
    with pytest.raises(UsageError, match="are for OpenVINO"):
        Classifier(CARD, weights=weight_file, backend="torch", **option)  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize("backend", KERAS_BACKENDS)
def test_a_backend_that_is_not_installed_names_its_extra(
    backend: str, weight_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(f"import sys; sys.modules[{backend!r}] = None\n")
    code = (
        "import sys; from topfive.cli.main import main\n"
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
        keras_engine.start_keras("openvino")
    assert not issubclass(ModuleNotFoundError, MissingExtraError)
