"""The names of a network's classes, its own ones too."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.networks.test_taught_folders import write
from topfive.networks import labels
from topfive.networks.labels import Label
from topfive.networks.published import NETWORKS

IMAGENET = labels.load("imagenet")


def test_a_published_network_has_imagenets(tmp_path: Path) -> None:
    assert labels.of(NETWORKS["vgg16"]) == IMAGENET
    assert len(IMAGENET) == 1000
    assert labels.of(write(tmp_path / "pets")) != IMAGENET


def test_own_classes_are_in_their_order_and_have_no_id(tmp_path: Path) -> None:
    names = ("zebra", 'été, "x" <b>', "=1+1", "../..", "7")
    assert labels.of(write(tmp_path / "pets", names)) == tuple(Label("", name) for name in names)


def test_a_class_named_by_a_wordnet_id_is_imagenets(tmp_path: Path) -> None:
    found = labels.of(write(tmp_path / "pets", ("n02088364", "n99999999", "beagle")))
    assert found == (Label("n02088364", "beagle"), Label("", "n99999999"), Label("", "beagle"))


def test_an_extended_network_has_imagenets_first(tmp_path: Path) -> None:
    found = labels.of(write(tmp_path / "pets", ("my cat", "n02088364"), extends=True))
    assert found == (*IMAGENET, Label("", "my cat"), Label("n02088364", "beagle"))


def test_more_than_there_are_cannot_be_best() -> None:
    known = (Label("", "a"), Label("", "b"), Label("", "c"))
    best = labels.top_predictions(np.array([0.25, 0.5, 0.25], np.float32), known, 5)
    assert [(one.label, one.index, one.wnid) for one in best] == [
        ("b", 1, ""), ("a", 0, ""), ("c", 2, ""),
    ]  # fmt: skip
