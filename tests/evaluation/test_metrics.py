"""Numbers that can be looked up or worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from topfive.evaluation import metrics
from topfive.evaluation.metrics import Confusion, Measure
from topfive.networks import labels


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    [
        # Newcombe 1998, table I, method 3: Wilson's score intervals without correction.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_intervals_are_wilsons(hits: int, of: int, low: float, high: float) -> None:
    measure = metrics.share(hits, of)
    assert (measure.hits, measure.of) == (hits, of)
    assert measure.value == hits / of
    assert measure.low == pytest.approx(low, abs=5e-5)
    assert measure.high == pytest.approx(high, abs=5e-5)


def test_a_share_of_nothing_may_be_any() -> None:
    measure = metrics.share(0, 0)
    assert measure == Measure(0, 0, 0.0, 1.0)
    assert math.isnan(measure.value)


@pytest.mark.parametrize(
    ("only_first", "only_second", "p_value"),
    [
        (0, 0, 1.0),
        (5, 5, 1.0),
        (0, 5, 2 / 2**5),
        (10, 1, 2 * (1 + 11) / 2**11),
        (1, 10, 2 * (1 + 11) / 2**11),
        # Agresti, Categorical Data Analysis: 86 and 150 changed their minds.
        (86, 150, 3.716e-05),
    ],
)
def test_mcnemar_is_exact(only_first: int, only_second: int, p_value: float) -> None:
    assert metrics.mcnemar(only_first, only_second) == pytest.approx(p_value, rel=1e-3)


def test_the_calibration_error_by_hand() -> None:
    confidences = np.array([0.95, 0.97, 0.55, 0.55, 1.0, 0.0])
    right = np.array([True, False, True, False, True, False])
    bins = metrics.reliability(confidences, right, 10)
    assert [one.count for one in bins] == [1, 0, 0, 0, 0, 2, 0, 0, 0, 3]
    assert bins[9].low == pytest.approx(0.9)
    assert bins[9].high == 1
    assert bins[9].confidence == pytest.approx(2.92 / 3)
    assert bins[9].accuracy == pytest.approx(2 / 3)
    assert math.isnan(bins[1].confidence)
    assert math.isnan(bins[1].accuracy)
    expected = (3 * (2.92 / 3 - 2 / 3) + 2 * 0.05) / 6
    assert metrics.calibration_error(bins) == pytest.approx(expected)


def test_a_bin_ends_with_its_upper_edge() -> None:
    bins = metrics.reliability(np.array([0.5, 0.5001]), np.array([True, True]), 2)
    assert [one.count for one in bins] == [1, 1]


def test_fifteen_bins_are_the_rule_and_no_picture_has_no_error() -> None:
    bins = metrics.reliability(np.array([]), np.array([], bool))
    assert len(bins) == 15
    assert math.isnan(metrics.calibration_error(bins))


def test_confusions_come_by_how_frequent_they_are() -> None:
    truths, predicted = np.array([3, 1, 1, 2, 1, 0]), np.array([0, 2, 2, 2, 0, 3])
    assert metrics.confusions(truths, predicted) == (
        Confusion(1, 2, 2), Confusion(0, 3, 1), Confusion(1, 0, 1), Confusion(3, 0, 1),
    )  # fmt: skip


def test_each_class_that_occurs_has_its_result() -> None:
    names = labels.load("imagenet")[:4]
    results = metrics.by_class(np.array([3, 1, 1, 1]), np.array([6, 1, 5, 2]), names)
    assert [(one.index, one.wnid, one.label) for one in results] == [
        (1, "n01443537", "goldfish"), (3, "n01491361", "tiger_shark"),
    ]  # fmt: skip
    assert [(one.top1.hits, one.top5.hits, one.top1.of) for one in results] == [
        (1, 3, 3), (0, 0, 1),
    ]  # fmt: skip
    assert metrics.by_class(np.array([], int), np.array([], int), names) == ()


@pytest.mark.parametrize(
    ("hits", "of", "classes", "is_said"),
    [(0, 160, 1000, True), (1, 300, 1000, True), (3, 160, 1000, False), (12, 20, 2, True),
     (19, 20, 2, False), (0, 0, 1000, False), (0, 5, 1, False), (0, 1, 1000, True)],
)  # fmt: skip
def test_what_may_be_chance_is_doubted(hits: int, of: int, classes: int, is_said: bool) -> None:
    said = metrics.doubt(metrics.share(hits, of), classes)
    assert (said is not None) == is_said
    if said:
        assert f"{hits} of {of}" in said
        assert f"chance ({'0.1' if classes == 1000 else '50'} %): is the numbering" in said
