"""What a name means, for people's spellings of ImageNet's labels."""

from __future__ import annotations

import unicodedata
from typing import Literal

import pytest

from topfive.errors import UsageError
from topfive.networks import labels
from topfive.networks.class_names import ClassNames

LABELS = labels.load("imagenet")
CLASSES = ClassNames(LABELS)
Form = Literal["NFC", "NFD"]


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("n01440764", 0),
        ("N01440764", 0),
        ("0", 0),
        ("999", 999),
        (" 007 ", 7),
        ("goldfish", 1),
        ("great_white_shark", 2),
        ("Great White Shark", 2),
        ("great  white_SHARK ", 2),
        ("jack-o'-lantern", 607),
        ("Cardigan", 264),  # the dog
        ("cardigan", 474),  # what is worn
    ],
)
def test_a_class_is_found_by_its_id_its_index_and_its_label(name: str, index: int) -> None:
    assert CLASSES.find(name, "here") == CLASSES.get(name, "here") == index


def test_every_class_is_found_by_each_of_its_names() -> None:
    shared = {"crane", "maillot"}
    for index, label in enumerate(LABELS):
        names = [label.wnid, str(index), *([label.name] if label.name not in shared else [])]
        assert {CLASSES.find(name, "here") for name in names} == {index}


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("crane", "n02012849 or n03126707"),
        ("Maillot", "n03710637 or n03710721"),
        ("CARDIGAN", "n02113186 or n02963159"),
    ],
)
def test_a_label_of_several_classes_names_their_ids(name: str, ids: str) -> None:
    with pytest.raises(UsageError, match=f"^in x: '{name}' .* name it {ids}$"):
        CLASSES.find(name, "in x")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("golfish", "Did you mean goldfish\\?"),
        ("1000", "a number from 0 to 999"),
        ("-1", "none of the 1,000 classes"),
        ("n00000001", "none of the 1,000 classes"),
        ("٣", "none of the 1,000 classes"),
        ("9" * 5000, "none of the 1,000 classes"),
        ("", "'' is none of"),
    ],
)
def test_an_unknown_name_is_an_error_with_the_closest(name: str, said: str) -> None:
    assert CLASSES.find(name, "here") is None
    with pytest.raises(UsageError, match=f"^in x: .*{said}"):
        CLASSES.get(name, "in x")


def test_an_id_is_found_in_the_midst_of_a_name() -> None:
    assert CLASSES.with_wnid("n02085620-Chihuahua") == 151
    assert CLASSES.with_wnid("crane-n03126707") == 517
    assert CLASSES.with_wnid("n020856201") is None
    assert CLASSES.with_wnid("an02085620") is None
    assert CLASSES.with_wnid("n00000001") is None


def test_numbers_may_be_those_of_a_table() -> None:
    classes = ClassNames(LABELS, {1: "n02119789", 2: "n02100735", 3: "n99999999"})
    assert classes.find("1", "here") == 278
    assert classes.find("2", "here") == 212
    assert classes.find("3", "here") is None
    assert classes.find("goldfish", "here") == 1
    with pytest.raises(UsageError, match="a number from 1 to 2,"):
        classes.get("0", "here")


OWN = tuple(labels.Label("", name) for name in ("1", "2", "my cat", "007"))


def test_a_class_that_is_called_by_a_number_is_that_one() -> None:
    classes = ClassNames(OWN)
    assert [classes.find(name, "here") for name in ("1", "2", "007", "My_Cat")] == [0, 1, 3, 2]
    assert [classes.find(name, "here") for name in ("0", "3", "4")] == [0, 3, None]
    by_index = ClassNames(OWN, indices=True)
    assert [by_index.find(name, "here") for name in ("1", "2", "007", "my cat")] == [1, 2, None, 2]


def test_what_is_expected_of_few_and_of_other_classes() -> None:
    with pytest.raises(UsageError, match=r"none of the 4 classes\. Expected one of '1', '2', "):
        ClassNames(OWN).get("x", "here")
    with pytest.raises(UsageError, match="Expected one of '1', '2'"):
        ClassNames(OWN, {1: "n02119789"}).get("3", "here")
    many = tuple(labels.Label("", f"class {number}") for number in range(12))
    with pytest.raises(UsageError, match=r"Expected a number from 0 to 11, or a label$"):
        ClassNames(many).get("x", "here")
    with pytest.raises(UsageError, match=r"Expected a label$"):
        ClassNames(many, {1: "n02119789"}).get("1", "here")


@pytest.mark.parametrize(("label", "name"), [("NFC", "NFD"), ("NFD", "NFC"), ("NFC", "NFC")])
def test_the_forms_of_a_letter_are_one(label: Form, name: Form) -> None:
    own = [labels.Label("", unicodedata.normalize(label, one)) for one in ("été", "hiver")]
    for spelled in ("été", "ÉTÉ"):
        assert ClassNames(own).find(unicodedata.normalize(name, spelled), "here") == 0


def test_numbers_may_count_from_1() -> None:
    classes = ClassNames(LABELS, indices=True, first=1)
    assert [classes.find(name, "here") for name in ("0", "1", "1000")] == [None, 0, 999]
