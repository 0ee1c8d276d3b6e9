"""Results as text."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from topfive.classification.outputs import FORMATS, Result, Wanted
from topfive.results import Classification, Failure, Prediction, Statement
from topfive.system.text import printable

BALL = Prediction(805, "n04254680", "soccer_ball", 0.934312345)
GOLF = Prediction(574, "n03445777", "golf_ball", 0.01)
GOOD = Classification("ball.jpg", (BALL, GOLF), "vgg16", "crop-256-bicubic")
BAD = Failure('bad, "it".jpg', "broken", "broken or cut off")


def text(
    format: str, results: list[Result], several: bool = False, top: int = 2, **asked: Any
) -> str:
    return "".join(FORMATS[format](results, Wanted(top, **asked).layout(), several))


def test_text_is_as_in_the_tutorial() -> None:
    assert text("text", [GOOD]) == "1. soccer_ball: 93.43%\n2. golf_ball: 1.00%\n"


def test_text_of_several_is_a_block_each_and_leaves_failures_out() -> None:
    block = "ball.jpg\n1. soccer_ball: 93.43%\n2. golf_ball: 1.00%\n"
    assert text("text", [GOOD, BAD, GOOD], several=True) == f"{block}\n{block}"


def test_json_has_full_probabilities_and_a_failure_in_its_place() -> None:
    first, second, third = json.loads(text("json", [GOOD, BAD, GOOD]))
    assert first == third
    assert first["predictions"][0] == {
        "index": 805, "wnid": "n04254680", "label": "soccer_ball", "probability": 0.934312345,
    }  # fmt: skip
    assert (first["source"], first["network"], first["recipe"]) == (
        "ball.jpg", "vgg16", "crop-256-bicubic",
    )  # fmt: skip
    assert second == {"source": BAD.source, "error": {"kind": "broken", "message": BAD.message}}


def test_json_of_nothing_is_an_empty_list() -> None:
    assert json.loads(text("json", [])) == []


def test_jsonl_is_one_object_a_line() -> None:
    lines = text("jsonl", [GOOD, BAD]).splitlines()
    assert [json.loads(line)["source"] for line in lines] == [GOOD.source, BAD.source]


@pytest.mark.parametrize("top", [1, 2, 3])
def test_csv_has_one_row_a_picture_and_as_many_cells_in_each(top: int) -> None:
    shown = Classification("b", (BALL, GOLF)[:top], "vgg16", "r")
    rows = list(csv.reader(io.StringIO(text("csv", [shown, BAD], top=top))))
    assert [len(row) for row in rows] == [3 + 3 * top + 2] * 3
    records = list(csv.DictReader(io.StringIO(text("csv", [shown, BAD], top=top))))
    assert records[0]["label_1"] == "soccer_ball"
    assert float(records[0]["probability_1"]) == 0.934312345
    assert records[0]["error"] == ""
    assert records[1]["source"] == BAD.source
    assert (records[1]["error_kind"], records[1]["label_1"]) == ("broken", "")


DOG, BEAGLE = Statement("n1", "dog", 0.97), Statement("n2", "beagle", 0.61)
TOLD = replace(GOOD, hierarchy=(DOG, BEAGLE), ancestors=(DOG,))


def test_the_hierarchy_stands_for_the_list_in_text_and_ancestors_follow() -> None:
    assert text("text", [TOLD]) == "dog 97%, beagle 61%\ndog: 97.00%\n"
    listed = replace(TOLD, hierarchy=())
    assert text("text", [listed]).splitlines()[2:] == ["dog: 97.00%"]


def test_the_hierarchy_is_in_json_beside_the_predictions() -> None:
    (told,) = json.loads(text("json", [TOLD]))
    assert [one["label"] for one in told["hierarchy"]] == ["dog", "beagle"]
    assert told["ancestors"] == [{"wnid": "n1", "label": "dog", "probability": 0.97}]
    assert len(told["predictions"]) == 2
    assert "hierarchy" not in json.loads(text("json", [GOOD]))[0]


@pytest.mark.parametrize("top", [2, 4])
def test_csv_has_the_most_specific_statement_and_a_column_for_each_ancestor(top: int) -> None:
    output = text("csv", [TOLD, BAD], top=top, hierarchy=True, ancestors=("dog",))
    assert len({len(row) for row in csv.reader(io.StringIO(output))}) == 1
    told, failed = csv.DictReader(io.StringIO(output))
    assert (told["hierarchy_label"], told["hierarchy_probability"]) == ("beagle", "0.61")
    assert (told["dog"], told["label_2"], told["error"]) == ("0.97", "golf_ball", "")
    assert (failed["dog"], failed["error_kind"]) == ("", "broken")


@pytest.mark.parametrize("format", FORMATS)
def test_a_result_is_out_before_the_next_one_is_asked_for(format: str) -> None:
    asked = []

    def results() -> Iterator[Result]:
        for number in range(3):
            asked.append(number)
            yield GOOD

    pieces = FORMATS[format](results(), Wanted(2).layout(), True)
    next(piece for piece in pieces if "soccer_ball" in piece)
    assert asked == [0]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("möwe 鷗.jpg", "möwe 鷗.jpg"),
        ("a\nb", "a\\nb"),
        ("\x1b[2Jx", "\\x1b[2Jx"),
        ("\udcff", "\\udcff"),
        ("\u202egpj.exe", "\\u202egpj.exe"),
    ],
)
def test_a_name_cannot_command_the_terminal(name: str, shown: str) -> None:
    assert printable(name) == shown


SURE = replace(GOOD, prediction_set=(BALL,), rejected=False)
UNSURE = replace(GOOD, prediction_set=(BALL, GOLF), rejected=True)


def test_a_set_is_said_instead_of_the_best() -> None:
    sure = text("text", [replace(SURE, rejected=None)], coverage=0.975)
    assert sure == "1. soccer_ball: 93.43%\nsuch sets hold the truth 97.5% of the time\n"
    unsure = replace(UNSURE, rejected=None, predictions=(BALL,))
    assert text("text", [unsure]) == "1. soccer_ball: 93.43%\n2. golf_ball: 1.00%\n"


def test_of_a_rejected_picture_nothing_is_claimed() -> None:
    said = text("text", [SURE, replace(UNSURE, hierarchy=(DOG,), ancestors=(DOG,))], several=True)
    first, second = said.split("\n\n")
    assert first == "ball.jpg\n1. soccer_ball: 93.43%"
    assert second.startswith("ball.jpg\nI don't know: ")
    assert len(second.splitlines()) == 2


def test_json_tells_the_set_and_the_rejection_only_where_asked() -> None:
    plain, unsure = (json.loads(text("jsonl", [one])) for one in (GOOD, UNSURE))
    assert {"prediction_set", "rejected"}.isdisjoint(plain)
    assert [one["label"] for one in unsure["prediction_set"]] == ["soccer_ball", "golf_ball"]
    assert unsure["rejected"] is True
    assert unsure["predictions"] == plain["predictions"]


def test_csv_has_the_labels_of_the_set_and_the_rejection() -> None:
    rows = list(csv.DictReader(io.StringIO(
        text("csv", [SURE, UNSURE, BAD], coverage=0.9, reject=True, ancestors=["dog"])
    )))  # fmt: skip
    assert [row["prediction_set"] for row in rows] == ["soccer_ball", "soccer_ball|golf_ball", ""]
    assert [row["rejected"] for row in rows] == ["False", "True", ""]
    assert [*rows[0]].index("rejected") < [*rows[0]].index("dog")
