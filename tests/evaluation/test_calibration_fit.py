"""What is fitted to logits, on made-up pictures and on photographs with real weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from tests.support import photographs
from topfive import Classifier
from topfive.classification.calibration import (
    Calibration,
    conformal_scores,
    quantile,
    ranking,
)
from topfive.engines.run import softmax
from topfive.errors import UsageError
from topfive.evaluation import calibration_fit, metrics
from topfive.evaluation.calibration_fit import (
    FREE,
    PENALTY,
    find_rejected,
    find_sets,
    find_temperature,
    fit,
)

pytestmark = pytest.mark.slow

Logits = NDArray[np.float32]
Truths = NDArray[np.intp]
SPLITS = 60
SIDE = 300


def draw_pictures(count: int, seed: int, classes: int = 20) -> tuple[Logits, Truths]:
    """Return logits whose softmax is the truth: classes are drawn from it."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (count, classes)).astype(np.float32)
    truths = [random.choice(classes, p=row / row.sum()) for row in softmax(logits).astype(float)]
    return logits, np.array(truths, np.intp)


def held(found: Calibration, logits: Logits, truths: Truths, coverage: float) -> list[bool]:
    sets = (found.prediction_set(row, coverage) for row in found.probabilities(logits))
    return [truth in members for truth, members in zip(truths, sets, strict=True)]


@pytest.fixture(scope="module")
def network(compiled: Path) -> Classifier:
    """The default network, whose weights are real."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TOPFIVE_CACHE", str(compiled))
        return Classifier(throughput=True)


@pytest.fixture(scope="module")
def answers(network: Classifier) -> tuple[Logits, Truths]:
    """The network's logits for 160 pictures, and their classes. Two thirds it knows."""
    index = {label.name: number for number, label in enumerate(network.labels)}
    pictures = [(picture, index[label]) for name, label in photographs.LABELS.items()
                for picture in photographs.variations(name, 23)][:160]  # fmt: skip
    logits = ask(network, [picture for picture, _ in pictures])
    return logits, np.array([truth for _, truth in pictures], np.intp)


def ask(network: Classifier, pictures: Sequence[Path | Image.Image]) -> Logits:
    return np.array(
        [response.values for _, response in network.responses(pictures, output="logits")]
    )


def halves(answers: tuple[Logits, Truths]) -> list[tuple[Logits, Truths, Logits, Truths]]:
    """Return many ways to part the photographs into two halves."""
    logits, truths = answers
    random = np.random.default_rng(5)
    orders = [random.permutation(len(truths)) for _ in range(SPLITS)]
    return [(logits[one[:80]], truths[one[:80]], logits[one[80:]], truths[one[80:]])
            for one in orders]  # fmt: skip


@pytest.fixture(scope="module")
def fitted(answers: tuple[Logits, Truths]) -> list[tuple[Calibration, Logits, Truths]]:
    """A calibration by one half of the photographs each, and the other half."""
    return [(fit(logits, truths, recipe="r"), others, classes)
            for logits, truths, others, classes in halves(answers)]  # fmt: skip


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
def test_the_sets_of_held_out_photographs_hold_the_truth_as_often_as_asked(
    coverage: float, fitted: list[tuple[Calibration, Logits, Truths]]
) -> None:
    shares = [np.mean(held(found, logits, truths, coverage)) for found, logits, truths in fitted]
    error = 3 * np.std(shares) / np.sqrt(SPLITS)
    assert np.mean(shares) >= coverage - error
    # 80 pictures promise steps of 1/81; more than that would be bought with larger sets.
    assert np.mean(shares) <= coverage + 1 / 81 + error
    assert error < 0.03


def test_the_sets_are_small_and_those_of_many_classes_are_rare(
    fitted: list[tuple[Calibration, Logits, Truths]],
) -> None:
    sizes = [len(found.prediction_set(row, 0.9))
             for found, logits, _ in fitted for row in found.probabilities(logits)]  # fmt: skip
    assert np.mean(sizes) < 6
    assert np.median(sizes) == 2
    assert max(sizes) < 100


def test_the_sets_are_smaller_than_those_that_trust_the_probabilities(
    answers: tuple[Logits, Truths], fitted: list[tuple[Calibration, Logits, Truths]]
) -> None:
    for coverage in (0.8, 0.9):
        sizes = [len(found.prediction_set(row, coverage))
                 for found, logits, _ in fitted for row in found.probabilities(logits)]  # fmt: skip
        best = -np.sort(-softmax(answers[0]), axis=1)
        naive = np.count_nonzero(np.cumsum(best, axis=1) - best < coverage, axis=1)
        assert np.mean(sizes) < 0.85 * np.mean(naive)


def test_the_scores_make_smaller_sets_than_those_with_a_share_of_the_own_probability(
    answers: tuple[Logits, Truths],
) -> None:
    logits, truths = answers
    own = softmax(logits)
    order = ranking(own)
    ranked = np.take_along_axis(own, order, 1)
    at = order == truths[:, None]
    random = np.random.default_rng(2)

    def mean_size(penalty: float, free: int, share: Callable[[], NDArray[np.float64]]) -> float:
        sizes = []
        for _ in range(SPLITS):
            scores = conformal_scores(ranked, penalty, free) + share() * ranked
            mixed = random.permutation(len(truths))
            bound = np.sort(scores[at][mixed[:80]])[quantile(80, 0.9) - 1]
            inside = np.count_nonzero(scores[mixed[80:]] <= bound, axis=1)
            sizes.append(np.maximum(1, inside).mean())
        return float(np.mean(sizes))

    shares: dict[str, Callable[[], NDArray[np.float64]]] = {
        "none": lambda: np.zeros((160, 1)),
        "random": lambda: random.random((160, 1)),
        "all": lambda: np.ones((160, 1)),
    }
    aps, raps = ([mean_size(*one, share) for share in shares.values()]
                 for one in ((0.0, 0), (PENALTY, FREE)))  # fmt: skip
    assert aps[0] < 0.8 * aps[1] < 0.2 * aps[2]
    assert raps[0] < 0.95 * raps[1] < 0.8 * raps[2]
    assert raps[0] < 0.9 * aps[0]


def test_the_temperature_makes_held_out_photographs_more_likely(
    fitted: list[tuple[Calibration, Logits, Truths]],
) -> None:
    gains = []
    for found, logits, truths in fitted:
        at = np.arange(len(truths)), truths
        before, after = np.log(softmax(logits)[at]), np.log(found.probabilities(logits)[at])
        gains.append(np.mean(after - before))
        assert 0.5 < found.temperature < 0.8, "the network is less sure than it is right"
    assert np.mean(gains) > 3 * np.std(gains) / np.sqrt(SPLITS)


def noise(random: np.random.Generator) -> Image.Image:
    return Image.fromarray(random.integers(0, 256, (SIDE, SIDE, 3), np.uint8))


def plain(random: np.random.Generator) -> Image.Image:
    return Image.new("RGB", (SIDE, SIDE), tuple(random.integers(0, 256, 3).tolist()))


def blend(random: np.random.Generator) -> Image.Image:
    first, second = random.uniform(0, 255, (2, 3))
    part = np.linspace(0, 1, SIDE)[:, None, None]
    pixels = np.broadcast_to(first * (1 - part) + second * part, (SIDE, SIDE, 3))
    return Image.fromarray(pixels.astype(np.uint8))


def text(random: np.random.Generator) -> Image.Image:
    picture = Image.new("RGB", (SIDE, SIDE), "white")
    size = int(random.integers(10, 28))
    for y in range(5, SIDE, size + 4):
        letters = "".join(map(chr, random.integers(97, 123, 60))).replace("e", " ")
        ImageDraw.Draw(picture).text((5, y), letters, "black", ImageFont.load_default(size))
    return picture


def drawing(random: np.random.Generator) -> Image.Image:
    picture = Image.new("RGB", (SIDE, SIDE), "white")
    pen = ImageDraw.Draw(picture)
    for kind in random.integers(0, 3, random.integers(4, 12)):
        (left, right), (top, bottom) = np.sort(random.integers(0, SIDE, (2, 2))).tolist()
        colour = tuple(random.integers(0, 256, 3).tolist())
        if kind == 0:
            pen.line((left, top, right, bottom), colour, 4)
        elif kind == 1:
            pen.ellipse((left, top, right + 1, bottom + 1), None, colour, 4)
        else:
            pen.rectangle((left, top, right + 1, bottom + 1), colour)
    return picture


UNLIKE = {"noise": noise, "plain": plain, "blend": blend, "text": text, "drawing": drawing}


def rejected(
    network: Classifier, names: Iterable[str], found: Sequence[Calibration]
) -> list[dict[str, float]]:
    """Return by calibration and name what share of 30 such pictures is like none."""
    random = np.random.default_rng(0)
    asked = {name: ask(network, [UNLIKE[name](random) for _ in range(30)]) for name in names}
    return [{name: float(np.mean([not one.is_known(row) for row in logits]))
             for name, logits in asked.items()} for one in found]  # fmt: skip


def test_pictures_of_nothing_are_rejected(
    answers: tuple[Logits, Truths], network: Classifier
) -> None:
    scores = [fit(*answers, reject_score=score, recipe="r") for score in ("energy", "max_logit")]
    for shares in rejected(network, ("noise", "plain", "blend"), scores):
        assert min(shares.values()) > 0.9


def test_pictures_unlike_any_are_rejected_more_by_energy_than_by_the_largest_logit(
    shared: Path, warm: Path
) -> None:
    """By SqueezeNet, whose photographs have a class each."""
    weights = shared / "weights" / "compressed_SqueezeNet.net"
    network = Classifier("squeezenet", weights=weights, throughput=True)
    files = sorted((shared / "images").glob("*.JPEG"))
    index = {label.wnid: number for number, label in enumerate(network.labels)}
    truths = np.array([index[file.name.split("_")[0]] for file in files], np.intp)
    logits = ask(network, files)
    scores = [fit(logits, truths, reject_score=score, recipe="r")
              for score in ("energy", "max_logit")]  # fmt: skip
    energy, largest = rejected(network, UNLIKE, scores)
    assert all(energy[name] > 0.9 for name in ("noise", "plain", "blend"))
    # Some look like what it knows: a book jacket, a crossword puzzle, an oscilloscope.
    assert all(0.4 < energy[name] < 0.9 for name in ("text", "drawing"))
    assert sum(energy.values()) > sum(largest.values())


@pytest.mark.parametrize("score", ["energy", "max_logit"])
def test_held_out_photographs_are_rejected_no_more_often_than_asked(
    score: str, answers: tuple[Logits, Truths]
) -> None:
    shares = []
    for logits, truths, others, _ in halves(answers):
        found = fit(logits, truths, reject_score=score, reject_rate=0.1, recipe="r")
        shares.append(np.mean([not found.is_known(row) for row in others]))
    error = 3 * np.std(shares) / np.sqrt(SPLITS)
    # The 8th of 80 pictures bounds it: 8 of 81 new ones are under that.
    assert 8 / 81 - error <= np.mean(shares) <= 0.1 + error


@pytest.mark.parametrize("method", ["aps", "raps"])
@pytest.mark.parametrize("coverage", [0.6, 0.9, 0.95])
def test_sets_are_valid_on_pictures_that_come_alike(method: str, coverage: float) -> None:
    shares = []
    for seed in range(30):
        logits, truths = draw_pictures(250, seed)
        logits *= 3  # a network that is too sure of itself
        found = fit(logits[:50], truths[:50], method=method, recipe="r")
        shares.append(np.mean(held(found, logits[50:], truths[50:], coverage)))
    error = 3 * np.std(shares) / np.sqrt(len(shares))
    assert coverage - error <= np.mean(shares) <= coverage + 1 / 51 + error


@pytest.mark.parametrize("method", ["aps", "raps"])
def test_sets_are_valid_where_all_probabilities_are_0_or_1(method: str) -> None:
    shares = []
    for seed in range(30):
        logits, truths = draw_pictures(250, seed)
        logits *= 2000
        found = fit(logits[:50], truths[:50], method=method, recipe="r")
        shares.append(np.mean(held(found, logits[50:], truths[50:], 0.9)))
    assert np.mean(shares) >= 0.9 - 3 * np.std(shares) / np.sqrt(len(shares))


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.5])
def test_the_temperature_undoes_what_the_logits_were_multiplied_by(scale: float) -> None:
    logits, truths = draw_pictures(3000, 1)
    assert find_temperature(logits * np.float32(scale), truths) == pytest.approx(scale, rel=0.08)


def test_measures_of_the_temperature_are_of_pictures_it_was_not_fitted_to() -> None:
    logits, truths = draw_pictures(2500, 3)  # more than are computed at a time
    found = fit(logits * 3, truths, recipe="r")
    at = np.arange(2500), truths
    assert found.nll[0] == pytest.approx(-np.log(softmax(logits * 3)[at]).mean(), rel=1e-4)
    best = -np.log(found.probabilities(logits * 3)[at]).mean()
    assert best < found.nll[1] < best + 0.001
    right = logits.argmax(axis=1) == truths
    bins = metrics.reliability(softmax(logits * 3).max(axis=1), right)
    assert found.ece[0] == pytest.approx(metrics.calibration_error(bins), rel=1e-4)
    assert found.ece[1] < 0.05 < 0.2 < found.ece[0]


def test_measures_of_the_sets_are_what_the_pictures_of_each_tenth_say() -> None:
    logits, truths = draw_pictures(1500, 4)
    found = fit(logits, truths, recipe="r")
    measured = find_sets(found, logits, truths)
    assert [one.coverage for one in measured] == [0.8, 0.9, 0.95]
    fresh, classes = draw_pictures(3000, 5)
    for one in measured:
        assert one.held.low < one.coverage < one.held.high
        assert one.low < one.held.value
        sizes = [len(found.prediction_set(row, one.coverage))
                 for row in found.probabilities(fresh)]  # fmt: skip
        assert one.size == pytest.approx(np.mean(sizes), rel=0.1)
        assert np.mean(held(found, fresh, classes, one.coverage)) > one.low
    rejected = find_rejected(found, logits)
    assert rejected.of == 1500
    assert rejected.low < 0.05 < rejected.high


def test_coverages_that_so_few_pictures_cannot_promise_are_not_measured() -> None:
    logits, truths = draw_pictures(20, 6)
    found = fit(logits, truths, recipe="r")
    assert [one.coverage for one in find_sets(found, logits, truths)] == [0.8, 0.9]


def test_too_few_pictures_for_the_reject_rate_say_how_many_are_wanted() -> None:
    logits, truths = draw_pictures(18, 7)
    with pytest.raises(UsageError, match=r"0\.05 needs at least 19 pictures.*; 18 could be read"):
        fit(logits, truths, recipe="r")
    assert fit(logits, truths, reject_rate=0.1, recipe="r").pictures == 18
    with pytest.raises(UsageError, match=r"needs at least 9 pictures.*; 0 could be read"):
        fit(logits[:0], truths[:0], reject_rate=0.1, recipe="r")


def test_unknown_options_are_refused_with_the_known_ones() -> None:
    logits, truths = draw_pictures(30, 8)
    with pytest.raises(UsageError, match="unknown method 'lac'; expected one of raps, aps"):
        fit(logits, truths, method="lac", recipe="r")
    with pytest.raises(UsageError, match="unknown reject score"):
        fit(logits, truths, reject_score="softmax", recipe="r")
    for rate in (0.0, 1.0, float("nan")):
        with pytest.raises(UsageError, match="between 0 and 1"):
            fit(logits, truths, reject_rate=rate, recipe="r")


def test_what_is_fitted_can_be_stored_and_is_the_same_again() -> None:
    logits, truths = draw_pictures(40, 9)
    found = fit(logits, truths, method="aps", recipe="crop", precision="bf16")
    assert (found.penalty, found.free, found.pictures) == (0, 0, 40)
    assert (found.recipe, found.precision) == ("crop", "bf16")
    assert Calibration.from_dict(found.to_dict()) == found
    assert fit(logits, truths, method="aps", recipe="crop", precision="bf16") == found


def test_groups_are_in_one_tenth_each() -> None:
    groups = np.arange(60) // 3
    for train, test in calibration_fit._folds(60, groups):
        assert not {*groups[train]} & {*groups[test]}
        assert len(train) + len(test) == 60
    plain = [test.tolist() for _, test in calibration_fit._folds(60, None)]
    assert plain == [test.tolist() for _, test in calibration_fit._folds(60, np.arange(60))]
