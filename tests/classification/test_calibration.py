"""Answers by a calibration, and what is read of it."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from topfive.classification.calibration import (
    Calibration,
    conformal_scores,
    find,
    quantile,
    ranking,
    reject_scores,
)
from topfive.engines.run import softmax
from topfive.errors import UsageError
from topfive.networks import records
from topfive.networks.cards import Taught
from topfive.networks.published import NETWORKS

KEY = ("squeezenet", "md5:0")
CARD = NETWORKS["squeezenet"]
CALIBRATION = Calibration(
    temperature=1.5, method="raps", scores=tuple(np.linspace(0, 1.2, 99).tolist()), penalty=0.01,
    free=5, reject_score="energy", threshold=3.0, reject_rate=0.05, pictures=99, recipe="stretch",
    precision="f32", nll=(2.0, 1.0), ece=(0.2, 0.1), version="0",
)  # fmt: skip
LOGITS = arrays(np.float32, 20, elements=st.floats(-30, 30, width=32))
TEMPERATURES = st.floats(0.25, 10)
COVERAGES = st.floats(0.01, 0.99)


def stored(entry: object) -> dict[str, Any]:
    """An entry as JSON gives it back."""
    return dict(json.loads(json.dumps(entry)))


@given(LOGITS, TEMPERATURES)
def test_probabilities_are_the_softmax_at_the_temperature(
    logits: np.ndarray, temperature: float
) -> None:
    found = replace(CALIBRATION, temperature=temperature).probabilities(logits)
    powers = np.exp(logits.astype(np.longdouble) / temperature)
    assert found.dtype == np.float32
    assert np.allclose(found, powers / powers.sum(), rtol=1e-5, atol=1e-12)


def test_probabilities_of_huge_logits_are_numbers_and_many_pictures_are_as_one() -> None:
    logits = np.array([[1e4, -1e4, 9990], [0, 0, 0]], np.float32)
    found = CALIBRATION.probabilities(logits)
    assert np.isfinite(found).all()
    assert found.sum(axis=1) == pytest.approx(1)
    assert np.array_equal(found[0], CALIBRATION.probabilities(logits[0]))


@given(LOGITS, TEMPERATURES, COVERAGES)
def test_a_set_is_the_best_classes_whose_scores_are_within_the_quantile(
    logits: np.ndarray, temperature: float, coverage: float
) -> None:
    found = replace(CALIBRATION, temperature=temperature)
    members = found.prediction_set(found.probabilities(logits), coverage)
    bound = found.scores[quantile(99, coverage) - 1]
    own = np.sort(softmax(logits).astype(float))[::-1]
    scores = [own[:rank].sum() + 0.01 * max(0, rank + 1 - 5) for rank in range(20)]
    near = [sum(one <= bound + by for one in scores) for by in (-1e-4, 1e-4)]
    assert max(1, near[0]) <= len(members) <= near[1]
    best = ranking(found.probabilities(logits))
    assert members.tolist() == best[: len(members)].tolist()


@given(LOGITS, COVERAGES, COVERAGES)
def test_a_set_of_more_coverage_holds_that_of_less(
    logits: np.ndarray, first: float, second: float
) -> None:
    probabilities = CALIBRATION.probabilities(logits)
    low, high = (
        CALIBRATION.prediction_set(probabilities, one).tolist() for one in sorted((first, second))
    )
    assert low
    assert high[: len(low)] == low


def test_a_sure_network_answers_with_one_class_and_an_unsure_one_with_many() -> None:
    sure, unsure = np.zeros((2, 1000), np.float32)
    sure[7] = 30
    calibration = replace(CALIBRATION, penalty=0.0)
    members = calibration.prediction_set(calibration.probabilities(sure), 0.8)
    assert members.tolist() == [7]
    members = calibration.prediction_set(calibration.probabilities(unsure), 0.8)
    # The 80th of 99 scores is 0.967, and each class adds a thousandth.
    assert len(members) == pytest.approx(968, abs=1)


@pytest.mark.parametrize(
    ("count", "coverage", "place"),
    [(99, 0.95, 95), (19, 0.95, 19), (18, 0.95, 19), (99, 0.07, 7), (160, 0.9, 145), (1, 0.5, 1)],
)
def test_the_quantile_is_that_of_one_picture_more(count: int, coverage: float, place: int) -> None:
    assert quantile(count, coverage) == place


@pytest.mark.parametrize(
    ("count", "coverage", "needed"), [(18, 0.95, 19), (98, 0.99, 99), (99, 0.991, 111)]
)
def test_a_coverage_that_so_few_pictures_cannot_promise_says_how_many_can(
    count: int, coverage: float, needed: int
) -> None:
    few = replace(CALIBRATION, scores=CALIBRATION.scores[:count])
    with pytest.raises(UsageError, match=f"needs at least {needed} pictures.* with {count}$"):
        few.prediction_set(np.full(3, 1 / 3, np.float32), coverage)
    assert quantile(needed, coverage) == needed
    assert quantile(needed - 1, coverage) == needed, "with one less it cannot be promised"


@pytest.mark.parametrize("coverage", [0.0, 1.0, -0.5, 95.0, float("nan")])
def test_a_coverage_is_between_0_and_1(coverage: float) -> None:
    with pytest.raises(UsageError, match="between 0 and 1"):
        CALIBRATION.check_coverage(coverage)


def test_a_picture_is_known_from_the_threshold_on() -> None:
    largest = replace(CALIBRATION, reject_score="max_logit", threshold=5.0)
    assert largest.is_known(np.array([5, 1], np.float32))
    assert not largest.is_known(np.array([4.99, 4.9], np.float32))
    energy = replace(CALIBRATION, threshold=5.0)
    assert energy.is_known(np.array([4.99, 4.9], np.float32)), "several likely ones add up"
    assert not energy.is_known(np.array([4.99, -9], np.float32))


def test_the_energy_of_huge_logits_is_a_number() -> None:
    values = np.array([[1e4, 1e4], [-1e4, -1e4]], np.float32)
    assert reject_scores(values, "energy") == pytest.approx([1e4 + np.log(2), -1e4 + np.log(2)])


def test_scores_rise_from_class_to_class_and_begin_at_0() -> None:
    ranked = np.array([[0.5, 0.3, 0.1, 0.1]], np.float32)
    assert conformal_scores(ranked, 0, 0)[0] == pytest.approx([0, 0.5, 0.8, 0.9])
    assert conformal_scores(ranked, 0.1, 2)[0] == pytest.approx([0, 0.5, 0.9, 1.1])


def test_what_is_written_is_read_again() -> None:
    assert Calibration.from_dict(stored(CALIBRATION.to_dict())) == CALIBRATION


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", 0), ("temperature", -1.0), ("temperature", "1.5"), ("temperature", True),
        ("temperature", float("nan")), ("temperature", float("inf")), ("temperature", None),
        ("temperature", 1000), ("method", "other"), ("method", 3), ("method", ["aps"]),
        ("scores", []), ("scores", [0.2, 0.1]), ("scores", 3), ("scores", [0.1, "0.2"]),
        ("scores", [0.1, float("nan")]), ("scores", [-1.0]), ("scores", {"0": 1}),
        ("penalty", -0.1), ("free", 1.5), ("free", -1), ("reject_score", "entropy"),
        ("threshold", float("-inf")), ("threshold", [1]), ("reject_rate", 1.5),
        ("pictures", 0), ("pictures", 98), ("pictures", 99.0), ("recipe", None), ("precision", 16),
        ("nll", [1.0]), ("nll", 1.0), ("nll", [1.0, "2"]), ("ece", [0.1, 1.2]), ("version", 1),
    ],
)  # fmt: skip
def test_a_damaged_value_is_named(name: str, value: object) -> None:
    entry = stored(CALIBRATION.to_dict()) | {name: value}
    with pytest.raises(ValueError, match=name):
        Calibration.from_dict(entry)


def test_a_missing_and_an_unknown_value_are_named() -> None:
    entry = stored(CALIBRATION.to_dict())
    del entry["threshold"]
    with pytest.raises(ValueError, match="missing or unknown: threshold"):
        Calibration.from_dict(entry)
    with pytest.raises(ValueError, match="missing or unknown: extra, threshold"):
        Calibration.from_dict(entry | {"extra": 1})


def test_what_was_stored_is_found() -> None:
    records.update(*KEY, records.CALIBRATIONS, "f32 stretch", CALIBRATION.to_dict())
    assert find(CARD, KEY[1], "f32", "stretch") == CALIBRATION


def test_where_there_is_none_it_says_what_to_run_and_for_what_there_is_one() -> None:
    with pytest.raises(UsageError, match="topfive calibrate DIR --model squeezenet") as error:
        find(CARD, KEY[1], "f32", "stretch")
    assert "it is for" not in str(error.value)
    records.update(*KEY, records.CALIBRATIONS, "int8 crop", CALIBRATION.to_dict())
    with pytest.raises(UsageError, match=r"not calibrated for f32 stretch.*\(it is for int8 crop"):
        find(CARD, KEY[1], "f32", "stretch")
    with pytest.raises(UsageError, match="not calibrated for f32 stretch"):
        find(CARD, "md5:1", "f32", "stretch")


def test_a_taught_network_is_named_by_its_folder() -> None:
    taught = Taught("/my pets", "squeezenet", ("cat", "dog"), False, "head", None, False, "md5:1")
    card = replace(CARD, name="pets", taught=taught)
    with pytest.raises(UsageError, match=r"pets is not calibrated .* --model '/my pets', with"):
        find(card, "sha256:1", "f32", "stretch")
    with pytest.raises(UsageError, match=r"no pets in 8 bits .* --model '/my pets'$"):
        records.find_int8(card, "sha256:1")


@pytest.mark.parametrize("entry", [{}, {"temperature": 2.0}, "text", None, [1]])
def test_a_damaged_one_is_not_used(entry: Any, caplog: pytest.LogCaptureFixture) -> None:
    records.update(*KEY, records.CALIBRATIONS, "f32 stretch", CALIBRATION.to_dict())
    file = records.path(*KEY)
    record = json.loads(file.read_text())
    record["calibrations"]["f32 stretch"] = entry
    file.write_text(json.dumps(record))
    with pytest.raises(UsageError, match=r"damaged \(.*\): topfive calibrate DIR --model"):
        find(CARD, KEY[1], "f32", "stretch")
    file.write_text("{")
    with caplog.at_level(logging.WARNING), pytest.raises(UsageError, match="not calibrated"):
        find(CARD, KEY[1], "f32", "stretch")


def test_it_is_imported_without_what_only_the_fitting_needs() -> None:
    code = (
        "import sys, topfive.classification.calibration; "
        "print({'scipy', 'openvino', 'PIL'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
