"""Options that several commands have, each group in the order of the help page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from pathlib import Path
from typing import Any

import click

from topfive.networks.cards import FILTERS, FITS, PRECISIONS, RECIPES
from topfive.networks.published import DEFAULT_NETWORK, DEFAULT_VARIABLE

Command = Callable[..., Any]

# The keys of `classifier.ENGINES`, `sources.MAX_PIXELS`, and what `truth_files` knows, which
# are not imported for a help page; tests compare them.
BACKENDS = ("openvino", "tensorflow", "jax", "torch")
MAX_PIXELS = 100_000_000

NUMBERS = ("index", "ilsvrc")
DEFAULT = f"{DEFAULT_NETWORK}, or what {DEFAULT_VARIABLE} names"

model = click.option(
    "-m",
    "--model",
    "--network",
    "network",
    show_default=DEFAULT,
    metavar="NAME",
    help="The network: one that `topfive networks` lists, or the folder of a taught one.",
)

_TRUTH = (
    click.option(
        "--truth",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Where the classes stand: a .csv or .tsv table with a header, a text with a name "
        "and a class in each line, or with the classes alone, in the order of the names.",
    ),
    click.option(
        "--numbers",
        type=click.Choice(NUMBERS),
        help="What numbers in FILE are: Keras's indices from 0, or the ids from 1 of ImageNet's "
        "development kit, whose meta.mat lies beside FILE.",
    ),
)

_ANSWERS = (
    model,
    click.option(
        "-k",
        "--top",
        default=5,
        show_default=True,
        type=click.IntRange(1),
        help="How many classes to name.",
    ),
    click.option(
        "--hierarchy",
        is_flag=True,
        help="Say the most specific that is likely, in WordNet's words: dog 97%, beagle 61%.",
    ),
    click.option(
        "--ancestor",
        "ancestors",
        multiple=True,
        metavar="NAME",
        help="Add up the classes under a word (dog) or a WordNet id; may be repeated.",
    ),
)

_CALIBRATED = (
    click.option(
        "--calibrated",
        is_flag=True,
        help="Scale the probabilities to what `topfive calibrate` found; so do the next two.",
    ),
    click.option(
        "--coverage",
        type=click.FloatRange(0, 1, min_open=True, max_open=True),
        help="Answer with the smallest set of classes that holds the truth that often: 0.95.",
    ),
    click.option(
        "--reject",
        is_flag=True,
        help='Say "I don\'t know" of pictures unlike any that the network was calibrated with.',
    ),
)

_NETWORK = {
    "recipe": click.option(
        "--recipe",
        default="default",
        show_default=True,
        type=click.Choice(RECIPES),
        help="How a photograph becomes the network's square: the most accurate known "
        "way, or Keras's load_img.",
    ),
    "fit": click.option(
        "--fit",
        type=click.Choice(FITS),
        help="Override the recipe: the whole picture, its centre, or the whole with borders.",
    ),
    "filter": click.option(
        "--filter", type=click.Choice(FILTERS), help="Override the recipe's filter."
    ),
    "window": click.option(
        "--window",
        nargs=2,
        type=float,
        metavar="LOW HIGH",
        help="The values that become black and white in pictures of more than 8 bits, and DICOM.",
    ),
    "weights": click.option(
        "--weights",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Other weights: .h5, .weights.h5, .keras, or SqueezeNet's .net.",
    ),
    "backend": click.option(
        "--backend", default="openvino", show_default=True, type=click.Choice(BACKENDS)
    ),
    "precision": click.option(
        "--precision",
        default="f32",
        show_default=True,
        type=click.Choice(PRECISIONS),
        help="Compute in fewer bits, where the device has them; int8 needs `topfive quantize`.",
    ),
    "device": click.option("--device", help="OpenVINO's CPU, GPU, NPU or AUTO.  [default: CPU]"),
    "threads": click.option(
        "--threads", type=click.IntRange(1), help="How many CPU threads OpenVINO uses."
    ),
    "max_pixels": click.option(
        "--max-pixels",
        default=MAX_PIXELS,
        show_default=True,
        type=click.IntRange(1),
        help="Refuse larger pictures.",
    ),
    "offline": click.option("--offline", is_flag=True, help="Download no weights."),
}


def sources(output: str) -> Callable[[Command], Command]:
    """Return what adds any number of sources and the file that a row of each goes to; `output`
    is what the help page says of that."""
    return lambda command: _add(
        (
            click.argument("pictures", metavar="SOURCES...", nargs=-1),
            click.option(
                "-o",
                "--output",
                required=True,
                type=click.Path(path_type=Path),
                metavar="FILE",
                help=output,
            ),
            click.option(
                "-0",
                "--null",
                is_flag=True,
                help="Read names from standard input, a NUL after each.",
            ),
        ),
        command,
    )


def answers(command: Command) -> Command:
    """Add what says which network answers, and what it is asked."""
    return _add(_ANSWERS + _CALIBRATED, command)


def truth(command: Command) -> Command:
    """Add what says where the classes of pictures stand; see `ground_truth.read`."""
    return _add(_TRUTH, command)


def network(command: Command) -> Command:
    """Add what says how the network is run."""
    return some_of_network(*_NETWORK)(command)


def some_of_network(*names: str) -> Callable[[Command], Command]:
    """Return what adds the named ones of `network`'s options, in that order."""
    return lambda command: _add([_NETWORK[name] for name in names], command)


def _add(options: Sequence[Command], command: Command) -> Command:
    return reduce(lambda inner, option: option(inner), reversed(options), command)
