"""When a training goes on, stops, keeps weights: with a model that only pretends to learn."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest

from topfive.errors import EngineError
from topfive.pictures.preparation import Prepared
from topfive.sources.source import Source
from topfive.training import loop, model
from topfive.training.checkpoints import Checkpoint
from topfive.training.data import Data, Pictures
from topfive.training.loop import Training, score
from topfive.training.options import Options


class Model:
    """Its one number stands for all weights; an epoch adds 1 to it."""

    def __init__(self) -> None:
        self.variables = [keras.Variable(0.0)]
        self.optimizer = SimpleNamespace(variables=[keras.Variable(100.0)], learning_rate=0.1)

    @property
    def weights(self) -> float:
        return float(self.variables[0].numpy())

    def fit(self, batches: Any, **_: Any) -> Any:
        self.variables[0].assign(self.weights + 1)
        return SimpleNamespace(history={"loss": [0.5], "accuracy": [0.5]})


def pictures(truths: list[int]) -> Pictures:
    squares = np.zeros((len(truths), 2, 2, 3), np.uint8)
    squares[:, 0, 0, 0] = np.arange(len(truths))

    def never(source: Source) -> Prepared:
        raise AssertionError(source)

    sources = tuple(Source(str(number), None) for number in range(len(truths)))
    return Pictures(sources, np.array(truths), ("",) * len(sources), squares, never)


DATA = Data(("a", "b", "c"), pictures([0, 0, 0, 0, 1, 1, 2]), pictures([0, 1, 2]), 0, 0)


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, float]]:
    """The loss and the accuracy of what is held out, epoch by epoch."""
    told: list[tuple[float, float]] = []
    for name in ("standardise", "set_learning", "compile_model", "seed_epoch"):
        monkeypatch.setattr(model, name, lambda *_: None)
    monkeypatch.setattr(loop, "score", lambda *_: told.pop(0))
    monkeypatch.setattr(Training, "answers", lambda *_: None)
    monkeypatch.setattr(Training, "_features", lambda *_: None)
    return told


def train(folder: Path, **options: Any) -> tuple[Training, list[dict[str, Any]]]:
    folder.mkdir(exist_ok=True)
    given = Options(**options).resolved()
    heard: list[dict[str, Any]] = []
    training = Training(
        Model(), DATA, given, Checkpoint(folder, asdict(given)),
        lambda event, **values: heard.append(values["row"]) if event == "epoch" else None,
    )  # fmt: skip
    training.resume()
    training.run()
    return training, heard


def test_a_phase_ends_when_nothing_gets_better_and_the_next_begins_with_the_best(
    script: list[tuple[float, float]], tmp_path: Path
) -> None:
    #          1           2           3: best    4           5
    script += [(0.9, 0.5), (0.8, 0.5), (0.9, 0.6), (0.8, 0.5), (0.95, 0.6),
               (0.7, 0.55), (0.7, 0.5)]  # fmt: skip
    training, heard = train(tmp_path / "a", head_epochs=9, epochs=9, patience=2)
    assert [row["phase"] for row in heard] == ["head"] * 5 + ["blocks"] * 2
    assert [row["epoch"] for row in heard] == [1, 2, 3, 4, 5, 6, 7]
    assert training.state.best_epoch == 3
    assert training.model.weights == 3, "the weights after the third epoch"
    script += [(0.9, 0.5), (0.8, 0.4), (0.5, 0.6), (0.5, 0.5)]
    training, _ = train(tmp_path / "b", head_epochs=2, epochs=2, patience=2)
    assert training.model.weights == 2, "the second phase began with 1 and added 1"
    assert not script


def test_as_much_right_and_surer_is_better(
    script: list[tuple[float, float]], tmp_path: Path
) -> None:
    script += [(0.9, 1.0), (0.5, 1.0), (0.3, 0.9), (0.4, 1.0)]
    training, _ = train(tmp_path / "a", head_epochs=4, epochs=0, patience=9)
    assert training.state.best_epoch == 4


def test_what_is_finished_is_not_learned_again(
    script: list[tuple[float, float]], tmp_path: Path
) -> None:
    script += [(0.9, 0.5), (0.8, 0.9), (0.8, 0.7)]
    first, _ = train(tmp_path / "a", head_epochs=2, epochs=1)
    again, heard = train(tmp_path / "a", head_epochs=2, epochs=1)
    assert heard == []
    assert again.state == first.state
    assert again.model.weights == 2


def test_a_loss_that_is_no_number_ends_it(
    script: list[tuple[float, float]], tmp_path: Path
) -> None:
    script += [(0.9, 0.5), (float("nan"), 0.1)]
    with pytest.raises(EngineError, match="the loss of epoch 2 is no number: the network diverged"):
        train(tmp_path / "a", head_epochs=3, epochs=0)


def test_batches_are_of_one_size_hold_every_picture_and_weigh_classes_alike(
    script: list[tuple[float, float]], tmp_path: Path
) -> None:
    script += [(0.9, 0.5)]
    training, _ = train(tmp_path / "a", head_epochs=1, epochs=0, batch=4)

    def epoch(number: int) -> list[Any]:
        return [tuple(np.copy(one) for one in batch) for batch in training._batches(number)]

    batches = epoch(1)
    assert [len(squares) for squares, _, _ in batches] == [4, 4]
    order = np.concatenate([squares[:, 0, 0, 0] for squares, _, _ in batches])
    assert sorted(set(order.tolist())) == [0, 1, 2, 3, 4, 5, 6]
    assert order[7] == order[0]
    wanted = np.concatenate([one for _, one, _ in batches])
    assert wanted.argmax(axis=1).tolist() == DATA.learned.truths[order].tolist()
    weights = dict(zip(order.tolist(), np.concatenate([one for _, _, one in batches]), strict=True))
    known = DATA.learned.truths
    sums = [
        sum(float(weights[place]) for place in np.flatnonzero(known == one)) for one in (0, 1, 2)
    ]
    np.testing.assert_allclose(sums, 7 / 3, rtol=1e-6)
    again, other = epoch(1), epoch(2)
    assert all(np.array_equal(*pair) for pair in zip(batches[0], again[0], strict=True))
    assert any(not np.array_equal(one[0], two[0]) for one, two in zip(batches, other, strict=True))


def test_the_score_is_of_cross_entropy_and_first_answers() -> None:
    logits = np.log(np.array([[0.5, 0.25, 0.25], [0.1, 0.2, 0.7]], np.float32))
    loss, accuracy = score(logits, np.array([0, 1]))
    assert loss == pytest.approx(-(np.log(0.5) + np.log(0.2)) / 2, rel=1e-6)
    assert accuracy == 0.5
