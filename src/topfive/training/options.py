"""How a training goes: its options, what they are where nothing is said, what they may be."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

from topfive.errors import UsageError
from topfive.networks.cards import check_choice

OPTIMIZERS = ("adamw", "sgd")
INITIALIZERS = ("he", "glorot")
MIXED = ("auto", "on", "off")
ALL = "all"
SPLIT = 0.2  # of the pictures are held out
PATIENCE = 5  # epochs
HEAD_FACTOR = 10  # by how much a head learns faster than the blocks under it

EPOCHS, HEAD_EPOCHS, SCRATCH_EPOCHS = 10, 10, 90
LEARNING_RATES = {"adamw": 1e-4, "sgd": 1e-3}
SCRATCH_RATES = {"adamw": 1e-3, "sgd": 0.05}
WEIGHT_DECAYS = {"adamw": 0.01, "sgd": 1e-4}
RANGES = {
    "epochs": (0, math.inf), "head_epochs": (0, math.inf), "patience": (1, math.inf),
    "batch": (1, 65_536), "seed": (0, 2**31 - 1), "weight_decay": (0, 1),
    "label_smoothing": (0, 0.99), "warmup": (0, 1), "augment": (0, 5),
}  # fmt: skip


@dataclass(frozen=True)
class Phase:
    """A part of a training: what learns, and in how many epochs."""

    name: str
    unfreeze: int | str
    epochs: int


@dataclass(frozen=True)
class Options:
    """The options of a training; what is left open, `resolved` fills in.

    First the head alone learns for `head_epochs`, `HEAD_FACTOR` times as fast, then with it the
    `unfreeze` top blocks (a number of them, or `all`) for `epochs`; `from_scratch` all learns
    from the first. `learning_rate` is the highest, reached after the share `warmup` of the steps
    and falling along a cosine to 0. `weight_decay` is the share of a weight that a step takes
    away, times the learning rate; `optimizer`, `initializer` and `mixed_precision` are of
    `OPTIMIZERS`, `INITIALIZERS` (for weights from scratch) and `MIXED` (auto: on GPUs).
    `patience` is for how many epochs nothing may get better before a phase ends. `augment` is
    how much pictures are varied: 0 not at all, 1 as is usual for photographs, 2 twice that.
    """

    from_scratch: bool = False
    epochs: int | None = None
    head_epochs: int | None = None
    unfreeze: int | str = 2
    batch: int = 32
    optimizer: str = "adamw"
    learning_rate: float | None = None
    weight_decay: float | None = None
    label_smoothing: float = 0.1
    warmup: float = 0.1
    patience: int | None = None
    augment: float = 1.0
    initializer: str = "he"
    mixed_precision: str = "auto"
    seed: int = 0

    def resolved(self) -> Options:
        """Return them with nothing left open.

        Raises:
            UsageError: one of them cannot be.
        """
        check_choice("optimizer", self.optimizer, OPTIMIZERS)
        check_choice("initializer", self.initializer, INITIALIZERS)
        check_choice("mixed precision", self.mixed_precision, MIXED)
        scratch = self.from_scratch
        rates = SCRATCH_RATES if scratch else LEARNING_RATES
        known = {
            "epochs": SCRATCH_EPOCHS if scratch else EPOCHS,
            "head_epochs": 0 if scratch else HEAD_EPOCHS,
            "learning_rate": rates[self.optimizer],
            "weight_decay": WEIGHT_DECAYS[self.optimizer],
            "patience": SCRATCH_EPOCHS if scratch else PATIENCE,
        }
        given = {name: value for name, value in asdict(self).items() if value is not None}
        found = Options(**{**known, **given})
        for name, (low, high) in RANGES.items():
            value = getattr(found, name)
            if not low <= value <= high or not math.isfinite(value):
                raise UsageError(
                    f"{name.replace('_', ' ')} is {low:g} to {high:g}; received {value:g}"
                )
        if not 0 < (found.learning_rate or 0) < math.inf:
            raise UsageError(f"a learning rate is over 0; received {found.learning_rate:g}")
        if self.unfreeze != ALL and (isinstance(self.unfreeze, str) or self.unfreeze < 0):
            raise UsageError(f"unfreeze is a number of blocks or {ALL}; received {self.unfreeze!r}")
        if scratch and found.head_epochs:
            raise UsageError("from scratch there is no head to begin with; head epochs are 0")
        if not (found.epochs or found.head_epochs):
            raise UsageError("there are no epochs to learn in")
        return found

    def phases(self) -> list[Phase]:
        """Return the parts that a training has."""
        head, more = self.head_epochs or 0, self.epochs or 0
        if self.from_scratch:
            return [Phase("all", ALL, more)]
        parts = [Phase("head", 0, head), Phase("blocks", self.unfreeze, more)]
        return [one for one in parts if one.epochs]
