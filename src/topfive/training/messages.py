"""What `tune` and the process that trains tell each other, in JSON on its way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

from topfive.networks.cards import Recipe
from topfive.training.checkpoints import FOLDER
from topfive.training.options import Options

# What an epoch gave: `epoch` from 1, `phase`, `loss`, `accuracy`, `val_loss`, `val_accuracy`,
# `learning_rate` at its end, `seconds`. Losses are means over pictures, accuracies 0 to 1,
# seconds the epoch's own.
HistoryRow = dict[str, Any]


class PlannedPhase(TypedDict):
    """A phase (`head`, `blocks`, `all`), its most epochs, and how many parameters learn in it."""

    phase: str
    epochs: int
    trainable: int


class Computing(TypedDict):
    """What is computed with; `devices` are their names."""

    backend: str
    devices: list[str]
    mixed_precision: bool


class Plan(Computing):
    """What will be done. `pictures` and `held_out` are counts, `steps` those of an epoch,
    `resumed_from` the epochs that are done."""

    classes: list[str]
    pictures: int
    held_out: int
    phases: list[PlannedPhase]
    steps: int
    resumed_from: int


@dataclass(frozen=True)
class Folders:
    """Where the pictures are, what of them is held out, and where the network goes; see `tune`.
    `split` does not count where there is a `validation`."""

    pictures: str
    out: str
    validation: str | None
    split: float

    @property
    def work(self) -> Path:
        """The folder of what a training keeps for itself until it has ended."""
        return Path(self.out) / FOLDER


@dataclass(frozen=True)
class TrainingRequest:
    """A training that is asked for. `network` is a card's reference, `weights` are a file and its
    hash, or None from scratch; `options` are resolved."""

    folders: Folders
    network: str
    weights: tuple[str, str] | None
    recipe: Recipe
    options: Options
    backend: str
    max_pixels: int
    restart: bool

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainingRequest:
        """Return the request that `asdict` made plain, after JSON, too."""
        weights, recipe = values["weights"], values["recipe"]
        window = recipe["window"] and tuple(recipe["window"])
        parts = {
            "folders": Folders(**values["folders"]),
            "weights": weights and tuple(weights),
            "recipe": Recipe(**{**recipe, "window": window}),
            "options": Options(**values["options"]),
        }
        return cls(**{**values, **parts})


@dataclass(frozen=True)
class TrainingResult:
    """What came of a training, all plain values.

    `unreadable` and `copies` count pictures that were left out; `held_out` are the names of the
    others that were not learned from, `truths` their classes, `answers` the trained network's.
    """

    plan: Plan
    unreadable: int
    copies: int
    held_out: list[str]
    truths: list[int]
    answers: list[int]
    history: list[HistoryRow]
    best_epoch: int
    seconds: float
    parameters: int
