"""A card and a weight file → a Keras model from uint8 RGB to probabilities.
A weight file fills the variables of a model that is built here; what else it says is ignored."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from topfive.engines.weight_loading import finish, load_weights
from topfive.networks import heads
from topfive.networks.cards import Network

_PATCHING = threading.RLock()


def build(network: Network, weights: Path) -> Any:
    """Return a Keras model: uint8 RGB (n, size, size, 3) → float32 (n, classes) probabilities,
    (n, classes) logits, and (n, features) features, what the last layer with weights is given.

    The scaling is the first layers of the graph.

    Raises:
        WeightsError: the file cannot be read or does not fit the network.
    """
    return _with_outputs(filled(network, weights), network)


def filled(network: Network, weights: Path) -> Any:
    """Return a network's Keras model from prepared pixels to logits, with the weights in a file;
    where that holds none for its last layer, these are zero.

    Raises: see `build`.
    """
    body = bare(network, "channels_last")
    load_weights(features(body) if network.taught and network.taught.tuned else body, weights)
    return body


def for_openvino(model: Any, network: Network) -> Any:
    """Return a model that `build` made with its channels first inside, where Keras can.
    From channels last OpenVINO gets transpositions around each layer: up to half of the time."""
    if not network.channels_first:
        return model
    turned = _with_outputs(bare(network, "channels_first"), network)
    for variable, known in zip(turned.weights, model.weights, strict=True):
        variable.assign(known)
    finish(turned)
    return turned


def answering(model: Any) -> Any:
    """Return a model with the weights of one that `build` made, and its probabilities alone."""
    import keras

    return keras.Model(model.input, model.outputs[0], name=model.name)


def features(body: Any) -> Any:
    """Return a model that shares a network's layers up to its last one with weights: the same
    input → float32 (n, features), averaged over the picture where they have places in it."""
    import keras

    last = [layer for layer in body.layers if layer.weights][-1]
    found = last.input
    if len(found.shape) == 4:
        found = keras.layers.GlobalAveragePooling2D(last.data_format, name="features")(found)
    return keras.Model(body.input, found, name=body.name)


def with_head(before: Any, old: Any, head: NDArray[np.float32]) -> Any:
    """Return the logits of classes that a `head` tells by (n, features) features `before` it:
    (features + 1, classes), the last row is added. Of the classes before, with the logits
    `old` or None, the best stays the best: the head's are beside the logarithm of 1.
    """
    import keras

    with without_initial_values():
        layer = keras.layers.Dense(head.shape[1], name="head")
        own = layer(before)
    layer.set_weights([head[:-1], head[-1]])
    if old is None:
        return own
    known = keras.layers.Activation("log_softmax", name="known")(old)
    return keras.layers.Concatenate(name="extended")([known, own])


def _with_outputs(body: Any, network: Network) -> Any:
    """Return a body with its scaling before it and with all that `build` returns after it."""
    import keras

    before = features(body)
    answers = body.output
    if network.taught:
        head = heads.read(network, before.output_shape[-1])
        answers = with_head(before.output, answers if network.taught.extends else None, head)
    inner = keras.Model(body.input, [answers, before.output], name=body.name)
    pictures = with_scaling(inner, network)
    logits, found = pictures.outputs
    probabilities = keras.layers.Softmax(name="probabilities")(logits)
    return keras.Model(pictures.input, [probabilities, logits, found], name=pictures.name)


def bare(network: Network, data_format: str, initial_values: bool = False) -> Any:
    """Return a network's Keras model from prepared pixels to logits, all its weights zero or,
    with `initial_values`, as Keras draws them."""
    import keras

    # ~/.keras/keras.json may say otherwise; the weights are float32.
    keras.config.set_floatx("float32")
    module, _, builder = network.builder.partition(":")
    keras.config.set_image_data_format(data_format)
    try:
        with nullcontext() if initial_values else without_initial_values():
            build = getattr(importlib.import_module(module), builder)
            return build(weights=None, classifier_activation=None)
    finally:
        keras.config.set_image_data_format("channels_last")


def with_scaling(body: Any, network: Network) -> Any:
    """Put the card's scaling before a model that expects prepared pixels."""
    import keras

    scaling = network.scaling
    inputs = keras.Input((network.size, network.size, 3), dtype="uint8", name="picture")
    x, axis = inputs, -1
    if body.input_shape[1:] == (3, network.size, network.size):
        # While it is bytes, which is a quarter of the work.
        x, axis = keras.ops.transpose(x, (0, 3, 1, 2)), 1
    shape = (3, 1, 1) if axis == 1 else (3,)
    x = keras.ops.cast(x, "float32")
    if scaling.order == "BGR":
        x = keras.ops.flip(x, axis=axis)
    if scaling.scale != (1.0, 1.0, 1.0):
        # Divided as Keras does, so that it is rounded as Keras does.
        x = x / np.array([1 / scale for scale in scaling.scale], np.float32).reshape(shape)
    if scaling.offset != (0.0, 0.0, 0.0):
        x = x + np.array(scaling.offset, np.float32).reshape(shape)
    return keras.Model(inputs, body(x), name=body.name + "_pictures")


@contextmanager
def without_initial_values() -> Iterator[None]:
    """Start this thread's variables at zero: the weight file overwrites every one.
    Keras draws random values first, which for VGG16 takes longer than all the rest."""
    import keras

    layer = keras.layers.Layer
    # The class is patched for all threads, one at a time; only its owner's layers differ.
    with _PATCHING:
        add_weight, owner = layer.add_weight, threading.get_ident()

        def add_zeros(self: Any, *args: Any, **options: Any) -> Any:
            if threading.get_ident() == owner:
                if len(args) > 1:  # Keras 2's (shape, initializer, dtype)
                    args = (args[0], "zeros", *args[2:])
                else:
                    options["initializer"] = "zeros"
            return add_weight(self, *args, **options)

        layer.add_weight = add_zeros
        try:
            yield
        finally:
            layer.add_weight = add_weight
