"""How much arithmetic a graph is, and a matrix product, which says what a machine can do."""

from __future__ import annotations

import math
import os
import platform
from typing import Any

import numpy as np

from topfive.engines import blobs
from topfive.version import __version__

SIDE = 1024  # of the product's matrices: large enough to keep all units busy, small for a cache
PRODUCT_OPERATIONS = 2 * SIDE**3  # a multiplication and an addition are two operations


def count_multiply_adds(graph: Any) -> int:
    """Return the multiplications, each with an addition, that an OpenVINO graph of fixed shapes
    does in its convolutions and dense layers: what papers count.

    What merges into these layers (biases, normalisation, activations) and pooling is left out.
    """
    return sum(_count(operation) for operation in graph.get_ops())


def _count(operation: Any) -> int:
    kind = operation.get_type_name()
    if kind == "MatMul":
        transposed = operation.get_attributes()["transpose_a"]
        shared = operation.input(0).get_shape()[-2 if transposed else -1]
    elif kind in ("Convolution", "GroupConvolution"):  # weights: (..., in, height, width)
        shared = math.prod(list(operation.input(1).get_shape())[-3:])
    else:
        return 0
    return int(math.prod(operation.output(0).get_shape()) * shared)


def make_product(precision: str) -> Any:
    """Return the graph of a matrix product, (SIDE, SIDE) times constant (SIDE, SIDE), which is
    quantised as NNCF quantises a dense layer where the precision is int8."""
    import openvino
    from openvino import opset13

    left = opset13.parameter([SIDE, SIDE], np.float32)
    values = np.random.default_rng(0).standard_normal((SIDE, SIDE), np.float32)
    factors = [left, opset13.constant(values)]
    if precision == "int8":
        low, high = np.float32(-4), np.float32(4)  # the values are normally distributed
        factors = [
            opset13.fake_quantize(factor, low, high, low, high, levels)
            for factor, levels in zip(factors, (256, 255), strict=True)
        ]
    return openvino.Model([opset13.matmul(*factors, False, False)], [left])


def describe_machine() -> dict[str, Any]:
    """Return what the numbers depend on: the CPU, how many of them, the versions."""
    import openvino

    return {
        "cpu": openvino.Core().get_property(blobs.DEFAULT_DEVICE, "FULL_DEVICE_NAME"),
        "cpus": count_cpus(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "openvino": openvino.get_version(),
        "topfive": __version__,
    }


def count_cpus() -> int:
    """Return how many CPUs this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
