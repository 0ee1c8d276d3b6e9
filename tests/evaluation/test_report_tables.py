"""The tables of a report, by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support import judged
from topfive.evaluation import report_tables
from topfive.evaluation.evaluations import Comparison, comparison_of
from topfive.results import Failure


@pytest.fixture
def comparison(tmp_path: Path) -> Comparison:
    """Two networks on six pictures of three classes."""
    sources = [f"{tmp_path}/{name}.jpg" for name in "abcdef"]
    answers = {"vgg16": [0, 1, 0, 0, 0, 1], "convnext_tiny": [0, 1, 0, 0, 1, 1]}
    return judged.comparison(tmp_path, sources, answers, truths=[0, 1, 2, 0, 1, 2])


def test_accuracy_stands_beside_the_published_with_both_recipes(comparison: Comparison) -> None:
    first, second = report_tables.accuracy(comparison).rows
    assert first == (
        "vgg16", "crop-256-bicubic", "Keras, single centre crop",
        "66.7 % (30.0 to 90.3)", "71.3 %", "100.0 % (61.0 to 100.0)", "90.1 %",
    )  # fmt: skip
    assert second[-1] == "–"  # not published


def test_the_weakest_class_comes_first_with_both_networks(comparison: Comparison) -> None:
    table = report_tables.classes(comparison)
    assert [row[0] for row in table.rows] == ["goldfish", "great_white_shark", "tench"]
    assert table.rows[0] == ("goldfish", "n01443537", "2", "50.0 %", "100.0 %", "0.0 %", "100.0 %")
    assert len(table.columns) == len(table.rows[0])


def test_a_class_that_one_network_could_not_read_is_left_open(comparison: Comparison) -> None:
    first, second = comparison.evaluations
    partly = comparison_of("x", "y", 3, [first, replace(second, classes=second.classes[:2])])
    rows = {row[0]: row for row in report_tables.classes(partly).rows}
    assert rows["great_white_shark"][-4:] == ("50.0 %", "100.0 %", "–", "–")


def test_errors_begin_with_the_most_confident(comparison: Comparison, tmp_path: Path) -> None:
    title, evaluation = comparison.titles[0], comparison.evaluations[0]
    rows = report_tables.errors(comparison, title, evaluation).rows
    assert [row[:4] for row in rows] == [
        ("b.jpg", "goldfish", "great_white_shark", "77.0 %"),
        ("f.jpg", "great_white_shark", "tiger_shark", "5.0 %"),
    ]


def test_confusions_and_disagreements_name_the_classes(comparison: Comparison) -> None:
    table = report_tables.confusions("vgg16", comparison.evaluations[0])
    assert table.rows[0] == ("goldfish", "great_white_shark", "1")
    (row,) = report_tables.disagreements(comparison).rows
    assert row == ("e.jpg", "goldfish", "goldfish 23.0 %", "great_white_shark 23.0 %")


def test_a_picture_that_no_network_could_read_counts_once(comparison: Comparison) -> None:
    failures = tuple(Failure(f"{n}.jpg", "broken", "cut off") for n in range(12))
    failures += (Failure("x.jpg", "empty", "no bytes"),)
    failed = comparison_of("x", "y", 3, [
        replace(one, failures=failures) for one in comparison.evaluations
    ])  # fmt: skip
    broken, empty = report_tables.failures(failed).rows
    assert broken[0::2] == ("broken", "12")
    assert broken[1].count("cut off") == report_tables.SHOWN
    assert empty == ("empty", "x.jpg: no bytes", "1")


def test_the_headline_says_what_could_be_answered(comparison: Comparison) -> None:
    assert report_tables.headline(comparison).startswith("6 pictures of 3 classes, known from")
    only = comparison_of(
        "x", "their folders", 3, [replace(comparison.evaluations[0], restricted=True)]
    )
    assert report_tables.headline(only).endswith("which alone could be answered")
    assert report_tables.origin(only).rows[0][4] == "3 classes"
    assert report_tables.title(only) == "vgg16 on x"


@pytest.mark.parametrize(("p_value", "said"), [(0.049, "hardly chance"), (0.05, "may be chance")])
def test_a_difference_is_called_by_its_p_value(p_value: float, said: str) -> None:
    assert report_tables.verdict(p_value) == said
