"""What a picture is answered with: frozen values, no behaviour but conversion."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, NotRequired, TypedDict, cast


@dataclass(frozen=True)
class Prediction:
    """One class and its probability (0 to 1)."""

    index: int
    wnid: str
    label: str
    probability: float


@dataclass(frozen=True)
class Statement:
    """A class or a group of classes of the WordNet hierarchy, and its probability (0 to 1)."""

    wnid: str
    label: str
    probability: float


@dataclass(frozen=True)
class Classification:
    """The answer to one picture: the most probable classes, best first.

    `hierarchy` says what is likely, from the general to the specific, and `ancestors` how
    probable the groups are that were asked for; both are empty where they were not.
    `prediction_set` is the smallest set of classes that holds the truth as often as was asked
    for, best first, and `rejected` whether the picture is unlike those that the network was
    calibrated with; both are None where that was not asked.
    """

    source: str
    predictions: tuple[Prediction, ...]
    network: str
    recipe: str
    hierarchy: tuple[Statement, ...] = ()
    ancestors: tuple[Statement, ...] = ()
    prediction_set: tuple[Prediction, ...] | None = None
    rejected: bool | None = None

    def to_dict(self) -> dict[str, object]:
        """Return plain values, ready for JSON; what was not asked for is left out."""
        asked = {
            "hierarchy": self.hierarchy,
            "ancestors": self.ancestors,
            "prediction_set": self.prediction_set,
        }
        judged = {} if self.rejected is None else {"rejected": self.rejected}
        return {
            "source": self.source,
            "network": self.network,
            "recipe": self.recipe,
            "predictions": [asdict(prediction) for prediction in self.predictions],
            **{name: [asdict(one) for one in found] for name, found in asked.items() if found},
            **judged,
        }


@dataclass(frozen=True)
class Failure:
    """The answer to one picture that could not be classified.

    `kind` is the kind of the `PictureError`, `message` its text.
    """

    source: str
    kind: str
    message: str

    def to_dict(self) -> dict[str, object]:
        """Return plain values, ready for JSON."""
        return {
            "source": self.source,
            "error": {"kind": self.kind, "message": self.message},
        }


class Listener:
    """Hears how the reading of many pictures goes on; what is of interest is overridden."""

    def begin(self, total: int) -> None:
        """That many pictures will be read."""

    def add(self, source: str, failure: Failure | None) -> None:
        """One of them was, or could not be."""

    def end(self) -> None:
        """All were."""

    def warn(self, text: str) -> None:
        """Care is wanted; names of files in the text are as they are."""


@dataclass(frozen=True)
class Row:
    """One source of many: its answer, and where that comes from.

    `sha256` is that of its bytes (None where there are none), `width` and `height` are the
    upright picture's, `weights` is the hash of the network's weight file; `milliseconds` is
    the time that was spent on it, without the time in queues.
    """

    result: Classification | Failure
    network: str
    recipe: str
    weights: str
    milliseconds: float
    sha256: str | None = None
    width: int | None = None
    height: int | None = None

    def to_dict(self) -> RowDict:
        """Return plain values, ready for JSON, with the same keys for answers and failures."""
        values = {
            "source": self.result.source,
            "sha256": self.sha256,
            "width": self.width,
            "height": self.height,
            "network": self.network,
            "recipe": self.recipe,
            "weights": self.weights,
            "milliseconds": round(self.milliseconds, 3),
            "predictions": [],
            "error": None,
            **self.result.to_dict(),
        }
        return cast("RowDict", values)


class RowDict(TypedDict):
    """A `Row` in plain values; what was not asked for is left out, and of a failure all of it."""

    source: str
    sha256: str | None
    width: int | None
    height: int | None
    network: str
    recipe: str
    weights: str
    milliseconds: float
    predictions: list[dict[str, Any]]
    error: dict[str, str] | None
    hierarchy: NotRequired[list[dict[str, Any]]]
    ancestors: NotRequired[list[dict[str, Any]]]
    prediction_set: NotRequired[list[dict[str, Any]]]
    rejected: NotRequired[bool]
