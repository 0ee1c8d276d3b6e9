"""EfficientNet-Lite0, 1 and 2: one description, from which Keras and OpenVINO build the network.

Source: Tan & Le 2019, arXiv:1905.11946, table 1, and the authors' own variant without squeeze and
excitation (github.com/tensorflow/tpu, models/official/efficientnet/lite): ReLU6 in the place of
swish, and a stem, a head, a first and a last stage that no coefficient scales.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

STEM, HEAD, CLASSES = 32, 1280, 1000
EPSILON = 1e-3  # of the batch normalisations
DROP_CONNECT = 0.2  # of the last residual unit in training; those before have less
DIVISOR = 8  # of the number of filters


@dataclass(frozen=True)
class Stage:
    """Units of one width; the first has the stride, all `expansion` times the channels inside."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    filters: int


STAGES = (
    Stage(1, 3, 1, 1, 16), Stage(2, 3, 2, 6, 24), Stage(2, 5, 2, 6, 40), Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112), Stage(4, 5, 2, 6, 192), Stage(1, 3, 1, 6, 320),
)  # fmt: skip


@dataclass(frozen=True)
class Variant:
    """The coefficients of one of the networks, its input's side, its dropout."""

    width: float
    depth: float
    size: int
    dropout: float


VARIANTS = {
    "efficientnet_lite0": Variant(1.0, 1.0, 224, 0.2),
    "efficientnet_lite1": Variant(1.0, 1.1, 240, 0.2),
    "efficientnet_lite2": Variant(1.1, 1.2, 260, 0.3),
}


class Layers(Protocol):
    """What a network is built of; each takes and returns a tensor of the library's own.

    Convolutions have no bias, pad as TensorFlow's "same" does, and are normalised; `active`
    puts ReLU6 after that. Layers with weights come in the order of a weight file.
    """

    def convolution(
        self, x: Any, name: str, filters: int, kernel: int = 1, stride: int = 1, active: bool = True
    ) -> Any:
        """(n, channels, places) → (n, filters, places)."""

    def depthwise(self, x: Any, name: str, kernel: int, stride: int) -> Any:
        """A filter for each channel, with ReLU6 after it."""

    def add(self, x: Any, before: Any, name: str, rate: float) -> Any:
        """Return the sum; in training `x` is left out at that rate."""

    def classify(self, x: Any, classes: int, dropout: float) -> Any:
        """Average over the places; return the logits of a dense layer with a bias."""


def assemble(variant: Variant, x: Any, layers: Layers) -> Any:
    """Return the network's logits of prepared pixels `x`."""
    x = layers.convolution(x, "stem", STEM, kernel=3, stride=2)
    channels, done = STEM, 0
    all_repeats = [_repeats(variant, number) for number in range(len(STAGES))]
    for number, (stage, repeats) in enumerate(zip(STAGES, all_repeats, strict=True)):
        filters = _filters(variant, stage.filters)
        for unit in range(repeats):
            name = f"block{number + 1}{chr(ord('a') + unit)}"
            before, stride = x, stage.stride if unit == 0 else 1
            if stage.expansion > 1:
                x = layers.convolution(x, f"{name}_expand", channels * stage.expansion)
            x = layers.depthwise(x, name, stage.kernel, stride)
            x = layers.convolution(x, f"{name}_project", filters, active=False)
            if stride == 1 and channels == filters:
                x = layers.add(x, before, name, DROP_CONNECT * done / sum(all_repeats))
            channels, done = filters, done + 1
    return layers.classify(layers.convolution(x, "top", HEAD), CLASSES, variant.dropout)


def _repeats(variant: Variant, number: int) -> int:
    fixed = number in (0, len(STAGES) - 1)
    repeats = STAGES[number].repeats
    return repeats if fixed else math.ceil(variant.depth * repeats)


def _filters(variant: Variant, filters: int) -> int:
    """Return the scaled number of filters, a multiple of `DIVISOR`, at most a tenth lower."""
    scaled = filters * variant.width
    rounded = max(DIVISOR, int(scaled + DIVISOR / 2) // DIVISOR * DIVISOR)
    return rounded if rounded >= 0.9 * scaled else rounded + DIVISOR


class KerasLayers:
    """The layers in Keras, named as `keras.applications` names its EfficientNet's."""

    def __init__(self) -> None:
        import keras

        self.keras = keras
        self.axis = 1 if keras.config.image_data_format() == "channels_first" else -1

    def convolution(
        self, x: Any, name: str, filters: int, kernel: int = 1, stride: int = 1, active: bool = True
    ) -> Any:
        layer = self.keras.layers.Conv2D(
            filters, kernel, strides=stride, padding="same", use_bias=False, name=f"{name}_conv"
        )
        return self._normalised(layer(x), name, active)

    def depthwise(self, x: Any, name: str, kernel: int, stride: int) -> Any:
        layer = self.keras.layers.DepthwiseConv2D(
            kernel, strides=stride, padding="same", use_bias=False, name=f"{name}_dwconv"
        )
        return self._normalised(layer(x), name, True)

    def add(self, x: Any, before: Any, name: str, rate: float) -> Any:
        layers = self.keras.layers
        if rate:
            x = layers.Dropout(rate, noise_shape=(None, 1, 1, 1), name=f"{name}_drop")(x)
        return layers.Add(name=f"{name}_add")([x, before])

    def classify(self, x: Any, classes: int, dropout: float) -> Any:
        layers = self.keras.layers
        x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
        x = layers.Dropout(dropout, name="top_dropout")(x)
        return layers.Dense(classes, name="predictions")(x)

    def _normalised(self, x: Any, name: str, active: bool) -> Any:
        layers = self.keras.layers
        x = layers.BatchNormalization(self.axis, epsilon=EPSILON, name=f"{name}_bn")(x)
        return layers.ReLU(6.0, name=f"{name}_activation")(x) if active else x


def _build(
    name: str,
    weights: None = None,  # noqa: ARG001, filled by `load_weights`
    classifier_activation: str | None = "softmax",
) -> Any:
    """Build a variant: (n, size, size, 3) RGB, (value - 127) / 128 → (n, 1000) probabilities.
    The last arguments are those of `keras.applications`; without activation it returns logits."""
    import keras

    variant, layers = VARIANTS[name], KerasLayers()
    side = variant.size
    inputs = keras.Input((3, side, side) if layers.axis == 1 else (side, side, 3))
    logits = assemble(variant, inputs, layers)
    if classifier_activation is not None:
        logits = keras.layers.Activation(classifier_activation, name="probabilities")(logits)
    return keras.Model(inputs, logits, name=name)


efficientnet_lite0, efficientnet_lite1, efficientnet_lite2 = (
    partial(_build, name) for name in VARIANTS
)
