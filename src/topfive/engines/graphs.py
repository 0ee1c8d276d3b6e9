"""OpenVINO's graphs: as Keras exports them, in 8 bits, for one picture or several at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from topfive.errors import EngineError
from topfive.networks import records
from topfive.system import files


def read_int8(folder: Path, hashes: Sequence[str]) -> Any:
    """Return the graph in 8 bits that is in a folder; see `records.find_int8`.

    Raises:
        EngineError: its files are not what they were.
    """
    import openvino

    for name, expected in zip(records.GRAPH, hashes, strict=True):
        if not (folder / name).is_file() or not files.matches(folder / name, expected):
            raise EngineError(f"{folder / name} is not what it was: make it again")
    return openvino.Core().read_model(folder / records.GRAPH[0])


def exported_graph(model: Any) -> Any:
    """Return the graph that Keras exports, for one picture at a time.
    Keras only writes it to a file. Taking it on its way there spares 553 MB of disk."""
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
    return graphs.pop()


def set_batch(graph: Any, batch: int | None) -> None:
    """Let a graph that was made for one picture at a time take `batch` of them, or any number."""
    from openvino import opset13

    for old in graph.get_ops():
        if old.get_type_name() != "Reshape":
            continue
        pattern = old.input_value(1).get_node()
        if pattern.get_type_name() != "Constant" or old.input_value(0).get_shape()[:1] != [1]:
            continue
        sides = list(pattern.get_data())
        if sides[0] == 1 and 0 not in sides:  # Keras writes the one picture into its Flatten
            # A zero takes over the side that is there.
            new = opset13.reshape(old.input_value(0), np.array([0, *sides[1:]]), special_zero=True)
            old.output(0).replace(new.output(0))
    sides = graph.input().get_partial_shape().get_min_shape()[1:]
    graph.reshape([-1 if batch is None else batch, *sides])


def multiply_from_the_left(graph: Any) -> None:
    """Turn each dense layer of one picture, row times weights, into weights times column.
    OpenVINO then reads the weights in the mapped file, and does not copy them at each start."""
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


def layers(graph: Any) -> tuple[int, int]:
    """Return how many layers with weights have them in 8 bits, and how many there are."""
    kinds = []
    for layer in graph.get_ops():
        if layer.get_type_name() not in ("Convolution", "GroupConvolution", "MatMul"):
            continue
        source = layer.input_value(1).get_node()
        while source.get_type_name() != "Constant" and source.get_input_size():
            source = source.input_value(0).get_node()
        if source.get_type_name() == "Constant":
            kinds.append(source.get_element_type().size)
    return kinds.count(1), len(kinds)
