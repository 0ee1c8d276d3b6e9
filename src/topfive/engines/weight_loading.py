"""A weight file into the variables of a Keras model, whatever Keras wrote it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from topfive.engines import deep_compression, torch_files, weight_formats
from topfive.engines.torch_files import TORCH_MAGIC
from topfive.engines.weight_formats import ZIP_MAGIC
from topfive.errors import WeightsError
from topfive.networks.weights import HDF5_MAGIC
from topfive.system.files import open_regular, reading


def load_weights(model: Any, file: Path) -> None:
    """Set all variables of a Keras model from a file; its content decides its format.

    Takes legacy Keras `.h5`, `.weights.h5`, `.keras` (its weights only: the model that it
    describes is not made), SqueezeNet v1.0's `.net` and PyTorch's `.pth` of before its zip files,
    whose tensors have to come in the order of the layers.

    Raises:
        WeightsError: the file is missing, cut, foreign, or a tensor, which is named, does not fit.
    """
    with reading(file), open_regular(file) as stream:
        magic = stream.read(len(HDF5_MAGIC))
    try:
        if magic == HDF5_MAGIC or magic.startswith(ZIP_MAGIC):
            _load_hdf5(model, file)
        elif magic == TORCH_MAGIC[: len(HDF5_MAGIC)]:
            _load_torch(model, file)
        elif file.suffix == ".net" and len(magic) == len(HDF5_MAGIC):
            _load_deep_compression(model, file)
        else:
            raise WeightsError(
                "not a weight file: expected Keras .h5, .weights.h5 or .keras, SqueezeNet's .net "
                "or PyTorch's .pth from before its zip archives"
            )
    except WeightsError as error:
        raise WeightsError(f"{file} does not fit {model.name}: {error}") from error


def _load_hdf5(model: Any, file: Path) -> None:
    # A `.keras` file may hold float32 weights, an optimizer's two moments of each, and more.
    most = 16 * int(model.count_params())
    with weight_formats.open_hdf5(file, most) as content:
        if weight_formats.is_legacy(content):
            _assign(_in_legacy_order(model), weight_formats.legacy_tensors(content))
        else:
            places = dict(_keras3_places(model, "layers"))
            _assign(places.values(), weight_formats.keras3_tensors(content, list(places)))
    finish(model)


def finish(model: Any) -> None:
    """Let layers compute with what their variables were set to."""
    import keras

    for layer in model.layers:
        if isinstance(layer, keras.Model):
            finish(layer)
        elif hasattr(layer, "finalize_state"):  # Normalization computes with copies
            layer.finalize_state()


def _in_legacy_order(model: Any) -> Iterator[Any]:
    for layer in model.layers:
        yield from layer.trainable_weights
        yield from layer.non_trainable_weights


def _keras3_places(model: Any, folder: str) -> Iterator[tuple[str, Any]]:
    """Yield where Keras 3 keeps each variable: by the layers' classes, counted.

    Source: keras/src/saving/saving_lib.py, `_save_container_state`.
    """
    import keras
    from keras.src.utils.naming import to_snake_case

    counts: dict[str, int] = {}
    for layer in model.layers:
        kind = to_snake_case(type(layer).__name__)
        number = counts[kind] = counts.get(kind, -1) + 1
        place = f"{folder}/{kind}_{number}" if number else f"{folder}/{kind}"
        if isinstance(layer, keras.Model):
            yield from _keras3_places(layer, f"{place}/layers")
        else:
            for index, variable in enumerate(layer.weights):
                yield f"{place}/vars/{index}", variable


def _assign(variables: Iterable[Any], tensors: Iterable[tuple[str, Any]]) -> None:
    pairs = []
    # All shapes first: nothing is read from a file that does not fit.
    for variable, tensor in zip_longest(variables, tensors):
        if variable is None:
            raise WeightsError(f"the file goes on with {tensor[0]!r} where the network ends")
        if tensor is None:
            raise WeightsError(f"the file ends before {variable.path!r}")
        name, dataset = tensor
        shape, kind = getattr(dataset, "shape", None), getattr(dataset, "dtype", None)
        elsewhere = getattr(dataset, "is_virtual", False) or getattr(dataset, "external", None)
        if kind is None or kind.kind not in "fiu" or elsewhere:
            raise WeightsError(f"{name!r} is not a plain array of numbers")
        if shape != tuple(variable.shape):
            raise WeightsError(
                f"{variable.path!r} has the shape {tuple(variable.shape)}, "
                f"{name!r} in the file {shape}"
            )
        weight_formats.check_packing(name, dataset)
        pairs.append((variable, name, dataset))
    for variable, name, dataset in pairs:
        with np.errstate(over="ignore"):  # to infinity, which is refused next
            values = np.asarray(dataset[()], variable.dtype, order="C")
        if not np.isfinite(values).all():
            raise WeightsError(f"{name!r} holds values that are not finite numbers")
        variable.assign(values)


def _load_deep_compression(model: Any, file: Path) -> None:
    layers = [layer for layer in model.layers if layer.weights]
    if not model.name.startswith("squeezenet"):
        raise WeightsError("a .net file holds the weights of SqueezeNet v1.0 only")
    kernels = [(layer.name, tuple(layer.weights[0].shape)) for layer in layers]
    with open_regular(file) as stream:
        data = stream.read(4 * int(model.count_params()))  # uncompressed it would be that long
    tensors = deep_compression.decode(data, kernels)
    variables = [variable for layer in layers for variable in layer.weights]
    for variable, values in zip(variables, tensors, strict=True):
        variable.assign(values)


def _load_torch(model: Any, file: Path) -> None:
    places = list(_torch_places(model))
    _assign([variable for variable, *_ in places], _turned(places, torch_files.read(file)))


def _turned(
    places: Iterable[tuple[Any, str, tuple[int, ...]]], tensors: Mapping[str, NDArray[np.generic]]
) -> Iterator[tuple[str, NDArray[np.generic]]]:
    """Yield the tensors of floats with their axes in Keras's order."""
    following = iter(places)
    for name, values in tensors.items():
        if values.dtype.kind != "f":
            continue
        if place := next(following, None):
            variable, end, axes = place
            if not name.endswith(f".{end}") or values.ndim != len(axes):
                what = f"{name!r} {values.shape}"
                raise WeightsError(f"{what} stands where {variable.path!r} is expected")
            values = values.transpose(axes)
        yield name, values


def _torch_places(model: Any) -> Iterator[tuple[Any, str, tuple[int, ...]]]:
    """Yield the variables in torch's order, each with its name's end there and Keras's axes."""
    import keras

    axes: tuple[int, ...]
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            ends = ("weight", "bias", "running_mean", "running_var")
            variables = (layer.gamma, layer.beta, layer.moving_mean, layer.moving_variance)
            yield from zip(variables, ends, [(0,)] * len(ends), strict=True)
        elif layer.weights:
            if not hasattr(layer, "kernel"):
                raise WeightsError(f"{layer.name!r} is a layer that no such file has tensors of")
            if isinstance(layer, keras.layers.DepthwiseConv2D):
                axes = (2, 3, 0, 1)
            else:
                axes = (1, 0) if isinstance(layer, keras.layers.Dense) else (2, 3, 1, 0)
            yield layer.kernel, "weight", axes
            if layer.use_bias:
                yield layer.bias, "bias", (0,)
