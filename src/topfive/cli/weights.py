"""`topfive weights`: see, fetch, check, carry and remove weight files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import click

if TYPE_CHECKING:
    from topfive.networks.cards import Network

DAMAGED = 3

names = click.argument("names", metavar="NAME...", nargs=-1, required=True)


class Row(TypedDict):
    """What `list` says about one network's file."""

    network: str
    size: int
    here: bool
    hash: str
    path: str


@click.group()
def weights() -> None:
    """See, fetch, check, carry and remove weight files.

    They are kept where Keras keeps its own (KERAS_HOME, else ~/.keras/models) and serve both.
    """


@weights.command("list")
@click.option(
    "-f",
    "--format",
    "format_",
    default="text",
    show_default=True,
    type=click.Choice(("text", "json")),
)
def list_(format_: str) -> None:
    """List the networks' weight files and check those that are here.

    One that is here has the published hash (ok) or, where its publisher gives none, that of
    the file that came first (pinned), or is damaged.
    """
    from topfive.networks.published import NETWORKS
    from topfive.networks.weights import folder

    rows = [_row(network) for network in NETWORKS.values()]
    if format_ == "json":
        click.echo(json.dumps(rows, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    # One space between the columns: with two, the longest file names would not fit in 80.
    table = Table(
        box=None, pad_edge=False, padding=(0, 1, 0, 0),
        caption=f"in {folder()}", caption_justify="left",
    )  # fmt: skip
    table.add_column("network", no_wrap=True)
    table.add_column("MB", justify="right", no_wrap=True)
    table.add_column("here", no_wrap=True)
    table.add_column("file", overflow="fold")
    for row in rows:
        here = row["hash"] if row["here"] else "no"
        table.add_row(row["network"], f"{row['size'] / 1e6:.1f}", here, Path(row["path"]).name)
    Console(highlight=False).print(table)


@weights.command()
@names
@click.option("--offline", is_flag=True, help="Use the network for nothing.")
def fetch(names: tuple[str, ...], offline: bool) -> None:
    """Download weight files that are not here or are damaged."""
    from topfive.networks import weights

    for network in _find(names):
        click.echo(f"{network.name}: {weights.checked(network, offline)}")


@weights.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
def verify(names: tuple[str, ...]) -> int:
    """Check hashes, of all files that are here where no name is given.

    Ends with status 3 if one is damaged, or is named and not here.
    """
    from topfive.networks import weights
    from topfive.networks.published import NETWORKS

    status = 0
    chosen = _find(names) or [card for card in NETWORKS.values() if weights.path(card).is_file()]
    if not chosen:
        click.echo(f"no weight files in {weights.folder()}")
    for network in chosen:
        if not weights.path(network).is_file():
            verdict = "not here"
        elif weights.verify(network):
            click.echo(f"{network.name}: ok, {weights.checksum(network)}")
            continue
        else:
            verdict = f"damaged, expected {weights.checksum(network)}"
        click.echo(f"{network.name}: {verdict}; to get it: topfive weights fetch {network.name}")
        status = DAMAGED
    return status


@weights.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--network", metavar="NAME", help="Whose weights FILE holds; a bundle says so.")
def import_(file: Path, network: str | None) -> None:
    """Take in FILE, a weight file or a bundle, after a check of its hashes."""
    from topfive.errors import UsageError
    from topfive.networks import bundles, weights
    from topfive.networks.weights import home

    card = _find((network,))[0] if network is not None else None
    if bundles.is_bundle(file):
        if card is not None:
            raise UsageError(f"{file} is a bundle, which names its networks: leave out --network")
        for arrived in bundles.read(file):
            click.echo(f"{arrived.name}: {home(arrived)}")
    elif card is None:
        raise UsageError(f"{file} is not a bundle: say whose weights it holds with --network NAME")
    else:
        click.echo(f"{card.name}: {weights.import_file(file, card)}")


@weights.command()
@names
@click.option(
    "-o", "--output", metavar="FILE.tar", required=True, type=click.Path(path_type=Path),
    help="The bundle to write.",
)  # fmt: skip
def bundle(names: tuple[str, ...], output: Path) -> None:
    """Pack weights, labels, hashes and licences for a machine without a network.

    `topfive weights import FILE.tar` takes them in there.
    """
    from topfive.networks import bundles

    size = bundles.write(_find(names), output)
    click.echo(f"{output}: {size / 1e6:,.1f} MB")


@weights.command()
@names
def remove(names: tuple[str, ...]) -> None:
    """Delete weight files, and what is left of broken downloads."""
    from topfive.networks import weights

    for network in _find(names):
        freed = weights.remove(network)
        click.echo(f"{network.name}: {f'{freed / 1e6:,.1f} MB freed' if freed else 'not here'}")


@weights.command()
@click.argument("name", required=False)
def path(name: str | None) -> None:
    """Print the folder of the weight files, or where one network's is or would be."""
    from topfive.networks import weights

    click.echo(weights.path(_find((name,))[0]) if name is not None else weights.folder())


def _find(names: tuple[str, ...]) -> list[Network]:
    """Find all before anything is done about the first.

    Raises:
        UsageError: one is a taught network, which has its weights in its folder, or those of
            a published one.
    """
    from topfive.errors import UsageError
    from topfive.networks.find import find_network
    from topfive.system.text import printable

    found = list(dict.fromkeys(find_network(name) for name in names))
    for network in found:
        if network.taught:
            held = "in its folder" if network.taught.body else f"those of {network.taught.backbone}"
            raise UsageError(
                f"{printable(network.taught.folder)} is a taught network, whose weights are "
                f"{held}; expected the name of a published one"
            )
    return found


def _row(network: Network) -> Row:
    from topfive.networks import weights

    file = weights.path(network)
    here = file.is_file()
    verdict = ""
    if here:
        good = "ok" if network.weights.checksum else "pinned"
        verdict = good if weights.verify(network) else "damaged"
    return {
        "network": network.name,
        "size": file.stat().st_size if here else network.weights.size,
        "here": here,
        "hash": verdict,
        "path": str(file),
    }
