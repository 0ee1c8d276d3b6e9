"""The command line: each module parses one command's options, calls the library, prints.

Heavy imports stand inside the commands: `topfive --help` needs none of them.
"""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from topfive.cli.batch import batch
from topfive.cli.bench import bench
from topfive.cli.calibrate import calibrate
from topfive.cli.classify import classify
from topfive.cli.compare import compare
from topfive.cli.doctor import doctor
from topfive.cli.evaluate import evaluate
from topfive.cli.export import export
from topfive.cli.features import features
from topfive.cli.networks import networks
from topfive.cli.quantize import quantize
from topfive.cli.similar import similar
from topfive.cli.teach import teach
from topfive.cli.train import train
from topfive.cli.tune import tune
from topfive.cli.weights import weights
from topfive.errors import TopfiveError
from topfive.system.processes import skip_openvino_converter
from topfive.version import __version__

INTERRUPTED = 130  # 128 + SIGINT, as shells report it


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="topfive")
def cli() -> None:
    """What is in this picture? Seventeen ImageNet networks, an answer at once."""
    messages = logging.StreamHandler()
    messages.setFormatter(logging.Formatter("topfive: %(message)s"))
    log = logging.getLogger("topfive")
    log.handlers, log.level = [messages], logging.INFO
    # NumPy's OpenBLAS, which nothing here multiplies with, starts threads that spin at first.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Threads that Ray leaves behind would connect again after the end, or start a Ray here.
    os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")
    skip_openvino_converter()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file name may be any bytes


COMMANDS = (
    classify, batch, compare, evaluate, calibrate, quantize, bench, export,
    teach, tune, train, features, similar, networks, weights, doctor,
)  # fmt: skip
for command in COMMANDS:
    cli.add_command(command)


def run() -> NoReturn:
    """Run the command and end the process at once: taking a compiled network of 553 MB apart
    takes as long as asking it."""
    status = main()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status; see `errors` for what it says."""
    try:
        status = cli.main(arguments, prog_name="topfive", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except TopfiveError as error:
        print(f"topfive: {error}", file=sys.stderr)
        return error.exit_status
    except (KeyboardInterrupt, click.Abort):
        print("topfive: interrupted", file=sys.stderr)
        return INTERRUPTED
    return status or 0
