from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from topfive.errors import UsageError
from topfive.training.options import Options


def test_what_is_left_open_is_filled_in_as_fine_tuning_or_training_from_scratch_needs() -> None:
    tuned, scratch = Options().resolved(), Options(from_scratch=True).resolved()
    assert (tuned.head_epochs, tuned.learning_rate, tuned.weight_decay) == (10, 1e-4, 0.01)
    assert (scratch.head_epochs, scratch.epochs, scratch.learning_rate) == (0, 90, 1e-3)
    assert Options(from_scratch=True, optimizer="sgd").resolved().learning_rate == 0.05
    assert Options(epochs=3, patience=9).resolved().epochs == 3
    assert tuned.resolved() == tuned
    assert Options(**asdict(tuned)) == tuned


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"batch": 0}, "batch is 1 to"),
        ({"epochs": 0, "head_epochs": 0}, "no epochs"),
        ({"epochs": -1}, "epochs is 0 to"),
        ({"label_smoothing": 1.0}, "label smoothing is 0 to 0.99; received 1"),
        ({"warmup": float("nan")}, "warmup is 0 to 1"),
        ({"learning_rate": 0.0}, "learning rate is over 0"),
        ({"learning_rate": float("inf")}, "learning rate is over 0"),
        ({"unfreeze": "some"}, "unfreeze is a number of blocks or all"),
        ({"unfreeze": -1}, "unfreeze is a number of blocks or all"),
        ({"optimizer": "lion"}, "unknown optimizer 'lion'; expected one of adamw, sgd"),
        ({"initializer": "zeros"}, "unknown initializer"),
        ({"mixed_precision": "yes"}, "unknown mixed precision"),
        ({"from_scratch": True, "head_epochs": 1}, "no head to begin with"),
        ({"patience": 0}, "patience is 1 to"),
        ({"augment": -1.0}, "augment is 0 to 5"),
    ],
)
def test_what_cannot_be_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Options(**given).resolved()
