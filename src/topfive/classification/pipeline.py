"""Many sources at once: some are read and decoded while others are answered.

Every queue is bounded, so that memory does not grow with the number of sources.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from time import perf_counter
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from topfive.errors import PictureError
from topfive.pictures.preparation import Found, Prepared
from topfive.results import Failure
from topfive.sources.source import Source

T = TypeVar("T")

NOT_FINITE = "not-finite"  # the kind of a failure that is the network's, not the picture's
# Python's own choice for work that partly waits: for a disk, a server.
READERS = min(32, (os.cpu_count() or 1) + 4)


def stream(
    sources: Iterable[Source],
    prepare: Callable[[Source], Prepared],
    answer: Callable[[list[Prepared]], list[T]],
    *,
    parallel: int,
    batch: int,
    readers: int | None = None,
    ordered: bool = True,
) -> Iterator[tuple[Source, T]]:
    """Yield each source with its response, in the order of the sources or as they are done.

    `prepare` works in `readers` threads; what it returned goes to `answer` in `parallel`
    threads, `batch` at a time, or fewer where no other source is waited for. The sources are
    drawn by the caller's own thread, as many ahead as keeps all threads at work. What any of
    them raises ends it; what `sources` raises, after the responses of the sources before it.
    """
    readers = readers or READERS
    reading, answering = ThreadPoolExecutor(readers), ThreadPoolExecutor(parallel)
    prepared: deque[tuple[int, Prepared]] = deque()
    unread, lock = 0, threading.Lock()
    done: SimpleQueue[tuple[int, T | BaseException]] = SimpleQueue()

    def read_one(number: int, source: Source) -> None:
        nonlocal unread
        try:
            one = prepare(source)
            with lock:
                prepared.append((number, one))
                unread -= 1
            answering.submit(answer_some)
        except BaseException as error:
            done.put((number, error))

    def answer_some() -> None:
        with lock:
            if len(prepared) < batch and unread:
                return  # to those that are being read, each of which asks again
            some = [prepared.popleft() for _ in range(min(batch, len(prepared)))]
        if not some:
            return  # an earlier call took more than its own
        try:
            responses = answer([one for _, one in some])
            for (number, _), response in zip(some, responses, strict=True):
                done.put((number, response))
        except BaseException as error:
            done.put((some[0][0], error))

    failed: list[Exception] = []

    def drawn() -> Iterator[Source]:
        try:
            yield from sources
        except Exception as error:
            failed.append(error)

    waiting: dict[int, Source] = {}
    ready: dict[int, T] = {}
    following = 0

    def collect() -> Iterator[tuple[Source, T]]:
        nonlocal following
        number, response = done.get()
        if isinstance(response, BaseException):
            raise response
        if not ordered:
            yield waiting.pop(number), response
            return
        ready[number] = response
        while following in ready:
            yield waiting.pop(following), ready.pop(following)
            following += 1

    window = 2 * (readers + parallel * batch)
    try:
        for number, source in enumerate(drawn()):
            waiting[number] = source
            with lock:
                unread += 1
            reading.submit(read_one, number, source)
            while not done.empty() or len(waiting) >= window:
                yield from collect()
        while waiting:
            yield from collect()
        if failed:
            raise failed[0]
    finally:
        # Whoever stops in the middle does not wait for a slow server.
        reading.shutdown(wait=False, cancel_futures=True)
        answering.shutdown(wait=False, cancel_futures=True)


def respond(
    run: Callable[[NDArray[np.uint8]], NDArray[np.float32]], prepared: Sequence[Prepared]
) -> list[Response]:
    """Return a network's response to each picture; `run` takes all of them at once."""
    start = perf_counter()
    squares = [one.square for one in prepared if isinstance(one.square, np.ndarray)]
    answers = iter(run(np.stack(squares)) if squares else ())
    seconds = (perf_counter() - start) / max(1, len(squares))

    def response(one: Prepared) -> Response:
        spent, values = one.seconds, one.square
        found: NDArray[np.float32] | Failure
        if isinstance(values, np.ndarray):
            spent, found = spent + seconds, next(answers)
        elif isinstance(values, Found):
            found = values.values
        else:
            found = Failure(one.source.name, values.kind, str(values))
        if isinstance(found, np.ndarray) and not np.isfinite(found).all():
            error = not_finite()
            found = Failure(one.source.name, error.kind, str(error))
        return Response(found, 1e3 * spent, one.sha256, one.width, one.height)

    return list(map(response, prepared))


def not_finite() -> PictureError:
    """Return the error for a picture that a network answers with what is no finite number."""
    text = "the network's answer is not finite numbers: its weights, or its precision, overflow"
    return PictureError(NOT_FINITE, text)


@dataclass(frozen=True)
class Response:
    """What a network returned for a source: (classes,) probabilities or logits, or the failure
    of a picture that cannot be read; the milliseconds that were spent on it, without the time
    in queues; and what is known of the source, as in a `Row`."""

    values: NDArray[np.float32] | Failure
    milliseconds: float
    sha256: str | None
    width: int | None
    height: int | None
