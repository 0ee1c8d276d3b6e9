"""What a network loses in lower precision, and whether that is little enough to admit it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from topfive.engines.run import Run
from topfive.errors import EngineError
from topfive.evaluation import metrics
from topfive.evaluation.metrics import Measure

AGREEMENT = 0.95  # the least
LOSS = 1.0  # points of top-5 accuracy, the most
BEST = 5
ROUNDS, SECONDS = 5, 0.5  # of the measured speed, for each network


@dataclass(frozen=True)
class Accuracy:
    """How often the truth is among the first answers, in float32 and in lower precision, and
    the difference in percentage points with its 95 % interval: below zero is a loss."""

    exact: Measure
    lower: Measure
    points: float
    low: float
    high: float


@dataclass(frozen=True)
class Measurement:
    """A lower precision beside float32, on pictures that it was not made with.

    `agreement` is how often the first answers are the same, `overlap` which share of the five
    best are (0 to 1, the mean), `shift` which share of the probability is with other classes
    (0 to 1, the mean). `top1` and `top5` are None where the pictures have no classes.
    `rates` are pictures a second, in float32 and in lower precision.
    """

    pictures: int
    agreement: Measure
    overlap: float
    shift: float
    top1: Accuracy | None
    top5: Accuracy | None
    rates: tuple[float, float]

    @property
    def faster(self) -> float:
        """How many times faster than float32 it is."""
        return self.rates[1] / self.rates[0]

    @property
    def agrees(self) -> bool:
        """Whether the first answers are the same often enough."""
        return self.agreement.value >= AGREEMENT

    @property
    def accurate(self) -> bool:
        """Whether the truth, as far as it is known, is among the five best often enough."""
        return self.top5 is None or self.top5.points >= -LOSS

    @property
    def admitted(self) -> bool:
        """Whether the loss is little enough."""
        return self.agrees and self.accurate

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return asdict(self) | {"faster": self.faster, "admitted": self.admitted}


def measure(
    exact: Run,
    lower: Run,
    pictures: NDArray[np.uint8],
    truths: Sequence[int] | None,
    seconds: float,
) -> Measurement:
    """Let both answer (n, size, size, 3) pictures and return what differs.

    `truths` are the indices of their classes. The speed is that of many pictures, turn by turn
    for `seconds` each.

    Raises:
        EngineError: the answers are no numbers.
    """
    runs = (exact, lower)
    with ThreadPoolExecutor(max(run.parallel() for run in runs)) as pool:
        started = perf_counter()
        before, after = (_answers(run, pictures, len(pictures), pool) for run in runs)
        for answers in (before, after):
            if not np.isfinite(answers).all():
                raise EngineError("the network's answers are no numbers (NaN)")
        # What takes both a second or so, by how long they took so far.
        count = math.ceil(len(pictures) * 2 * seconds / (perf_counter() - started))
        rounds = [[_rate(run, pictures, count, pool) for run in runs] for _ in range(ROUNDS)]
    exact_rate, lower_rate = np.median(rounds, axis=0)
    best = [np.argsort(-answers, axis=1, kind="stable")[:, :BEST] for answers in (before, after)]
    common = [len(np.intersect1d(one, other)) for one, other in zip(*best, strict=True)]
    same = int((best[0][:, 0] == best[1][:, 0]).sum())
    found = [answers == np.asarray(truths or [-1])[:, None] for answers in best]
    return Measurement(
        len(pictures),
        metrics.share(same, len(pictures)),
        float(np.mean(common)) / best[0].shape[1],  # some networks have fewer classes
        float(np.abs(before - after).sum(axis=1).mean()) / 2,
        _accuracy(found[0][:, 0], found[1][:, 0]) if truths else None,
        _accuracy(found[0].any(axis=1), found[1].any(axis=1)) if truths else None,
        (float(exact_rate), float(lower_rate)),
    )


def _accuracy(exact: NDArray[np.bool_], lower: NDArray[np.bool_]) -> Accuracy:
    count, won, lost = len(exact), int((lower & ~exact).sum()), int((exact & ~lower).sum())
    return Accuracy(
        metrics.share(int(exact.sum()), count),
        metrics.share(int(lower.sum()), count),
        100 * (won - lost) / count,
        *(100 * bound for bound in paired_difference(won, lost, count)),
    )


def refusal(measurement: Measurement) -> str:
    """Return, in a line, what was measured and what would have been enough."""
    said = [
        f"its first answer is float32's on {measurement.agreement.value:.1%} of "
        f"{measurement.pictures} pictures (at least {AGREEMENT:.0%} is enough)"
    ]
    if top5 := measurement.top5:
        said.append(
            f"the truth is among its five best {top5.points:+.1f} points as often (at least "
            f"{-LOSS:+g} is; 95 % interval {top5.low:+.1f} to {top5.high:+.1f})"
        )
    return "; ".join(said)


def paired_difference(won: int, lost: int, count: int) -> tuple[float, float]:
    """Return the 95 % interval of the difference between two shares of the same `count`
    pictures, `won` by the second alone and `lost` by it.

    Source: Bonett and Price 2012, doi:10.3102/1076998611411915.
    """
    from scipy.stats import norm

    gain, loss = (won + 1) / (count + 2), (lost + 1) / (count + 2)
    width = norm.ppf((1 + metrics.CONFIDENCE) / 2) * math.sqrt(
        (gain + loss - (gain - loss) ** 2) / (count + 2)
    )
    return max(-1.0, gain - loss - float(width)), min(1.0, gain - loss + float(width))


def _answers(
    run: Run, pictures: NDArray[np.uint8], count: int, pool: ThreadPoolExecutor
) -> NDArray[np.float32]:
    """Return the answers to `count` pictures, from the first again after the last."""
    numbers = np.arange(count) % len(pictures)
    batches = (numbers[start : start + run.batch] for start in range(0, count, run.batch))
    return np.concatenate(list(pool.map(lambda batch: run(pictures[batch]), batches)))


def _rate(run: Run, pictures: NDArray[np.uint8], count: int, pool: ThreadPoolExecutor) -> float:
    started = perf_counter()
    _answers(run, pictures, count, pool)
    return count / (perf_counter() - started)
