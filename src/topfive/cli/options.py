"""Options that several commands have, each group in the order of the help page."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial, reduce
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
from topfive.sources.source import MAX_PIXELS, SECONDS

Command = Callable[..., Any]
Option = Callable[[Command], Command]
Maker = Callable[..., Option]

PATH = click.Path(path_type=Path)
DEFAULT = f"${DEFAULT_VARIABLE}, or {DEFAULT_NETWORK}"


def adds(*options: Option) -> Option:
    """Return what adds options in that order."""
    return lambda command: reduce(lambda inner, option: option(inner), reversed(options), command)


def choice(*names: str, values: Sequence[str], help: str) -> Option:
    """Return what adds an option with these values, by default the first."""
    return click.option(*names, default=values[0], type=click.Choice(values), help=help)


# `click.option` for values of one kind.
flag: Maker = partial(click.option, is_flag=True)
number: Maker = partial(click.option, type=click.IntRange(1), metavar="N")
path: Maker = partial(click.option, type=PATH, metavar="FILE")
share: Maker = partial(
    click.option, type=click.FloatRange(0, 1, min_open=True, max_open=True), metavar="SHARE"
)
_model: Maker = partial(
    click.option, "-m", "--model", "--network", show_default=DEFAULT, metavar="NAME"
)
_recipe: Maker = partial(
    click.option,
    "--recipe",
    type=click.Choice(RECIPES),
    help="How pictures are resized and cropped. default: the most accurate known way. "
    "tutorial: as Keras's load_img does.",
)
_precision: Maker = partial(
    click.option,
    "--precision",
    type=click.Choice(PRECISIONS),
    help="Compute with fewer bits, if the device can. int8 needs `topfive quantize`.",
)

model = _model(
    "network", help="The network to use: a name from `topfive networks`, or the folder of your own."
)
models: Maker = partial(_model, "networks", multiple=True)
top = number("-k", "--top", default=5, help="Show the N best classes.")
recursive = flag("-r", "--recursive", help="Include all subfolders.")
quiet = flag("-q", "--quiet", help="Show no progress.")
force = flag("--force", help="Replace existing files.")
recipes = _recipe("recipes", multiple=True, default=("default",))
precisions = _precision("precisions", multiple=True, default=("f32",))

# What says which network answers, and what it is asked.
answers = adds(
    model,
    top,
    flag(
        "--hierarchy", help="Show likely categories, from general to specific: dog 97%, beagle 61%."
    ),
    click.option(
        "--ancestor",
        "ancestors",
        multiple=True,
        metavar="NAME",
        help="Show the total probability of a category: a word (dog) or a WordNet id. May be "
        "repeated.",
    ),
    flag(
        "--calibrated",
        help="Correct the probabilities as `topfive calibrate` found. --coverage and --reject "
        "do so, too.",
    ),
    share(
        "--coverage",
        help="Show the smallest set of classes that contains the correct one this often, for "
        "example 0.95. Needs `topfive calibrate`.",
    ),
    flag(
        "--reject",
        help='Answer "I don\'t know" for pictures unlike those given to `topfive calibrate`.',
    ),
)

_RECIPE = ("recipe", "fit", "filter", "window")
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
    "weights": path(
        "--weights", help="Use the weights in FILE: .h5, .weights.h5, .keras, or SqueezeNet's .net."
    ),
    "backend": choice(
        "--backend",
        values=BACKENDS,
        help="What runs the network. openvino is fastest; the others run it in Keras.",
    ),
    "precision": _precision(default="f32"),
    "device": click.option(
        "--device", metavar="NAME", help="OpenVINO's CPU, GPU, NPU or AUTO.  [default: CPU]"
    ),
    "threads": number("--threads", help="Number of CPU threads for OpenVINO."),
    "max_pixels": number("--max-pixels", default=MAX_PIXELS, help="Refuse larger pictures."),
    "offline": flag("--offline", help="Never download weights."),
}
network = adds(*_NETWORK.values())  # what says how the network is run
timeout = number("--timeout", default=SECONDS, help="Give up an address after so many seconds.")


def output_format(*names: str) -> Option:
    """Return what adds the format of the answer, by default the first."""
    return choice("-f", "--format", values=names, help="The output format.")


def sources(output: str) -> Option:
    """Return what adds any number of sources and the file that a row of each goes to; `output`
    is what the help page says of that. See `check_sources`."""
    return adds(
        click.argument("pictures", metavar="SOURCES...", nargs=-1),
        path("-o", "--output", required=True, help=output),
        flag(
            "-0",
            "--null",
            help="Read the sources from standard input, each ended by a NUL character.",
        ),
    )


def check_sources(pictures: Sequence[str], null: bool) -> None:
    """Raise a `click.UsageError` unless there are sources in one of the two ways."""
    if bool(pictures) == null:
        raise click.UsageError("name folders, pictures, archives or addresses, or give -0")
    if null and sys.stdin is None:
        raise click.UsageError("-0 reads standard input, which is closed")


def truth(command: Command) -> Command:
    """Add what says where the classes of pictures stand; see `ground_truth.read`."""
    from topfive.evaluation.class_numbers import NUMBERS  # which most commands need not import

    return adds(
        path(
            "--truth",
            help="A file with the correct classes: a .csv or .tsv table with a header, or a text "
            "file. A line of text is a file name and its class, or only a class, in the order of "
            "the file names.",
        ),
        click.option(
            "--numbers",
            type=click.Choice(NUMBERS),
            help="What the numbers of classes mean, in FILE or in the names of folders. index: "
            "Keras's, from 0. ilsvrc: ImageNet's development kit's, from 1; its meta.mat must be "
            "beside FILE. one-based: Keras's from 1, as TF Slim counts.",
        ),
        click.option(
            "--class-column",
            metavar="NAME",
            help="The column of FILE with the classes, where several may hold them.",
        ),
    )(command)


def some_of_network(*names: str) -> Option:
    """Return what adds the named ones of `network`'s options, in that order."""
    return adds(*(_NETWORK[name] for name in names))


def all_of_network_but(*names: str) -> Option:
    """Return what adds `network`'s options without the named ones."""
    return some_of_network(*(name for name in _NETWORK if name not in names))


def take_recipe(card: Network, chosen: dict[str, Any]) -> Recipe:
    """Return the recipe that was `chosen` for a network; its options are taken out of there."""
    return choose_recipe(card, *(chosen.pop(name) for name in _RECIPE))
