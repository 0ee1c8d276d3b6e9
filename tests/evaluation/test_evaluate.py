"""Networks measured on labelled pictures: with answers made by hand, and with real ones."""

from __future__ import annotations

import gc
import hashlib
import weakref
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.support import photographs
from topfive import Classifier
from topfive.engines.run import Run
from topfive.engines.table import ENGINES
from topfive.errors import EngineError, UsageError, WeightsError
from topfive.evaluation import evaluate, ground_truth
from topfive.evaluation.evaluate import EvaluationListener
from topfive.evaluation.evaluations import Evaluation
from topfive.networks import labels
from topfive.networks.cards import Recipe
from topfive.pictures import squares
from topfive.results import Failure

LABELS = labels.load("imagenet")
# What the fake network says of a picture whose red is n: the probabilities of classes.
SAID = [
    {0: 0.6, 1: 0.3, 2: 0.1},
    {0: 0.5, 1: 0.3, 2: 0.2},
    {5: 0.4, 6: 0.3, 0: 0.2, 1: 0.1},
    {7: 0.25, 8: 0.2, 9: 0.2, 10: 0.15, 11: 0.15, 1: 0.05},
    {3: 1.0},
    {0: np.nan},
]


def answer(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    values = np.zeros((len(pictures), 1000), np.float32)
    for row, number in zip(values, pictures[:, 0, 0, 0], strict=True):
        row[list(SAID[number])] = list(SAID[number].values())
    return values


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> list[weakref.ref[Any]]:
    """Put the fake network in the place of all; return what was loaded."""
    loaded: list[weakref.ref[Any]] = []

    def load(*_: object, **__: object) -> Run:
        run = Run(answer, answer, answer, parallel=lambda: 2)
        loaded.append(weakref.ref(run))
        return run

    monkeypatch.setitem(ENGINES, "openvino", load)
    return loaded


def save(folder: Path, number: int, name: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (number, 0, 0)).save(folder / name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures of tench (0) and goldfish (1)."""
    folder = tmp_path / "fish"
    for number, name in enumerate(
        ["tench/a.png", "goldfish/b.png", "tench/c.png", "goldfish/d.png", "goldfish/e.png"]
    ):
        save(folder, number, name)
    return folder


def test_a_large_jpeg_is_decoded_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fake: list[weakref.ref[Any]]
) -> None:
    """In `batch` it is at a part of its size, which may let another class come first."""
    sizes, fit = [], squares.fit

    def note(picture: Image.Image, size: int, recipe: Recipe) -> NDArray[np.uint8]:
        sizes.append(picture.size)
        return fit(picture, size, recipe)

    monkeypatch.setattr("topfive.pictures.squares.fit", note)
    (tmp_path / "tench").mkdir()
    Image.new("RGB", (2400, 2080)).save(tmp_path / "tench" / "a.jpg")
    evaluate.evaluate(tmp_path, ["lite0"])
    list(Classifier("lite0", throughput=True).rows([tmp_path / "tench" / "a.jpg"]))
    assert sizes == [(2400, 2080), (1200, 1040)]


class Heard(EvaluationListener):
    def __init__(self) -> None:
        self.said: list[object] = []

    def found(self, truth: ground_truth.GroundTruth) -> None:
        self.said.append(len(truth))

    def ready(self, classifier: Classifier) -> None:
        self.said.append((classifier.network.name, str(classifier.recipe)))

    def add(self, source: str, failure: Failure | None) -> None:
        self.said.append((Path(source).name, failure and failure.kind))


def by_name(evaluation: Evaluation) -> dict[str, tuple[int, int, float]]:
    return {Path(one.source).name: (one.predictions[0].index, one.rank, round(one.probability, 4))
            for one in evaluation.judgements}  # fmt: skip


@pytest.mark.slow
@pytest.mark.usefixtures("fake")
def test_all_classes_are_answers(folder: Path) -> None:
    comparison = evaluate.evaluate(folder, ["resnet50"])
    (evaluation,) = comparison.evaluations
    assert by_name(evaluation) == {
        "a.png": (0, 1, 0.6), "b.png": (0, 2, 0.3), "c.png": (5, 3, 0.2), "d.png": (7, 6, 0.05),
        # All but class 3 have nothing: 0 stands first of them by its index, then 1.
        "e.png": (3, 3, 0.0),
    }  # fmt: skip
    assert (evaluation.top1.hits, evaluation.top5.hits, evaluation.top1.of) == (1, 4, 5)
    assert [(one.index, one.top1.hits, one.top5.hits, one.top1.of)
            for one in evaluation.classes] == [(0, 1, 2, 2), (1, 0, 2, 3)]  # fmt: skip
    assert [(one.truth, one.predicted) for one in evaluation.confusions] == [
        (0, 5), (1, 0), (1, 3), (1, 7),
    ]  # fmt: skip
    # Confidences 0.6 (right), 0.5, 0.4, 0.25 and 1 (wrong), each alone in its bin.
    assert evaluation.calibration_error == pytest.approx((0.4 + 0.5 + 0.4 + 0.25 + 1) / 5)
    assert not evaluation.restricted
    assert (comparison.source, comparison.num_classes) == (str(folder), 2)
    assert comparison.layout == "folders named by label"
    assert evaluation.seconds > 0
    assert evaluation.memory > 1e7
    assert evaluation.pictures_per_second == 5 / evaluation.seconds


@pytest.mark.slow
@pytest.mark.usefixtures("fake")
def test_pictures_that_a_network_learned_from_are_told_once_and_measured(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number, name in enumerate(["n01440764/n01440764_10026.JPEG", "n01443537/a.JPEG"]):
        save(tmp_path / "some", number, name)
    recipes = ("default", "tutorial")
    comparison = evaluate.evaluate(tmp_path / "some", ["resnet50"], recipes=recipes)
    assert [one.top1.of for one in comparison.evaluations] == [2, 2]
    assert caplog.messages == [
        "1 of 2 pictures are named as those of ImageNet's training, which ResNet50 learned from; "
        "the accuracy on such pictures flatters; others give the true one"
    ]


@pytest.mark.usefixtures("fake")
def test_the_hashes_of_the_pictures_that_were_judged_are_handed_on(folder: Path) -> None:
    known = ground_truth.read(folder, LABELS)
    trial = evaluate.Trial(Classifier("resnet50"), known)
    evaluate.judge(trial)
    assert trial.hashes == [hashlib.sha256(source.read()).hexdigest() for source, _ in known]


@pytest.mark.slow
@pytest.mark.usefixtures("fake")
def test_restricted_the_classes_that_are_here_share_all(folder: Path) -> None:
    (evaluation,) = evaluate.evaluate(folder, ["resnet50"], restrict=True).evaluations
    assert by_name(evaluation) == {
        "a.png": (0, 1, round(0.6 / 0.9, 4)), "b.png": (0, 2, round(0.3 / 0.8, 4)),
        "c.png": (0, 1, round(0.2 / 0.3, 4)), "d.png": (1, 1, 1.0),
        "e.png": (0, 2, 0.0),  # neither has any probability
    }  # fmt: skip
    assert evaluation.restricted
    for judgement in evaluation.judgements:
        if judgement.source.endswith("e.png"):
            continue
        assert {one.index for one in judgement.predictions} == {0, 1}
        assert sum(one.probability for one in judgement.predictions) == pytest.approx(1)
    assert (evaluation.top1.hits, evaluation.top5.hits) == (3, 5)


@pytest.mark.slow
@pytest.mark.usefixtures("fake")
def test_failures_are_counted_and_not_scored(folder: Path) -> None:
    (folder / "tench" / "bad.png").write_bytes(b"no picture")
    table = folder.parent / "labels.csv"
    rows = [f"{path.relative_to(folder)},{path.parent.name}" for path in folder.rglob("*.png")]
    table.write_text("\n".join(["file,label", *rows, "gone.png,tench"]))
    heard = Heard()
    comparison = evaluate.evaluate(folder, ["resnet50"], truth=table, listener=heard)
    (evaluation,) = comparison.evaluations
    failures = {Path(one.source).name: one.kind for one in evaluation.failures}
    assert failures == {"bad.png": "not-a-picture", "gone.png": "missing"}
    assert (evaluation.top1.hits, evaluation.top1.of) == (1, 5)
    assert evaluation.pictures_per_second == 7 / evaluation.seconds
    assert heard.said[:2] == [7, ("resnet50", "crop-256-bicubic")]
    assert sorted(heard.said[2:]) == sorted(  # type: ignore[type-var]
        [("bad.png", "not-a-picture"), ("gone.png", "missing")]
        + [(f"{letter}.png", None) for letter in "abcde"]
    )


@pytest.mark.slow
@pytest.mark.usefixtures("fake")
def test_pictures_may_all_fail(tmp_path: Path) -> None:
    (tmp_path / "tench").mkdir()
    (tmp_path / "tench" / "bad.png").write_bytes(b"no picture")
    (evaluation,) = evaluate.evaluate(tmp_path, ["resnet50"]).evaluations
    assert (evaluation.judgements, evaluation.classes, evaluation.confusions) == ((), (), ())
    assert evaluation.top1.of == 0
    assert np.isnan(evaluation.calibration_error)


@pytest.mark.slow
@pytest.mark.usefixtures("fake")
def test_answers_that_are_no_numbers_are_no_answers(folder: Path) -> None:
    save(folder, 5, "tench/f.png")
    with pytest.raises(EngineError, match=r"resnet50 in f32 answers '.*f\.png' with no numbers"):
        evaluate.evaluate(folder, ["resnet50"])


@pytest.mark.slow
def test_all_combinations_are_measured_one_after_the_other(
    folder: Path, fake: list[weakref.ref[Any]]
) -> None:
    alive: list[int] = []

    class Counting(Heard):
        def ready(self, classifier: Classifier) -> None:
            super().ready(classifier)
            gc.collect()
            alive.append(sum(one() is not None for one in fake))

    heard = Counting()
    comparison = evaluate.evaluate(
        folder, ["resnet50", "vgg16", "ResNet"], recipes=["default", "tutorial", "default"],
        listener=heard,
    )  # fmt: skip
    assert [one for one in heard.said if isinstance(one, tuple) and "-" in str(one[1])] == [
        ("resnet50", "crop-256-bicubic"), ("resnet50", "stretch-nearest-keras"),
        ("vgg16", "crop-256-bicubic"), ("vgg16", "stretch-nearest-keras"),
    ]  # fmt: skip
    assert alive == [1, 1, 1, 1]
    assert [one.name for one in comparison.evaluations] == ["resnet50"] * 2 + ["vgg16"] * 2
    assert comparison.titles == (
        "resnet50 crop-256-bicubic", "resnet50 stretch-nearest-keras",
        "vgg16 crop-256-bicubic", "vgg16 stretch-nearest-keras",
    )  # fmt: skip
    assert len(comparison.pairs) == 6
    assert all(pair.agreement.hits == pair.agreement.of == 5 for pair in comparison.pairs)
    assert comparison.disagreements == ()


def test_what_is_in_the_way_is_said_before_the_first_picture(folder: Path) -> None:
    heard = Heard()
    with pytest.raises(WeightsError, match="offline"):
        evaluate.evaluate(folder, ["vgg16", "vgg19"], offline=True, listener=heard)
    assert heard.said == [5]


@pytest.mark.slow
@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"precisions": []}, "name a precision and a recipe"),
        ({"networks": ["vgg61"]}, "Did you mean"),
        ({"networks": ["vgg16", "vgg19"], "weights": "x.h5"}, "weights are those of one network"),
        ({"recipes": ["tutorials"]}, "unknown recipe 'tutorials'"),
        ({"precisions": ["f64"]}, "unknown precision 'f64'"),
        ({"truth": "no.csv"}, "cannot be read"),
        ({"numbers": "index"}, "none is given"),
    ],
)
def test_what_does_not_fit_is_a_usage_error(
    folder: Path, chosen: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        evaluate.evaluate(folder, **chosen)


@pytest.mark.slow
def test_an_interrupt_ends_it_and_leaves_no_thread_at_work(
    folder: Path, fake: list[weakref.ref[Any]]
) -> None:
    class Interrupting(EvaluationListener):
        def add(self, source: str, failure: Failure | None) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate.evaluate(folder, ["resnet50"], listener=Interrupting())
    deadline = monotonic() + 5
    while any(one() is not None for one in fake) and monotonic() < deadline:
        gc.collect()
    assert all(one() is None for one in fake)


@pytest.mark.slow
@pytest.mark.usefixtures("fake")
def test_probabilities_are_not_kept(folder: Path) -> None:
    held: list[weakref.ref[Any]] = []

    class Watched(Classifier):
        def responses(self, *arguments: Any, **options: Any) -> Iterator[Any]:
            for source, response in super().responses(*arguments, **options):
                held.append(weakref.ref(response))
                yield source, response
                del response

    known = ground_truth.read(folder, LABELS)
    evaluation = evaluate.judge(evaluate.Trial(Watched("resnet50"), known))
    gc.collect()
    assert len(evaluation.judgements) == len(held) == 5
    assert all(one() is None for one in held)


@pytest.mark.slow
def test_squeezenet_on_the_shared_photographs(shared: Path, warm: Path) -> None:
    weights = shared / "weights" / "compressed_SqueezeNet.net"
    by_file = evaluate.evaluate(
        shared / "images", ["squeezenet"], recipes=["default", "tutorial"], weights=weights
    )
    named, tutorial = by_file.evaluations
    assert by_file.layout == "file names that begin with a WordNet id"
    # With the colours that 17 of them have by their profiles; without these 107 are right.
    assert (named.top1.hits, named.top5.hits, named.top1.of) == (105, 150, 160)
    assert (named.recipe, named.precision) == ("stretch-bicubic", "f32")
    assert named.weights == named.network.weights.checksum
    assert tutorial.top1.hits < 105 - 3
    assert tutorial.top5.hits < 150 - 5
    (pair,) = by_file.pairs
    assert pair.only_first - pair.only_second == 105 - tutorial.top1.hits
    assert len(by_file.disagreements) == 160 - pair.agreement.hits


@pytest.mark.slow
def test_photographs_in_other_layouts_get_the_same_numbers(warm: Path, tmp_path: Path) -> None:
    """`test_ground_truth` has all layouts."""
    index = {label.name: number for number, label in enumerate(LABELS)}
    pictures: list[Path] = []
    rows: list[str] = []
    for name, label in photographs.LABELS.items():
        wnid = LABELS[index[label]].wnid
        for picture in photographs.variations(name, 5):
            number = f"{len(pictures):03}"
            pictures.append(tmp_path / "named" / f"{wnid}_{number}.jpg")
            rows.append(f"{number},{wnid}")
            by_index = tmp_path / "by index" / str(index[label])
            for into in (pictures[-1].parent, by_index, tmp_path / "flat"):
                into.mkdir(parents=True, exist_ok=True)
            picture.save(pictures[-1])
            for into in (by_index, tmp_path / "flat"):
                (into / f"{number}.jpg").symlink_to(pictures[-1])
    table = tmp_path / "truth.csv"
    table.write_text("\n".join(["file,wnid", *reversed(rows)]))
    (named,) = evaluate.evaluate(tmp_path / "named").evaluations
    assert 10 < named.top1.hits < 30
    assert named.top1.hits < named.top5.hits <= named.top5.of == 35
    said = {Path(one.source).name: one for one in named.judgements}
    for folder, truth, numbers in (("by index", None, "index"), ("flat", table, None)):
        (evaluation,) = evaluate.evaluate(
            tmp_path / folder, truth=truth, numbers=numbers
        ).evaluations
        assert (evaluation.top1, evaluation.top5) == (named.top1, named.top5)
        assert evaluation.calibration_error == pytest.approx(named.calibration_error, abs=1e-6)
        for one in evaluation.judgements:
            other = said[pictures[int(Path(one.source).stem)].name]
            assert (one.truth, one.rank) == (other.truth, other.rank)
