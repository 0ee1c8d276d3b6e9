"""The formats that a network can be exported to: how each is written, how each is run.

Both belong into processes of their own, see `export_process`. Every format has the description
(JSON, see `export.describe`) inside. Nothing heavy is imported for the table.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from topfive.networks.cards import Network
from topfive.system import extras

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from topfive.engines.run import Answer

PICTURE, PROBABILITIES = "picture", "probabilities"  # the input and the output
KEY = "topfive"  # of the description, where a format has metadata
DESCRIPTION = f"{KEY}.json"  # where it has files


@dataclass(frozen=True)
class Opened:
    """An exported network as its runtime sees it: the runtime's name and version, the
    description that was found inside, and what answers pictures with probabilities."""

    runtime: str
    description: str
    answer: Answer


@dataclass(frozen=True)
class Format:
    """`endings` are those of its files, the first that of the file which is named; a folder
    has the empty one. `packages` have to be installed, `backend` is Keras's for writing.

    `write` makes the file from a Keras model; `open` opens it with the format's own runtime.
    """

    endings: tuple[str, ...]
    packages: tuple[str, ...]
    backend: str
    write: Callable[[Any, Network, str, Path], None]
    open: Callable[[Path], Opened]


def write_onnx(model: Any, network: Network, description: str, file: Path) -> None:
    """Write an ONNX file, the description in its `metadata_props`."""
    import onnx

    from topfive.conversion import onnx_fixes
    from topfive.engines import proofs

    onnx_fixes.ease(model)
    model = with_names(model)
    model(proofs.pictures(network.size, 1))  # Keras refuses a model that was never called
    with onnx_fixes.few_copies():
        model.export(str(file), format="onnx", verbose=False)
    content = onnx.load(str(file))
    content.graph.name = network.name
    for value in (*content.graph.input, *content.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.helper.set_model_props(content, {KEY: description})
    onnx.save(content, str(file))


def open_onnx(file: Path) -> Opened:
    """Open an ONNX file with onnxruntime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    return Opened(
        f"onnxruntime {onnxruntime.__version__}",
        session.get_modelmeta().custom_metadata_map[KEY],
        lambda pictures: session.run([PROBABILITIES], {PICTURE: pictures})[0],
    )


def write_openvino(model: Any, network: Network, description: str, file: Path) -> None:
    """Write OpenVINO's pair of files, the description in the graph's `rt_info`, and what model
    servers read there: the labels, and that it classifies.

    Source: OpenVINO's Model API, "Model configuration". Its ways to resize are none of topfive's,
    so none is named: it is given pictures of the network's size.
    """
    import openvino

    from topfive.engines import graphs, keras_models

    turned = keras_models.answering(keras_models.for_openvino(model, network))
    graph = graphs.exported_graph(turned)
    graphs.set_batch(graph, None)
    graph.input().get_tensor().set_names({PICTURE})
    graph.output().get_tensor().set_names({PROBABILITIES})
    graph.input().get_node().layout = openvino.Layout("NHWC")
    graph.set_rt_info(description, KEY)
    # Spaces stand between labels, whatever space is in a name.
    names = ["_".join(label["name"].split()) for label in json.loads(description)["classes"]]
    graph.set_rt_info(" ".join(names), ["model_info", "labels"])
    graph.set_rt_info("Classification", ["model_info", "model_type"])
    openvino.save_model(graph, file, compress_to_fp16=False)


def open_openvino(file: Path) -> Opened:
    """Open OpenVINO's pair of files, to be computed in float32."""
    import numpy as np
    import openvino

    from topfive.engines.run import EXACT

    graph = openvino.Core().read_model(file)
    compiled = openvino.Core().compile_model(graph, "CPU", EXACT)
    return Opened(
        f"OpenVINO {openvino.get_version().partition('-')[0]}",
        graph.get_rt_info(KEY).astype(str),
        lambda pictures: np.array(compiled({PICTURE: pictures})[PROBABILITIES]),
    )


def write_litert(model: Any, network: Network, description: str, file: Path) -> None:  # noqa: ARG001
    """Write a LiteRT file; the description is a file in the zip archive at its end.

    Source: TensorFlow Lite's metadata, "associated files".
    """
    with_names(model).export(str(file), format="litert", verbose=False)
    enclose(description, file)


def open_litert(file: Path) -> Opened:
    """Open a LiteRT file with the LiteRT interpreter."""
    import ai_edge_litert
    from ai_edge_litert.interpreter import Interpreter

    run = Interpreter(model_path=str(file)).get_signature_runner()
    return Opened(
        f"LiteRT {ai_edge_litert.__version__}",
        enclosed(file),
        lambda pictures: run(**{PICTURE: pictures})[PROBABILITIES],
    )


def write_saved_model(model: Any, network: Network, description: str, file: Path) -> None:
    """Write a TensorFlow SavedModel; the description is in its folder for such files.

    Source: TensorFlow's saved_model/README.md, `assets.extra`.
    """
    import keras

    # Not `model.export`, which tracks the model, too, and so writes its weights twice.
    archive = keras.export.ExportArchive()
    shape = (None, network.size, network.size, 3)
    picture = keras.InputSpec("uint8", shape, name=PICTURE)
    archive.add_endpoint("serve", with_names(model), [picture])
    archive.write_out(str(file), verbose=False)
    extra = file / "assets.extra"
    extra.mkdir()
    (extra / DESCRIPTION).write_text(description, "utf-8")


def open_saved_model(file: Path) -> Opened:
    """Open a SavedModel with TensorFlow, without Keras."""
    import tensorflow

    tensorflow.config.experimental.enable_tensor_float_32_execution(False)
    loaded = tensorflow.saved_model.load(str(file))
    run = loaded.signatures["serving_default"]
    return Opened(
        f"TensorFlow {tensorflow.__version__}",
        (file / "assets.extra" / DESCRIPTION).read_text("utf-8"),
        lambda pictures: run(**{PICTURE: tensorflow.constant(pictures)})[PROBABILITIES].numpy(),
    )


def write_keras(model: Any, network: Network, description: str, file: Path) -> None:  # noqa: ARG001
    """Write a Keras file, the description beside Keras's own files in it."""
    model.save(file)
    enclose(description, file)


def open_keras(file: Path) -> Opened:
    """Open a Keras file in safe mode, on TensorFlow where that is installed."""
    import numpy as np

    from topfive.engines import keras_engine

    backend = "openvino" if extras.missing("tensorflow") else "tensorflow"
    keras = keras_engine.start_keras(backend)
    model = keras.saving.load_model(file, compile=False, safe_mode=True)

    def answer(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        with keras_engine.exact_predictions():
            return np.asarray(model.predict_on_batch(pictures), np.float32)

    return Opened(f"Keras {keras.__version__} on {backend}", enclosed(file), answer)


FORMATS = {
    "onnx": Format((".onnx",), ("tensorflow", "tf2onnx", "onnx", "onnxruntime"), "tensorflow",
                   write_onnx, open_onnx),
    "openvino": Format((".xml", ".bin"), (), "openvino", write_openvino, open_openvino),
    "litert": Format((".tflite",), ("tensorflow", "ai-edge-litert"), "tensorflow",
                     write_litert, open_litert),
    "saved_model": Format(("",), ("tensorflow",), "tensorflow",
                          write_saved_model, open_saved_model),
    "keras": Format((".keras",), (), "openvino", write_keras, open_keras),
}  # fmt: skip


def with_names(model: Any) -> Any:
    """Return the model with an output that is called `PROBABILITIES` in each format."""
    import keras

    return keras.Model(model.input, {PROBABILITIES: model.output}, name=model.name)


def enclose(description: str, file: Path) -> None:
    """Add the description to a zip archive, or to what becomes one by it."""
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(DESCRIPTION, description)


def enclosed(file: Path) -> str:
    """Return the description that `enclose` added."""
    with zipfile.ZipFile(file) as archive:
        return archive.read(DESCRIPTION).decode()
