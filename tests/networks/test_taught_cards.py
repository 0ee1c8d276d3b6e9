"""The card of a network with classes of its own: what it says is what was written."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.support import taught
from topfive.networks import taught_cards
from topfive.networks.taught_cards import CardFile, CorrectionEntry, PictureEntry, TaughtCard

DIGEST = f"sha256:{64 * '0'}"
PICTURE: PictureEntry = {
    "name": "a.jpg", "sha256": 64 * "1", "class": "cat", "held": False, "right": True
}  # fmt: skip
ENTRY: CorrectionEntry = {
    "date": "2026-11-30T10:00:00+00:00", "what": "forget", "fingerprint": DIGEST,
    "changes": [{"place": 3, "was": PICTURE, "now": None}], "classes": ["cat", "dog"],
    "parameters": 5, "file": "head-1.npy", "checksum": DIGEST, "size": 8,
}  # fmt: skip
CARD = TaughtCard(
    name="pets",
    backbone=taught.BACKBONE.name,
    classes=("cat", "dog"),
    extends=True,
    recipe=replace(taught.BACKBONE.recipe, window=(10.0, 250.0)),
    parameters=7,
    made={"by": "teach --extend", "seed": 3, "cost": 2.5, "validation": None},
    weights=CardFile("weights-2.h5", DIGEST, 9),
    head=CardFile("head-2.npy", DIGEST, 8),
    lessons=CardFile("lessons-1.npz", DIGEST, 800),
    old_answers=CardFile("old_answers-1.npy", DIGEST, 80),
    corrections=(ENTRY, ENTRY),
)


@pytest.mark.parametrize("more", [{}, {"made": {}, "old_answers": None}, {"corrections": ()}])
def test_a_card_is_read_as_it_was_written(more: dict[str, Any]) -> None:
    card = replace(CARD, **more)
    assert taught_cards.parse(json.loads(json.dumps(card.to_dict()))) == card


def test_its_sections_have_the_names_that_they_always_had() -> None:
    content = CARD.to_dict()
    assert list(content) == [
        "name", "backbone", "classes", "extends", "tuned", "recipe", "parameters", "made",
        "weights", "old_answers", "head", "lessons", "correction-1", "correction-2",
    ]  # fmt: skip
    assert list(content["weights"]) == ["file", "checksum", "size"]
    assert CARD.files() == {
        "weights-2.h5", "head-1.npy", "head-2.npy", "lessons-1.npz", "old_answers-1.npy"
    }  # fmt: skip


def test_what_no_answer_depends_on_may_be_missing() -> None:
    content = CARD.to_dict()
    for name in ("made", "lessons", "old_answers", "correction-2"):
        content.pop(name)
    del content["head"]["size"]
    found = taught_cards.parse({**content, "correction-1": None, "other": 5})
    assert (found.made, found.lessons, found.old_answers, found.corrections) == ({}, None, None, ())


def test_a_record_begins_with_who_made_it_and_when() -> None:
    made = taught_cards.made_by("teach", "numpy")
    assert list(made) == ["by", "versions", "date"]
    assert (made["by"], list(made["versions"])) == ("teach", ["topfive", "numpy"])
