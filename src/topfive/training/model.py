"""The Keras model that is trained: varied pictures → scaling → body → standardised features →
the logits of the classes. Its blocks, what of it learns, its optimizer, its seeds.

The rate rises for a share of the steps and falls along a cosine to 0. Source: Goyal et al.
2017, arXiv:1706.02677; Loshchilov & Hutter 2017, arXiv:1608.03983, 2019, arXiv:1711.05101.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from topfive.engines import keras_models
from topfive.engines.weight_formats import SEED
from topfive.networks.cards import Network
from topfive.training.options import ALL, HEAD_FACTOR, Options

# Whose neighbours in a network are of one block: `block5_conv3`, `conv_pw_13`, `fire9_…`.
_BLOCK = re.compile(r"(?:.*block_?|fire|conv_[dp]w_)\d+[a-z]?(?=_|$)")
_HEAD, _FEATURES = "head", "features_standardised"
MIXED = "mixed_float16"


def build(
    network: Network, weights: Path | None, num_classes: int, options: Options, mixed: bool
) -> Any:
    """Return a model: uint8 RGB (n, size, size, 3) → float32 (n, classes) logits.

    Without a weight file its weights are random, by the options' initializer and seed. In
    training it varies the pictures first. `mixed` computes in float16 what allows that.
    """
    import keras

    known = keras.config.dtype_policy()
    keras.config.set_dtype_policy(MIXED if mixed else "float32")
    try:
        if weights is None:
            body = keras_models.features(keras_models.bare(network, "channels_last", True))
            initialise(body, options)
        else:
            body = keras_models.features(keras_models.filled(network, weights))
        inputs = keras.Input((network.size, network.size, 3), dtype="uint8", name="picture")
        x = _varied(inputs, options.augment) if options.augment else inputs
        x = keras_models.with_scaling(body, network)(x)
        # As layers of their own, in float32: they become a part of the head in the end.
        plain = {"dtype": "float32", "trainable": False}
        x = keras.layers.BatchNormalization(
            center=False, scale=False, epsilon=0.0, name=_FEATURES, **plain
        )(x)
        first = {"kernel_initializer": "zeros" if weights else _initializer(options, 0)}
        x = keras.layers.Dense(num_classes, dtype="float32", name=_HEAD, **first)(x)
        return keras.Model(inputs, x, name=network.name)
    finally:
        keras.config.set_dtype_policy(known)


def body_of(model: Any) -> Any:
    """Return the part of a model that `build` made from prepared pixels to features."""
    import keras

    pictures = next(one for one in model.layers if isinstance(one, keras.Model))
    return next(one for one in pictures.layers if isinstance(one, keras.Model))


def before_head(model: Any) -> Any:
    """Return a model that shares the weights of one that `build` made and returns its features."""
    import keras

    return keras.Model(model.input, model.get_layer(_FEATURES).input)


def initialise(body: Any, options: Options) -> None:
    """Give each kernel random values by the options' initializer and seed.

    Source: He et al. 2015, arXiv:1502.01852; Glorot & Bengio 2010.
    """
    import keras

    for number, variable in enumerate(body.weights, start=1):
        if "kernel" in variable.name:
            shape = tuple(variable.shape)
            # Each filter of a depthwise kernel (…, channels, 1) reads one channel.
            drawn = (*shape[:-2], 1, shape[-2]) if "depthwise" in variable.path else shape
            variable.assign(keras.ops.reshape(_initializer(options, number)(drawn), shape))


def standardise(model: Any, features: NDArray[np.float32]) -> None:
    """Let the head be given features with the mean 0 and the deviation 1 on average over
    (n, features) of some pictures: networks differ by orders of magnitude."""
    variance = features.var(axis=0, dtype=np.float64)
    least = 1e-3 * float(variance.mean()) or 1.0  # of a feature that is nearly always the same
    values = [features.mean(axis=0, dtype=np.float64), np.maximum(variance, least)]
    model.get_layer(_FEATURES).set_weights([np.asarray(one, np.float32) for one in values])


def head_of(model: Any) -> NDArray[np.float32]:
    """Return the head as `heads.write` takes it: what standardises the features is in it."""
    mean, variance = (np.float64(one) for one in model.get_layer(_FEATURES).get_weights())
    kernel, bias = (np.float64(one) for one in model.get_layer(_HEAD).get_weights())
    kernel = kernel / np.sqrt(variance)[:, None]
    return np.vstack([kernel, bias - mean @ kernel]).astype(np.float32)


def blocks(body: Any) -> list[list[Any]]:
    """Return the layers of a network in its blocks, from the pictures up.

    A block ends where a single tensor leads on, so that residual units and modules with
    branches are one; parts that are named as one (`block5_conv1`, `block5_conv2`) are joined,
    and what has no kernels counts to the block before.
    """
    layers = body.layers
    places = {id(layer): place for place, layer in enumerate(layers)}
    last_use = list(range(len(layers)))
    for place, layer in enumerate(layers):
        for node in layer._inbound_nodes:
            for parent in node.parent_nodes:
                if (at := places.get(id(parent.operation))) is not None:
                    last_use[at] = max(last_use[at], place)
    found: list[list[Any]] = []
    part: list[Any] = []
    furthest = 0
    for place, layer in enumerate(layers):
        part.append(layer)
        if furthest <= place:
            name = _block(part)
            joined = name == _block(found[-1]) if found and name else not _has_kernels(part)
            if found and (joined or not _has_kernels(found[-1])):
                found[-1].extend(part)
            else:
                found.append(part)
            part = []
        furthest = max(furthest, last_use[place])
    return found


def _block(layers: Iterable[Any]) -> str | None:
    for layer in layers:
        if layer.weights and (match := _BLOCK.match(layer.name)):
            # MobileNet's depthwise and pointwise halves are one block.
            return match[0].replace("conv_dw", "conv_pw")
    return None


def _has_kernels(layers: Iterable[Any]) -> bool:
    return any(len(weight.shape) > 1 for layer in layers for weight in layer.weights)


def set_learning(model: Any, learning: int | str, from_scratch: bool = False) -> None:
    """Let the head learn and so many top blocks under it, or `all`; the others stay.

    Batch normalisation computes with what it knows and does not learn, unless `from_scratch`:
    the statistics of a few pictures are worse than ImageNet's.
    """
    import keras

    parts = blocks(body_of(model))
    first = 0 if learning == ALL else max(0, len(parts) - int(learning))
    for number, part in enumerate(parts):
        for layer in part:
            stays = isinstance(layer, keras.layers.BatchNormalization) and not from_scratch
            layer.trainable = number >= first and not stays


def compile_model(model: Any, options: Options, phase: str, steps: int) -> None:
    """Make a model ready to learn for so many steps."""
    import keras

    rate = (options.learning_rate or 0) * (HEAD_FACTOR if phase == "head" else 1)
    rising = round(options.warmup * steps)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0 if rising else rate,
        max(1, steps - rising),
        warmup_target=rate if rising else None,
        warmup_steps=rising,
    )
    given: dict[str, Any] = {"learning_rate": schedule, "weight_decay": options.weight_decay}
    if options.optimizer == "adamw":
        optimizer = keras.optimizers.AdamW(**given)
    else:
        optimizer = keras.optimizers.SGD(momentum=0.9, nesterov=True, **given)
    vectors = [one for one in model.trainable_variables if len(one.shape) < 2]
    optimizer.exclude_from_weight_decay(var_list=vectors)
    model.compile(
        optimizer,
        keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=options.label_smoothing
        ),
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
        jit_compile=keras.backend.backend() == "jax",
    )
    model.optimizer.build(model.trainable_variables)


def seed_epoch(model: Any, seed: int, epoch: int) -> None:
    """Start all that is random in a model as this epoch always starts it."""
    import keras

    if keras.backend.backend() == "torch":
        import torch

        torch.manual_seed(_seed(seed, epoch))  # its dropout takes no state of Keras's
    for number, state in enumerate(one for one in model.variables if SEED in one.path):
        state.assign(np.array([_seed(seed, epoch, number), 0]))


def _seed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1)[0] >> 1)


def _initializer(options: Options, number: int) -> Any:
    import keras

    seed = _seed(options.seed, number)
    if options.initializer == "he":
        return keras.initializers.HeNormal(seed)
    return keras.initializers.GlorotUniform(seed)


def _varied(inputs: Any, strength: float) -> Any:
    """Return pictures that training varies, rounded to bytes as those of any other use are."""
    import keras

    layers = keras.layers
    share = min(1.0, 0.1 * strength)
    x = keras.ops.cast(inputs, "float32")
    for layer in (
        layers.RandomFlip("horizontal", dtype="float32"),
        layers.RandomTranslation(share, share, fill_mode="reflect", dtype="float32"),
        layers.RandomRotation(0.03 * strength, fill_mode="reflect", dtype="float32"),
        layers.RandomZoom((-0.15 * strength, 0.1 * strength), fill_mode="reflect", dtype="float32"),
        layers.RandomBrightness(min(1.0, 0.1 * strength), dtype="float32"),
        layers.RandomContrast(min(1.0, 0.2 * strength), dtype="float32"),
    ):
        # That they cannot be compiled is said for TensorFlow's sake, which is not asked to.
        layer.supports_jit = True
        x = layer(x)
    x = keras.ops.clip(keras.ops.round(x), 0, 255)
    return keras.ops.cast(x, "uint8")
