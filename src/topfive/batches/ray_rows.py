"""The rows of a run, computed by Ray on one machine or many: those of `Classifier.rows`."""

from __future__ import annotations

import json
import logging
import os
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from itertools import chain, islice
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from topfive import errors
from topfive.batches import ray_parcels, ray_session
from topfive.batches.ray_parcels import Parcel
from topfive.classification.classifier import Classifier
from topfive.errors import EngineError, TopfiveError
from topfive.results import RowDict
from topfive.sources.source import Source
from topfive.version import __version__

if TYPE_CHECKING:
    import pyarrow

# A block is what an actor is given at a time, and what is done again when its process dies.
BLOCK, BLOCK_BYTES = 64, 16 << 20
# Ray Data ends its actors with each chunk, and to start others takes 1 to 4 s. Chunks take
# long enough to keep that under 2 %, within what the driver's memory bears.
FIRST_CHUNK = 4096  # sources, for each actor
CHUNK_SECONDS = 300
CHUNK, CHUNK_BYTES = 500_000, 256 << 20
TRIES = 5  # to start an actor, in a row
PATIENCE = 1800  # seconds without any row, after which none is expected any more
PASSED_ON = ("TOPFIVE_CACHE", "TOPFIVE_DATA", "TOPFIVE_MIRROR", "TOPFIVE_USER_AGENT", "KERAS_HOME")
FAULT = -1  # the number of a row that says why there are none


def rows(
    sources: Iterable[Source],
    options: Mapping[str, Any],
    top: int,
    address: str,
    *,
    ordered: bool = True,
    readers: int | None = None,
) -> Iterator[tuple[Source, RowDict]]:
    """Yield each source with its row as `Row.to_dict` makes it, in their order or, not
    `ordered`, as they are done.

    `options` are the `Classifier`'s; `address` is `local` (Ray is started on this machine,
    for this run), `auto` (the cluster that runs here) or a cluster's. A connection that the
    program already has is used and kept. There is a classifier a node, in each of which
    `readers` threads read and decode. The sources are drawn by the caller's own thread.

    Raises:
        MissingExtraError: Ray is not installed.
        EngineError: there is no cluster, it has no CPUs, another topfive, or breaks down.
        And what `Classifier` raises, here or on a node.
    """
    sources = iter(sources)
    first = next(sources, None)
    if first is None:  # who watches a folder asks every second
        return
    ray_session.check_installed()
    sources = chain([first], sources)
    options = {**options, "throughput": True}
    if options.get("weights") is not None:
        options["weights"] = str(Path(options["weights"]).absolute())
    classifier = Classifier(**options)  # fetches and compiles, once for the nodes that share
    given: dict[str, Any] = {"fn_constructor_args": (options, top, readers, __version__)}
    with ray_session.connected(address) as started:
        if not started:
            variables = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
            given["runtime_env"] = {"env_vars": variables}
        number = 0
        while True:
            pool, given["num_cpus"] = _pool()
            waiting, blocks = _draw(sources, max(number, FIRST_CHUNK * pool), classifier)
            if not waiting:
                return
            start, drawn = monotonic(), len(waiting)
            yield from _answer(waiting, blocks, pool, given, ordered)
            number = min(CHUNK, round(CHUNK_SECONDS * drawn / (monotonic() - start)))


def _pool() -> tuple[int, float]:
    """Return the number of actors, and of the CPUs that each reserves."""
    import ray

    found = [node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"]]
    cpus = [number for number in found if number >= 1]
    if not cpus:
        raise EngineError("the Ray cluster has no CPUs; `ray start --address=…` adds a machine")
    # At most half of a node's, so that a dead node's actor finds room on another.
    return len(cpus), min(cpus) / 2


def _draw(
    sources: Iterator[Source], number: int, classifier: Classifier
) -> tuple[dict[int, Source], list[pyarrow.Table]]:
    """Draw a chunk; return its sources by their numbers, and the blocks for the actors."""
    import pyarrow

    drawn: dict[int, Source] = {}
    blocks: list[list[tuple[int, bytes, str, bytes]]] = []
    room = total = 0
    for source in islice(sources, number):
        parcel = ray_parcels.pack(source, classifier.recipe, classifier.max_pixels)
        if room <= 0 or len(blocks[-1]) == BLOCK:
            blocks.append([])
            room = BLOCK_BYTES
        blocks[-1].append((len(drawn), *parcel))
        drawn[len(drawn)] = source
        room -= len(parcel.content)
        total += len(parcel.content)
        if total >= CHUNK_BYTES:
            break
    names = ("number", *Parcel._fields)
    return drawn, [
        pyarrow.table([list(column) for column in zip(*block, strict=True)], names)
        for block in blocks
    ]


def _answer(
    waiting: dict[int, Source],
    blocks: list[pyarrow.Table],
    actors: int,
    given: dict[str, Any],
    ordered: bool,
) -> Iterator[tuple[Source, RowDict]]:
    """Yield the rows of a chunk; each of the actors is `given` what it needs."""
    import ray
    from ray.data.exceptions import ExecutionTimeoutError, UserCodeException

    data = ray.data.from_blocks(blocks).map_batches(
        Answerer,
        batch_size=None,
        batch_format="pyarrow",
        zero_copy_batch=True,
        compute=ray.data.ActorPoolStrategy(min_size=1, initial_size=actors, max_size=actors),
        **given,
    )
    context = data.context
    context.enable_progress_bars = context.print_on_execution_start = False
    context.execution_options.preserve_order = ordered
    context.execution_no_progress_timeout_s = PATIENCE
    context.max_consecutive_actor_init_deaths = TRIES
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    try:
        with closing(iter(data.iter_batches(batch_size=None, batch_format="pyarrow"))) as found:
            for one in chain.from_iterable(table.to_pylist() for table in found):
                told = json.loads(one["row"])
                if one["number"] == FAULT:
                    kind, message = told
                    raise getattr(errors, kind)(message)
                yield waiting.pop(one["number"]), told
    except (ray.exceptions.RayTaskError, UserCodeException):
        raise  # a fault of topfive's own
    except ExecutionTimeoutError as error:
        raise EngineError(
            f"no row from the Ray cluster for {PATIENCE // 60} minutes: its CPUs are taken, or a "
            "picture kills the process that reads it"
        ) from error
    except ray.exceptions.ActorDiedError as error:  # its last line is the reason
        reason = str(error).strip().splitlines()[-1]
        raise EngineError(f"an actor of the Ray cluster cannot start: {reason}") from error
    except ray.exceptions.RayError as error:
        raise EngineError(f"the Ray cluster cannot go on: {ray_session.line(error)}") from error
    if waiting:
        raise EngineError(f"Ray returned no row for {len(waiting):,} sources")


class Answerer:
    """An actor: a classifier that answers a block of sources at a time.

    What is wrong with the node or with the options is told in the place of rows.
    """

    def __init__(
        self, options: Mapping[str, Any], top: int, readers: int | None, version: str
    ) -> None:
        self._top, self._readers = top, readers
        self._fault: TopfiveError | None = None
        try:
            if version != __version__:
                raise EngineError(f"topfive {__version__} is installed; expected {version}")
            self._classifier = Classifier(**options)
        except TopfiveError as error:
            self._fault = error

    def __call__(self, block: pyarrow.Table) -> pyarrow.Table:
        """Return the numbers and the rows, as JSON, of a block of sources."""
        import pyarrow

        numbers, *columns = (column.to_pylist() for column in block.columns)
        try:
            if self._fault:
                raise self._fault
            sources = map(ray_parcels.unpack, *columns)
            answers = self._classifier.rows(sources, self._top, readers=self._readers)
            found = [json.dumps(row.to_dict()) for _, row in answers]
        except TopfiveError as error:
            message = f"on the node {socket.gethostname()}: {error}"
            numbers, found = [FAULT], [json.dumps([type(error).__name__, message])]
        return pyarrow.table({"number": numbers, "row": found})
