"""The engines by their names."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from topfive.engines import keras_engine, openvino_engine
from topfive.engines.run import Run
from topfive.networks.cards import KERAS_BACKENDS

# Each loads a network: `load(network, weights file or None, ...) -> Run`.
ENGINES: dict[str, Callable[..., Run]] = {
    "openvino": openvino_engine.load,
    **{name: partial(keras_engine.load, backend=name) for name in KERAS_BACKENDS},
}
