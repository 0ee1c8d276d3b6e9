"""A published network straight from its weight file to OpenVINO's operators, without Keras.

Keras takes seconds to start. A network whose card says `direct` has weights that are pinned by
their hash, so that it can be compared once and for all: Keras's answers to fixed pictures are
stored here (`scripts/make_direct_answers.py`), and a graph that does not give them is not kept.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from topfive.engines import blobs, proofs, torch_files
from topfive.errors import DamagedWeightsError
from topfive.networks import efficientnet_lite
from topfive.networks.cards import Network
from topfive.system.files import matches, reading

ASSET = "direct_answers.npz"


def is_direct(network: Network, content: str, target: blobs.Target) -> bool:
    """Whether a network with these weights (their hash or stamp) is compiled without Keras."""
    own = network.taught is None and content == network.weights.checksum
    return network.direct and own and target.precision != "int8"


def convert(network: Network, file: Path, target: blobs.Target, blob: Path) -> None:
    """Compile a network into the file `blob`.

    Raises:
        WeightsError: the file does not have the hash of its card.
        EngineError: the compiled network does not give the stored answers.
    """
    identity = blobs.identity(network, str(network.weights.checksum), target)
    proofs.write(build(network, file), network, identity, target, lambda: stored(network), blob)


def stored(network: Network) -> proofs.Answers:
    """Return Keras's logits (2, 1000) and features (2, features) of `proofs.pictures`."""
    content = files("topfive").joinpath("assets", ASSET).read_bytes()
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return arrays[f"{network.name}_logits"], arrays[f"{network.name}_features"]


def build(network: Network, file: Path) -> Any:
    """Return a graph: uint8 RGB (1, size, size, 3) → float32 probabilities, logits, features.

    Raises: see `convert`.
    """
    import openvino
    from openvino import opset13

    checksum = str(network.weights.checksum)
    with reading(file):
        if not matches(file, checksum):
            raise DamagedWeightsError(f"{file} is not what it was: expected {checksum}")
    picture = opset13.parameter([1, network.size, network.size, 3], np.uint8, "picture")
    # While it is bytes, which is a quarter of the work.
    x = opset13.convert(opset13.transpose(picture, np.array([0, 3, 1, 2])), "f32")
    scaling = network.scaling
    for operation, values in ((opset13.multiply, scaling.scale), (opset13.add, scaling.offset)):
        x = operation(x, np.array(values, np.float32).reshape(1, 3, 1, 1))
    layers = _GraphLayers(torch_files.read(file))
    variant = efficientnet_lite.VARIANTS[network.name]
    logits = efficientnet_lite.assemble(variant, x, layers)
    probabilities = opset13.softmax(logits, 1)
    return openvino.Model([probabilities, logits, layers.features], [picture], network.name)


class _GraphLayers:
    """The layers as OpenVINO's operators, with the tensors of a weight file in its order.
    Batch normalisations become a part of the convolutions before them, in float64."""

    def __init__(self, tensors: dict[str, NDArray[np.generic]]) -> None:
        from openvino import opset13

        self._opset = opset13
        self._tensors: Iterator[NDArray[np.generic]] = (
            values for name, values in tensors.items() if values.dtype.kind == "f"
        )
        self.features: Any = None

    def convolution(
        self, x: Any, name: str, filters: int, kernel: int = 1, stride: int = 1, active: bool = True
    ) -> Any:
        kernels, offset = self._normalised()
        kernels = kernels.reshape(filters, -1, kernel, kernel)
        x = self._opset.convolution(x, kernels, **_sliding(stride), name=name)
        return self._finished(x, offset, active)

    def depthwise(self, x: Any, name: str, kernel: int, stride: int) -> Any:
        kernels, offset = self._normalised()
        # A group for each channel: (groups, filters and channels of a group, kernel, kernel).
        kernels = kernels.reshape(-1, 1, 1, kernel, kernel)
        x = self._opset.group_convolution(x, kernels, **_sliding(stride), name=name)
        return self._finished(x, offset, True)

    def add(self, x: Any, before: Any, name: str, rate: float) -> Any:  # noqa: ARG002
        return self._opset.add(x, before, name=name)

    def classify(self, x: Any, classes: int, dropout: float) -> Any:  # noqa: ARG002
        self.features = self._opset.reduce_mean(x, np.array([2, 3]), keep_dims=False)
        kernel, bias = (np.array(next(self._tensors), np.float32) for _ in range(2))
        product = self._opset.matmul(self.features, kernel.reshape(classes, -1), False, True)
        return self._opset.add(product, bias[np.newaxis])

    def _normalised(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        kernels, scale, offset, mean, variance = (
            np.asarray(next(self._tensors), np.float64) for _ in range(5)
        )
        scale = scale / np.sqrt(variance + efficientnet_lite.EPSILON)
        return (
            np.ascontiguousarray(kernels * scale.reshape(-1, 1, 1, 1), np.float32),
            (offset - mean * scale).astype(np.float32).reshape(1, -1, 1, 1),
        )

    def _finished(self, x: Any, offset: NDArray[np.float32], active: bool) -> Any:
        x = self._opset.add(x, offset)
        return self._opset.clamp(x, 0.0, 6.0) if active else x


def _sliding(stride: int) -> dict[str, Any]:
    """Return how a kernel moves, with TensorFlow's "same" padding."""
    steps = {"strides": [stride, stride], "dilations": [1, 1]}
    return {**steps, "pads_begin": [0, 0], "pads_end": [0, 0], "auto_pad": "same_upper"}
