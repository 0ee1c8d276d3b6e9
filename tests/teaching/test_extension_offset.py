"""New classes beside old ones: what is lost, and the promise of how much at most."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from topfive.errors import UsageError
from topfive.networks.lessons import OLD
from topfive.teaching import extension_offset
from topfive.teaching.extension_offset import Before


def drawn(
    random: np.random.Generator, old: int, new: int, apart: float = 3.0
) -> tuple[NDArray[np.float64], NDArray[np.intp], Before]:
    """Return scores of two new classes that overlap with the old ones, and what goes with them."""
    truths = np.array([OLD] * old + [0, 1] * (new // 2))
    own = random.normal(0, 1.5, (len(truths), 2))
    own[np.arange(len(truths)) >= old, truths[old:]] += apart
    best = -random.exponential(1, len(truths)).astype(np.float32)
    return own, truths, Before(best, random.random(len(truths)) < 0.7)


@pytest.mark.slow
def test_of_further_pictures_no_more_are_lost_than_was_promised() -> None:
    random = np.random.default_rng(0)
    lost, recognised = [], []
    for _ in range(300):
        own, truths, before = drawn(random, 120, 40)
        offset = extension_offset.choose(own, truths, before, cost=5)
        further, truths, before = drawn(random, 1000, 100)
        found = extension_offset.measure(further + offset, truths, before)
        lost.append(found.cost.value)
        recognised.append(found.recognised.value)
    # The mean of 300 has a standard error of 0.1 %.
    assert 0.03 < np.mean(lost) < 0.05
    assert np.mean(recognised) > 0.3


def test_where_all_are_told_apart_the_offset_is_in_the_middle() -> None:
    truths = np.array([OLD] * 60 + [0] * 5)
    own = np.array([[-6.0]] * 60 + [[2.0]] * 5)
    before = Before(np.full(65, -1, np.float32), np.ones(65, np.bool_))
    offset = extension_offset.choose(own, truths, before, cost=2)
    assert offset == pytest.approx((-3 + 5) / 2), "from -3 the new ones are first, from 5 the old"
    found = extension_offset.measure(own + offset, truths, before)
    assert (found.after.hits, found.taken.hits, found.recognised.hits) == (60, 0, 5)
    assert (found.cost.hits, found.cost.of, found.p_value) == (0, 60, 1)


def test_a_wrong_answer_that_becomes_another_wrong_answer_costs_nothing_but_is_told() -> None:
    truths = np.array([OLD] * 100 + [0] * 10)
    own = np.array([[5.0]] * 30 + [[-5.0]] * 70 + [[4.0]] * 10)
    before = Before(np.full(110, -1, np.float32), np.arange(110) >= 30)
    offset = extension_offset.choose(own, truths, before, cost=1)
    found = extension_offset.measure(own + offset, truths, before)
    assert (found.before.hits, found.after.hits) == (70, 70)
    assert (found.taken.hits, found.recognised.hits) == (30, 10)


def test_a_lost_picture_is_counted_and_tested() -> None:
    truths = np.array([OLD] * 8 + [0, 1])
    own = np.array([[1.0, -3.0]] * 6 + [[-9.0, -9.0]] * 2 + [[1.0, 2.0], [-1.0, 0.0]])
    before = Before(np.full(10, -0.5, np.float32), np.ones(10, np.bool_))
    found = extension_offset.measure(own, truths, before)
    assert (found.before.hits, found.after.hits, found.cost.hits) == (8, 2, 6)
    assert found.p_value == pytest.approx(2 * 0.5**6)
    assert (found.recognised.hits, found.recognised.of) == (1, 2), "one is taken for the other"


@pytest.mark.parametrize(
    ("count", "cost", "most"),
    [(49, 2, 0), (99, 2, 1), (100, 1, 0), (9, 10, 0), (148, 2, 1), (149, 2, 2)],
)
def test_the_picture_to_come_is_counted_as_lost(count: int, cost: float, most: int) -> None:
    assert extension_offset.allowed(count, cost) == most


def test_too_few_old_pictures_promise_nothing_and_the_error_says_how_many_would() -> None:
    with pytest.raises(UsageError, match=r"48 pictures .* give 49 or more.* or allow 2\.1 %"):
        extension_offset.allowed(48, 2)
    extension_offset.allowed(49, 2)
    extension_offset.allowed(48, 2.1)
    with pytest.raises(UsageError, match=r"0 pictures .* give 49 or more, besides .*held out$"):
        extension_offset.allowed(0, 2)


@pytest.mark.parametrize("cost", [0, -1, 100, float("nan")])
def test_what_is_no_percentage_is_refused(cost: float) -> None:
    with pytest.raises(UsageError, match="over 0 and under 100"):
        extension_offset.allowed(1000, cost)


def test_new_classes_that_are_like_the_old_ones_are_refused() -> None:
    own, truths, before = drawn(np.random.default_rng(1), 200, 40, apart=-6)
    with pytest.raises(UsageError, match=r"no new picture is recognised .* at most 2 %"):
        extension_offset.choose(own, truths, before, cost=2)


@pytest.mark.slow
@pytest.mark.parametrize("num_classes", [1, 3])
def test_the_head_tells_log_odds_against_the_old_classes(num_classes: int) -> None:
    random = np.random.default_rng(5)
    truths = np.array([OLD] * 100 + list(range(num_classes)) * 20)
    centres = random.normal(0, 4, (num_classes + 1, 12))  # the last is the old ones'
    features = (centres[truths] + random.normal(0, 1, (len(truths), 12))).astype(np.float32)
    before = Before(np.full(len(truths), -0.1, np.float32), np.ones(len(truths), np.bool_))
    head, strength, offset = extension_offset.fit(features, truths, num_classes, before, cost=2)
    assert head.shape == (13, num_classes)
    scores = extension_offset.scores(head, features)
    assert (scores[truths == OLD] < 0).all()
    assert (scores[truths != OLD].argmax(axis=1) == truths[truths != OLD]).all()
    again = extension_offset.fit(features, truths, num_classes, before, cost=2, strength=strength)
    np.testing.assert_array_equal(again[0], head)
    assert again[1:] == (strength, offset)


def test_a_class_with_one_picture_is_taught_and_leaves_the_others_as_good() -> None:
    random = np.random.default_rng(6)
    truths = np.array([OLD] * 60 + [0] * 20 + [1])
    centres = random.normal(0, 4, (3, 12))
    features = (centres[truths] + random.normal(0, 1, (81, 12))).astype(np.float32)
    before = Before(np.full(81, -0.1, np.float32), np.ones(81, np.bool_))
    head, _, _ = extension_offset.fit(features, truths, 2, before, cost=2)
    found = extension_offset.measure(extension_offset.scores(head, features), truths, before)
    assert (found.after.hits, found.recognised.hits) == (60, 21)
