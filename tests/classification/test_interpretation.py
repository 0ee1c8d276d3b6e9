"""What is said of a network's outputs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from topfive.classification.calibration import Calibration
from topfive.classification.interpretation import Interpreter
from topfive.errors import UsageError
from topfive.networks import labels

LABELS = labels.load("imagenet")
CALIBRATION = Calibration(
    temperature=2.0, method="aps", scores=tuple(np.linspace(0, 0.9, 99).tolist()), penalty=0.0,
    free=0, reject_score="max_logit", threshold=5.0, reject_rate=0.05, pictures=120, recipe="r",
    precision="f32", nll=(2.0, 1.0), ece=(0.2, 0.1), version="0",
)  # fmt: skip


def logits(**values: float) -> np.ndarray:
    found = np.full(1000, -20.0, np.float32)
    for name, value in values.items():
        found[[label.name for label in LABELS].index(name)] = value
    return found


def test_without_a_calibration_it_takes_probabilities() -> None:
    interpret = Interpreter(LABELS, hierarchy=True, ancestors=["dog"])
    assert not interpret.takes_logits
    probabilities = np.zeros(1000, np.float32)
    probabilities[162] = 1
    said = interpret(probabilities, 2)
    assert [one.label for one in said["predictions"]] == ["beagle", "tench"]
    assert said["hierarchy"][-1].label == "beagle"
    assert said["ancestors"][0].probability == pytest.approx(1)
    assert {"prediction_set", "rejected"}.isdisjoint(said)


def test_calibrated_probabilities_are_those_at_the_temperature() -> None:
    interpret = Interpreter(LABELS, calibration=CALIBRATION)
    assert interpret.takes_logits
    (first, second) = interpret(logits(beagle=8, basset=6), 2)["predictions"]
    assert (first.label, second.label) == ("beagle", "basset")
    assert first.probability / second.probability == pytest.approx(np.exp(1), rel=1e-4)


def test_a_set_holds_more_classes_for_more_coverage_best_first() -> None:
    values = logits(beagle=8, basset=7, bluetick=6.5, redbone=6)
    sizes = []
    for coverage in (0.1, 0.5, 0.9):
        said = Interpreter(LABELS, calibration=CALIBRATION, coverage=coverage)(values, 1)
        assert len(said["predictions"]) == 1
        found = said["prediction_set"]
        assert [one.label for one in found][:1] == ["beagle"]
        assert sorted((one.probability for one in found), reverse=True) == [
            one.probability for one in found
        ]
        sizes.append(len(found))
    assert sizes == sorted(sizes)
    assert sizes[0] == 1 < sizes[-1] < 10


def test_a_picture_unlike_any_is_rejected_and_still_answered() -> None:
    interpret = Interpreter(LABELS, calibration=CALIBRATION, reject=True)
    assert interpret(logits(beagle=4.9), 1)["rejected"] is True
    said = interpret(logits(beagle=5.1), 1)
    assert said["rejected"] is False
    assert said["predictions"][0].label == "beagle"


def test_a_coverage_that_cannot_be_promised_is_an_error_at_once() -> None:
    few = replace(CALIBRATION, scores=(0.1, 0.2))
    with pytest.raises(UsageError, match="needs at least 19 pictures"):
        Interpreter(LABELS, calibration=few, coverage=0.95)
    with pytest.raises(UsageError, match="need a calibration"):
        Interpreter(LABELS, coverage=0.95)
    with pytest.raises(UsageError, match="need a calibration"):
        Interpreter(LABELS, reject=True)
