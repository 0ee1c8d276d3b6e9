"""The command `topfive`: reads the line, hands over to a command, says what went wrong."""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

import click

from topfive.errors import TopfiveError
from topfive.system.processes import skip_openvino_converter
from topfive.system.text import plain
from topfive.version import __version__

MISSING = 3  # see `errors`
NO_MEMORY = (
    "failed to map segment",
    "allocate memory",
    "start new thread",
    "bad_alloc",
    "can't alloc",
)
INTERRUPTED = 130  # 128 + SIGINT, as shells report it

# The commands by what people want, each group in the order of use: the module and function in
# this room, and the first sentence of its help page.
COMMANDS = {
    "Classify": {
        "classify": "Name what is in pictures.",
        "batch": "Classify folders of pictures into one table.",
        "similar": "Find the pictures that look most like others.",
        "features": "Write the feature vectors of pictures to a file.",
    },
    "Know how good": {
        "evaluate": "Measure accuracy on pictures whose classes are known.",
        "compare": "Show the answers of several networks side by side.",
        "calibrate": "Make a network's probabilities match how often it is right.",
        "bench": "Measure how fast networks run on this machine's CPU.",
    },
    "Make your own": {
        "teach": "Teach a network your own classes, in seconds.",
        "tune": "Fine-tune a network on your own classes.",
        "train": "Train a network on your own classes from random weights.",
        "quantize": "Make a network faster with 8-bit or 16-bit arithmetic.",
        "export": "Export a network for use in other programs.",
    },
    "Manage": {
        "networks": "List the networks and which are ready to use.",
        "weights": "Download, check, move and remove weight files.",
        "doctor": "Check what is installed and whether it works.",
    },
}


class Messages(logging.Formatter):
    """What the library says, without what a terminal would obey."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a message in printable lines."""
        return plain(super().format(record))


class Commands(click.Group):
    """A group that imports a command when it is asked for; its own help page shows `COMMANDS`."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names in the table's order."""
        return list(self.commands)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Return a command, None if there is none of that name."""
        if cmd_name not in self.commands:
            return None
        command: click.Command = getattr(import_module(f"topfive.cli.{cmd_name}"), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the table, its columns below each other."""
        width = max(map(len, self.commands))
        for title, commands in COMMANDS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), text) for name, text in commands.items()])


@click.group(
    cls=Commands,
    # These stand for what is imported later, so that a misspelt name is known to be near one.
    commands=[click.Command(name) for group in COMMANDS.values() for name in group],
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
        "show_default": True,
    },
)
@click.version_option(__version__, prog_name="topfive")
def cli() -> None:
    """Classify pictures with pretrained ImageNet networks, or with your own.

    \b
    Examples:
      topfive classify photo.jpg
      topfive classify --help
    """
    messages = logging.StreamHandler()
    messages.setFormatter(Messages("topfive: %(message)s"))
    log = logging.getLogger("topfive")
    log.handlers = [messages]
    log.setLevel(logging.INFO)
    # NumPy's OpenBLAS, which nothing here multiplies with, starts threads that spin at first.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Threads that Ray leaves behind would connect again after the end, or start a Ray here.
    os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")
    skip_openvino_converter()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file name may be any bytes


def run() -> NoReturn:
    """Run the command and end the process at once: taking a compiled network of 553 MB apart
    takes as long as asking it."""
    replace_closed_streams()
    status = main()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status)


def lacks_memory(error: BaseException) -> bool:
    """Whether that is for lack of memory, by what it or the loader of libraries says."""
    said = str(error).lower()
    return isinstance(error, MemoryError) or any(words in said for words in NO_MEMORY)


def replace_closed_streams() -> None:
    """Let no other file take the number of a standard stream that is closed, where it would be
    read, or written to. Messages go nowhere then; to write the output is an error."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free.
            os.open(os.devnull, os.O_WRONLY if number == 2 else os.O_RDONLY)
            os.set_inheritable(number, True)
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status; see `errors` for what it says."""
    try:
        status = cli.main(arguments, prog_name="topfive", standalone_mode=False)
    except click.ClickException as error:
        said = io.StringIO()
        error.show(said)
        print(plain(said.getvalue()), end="", file=sys.stderr)
        return error.exit_code
    except TopfiveError as error:
        print(f"topfive: {plain(str(error))}", file=sys.stderr)
        return error.exit_status
    except OSError as error:
        what = error.filename or "the output cannot be written"
        print(f"topfive: {plain(str(what))}: {error.strerror or error}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, click.Abort):
        print("topfive: interrupted", file=sys.stderr)
        return INTERRUPTED
    except (MemoryError, ImportError, RuntimeError) as error:
        if not lacks_memory(error):
            raise
        print("topfive: there is not enough memory for this", file=sys.stderr)
        return MISSING
    return status or 0
