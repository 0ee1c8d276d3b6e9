"""Show how far a transfer is: a bar on a terminal, a line elsewhere."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

Progress = Callable[[int, int], None]  # bytes so far, bytes in all


@contextlib.contextmanager
def show(name: str, size: int) -> Iterator[Progress]:
    """Show on standard error how much of `size` bytes is here, the speed and the time left."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    console = Console(stderr=True)
    if not console.is_terminal:
        print(f"fetching {name} ({size / 1e6:,.1f} MB)", file=sys.stderr, flush=True)
        yield lambda _done, _total: None
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(bar_width=None), DownloadColumn(),
        TransferSpeedColumn(), TimeRemainingColumn(compact=True),
    )  # fmt: skip
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(name[:24], total=size)
        yield lambda done, total: bar.update(task, completed=done, total=total)
