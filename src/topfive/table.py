"""The engines by their names."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from topfive import engine_keras, engine_openvino
from topfive.run import Run

# Each loads a network: `load(network, weights file or None, ...) -> Run`.
ENGINES: dict[str, Callable[..., Run]] = {
    "openvino": engine_openvino.load,
    **{name: partial(engine_keras.load, backend=name) for name in engine_keras.BACKENDS},
}
