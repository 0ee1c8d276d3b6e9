"""Networks in lower precision: made where that takes it, measured beside float32, stored."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from topfive.conversion import admission, examples
from topfive.conversion.admission import Measurement
from topfive.conversion.examples import ExampleListener
from topfive.engines import blobs, devices, graphs, openvino_engine
from topfive.engines.run import Run
from topfive.errors import (
    EngineError,
    MissingExtraError,
    OutputError,
    UsageError,
)
from topfive.networks import records, weights
from topfive.networks.cards import PRECISIONS, Network, Recipe, check_choice
from topfive.networks.taught_folders import check_weights
from topfive.sources.source import MAX_PIXELS
from topfive.system import files
from topfive.system.files import checksum_of
from topfive.system.processes import ChildError, ask

LOWER = tuple(name for name in PRECISIONS if name != "f32")
QUANTISED = "int8"
PICTURES = 1000

log = logging.getLogger("topfive")


@dataclass(frozen=True)
class Made:
    """A network in 8 bits: its graph, the files of `records.GRAPH` that it is in and their
    hashes, the bytes of its weights in float32 and so, and how many of its layers are in 8
    bits, of how many."""

    graph: Any
    folder: Path
    hashes: tuple[str, ...]
    sizes: tuple[int, int]
    layers: tuple[int, int]


@dataclass(frozen=True)
class Quantized:
    """A network in lower precision that was stored: the number of pictures that it was made
    with, and what was measured on others; `sizes` and `layers` as in `Made`."""

    network: str
    precision: str
    recipe: str
    device: str
    calibrating: int
    measurement: Measurement
    sizes: tuple[int, int] | None
    layers: tuple[int, int] | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return asdict(self) | {"measurement": self.measurement.to_dict()}


def quantize(
    folder: str | os.PathLike[str],
    network: Network,
    precision: str = QUANTISED,
    *,
    recipe: Recipe,
    truth: str | os.PathLike[str] | None = None,
    numbers: str | None = None,
    pictures: int = PICTURES,
    file: Path | None = None,
    device: str | None = None,
    offline: bool = False,
    max_pixels: int = MAX_PIXELS,
    all_layers: bool = False,
    force: bool = False,
    listener: ExampleListener | None = None,
) -> Quantized:
    """Measure a network in lower precision on a folder of pictures, and store what was found.

    In 8 bits it is first made, with some of the pictures, none of which it is measured on;
    layers that lose much stay in float32, unless `all_layers` shall be in 8 bits. Of more
    than `pictures` so many are used, whatever their order. For the classes, where there are
    any, `truth` and `numbers` see `ground_truth.read`. `file` holds other weights than the
    published ones; with `force` the network is kept, whatever it loses.

    Raises:
        UsageError: there are too few pictures, or an option is unknown.
        EngineError: the device does not have the precision, or the network loses too much.
        WeightsError, MissingExtraError, OutputError: see `errors`.
    """
    check_choice("precision", precision, LOWER)
    if all_layers and precision != QUANTISED:
        raise UsageError(f"all layers are in {precision} anyway; --all-layers is for {QUANTISED}")
    device = (device or blobs.DEFAULT_DEVICE).upper()
    device = devices.find_auto() if device == devices.AUTO else device
    devices.check_device(device, precision)
    if precision == QUANTISED:
        check_installed()
    check_weights(network, file)
    held = weights.Held(file, checksum_of(file)) if file else weights.held(network, offline)
    known = network.taught.fingerprint if network.taught else held.checksum
    found = examples.find(folder, network, truth, numbers)
    chosen = examples.collect(
        found, network, recipe, pictures, max_pixels, listener or ExampleListener()
    )
    calibrating, others = examples.split(chosen, precision == QUANTISED, os.fsdecode(folder))
    target = blobs.Target(device, throughput=True, precision=precision)

    def load(precision: str = "f32") -> Run:
        return openvino_engine.load(
            network, file, offline=offline, device=device, throughput=True, precision=precision
        )

    exact = load()
    with working(records.path(network.name, known)) as work:
        if precision == QUANTISED:
            squares, _ = examples.arrays(calibrating)
            made = quantise(network, held, squares, all_layers, work / "graph")
            graphs.set_batch(made.graph, target.batch(network))
            run = devices.run_of(devices.compile_graph(made.graph, target))
        else:
            made, run = None, load(precision)
        measurement = admission.measure(
            exact, run, *examples.arrays(others), seconds=admission.SECONDS
        )
        if not (force or measurement.admitted):
            raise EngineError(
                f"{network.name} in {precision} loses too much and is not kept; --force keeps it: "
                f"{admission.refusal(measurement)}"
            )
        lowered = Quantized(
            network.name, precision, str(recipe), device, len(calibrating), measurement,
            made.sizes if made else None, made.layers if made else None,
        )  # fmt: skip
        store(lowered, known, made)
    return lowered


@contextlib.contextmanager
def working(record: Path) -> Iterator[Path]:
    """Yield a folder for a network's graph beside its record, of one process at a time."""
    from filelock import FileLock

    prefix = f".{record.stem}-"
    try:
        record.parent.mkdir(parents=True, exist_ok=True)
        with (
            FileLock(record.with_name(f"{record.stem}-{QUANTISED}.lock")),
            files.work_folder(record.parent, prefix) as work,
        ):
            yield work
    except OSError as error:
        raise OutputError(f"cannot write to {record.parent}: {error.strerror}") from error


def quantise(
    network: Network, held: weights.Held, pictures: NDArray[np.uint8], all_layers: bool,
    folder: Path,
) -> Made:  # fmt: skip
    """Make a network in 8 bits, in a process of its own, in a new folder.

    Raises:
        WeightsError: the weight file is damaged or does not fit.
        EngineError: it could not be made.
    """
    log.info(
        "making %s in 8 bits with %d pictures, which takes minutes ...",
        network.title, len(pictures),
    )  # fmt: skip
    folder.mkdir()
    squares = folder.with_name("pictures.npy")
    np.save(squares, pictures)
    request = {
        "network": network.reference,
        "file": str(held.path.absolute()),
        "checksum": held.checksum,
        "pictures": str(squares.absolute()),
        "all_layers": all_layers,
        "folder": str(folder.absolute()),
    }
    try:
        ask("topfive.conversion.quantize_process", request)
    except ChildError as error:
        raise EngineError(f"{network.title} cannot be made in 8 bits: {error}") from error
    files = [folder / name for name in records.GRAPH]
    hashes = tuple(map(checksum_of, files))
    graph = graphs.read_int8(folder, hashes)
    sizes = 4 * network.parameters, files[1].stat().st_size
    return Made(graph, folder, hashes, sizes, graphs.layers(graph))


def store(lowered: Quantized, checksum: str, made: Made | None) -> None:
    """Put what was measured into the network's record, and the graph that was made beside it,
    in the place of an earlier one.

    Raises:
        OutputError: the record cannot be written.
    """
    packages = ("topfive", "openvino", *["nncf"] * (made is not None))
    entry = lowered.to_dict() | {"versions": {name: version(name) for name in packages}}
    record = records.path(lowered.network, checksum)
    stem = f"{record.stem}-{lowered.precision}-"
    if made is not None:
        home = record.with_name(stem + secrets.token_hex(4))
        made.folder.replace(home)
        entry |= {"graph": home.name, "sha256": made.hashes}
    records.update(lowered.network, checksum, records.PRECISIONS, lowered.precision, entry)
    for how in records.read(lowered.network, checksum).get(records.CALIBRATIONS, {}):
        if made is not None and how.startswith(f"{lowered.precision} "):
            log.warning("the calibration for %s was of the network before; make it anew", how)
            records.update(lowered.network, checksum, records.CALIBRATIONS, how, None)
    for graph in record.parent.glob(f"{stem}*/"):
        if graph.name != entry.get("graph"):  # of an earlier network
            shutil.rmtree(graph, ignore_errors=True)


def check_installed() -> None:
    """Raise a `MissingExtraError` if NNCF is not installed."""
    if importlib.util.find_spec("nncf") is None:
        raise MissingExtraError("8 bits need an extra: pip install 'topfive[int8]'")
