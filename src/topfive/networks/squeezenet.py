"""SqueezeNet v1.0 and v1.1 as Keras models.

Source: Iandola et al. 2016, arXiv:1602.07360, table 1; v1.1: github.com/forresti/SqueezeNet.
"""

from __future__ import annotations

from functools import partial
from typing import Any

# Squeeze and expand widths of fire2 to fire9, the same in both versions.
FIRE_WIDTHS = tuple((width, 4 * width) for width in (16, 16, 32, 32, 48, 48, 64, 64))


def _build(
    name: str,
    conv1: tuple[int, int],
    pool_after: tuple[int, ...],
    weights: None = None,  # noqa: ARG001, filled by `load_weights`
    classifier_activation: str | None = "softmax",
) -> Any:
    """Build a version: (n, 227, 227, 3) BGR minus the mean → (n, 1000) probabilities.
    The last arguments are those of `keras.applications`; without activation it returns logits."""
    import keras

    layers = keras.layers
    axis = 1 if keras.config.image_data_format() == "channels_first" else -1
    inputs = keras.Input((3, 227, 227) if axis == 1 else (227, 227, 3))
    filters, kernel = conv1
    x = layers.Conv2D(filters, kernel, strides=2, activation="relu", name="conv1")(inputs)
    if 1 in pool_after:
        x = _max_pool(x, "pool1")
    for number, widths in enumerate(FIRE_WIDTHS, start=2):
        x = _fire(x, f"fire{number}", *widths, axis)
        if number in pool_after:
            x = _max_pool(x, f"pool{number}")
    x = layers.Dropout(0.5, name="drop9")(x)
    x = layers.Conv2D(1000, 1, activation="relu", name="conv10")(x)
    x = layers.GlobalAveragePooling2D(name="pool10")(x)
    x = layers.Activation(classifier_activation, name="prob")(x)
    return keras.Model(inputs, x, name=name)


squeezenet_v1_0 = partial(_build, "squeezenet", (96, 7), (1, 4, 8))
# It moves the pooling forward: 2.4 times less arithmetic.
squeezenet_v1_1 = partial(_build, "squeezenet_v1.1", (64, 3), (1, 3, 5))


def _fire(x: Any, name: str, squeeze: int, expand: int, axis: int) -> Any:
    import keras

    conv = keras.layers.Conv2D
    x = conv(squeeze, 1, activation="relu", name=f"{name}_squeeze1x1")(x)
    left = conv(expand, 1, activation="relu", name=f"{name}_expand1x1")(x)
    right = conv(expand, 3, padding="same", activation="relu", name=f"{name}_expand3x3")(x)
    return keras.layers.Concatenate(axis, name=f"{name}_concat")([left, right])


def _max_pool(x: Any, name: str) -> Any:
    """Pool 3×3/2 as Caffe does, whose ceil mode lets the last window hang over the edge.
    It does where the size is even; Keras's `same` then adds one row and column, at the far side."""
    import keras

    padding = "valid" if x.shape[2] % 2 else "same"
    return keras.layers.MaxPooling2D(3, strides=2, padding=padding, name=name)(x)
