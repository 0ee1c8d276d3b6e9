"""Comparisons of networks that were never run, on pictures with names that mean harm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from topfive.evaluation import metrics
from topfive.evaluation.evaluations import Comparison, Evaluation, Judgement, comparison_of
from topfive.networks import labels
from topfive.networks.cards import Network
from topfive.networks.published import NETWORKS
from topfive.results import Failure, Prediction

LABELS = labels.load("imagenet")
HOSTILE = (
    "<script>alert(1)</script>.jpg",
    '"><img src=x onerror=alert(1)>.jpg',
    "' onmouseover='alert(1)' x='.jpg",
    "</style><script>alert(1)<.jpg",
    "{{ 7 * 7 }}{% raw %}.jpg",
    "\u202egpj.exe.jpg",
    "red \x1b[31m and a\nnew line.jpg",
    "not unicode \udcff.jpg",
    "| a `b` **c** _d_ [e](https://x.y) ![f](z) & &lt; $g$.jpg",
    "été.jpg",
)


def pictures(folder: Path, names: Sequence[str], size: tuple[int, int] = (64, 48)) -> list[str]:
    """Write pictures of one colour each, and return the names of their sources."""
    sources = []
    for number, name in enumerate(names):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as stream:
            Image.new("RGB", size, colour(number)).save(stream, "JPEG", quality=95)
        sources.append(f"{folder}/{name}")
    return sources


def colour(number: int) -> tuple[int, int, int]:
    return (40 + 47 * number % 200, 40 + 83 * number % 200, 40 + 131 * number % 200)


def judgement(source: str, truth: int, first: int, probability: float = 0.9) -> Judgement:
    second = (first + 1) % len(LABELS) if first == truth else truth
    best = [(first, probability), (second, (1 - probability) / 2)]
    best += [((first + step) % len(LABELS), 0.001) for step in (7, 8, 9)]
    predictions = tuple(
        Prediction(index, LABELS[index].wnid, LABELS[index].name, share) for index, share in best
    )
    rank = 1 if first == truth else 2
    return Judgement(source, truth, predictions, rank, predictions[rank - 1].probability)


def evaluation(
    network: str | Network, judgements: Sequence[Judgement], failures: Sequence[Failure] = ()
) -> Evaluation:
    """Return what `evaluate` makes of these judgements."""
    card = NETWORKS[network] if isinstance(network, str) else network
    truths = np.array([one.truth for one in judgements], np.int64)
    first = np.array([one.predictions[0].index for one in judgements], np.int64)
    ranks = np.array([one.rank for one in judgements], np.int64)
    confidences = np.array([one.predictions[0].probability for one in judgements])
    bins = metrics.reliability(confidences, ranks == 1)
    return Evaluation(
        card, str(card.recipe), "f32", "sha256:0123", LABELS, False, tuple(judgements),
        tuple(failures), metrics.share(int((ranks == 1).sum()), len(ranks)),
        metrics.share(int((ranks <= 5).sum()), len(ranks)),
        metrics.by_class(truths, ranks, LABELS), metrics.confusions(truths, first),
        metrics.calibration_error(bins), bins, 2.0, 300_000_000,
    )  # fmt: skip


def comparison(
    folder: Path, sources: Sequence[str], answers: Mapping[str, Sequence[int]],
    failures: Sequence[Failure] = (), truths: Sequence[int] | None = None,
) -> Comparison:  # fmt: skip
    """Return a comparison in which a network's `answers` are by how much its first answer is
    beside the truth, a class for each source; 0 is right. The earlier the more confident."""
    truths = truths or range(len(sources))
    evaluations = []
    for network, differences in answers.items():
        judged = [
            judgement(source, truth, (truth + difference) % len(LABELS), 0.95 - 0.9 * share)
            for source, truth, difference, share in zip(
                sources, truths, differences, np.linspace(0, 1, len(sources)), strict=True
            )
        ]
        evaluations.append(evaluation(network, judged, failures))
    return comparison_of(str(folder), "names that mean harm", len(set(truths)), evaluations)


def hostile(folder: Path) -> Comparison:
    """Two networks on pictures with hostile names: one is always wrong, one every second time."""
    sources = pictures(folder, HOSTILE)
    failures = [Failure("<b>gone</b>.jpg", "broken", "<i>no</i> reason\x1b[2J")]
    count = len(sources)
    return comparison(folder, sources, {"vgg16": [1] * count, "squeezenet": [0, 2] * (count // 2)},
                      failures)  # fmt: skip
