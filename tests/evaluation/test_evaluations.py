"""What differs between evaluations, and what is said beside a published accuracy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.networks.test_taught_folders import write
from topfive.evaluation import metrics
from topfive.evaluation.evaluations import Evaluation, Judgement, comparison_of, remark
from topfive.evaluation.metrics import ClassResult
from topfive.networks import labels
from topfive.networks.published import NETWORKS
from topfive.results import Prediction

LABELS = labels.load("imagenet")


def judgement(source: str, truth: int, first: int, probability: float = 0.5) -> Judgement:
    best = Prediction(first, LABELS[first].wnid, LABELS[first].name, probability)
    return Judgement(source, truth, (best,), 1 if first == truth else 2, 0.3)


def evaluation(*judgements: Judgement, name: str = "vgg16", **more: Any) -> Evaluation:
    card = NETWORKS[name]
    share = metrics.share(sum(one.right for one in judgements), len(judgements))
    values: dict[str, Any] = {
        "network": card, "recipe": str(card.recipe), "precision": "f32",
        "weights": card.weights.checksum, "labels": LABELS, "restricted": False,
        "judgements": judgements, "failures": (), "top1": share, "top5": share, "classes": (),
        "confusions": (), "calibration_error": 0.0, "bins": (), "seconds": 2.0, "memory": 1,
    }  # fmt: skip
    return Evaluation(**values | more)


def test_a_pair_by_hand() -> None:
    sides = [
        evaluation(*map(judgement, names, [1] * 5, answers), name=network)
        for names, answers, network in (("abcd-", [1, 1, 2, 3, 1], "vgg16"),
                                        ("abcd+", [1, 4, 2, 1, 1], "vgg19"))
    ]  # fmt: skip
    third = evaluation(*(judgement(name, 1, 1) for name in "abcd"), precision="int8")
    comparison = comparison_of("x", "by hand", 1, [*sides, third])
    assert comparison.titles == ("vgg16", "vgg19", "vgg16 int8")
    pair = comparison.pairs[0]
    assert (pair.first, pair.second) == ("vgg16", "vgg19")
    assert (pair.agreement.hits, pair.agreement.of) == (2, 4)
    assert (pair.only_first, pair.only_second, pair.p_value) == (1, 1, 1.0)
    assert [(one.first, one.second) for one in comparison.pairs[1:]] == [
        ("vgg16", "vgg16 int8"), ("vgg19", "vgg16 int8"),
    ]  # fmt: skip
    assert (comparison.pairs[1].only_first, comparison.pairs[1].only_second) == (0, 2)


def test_a_known_table_of_mcnemar() -> None:
    """Only the first right on 1, only the second on 10: p is 24 / 2048."""
    truths = [(0, 1)] * 1 + [(1, 0)] * 10 + [(0, 0)] * 7 + [(2, 3)] * 4
    sides = [
        evaluation(*(judgement(str(place), 0, both[side]) for place, both in enumerate(truths)),
                   name=name)
        for side, name in enumerate(["vgg16", "vgg19"])
    ]  # fmt: skip
    (pair,) = comparison_of("x", "by hand", 1, sides).pairs
    assert (pair.only_first, pair.only_second) == (1, 10)
    assert pair.p_value == pytest.approx(24 / 2048)
    assert (pair.agreement.hits, pair.agreement.of) == (7, 22)


def test_the_most_different_answers_come_first_then_the_most_confident() -> None:
    answers = {
        "same": [(1, 0.9), (1, 0.9), (1, 0.9)],
        "unsure": [(1, 0.2), (2, 0.2), (2, 0.2)],
        "sure": [(1, 0.9), (2, 0.9), (1, 0.9)],
        "all three": [(1, 0.1), (2, 0.1), (3, 0.1)],
    }
    sides = [
        evaluation(*(judgement(name, 1, *said[side]) for name, said in answers.items()),
                   name=network)
        for side, network in enumerate(["vgg16", "vgg19", "resnet50"])
    ]  # fmt: skip
    found = comparison_of("x", "by hand", 1, sides).disagreements
    assert [one.source for one in found] == ["all three", "sure", "unsure"]
    assert [one.predictions[0].index for one in found[0].judgements] == [1, 2, 3]
    assert found[0].truth == 1


def test_one_name_of_several_evaluations_is_told_apart_by_the_recipe() -> None:
    both = [evaluation(), evaluation(recipe="stretch-nearest-keras"), evaluation(precision="bf16")]
    assert comparison_of("x", "by hand", 0, both).titles == (
        "vgg16 crop-256-bicubic", "vgg16 stretch-nearest-keras", "vgg16 bf16",
    )  # fmt: skip


def test_networks_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    cards = [write(tmp_path / folder / "pets") for folder in ("a", "b")]
    both = [replace(evaluation(), network=card, recipe=str(card.recipe)) for card in cards]
    lower = replace(both[0], precision="int8")
    names = [str(tmp_path / "a" / "pets"), str(tmp_path / "b" / "pets")]
    assert comparison_of("x", "by hand", 0, both).titles == tuple(names)
    assert comparison_of("x", "by hand", 0, [both[0], lower]).titles == ("pets", "pets int8")
    assert comparison_of("x", "by hand", 0, [*both, lower]).titles == (*names, f"{names[0]} int8")
    assert [one.first for one in comparison_of("x", "by hand", 0, both).pairs] == names[:1]


def test_of_a_taught_network_nothing_is_published(tmp_path: Path) -> None:
    taught = replace(of(100, 1000), network=write(tmp_path / "pets"))
    assert remark(taught) is None


def test_a_rate_counts_failures() -> None:
    assert evaluation(judgement("a", 0, 0), judgement("b", 0, 1)).pictures_per_second == 1.0


def of(hits: int, total: int, classes: int = 1000) -> Evaluation:
    results = tuple(ClassResult(n, "", "", metrics.share(1, 1), metrics.share(1, 1))
                    for n in range(classes))  # fmt: skip
    inside = metrics.share(round(0.901 * total), total)
    return replace(evaluation(), top1=metrics.share(hits, total), top5=inside, classes=results)


def test_a_published_accuracy_inside_the_interval_needs_no_remark() -> None:
    assert remark(of(713, 1000)) is None
    assert remark(evaluation()) is None  # nothing was measured


@pytest.mark.parametrize(
    ("changed", "classes", "reason"),
    [
        ({}, 1000, "other pictures than ImageNet's validation set"),
        ({}, 10, "10 of 1,000 classes, other pictures"),
        ({"restricted": True}, 10, "10 classes to choose from instead of 1,000, other"),
        ({"recipe": "stretch-nearest-keras"}, 1000,
         "the recipe stretch-nearest-keras instead of crop-256-bicubic, other"),
        ({"precision": "int8"}, 1000, "computed in int8, other"),
        ({"weights": "md5:0123"}, 1000, "other weights than the published ones, other"),
        # Of a hash of another kind nobody knows.
        ({"weights": "sha256:0123"}, 1000, "other pictures"),
    ],
)  # fmt: skip
def test_one_outside_is_remarked_with_the_likely_reasons(
    changed: dict[str, Any], classes: int, reason: str
) -> None:
    said = remark(replace(of(640, 1000, classes), **changed))
    assert said is not None
    assert said.startswith(f"the published top-1 71.3 % lies outside the interval, probably for: "
                           f"{reason}")  # fmt: skip
    assert "\n" not in said


def test_both_may_be_outside_or_unpublished() -> None:
    low = replace(of(640, 1000), top5=metrics.share(800, 1000))
    assert "the published top-1 71.3 % and top-5 90.1 % lie outside" in (remark(low) or "")
    card = replace(low.network, top1=None, top5=None)
    assert remark(replace(low, network=card)) is None
