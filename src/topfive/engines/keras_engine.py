"""Run the Keras model itself, on any Keras backend."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from topfive.engines import forks
from topfive.engines.run import EXACT, Run
from topfive.errors import DamagedWeightsError, EngineError, MissingExtraError, UsageError
from topfive.networks import weights as weight_files
from topfive.networks.cards import Network
from topfive.system import extras, files
from topfive.system.processes import Background

_started: dict[str, int] = {}  # the process in which Keras was imported here
BATCH = 32  # pictures at a time: bounds memory


def load(
    network: Network,
    weights: Path | None = None,
    *,
    backend: str,
    offline: bool = False,
    device: str | None = None,
    threads: int | None = None,
    throughput: bool = False,  # noqa: ARG001, the same either way
    precision: str = "f32",
) -> Run:
    """Build the network and return its `Run`.

    `weights` is a file with others than the published ones.

    Raises:
        MissingExtraError: the backend's framework is not installed.
        EngineError: Keras already runs on another backend in this process.
        WeightsError: the weights cannot be had or do not fit.
    """
    if device is not None or threads is not None or precision != "f32":
        only = "--device, --threads and --precision are for OpenVINO"
        raise UsageError(f"{only}; {backend} has settings of its own")
    file = weights or weight_files.checked(network, offline)
    start_keras(backend)
    from topfive.engines import keras_models

    return run_of(keras_models.build(network, file))


def start_keras(backend: str) -> Any:
    """Import Keras on a backend, and make that compute in full float32.

    Raises: see `load`.
    """
    # Keras reads the variable once, at its first import in the process.
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = backend
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        import keras
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] not in (backend, "jaxlib"):
            raise
        needs = f"the {backend} backend needs an extra: {extras.install(backend)}"
        raise MissingExtraError(needs) from error
    if _started.setdefault("process", os.getpid()) != os.getpid():
        raise forks.refuse("Keras")
    running_on = keras.backend.backend()
    if running_on != backend:
        raise EngineError(
            f"Keras runs on {running_on} in this process and cannot change to {backend}; "
            "use another process"
        )
    _no_tensor_floats(backend)
    return keras


def run_of(model: Any) -> Run:
    """Return a `Run` over a model that `keras_models.build` made; safe to call from threads."""
    lock = threading.Lock()  # Keras traces at the first call, and OpenVINO's request is one
    opener = os.getpid()

    def run(pictures: NDArray[np.uint8], output: int) -> NDArray[np.float32]:
        if os.getpid() != opener:
            raise forks.refuse("this network")
        with lock, exact_predictions():
            some = (pictures[start : start + BATCH] for start in range(0, len(pictures), BATCH))
            parts = [predict(model, batch)[output] for batch in some]
        size = model.outputs[output].shape[-1]
        return np.concatenate(parts) if parts else np.empty((0, size), np.float32)

    answer, logits, features = (partial(run, output=output) for output in range(3))
    return Run(answer, logits, features, batch=BATCH)


def predict(model: Any, pictures: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
    """Return what each output of a Keras model returns for a batch of pictures."""
    # Some backends compile anew for each number of pictures: let there be few.
    missing = (1 << (len(pictures) - 1).bit_length()) - len(pictures)
    whole = np.pad(pictures, ((0, missing), (0, 0), (0, 0), (0, 0)))
    outputs = model.predict_on_batch(whole)
    return [np.asarray(one, np.float32)[: len(pictures)] for one in outputs]


@contextmanager
def exact_predictions() -> Iterator[None]:
    """Let Keras's openvino backend compile `predict` for float32, which it has no option for."""
    import keras

    if keras.backend.backend() != "openvino":
        yield
        return
    import openvino

    compile_model = openvino.compile_model
    openvino.compile_model = partial(compile_model, config=EXACT)
    try:
        yield
    finally:
        openvino.compile_model = compile_model


def _no_tensor_floats(backend: str) -> None:
    """GPUs round products of float32 to 10 bits unless told otherwise."""
    if backend == "tensorflow":
        import tensorflow

        tensorflow.config.experimental.enable_tensor_float_32_execution(False)
    elif backend == "torch":
        import torch

        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False
    elif backend == "jax":
        import jax

        jax.config.update("jax_default_matmul_precision", "highest")


def checked_model(network: Network, weights: Path, checksum: str) -> Any:
    """Return the Keras model with the weights in a file that has the checksum, or that stamp.

    Raises:
        WeightsError: it has not, changes meanwhile, or does not fit.
    """
    stamp = files.stamp(weights)
    # Hashing 553 MB takes as long as importing Keras: do both at once.
    matches = Background(lambda: checksum == stamp or files.matches(weights, checksum))
    start_keras("openvino")
    if not matches.result():
        raise DamagedWeightsError(f"{weights} is not what it was: expected {checksum}")
    from topfive.engines import keras_models

    model = keras_models.build(network, weights)
    if files.stamp(weights) != stamp:
        raise DamagedWeightsError(f"{weights} changed while it was read")
    return model
