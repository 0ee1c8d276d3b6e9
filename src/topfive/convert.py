"""Keras → OpenVINO, in a process of its own: `python -m topfive.convert REQUEST`.

The process that asks never imports Keras, and gets its memory back. A compiled network is
admitted only after its file, read back the way every later command reads it, has agreed
with Keras.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from topfive import (
    blobs,
    engine_keras,
    files,
    find,
    networks,
    proofs,
    records,
)
from topfive.errors import DamagedWeightsError, EngineError
from topfive.processes import serve, skip_openvino_converter


def convert(
    network: networks.Network,
    file: Path,
    checksum: str,
    target: blobs.Target,
    folder: Path | None,
    blob: Path,
) -> None:
    """Compile the network into the file `blob`, in a folder of its own.

    `checksum` is the weight file's hash, or its stamp where it is the user's; `folder` holds
    the graph in 8 bits, for which no weights are read.

    Raises:
        WeightsError: the file does not have the checksum, or does not fit.
        EngineError: the compiled network does not agree with Keras.
    """
    identity = blobs.identity(network, checksum, target)
    with ThreadPoolExecutor() as pool:
        if folder is not None:
            graph, expected = quantised(folder, target.graph), None
        else:
            model = checked_model(network, file, checksum, pool)
            from topfive import keras_models

            graph = exported(keras_models.for_openvino(model, network))
            if identity["dense_in_place"]:
                multiply_from_the_left(graph)
            # Exporting keeps one core busy, Keras's answers the other.
            pictures = proofs.pictures(network.size)
            expected = pool.submit(keras_answers, model, pictures).result
        if identity["batch"] > 1:
            set_batch(graph, identity["batch"])
        proofs.write(graph, network, identity, target, expected, blob)


def checked_model(
    network: networks.Network, file: Path, checksum: str, pool: ThreadPoolExecutor
) -> Any:
    """Return the Keras model with the weights in `file`, which has the checksum."""
    stamp = files.stamp(file)
    # Hashing 553 MB takes as long as importing Keras: do both at once.
    matches = pool.submit(lambda: checksum == stamp or files.matches(file, checksum))
    engine_keras.start_keras("openvino")
    if not matches.result():
        raise DamagedWeightsError(f"{file} is not what it was: expected {checksum}")
    from topfive import keras_models

    model = keras_models.build(network, file)
    if files.stamp(file) != stamp:
        raise DamagedWeightsError(f"{file} changed while it was read")
    return model


def quantised(folder: Path, hashes: Sequence[str]) -> Any:
    """Return the graph in 8 bits that is in a folder; see `records.quantised`.

    Raises:
        EngineError: its files are not what they were.
    """
    import openvino

    for name, expected in zip(records.GRAPH, hashes, strict=True):
        if not (folder / name).is_file() or not files.matches(folder / name, expected):
            raise EngineError(f"{folder / name} is not what it was: make it again")
    return openvino.Core().read_model(folder / records.GRAPH[0])


def exported(model: Any) -> Any:
    """Return the graph that Keras exports, for one picture at a time.

    Keras only writes it to a file. Taking it on its way there spares 553 MB of disk.
    """
    import keras
    import openvino

    graphs: list[Any] = []
    serialize = openvino.serialize
    openvino.serialize = lambda graph, _: graphs.append(graph)
    try:
        # A fixed shape runs faster than an open one.
        picture = keras.InputSpec(dtype="uint8", shape=(1, *model.input_shape[1:]))
        model.export("graph.xml", format="openvino", verbose=False, input_signature=[picture])
    finally:
        openvino.serialize = serialize
    (graph,) = graphs
    return graph


def set_batch(graph: Any, batch: int) -> None:
    """Let a graph that was made for one picture at a time take `batch` of them."""
    from openvino import opset13

    for operation in graph.get_ops():
        if operation.get_type_name() != "Reshape":
            continue
        pattern = operation.input_value(1).get_node()
        if pattern.get_type_name() != "Constant":
            continue
        shape = pattern.get_data().tolist()
        if shape[0] == 1 and -1 not in shape:  # Keras writes the one picture into its Flatten
            free = opset13.constant(np.array([-1, *shape[1:]], np.int64))
            operation.input(1).replace_source_output(free.output(0))
    (picture,) = graph.inputs
    graph.reshape([batch, *list(picture.get_shape())[1:]])


def multiply_from_the_left(graph: Any) -> None:
    """Turn each dense layer of one picture, row times weights, into weights times column.

    OpenVINO then reads the weights where they are, in the mapped file. Otherwise it copies
    them into a layout of its own at each start, which for VGG is half a gigabyte.
    """
    from openvino import opset13

    for product in graph.get_ops():
        if product.get_type_name() != "MatMul":
            continue
        row, weights = product.input_value(0), product.input_value(1)
        source = weights.get_node()
        while source.get_type_name() == "Convert":
            source = source.input_value(0).get_node()
        turned = product.get_attributes()
        shape = row.get_partial_shape()
        one_row = shape.is_static and list(shape.to_shape())[:-1] == [1]
        if source.get_type_name() != "Constant" or not one_row or turned["transpose_a"]:
            continue
        column = opset13.matmul(weights, row, not turned["transpose_b"], True)
        flat = opset13.reshape(column, np.array([1, -1]), special_zero=False)
        product.output(0).replace(flat.output(0))


def keras_answers(model: Any, pictures: NDArray[np.uint8]) -> proofs.Answers:
    """Return the logits and the features of pictures by a model that `keras_models.build` made."""
    with engine_keras.exact_predictions():
        _, logits, features = engine_keras.predict(model, pictures)
    return logits, features


def answer(request: dict[str, Any]) -> None:
    """Do what `engine_openvino` asks for."""
    network = find.find_network(request["network"])
    target = blobs.Target(**{**request["target"], "graph": tuple(request["target"]["graph"])})
    folder = request["graph"] and Path(request["graph"])
    blob = Path(request["blob"])
    convert(network, Path(request["file"]), request["checksum"], target, folder, blob)


if __name__ == "__main__":
    skip_openvino_converter()
    sys.exit(serve(answer))
