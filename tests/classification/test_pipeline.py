"""Many sources at once: a row each, in order, with bounded memory, and no error lost."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from topfive.classification import pipeline
from topfive.classification.pipeline import Response
from topfive.pictures.preparation import Prepared
from topfive.results import Failure
from topfive.sources.source import Source

SQUARE = np.zeros((1, 1, 3), np.uint8)
PATIENCE = 20  # seconds, after which something hangs


def sources(number: int) -> list[Source]:
    return [Source(str(n), n) for n in range(number)]


def prepare(source: Source) -> Prepared:
    return Prepared(source, SQUARE, None, 1, 1, 0.0)


def answer(prepared: list[Prepared]) -> list[Response]:
    return [Response(Failure(one.source.name, "kind", ""), 0.0, None, 1, 1) for one in prepared]


def stream(
    found: Iterable[Source],
    prepare: Callable[[Source], Prepared] = prepare,
    answer: Callable[[list[Prepared]], list[Response]] = answer,
    **options: Any,
) -> Iterator[tuple[Source, Response]]:
    plain = {"parallel": 2, "batch": 1, "readers": 3}
    return pipeline.stream(found, prepare, answer, **(plain | options))


def within_patience(work: Callable[[], Any]) -> Any:
    """Return or raise what `work` does, in a thread: a hang is a failure, not a wait."""
    results: list[Any] = []

    def run() -> None:
        try:
            results.append((True, work()))
        except BaseException as error:
            results.append((False, error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert results, "it hangs"
    ((good, result),) = results
    if not good:
        raise result
    return result


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it never happens"
        time.sleep(0.002)


class Busy:
    """Counts how many are at work at a time."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self.lock = threading.Lock()

    def __enter__(self) -> None:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.now -= 1


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    number=st.integers(0, 60),
    readers=st.integers(1, 5),
    parallel=st.integers(1, 4),
    batch=st.integers(1, 5),
    ordered=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_each_source_has_one_row_and_nothing_grows(
    number: int, readers: int, parallel: int, batch: int, ordered: bool, seed: int
) -> None:
    chance = random.Random(seed)
    delays = [chance.choice([0, 0, 0.0005, 0.003]) for _ in range(2 * number)]
    preparing, answering = Busy(), Busy()
    drawn: list[Source] = []
    batches: list[int] = []

    def draw() -> Iterator[Source]:
        for source in sources(number):
            drawn.append(source)
            yield source

    def slow_prepare(source: Source) -> Prepared:
        with preparing:
            time.sleep(delays[source.content])
            return prepare(source)

    def slow_answer(prepared: list[Prepared]) -> list[Response]:
        with answering:
            batches.append(len(prepared))
            time.sleep(delays[-1 - prepared[0].source.content])
            return answer(prepared)

    yielded = []
    rows = stream(
        draw(), slow_prepare, slow_answer,
        readers=readers, parallel=parallel, batch=batch, ordered=ordered,
    )  # fmt: skip
    for source, row in rows:
        assert isinstance(row.values, Failure)
        assert row.values.source == source.name
        yielded.append(source)
        assert len(drawn) - len(yielded) < 2 * (readers + parallel * batch)
    assert (yielded if ordered else sorted(yielded, key=lambda one: one.content)) == sources(number)
    assert sum(batches) == number
    assert set(batches) <= set(range(1, batch + 1))
    assert preparing.most <= readers
    assert answering.most <= parallel


def test_answers_are_asked_for_in_whole_batches() -> None:
    drawn, seen = threading.Event(), []

    def draw() -> Iterator[Source]:
        yield from sources(9)
        drawn.set()

    def after_that(source: Source) -> Prepared:
        assert drawn.wait(PATIENCE)
        return prepare(source)

    def count(prepared: list[Prepared]) -> list[Response]:
        seen.append(len(prepared))
        return answer(prepared)

    rows = stream(draw(), after_that, count, parallel=1, batch=4, readers=2)
    assert len(within_patience(lambda: list(rows))) == 9
    assert sorted(seen) == [1, 4, 4]


def test_a_part_of_a_batch_waits_for_no_source_that_is_yet_to_come() -> None:
    answered: list[Prepared] = []

    def one_by_one() -> Iterator[Source]:
        for number, source in enumerate(sources(5)):
            wait_until(lambda number=number: len(answered) == number)  # type: ignore[misc]
            yield source

    def note(prepared: list[Prepared]) -> list[Response]:
        answered.extend(prepared)
        return answer(prepared)

    rows = stream(one_by_one(), answer=note, batch=4)
    assert len(within_patience(lambda: list(rows))) == 5


def test_an_endless_iterator_is_drawn_no_further_than_the_window() -> None:
    drawn = []

    def endless() -> Iterator[Source]:
        for number in itertools.count():
            drawn.append(number)
            yield Source(str(number), number)

    rows = stream(endless(), readers=3, parallel=2, batch=4)
    assert [source.content for source, _ in itertools.islice(rows, 50)] == list(range(50))
    assert len(drawn) - 50 < 2 * (3 + 2 * 4)
    rows.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("ordered", [True, False])
def test_a_slow_source_holds_up_its_successors_only_in_order(ordered: bool) -> None:
    slow, prepared = threading.Event(), []

    def wait_for_first(source: Source) -> Prepared:
        if source.content == 0:
            assert slow.wait(PATIENCE)
        prepared.append(source.content)
        return prepare(source)

    def let_go() -> None:
        wait_until(lambda: len(prepared) == window - 1)
        time.sleep(0.02)  # in which no more come
        slow.set()

    rows = stream(sources(100), wait_for_first, ordered=ordered)
    window = 2 * (3 + 2)
    if ordered:
        # Its successors are worked on, up to the window, and wait.
        timer = threading.Timer(0, let_go)
        timer.start()
        assert within_patience(lambda: next(rows))[0].content == 0
        assert sorted(prepared) == list(range(window))
    else:
        first = within_patience(
            lambda: [source.content for source, _ in itertools.islice(rows, 99)]
        )
        assert sorted(first) == list(range(1, 100))
        slow.set()
        assert next(rows)[0].content == 0
    slow.set()
    rows.close()  # type: ignore[attr-defined]


class Broken(BaseException):
    """Not even an Exception."""


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("error", [ValueError, MemoryError, Broken, StopIteration])
@pytest.mark.parametrize("batch", [1, 7])
def test_what_preparing_or_answering_raises_reaches_the_caller(
    ordered: bool, error: type[BaseException], batch: int
) -> None:
    def fail(source: Source) -> Prepared:
        if source.content == 20:
            raise error("preparing")
        return prepare(source)

    def fail_later(prepared: list[Prepared]) -> list[Response]:
        if any(one.source.content == 20 for one in prepared):
            raise error("answering")
        return answer(prepared)

    for options in ({"prepare": fail}, {"answer": fail_later}):
        rows = stream(sources(100), batch=batch, ordered=ordered, **options)
        # Python turns a StopIteration that leaves a generator into a RuntimeError.
        raised = RuntimeError if error is StopIteration else error
        with pytest.raises(raised):
            within_patience(partial(list, rows))
        assert list(rows) == []


@pytest.mark.parametrize("ordered", [True, False])
def test_what_the_sources_raise_comes_after_the_rows_of_those_before(ordered: bool) -> None:
    def cut() -> Iterator[Source]:
        yield from sources(5)
        raise OSError("the disk is gone")

    rows = stream(cut(), ordered=ordered)
    names: set[str] = set()
    with pytest.raises(OSError, match="the disk is gone"):
        within_patience(lambda: names.update(source.name for source, _ in rows))
    assert names == {"0", "1", "2", "3", "4"}


def test_an_interruption_of_the_sources_waits_for_nothing() -> None:
    slow = threading.Event()

    def interrupted() -> Iterator[Source]:
        yield from sources(2)
        raise KeyboardInterrupt

    def wait(source: Source) -> Prepared:
        slow.wait(PATIENCE)
        return prepare(source)

    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        list(stream(interrupted(), wait))
    assert time.monotonic() - start < PATIENCE / 2
    slow.set()


def test_a_row_missing_from_an_answer_is_an_error() -> None:
    with pytest.raises(ValueError, match="zip"):
        within_patience(lambda: list(stream(sources(30), answer=lambda some: answer(some)[1:])))


def test_closing_does_not_wait_for_a_slow_read_and_its_threads_end() -> None:
    before, slow = threading.active_count(), threading.Event()
    drawn, begun = [], []

    def draw() -> Iterator[Source]:
        for source in sources(100):
            drawn.append(source)
            yield source

    def wait_for_others(source: Source) -> Prepared:
        begun.append(source)
        if source.content > 0:
            slow.wait(PATIENCE)
        else:
            wait_until(lambda: len(drawn) == 10)
        return prepare(source)

    rows = stream(draw(), wait_for_others)
    assert within_patience(lambda: next(rows))[0].content == 0
    start = time.monotonic()
    rows.close()  # type: ignore[attr-defined]
    assert time.monotonic() - start < PATIENCE / 2
    slow.set()
    wait_until(lambda: threading.active_count() <= before)
    assert len(begun) <= 1 + 3, "what was only waiting is not read any more"


@pytest.mark.slow
def test_streams_that_are_left_in_the_middle_leave_no_threads() -> None:
    before = threading.active_count()
    for _ in range(30):
        next(stream(sources(100)))
    wait_until(lambda: threading.active_count() <= before)


def test_a_stream_that_nobody_draws_from_starts_no_thread() -> None:
    before = threading.active_count()
    rows = stream(sources(3))
    assert threading.active_count() == before
    del rows


def test_a_row_is_yielded_at_the_latest_when_the_next_source_is_drawn() -> None:
    asked = [threading.Event() for _ in range(5)]
    log: list[str] = []

    def slow() -> Iterator[Source]:
        for source in sources(5):
            if source.content >= 2:
                # By now the thread that answers is done with the one before the last.
                assert asked[source.content - 1].wait(PATIENCE)
            log.append(f"drawn {source.name}")
            yield source

    def tell(prepared: list[Prepared]) -> list[Response]:
        asked[prepared[0].source.content].set()
        return answer(prepared)

    rows = stream(slow(), answer=tell, parallel=1, readers=1)
    within_patience(lambda: log.extend(f"row {source.name}" for source, _ in rows))
    for number in range(2):
        assert log.index(f"row {number}") < log.index(f"drawn {number + 3}")
