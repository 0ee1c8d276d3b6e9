"""The classifier: one result a picture, whatever the picture."""

from __future__ import annotations

import io
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from PIL import Image

import topfive
from topfive import (
    Classification,
    Classifier,
    Failure,
    PictureError,
    Source,
    UsageError,
    classifier,
    labels,
)
from topfive.engine_keras import Run

Answer = list[tuple[str, float]]


@pytest.fixture
def real(shared: Path, warm: Path) -> Classifier:
    """SqueezeNet v1.0 with its real weights."""
    return Classifier("squeezenet", weights=shared / "weights" / "compressed_SqueezeNet.net")


@pytest.mark.parametrize("filter", ["nearest", "bilinear"])
def test_squeezenet_answers_as_the_reference_does_for_160_photographs(
    shared: Path, real: Classifier, filter: str
) -> None:
    reference = json.loads((shared / "reference" / "squeezenet_v1.0_top5.json").read_text())
    chooser = Classifier(
        "squeezenet",
        weights=shared / "weights" / "compressed_SqueezeNet.net",
        fit="stretch",
        filter=filter,
    )
    answers = reference["predictions"][filter]
    assert len(answers) == 160
    right = right_in_five = 0
    paths = [shared / "images" / answer["file"] for answer in answers]
    for answer, result in zip(answers, chooser.stream(paths, top=10), strict=True):
        assert isinstance(result, Classification)
        found = {p.index: p.probability for p in result.predictions}
        best = result.predictions[0]
        assert (best.index, best.wnid, best.label) == (
            answer["top5"][0]["class"], answer["top5"][0]["wnid"], answer["top5"][0]["label"],
        )  # fmt: skip
        for expected in answer["top5"]:
            # One that is not among our ten is less probable than the tenth.
            probability = found.get(expected["class"], result.predictions[-1].probability)
            assert probability == pytest.approx(expected["probability"], abs=1e-3)
        wnids = [p.wnid for p in result.predictions[:5]]
        right += wnids[0] == answer["truth"][0]
        right_in_five += answer["truth"][0] in wnids
    summary = reference["summary"][filter]
    assert (right, right_in_five) == (summary["top1_correct"], summary["top5_correct"])


def test_the_default_recipe_is_more_accurate_than_the_tutorials(
    shared: Path, real: Classifier
) -> None:
    paths = sorted((shared / "images").iterdir())
    right = sum(
        result.source.rpartition("/")[2].startswith(result.predictions[0].wnid)
        for result in real.stream(paths)
        if isinstance(result, Classification)
    )
    assert right > 101  # what the tutorial's recipe gets: the reference's count for `nearest`


def test_every_form_of_a_picture_gets_the_same_answer(
    squeezenet: Classifier, photograph: Path
) -> None:
    picture = Image.open(photograph)
    array = np.asarray(picture)
    forms: list[Any] = [
        photograph,
        str(photograph),
        photograph.read_bytes(),
        picture,
        array,
        array / np.float32(255),
        np.dstack([array, np.full(array.shape[:2], 255, np.uint8)]),
        Source("named", photograph),
    ]
    answers = {squeezenet.classify(form).predictions for form in forms}
    assert len(answers) == 1


def test_a_grey_array_is_answered_as_its_three_channels(squeezenet: Classifier) -> None:
    grey = np.random.default_rng(0).integers(0, 256, (50, 60), np.uint8)
    three = np.dstack([grey, grey, grey])
    assert squeezenet.classify(grey).predictions == squeezenet.classify(three).predictions


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    array=npst.arrays(
        dtype=st.sampled_from([np.uint8, np.uint16, np.bool_]),
        shape=st.one_of(
            npst.array_shapes(min_dims=2, max_dims=2, max_side=40),
            st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(1, 4)),
        ),
    )
)
def test_any_array_of_the_kinds_promised_has_an_answer(
    squeezenet: Classifier, array: np.ndarray
) -> None:
    total = sum(p.probability for p in squeezenet.classify(array, top=1000).predictions)
    assert total == pytest.approx(1, abs=1e-4)


def test_probabilities_come_best_first_and_equal_ones_by_index() -> None:
    row = np.array([0.1, 0.3, 0.1, 0.4, 0.1], np.float32)
    names = tuple(labels.Label(f"n{i}", f"label{i}") for i in range(5))
    best = labels.top_predictions(row, names, 4)
    assert [p.index for p in best] == [3, 1, 0, 2]
    assert best[0] == topfive.Prediction(3, "n3", "label3", float(np.float32(0.4)))


def test_more_classes_than_there_are_is_all_of_them(
    squeezenet: Classifier, photograph: Path
) -> None:
    assert len(squeezenet.classify(photograph, top=5000).predictions) == 1000


def test_a_stream_has_one_result_for_each_source_in_order(
    squeezenet: Classifier, photograph: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("hello")
    (tmp_path / "cut.jpg").write_bytes(photograph.read_bytes()[:2000])
    names = ["a.jpg", "empty.jpg", "photograph.jpg", "text.jpg", "cut.jpg", "photograph.jpg"]
    results = list(squeezenet.stream(tmp_path / name for name in names))
    assert [r.source for r in results] == [str(tmp_path / name) for name in names]
    assert [r.kind if isinstance(r, Failure) else "ok" for r in results] == [
        "missing", "empty", "ok", "not-a-picture", "broken", "ok",
    ]  # fmt: skip


def test_a_stream_takes_its_sources_one_at_a_time(squeezenet: Classifier, photograph: Path) -> None:
    def endless() -> object:
        while True:
            yield photograph

    results = squeezenet.stream(endless())  # type: ignore[arg-type]
    assert isinstance(next(results), Classification)


def test_a_bad_picture_is_an_error_from_classify(squeezenet: Classifier) -> None:
    with pytest.raises(PictureError, match="no such file"):
        squeezenet.classify("nowhere.jpg")


def test_a_thing_that_is_no_picture_is_a_failure_like_any_other(squeezenet: Classifier) -> None:
    with pytest.raises(PictureError, match="received int"):
        squeezenet.classify(3)  # type: ignore[arg-type]


def test_threads_share_a_classifier(squeezenet: Classifier, photograph: Path) -> None:
    expected = squeezenet.classify(photograph)
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(squeezenet.classify, [photograph] * 64)) == {expected}


@pytest.mark.parametrize(
    "options",
    [
        {"network": "vgg17"}, {"backend": "theano"}, {"recipe": "r"}, {"fit": "f"},
        {"filter": "f"}, {"threads": 0}, {"max_pixels": 0},
        {"backend": "tensorflow", "device": "CPU"},
    ],
    ids=str,
)  # fmt: skip
def test_an_unknown_option_is_a_usage_error_before_any_weights_are_looked_for(
    options: dict[str, str],
) -> None:
    with pytest.raises(UsageError):
        Classifier(**options, offline=True)  # type: ignore[arg-type]


def test_top_has_to_be_positive_and_says_so_at_once(squeezenet: Classifier) -> None:
    with pytest.raises(UsageError, match="top"):
        squeezenet.stream([], top=0)


def test_max_pixels_is_the_classifiers_own(weight_file: Path, warm: Path) -> None:
    small = Classifier("squeezenet_v1.1", weights=weight_file, max_pixels=100)
    picture = io.BytesIO()
    Image.new("RGB", (11, 10)).save(picture, "PNG")
    with pytest.raises(PictureError, match="over the limit of 100"):
        small.classify(picture.getvalue())


def test_classify_loads_its_network_once(monkeypatch: pytest.MonkeyPatch, photograph: Path) -> None:
    loaded = []

    def load(network: object, file: object, **options: object) -> Run:
        loaded.append(network)
        return Run(lambda pictures: np.eye(1, 1000, 805, np.float32))

    monkeypatch.setitem(classifier.ENGINES, "openvino", load)
    classifier._classifier.cache_clear()
    for name in ("resnet", "resnet50", "ResNet50"):
        assert topfive.classify(photograph, name).predictions[0].label == "soccer_ball"
    classifier._classifier.cache_clear()
    assert len(loaded) == 1
