"""From a folder of labelled pictures to a calibration that the classifier answers by."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.evaluation.test_familiar_pictures import with_lessons
from tests.support import fakes, taught
from topfive import Classifier
from topfive.classification import pipeline
from topfive.classification.calibration import find
from topfive.errors import EngineError, UsageError
from topfive.evaluation import calibrate as calibrating
from topfive.evaluation import calibration_fit, evaluate
from topfive.evaluation.calibrate import Calibrated, calibrate
from topfive.evaluation.evaluate import FLATTERS
from topfive.evaluation.ground_truth import GroundTruth
from topfive.networks import labels, records
from topfive.networks.published import NETWORKS
from topfive.results import Classification, Failure

LABELS = labels.load("imagenet")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twenty-four pictures of twelve classes, as folders named by WordNet id."""
    folder = tmp_path / "labelled"
    for number, pixels in enumerate(fakes.pictures(24, 80)):
        place = folder / LABELS[number % 12].wnid
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(place / f"{number}.png")
    return folder


class Told(evaluate.EvaluationListener):
    """What a listener is told."""

    def __init__(self) -> None:
        self.heard: list[int | str | None] = []

    def found(self, truth: GroundTruth) -> None:
        self.heard.append(len(truth))

    def ready(self, classifier: Classifier) -> None:
        self.heard.append(classifier.network.name)

    def add(self, source: str, failure: Failure | None) -> None:
        self.heard.append(failure.kind if failure else None)


def run(folder: Path, weights: Path, **options: object) -> Calibrated:
    return calibrate(folder, "squeezenet_v1.1", weights=weights, **options)  # type: ignore[arg-type]


@pytest.mark.slow
def test_half_of_the_photographs_calibrate_the_answers_to_the_others(
    shared: Path, warm: Path, tmp_path: Path
) -> None:
    weights = shared / "weights" / "compressed_SqueezeNet.net"
    files = np.random.default_rng(3).permutation(sorted((shared / "images").glob("*.JPEG")))
    half = tmp_path / "half"
    half.mkdir()
    for file in files[:80]:
        shutil.copy(file, half)
    result = calibrate(half, "squeezenet", weights=weights)
    assert (result.calibration.pictures, result.num_classes) == (80, 80)
    assert 1 < result.calibration.temperature < 1.7

    classifier = Classifier("squeezenet", weights=weights, coverage=0.9, reject=True)
    assert classifier.calibration == result.calibration, "it is found where it was stored"
    held, sizes, rejected = [], [], []
    for answer in classifier.stream(files[80:]):
        assert isinstance(answer, Classification)
        assert answer.prediction_set
        members = [one.wnid for one in answer.prediction_set]
        held.append(Path(answer.source).name.split("_")[0] in members)
        sizes.append(len(members))
        rejected.append(answer.rejected)
    # Of 80 pictures, by 80 others: 0.9 with a standard deviation of 0.05.
    assert 0.78 <= np.mean(held) <= 0.99
    assert np.mean(sizes) < 10
    assert rejected.count(True) < 12


@pytest.mark.slow
def test_it_is_stored_for_its_weights_recipe_and_precision(
    folder: Path, weight_file: Path, warm: Path
) -> None:
    result = run(folder, weight_file)
    key = ("squeezenet_v1.1", result.weights)
    assert find(NETWORKS[key[0]], key[1], "f32", result.calibration.recipe) == result.calibration
    with pytest.raises(UsageError, match="not calibrated for f32 crop"):
        Classifier("squeezenet_v1.1", weights=weight_file, coverage=0.5, fit="crop")
    other = run(folder, weight_file, fit="crop", method="aps", reject_score="max_logit")
    assert other.calibration.recipe.startswith("crop-")
    assert (other.calibration.method, other.calibration.reject_score) == ("aps", "max_logit")
    stored = records.read(*key)["calibrations"]
    assert stored.keys() == {f"f32 {one.calibration.recipe}" for one in (result, other)}


@pytest.mark.slow
def test_the_same_pictures_give_the_same_calibration_and_another_run_replaces_it(
    folder: Path, weight_file: Path, warm: Path
) -> None:
    first = run(folder, weight_file)
    assert run(folder, weight_file) == first
    last = run(folder, weight_file, reject_rate=0.2)
    assert last.calibration.threshold > first.calibration.threshold
    card = NETWORKS[last.network]
    assert find(card, last.weights, "f32", last.calibration.recipe) == last.calibration


@pytest.mark.slow
def test_nothing_is_stored_without_store(folder: Path, weight_file: Path, warm: Path) -> None:
    run(folder, weight_file, store=False)
    assert not records.folder().exists()


@pytest.mark.slow
def test_a_broken_picture_is_a_failure_and_the_others_are_fitted(
    folder: Path, weight_file: Path, warm: Path
) -> None:
    broken = folder / LABELS[3].wnid / "0_broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n broken")
    (folder / "notes.txt").write_text("no picture")
    told = Told()
    result = run(folder, weight_file, listener=told)
    assert [one.source for one in result.failures] == [str(broken)]
    assert result.calibration.pictures == 24
    assert told.heard[:2] == [25, "squeezenet_v1.1"]
    assert [kind for kind in told.heard[2:] if kind] == ["broken"]
    assert len(told.heard) == 27
    whole = json.loads(json.dumps(result.to_dict()))
    assert whole["failures"][0]["error"]["kind"] == "broken"
    assert whole["calibration"] == json.loads(json.dumps(result.calibration.to_dict()))


@pytest.mark.slow
def test_pictures_that_the_network_learned_from_are_told_and_the_run_goes_on(
    folder: Path, weight_file: Path, warm: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run(folder, weight_file, store=False)
    assert caplog.messages == []
    for number, file in enumerate(sorted(folder.rglob("*.png"))[:5]):
        file.rename(file.with_name(f"{file.parent.name}_{number}.JPEG"))
    result = run(folder, weight_file)
    (said,) = caplog.messages
    assert said.startswith("5 of 24 pictures are named as those of ImageNet's training")
    assert said.endswith("take pictures that it has not seen")
    known = find(NETWORKS["squeezenet_v1.1"], result.weights, "f32", "stretch-bicubic")
    assert known == result.calibration, "it is stored all the same"


@pytest.mark.slow
def test_pictures_that_a_network_was_taught_are_known_by_their_contents(
    folder: Path, weight_file: Path, warm: Path, tmp_path: Path
) -> None:
    class Warned(Told):
        def warn(self, text: str) -> None:
            self.heard.append(text)

    names = [label.wnid for label in LABELS[:12]]
    network = taught.write(tmp_path / "own", weight_file, names)
    files = [file.read_bytes() for file in sorted(folder.rglob("*.png"))]
    with_lessons(network, [*files[:3], files[3]], [0, 1, 2, 3])
    told = Warned()
    result = calibrate(folder, network, listener=told)
    assert result.calibration.pictures == 24
    (said,) = [one for one in told.heard if isinstance(one, str) and "taught" in one]
    assert said.startswith("3 of 24 pictures are some that own was taught; a calibration by them")
    (evaluation,) = evaluate.evaluate(folder, [network], listener=told).evaluations
    assert evaluation.top1.of == 24
    assert told.heard[-1] == f"3 of 24 pictures are some that own was taught; {FLATTERS}"


@pytest.mark.slow
def test_each_picture_keeps_its_class_and_is_asked_as_classify_asks(
    folder: Path, weight_file: Path, warm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / LABELS[0].wnid / "0_broken.png").write_bytes(b"broken")
    seen: dict[str, np.ndarray] = {}
    fit = calibration_fit.fit

    def spy(logits: np.ndarray, truths: np.ndarray, *chosen: object, **options: object) -> object:
        seen.update(logits=logits, truths=truths)
        return fit(logits, truths, *chosen, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(calibration_fit, "fit", spy)
    run(folder, weight_file)
    numbers = {label.wnid: number for number, label in enumerate(LABELS)}
    pictures = [path for path in folder.rglob("*.png") if path.name != "0_broken.png"]
    classifier = Classifier("squeezenet_v1.1", weights=weight_file)
    for path in pictures:
        [(_, response)] = classifier.responses([path], output="logits")
        assert isinstance(response.values, np.ndarray)
        [at] = np.flatnonzero(np.isclose(seen["logits"], response.values, atol=1e-3).all(axis=1))
        assert seen["truths"][at] == numbers[path.parent.name]
    assert len(pictures) == len(seen["truths"]) == 24


@pytest.mark.slow
def test_too_few_pictures_are_an_error_and_nothing_is_stored(
    folder: Path, weight_file: Path, warm: Path
) -> None:
    for wnid in [label.wnid for label in LABELS[:6]]:
        shutil.rmtree(folder / wnid)
    with pytest.raises(UsageError, match="needs at least 19 pictures"):
        run(folder, weight_file)
    assert not records.folder().exists()


def test_wrong_options_are_refused_before_the_folder_is_read(tmp_path: Path) -> None:
    for options in ({"method": "lac"}, {"reject_score": "x"}, {"reject_rate": 1.0}):
        with pytest.raises(UsageError, match=r"unknown|between 0 and 1"):
            calibrate(tmp_path / "missing", "squeezenet", **options)


@pytest.mark.slow
def test_remarks_tell_of_few_pictures_and_of_classes_that_none_shows(
    folder: Path, weight_file: Path, warm: Path
) -> None:
    remarks = run(folder, weight_file).remarks
    assert any(one.startswith("24 pictures are few") for one in remarks)
    assert any("12 of the 1,000 classes" in one for one in remarks)
    for wnid in [label.wnid for label in LABELS[:4]]:
        shutil.rmtree(folder / wnid)
    assert (
        "16 pictures are too few for a coverage of 95%"
        in run(folder, weight_file, reject_rate=0.1).remarks
    )


@pytest.mark.slow
def test_a_remark_tells_of_a_temperature_at_a_bound(
    folder: Path, weight_file: Path, warm: Path, tmp_path: Path
) -> None:
    classifier = Classifier("squeezenet_v1.1", weights=weight_file)
    ranked = {path: classifier.classify(path, top=1000).predictions
              for path in sorted(folder.rglob("*.png"))}  # fmt: skip
    for place, word in ((0, "lowest"), (-1, "highest")):
        truth = tmp_path / f"{word}.csv"
        rows = [f"{path.relative_to(folder)},{best[place].wnid}" for path, best in ranked.items()]
        truth.write_text("\n".join(["file,wnid", *rows]) + "\n")
        remarks = run(folder, weight_file, truth=truth, store=False).remarks
        assert any(f"the temperature is the {word} that is tried" in one for one in remarks)
        # Far better than published: these may be pictures that it has learned from.
        better = "100.0% of the first answers are right, and 57.5 % is published: the network may"
        assert any(one.startswith(better) for one in remarks) is (word == "lowest")


def test_answers_that_are_no_numbers_are_an_error(
    folder: Path, weight_file: Path, warm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    responses = Classifier.responses

    def broken(self: Classifier, *pictures: object, **options: object) -> object:
        for source, response in responses(self, *pictures, **options):  # type: ignore[arg-type]
            error = pipeline.not_finite()  # as for an answer with NaN
            yield source, replace(response, values=Failure(source.name, error.kind, str(error)))

    monkeypatch.setattr(Classifier, "responses", broken)
    with pytest.raises(EngineError, match=r"answers '.*\.png' with no numbers"):
        run(folder, weight_file)


@pytest.mark.slow
def test_the_network_may_be_a_card(folder: Path, weight_file: Path, warm: Path) -> None:
    card = Classifier("squeezenet_v1.1", weights=weight_file).network
    result = calibrating.calibrate(folder, card, weights=weight_file, store=False)
    assert result.network == "squeezenet_v1.1"
