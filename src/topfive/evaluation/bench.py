"""How fast networks answer on this machine's CPU, and how close that is to what it can do."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import chain, product
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from topfive.engines import blobs, devices, graphs
from topfive.errors import EngineError, UsageError
from topfive.evaluation import arithmetic, bench_subjects
from topfive.evaluation.bench_subjects import Subject
from topfive.system.processes import Background

MODES = LATENCY, THROUGHPUT = ("latency", "throughput")
PRODUCT_SHARE = 0.25  # of a network's seconds, for the product before it and that after it


@dataclass(frozen=True)
class Configuration:
    """One way to run a network: `latency` is one picture at a time, each answered as soon as
    possible, `throughput` is as many batches at a time as OpenVINO wants."""

    subject: Subject
    mode: str
    threads: int
    batch: int


@dataclass(frozen=True)
class Turn:
    """One run of a configuration: pictures a second; the seconds that each answer took; operations
    a second, the network's and those of the matrix product before and after it."""

    configuration: Configuration
    rate: float
    seconds: tuple[float, ...]
    operations: float
    limit: float


@dataclass(frozen=True)
class Measurement:
    """What the turns of a configuration say: the medians over them, the slowest and the
    fastest; of single answers the median and the 95th percentile, in milliseconds. `share` is
    how close the network came to the matrix products of the same turns (1: as fast)."""

    configuration: Configuration
    turns: int
    rate: float
    slowest: float
    fastest: float
    milliseconds: float
    p95: float
    operations: float
    limit: float
    share: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        way = self.configuration
        rates = {"median": self.rate, "lowest": self.slowest, "highest": self.fastest}
        return {
            "network": way.subject.network.name,
            "precision": way.subject.precision,
            "mode": way.mode,
            "threads": way.threads,
            "batch": way.batch,
            "turns": self.turns,
            "pictures_per_second": rates,
            "answer_milliseconds": {"median": self.milliseconds, "p95": self.p95},
            "operations_per_second": self.operations,
            "product_operations_per_second": self.limit,
            "share_of_product": self.share,
        }


def bench(
    networks: Sequence[str] = (),
    precisions: Sequence[str] | None = None,
    *,
    threads: Sequence[int] = (),
    batches: Sequence[int] = (1, 4, 16),
    seconds: float = 3.0,
    runs: int = 3,
    weights: Path | None = None,
    random_weights: bool = False,
    turns: list[Turn] | None = None,
    progress: Callable[[int, int, Configuration | None], None] = lambda *_: None,
) -> list[Measurement]:
    """Measure how fast networks answer on this machine's CPU, without reading pictures.

    Each way to run a network has `runs` turns of `seconds`: with each of `threads` (one, and as
    many as there are CPUs), alone and with each of `batches` pictures at a time; see
    `bench_subjects.find` for the others. `turns` gets each as it comes, for who stops early;
    `progress` hears how many are done of how many, and which is next.

    Raises:
        UsageError: there is no such network or precision, or there are fewer CPUs.
        WeightsError: the weights are not here.
        EngineError: OpenVINO cannot run it so.
    """
    cpus = arithmetic.count_cpus()
    threads = threads or tuple(dict.fromkeys((1, cpus)))
    if max(threads) > cpus:
        raise UsageError(f"{max(threads)} threads: this process may use {cpus} CPUs")
    found = bench_subjects.find(networks, precisions, weights, random_weights)
    turns = [] if turns is None else turns
    progress(0, 1, None)
    with bench_subjects.open_subjects(found, weights) as ready:
        ways = combine(ready, threads, batches)
        progress(0, runs * len(ways), ways[0])
        for place, turn in enumerate(measure(ways, seconds, runs), start=1):
            turns.append(turn)
            progress(place, runs * len(ways), ways[place % len(ways)])
    return summarise(turns)


def summarise(turns: Sequence[Turn]) -> list[Measurement]:
    """Return a measurement of each configuration that had a turn, in their order."""
    found: dict[Configuration, list[Turn]] = {}
    for turn in turns:
        found.setdefault(turn.configuration, []).append(turn)
    return [_summarise(way, of_way) for way, of_way in found.items()]


def _summarise(way: Configuration, turns: Sequence[Turn]) -> Measurement:
    rates = [turn.rate for turn in turns]
    times = 1000 * np.concatenate([turn.seconds for turn in turns])
    found = len(turns), median(rates), min(rates), max(rates)
    milliseconds, p95 = float(np.median(times)), float(np.percentile(times, 95))
    operations, limit = median(one.operations for one in turns), median(one.limit for one in turns)
    share = median(turn.operations / turn.limit for turn in turns)
    return Measurement(way, *found, milliseconds, p95, operations, limit, share)


def to_dict(measurements: Sequence[Measurement], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the machine, the `settings`, the networks and the measurements, ready for JSON."""
    found = [one.configuration.subject for one in measurements]
    subjects = {one.network.name: one for one in found}
    return {
        "machine": arithmetic.describe_machine(),
        "settings": {**settings, "product": [arithmetic.SIDE] * 3},
        "networks": [
            {"network": name, "weights": subject.weights, "multiply_adds": subject.multiply_adds}
            for name, subject in subjects.items()
        ],
        "measurements": [one.to_dict() for one in measurements],
    }


def combine(
    ready: Sequence[Subject], threads: Sequence[int], batches: Sequence[int]
) -> list[Configuration]:
    """Return all ways to run the subjects, in the order of a table."""
    alone, several = product(ready, threads), product(ready, threads, batches)
    return [
        *(Configuration(one, LATENCY, number, 1) for one, number in alone),
        *(Configuration(one, THROUGHPUT, number, batch) for one, number, batch in several),
    ]


def measure(ways: Sequence[Configuration], seconds: float, runs: int) -> Iterator[Turn]:
    """Run each configuration for `seconds`, turn by turn, `runs` times, and yield each turn.

    Each is compiled anew for its turn, so that memory stays flat, and has a matrix product in
    the same precision, on as many threads, for neighbours: a busy machine slows all.

    Raises:
        EngineError: OpenVINO cannot run a configuration.
    """
    compiled_product = cache(_compiled_product)
    try:
        for _ in range(runs):
            for way in ways:
                target = blobs.Target(
                    throughput=way.mode == THROUGHPUT, precision=way.subject.precision
                )
                limit = compiled_product(target, way.threads)
                compiled = _compiled(way, target)
                before = answers_per_second(run(limit, seconds * PRODUCT_SHARE))
                answers = run(compiled, seconds)
                after = answers_per_second(run(limit, seconds * PRODUCT_SHARE))
                rate = way.batch * answers_per_second(answers)
                operations = 2 * rate * way.subject.multiply_adds
                possible = (before + after) / 2 * arithmetic.PRODUCT_OPERATIONS
                yield Turn(way, rate, tuple(chain(*answers)), operations, possible)
    except RuntimeError as error:
        name, reason = way.subject.network.title, str(error).strip().splitlines()[-1]
        raise EngineError(f"OpenVINO cannot run {name}, {way.batch} at a time: {reason}") from error


def _compiled_product(target: blobs.Target, threads: int) -> Any:
    return _compile(arithmetic.make_product(target.precision), target, threads)


def _compiled(way: Configuration, target: blobs.Target) -> Any:
    import openvino

    graph = openvino.Core().read_model(way.subject.graph)
    if way.batch > 1:
        graphs.set_batch(graph, way.batch)
    if way.subject.network.large_dense and target.dense_in_place:
        graphs.multiply_from_the_left(graph)  # as `classify` runs it
    return _compile(graph, target, way.threads)


def _compile(graph: Any, target: blobs.Target, threads: int) -> Any:
    import openvino

    config = {**devices.hints(target), "INFERENCE_NUM_THREADS": threads}
    return openvino.Core().compile_model(graph, blobs.DEFAULT_DEVICE, config)


def answers_per_second(answers: list[list[float]]) -> float:
    """Return how many answers a second several workers gave together, each its own seconds."""
    return sum(len(times) / sum(times) for times in answers)


def run(compiled: Any, seconds: float) -> list[list[float]]:
    """Return how long each answer took, of each infer request, for `seconds` and at least one."""
    random = np.random.default_rng(0)
    requests = []
    for _ in range(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")):
        request = compiled.create_infer_request()
        values = request.get_input_tensor().data
        if values.dtype == np.uint8:
            values[...] = random.integers(0, 256, values.shape)
        else:
            values[...] = random.standard_normal(values.shape)
        request.start_async()  # the first is slower, and is not counted
        requests.append(request)
    for request in requests:
        while not request.wait_for(100):  # so that Ctrl-C ends it
            pass
    stop, start = threading.Event(), perf_counter()

    def work(request: Any) -> list[float]:
        times: list[float] = []
        now = perf_counter()
        while not stop.is_set() and (not times or now - start < seconds):
            request.start_async()
            request.wait()
            before, now = now, perf_counter()
            times.append(now - before)
        return times

    workers = [Background(partial(work, request)) for request in requests]
    try:
        return [worker.result() for worker in workers]
    finally:
        stop.set()
