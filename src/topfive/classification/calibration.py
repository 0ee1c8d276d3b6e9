"""What `topfive calibrate` found, and the answers by it: calibrated probabilities, the set of
classes that holds the truth as often as is asked, whether a picture is unlike any known one."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from topfive.classification.options import METHODS, REJECT_SCORES
from topfive.engines.run import log_softmax, softmax
from topfive.errors import UsageError
from topfive.networks import records
from topfive.networks.cards import Network

# Under the lower bound float32 would hold too little of a probability to undo the temperature.
TEMPERATURES = (0.25, 10.0)
LARGEST = 1e12  # of any number in a record, which anybody may have written
SMALLEST = np.finfo(np.float32).tiny


@dataclass(frozen=True)
class Calibration:
    """How a network's logits are read.

    `temperature` divides them before the softmax. `scores` are the conformal scores of the
    pictures' true classes, ascending; `penalty` and `free` are RAPS's lambda and k_reg (0 for
    APS). A picture is rejected whose `reject_score` is under `threshold`, as those of a share
    of at most `reject_rate` of the pictures are. `nll` (mean negative log-likelihood, nats) and
    `ece` (expected calibration error, 0 to 1) are without and with the temperature, measured
    on pictures that it was not fitted to. `version` is topfive's.
    """

    temperature: float
    method: str
    scores: tuple[float, ...]
    penalty: float
    free: int
    reject_score: str
    threshold: float
    reject_rate: float
    pictures: int
    recipe: str
    precision: str
    nll: tuple[float, float]
    ece: tuple[float, float]
    version: str

    def probabilities(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the calibrated probabilities of (…, classes) logits, in the same shape.

        Source: Guo et al. 2017, arXiv:1706.04599.
        """
        return softmax(logits, self.temperature)

    def prediction_set(
        self, probabilities: NDArray[np.float32], coverage: float
    ) -> NDArray[np.intp]:
        """Return the classes, best first, of the set that holds the truth as often as
        `coverage` (0 to 1), given calibrated (classes,) probabilities. It is never empty.

        The scores are those of the network's own probabilities, at temperature 1: they are
        then independent of what was fitted to the calibration pictures, as the promise wants.

        Raises:
            UsageError: see `check_coverage`.
        """
        bound = self.scores[self.check_coverage(coverage) - 1]
        order = ranking(probabilities)
        logits = np.log(np.maximum(probabilities[order], SMALLEST))
        own = softmax(logits, 1 / self.temperature)
        scores = conformal_scores(own, self.penalty, self.free)
        return order[: max(1, int(np.searchsorted(scores, bound, side="right")))]

    def check_coverage(self, coverage: float) -> int:
        """Return which of the `scores`, counted from 1, bounds the sets of a coverage.

        Raises:
            UsageError: it is not between 0 and 1, or takes more pictures than there were.
        """
        if not 0 < coverage < 1:
            raise UsageError(f"the coverage must be between 0 and 1; received {coverage}")
        count = len(self.scores)
        place = quantile(count, coverage)
        if place > count:
            needed = math.ceil(coverage / (1 - coverage) - 1e-9)
            raise UsageError(
                f"a coverage of {coverage:g} needs at least {needed:,} pictures; the network "
                f"was calibrated with {count:,}"
            )
        return place

    def is_known(self, logits: NDArray[np.float32]) -> bool:
        """Return whether (classes,) logits are like those of the calibration pictures."""
        return bool(reject_scores(logits, self.reject_score) >= self.threshold)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> Calibration:
        """Return what `to_dict` wrote.

        Raises:
            ValueError: a value is missing, unknown, of another type or out of its range.
        """
        if wrong := _CHECKS.keys() ^ entry.keys():
            raise ValueError(f"missing or unknown: {', '.join(sorted(wrong))}")
        values: dict[str, Any] = {}
        for name, fits in _CHECKS.items():
            value = entry[name]
            values[name] = tuple(value) if isinstance(value, list) else value
            if not fits(values[name]):
                raise ValueError(f"{name} is {str(value)[:40]}")
        if values["pictures"] != len(values["scores"]):
            raise ValueError(f"{len(values['scores'])} scores of {values['pictures']} pictures")
        return cls(**values)


def find(network: Network, checksum: str, precision: str, recipe: str) -> Calibration:
    """Return what was stored for a network with these weights, this precision and recipe.

    Raises:
        UsageError: nothing was, or it is damaged.
    """
    stored = records.read(network.name, checksum).get(records.CALIBRATIONS, {})
    run = f"topfive calibrate DIR --model {shlex.quote(network.reference)}"
    asked = key(precision, recipe)
    if asked not in stored:
        others = f" (it is for {', '.join(sorted(stored))})" if stored else ""
        raise UsageError(
            f"{network.name} is not calibrated for {asked} with these weights{others}: {run}, "
            "with the same options for weights, recipe and precision"
        )
    try:
        if not isinstance(stored[asked], dict):
            raise ValueError("not a table")
        return Calibration.from_dict(stored[asked])
    except ValueError as error:
        file = records.path(network.name, checksum)
        raise UsageError(
            f"the calibration for {asked} in {file} is damaged ({error}): {run}"
        ) from error


def key(precision: str, recipe: str) -> str:
    """Return the name of a calibration in a network's record."""
    return f"{precision} {recipe}"


def quantile(count: int, coverage: float) -> int:
    """Return which of `count` ascending scores, from 1, bounds the sets of a coverage (0 to 1)
    in split conformal prediction; more than `count` where so few cannot.

    Source: Papadopoulos et al. 2002, doi:10.1007/3-540-36755-1_29.
    """
    return math.ceil((count + 1) * coverage - 1e-9)  # 0.07 * 100 is more than 7


def ranking(probabilities: NDArray[np.float32]) -> NDArray[np.intp]:
    """Return the classes of (…, classes) probabilities, best first; equal ones by index."""
    return np.argsort(-probabilities, axis=-1, kind="stable")


def conformal_scores(ranked: NDArray[np.float32], penalty: float, free: int) -> NDArray[np.float64]:
    """Return the score of every class of (…, classes) probabilities in descending order.

    It is the probability of all better classes, and a `penalty` for each rank after the
    first `free`; it rises from class to class. APS as published adds a random share of the
    class's own probability. Without it no answer hangs on chance, no set is empty, coverage
    is still as asked (any score is valid that is one function for all pictures), and of 80
    photographs to calibrate with and 80 others SqueezeNet's sets are the smallest: for 0.9
    they have 4.9 classes with APS and 3.6 with RAPS; with the random share 7.9 and 4.3, with
    all of it 254 and 6.9, as the right answer of a sure network then scores nearly 1.

    Source: APS, Romano et al. 2020, arXiv:2006.02544; RAPS, Angelopoulos et al. 2021,
    arXiv:2009.14193.
    """
    better = np.cumsum(ranked, axis=-1, dtype=np.float64) - ranked
    ranks = np.arange(1, ranked.shape[-1] + 1)
    return np.asarray(better + penalty * np.maximum(0, ranks - free))


def reject_scores(logits: NDArray[np.floating], score: str) -> NDArray[np.float64]:
    """Return how well the network knows what (…, classes) logits stand for: the higher, the
    better. `energy` is their log-sum-exp, the negative of the energy; `max_logit` the largest.

    Source: Liu et al. 2020, arXiv:2010.03759; Hendrycks et al. 2022, arXiv:1911.11132.
    """
    largest = np.asarray(logits.max(axis=-1), np.float64)
    return largest if score == "max_logit" else largest - log_softmax(logits).max(axis=-1)


def _is_number(value: object, low: float = -math.inf, high: float = math.inf) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return -LARGEST <= value <= LARGEST and low <= value <= high


def _is_pair(value: object, high: float) -> bool:
    if not isinstance(value, tuple) or len(value) != 2:
        return False
    return all(_is_number(one, 0, high) for one in value)


def _is_ascending(value: object) -> bool:
    if not isinstance(value, tuple) or not value or {*map(type, value)} - {int, float}:
        return False
    return all(low <= high <= LARGEST for low, high in pairwise((0, *value)))


_CHECKS: dict[str, Callable[[Any], bool]] = {
    "temperature": lambda value: _is_number(value, *TEMPERATURES),
    "method": lambda value: value in METHODS,
    "scores": _is_ascending,
    "penalty": lambda value: _is_number(value, 0),
    "free": lambda value: _is_number(value, 0) and isinstance(value, int),
    "reject_score": lambda value: value in REJECT_SCORES,
    "threshold": _is_number,
    "reject_rate": lambda value: _is_number(value, 0, 1),
    "pictures": lambda value: _is_number(value, 1) and isinstance(value, int),
    "recipe": lambda value: isinstance(value, str),
    "precision": lambda value: isinstance(value, str),
    "nll": lambda value: _is_pair(value, math.inf),
    "ece": lambda value: _is_pair(value, 1),
    "version": lambda value: isinstance(value, str),
}
