"""A card and a weight file → a Keras model from uint8 RGB to probabilities.

Runs on any Keras backend. Weight files are hostile: nothing is unpickled, no layer is made
from what a file says, no link inside a file is followed out of it.
"""

from __future__ import annotations

import importlib
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from topfive import deep_compression
from topfive.errors import WeightsError
from topfive.networks import Network

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
ZIP_MAGIC = b"PK\x03\x04"


def build(network: Network, weights: Path) -> Any:
    """Return a Keras model: uint8 RGB (1, size, size, 3) → float32 (1, classes).

    The scaling is the first layers of the graph.

    Raises:
        WeightsError: the file cannot be read or does not fit the network.
    """
    import keras

    # ~/.keras/keras.json may say otherwise; the weights are float32 and channels last.
    keras.config.set_floatx("float32")
    keras.config.set_image_data_format("channels_last")
    module, _, builder = network.builder.partition(":")
    with without_initial_values():
        body = getattr(importlib.import_module(module), builder)(weights=None)
    load_weights(body, weights)
    return with_scaling(body, network)


def with_scaling(body: Any, network: Network) -> Any:
    """Put the card's scaling before a model that expects prepared pixels."""
    import keras

    scaling = network.scaling
    inputs = keras.Input(
        (network.size, network.size, 3), batch_size=1, dtype="uint8", name="picture"
    )
    x = keras.ops.cast(inputs, "float32")
    if scaling.order == "BGR":
        x = keras.ops.flip(x, axis=-1)
    if scaling.scale != (1.0, 1.0, 1.0):
        x = x * np.array(scaling.scale, np.float32)
    if scaling.offset != (0.0, 0.0, 0.0):
        x = x + np.array(scaling.offset, np.float32)
    return keras.Model(inputs, body(x), name=body.name + "_pictures")


@contextmanager
def without_initial_values() -> Iterator[None]:
    """Start all variables at zero: the weight file overwrites every one.

    Keras draws random values first, which for VGG16 takes longer than all the rest.
    """
    import keras

    layer = keras.layers.Layer
    add_weight = layer.add_weight

    def add_zeros(self: Any, *args: Any, **options: Any) -> Any:
        if len(args) > 1:
            args = (args[0], "zeros", *args[2:])
        else:
            options["initializer"] = "zeros"
        return add_weight(self, *args, **options)

    layer.add_weight = add_zeros
    try:
        yield
    finally:
        layer.add_weight = add_weight


def load_weights(model: Any, file: Path) -> None:
    """Set all variables of a Keras model from a file; its content decides its format.

    Takes legacy Keras `.h5`, `.weights.h5`, `.keras` (its weights only: the model that it
    describes is not made) and SqueezeNet v1.0's `.net`.

    Raises:
        WeightsError: the file is missing, cut, foreign, or a tensor does not fit; the
            message names the first such tensor.
    """
    try:
        with file.open("rb") as stream:
            magic = stream.read(len(HDF5_MAGIC))
    except OSError as error:
        raise WeightsError(f"cannot read {file}: {error.strerror}") from error
    try:
        if magic == HDF5_MAGIC:
            _load_hdf5(model, file)
        elif magic.startswith(ZIP_MAGIC):
            _load_keras3(model, file, ".keras")
        elif file.suffix == ".net" and len(magic) == len(HDF5_MAGIC):
            _load_deep_compression(model, file)
        else:
            raise WeightsError(
                "not a weight file: expected Keras .h5, .weights.h5 or .keras, or SqueezeNet's .net"
            )
    except WeightsError as error:
        raise WeightsError(f"{file} does not fit {model.name}: {error}") from error


def _load_hdf5(model: Any, file: Path) -> None:
    import h5py

    try:
        with h5py.File(file, "r") as content:
            group = content
            if "layer_names" not in content.attrs and "layer_names0" not in content.attrs:
                if "layers" in content:
                    return _load_keras3(model, file, ".weights.h5")
                group = _member(content, "model_weights")
            _assign(model, list(_legacy_tensors(group)))
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"cut off or damaged: {_one_line(error)}") from error


def _legacy_tensors(group: Any) -> Iterator[tuple[str, Any]]:
    """Yield the tensors of a Keras 1 or 2 file in the order in which it lists them."""
    for layer in _listed(group, "layer_names"):
        folder = _member(group, layer)
        for name in _listed(folder, "weight_names"):
            yield name, _member(folder, name)


def _listed(group: Any, attribute: str) -> list[str]:
    """Read a list of names, which Keras splits in chunks where it is over 64 KB."""
    if attribute in group.attrs:
        names = list(group.attrs[attribute])
    else:
        names, chunk = [], 0
        while f"{attribute}{chunk}" in group.attrs:
            names += list(group.attrs[f"{attribute}{chunk}"])
            chunk += 1
    return [name.decode("utf-8") if isinstance(name, bytes) else str(name) for name in names]


def _member(group: Any, name: str) -> Any:
    """Walk down to a member, through plain links only: others lead to other files."""
    import h5py

    for part in name.split("/"):
        link = group.get(part, getlink=True) if part else None
        if not isinstance(link, h5py.HardLink):
            raise WeightsError(f"{name!r} is not in the file, or is a link out of it")
        group = group[part]
    return group


def _assign(model: Any, tensors: list[tuple[str, Any]]) -> None:
    variables = [
        variable
        for layer in model.layers
        for variable in (*layer.trainable_weights, *layer.non_trainable_weights)
    ]
    # All shapes first: nothing is read from a file that does not fit.
    for variable, tensor in zip_longest(variables, tensors):
        if variable is None:
            raise WeightsError(f"the file goes on with {tensor[0]!r} where the network ends")
        if tensor is None:
            raise WeightsError(f"the file ends before {variable.path!r}")
        name, dataset = tensor
        shape, kind = getattr(dataset, "shape", None), getattr(dataset, "dtype", None)
        if shape != tuple(variable.shape):
            raise WeightsError(
                f"{variable.path!r} has the shape {tuple(variable.shape)}, "
                f"{name!r} in the file {shape}"
            )
        if kind is None or kind.kind not in "fiu" or dataset.is_virtual or dataset.external:
            raise WeightsError(f"{name!r} is not a plain array of numbers")
    for variable, (_, dataset) in zip(variables, tensors, strict=True):
        variable.assign(dataset[()])


def _load_keras3(model: Any, file: Path, suffix: str) -> None:
    """Let Keras read its own format, of which it takes the weights alone."""
    with tempfile.TemporaryDirectory(prefix="topfive-") as folder:
        named = Path(folder) / f"weights{suffix}"  # Keras goes by the name's ending
        try:
            named.symlink_to(file.absolute())
        except OSError:
            named = file  # Windows without the right to link: the name must do
        try:
            model.load_weights(named)
        except (ValueError, OSError, KeyError, TypeError, RuntimeError,
                NotImplementedError, zipfile.BadZipFile) as error:  # fmt: skip
            raise WeightsError(_one_line(error)) from error


def _load_deep_compression(model: Any, file: Path) -> None:
    layers = [layer for layer in model.layers if layer.weights]
    if not model.name.startswith("squeezenet"):
        raise WeightsError("a .net file holds the weights of SqueezeNet v1.0 only")
    kernels = [(layer.name, tuple(layer.weights[0].shape)) for layer in layers]
    tensors = deep_compression.decode(file.read_bytes(), kernels)
    variables = [variable for layer in layers for variable in layer.weights]
    for variable, values in zip(variables, tensors, strict=True):
        variable.assign(values)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:500] or type(error).__name__
