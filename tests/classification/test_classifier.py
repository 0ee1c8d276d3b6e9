"""The classifier: one result a picture, whatever the picture."""

from __future__ import annotations

import hashlib
import inspect
import io
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray
from PIL import Image

import topfive
from tests.pictures.test_decoding import enlarged
from tests.support import fakes, pictures
from tests.support.photographs import PHOTOGRAPHS
from topfive import Classification, Classifier, Failure, PictureError, Source, UsageError
from topfive.classification import classifier
from topfive.engines import keras_engine, table
from topfive.engines.run import Run
from topfive.errors import EngineError
from topfive.networks import labels
from topfive.networks.cards import Recipe
from topfive.networks.published import NETWORKS
from topfive.pictures import squares

Answer = list[tuple[str, float]]


def test_the_options_that_are_passed_on_are_the_classifiers() -> None:
    taken = inspect.signature(Classifier).parameters.keys() - {"network", "throughput", "wait"}
    assert classifier.ClassifierOptions.__optional_keys__ == taken


@pytest.mark.slow
@pytest.mark.parametrize("filter", ["nearest", "bilinear"])
def test_squeezenet_answers_as_the_reference_does_for_160_photographs(
    shared: Path, warm: Path, filter: str
) -> None:
    reference = json.loads((shared / "reference" / "squeezenet_v1.0_top5.json").read_text())
    chooser = Classifier(
        "squeezenet",
        weights=shared / "weights" / "compressed_SqueezeNet.net",
        recipe="tutorial",  # which does not look at colour profiles; 17 of them have one
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


@pytest.mark.slow
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


def mixed(folder: Path) -> list[Any]:
    """Return 40 pictures, good and bad, of many kinds and sizes."""
    exif = Image.Exif()
    exif[0x0112] = 6
    files: list[Any] = []
    for number in range(40):
        picture = fakes.pictures(1, 60 + 7 * number, seed=number)[0][: 40 + 5 * number]
        image = Image.fromarray(picture)
        content = (
            pictures.encode(picture, "JPEG"),
            pictures.encode(picture, "PNG"),
            pictures.encode(picture, "JPEG", exif=exif),
            pictures.encode(picture, "PNG")[:-200],
            pictures.encode(image.convert("L"), "JPEG"),
            b"" if len(picture) % 2 else b"hello",
            pictures.encode(image.convert("CMYK"), "JPEG"),
            pictures.encode(picture, "WEBP"),
        )[number % 8]
        if number in (9, 25):
            files.append(Source(f"array {number}", picture))
            continue
        files.append(folder / f"{number}.picture")
        if number != 13:  # which is missing
            files[-1].write_bytes(content)
    return files


@pytest.fixture
def keras_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keras itself as a backend, here on OpenVINO, which needs no training framework."""
    load = partial(keras_engine.load, backend="openvino")
    monkeypatch.setitem(table.ENGINES, "keras", load)


@pytest.mark.slow
@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize(
    "options", [{}, {"throughput": True}, {"backend": "keras"}], ids=["latency", "many", "keras"]
)
def test_a_stream_answers_as_one_by_one(
    options: dict[str, Any], ordered: bool,
    weight_file: Path, warm: Path, keras_too: None, tmp_path: Path,
) -> None:  # fmt: skip
    chooser = Classifier("squeezenet_v1.1", weights=weight_file, **options)
    files = mixed(tmp_path)
    rows = [row.result for _, row in chooser.rows(files, ordered=ordered)]
    expected = [chooser.answer(file) for file in files]
    if not ordered:
        rows.sort(key=lambda result: result.source)
        expected.sort(key=lambda result: result.source)
    assert [row.source for row in rows] == [one.source for one in expected]
    assert sum(isinstance(row, Failure) for row in rows) == 10
    for row, one in zip(rows, expected, strict=True):
        if isinstance(one, Failure):
            assert row == one
        else:
            assert isinstance(row, Classification)
            assert (row.network, row.recipe) == (one.network, one.recipe)
            assert [p.index for p in row.predictions] == [p.index for p in one.predictions]
            found, known = ([p.probability for p in x.predictions] for x in (row, one))
            assert found == pytest.approx(known, abs=1e-6)


@pytest.mark.slow
def test_a_row_says_where_its_answer_comes_from(
    weight_file: Path, warm: Path, tmp_path: Path
) -> None:
    chooser = Classifier("squeezenet_v1.1", weights=weight_file, throughput=True, fit="pad")
    files = mixed(tmp_path)
    weights = f"sha256:{hashlib.sha256(weight_file.read_bytes()).hexdigest()}"
    for file, (source, row) in zip(files, chooser.rows(files), strict=True):
        assert row.result.source == source.name
        assert (row.network, row.recipe, row.weights) == (
            "squeezenet_v1.1", "pad-bicubic", weights,
        )  # fmt: skip
        assert 0 < row.milliseconds < 60_000
        has_bytes = isinstance(file, Path) and file.exists()
        sha256 = hashlib.sha256(file.read_bytes()).hexdigest() if has_bytes else None
        assert row.sha256 == sha256
        if isinstance(row.result, Failure):
            assert (row.width, row.height) == (None, None)
        else:
            assert (row.width, row.height) == chooser.decode(source).size


def test_published_weights_are_named_by_their_published_hash(
    monkeypatch: pytest.MonkeyPatch, photograph: Path
) -> None:
    balls = lambda pictures: np.eye(1, 1000, 805, np.float32).repeat(len(pictures), 0)  # noqa: E731
    run = Run(balls, balls, balls)
    monkeypatch.setitem(table.ENGINES, "openvino", lambda *_, **__: run)
    ((_, row),) = Classifier("vgg16").rows([photograph])
    assert row.weights == NETWORKS["vgg16"].weights.checksum


@pytest.mark.slow
def test_only_a_stream_for_throughput_drafts_and_never_the_tutorials_recipe(
    weight_file: Path, warm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[tuple[int, int]] = []
    fit = squares.fit

    def note(picture: Image.Image, size: int, recipe: Recipe) -> NDArray[np.uint8]:
        sizes.append(picture.size)
        return fit(picture, size, recipe)

    monkeypatch.setattr("topfive.pictures.squares.fit", note)
    exif = Image.Exif()
    exif[0x0112] = 6
    large = pictures.encode(pictures.colours(2400, 1840), "JPEG", exif=exif)
    whole, drafted = (2400, 1840), (920, 1200)
    for options, expected in (
        ({}, whole[::-1]),
        ({"throughput": True}, drafted),
        ({"throughput": True, "recipe": "tutorial"}, whole),
        ({"throughput": True, "recipe": "tutorial", "filter": "bicubic"}, whole),
        ({"throughput": True, "filter": "nearest"}, whole[::-1]),
    ):
        chooser = Classifier("squeezenet_v1.1", weights=weight_file, **options)
        ((_, row),) = chooser.rows([large])
        assert sizes.pop() == expected
        upright = whole if "recipe" in options else whole[::-1]
        assert (row.width, row.height) == upright
        chooser.classify(large)
        assert sizes.pop() == upright, "one at a time it is never a draft"


@pytest.mark.slow
def test_a_draft_hardly_moves_an_answer(warm: Path) -> None:
    alone, many = Classifier(), Classifier(throughput=True)
    large = [enlarged(file, 2 * squares.DRAFT * 256, 2) for file in PHOTOGRAPHS.values()]
    for whole, drafted in zip(alone.stream(large, 1000), many.stream(large, 1000), strict=True):
        assert isinstance(whole, Classification)
        assert isinstance(drafted, Classification)
        known, found = ({p.index: p.probability for p in x.predictions} for x in (whole, drafted))
        assert max(abs(known[index] - found[index]) for index in known) < 0.05
        # Another comes first only where both are as good as equal.
        best = drafted.predictions[0].index
        assert known[best] > whole.predictions[0].probability - 0.02


def test_an_engine_is_given_its_batches_and_no_more_calls_than_it_takes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sizes, lock, busy, most = [], threading.Lock(), [0], [0]

    def run(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        with lock:
            sizes.append(len(pictures))
            busy[0] += 1
            most[0] = max(most[0], busy[0])
        time.sleep(0.003)
        with lock:
            busy[0] -= 1
        # Each picture's own answer: its first byte is the class.
        return np.equal(pictures[:, 0, 0, :1], np.arange(1000)).astype(np.float32)

    engine = Run(run, run, run, batch=4, parallel=lambda: 2)
    monkeypatch.setitem(table.ENGINES, "openvino", lambda *_, **__: engine)
    chooser = Classifier("vgg16")
    wanted = [
        b"bad" if number % 5 == 3 else np.full((9, 9, 3), number, np.uint8) for number in range(120)
    ]
    results = list(chooser.stream(wanted, top=1))
    for number, result in enumerate(results):
        if number % 5 == 3:
            assert isinstance(result, Failure)
        else:
            assert isinstance(result, Classification)
            assert result.predictions[0].index == number
    assert sizes[0] == 0, "it waits for the network first"
    assert sum(sizes) == 96
    assert max(sizes) <= 4
    assert most[0] <= 2


def test_an_engine_that_fails_in_the_middle_ends_the_stream_with_its_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def run(pictures: np.ndarray) -> np.ndarray:
        if (pictures == 50).any():
            raise EngineError("the device went away")
        return np.eye(1, 1000, dtype=np.float32).repeat(len(pictures), 0)

    monkeypatch.setitem(table.ENGINES, "openvino", lambda *_, **__: Run(run, run, run))
    arrays = (np.full((9, 9, 3), number, np.uint8) for number in range(100))
    with pytest.raises(EngineError, match="the device went away"):
        list(Classifier("vgg16").stream(arrays))


def test_what_is_in_the_networks_way_is_raised_before_any_picture_is_drawn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def run(pictures: np.ndarray) -> np.ndarray:
        raise EngineError("no device")

    def untouched() -> Any:
        raise AssertionError
        yield

    monkeypatch.setitem(table.ENGINES, "openvino", lambda *_, **__: Run(run, run, run))
    with pytest.raises(EngineError, match="no device"):
        Classifier("vgg16", wait=False).stream(untouched())


def test_a_bad_picture_is_an_error_from_classify(squeezenet: Classifier) -> None:
    with pytest.raises(PictureError, match="no such file"):
        squeezenet.classify("nowhere.jpg")


def test_a_thing_that_is_no_picture_is_a_failure_like_any_other(squeezenet: Classifier) -> None:
    with pytest.raises(PictureError, match="received int"):
        squeezenet.classify(3)  # type: ignore[arg-type]


@pytest.mark.slow
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
        balls = lambda pictures: np.eye(1, 1000, 805, np.float32)  # noqa: E731
        return Run(balls, balls, balls)

    monkeypatch.setitem(table.ENGINES, "openvino", load)
    classifier._classifier.cache_clear()
    for name in ("resnet", "resnet50", "ResNet50"):
        assert topfive.classify(photograph, name).predictions[0].label == "soccer_ball"
    classifier._classifier.cache_clear()
    assert len(loaded) == 1
