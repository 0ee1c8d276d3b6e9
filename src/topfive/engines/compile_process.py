"""Keras → OpenVINO, in a process of its own: `python -m topfive.engines.compile_process REQUEST`.

The process that asks never imports Keras, and gets its memory back. A compiled network is
admitted only after its file, read back the way every later command reads it, has agreed
with Keras.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from topfive.engines import blobs, keras_engine, proofs
from topfive.engines.graphs import exported_graph, multiply_from_the_left, read_int8, set_batch
from topfive.engines.keras_engine import checked_model
from topfive.networks import cards, find
from topfive.system.processes import serve, skip_openvino_converter


def convert(
    network: cards.Network,
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
            graph, expected = read_int8(folder, target.graph), None
        else:
            model = checked_model(network, file, checksum, pool)
            from topfive.engines import keras_models

            graph = exported_graph(keras_models.for_openvino(model, network))
            if identity["dense_in_place"]:
                multiply_from_the_left(graph)
            # Exporting keeps one core busy, Keras's answers the other.
            pictures = proofs.pictures(network.size)
            expected = pool.submit(keras_answers, model, pictures).result
        if identity["batch"] > 1:
            set_batch(graph, identity["batch"])
        proofs.write(graph, network, identity, target, expected, blob)


def keras_answers(model: Any, pictures: NDArray[np.uint8]) -> proofs.Answers:
    """Return the logits and the features of pictures by a model that `keras_models.build` made."""
    with keras_engine.exact_predictions():
        _, logits, features = keras_engine.predict(model, pictures)
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
