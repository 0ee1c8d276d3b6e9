"""Weight files in the official layout with random numbers in them.

No published weights but SqueezeNet's are at hand in the tests, so the other networks are
tested with these: files as Keras 1 and 2 wrote them, whose networks give decided answers
that differ from picture to picture.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from topfive.engines.keras_models import with_scaling, without_initial_values
from topfive.networks.cards import Network


def pictures(count: int, size: int, seed: int = 7) -> NDArray[np.uint8]:
    """Return coloured blobs, uint8 (count, size, size, 3), unlike each other."""
    random = np.random.default_rng(seed)
    x, y = np.meshgrid(np.linspace(0, 1, size), np.linspace(0, 1, size))
    result = np.empty((count, size, size, 3), np.uint8)
    for number in range(count):
        picture = np.broadcast_to(random.uniform(0, 255, 3), (size, size, 3)).copy()
        for _ in range(8):
            (cx, cy), radius = random.uniform(0, 1, 2), random.uniform(0.05, 0.4)
            picture[(x - cx) ** 2 + (y - cy) ** 2 < radius**2] = random.uniform(0, 255, 3)
        noise = random.normal(0, random.uniform(0, 40), picture.shape)
        result[number] = np.clip(picture + noise, 0, 255)
    return result


def bare_model(network: Network) -> Any:
    """Build the network as `keras.applications` does, all variables zero."""
    module, _, builder = network.builder.partition(":")
    with without_initial_values():
        return getattr(importlib.import_module(module), builder)(weights=None)


def randomise(model: Any, network: Network, seed: int = 1) -> None:
    """Set He's initial values, then a last layer whose answers are decided."""
    import keras

    random = np.random.default_rng(seed)
    for layer in model.layers:
        depthwise = "Depthwise" in type(layer).__name__
        for variable in layer.weights:
            shape, name = tuple(variable.shape), variable.path.rsplit("/", 1)[1]
            if len(shape) > 1:
                fan_in = np.prod(shape[:2] if depthwise or "depthwise" in name else shape[:-1])
                values = random.standard_normal(shape, np.float32)
                values *= np.float32(np.sqrt(2 / fan_in))
            elif "gamma" in name or "variance" in name:
                values = random.uniform(0.5, 1.5, shape).astype(np.float32)
            elif "int" in str(variable.dtype):
                values = np.zeros(shape, str(variable.dtype))
            else:
                values = random.standard_normal(shape, np.float32) * np.float32(0.1)
            variable.assign(values)
    last = [layer for layer in model.layers if layer.weights][-1]
    body = keras.Model(model.input, last.input)
    inputs = pictures(6, network.size)
    prepared = with_scaling(body, network)
    features = np.concatenate([np.asarray(prepared.predict_on_batch(x[None])) for x in inputs])
    features = features.reshape(len(features), -1, features.shape[-1]).mean(axis=1)
    kernel, bias = last.weights
    projection = np.asarray(kernel.numpy()).reshape(features.shape[-1], -1)
    logits = features @ projection
    scale = 2.5 / logits.std(axis=0).mean()
    kernel.assign(np.asarray(kernel.numpy()) * scale)
    bias.assign(3 - scale * logits.mean(axis=0))


def write_legacy(model: Any, file: Path) -> None:
    """Write the variables as Keras 1 and 2 did: a group a layer, the order in attributes."""
    with h5py.File(file, "w") as content:
        content.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
        content.attrs["backend"] = b"tensorflow"
        content.attrs["keras_version"] = b"2.0.8"
        for layer in model.layers:
            group = content.create_group(layer.name)
            variables = [*layer.trainable_weights, *layer.non_trainable_weights]
            names = [f"{layer.name}/{v.path.rsplit('/', 1)[1]}_{i}:0".encode()
                     for i, v in enumerate(variables)]  # fmt: skip
            group.attrs["weight_names"] = names
            for name, variable in zip(names, variables, strict=True):
                group.create_dataset(name.decode(), data=np.asarray(variable.numpy()))


def make_weights(network: Network, file: Path, seed: int = 1) -> Path:
    """Write a whole random weight file for a network."""
    model = bare_model(network)
    randomise(model, network, seed)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_legacy(model, file)
    return file
