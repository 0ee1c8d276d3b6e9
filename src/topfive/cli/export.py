"""`topfive export`."""

from __future__ import annotations

from pathlib import Path

import click

from topfive.cli import options

# The keys of `export_formats.FORMATS`, which is not imported for a help page; a test compares
# them.
FORMATS = ("onnx", "openvino", "litert", "saved_model", "keras")


@click.command()
@click.argument("network", metavar="NAME")
@click.option("--to", "format", required=True, type=click.Choice(FORMATS), help="The format.")
@click.option(
    "-o", "--output", "out", metavar="OUT", required=True, type=click.Path(path_type=Path),
    help="Where it goes: a name that ends in .onnx, .xml (with a .bin beside it), .tflite or "
    ".keras; for saved_model a folder.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Replace an earlier export.")
@options.some_of_network("recipe", "fit", "filter", "window", "weights", "offline")
def export(
    network: str, format: str, out: Path, force: bool, recipe: str, fit: str | None,
    filter: str | None, window: tuple[float, float] | None, weights: Path | None, offline: bool,
) -> None:  # fmt: skip
    """Write a network to a file for other programs, and prove that it answers the same.

    NAME is one that `topfive networks` lists, or the folder of a taught one.

    The file takes pictures of the network's size (uint8, RGB) and returns probabilities; the
    scaling is inside. So are the labels, the licence, and in words how a photograph becomes the
    network's square, which is all that the recipe changes. Before the file appears its own
    runtime runs it: its probabilities have to be topfive's to 1e-4. onnx, litert and
    saved_model need the extra topfive[export].
    """
    from topfive.conversion import export as exports
    from topfive.networks.cards import choose_recipe
    from topfive.networks.find import find_network
    from topfive.system.text import printable

    card = find_network(network)
    done = exports.export(
        card, format, out, recipe=choose_recipe(card, recipe, fit, filter, window),
        file=weights, offline=offline, force=force,
    )  # fmt: skip
    names = " and ".join(printable(str(file)) for file in done.files)
    click.echo(
        f"{names}: {done.size / 1e6:,.1f} MB, agrees with topfive to {done.difference:.1g} in "
        f"{done.runtime}"
    )
