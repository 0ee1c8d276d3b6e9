"""What is measured: networks as graphs in files, each in its precisions.

The process that measures never imports Keras: a graph comes from a process of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from topfive.engines import blobs, devices, graphs
from topfive.errors import EngineError, UsageError, WeightsError
from topfive.evaluation import arithmetic
from topfive.networks import records
from topfive.networks import weights as weight_files
from topfive.networks.cards import PRECISIONS, Network, check_choice
from topfive.networks.find import find_network
from topfive.networks.taught_folders import check_weights
from topfive.system.processes import ChildError, ask

RANDOM = "random"  # stands for the hash of weights that are made up


@dataclass(frozen=True)
class Subject:
    """A network in one precision: its weights' hash (`weights.fingerprint`), its graph in a file,
    for one picture at a time, and the multiplications, each with an addition, for one."""

    network: Network
    precision: str
    weights: str
    graph: Path
    multiply_adds: int


def find(
    names: Sequence[str],
    precisions: Sequence[str] | None = None,
    weights: Path | None = None,
    random: bool = False,
) -> list[tuple[Network, str, str]]:
    """Return what there is to measure: networks, each in its precisions, and the weights' hash.

    `precisions` None is float32 and, where a network has a graph in 8 bits here, that; `weights`
    is a file with others, and `random` makes them up: they are as fast.

    Raises:
        UsageError: a name is unknown, or a network has no graph in 8 bits.
        WeightsError: the weights are not here.
        EngineError: the CPU does not have the precision.
    """
    for precision in precisions or ():
        check_choice("precision", precision, PRECISIONS)
        devices.check_device(blobs.DEFAULT_DEVICE, precision)
    if random and (weights or "int8" in (precisions or ())):
        raise UsageError("random weights stand for no file, and have no graph in 8 bits")
    if weights and len(names) > 1:
        raise UsageError(f"one weight file is for one network; received {', '.join(names)}")
    networks = list(dict.fromkeys(map(find_network, names or (None,))))
    if len({network.name for network in networks}) < len(networks):
        raise UsageError("several of the networks have one name; measure one after the other")
    found = []
    for network in networks:
        check_weights(network, weights)
        if random and network.taught:
            raise UsageError(f"random weights are for published networks, not for {network.name}")
        checksum = RANDOM if random else _checksum(network, weights)
        stored = "int8" in records.read(network.name, checksum).get(records.PRECISIONS, {})
        for precision in precisions or ("f32", *("int8",) * stored):
            if precision == "int8":
                records.find_int8(network, checksum)
            found.append((network, precision, checksum))
    return found


def _checksum(network: Network, file: Path | None) -> str:
    if file is None and not weight_files.path(network).is_file():
        if network.taught and network.taught.body:
            weight_files.held(network)  # raises the error that says so
        get = f"topfive weights fetch {network.backbone}"
        random = "" if network.taught else "; or measure with --random-weights, which are as fast"
        raise WeightsError(
            f"the weights of {network.title} are not here: {get}{random}{weight_files.way_out()}"
        )
    known = None if file else weight_files.held(network, offline=True).checksum  # or pins it
    return weight_files.fingerprint(network, file) or known or ""


@contextmanager
def open_subjects(
    found: Sequence[tuple[Network, str, str]], weights: Path | None = None
) -> Iterator[list[Subject]]:
    """Yield what `find` returned with its graphs, in files that are there for as long.

    Raises:
        WeightsError: a weight file does not have its hash or does not fit.
        EngineError: a graph cannot be made or is not what it was.
    """
    import openvino

    blobs.folder().mkdir(parents=True, exist_ok=True)
    ready = []
    with TemporaryDirectory(prefix=blobs.WORK, dir=blobs.folder()) as folder:
        for network, precision, checksum in found:
            if precision == "int8":
                stored, hashes = records.find_int8(network, checksum)
                graph = graphs.read_int8(stored, hashes)
                place = stored / records.GRAPH[0]
            else:
                place = Path(folder) / f"{network.name}.xml"
                if not place.is_file():
                    _make_graph(network, weights, checksum, place)
                graph = openvino.Core().read_model(place)
            work = arithmetic.count_multiply_adds(graph)
            ready.append(Subject(network, precision, checksum, place, work))
        yield ready


def _make_graph(network: Network, file: Path | None, checksum: str, graph: Path) -> None:
    place = str((file or weight_files.path(network)).absolute())
    if network.taught:  # the hash of the file alone
        checksum = weight_files.checksum(network) or ""
    request = {"network": network.reference, "file": place, "checksum": checksum}
    try:
        ask("topfive.evaluation.bench_process", request | {"graph": str(graph)})
    except ChildError as error:
        raise EngineError(f"cannot make the graph of {network.title}: {error}") from error
