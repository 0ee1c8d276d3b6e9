"""A graph to a compiled file that is kept only after it answered as it should."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from topfive.engines import blobs, devices
from topfive.engines.run import Run, softmax
from topfive.errors import EngineError, UnusableWeightsError, WrongAnswersError
from topfive.networks.cards import Network
from topfive.system.processes import last_line

TOLERANCE = 1e-4
SEED = 2012

# The logits and the features that `pictures` have to give.
Answers = tuple[NDArray[np.float32], NDArray[np.float32]]


def pictures(size: int, count: int = 2) -> NDArray[np.uint8]:
    """Return fixed pseudo-random pictures, uint8 (count, size, size, 3).
    Noise at several scales is for early and late layers. NumPy never changes these numbers."""
    random = np.random.RandomState(SEED)
    total = np.zeros((count, size, size, 3))
    for cells in (3, 11, 47, size):
        noise = random.uniform(-1, 1, (count, cells, cells, 3))
        nearest = np.arange(size) * cells // size
        total += noise[:, nearest][:, :, nearest]
    return np.clip(127.5 + 80 * total, 0, 255).astype(np.uint8)


def write(
    graph: Any,
    network: Network,
    identity: blobs.Key,
    target: blobs.Target,
    expected: Callable[[], Answers] | None,
    blob: Path,
) -> None:
    """Compile a graph into the file `blob`, read it back the way every later command does, and
    compare its answers with those `expected`, which are waited for as late as possible.

    In lower precision the graph has to give them in float32, and the file what it itself gives
    in memory. A graph in 8 bits, for which nothing is expected, has the second to do alone.

    Raises:
        WrongAnswersError: it does not answer so.
        UnusableWeightsError: what is expected is no finite numbers.
    """
    shown = pictures(network.size)
    compiled = devices.compile_graph(graph, target)
    own = None
    if target.precision != "f32":
        if expected is not None:  # what is lost in less than float32 is `quantize`'s to say
            exact = devices.compile_graph(graph, replace(target, precision="f32"))
            prove(network, expected(), devices.run_of(exact), shown)
            del exact
        lowered = devices.run_of(compiled)
        answers, own = (lowered.logits(shown), lowered.features(shown)), lowered(shown)
        if not all(np.isfinite(one).all() for one in (*answers, own)):
            raise WrongAnswersError(
                f"{network.title} has values that are too large for {target.precision}"
            )
        expected = lambda: answers  # noqa: E731
    if expected is None:
        raise ValueError("a graph in float32 has to be compared with something")
    with blobs.writing(blob, identity) as stream:
        compiled.export_model(stream)
    del compiled
    run = open_blob(blobs.Reading(identity, blob), target)
    if run is None:
        raise EngineError(f"{blob} went away")
    prove(network, expected(), run, shown, own)


def open_blob(
    reading: blobs.Reading, target: blobs.Target, threads: int | None = None
) -> Run | None:
    """Return the `Run` of a blob file, or None where there is no such file.

    Raises:
        DamagedBlobError: the file is not to be trusted.
    """
    blob = reading.blob()
    if blob is None:
        return None
    import openvino

    config = devices.hints(target)
    if threads is not None:
        config["INFERENCE_NUM_THREADS"] = threads
    tensor = openvino.Tensor(np.frombuffer(blob, np.uint8), shared_memory=True)
    try:
        compiled = openvino.Core().import_model(tensor, target.device, config)
    except RuntimeError as error:
        if "alloc" in str(error):  # which is no fault of the file
            raise MemoryError(last_line(str(error))) from error
        reason = f"OpenVINO refuses it: {last_line(str(error))}"
        raise blobs.DamagedBlobError(f"{reading.file} ({reason})") from error
    return devices.run_of(compiled, tensor)


def prove(
    network: Network,
    expected: Answers,
    run: Run,
    shown: NDArray[np.uint8],
    probabilities: NDArray[np.float32] | None = None,
) -> None:
    """Compare a compiled network's answers with the logits and features that are expected.
    The `probabilities` are those of the logits, or as given: float16 keeps three digits of them.

    Raises:
        WrongAnswersError: some probability differs by more than `TOLERANCE`, or some logit or
            feature by more than that part of the largest.
        UnusableWeightsError: what is expected is no finite numbers, nor what is answered.
    """
    logits, features = expected
    if not (np.isfinite(logits).all() or np.isfinite(run.logits(shown)).all()):
        raise UnusableWeightsError(
            f"{network.title} answers with no finite numbers: its weights cannot be used"
        )
    source = "Keras" if probabilities is None else "what it was before it was stored"
    for what, known, found in (
        ("a probability", softmax(logits) if probabilities is None else probabilities, run(shown)),
        ("a logit", logits, run.logits(shown)),
        ("a feature", features, run.features(shown)),
    ):
        difference = np.abs(known - found).max() / max(1.0, float(np.abs(known).max()))
        # Not `difference > TOLERANCE`: that lets NaN pass.
        if not difference <= TOLERANCE:
            raise WrongAnswersError(
                f"the compiled {network.title} differs from {source} by {difference:.2g} in "
                f"{what}; at most {TOLERANCE:g} is allowed"
            )
