"""The graph of a network to measure: `python -m topfive.evaluation.bench_process REQUEST`."""

from __future__ import annotations

import importlib
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np

from topfive.engines import graphs, keras_engine
from topfive.evaluation.bench_subjects import RANDOM
from topfive.networks.cards import Network
from topfive.networks.find import find_network
from topfive.system.processes import serve, skip_openvino_converter


def answer(request: dict[str, Any]) -> None:
    """Write a network's graph as topfive compiles it, for one picture at a time."""
    network, checksum = find_network(request["network"]), request["checksum"]
    if checksum == RANDOM:
        model = random_model(network)
    else:
        model = keras_engine.checked_model(network, Path(request["file"]), checksum)
    import openvino

    from topfive.engines import keras_models

    graph = graphs.exported_graph(keras_models.for_openvino(model, network))
    openvino.serialize(graph, request["graph"])


def random_model(network: Network) -> Any:
    """Return a network's Keras model with made-up weights, whose answers depend on the picture.

    Source: He et al. 2015, arXiv:1502.01852.
    """
    keras_engine.start_keras("openvino")
    from topfive.engines import keras_models

    module, _, builder = network.builder.partition(":")
    with keras_models.without_initial_values():
        body = getattr(importlib.import_module(module), builder)(weights=None)
    random = np.random.default_rng(0)
    for variable in body.weights:
        shape = tuple(variable.shape)
        if len(shape) > 1:
            fan_in = math.prod(shape[:2] if shape[-1] == 1 else shape[:-1])  # depthwise, others
            values = random.standard_normal(shape, np.float32)
            variable.assign(values * np.float32(math.sqrt(2 / fan_in)))
        elif variable.name in ("gamma", "moving_variance", "variance"):
            variable.assign(np.ones(shape, np.float32))
    return keras_models.with_scaling(body, network)


if __name__ == "__main__":
    skip_openvino_converter()
    sys.exit(serve(answer))
