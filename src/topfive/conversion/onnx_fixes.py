"""What tf2onnx, by which Keras writes ONNX, cannot translate or does in many times the memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np


def ease(model: Any) -> None:
    """Have a Keras model's layers compute with what tf2onnx can translate.

    TensorFlow's tensors would become inputs of the graph; it makes GELU of erfc; and Keras has
    XLA compile convolutions in groups, which with a group a channel are depthwise ones.
    """
    import keras

    for layer in model.layers:
        if isinstance(layer, keras.Model):
            ease(layer)
        elif isinstance(layer, keras.layers.Normalization):
            layer.mean, layer.variance = np.asarray(layer.mean), np.asarray(layer.variance)
        elif isinstance(layer, keras.layers.Conv2D) and layer.groups == layer.filters > 1:
            layer.convolution_op = partial(_depthwise, layer)
        elif getattr(layer, "activation", None) is keras.activations.gelu:
            layer.activation = _gelu


@contextmanager
def few_copies() -> Iterator[None]:
    """Keep tf2onnx from copying all weights at each step, for which VGG's are too large."""
    # With it, a step that fails ends the conversion instead of being left out.
    os.environ["TF2ONNX_CATCH_ERRORS"] = "FALSE"
    from tf2onnx.graph import Node

    update_proto = Node.update_proto

    def update_others(self: Any, *arguments: Any) -> None:
        if not self.is_const():  # whose tensor is taken from elsewhere in the end
            update_proto(self, *arguments)

    Node.update_proto = update_others
    try:
        yield
    finally:
        Node.update_proto = update_proto


def _depthwise(layer: Any, inputs: Any, kernel: Any) -> Any:
    import keras

    turned = keras.ops.transpose(kernel, (0, 1, 3, 2))
    return keras.ops.depthwise_conv(
        inputs, turned, layer.strides, layer.padding, layer.data_format, layer.dilation_rate
    )


def _gelu(x: Any) -> Any:
    import keras

    return x * (1 + keras.ops.erf(x * 0.5**0.5)) / 2
