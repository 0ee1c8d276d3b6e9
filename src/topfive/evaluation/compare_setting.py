"""How a network that is compared is run: alone in a process of its own."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from topfive.engines import blobs
from topfive.engines.run import Run
from topfive.engines.table import ENGINES
from topfive.errors import EngineError
from topfive.networks import records, weights
from topfive.networks.cards import Network
from topfive.system import files, processes
from topfive.system.processes import ChildError


@dataclass(frozen=True)
class Setting:
    """How a network is run: with `weights` in a file (None: its own), on one of `ENGINES`."""

    weights: str | None
    backend: str
    device: str | None
    threads: int | None
    precision: str
    offline: bool

    @property
    def file(self) -> Path | None:
        """The file with other weights."""
        return None if self.weights is None else Path(self.weights)

    def load(self, network: Network) -> Run:
        """Return the network's `Run`; see `ENGINES`."""
        options = asdict(self)
        del options["backend"], options["weights"]
        return ENGINES[self.backend](network, self.file, **options)

    def sizes(self, network: Network) -> tuple[int, int | None]:
        """Return the bytes of a network's weights and of its compiled file, None without one."""
        held = [self.file or weights.path(network)]
        if network.taught:
            held.append(Path(network.taught.folder) / network.taught.head)
        compiled = self.compiled(network)
        size = compiled.stat().st_size if compiled else None
        return sum(one.stat().st_size for one in held), size

    def compiled(self, network: Network) -> Path | None:
        """Return the network's compiled file, or None where there is none."""
        content = files.stamp(self.file) if self.file else weights.checksum(network)
        if self.backend != "openvino" or content is None:
            return None
        hashes: tuple[str, ...] = ()
        if self.precision == "int8":
            known = weights.fingerprint(network, self.file)
            hashes = records.find_int8(network, known or "")[1]
        device = (self.device or blobs.DEFAULT_DEVICE).upper()
        target = blobs.Target(device, precision=self.precision, graph=hashes)
        file = blobs.path(blobs.identity(network, content, target))
        return file if file.is_file() else None


@dataclass(frozen=True)
class Answers:
    """What a network answered: float32 (n, classes) probabilities; the median time of an
    answer in milliseconds; the peak resident memory in bytes (0: unknown)."""

    probabilities: NDArray[np.float32]
    milliseconds: float
    memory: int


def prepare(network: Network, setting: Setting) -> None:
    """Fetch and compile a network where that is still to be done, which is said in the log.

    Raises: what loading it does.
    """
    if setting.backend == "openvino" and setting.compiled(network) is None:
        setting.load(network)(np.empty((0, network.size, network.size, 3), np.uint8))


def ask(network: Network, setting: Setting, squares: Path) -> Answers:
    """Let a process of its own answer the pictures in a file, uint8 (n, size, size, 3).

    Raises: what loading it there does.
    """
    answers = squares.with_suffix(".answers")
    request = {"network": network.reference, "setting": asdict(setting)}
    request |= {"squares": str(squares), "answers": str(answers)}
    try:
        told = processes.ask("topfive.evaluation.compare_process", request)
    except ChildError as error:
        raise EngineError(f"{network.title} could not answer: {error}") from error
    found = np.fromfile(answers, np.float32).reshape(told["answers"], -1)
    return Answers(found, told["milliseconds"], told["memory"])
