"""How much memory this process took at most, and a budget that its threads share."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Condition
from time import perf_counter

_SELF = Path("/proc/self")


def reset_peak() -> None:
    """Let `peak` begin anew with what is in memory now. Linux alone can."""
    if sys.platform == "linux":
        try:
            (_SELF / "clear_refs").write_text("5")
        except OSError:
            return  # not in every container: then the peak is that since the start


def peak() -> int:
    """Return the peak resident memory in bytes since `reset_peak` or, where that cannot, since
    the process began; 0 where the system does not tell.

    Source: proc_pid_status(5), VmHWM; getrusage(2).
    """
    if sys.platform == "linux":
        found = re.search(r"VmHWM:\s*(\d+) kB", (_SELF / "status").read_text("utf-8"))
        return int(found[1]) * 1024 if found else 0
    try:
        import resource
    except ImportError:  # Windows
        return 0
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


class Budget:
    """Bytes that threads share, each for a `claim`: first for what it reads, then for what it
    makes of that. Who asks first is served first, who makes something before who begins to read.

    Readers get no more than `ahead` of the `total`, so that what they hold while they wait is
    little. Who finds nobody at work gets all that it asks for; so nobody waits for ever.
    """

    def __init__(self, total: int, ahead: int) -> None:
        self._total, self._ahead = total, ahead
        self._restart()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._restart)  # its threads are not there

    def _restart(self) -> None:
        self._changed = Condition()
        self._read = self._made = 0  # bytes that are held
        self._readers: deque[object] = deque()
        self._makers: deque[object] = deque()

    def allow(self, total: int, ahead: int) -> None:
        """Raise the budget, where it is the lower one."""
        with self._changed:
            self._total, self._ahead = max(self._total, total), max(self._ahead, ahead)
            self._changed.notify_all()

    @contextlib.contextmanager
    def claim(self) -> Iterator[Claim]:
        """Hold what is taken by the claim until the block ends."""
        claim = Claim(self)
        try:
            yield claim
        finally:
            with self._changed:
                self._read -= claim.read
                self._made -= claim.made
                self._changed.notify_all()

    def _wait(self, line: deque[object], fits: Callable[[], bool]) -> float:
        """Wait in a line, and return the seconds that it took."""
        start, ticket = perf_counter(), object()
        line.append(ticket)
        try:
            self._changed.wait_for(lambda: line[0] is ticket and fits())
        finally:
            line.remove(ticket)
            self._changed.notify_all()
        return perf_counter() - start


class Claim:
    """What one thread holds of a budget: bytes that it read, and that it made of them; and for
    how many seconds it waited."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.read = self.made = 0
        self.waited = 0.0

    def take_for_reading(self, size: int) -> None:
        """Wait for room for `size` bytes that are about to be read."""
        budget = self._budget

        def fits() -> bool:
            held = budget._read + budget._made
            most = not budget._read or budget._read + size <= budget._ahead
            return not held or (most and not budget._makers and held + size <= budget._total)

        with budget._changed:
            self.waited += budget._wait(budget._readers, fits)
            budget._read += size
            self.read += size

    def take_for_making(self, size: int) -> None:
        """Wait for room for `size` bytes more, which are made of what was read."""
        budget = self._budget

        def fits() -> bool:
            return not budget._made or budget._read + budget._made + size <= budget._total

        with budget._changed:
            self.waited += budget._wait(budget._makers, fits)
            budget._read -= self.read
            budget._made += self.read + size
            self.made += self.read + size
            self.read = 0


# For the pictures that are read and decoded. The largest photographs, of 100 megapixels, take
# 400 MB in Pillow; with what is no picture `classify` then stays under 700.
PICTURES = Budget(520_000_000, 30_000_000)
MANY_PICTURES = 1_000_000_000, 250_000_000  # for throughput; `batch` stays under 1.5 GB
