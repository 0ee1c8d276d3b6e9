"""The label sets that ship with the package."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from topfive.networks.cards import Network
from topfive.networks.published import find_published
from topfive.results import Prediction

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LABEL_SETS = {"imagenet": "imagenet_classes.tsv"}


@dataclass(frozen=True)
class Label:
    """One class: its WordNet id (empty where it has none) and its name."""

    wnid: str
    name: str


def read_text(label_set: str) -> str:
    """Return the label set's table: tab-separated `index`, `wnid`, `keras_label`."""
    return files("topfive").joinpath("assets", LABEL_SETS[label_set]).read_text("utf-8")


@cache
def load(label_set: str) -> tuple[Label, ...]:
    """Return the labels in the order of the network's outputs.

    Source: the class list of `keras.applications` (`imagenet_class_index.json`).
    """
    rows = (line.split("\t") for line in read_text(label_set).splitlines()[1:])
    return tuple(Label(wnid, name) for _, wnid, name in rows)


def of(network: Network) -> tuple[Label, ...]:
    """Return the labels of a network in the order of its outputs.
    A class of its own that is named by one of ImageNet's WordNet ids is that class."""
    if network.taught is None:
        return load(network.labels)
    known = {label.wnid: label for label in load("imagenet")}
    own = tuple(known.get(name, Label("", name)) for name in network.taught.classes)
    if not network.taught.extends:
        return own
    return load(find_published(network.taught.backbone).labels) + own


def top_predictions(
    probabilities: NDArray[np.float32], labels: tuple[Label, ...], top: int
) -> tuple[Prediction, ...]:
    """Return the `top` best of (classes,) probabilities; equal ones by their index."""
    best = (-probabilities).argsort(kind="stable")[:top]
    return tuple(
        Prediction(int(i), labels[i].wnid, labels[i].name, float(probabilities[i])) for i in best
    )
