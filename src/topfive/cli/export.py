"""`topfive export`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from topfive.cli import options, terminal
from topfive.conversion.formats import FORMATS
from topfive.networks.find import find_network
from topfive.system.text import printable


@click.command()
@click.argument("network", metavar="NAME")
@click.option(
    "--to", "format", required=True, type=click.Choice(tuple(FORMATS)), help="The file format."
)
@options.path(
    "-o",
    "--output",
    "out",
    metavar="OUT",
    required=True,
    help="The file to write: its name ends in .onnx, .xml (with a .bin beside it), .tflite or "
    ".keras. For saved_model, a folder.",
)
@options.flag("--force", help="Replace an existing export.")
@options.some_of_network("recipe", "fit", "filter", "window", "weights", "offline")
def export(network: str, format: str, out: Path, **chosen: Any) -> None:
    """Export a network for use in other programs.

    NAME is a name from `topfive networks`, or the folder of your own network.

    The export takes uint8 RGB pictures of the network's input size and returns probabilities.
    It scales the pixel values itself. It contains the labels, the licence, and a description
    of how to resize and crop pictures, which is all that --recipe changes.

    Before it is written, the export is run with its own runtime. Its probabilities must be
    topfive's to 1e-4. onnx, litert and saved_model need the extra topfive[export].

    \b
    Examples:
      topfive export resnet50 --to onnx -o resnet50.onnx
      topfive export mynet/ --to openvino -o mynet.xml
    """
    from topfive.conversion import export as exports

    card = find_network(network)
    recipe = options.take_recipe(card, chosen)
    done = exports.export(card, format, out, recipe=recipe, **chosen)
    names = " and ".join(printable(str(file)) for file in done.files)
    terminal.say(
        f"{names}: {done.size / 1e6:,.1f} MB, agrees with topfive to {done.difference:.1g} in "
        f"{done.runtime}"
    )
