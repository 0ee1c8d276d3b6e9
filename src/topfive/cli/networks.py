"""`topfive networks`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from topfive.networks import Network

HERE = {"downloaded": "file", "compiled": "compiled"}


@click.command()
@click.option(
    "-f", "--format", default="text", show_default=True, type=click.Choice(("text", "json"))
)
def networks(format: str) -> int:
    """List the networks, what is published of them, and what is here.

    Top-1 and top-5 are the published accuracies on ImageNet's validation pictures, in
    percent; M is the parameters in millions; layers are those with weights on the longest
    path. "here" says "file" where the weights are downloaded, and "compiled" where the next
    start is fast.
    """
    from topfive.networks import NETWORKS

    here = {network.name: _here(network) for network in NETWORKS.values()}
    if format == "json":
        cards = [{**asdict(card), **here[card.name]} for card in NETWORKS.values()]
        click.echo(json.dumps(cards, indent=1))
        return 0
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for title in ("network", "top-1", "top-5", "M", "layers", "MB", "year", "arXiv", "here"):
        table.add_column(title, justify="left" if title in ("network", "here") else "right")
    for card in NETWORKS.values():
        table.add_row(
            card.name,
            _percent(card.top1),
            _percent(card.top5),
            f"{card.parameters / 1e6:.1f}",
            str(card.depth),
            f"{card.weights.size / 1e6:.1f}",
            str(card.year),
            card.paper.removeprefix("arXiv:"),
            " ".join(HERE[word] for word, true in here[card.name].items() if true) or "-",
        )
    Console().print(table)
    return 0


def _here(network: Network) -> dict[str, bool]:
    from topfive import blobs, weights

    checksum = weights.checksum(network)
    compiled = checksum is not None and blobs.is_current(
        blobs.identity(network, checksum, blobs.Target())
    )
    return {"downloaded": weights.path(network).is_file(), "compiled": compiled}


def _percent(accuracy: float | None) -> str:
    return "-" if accuracy is None else f"{accuracy:.1f}"
