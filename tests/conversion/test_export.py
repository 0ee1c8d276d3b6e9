"""A network for other programs: written, run by the format's own runtime, compared, placed."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.conftest import ROOT
from tests.support import fakes
from topfive import Classifier
from topfive.conversion import export as exports
from topfive.conversion import formats
from topfive.conversion.export import Exported, describe, export
from topfive.engines import graphs
from topfive.errors import (
    EngineError,
    MissingExtraError,
    OutputError,
    TopfiveError,
    UsageError,
    WeightsError,
)
from topfive.networks import labels
from topfive.networks.cards import Recipe
from topfive.networks.published import NETWORKS
from topfive.system import extras
from topfive.system.files import checksum_of

pytestmark = pytest.mark.slow

CARD = NETWORKS["squeezenet_v1.1"]
PICTURES = fakes.pictures(3, CARD.size)  # neither the pictures nor the batch of the proof
NAMES = {"onnx": "out.onnx", "openvino": "out.xml", "litert": "out.tflite", "saved_model": "out",
         "keras": "out.keras"}  # fmt: skip
# As a reader of the manual would, with nothing of topfive.
TENSORFLOW = """
import json, sys
import numpy, tensorflow, keras
pictures = numpy.load(sys.argv[1])
run = tensorflow.saved_model.load(sys.argv[2]).signatures["serving_default"]
model = keras.saving.load_model(sys.argv[3], safe_mode=True)
numpy.save(sys.argv[4], [run(picture=pictures)["probabilities"].numpy(), model.predict(pictures)])
assert not any(name.startswith("topfive") for name in sys.modules)
"""
KILLED = """
import sys
from pathlib import Path
from topfive.conversion import export as exports; from topfive.networks import published
exports.export(published.NETWORKS["squeezenet_v1.1"], "openvino", Path(sys.argv[1]),
               weights=Path(sys.argv[2]))
"""


@pytest.fixture(scope="session")
def exported(
    weight_file: Path, compiled: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Exported]:
    """The network in each format, written once, two at a time, into one folder."""
    for form in formats.FORMATS.values():
        for package in extras.missing("export", form.packages):
            pytest.skip(f"needs {package}")
    folder = tmp_path_factory.mktemp("exports")

    def make(format: str) -> Exported:
        return export(CARD, format, folder / NAMES[format], weights=weight_file)

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(2) as pool:
        patch.setenv("TOPFIVE_CACHE", str(compiled))
        return dict(zip(NAMES, pool.map(make, NAMES), strict=True))


def description(exported: dict[str, Exported], format: str) -> dict[str, Any]:
    """Read the description by the format's own means."""
    (first, *_), found = exported[format].files, ""
    if format == "onnx":
        import onnxruntime

        found = onnxruntime.InferenceSession(first).get_modelmeta().custom_metadata_map["topfive"]
    elif format == "openvino":
        import openvino

        found = openvino.Core().read_model(first).get_rt_info("topfive").value
    elif format == "saved_model":
        found = (first / "assets.extra" / "topfive.json").read_text("utf-8")
    else:
        found = zipfile.ZipFile(first).read("topfive.json").decode()
    described: dict[str, Any] = json.loads(found)
    return described


def with_onnxruntime(file: Path) -> NDArray[np.float32]:
    import onnxruntime

    session = onnxruntime.InferenceSession(file)
    assert session.get_inputs()[0].shape == ["batch", CARD.size, CARD.size, 3]
    (answers,) = session.run(["probabilities"], {"picture": PICTURES})
    return np.asarray(answers)


def with_openvino(file: Path) -> NDArray[np.float32]:
    import openvino

    network = openvino.compile_model(file, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    assert len(network.outputs) == 1
    return np.array(network(PICTURES)["probabilities"])


def with_litert(file: Path) -> NDArray[np.float32]:
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(model_path=str(file)).get_signature_runner()
    return np.asarray(runner(picture=PICTURES)["probabilities"])


@pytest.mark.parametrize("format", NAMES)
def test_every_format_is_proved_by_its_own_runtime(
    exported: dict[str, Exported], format: str
) -> None:
    done = exported[format]
    runtime = {"onnx": "onnxruntime ", "openvino": "OpenVINO ", "litert": "LiteRT ",
               "saved_model": "TensorFlow ", "keras": "Keras "}[format]  # fmt: skip
    assert done.runtime.startswith(runtime)
    assert 0 <= done.difference <= 1e-4
    found = [one for path in done.files for one in (path, *path.rglob("*")) if one.is_file()]
    assert done.size == sum(one.stat().st_size for one in found)
    # The weights once, in float32.
    assert 4 * CARD.parameters < done.size < 1.2 * 4 * CARD.parameters


def test_nothing_else_is_left_in_the_folder(exported: dict[str, Exported]) -> None:
    folder = exported["onnx"].files[0].parent
    assert {one.name for one in folder.iterdir()} == {*NAMES.values(), "out.bin"}
    modes = {file.stat().st_mode & 0o777 for file in folder.iterdir() if file.is_file()}
    assert len(modes) == 1  # as the user's mask has it, not that of a temporary file
    assert modes != {0o600}


@pytest.mark.parametrize(
    ("format", "run"),
    [("onnx", with_onnxruntime), ("openvino", with_openvino), ("litert", with_litert)],
)
def test_other_programs_get_topfives_probabilities(
    exported: dict[str, Exported],
    squeezenet: Classifier,
    format: str,
    run: Callable[[Path], NDArray[np.float32]],
) -> None:
    answers = run(exported[format].files[0])
    assert answers.dtype == np.float32
    np.testing.assert_allclose(answers, squeezenet._run(PICTURES), atol=1e-4)


def test_tensorflow_and_keras_need_nothing_of_topfive(
    exported: dict[str, Exported], squeezenet: Classifier, tmp_path: Path
) -> None:
    np.save(tmp_path / "pictures.npy", PICTURES)
    files = [str(exported[format].files[0]) for format in ("saved_model", "keras")]
    command = [sys.executable, "-c", TENSORFLOW, str(tmp_path / "pictures.npy"), *files,
               str(tmp_path / "answers.npy")]  # fmt: skip
    environment = {"KERAS_BACKEND": "tensorflow", "KERAS_HOME": str(tmp_path), "PATH": "/bin"}
    done = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for answers in np.load(tmp_path / "answers.npy"):
        np.testing.assert_allclose(answers, squeezenet._run(PICTURES), atol=1e-4)


def test_each_file_tells_the_same(exported: dict[str, Exported], weight_file: Path) -> None:
    told = [description(exported, format) for format in NAMES]
    assert told == [told[0]] * len(NAMES)
    assert told[0]["classes"] == [
        {"wnid": label.wnid, "name": label.name} for label in labels.load("imagenet")
    ]
    assert told[0]["classes"][805]["name"] == "soccer_ball"
    assert told[0]["network"] == "squeezenet_v1.1"
    assert told[0]["weights"] == checksum_of(weight_file)
    assert told[0]["size"] == 227
    assert told[0]["recipe"]["fit"] == "stretch"
    assert told[0]["scaling"]["order"] == "BGR"


def test_the_publishers_licence_is_for_the_published_weights_alone() -> None:
    def licence(published: bool) -> object:
        return exports.describe(CARD, CARD.recipe, "sha256:0", published)["licence"]

    assert licence(True) == CARD.weights.licence
    assert licence(False) is None


def test_the_description_is_plain_ascii_whatever_the_names_on_a_card() -> None:
    told = exports.describe(NETWORKS["xception"], CARD.recipe, "md5:0", True)
    assert "François" in told["licence"]
    text = json.dumps(told)
    assert text.isascii()
    assert json.loads(text)["licence"] == told["licence"]


@pytest.mark.parametrize(
    ("recipe", "size", "said"),
    [
        (Recipe("crop", "bicubic", 256), 224, ["short side", "256", "bicubic", "central 224"]),
        (Recipe("crop", "box", 200), 224, ["short side resized to 224"]),
        (Recipe("stretch", "lanczos", 256), 227, ["whole picture", "227 x 227", "lanczos"]),
        (Recipe("pad", "bilinear", 256), 299, ["long side", "299", "(124, 117, 104)"]),
        (Recipe("stretch", "nearest", 256, keras_decoding=True), 224, ["not turned upright"]),
    ],
)
def test_the_recipe_is_told_in_words(recipe: Recipe, size: int, said: list[str]) -> None:
    text = "; ".join(exports.steps(recipe, size))
    assert [word for word in said if word not in text] == []


def test_a_name_that_does_not_fit_is_refused_before_any_work(tmp_path: Path) -> None:
    for format, name in [("onnx", "a.tflite"), ("openvino", "a.bin"), ("litert", "a"),
                         ("keras", "a.h5"), ("onnx", "missing/a.onnx")]:  # fmt: skip
        with pytest.raises(UsageError, match=r"expected a name that ends in|make it first"):
            export(CARD, format, tmp_path / name, offline=True)
    with pytest.raises(UsageError, match="unknown format 'onxx'; expected one of onnx, openvino"):
        export(CARD, "onxx", tmp_path / "a.onnx", offline=True)


@pytest.mark.parametrize("name", ["a.xml", "a.bin"])
def test_what_is_there_is_not_replaced_unless_told_so(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(UsageError, match=f"{name} is there already; --force replaces it"):
        export(CARD, "openvino", tmp_path / "a.xml", offline=True)
    (tmp_path / "b.onnx").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UsageError, match=r"b\.onnx is there already"):
        export(CARD, "onnx", tmp_path / "b.onnx", offline=True)
    assert (tmp_path / name).read_text() == "mine"


def test_force_deletes_nothing_that_is_no_export(tmp_path: Path) -> None:
    folder = tmp_path / "photos.keras"
    folder.mkdir()
    (folder / "photo.jpg").write_bytes(b"mine")
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "saved_model.pb").touch()
    (tmp_path / "link").symlink_to(tmp_path / "saved")
    for format, place in [("saved_model", folder), ("keras", folder),
                          ("saved_model", tmp_path / "link")]:  # fmt: skip
        with pytest.raises(UsageError, match="is something else, which --force leaves"):
            export(CARD, format, place, offline=True, force=True)
    assert (folder / "photo.jpg").read_bytes() == b"mine"


def test_a_saved_model_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    out, work = tmp_path / "out", tmp_path / "work"
    for folder, text in ((out, "old"), (work / "network", "new")):
        (folder / "variables").mkdir(parents=True)
        (folder / "saved_model.pb").write_text(text)
    place = exports.Place(out, formats.FORMATS["saved_model"])
    assert place.take(work, force=True) == len("new")
    assert (out / "saved_model.pb").read_text() == "new"


@pytest.mark.parametrize("format", ["onnx", "litert", "saved_model"])
def test_a_missing_package_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str
) -> None:
    for package in formats.FORMATS[format].packages:
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, extras.module_of(package), None)
            with pytest.raises(
                MissingExtraError, match=r"pip install 'topfive\[export\]'"
            ) as error:
                export(CARD, format, tmp_path / NAMES[format], offline=True)
        assert package in str(error.value)
        importlib.import_module("topfive")  # back again


def test_weights_that_cannot_be_had_or_do_not_fit_leave_nothing(
    tmp_path: Path, weight_file: Path
) -> None:
    with pytest.raises(WeightsError, match="--offline forbids"):
        export(CARD, "openvino", tmp_path / "a.xml", offline=True)
    with pytest.raises(WeightsError, match=r"missing\.h5"):
        export(CARD, "openvino", tmp_path / "a.xml", weights=tmp_path / "missing.h5")
    with pytest.raises(WeightsError, match="does not fit"):
        export(NETWORKS["mobilenet"], "keras", tmp_path / "a.keras", weights=weight_file)
    assert not list(tmp_path.glob("*a.*"))
    assert not list(tmp_path.glob(".exporting-*"))


def test_a_killed_export_leaves_nothing_and_the_next_one_cleans_up(
    tmp_path: Path, weight_file: Path, warm: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(out / "a.xml"), str(weight_file)])
    deadline = time.monotonic() + 60
    while not (left := list(out.glob(".exporting-*/topfive.json"))):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert [one.name for one in out.iterdir()] == [left[0].parent.name]
    done = export(CARD, "openvino", out / "a.xml", weights=weight_file)
    assert {one.name for one in out.iterdir()} == {"a.xml", "a.bin"}
    assert done.files == (out / "a.xml", out / "a.bin")


def tamper(file: str, change: Callable[[bytes], bytes]) -> Callable[..., dict[str, str]]:
    """Return `spawn` with a fault in a file as soon as that is written."""
    spawn = exports.spawn

    def spawn_and_tamper(request: dict[str, str], task: str) -> dict[str, str]:
        found = spawn(request, task)
        written = Path(request["folder"]) / file
        if task == ("run" if file == exports.ANSWERS else "write"):
            written.write_bytes(change(written.read_bytes()))
        return found

    return spawn_and_tamper


def enlarge(data: bytes) -> bytes:
    """Multiply float32 numbers in the midst of the weights."""
    start, end = 1_000_000, 1_400_000
    numbers = 3 * np.frombuffer(data[start:end], np.float32)
    return data[:start] + numbers.tobytes() + data[end:]


@pytest.mark.parametrize(
    ("file", "change", "says"),
    [
        ("network.bin", enlarge, r"differs from topfive by 0\.\d+ in a probability when OpenVINO"),
        ("answers.npy", lambda data: data[:-4] + np.float32(np.nan).tobytes(),
         "differs from topfive by nan"),
        ("network.xml", lambda data: data.replace(b"soccer_ball", b"tennis_ball"),
         "is not what was written when OpenVINO"),
        ("network.xml", lambda data: data[:1000], "openvino cannot be run: "),
    ],
)  # fmt: skip
def test_a_file_that_does_not_answer_as_topfive_does_never_appears(
    tmp_path: Path, weight_file: Path, warm: Path, monkeypatch: pytest.MonkeyPatch,
    file: str, change: Callable[[bytes], bytes], says: str,
) -> None:  # fmt: skip
    (tmp_path / "out").mkdir()
    monkeypatch.setattr(exports, "spawn", tamper(file, change))
    with pytest.raises(EngineError, match=says):
        export(CARD, "openvino", tmp_path / "out" / "a.xml", weights=weight_file)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_full_disk_leaves_nothing(small_disk: Path, weight_file: Path, warm: Path) -> None:
    with pytest.raises(TopfiveError) as error:
        export(CARD, "keras", small_disk / "a.keras", weights=weight_file)
    assert isinstance(error.value, (EngineError, OutputError))
    assert list(small_disk.iterdir()) == []


def test_a_folder_that_cannot_be_written_to_is_an_output_error(
    tmp_path: Path, weight_file: Path, warm: Path
) -> None:
    with pytest.raises(OutputError, match=r"cannot write /proc/a\.xml"):
        export(CARD, "openvino", Path("/proc/a.xml"), weights=weight_file)


def test_a_graph_for_one_picture_takes_any_number() -> None:
    import openvino
    from openvino import opset13

    picture = opset13.parameter([1, 4, 4, 3], np.uint8)
    numbers = opset13.convert(picture, np.float32)
    flat = opset13.reshape(numbers, np.array([1, 48]), special_zero=False)
    mean = opset13.reduce_mean(flat, np.array([1]), keep_dims=True)
    square = opset13.reshape(opset13.subtract(flat, mean), np.array([1, -1, 8]), False)
    graph = openvino.Model([opset13.relu(square)], [picture])
    alone = openvino.compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    pictures = fakes.pictures(3, 4)
    expected = np.concatenate([alone(one[None])[0] for one in pictures])
    graphs.set_batch(graph, None)
    together = openvino.compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    np.testing.assert_allclose(together(pictures)[0], expected, atol=1e-4)


def test_what_onnx_has_no_words_for_is_computed_the_same_in_others() -> None:
    import keras

    from topfive.conversion.onnx_fixes import ease

    inputs = keras.Input((8, 8, 6))
    x = keras.layers.Normalization(mean=[0.5] * 6, variance=[2.0] * 6)(inputs)
    x = keras.layers.Conv2D(6, 3, padding="same", groups=6, use_bias=True)(x)
    x = keras.layers.Activation("gelu")(x)
    body = keras.Model(inputs, x)
    outer = keras.Input((8, 8, 6))
    model = keras.Model(outer, body(outer))
    batch = np.random.default_rng(3).normal(size=(2, 8, 8, 6)).astype(np.float32)
    before = np.asarray(keras.ops.convert_to_numpy(model(batch)))
    ease(model)
    after = np.asarray(keras.ops.convert_to_numpy(model(batch)))
    assert isinstance(body.layers[1].mean, np.ndarray)
    np.testing.assert_allclose(after, before, atol=1e-5)


def test_openvinos_model_servers_find_the_labels(exported: dict[str, Exported]) -> None:
    import openvino

    graph = openvino.Core().read_model(exported["openvino"].files[0])
    assert graph.get_rt_info(["model_info", "model_type"]).astype(str) == "Classification"
    found = graph.get_rt_info(["model_info", "labels"]).astype(str).split()
    assert found == [label.name.replace(" ", "_") for label in labels.of(CARD)]


@pytest.mark.parametrize("fit", ["stretch", "crop"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_the_example_in_the_docs_gives_what_classify_gives(
    exported: dict[str, Exported], fit: str, orientation: int, tmp_path: Path, weight_file: Path,
    warm: Path, photograph: Path, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    import onnx
    from PIL import Image

    photo = Image.open(photograph).convert("RGB").resize((451, 307))
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo.save(tmp_path / "beagle.jpg", exif=exif)
    classifier = Classifier(CARD, weights=weight_file, fit=fit)
    graph = onnx.load(exported["onnx"].files[0])
    told = describe(CARD, classifier.recipe, "", published=False)
    onnx.helper.set_model_props(graph, {"topfive": json.dumps(told)})
    onnx.save(graph, tmp_path / "squeezenet.onnx")
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/exports.md").read_text(), re.DOTALL)
    for name in ("squeezenet.onnx", "beagle.jpg"):
        code = code.replace(name, str(tmp_path / name))
    exec(code, {})  # noqa: S102
    name, probability = capsys.readouterr().out.splitlines()[-1].rsplit(" ", 1)
    best = classifier.classify(tmp_path / "beagle.jpg").predictions[0]
    assert name == best.label
    assert abs(float(probability) - best.probability) < 1e-4
