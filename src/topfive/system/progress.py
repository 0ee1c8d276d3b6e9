"""Show how far a download or a run is: a bar on a terminal, lines in the log elsewhere."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

Progress = Callable[[int, int], None]  # bytes so far, bytes in all
# What is to be shown, at which second, of how many pictures that are done, of how many in all.
Change = Callable[[str, float, int, int | None], None]

# Seconds between two lines in a log: the first soon, then less often.
FIRST_LINE, NEXT_LINES = 10.0, 60.0
REFRESH = 0.2  # seconds between two changes of a bar

log = logging.getLogger("topfive")


@contextlib.contextmanager
def show(name: str, size: int) -> Iterator[Progress]:
    """Show on standard error how much of `size` bytes is here, the speed and the time left."""
    from rich import progress as rich
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        log.info("fetching %s (%s MB)", name, f"{size / 1e6:,.1f}")
        yield lambda _done, _total: None
        return
    name_and_bar = rich.TextColumn("{task.description}"), rich.BarColumn(bar_width=None)
    speed = rich.TransferSpeedColumn(), rich.TimeRemainingColumn(compact=True)
    columns = (*name_and_bar, rich.DownloadColumn(), *speed)
    with rich.Progress(*columns, console=console) as bar:
        task = bar.add_task(name[:24], total=size)
        yield lambda done, total: bar.update(task, completed=done, total=total)


class Pictures:
    """Counts the pictures of a run and shows the counts by `change`, now and then.

    `total` returns how many there are in all, or None as long as that is not known.
    """

    def __init__(self, total: Callable[[], int | None], change: Change) -> None:
        self.total, self.change = total, change
        self.found = self.done = self.failed = 0
        self.start, self.shown = monotonic(), 0.0

    def begin(self, found: int) -> None:
        """Start the clock; `found` pictures were done by earlier runs."""
        self.found, self.start = found, monotonic()

    def step(self, failed: bool) -> None:
        """Count one more."""
        self.done, self.failed = self.done + 1, self.failed + failed
        if monotonic() - self.start - self.shown >= REFRESH:
            self.show()

    def show(self) -> None:
        """Show the counts as they are now."""
        self.shown = monotonic() - self.start
        total = self.total()
        text = describe(self.shown, self.done, self.found, total, self.failed)
        self.change(text, self.shown, self.found + self.done, total)


@contextlib.contextmanager
def show_pictures(total: Callable[[], int | None], quiet: bool = False) -> Iterator[Pictures]:
    """Show how many pictures are done, how many a second, how many failed, and the time left: a
    bar on a terminal, a line in the log now and then elsewhere, or not, if `quiet`."""
    from rich.console import Console

    console = Console(stderr=True)
    lines = contextlib.nullcontext((lambda *_: None) if quiet else _lines())
    with _bar(console) if console.is_terminal and not quiet else lines as change:
        pictures = Pictures(total, change)
        yield pictures
        pictures.show()


@contextlib.contextmanager
def _bar(console: Console) -> Iterator[Change]:
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

    columns = (SpinnerColumn(), BarColumn(bar_width=None), TextColumn("{task.description}"))
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=None)
        yield lambda text, _, done, total: bar.update(
            task, description=text, completed=done, total=total
        )


def _lines() -> Change:
    following = FIRST_LINE

    def change(text: str, seconds: float, *_: object) -> None:
        nonlocal following
        if seconds >= following:
            following = seconds + NEXT_LINES
            log.info("%s", text)

    return change


def describe(seconds: float, done: int, found: int, total: int | None, failed: int) -> str:
    """Return a line like `1,200 of 5,000 pictures, 195/s, 0:00:19 left, 3 failed`.

    `done` pictures took the `seconds`, `found` were done before.
    """
    sofar = found + done
    parts = [f"{sofar:,} pictures" if total is None else f"{sofar:,} of {total:,} pictures"]
    if done and seconds > 0:
        rate = done / seconds
        parts.append(f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.1f}/s")
        if total is not None and total > sofar:
            parts.append(f"{timedelta(seconds=round((total - sofar) / rate))} left")
    if failed:
        parts.append(f"{failed:,} failed")
    return ", ".join(parts)
