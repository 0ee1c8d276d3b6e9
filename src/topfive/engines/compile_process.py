"""Keras → OpenVINO, in a process of its own: `python -m topfive.engines.compile_process REQUEST`.
The process that asks never imports Keras, and gets its memory back."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from topfive.engines import blobs, keras_engine, proofs
from topfive.engines.graphs import exported_graph, multiply_from_the_left, read_int8, set_batch
from topfive.networks.cards import Network
from topfive.networks.find import find_network
from topfive.networks.weights import Held
from topfive.system.processes import Background, serve, skip_openvino_converter


def convert(
    network: Network, held: Held, target: blobs.Target, folder: Path | None, blob: Path
) -> None:
    """Compile the network into the file `blob`, in a folder of its own.

    `held` has its weights, and their hash, or their stamp where they are the user's; `folder`
    holds the graph in 8 bits, for which no weights are read.

    Raises:
        WeightsError: the file does not have the checksum, or does not fit.
        EngineError: the compiled network does not agree with Keras.
    """
    identity = blobs.identity(network, held.checksum, target)
    if folder is not None:
        graph, expected = read_int8(folder, target.graph), None
    else:
        model = keras_engine.checked_model(network, held.path, held.checksum)
        from topfive.engines import keras_models

        graph = exported_graph(keras_models.for_openvino(model, network))
        if identity["dense_in_place"]:
            multiply_from_the_left(graph)
        # Exporting keeps one core busy, Keras's answers the other.
        pictures = proofs.pictures(network.size)
        expected = Background(partial(keras_answers, model, pictures)).result
    if identity["batch"] > 1:
        set_batch(graph, identity["batch"])
    proofs.write(graph, network, identity, target, expected, blob)


def keras_answers(model: Any, pictures: NDArray[np.uint8]) -> proofs.Answers:
    """Return the logits and the features of pictures by a model that `keras_models.build` made."""
    with keras_engine.exact_predictions():
        _, logits, features = keras_engine.predict(model, pictures)
    return logits, features


def answer(request: dict[str, Any]) -> None:
    """Do what `openvino_engine` asks for."""
    held = Held(Path(request["weights"]), request["checksum"])
    target = blobs.Target(**request["target"])
    folder = request["graph"] and Path(request["graph"])
    convert(find_network(request["network"]), held, target, folder, Path(request["blob"]))


if __name__ == "__main__":
    skip_openvino_converter()
    sys.exit(serve(answer))
