"""The peak of this process's memory, and the budget that threads share."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from topfive.system import memory

MB = 10**6


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone can begin anew")
def test_the_peak_is_that_since_the_reset() -> None:
    memory.reset_peak()
    before = memory.peak()
    assert before > 10 * MB
    large = np.ones(200 * MB, np.uint8)
    assert 195 * MB < memory.peak() - before < 260 * MB
    del large
    assert memory.peak() - before > 195 * MB
    memory.reset_peak()
    assert memory.peak() - before < 60 * MB


def test_elsewhere_the_peak_is_that_since_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "freebsd")
    memory.reset_peak()
    assert memory.peak() > 10 * MB


def test_without_the_right_to_reset_the_peak_is_that_since_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "write_text", refuse)
    memory.reset_peak()
    assert memory.peak() > 10 * MB


def working(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def ends(thread: threading.Thread, seconds: float = 5) -> bool:
    thread.join(seconds)
    return not thread.is_alive()


def test_no_more_is_made_at_once_than_the_budget_has_and_everybody_comes_to_an_end() -> None:
    budget, lock = memory.Budget(100, 30), threading.Lock()
    held, most = 0, 0

    def work(read: int, made: int) -> None:
        nonlocal held, most
        with budget.claim() as claim:
            claim.take_for_reading(read)
            claim.take_for_making(made)
            with lock:
                held += read + made
                most = max(most, held)
            time.sleep(0.002)
            with lock:
                held -= read + made

    # Some are larger than the whole: they are alone.
    sizes = [(7 * number % 40, 11 * number % 90) for number in range(60)] + [(120, 40)]
    threads = [working(partial(work, *size)) for size in sizes]
    assert all(map(ends, threads))
    assert 90 <= most <= 160
    with budget.claim() as claim:  # all was given back
        claim.take_for_making(100)


def test_readers_get_a_part_and_wait_while_others_make_something_of_theirs() -> None:
    budget = memory.Budget(100, 30)
    with budget.claim() as first, budget.claim() as second:
        first.take_for_reading(20)

        def read() -> None:
            second.take_for_reading(20)

        waiting = working(read)
        assert not ends(waiting, 0.05)
        first.take_for_making(50)  # what was read counts as made: there is room to read again
        assert ends(waiting)
        assert second.waited > 0.04
        more = working(lambda: second.take_for_making(40))
        assert not ends(more, 0.05)
        with budget.claim() as third:
            behind = working(lambda: third.take_for_reading(1))
            assert not ends(behind, 0.05)  # who makes something comes first
            budget.allow(200, 30)
            assert ends(more)
            assert ends(behind)


def test_who_gives_up_waiting_leaves_no_hole() -> None:
    budget = memory.Budget(10, 10)
    with budget.claim() as first:
        first.take_for_making(10)

        def interrupt() -> bool:
            raise KeyboardInterrupt

        with budget._changed, pytest.raises(KeyboardInterrupt):
            budget._wait(budget._makers, interrupt)
    with budget.claim() as third:
        third.take_for_making(10)
