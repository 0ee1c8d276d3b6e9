"""What OpenVINO computes on: its devices, their precisions, a compiled graph as a `Run`."""

from __future__ import annotations

import os
import sys
import threading
from functools import partial
from typing import Any
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray

from topfive.engines.blobs import DEFAULT_DEVICE, Target
from topfive.engines.run import Run
from topfive.errors import EngineError

AUTO = "AUTO"
PRECISION = "INFERENCE_PRECISION_HINT"  # a property
PROBABILITIES, LOGITS, FEATURES = 0, 1, 2  # the outputs of a compiled graph
_made: WeakSet[Any] = WeakSet()  # by OpenVINO, in this process
LEAST_SPACE = 850 * 1024**2  # bytes of addresses, of which the smallest networks take 800 MB
CAPABILITIES = {"f32": "FP32", "int8": "INT8", "bf16": "BF16", "f16": "FP16"}


def check_address_space() -> None:
    """Raise an `EngineError` where a limit (`ulimit -v`) leaves too little for OpenVINO, which may
    then wait for ever for threads that it cannot start."""
    if sys.platform == "win32":
        return
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < LEAST_SPACE:
        raise EngineError(
            f"the address space is limited to {limit / 1e6:,.0f} MB, and OpenVINO needs at least "
            f"{LEAST_SPACE / 1e6:,.0f}; raise the limit (ulimit -v)"
        )


def find_device(name: str | None) -> str:
    """Return a device as OpenVINO calls it: the CPU for None, what AUTO chooses for AUTO."""
    device = (name or DEFAULT_DEVICE).upper()
    if device != AUTO:  # which cannot export
        return device
    import openvino

    number = openvino.opset8.parameter([1], np.float32)
    graph = openvino.Model([openvino.opset8.relu(number)], [number])
    chosen = openvino.Core().compile_model(graph, AUTO, {"ENABLE_STARTUP_FALLBACK": False})
    return str(chosen.get_property("EXECUTION_DEVICES")[0])


def check_device(name: str, precision: str = "f32") -> None:
    """Raise an `EngineError` if OpenVINO has no such device, or that not the precision."""
    import openvino

    core = openvino.Core()
    available = core.available_devices
    if name not in available and f"{name}.0" not in available:
        raise EngineError(f"there is no device {name} here; OpenVINO finds {', '.join(available)}")
    if precision != "f32":  # which all have
        has = core.get_property(name, "OPTIMIZATION_CAPABILITIES")
        if CAPABILITIES[precision] not in has:
            here = ", ".join(one for one, title in CAPABILITIES.items() if title in has)
            raise EngineError(f"{name} does not compute in {precision} here; it has {here}")


def compile_graph(graph: Any, target: Target) -> Any:
    """Return a graph as OpenVINO compiles it for a target.

    Raises:
        EngineError: in another precision, which it chooses where the device lacks the one asked.
    """
    import openvino

    compiled = openvino.Core().compile_model(graph, target.device, hints(target))
    asked = hints(target)[PRECISION]
    if target.device == DEFAULT_DEVICE:
        found = compiled.get_property(PRECISION).to_string()
        if found != asked:
            raise EngineError(f"asked for {asked}, {target.device} would compute in {found} here")
    return compiled


def hints(target: Target) -> dict[str, Any]:
    """Return what OpenVINO is told when it compiles for a target."""
    kind = "THROUGHPUT" if target.throughput else "LATENCY"
    # What a graph in 8 bits leaves over is in float32.
    precision = "f32" if target.precision == "int8" else target.precision
    return {PRECISION: precision, "PERFORMANCE_HINT": kind}


def _keep_for_good() -> None:
    """In a process that was forked, keep what OpenVINO made from being taken apart, which takes
    the threads that stayed behind: it crashes at the end of the process."""
    import ctypes

    for one in _made:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(one))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_keep_for_good)


def run_of(compiled: Any, tensor: Any = None) -> Run:
    """Return a `Run` over a compiled network, whose weights may stay in `tensor`."""
    sizes = [output.shape[-1] for output in compiled.outputs]
    batch = compiled.input(0).shape[0]
    requests = threading.local()  # one infer request is busy while a thread uses it
    # The weights stay in the mapped file, which has to live as long as the run.
    alive = (compiled, tensor)
    _made.update(one for one in alive if one is not None)

    def run(pictures: NDArray[np.uint8], output: int) -> NDArray[np.float32]:
        if not hasattr(requests, "mine"):
            requests.mine = alive[0].create_infer_request()
            _made.add(requests.mine)
        if output >= len(sizes):
            raise EngineError("a graph of an earlier version: make it again (topfive quantize)")
        answers = np.empty((len(pictures), sizes[output]), np.float32)
        for start in range(0, len(pictures), batch):
            some = pictures[start : start + batch]
            if missing := batch - len(some):
                some = np.pad(some, ((0, missing), (0, 0), (0, 0), (0, 0)))
            # Waiting in the thread that asked, not in a callback, lets errors reach it.
            requests.mine.start_async([some], share_inputs=True)
            requests.mine.wait()
            found = requests.mine.get_output_tensor(output).data
            answers[start : start + batch] = found[: batch - missing]
        return answers

    def parallel() -> int:
        # One request more than are computed at a time: none waits for the next picture.
        return int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")) + 1

    answer, logits, features = (
        partial(run, output=output) for output in (PROBABILITIES, LOGITS, FEATURES)
    )
    return Run(answer, logits, features, batch, parallel)
