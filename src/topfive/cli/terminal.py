"""What the commands share of the terminal: text, tables, progress, what went wrong."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from threading import Thread
from typing import TYPE_CHECKING, Any, Self

from topfive.errors import OutputError, TopfiveError
from topfive.results import Failure, Listener
from topfive.sources import arguments
from topfive.system.progress import Pictures, show_pictures
from topfive.system.text import plain, printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text


def write(text: str) -> None:
    """Write to standard output, at once: what was computed shall not be lost in a buffer.
    A terminal is not told what it would obey, as names may hold.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        sys.stdout.write(plain(text) if sys.stdout.isatty() else text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise  # click ends quietly when the reader is gone
    except OSError as error:
        raise OutputError(f"cannot write the output: {error.strerror}") from error


def say(text: str) -> None:
    """Write a line to standard output."""
    write(f"{text}\n")


def write_json(value: object) -> None:
    """Write a value to standard output as JSON."""
    write(json.dumps(value, indent=1) + "\n")


def tell(text: str) -> None:
    """Say something on standard error, in a line of its own."""
    print(f"topfive: {printable(text)}", file=sys.stderr, flush=True)


def console(*, stderr: bool = False, width: int | None = None) -> Console:
    """Return what prints tables, and text as it is."""
    from rich.console import Console

    class PlainConsole(Console):
        """Shows text that is given as such as `plain` has it."""

        def render_str(self, text: str, **how: Any) -> Text:
            return super().render_str(plain(text), **how)

    return PlainConsole(stderr=stderr, width=width, highlight=False, markup=False, emoji=False)


def table(*titles: str, gap: int = 2, style: str = "") -> Table:
    """Return a table without lines: text in the first column, numbers in the others."""
    from rich.table import Table

    first, *others = titles
    made = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0), header_style=style)
    made.add_column(first, overflow="fold")
    for title in others:
        made.add_column(title, justify="right")
    return made


def count(names: Iterable[str]) -> Callable[[], int | None]:
    """Count the pictures that names stand for beside the work; return what says how many there
    are, None as long as that is not known."""
    found: list[int | None] = []

    def run() -> None:
        with suppress(TopfiveError):  # which reading them raises as well
            found.append(arguments.count(names, recursive=True, unpack=True))

    Thread(target=run, daemon=True).start()
    return lambda: found[0] if found else None


@contextmanager
def count_done(pictures: Iterable[str] | None, quiet: bool) -> Iterator[Pictures]:
    """Show on standard error how many pictures are done, and, if it can be counted, of how many;
    say of an interrupted run that it can go on."""
    total = (lambda: None) if pictures is None or quiet else count(pictures)
    with show_pictures(total, quiet) as shown:
        try:
            yield shown
        except KeyboardInterrupt:
            done = shown.found + shown.done
            tell(f"{done:,} pictures are done; the same command goes on from there")
            raise


class Terminal(Listener):
    """Shows on standard error how the reading of pictures goes on: a bar for each part, each
    failure once, each warning. As a context it leaves no bar behind, however it ends."""

    def __init__(self, quiet: bool) -> None:
        self.quiet, self.failed = quiet, False
        self.shown: Pictures | None = None
        self._bar = ExitStack()
        self._said: set[str] = set()

    def begin(self, total: int | None) -> None:
        """Show a bar; of how many pictures may be unknown."""
        self._bar.close()  # that of the part before
        self.shown = self._bar.enter_context(show_pictures(lambda: total, self.quiet))

    def add(self, source: str, failure: Failure | None) -> None:
        """Count a picture, and say what failed."""
        if self.shown is not None:
            self.shown.step(failure is not None)
        if failure is not None:
            self.fail(source, failure.message)

    def fail(self, source: str, message: str) -> None:
        """Say what is wrong with a picture, unless that was said."""
        self.failed = True
        text = f"{source}: {message}"
        if text not in self._said:
            self._said.add(text)
            tell(text)

    def end(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()

    def warn(self, text: str) -> None:
        """Say it, however quiet the rest shall be."""
        tell(text)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()
