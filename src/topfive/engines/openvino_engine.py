"""Run a network that OpenVINO compiled, from the cache; compile it first where it is not there.
From the cache nothing of Keras, SciPy or a training framework is imported."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sys
from dataclasses import asdict, replace
from functools import cache, partial
from pathlib import Path

from topfive.engines import blobs, forks, keras_engine
from topfive.engines.devices import check_address_space, check_device, find_device
from topfive.engines.proofs import open_blob
from topfive.engines.run import Run
from topfive.errors import (
    DamagedWeightsError,
    EngineError,
    TopfiveError,
    UnusableWeightsError,
    UsageError,
    WeightsError,
    WrongAnswersError,
)
from topfive.networks import records
from topfive.networks import weights as weight_files
from topfive.networks.cards import Network
from topfive.networks.weights import Held
from topfive.system import files
from topfive.system.processes import Background, ChildError, ask

log = logging.getLogger("topfive")


class ConversionError(Exception):
    """A network could not be compiled into the cache; Keras can still run it."""


def load(
    network: Network,
    weights: Path | None = None,
    *,
    offline: bool = False,
    device: str | None = None,
    threads: int | None = None,
    throughput: bool = False,
    precision: str = "f32",
) -> Run:
    """Return the network's `Run`.

    It is opened in the background: the first call of the run waits for it, compiles it
    where it is not in the cache, and raises what is in the way.

    `weights` is a file with others than the published ones; `device` is CPU, GPU, NPU or AUTO;
    `threads` bounds the CPU's; with `throughput` it answers many pictures at a time, else
    each as soon as it can; `precision` is one of `cards.PRECISIONS`.

    Raises:
        UsageError: `threads` is given for another device, or the network has no int8 graph.
        EngineError: there is no such device, it does not have the precision, or (from the
            run's first call) it cannot run the network to 1e-4.
        WeightsError: the weights cannot be had or do not fit (from the run's first call).
    """
    check_address_space()
    device = find_device(device)
    if threads is not None and device != blobs.DEFAULT_DEVICE:
        raise UsageError(f"--threads is for the CPU; {device} has none to bound")
    target, graph = blobs.Target(device, throughput, precision), None
    if precision == "int8":
        known = weight_files.fingerprint(network, weights)
        graph, hashes = records.find_int8(network, known or "")
        target = replace(target, graph=hashes)
    reading = blobs.find(network, weights, target)
    check_device(device, precision)  # imports OpenVINO while the file is read
    opening = Background(partial(open_blob, reading, target, threads)) if reading else None

    opener = os.getpid()

    @cache
    def ready_in(process: int) -> Run:
        if process != opener:
            return forks.open_again(network, weights, target, threads)
        try:
            if opening and (run := opening.result()):
                return run
        except blobs.DamagedBlobError as error:
            log.warning("%s is damaged; making it anew", error)
        own = Held(weights, files.stamp(weights)) if weights else None
        held = own or weight_files.held(network, offline)
        try:
            return _compile(network, held, offline, target, graph, threads)
        except (ConversionError, WrongAnswersError, OSError) as error:
            # Who asks for a GPU, or for 8 bits, is not helped by the CPU's float32.
            if device != blobs.DEFAULT_DEVICE or precision != "f32":
                where = device if precision == "f32" else f"{device} in {precision}"
                raise EngineError(f"{where} cannot run {network.title}: {error}") from error
            kept = f"cannot keep the compiled {network.title} in {blobs.folder()}"
            log.warning("%s: %s; every start will be slow", kept, error)
            keras = sys.modules.get("keras")  # which cannot change the backend that it has here
            backend = keras.backend.backend() if keras else "openvino"
            return keras_engine.load(network, weights, backend=backend, offline=offline)

    def ready() -> Run:
        return ready_in(os.getpid())

    return Run(
        lambda pictures: ready()(pictures),
        lambda pictures: ready().logits(pictures),
        lambda pictures: ready().features(pictures),
        batch=target.batch(network),
        parallel=lambda: ready().parallel(),
    )


def _compile(
    network: Network,
    held: Held,
    offline: bool,
    target: blobs.Target,
    graph: Path | None,
    threads: int | None,
) -> Run:
    """Compile the network in a process of its own, once for all that ask at the same time."""
    from filelock import FileLock

    identity = blobs.identity(network, held.checksum, target)
    blob = blobs.path(identity)
    blob.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(blob.with_suffix(".lock")):
        with contextlib.suppress(blobs.DamagedBlobError):
            if run := open_blob(blobs.Reading(identity), target, threads):  # somebody else's
                return run
        if known := blobs.refusal(identity):
            raise known
        log.info("compiling %s, once ...", network.title)
        with files.work_folder(blob.parent, blobs.WORK) as folder:
            part = folder / blob.name
            try:
                _convert(network, held, target, graph, part)
            except DamagedWeightsError as error:
                if held.path != weight_files.path(network):
                    raise
                log.warning("%s; fetching it again", error)
                held = weight_files.fetch(network, offline, again=True)
                _convert(network, held, target, graph, part)
            except (UnusableWeightsError, WrongAnswersError) as error:
                blobs.refuse(identity, error)
                raise
            part.replace(blob)
        blobs.remove_unused(keep=blob)
    try:
        if run := open_blob(blobs.Reading(identity), target, threads):
            return run
    except blobs.DamagedBlobError as error:
        raise ConversionError(f"damaged: {error}") from error
    raise ConversionError(f"{blob} went away")


def _convert(
    network: Network, held: Held, target: blobs.Target, graph: Path | None, blob: Path
) -> None:
    """Write the file of a compiled network; where that takes Keras, in a process of its own."""
    from topfive.engines import direct_graphs  # which no later start needs

    request = {
        "network": network.reference,
        "weights": str(held.path.absolute()),
        "checksum": held.checksum,
        "target": asdict(target),
        "graph": graph and str(graph.absolute()),
        "blob": str(blob.absolute()),
    }
    try:
        if direct_graphs.is_direct(network, held.checksum, target):
            direct_graphs.convert(network, held.path, target, blob)
        else:
            ask("topfive.engines.compile_process", request)
    except (WeightsError, WrongAnswersError):
        raise
    except TopfiveError as error:
        raise ConversionError(str(error)) from error
    except (ChildError, RuntimeError) as error:
        # OpenVINO's words for a full disk do not name it.
        free = shutil.disk_usage(blob.parent).free / 1e6
        raise ConversionError(f"{error} ({free:,.0f} MB free)") from None
