"""The regression that tells classes by features."""

from __future__ import annotations

from time import process_time

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from topfive.errors import MissingExtraError, UsageError
from topfive.system import extras
from topfive.teaching import regression


def data(
    counts: tuple[int, ...], size: int, apart: float = 0.5, seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """Return features like a network's, not negative, some of them zero throughout, and their
    classes, whose middles are that far apart."""
    random = np.random.default_rng(seed)
    middles = apart * random.standard_normal((len(counts), size))
    truths = np.repeat(np.arange(len(counts)), counts)
    features = middles[truths] + random.standard_normal((len(truths), size))
    scales = random.choice([0.0, 0.1, 1.0, 10.0], size)
    return (np.maximum(features, 0) * scales).astype(np.float32), truths


def test_classes_are_told_apart_and_the_answers_of_cross_validation_say_how_well() -> None:
    features, truths = data((60, 60, 60, 60), 40, 1.0)
    train = np.arange(240) % 2 == 0
    fit = regression.fit(features[train], truths[train], 4)
    assert fit.head.shape == (41, 4)
    assert fit.head.dtype == np.float32
    told = regression.probabilities(fit.head, features[~train])
    apart = (told.argmax(axis=1) == truths[~train]).mean()
    crossed = (fit.answers == truths[train]).mean()
    assert apart > 0.85
    assert abs(apart - crossed) < 0.12
    best = min(fit.folds, key=lambda one: one.loss)
    assert best.strength == fit.strength
    assert best.accuracy == pytest.approx(crossed)
    assert [one.strength for one in fit.folds] == list(regression.STRENGTHS)


def test_two_classes_give_the_probabilities_of_the_binary_regression() -> None:
    features, truths = data((50, 30), 20)
    fit = regression.fit(features, truths, 2, strength=0.1)
    kept = features.std(axis=0) > 0
    scaled = (features - features.mean(axis=0))[:, kept] / features.std(axis=0)[kept]
    plain = LogisticRegression(C=0.1, class_weight="balanced", tol=1e-8, max_iter=1000)
    expected = expit(plain.fit(scaled, truths).decision_function(scaled))
    assert fit.head.shape == (21, 2)
    assert regression.probabilities(fit.head, features)[:, 1] == pytest.approx(expected, abs=2e-3)
    assert fit.folds == ()


def test_with_fewer_pictures_than_features_the_result_is_that_of_all_features() -> None:
    random = np.random.default_rng(1)
    features = random.standard_normal((30, 200)).astype(np.float32)
    truths = np.arange(30) % 3
    fit = regression.fit(features, truths, 3, strength=0.05)
    scaled = (features - features.mean(axis=0)) / features.std(axis=0)
    plain = LogisticRegression(C=0.05, class_weight="balanced", tol=1e-8, max_iter=1000)
    expected = plain.fit(scaled, truths).predict_proba(scaled)
    assert regression.probabilities(fit.head, features) == pytest.approx(expected, abs=2e-3)


def test_a_feature_that_hardly_moves_is_not_blown_up() -> None:
    features, truths = data((40, 40), 10)
    features[:, 0] = 1 + 1e-6 * np.arange(80)
    fit = regression.fit(features, truths, 2)
    other = features.copy()
    other[:, 0] = 1.5
    told = regression.probabilities(fit.head, features)
    assert regression.probabilities(fit.head, other) == pytest.approx(told, abs=0.35)
    assert np.isfinite(fit.head).all()


def test_a_class_with_few_pictures_is_not_forgotten_beside_one_with_many() -> None:
    features, truths = data((300, 12), 30, 0.25)
    test, known = data((300, 300), 30, 0.25)
    fit = regression.fit(features, truths, 2)
    plain = regression.fit(features, truths, 2, weights=np.ones(312), strength=fit.strength)

    def found(head: NDArray[np.float32]) -> float:
        answers = regression.probabilities(head, test).argmax(axis=1)
        return float((answers[known == 1] == 1).mean())

    assert found(fit.head) > found(plain.head)


@pytest.mark.slow
def test_a_thousand_pictures_of_ten_classes_are_fitted_in_a_second() -> None:
    features, truths = data((100,) * 10, 512, 0.15)
    regression.prepare()
    start = process_time()  # which others' work does not move
    fit = regression.fit(features, truths, 10)
    assert process_time() - start < 1
    assert len(fit.folds) == len(regression.STRENGTHS)


@pytest.mark.slow
def test_it_is_the_same_for_the_same_seed() -> None:
    features, truths = data((20, 20, 20), 30)
    first, second = (regression.fit(features, truths, 3, seed=4) for _ in range(2))
    assert (first.head == second.head).all()
    assert first.folds == second.folds
    assert regression.fit(features, truths, 3, seed=5).folds != first.folds


def test_one_picture_of_a_class_is_enough_and_two_are_tried_on_each_other() -> None:
    features, truths = data((1, 9), 15)
    fit = regression.fit(features, truths, 2)
    assert (fit.folds, len(fit.answers), fit.strength) == ((), 0, regression.ALONE)
    features, truths = data((2, 9), 15)
    assert len(regression.fit(features, truths, 2).folds) == len(regression.STRENGTHS)


def test_features_that_are_all_the_same_give_no_answer_rather_than_none_that_are_numbers() -> None:
    fit = regression.fit(np.ones((6, 5), np.float32), np.array([0, 0, 0, 1, 1, 1]), 2)
    assert regression.probabilities(fit.head, np.ones((1, 5), np.float32)) == pytest.approx(0.5)


def test_a_fit_that_does_not_end_says_nothing_and_gives_what_it_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(regression, "STEPS", 2)
    features, truths = data((20, 20, 20), 30)
    # Warnings are errors here.
    assert np.isfinite(regression.fit(features, truths, 3).head).all()


@pytest.mark.parametrize(("truths", "num_classes"), [([0, 0], 1), ([0, 2], 3), ([0, 1, 2], 2)])
def test_each_of_two_classes_or_more_needs_a_picture(truths: list[int], num_classes: int) -> None:
    with pytest.raises(UsageError, match="each with a picture"):
        regression.fit(np.ones((len(truths), 3), np.float32), np.array(truths), num_classes)


def test_without_scikit_learn_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'topfive\[teach\]'"):
        regression.fit(np.ones((2, 3), np.float32), np.array([0, 1]), 2)


def test_pictures_of_one_group_are_tried_together() -> None:
    random = np.random.default_rng(0)
    truths = np.tile([0, 1], 20)  # by chance: nothing can be learned
    features = np.repeat(random.normal(size=(40, 200)).astype(np.float32), 3, axis=0)
    features += random.normal(scale=0.1, size=features.shape).astype(np.float32)
    groups = np.repeat(np.arange(40), 3)
    copied = np.repeat(truths, 3)

    def accuracy(groups: NDArray[np.intp] | None) -> float:
        fit = regression.fit(features, copied, 2, groups=groups)
        return float((fit.answers == copied).mean())

    assert accuracy(None) > 0.9
    assert accuracy(groups) < 0.7
    folds = regression.group_folds(copied, groups, 3, 0)
    assert all(len({*folds[groups == one]}) == 1 for one in range(40))
    assert np.bincount(copied[folds == 0]).min() >= 18


def test_a_class_of_one_group_is_not_tried() -> None:
    features = np.random.default_rng(0).normal(size=(8, 5)).astype(np.float32)
    truths = np.repeat([0, 1], 4)
    fit = regression.fit(features, truths, 2, groups=np.array([0, 0, 0, 0, 4, 5, 6, 7]))
    assert (fit.strength, fit.folds) == (regression.ALONE, ())
