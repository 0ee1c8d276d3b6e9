"""Options that several commands have, each group in the order of the help page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from pathlib import Path
from typing import Any

import click

from topfive.networks.cards import (
    BACKENDS,
    FILTERS,
    FITS,
    PRECISIONS,
    RECIPES,
    Network,
    Recipe,
    choose_recipe,
)
from topfive.networks.published import DEFAULT_NETWORK, DEFAULT_VARIABLE
from topfive.sources.source import MAX_PIXELS

Command = Callable[..., Any]
Option = Callable[[Command], Command]

PATH = click.Path(path_type=Path)
DEFAULT = f"${DEFAULT_VARIABLE}, or {DEFAULT_NETWORK}"

model = click.option(
    "-m",
    "--model",
    "--network",
    "network",
    show_default=DEFAULT,
    metavar="NAME",
    help="The network to use: a name from `topfive networks`, or the folder of your own.",
)
top = click.option(
    "-k", "--top", default=5, type=click.IntRange(1), metavar="N", help="Show the N best classes."
)
recursive = click.option("-r", "--recursive", is_flag=True, help="Include all subfolders.")
quiet = click.option("-q", "--quiet", is_flag=True, help="Show no progress.")


def models(help: str, default: str = DEFAULT) -> Option:
    """Return what adds any number of networks."""
    return click.option(
        "-m",
        "--model",
        "--network",
        "networks",
        multiple=True,
        show_default=default,
        metavar="NAME",
        help=help,
    )


_ANSWERS = (
    model,
    top,
    click.option(
        "--hierarchy",
        is_flag=True,
        help="Show likely categories, from general to specific: dog 97%, beagle 61%.",
    ),
    click.option(
        "--ancestor",
        "ancestors",
        multiple=True,
        metavar="NAME",
        help="Show the total probability of a category: a word (dog) or a WordNet id. May be "
        "repeated.",
    ),
    click.option(
        "--calibrated",
        is_flag=True,
        help="Correct the probabilities as `topfive calibrate` found. --coverage and --reject "
        "do so, too.",
    ),
    click.option(
        "--coverage",
        type=click.FloatRange(0, 1, min_open=True, max_open=True),
        metavar="SHARE",
        help="Show the smallest set of classes that contains the correct one this often, for "
        "example 0.95. Needs `topfive calibrate`.",
    ),
    click.option(
        "--reject",
        is_flag=True,
        help='Answer "I don\'t know" for pictures unlike those given to `topfive calibrate`.',
    ),
)


def _recipe(*name: str, **how: Any) -> Option:
    return click.option(
        "--recipe",
        *name,
        **how,
        type=click.Choice(RECIPES),
        help="How pictures are resized and cropped. default: the most accurate known way. "
        "tutorial: as Keras's load_img does.",
    )


def _precision(*name: str, **how: Any) -> Option:
    return click.option(
        "--precision",
        *name,
        **how,
        type=click.Choice(PRECISIONS),
        help="Compute with fewer bits, if the device can. int8 needs `topfive quantize`.",
    )


_NETWORK = {
    "recipe": _recipe(default="default"),
    "fit": click.option(
        "--fit",
        type=click.Choice(FITS),
        help="Stretch the picture to the input size, crop its centre, or pad it with borders. "
        "Overrides the recipe.",
    ),
    "filter": click.option(
        "--filter",
        type=click.Choice(FILTERS),
        help="The filter for resizing. Overrides the recipe.",
    ),
    "window": click.option(
        "--window",
        nargs=2,
        type=float,
        metavar="LOW HIGH",
        help="The values shown as black and white, for DICOM and for more than 8 bits.",
    ),
    "weights": click.option(
        "--weights",
        type=PATH,
        metavar="FILE",
        help="Use the weights in FILE: .h5, .weights.h5, .keras, or SqueezeNet's .net.",
    ),
    "backend": click.option(
        "--backend",
        default=BACKENDS[0],
        type=click.Choice(BACKENDS),
        help="What runs the network. openvino is fastest; the others run it in Keras.",
    ),
    "precision": _precision(default="f32"),
    "device": click.option(
        "--device", metavar="NAME", help="OpenVINO's CPU, GPU, NPU or AUTO.  [default: CPU]"
    ),
    "threads": click.option(
        "--threads", type=click.IntRange(1), metavar="N", help="Number of CPU threads for OpenVINO."
    ),
    "max_pixels": click.option(
        "--max-pixels",
        default=MAX_PIXELS,
        type=click.IntRange(1),
        metavar="N",
        help="Refuse larger pictures.",
    ),
    "offline": click.option("--offline", is_flag=True, help="Never download weights."),
}
recipes = _recipe("recipes", multiple=True, default=("default",))
precisions = _precision("precisions", multiple=True, default=("f32",))
_RECIPE = ("recipe", "fit", "filter", "window")


def output_format(*names: str) -> Option:
    """Return what adds the format of the answer, by default the first."""
    return click.option(
        "-f", "--format", default=names[0], type=click.Choice(names), help="The output format."
    )


def sources(output: str) -> Option:
    """Return what adds any number of sources and the file that a row of each goes to; `output`
    is what the help page says of that. See `check_sources`."""
    return adds(
        click.argument("pictures", metavar="SOURCES...", nargs=-1),
        click.option("-o", "--output", required=True, type=PATH, metavar="FILE", help=output),
        click.option(
            "-0",
            "--null",
            is_flag=True,
            help="Read the sources from standard input, each ended by a NUL character.",
        ),
    )


def check_sources(pictures: Sequence[str], null: bool) -> None:
    """Raise a `click.UsageError` unless there are sources in one of the two ways."""
    if bool(pictures) == null:
        raise click.UsageError("name folders, pictures, archives or addresses, or give -0")


def answers(command: Command) -> Command:
    """Add what says which network answers, and what it is asked."""
    return adds(*_ANSWERS)(command)


def truth(command: Command) -> Command:
    """Add what says where the classes of pictures stand; see `ground_truth.read`."""
    from topfive.evaluation.truth_files import NUMBERS  # which most commands need not import

    return adds(
        click.option(
            "--truth",
            type=PATH,
            metavar="FILE",
            help="A file with the correct classes: a .csv or .tsv table with a header, or a text "
            "file. A line of text is a file name and its class, or only a class, in the order of "
            "the file names.",
        ),
        click.option(
            "--numbers",
            type=click.Choice(NUMBERS),
            help="What class numbers in FILE mean. index: Keras's, from 0. ilsvrc: ImageNet's "
            "development kit's, from 1; its meta.mat must be beside FILE.",
        ),
    )(command)


def network(command: Command) -> Command:
    """Add what says how the network is run."""
    return some_of_network(*_NETWORK)(command)


def some_of_network(*names: str) -> Option:
    """Return what adds the named ones of `network`'s options, in that order."""
    return adds(*(_NETWORK[name] for name in names))


def all_of_network_but(*names: str) -> Option:
    """Return what adds `network`'s options without the named ones."""
    return some_of_network(*(name for name in _NETWORK if name not in names))


def take_recipe(card: Network, chosen: dict[str, Any]) -> Recipe:
    """Return the recipe that was `chosen` for a network; its options are taken out of there."""
    return choose_recipe(card, *(chosen.pop(name) for name in _RECIPE))


def adds(*options: Option) -> Option:
    """Return what adds options in that order."""
    return lambda command: reduce(lambda inner, option: option(inner), reversed(options), command)
