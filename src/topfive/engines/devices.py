"""What OpenVINO computes on: its devices, their precisions, a compiled graph as a `Run`."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from topfive.engines.blobs import DEFAULT_DEVICE, Target
from topfive.engines.run import Run
from topfive.errors import EngineError

AUTO = "AUTO"
PROBABILITIES, LOGITS, FEATURES = 0, 1, 2  # the outputs of a compiled graph
CAPABILITIES = {"f32": "FP32", "int8": "INT8", "bf16": "BF16", "f16": "FP16"}


def find_device(name: str | None) -> str:
    """Return a device as OpenVINO calls it, the CPU for None; for AUTO, which cannot export by
    itself, the one that it chooses here."""
    device = (name or DEFAULT_DEVICE).upper()
    if device != AUTO:
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
    """Return a graph as OpenVINO compiles it for a target."""
    import openvino

    return openvino.Core().compile_model(graph, target.device, hints(target))


def hints(target: Target) -> dict[str, Any]:
    """Return what OpenVINO is told when it compiles for a target."""
    kind = "THROUGHPUT" if target.throughput else "LATENCY"
    # What a graph in 8 bits leaves over is in float32.
    precision = "f32" if target.precision == "int8" else target.precision
    return {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": kind}


def run_of(compiled: Any, tensor: Any = None) -> Run:
    """Return a `Run` over a compiled network, whose weights may stay in `tensor`."""
    sizes = [output.shape[-1] for output in compiled.outputs]
    batch = compiled.input(0).shape[0]
    requests = threading.local()  # one infer request is busy while a thread uses it
    # The weights stay in the mapped file, which has to live as long as the run.
    alive = (compiled, tensor)

    def run(pictures: NDArray[np.uint8], output: int) -> NDArray[np.float32]:
        if not hasattr(requests, "mine"):
            requests.mine = alive[0].create_infer_request()
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
