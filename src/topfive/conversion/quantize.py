"""Networks in lower precision: made where that takes it, measured beside float32, stored."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from topfive.conversion import admission, examples
from topfive.conversion.admission import Measurement
from topfive.conversion.examples import Example
from topfive.conversion.options import LOWER, PICTURES, QUANTISED
from topfive.engines import blobs, devices, graphs, openvino_engine
from topfive.engines.run import Run
from topfive.errors import EngineError, OutputError, UsageError
from topfive.networks import records
from topfive.networks import weights as weight_files
from topfive.networks.cards import Network, Recipe, check_choice
from topfive.networks.taught_folders import check_weights
from topfive.networks.weights import Held
from topfive.results import Listener
from topfive.sources.source import MAX_PIXELS
from topfive.system import extras, files
from topfive.system.processes import ChildError, ask

log = logging.getLogger("topfive")


@dataclass(frozen=True)
class Made:
    """A network in 8 bits: its graph, the folder and the hashes of its files (`records.GRAPH`), the
    bytes of its weights in float32 and so, how many of its layers are in 8 bits, of how many."""

    graph: Any
    folder: Path
    hashes: tuple[str, ...]
    sizes: tuple[int, int]
    layers: tuple[int, int]

    def run(self, network: Network, device: str) -> Run:
        """Return what answers many pictures at a time on a device."""
        target = blobs.Target(device, throughput=True, precision=QUANTISED)
        graphs.set_batch(self.graph, target.batch(network))
        return devices.run_of(devices.compile_graph(self.graph, target))


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
    class_column: str | None = None,
    pictures: int = PICTURES,
    weights: Path | None = None,
    device: str | None = None,
    offline: bool = False,
    max_pixels: int = MAX_PIXELS,
    all_layers: bool = False,
    force: bool = False,
    listener: Listener | None = None,
) -> Quantized:
    """Measure a network in lower precision on a folder of pictures, and store what was found.

    In 8 bits it is first made, with some of the pictures, none of which it is measured on;
    layers that lose much stay in float32, unless `all_layers` shall be in 8 bits. At most
    `pictures` are used. For `truth`, `numbers` and `class_column` see `ground_truth.read`.
    `weights` is a file with others than the published ones; `force` keeps the network, whatever it
    loses.

    Raises:
        UsageError: there are too few pictures, or an option is unknown.
        EngineError: the device does not have the precision, or the network loses too much.
        WeightsError, MissingExtraError, OutputError: see `errors`.
    """
    check_choice("precision", precision, LOWER)
    is_int8 = precision == QUANTISED
    if all_layers and not is_int8:
        raise UsageError(f"all layers are in {precision} anyway; --all-layers is for {QUANTISED}")
    device = devices.find_device(device)
    devices.check_device(device, precision)
    if is_int8:
        extras.require("int8", "8 bits")
    check_weights(network, weights)
    own = Held(weights, files.checksum_of(weights)) if weights else None
    held = own or weight_files.held(network, offline)
    known = network.taught.fingerprint if network.taught else held.checksum
    found = examples.find(folder, network, truth, numbers, class_column)
    chosen = examples.collect(found, network, recipe, pictures, max_pixels, listener or Listener())
    some, others = examples.split(chosen, is_int8, os.fsdecode(folder))
    load = partial(openvino_engine.load, network, weights, device=device, throughput=True)
    exact = load(offline=offline)
    with working(records.path(network.name, known)) as work:
        made = make_int8(network, held, some, all_layers, work / "graph") if is_int8 else None
        lower = made.run(network, device) if made else load(offline=offline, precision=precision)
        measured = admission.measure(exact, lower, *examples.arrays(others), admission.SECONDS)
        if not (force or measured.admitted):
            said = f"{network.name} in {precision} loses too much and is not kept; --force keeps it"
            raise EngineError(f"{said}: {admission.refusal(measured)}")
        facts = (network.name, precision, str(recipe), device, len(some), measured)
        lowered = Quantized(*facts, made.sizes if made else None, made.layers if made else None)
        store(lowered, known, made)
    return lowered


@contextlib.contextmanager
def working(record: Path) -> Iterator[Path]:
    """Yield a folder for a network's graph beside its record, of one process at a time."""
    from filelock import FileLock

    try:
        record.parent.mkdir(parents=True, exist_ok=True)
        with (
            FileLock(record.with_name(f"{record.stem}-{QUANTISED}.lock")),
            files.work_folder(record.parent, f".{record.stem}-") as work,
        ):
            yield work
    except OSError as error:
        raise OutputError(f"cannot write to {record.parent}: {error.strerror}") from error


def make_int8(
    network: Network, held: Held, some: Sequence[Example], all_layers: bool, folder: Path
) -> Made:
    """Make a network in 8 bits with some pictures, in a process of its own, in a new folder.

    Raises:
        WeightsError: the weight file is damaged or does not fit.
        EngineError: it could not be made.
    """
    how = "making %s in 8 bits with %d pictures, which takes minutes ..."
    log.info(how, network.title, len(some))
    folder.mkdir()
    pictures = folder.with_name("pictures.npy")
    np.save(pictures, examples.arrays(some)[0])
    request = {"network": network.reference, "checksum": held.checksum, "all_layers": all_layers}
    paths = {"weights": held.path, "pictures": pictures, "folder": folder}
    request |= {name: str(path.absolute()) for name, path in paths.items()}
    try:
        ask("topfive.conversion.quantize_process", request)
    except ChildError as error:
        raise EngineError(f"{network.title} cannot be made in 8 bits: {error}") from error
    hashes = tuple(files.checksum_of(folder / name) for name in records.GRAPH)
    graph = graphs.read_int8(folder, hashes)
    sizes = 4 * network.parameters, (folder / records.GRAPH[1]).stat().st_size
    return Made(graph, folder, hashes, sizes, graphs.layers(graph))


def store(lowered: Quantized, checksum: str, made: Made | None) -> None:
    """Put what was measured into the network's record, and what was made in an earlier one's place.

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
