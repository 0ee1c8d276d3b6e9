"""Run a network that OpenVINO compiled, from the cache; compile it first where it is not there.

From the cache nothing of Keras, SciPy or a training framework is imported.
"""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
import sys
import tempfile
import threading
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from topfive import blobs, engine_keras, weights
from topfive.engine_keras import EXACT, Run
from topfive.errors import DamagedWeightsError, EngineError, UsageError, WeightsError
from topfive.networks import Network
from topfive.processes import Background, run_module

AUTO = "AUTO"
LATENCY = {**EXACT, "PERFORMANCE_HINT": "LATENCY"}
THROUGHPUT = {**EXACT, "PERFORMANCE_HINT": "THROUGHPUT"}

log = logging.getLogger("topfive")


class ConversionError(Exception):
    """A network could not be compiled into the cache; Keras can still run it."""


def load(
    network: Network,
    file: Path | None = None,
    *,
    offline: bool = False,
    device: str | None = None,
    threads: int | None = None,
    throughput: bool = False,
) -> Run:
    """Return the network's `Run`.

    It is opened in the background: the first call of the run waits for it, compiles it
    where it is not in the cache, and raises what is in the way.

    `file` holds other weights than the published ones; `device` is CPU, GPU, NPU or AUTO;
    `threads` bounds the CPU's; with `throughput` it answers many pictures at a time, else
    each as soon as it can.

    Raises:
        UsageError: `threads` is given for another device.
        EngineError: there is no such device, or (from the run's first call) it cannot run
            the network to 1e-4.
        WeightsError: the weights cannot be had or do not fit (from the run's first call).
    """
    device = (device or blobs.DEFAULT_DEVICE).upper()
    if device == AUTO:
        device = find_auto()
    if threads is not None and device != blobs.DEFAULT_DEVICE:
        raise UsageError(f"--threads is for the CPU; {device} has none to bound")
    reading = blobs.find(network, file, device, throughput)
    check_device(device)  # imports OpenVINO while the file is read
    opening = Background(partial(open_blob, reading, threads, throughput)) if reading else None

    @cache
    def ready() -> Run:
        try:
            if opening and (run := opening.result()):
                return run
        except blobs.DamagedBlobError as error:
            log.warning("%s is damaged; making it anew", error)
        held = weights.Held(file, weights.stamp(file)) if file else weights.held(network, offline)
        try:
            return _converted(network, held, offline, device, threads, throughput)
        except (ConversionError, OSError) as error:
            if device != blobs.DEFAULT_DEVICE:  # who asks for a GPU is not helped by the CPU
                raise EngineError(f"{device} cannot run {network.title}: {error}") from error
            log.warning(
                "cannot keep the compiled %s in %s: %s; every start will be slow",
                network.title, blobs.folder(), error,
            )  # fmt: skip
            return _through_keras(network, file, offline)

    return Run(lambda pictures: ready()(pictures), parallel=lambda: ready().parallel())


def find_auto() -> str:
    """Return the device that OpenVINO's AUTO chooses here, which cannot export by itself."""
    import openvino

    number = openvino.opset8.parameter([1], np.float32)
    graph = openvino.Model([openvino.opset8.relu(number)], [number])
    chosen = openvino.Core().compile_model(graph, AUTO, {"ENABLE_STARTUP_FALLBACK": False})
    return str(chosen.get_property("EXECUTION_DEVICES")[0])


def check_device(name: str) -> None:
    """Raise an `EngineError` if OpenVINO has no device with that name."""
    import openvino

    available = openvino.Core().available_devices
    if name not in available and f"{name}.0" not in available:
        raise EngineError(f"there is no device {name} here; OpenVINO finds {', '.join(available)}")


def open_blob(
    reading: blobs.Reading, threads: int | None = None, throughput: bool = False
) -> Run | None:
    """Return the `Run` of a blob file, or None where there is no such file.

    Raises:
        DamagedBlobError: the file is not to be trusted.
    """
    blob = reading.blob()
    if blob is None:
        return None
    import openvino

    config: dict[str, Any] = dict(THROUGHPUT if throughput else LATENCY)
    if threads is not None:
        config["INFERENCE_NUM_THREADS"] = threads
    tensor = openvino.Tensor(np.frombuffer(blob, np.uint8), shared_memory=True)
    try:
        compiled = openvino.Core().import_model(tensor, reading.identity["device"], config)
    except RuntimeError as error:
        reason = f"OpenVINO refuses it: {_last_line(str(error))}"
        raise blobs.DamagedBlobError(f"{reading.file} ({reason})") from error
    return _running(compiled, tensor)


def _running(compiled: Any, tensor: Any) -> Run:
    num_classes = compiled.output(0).shape[-1]
    requests = threading.local()  # one infer request is busy while a thread uses it
    # The weights stay in the mapped file, which has to live as long as the run.
    alive = (compiled, tensor)

    def run(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        if not hasattr(requests, "mine"):
            requests.mine = alive[0].create_infer_request()
        probabilities = np.empty((len(pictures), num_classes), np.float32)
        for row, picture in zip(probabilities, pictures, strict=True):
            # Waiting in the thread that asked, not in a callback, lets errors reach it.
            requests.mine.start_async([picture[None]], share_inputs=True)
            requests.mine.wait()
            row[:] = requests.mine.get_output_tensor(0).data
        return probabilities

    # One request more than are computed at a time: none waits for the next picture.
    return Run(run, parallel=lambda: _num_requests(alive[0]) + 1)


def _num_requests(compiled: Any) -> int:
    return int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))


def _converted(
    network: Network,
    held: weights.Held,
    offline: bool,
    device: str,
    threads: int | None,
    throughput: bool,
) -> Run:
    """Compile the network in a process of its own, once for all that ask at the same time."""
    from filelock import FileLock

    identity = blobs.identity(network, held.checksum, device, throughput)
    target = blobs.path(identity)
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(target.with_suffix(".lock")):
        with contextlib.suppress(blobs.DamagedBlobError):
            if run := open_blob(blobs.Reading(identity), threads, throughput):  # somebody else's
                return run
        log.info("compiling %s, once ...", network.title)
        with tempfile.TemporaryDirectory(prefix=blobs.WORK, dir=target.parent) as folder:
            part = Path(folder) / target.name
            try:
                _spawn(network, held, device, throughput, part)
            except DamagedWeightsError as error:
                if held.path != weights.path(network):
                    raise
                log.warning("%s; fetching it again", error)
                held = weights.fetch(network, offline, again=True)
                _spawn(network, held, device, throughput, part)
            part.replace(target)
        blobs.remove_unused(keep=target)
    try:
        if run := open_blob(blobs.Reading(identity), threads, throughput):
            return run
    except blobs.DamagedBlobError as error:
        raise ConversionError(f"damaged: {error}") from error
    raise ConversionError(f"{target} went away")


def _spawn(
    network: Network, held: weights.Held, device: str, throughput: bool, target: Path
) -> None:
    request = {
        "network": network.name,
        "file": str(held.path.absolute()),
        "checksum": held.checksum,
        "device": device,
        "throughput": throughput,
        "target": str(target.absolute()),
    }
    done = run_module("topfive.convert", json.dumps(request))
    if done.returncode == 0:
        return
    try:
        error = json.loads(_last_line(done.stdout))
    except ValueError:
        reason = _last_line(done.stderr) or f"the conversion ended with {done.returncode}"
        # OpenVINO's words for a full disk do not name it.
        free = shutil.disk_usage(target.parent).free / 1e6
        raise ConversionError(f"{reason} ({free:,.0f} MB free)") from None
    raise {
        "WeightsError": WeightsError,
        "DamagedWeightsError": DamagedWeightsError,
    }.get(error["kind"], ConversionError)(error["message"])


def _through_keras(network: Network, file: Path | None, offline: bool) -> Run:
    """Run the Keras model in this process, on whatever backend Keras already has here."""
    keras = sys.modules.get("keras")
    backend = keras.backend.backend() if keras else "openvino"
    return engine_keras.load(network, file, backend=backend, offline=offline)


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else ""
