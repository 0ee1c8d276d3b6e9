"""Keras → OpenVINO, in a process of its own: `python -m topfive.convert REQUEST`.

The process that asks never imports Keras, and gets its memory back. A compiled network is
admitted only after its file, read back the way every later command reads it, has agreed
with Keras.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from topfive import blobs, downloads, engine_keras, engine_openvino, networks, self_test, weights
from topfive.errors import DamagedWeightsError, EngineError, TopfiveError
from topfive.processes import skip_openvino_converter

TOLERANCE = 1e-4


def convert(
    network: networks.Network,
    file: Path,
    checksum: str,
    device: str,
    throughput: bool,
    target: Path,
) -> None:
    """Compile the network for `device` into the blob file `target`, in a folder of its own.

    `checksum` is the weight file's hash, or its stamp where it is the user's; for
    `throughput` see `blobs.identity`.

    Raises:
        WeightsError: the file does not have the checksum, or does not fit.
        EngineError: the compiled network does not agree with Keras.
    """
    with ThreadPoolExecutor() as pool:
        stamp = weights.stamp(file)
        # Hashing 553 MB takes as long as importing Keras: do both at once.
        matches = pool.submit(lambda: checksum == stamp or downloads.matches(file, checksum))
        engine_keras.start_keras("openvino")
        if not matches.result():
            raise DamagedWeightsError(f"{file} is not what it was: expected {checksum}")
        import openvino

        from topfive import keras_models

        model = keras_models.build(network, file)
        if weights.stamp(file) != stamp:
            raise DamagedWeightsError(f"{file} changed while it was read")
        identity = blobs.identity(network, checksum, device, throughput)
        graph = exported(keras_models.for_openvino(model, network))
        if identity["dense_in_place"]:
            multiply_from_the_left(graph)
        pictures = self_test.pictures(network.size)
        compiled = openvino.Core().compile_model(graph, device, engine_openvino.LATENCY)
        # Exporting keeps one core busy, Keras's answers the other.
        expected = pool.submit(engine_keras.running(model), pictures)
        with blobs.writing(target, identity) as stream:
            compiled.export_model(stream)
        del compiled
        run = engine_openvino.open_blob(blobs.Reading(identity, target), throughput=throughput)
        if run is None:
            raise EngineError(f"{target} went away")
        prove(network, expected.result(), run(pictures))


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


def prove(
    network: networks.Network, expected: NDArray[np.float32], received: NDArray[np.float32]
) -> None:
    """Compare a compiled network's answers with Keras's.

    Raises:
        EngineError: some probability differs by more than `TOLERANCE`.
    """
    difference = float(np.abs(expected - received).max())
    # Not `difference > TOLERANCE`: that lets NaN pass.
    if not difference <= TOLERANCE:
        raise EngineError(
            f"the compiled {network.title} differs from Keras by {difference:.2g} in a "
            f"probability; at most {TOLERANCE:g} is allowed"
        )


def main() -> int:
    """Read a request from the command line; print an error as JSON, for the parent."""
    request = json.loads(sys.argv[1])
    target = Path(request["target"])
    try:
        network = networks.find_network(request["network"])
        options = {name: request[name] for name in ("checksum", "device", "throughput")}
        convert(network, Path(request["file"]), **options, target=target)
    except (TopfiveError, OSError) as error:
        target.unlink(missing_ok=True)
        print(json.dumps({"kind": type(error).__name__, "message": str(error)}))
        return 1
    return 0


if __name__ == "__main__":
    skip_openvino_converter()
    sys.exit(main())
