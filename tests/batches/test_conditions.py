"""What a picture is to be, in the words of `--where`."""

from __future__ import annotations

import pytest

from topfive.batches import conditions
from topfive.errors import UsageError
from topfive.networks import hierarchy, labels
from topfive.results import Classification, Failure, Prediction, Row, RowDict, Statement

LABELS = labels.load("imagenet")
NODES = hierarchy.load(LABELS)
BEAGLE = next(index for index, label in enumerate(LABELS) if label.name == "beagle")


def row(first: float = 0.6, **sums: float) -> RowDict:
    """Return the row of a beagle, with the probabilities of some ancestors."""
    told = [(hierarchy.find_node(NODES, name), value) for name, value in sums.items()]
    result = Classification(
        "x.jpg", (Prediction(BEAGLE, LABELS[BEAGLE].wnid, "beagle", first),), "n", "r",
        ancestors=tuple(Statement(node.wnid, node.name, value) for node, value in told),
    )  # fmt: skip
    return Row(result, "n", "r", "md5:1", 1.0).to_dict()


def holds(text: str, row: RowDict) -> bool:
    return conditions.hold([conditions.parse(text, NODES)], row)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("beagle", True), ("dog", True),
        ("n02084071", True), ("bird", False), ("golden retriever", False),
        ("dog>0.5", True), (" dog > 0.5 ", True), ("dog>0.9", False), ("dog>=.9", True),
        ("dog<0.9", False), ("dog<=0.9", True), ("dog>=90%", True), ("dog > 90 %", False),
        ("bird<10%", True), ("bird>0", True), ("dog<1", True),
        ("first>0.59", True), ("FIRST >= 60%", True), ("first<0.6", False),
    ],
)  # fmt: skip
def test_a_condition_holds_where_it_says_so(text: str, expected: bool) -> None:
    assert holds(text, row(dog=0.9, bird=0.01)) is expected


def test_all_of_several_conditions_must_hold() -> None:
    parsed = [conditions.parse(text, NODES) for text in ("dog>0.5", "beagle", "first<0.7")]
    assert conditions.hold(parsed, row(dog=0.9))
    assert not conditions.hold(parsed, row(first=0.8, dog=0.9))
    assert conditions.hold([], row())


def test_a_failure_never_holds() -> None:
    failure = Row(Failure("x", "broken", "cut off"), "n", "r", "md5:1", 1.0).to_dict()
    assert not any(holds(text, failure) for text in ("dog", "dog<1", "first>=0"))
    assert not conditions.hold([], failure)


def test_the_ancestors_to_ask_for_are_those_whose_probability_is_read() -> None:
    texts = ("dog>0.5", "dog<0.9", "bird", "first>0.5", "beagle<1")
    parsed = [conditions.parse(text, NODES) for text in texts]
    assert conditions.ancestors(parsed) == [
        hierarchy.find_node(NODES, name).wnid for name in ("dog", "beagle")
    ]


def test_no_class_and_no_ancestor_is_called_first() -> None:
    with pytest.raises(UsageError):
        hierarchy.find_node(NODES, conditions.FIRST)
    assert conditions.parse("first>0.5", {}).node is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected a class"), (">0.5", "expected a class"), ("first", "first>0.9"),
        ("dgo>0.5", "Did you mean"), ("crane>0.5", "several things"),
        ("dog=0.5", ">, >=, <, <="), ("dog!=0.5", "received !="), ("dog=>0.5", "received =>"),
        ("dog>", "from 0 to 1"), ("dog>1.5", "from 0 to 1"), ("dog>-0.1", "from 0 to 1"),
        ("dog>101%", "from 0% to 100%"), ("dog>nan", "'nan'"), ("dog>1e-3", "'1e-3'"),
        ("dog>0,5", "'0,5'"), ("dog>0.5 and first>0.9", "--where again"), ("dog>\n", "''"),
    ],
)  # fmt: skip
def test_what_is_no_condition_is_refused_with_what_was_expected(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        conditions.parse(text, NODES)
    assert said in str(caught.value)
    assert str(caught.value).startswith(f"--where {text!r}: ")
    assert "\n" not in str(caught.value)
