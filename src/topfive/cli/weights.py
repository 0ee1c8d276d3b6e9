"""`topfive weights`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from topfive.cli import options, terminal
from topfive.errors import UsageError
from topfive.networks import bundles
from topfive.networks import weights as files
from topfive.networks.cards import Network
from topfive.networks.find import find_network
from topfive.networks.published import NETWORKS
from topfive.system.text import printable

DAMAGED = 3

names = click.argument("names", metavar="NAME...", nargs=-1, required=True)


@click.group()
def weights() -> None:
    """Download, check, move and remove weight files.

    The files are in Keras's folder, ~/.keras/models or $KERAS_HOME/models, and Keras uses them,
    too. topfive downloads what it needs; these commands are for machines without internet.
    """


@weights.command("list")
@options.output_format("text", "json")
def list_(format: str) -> None:
    """List all weight files and check those on this machine.

    The column here says no, ok if the file has the published hash, or damaged. It says pinned
    if no hash is published and the file has not changed since it was first used.

    \b
    Example:
      topfive weights list
    """
    rows = [_row(network) for network in NETWORKS.values()]
    if format == "json":
        terminal.say(json.dumps(rows, indent=2))
        return
    # One space between the columns: with two, the longest file names would not fit in 80.
    table = terminal.table("network", "MB", gap=1, style="bold")
    table.columns[0].no_wrap = True
    table.add_column("here", no_wrap=True)
    table.add_column("file", overflow="fold")
    table.caption, table.caption_justify = f"in {files.folder()}", "left"
    for row in rows:
        here = row["hash"] if row["here"] else "no"
        table.add_row(row["network"], f"{row['size'] / 1e6:.1f}", here, Path(row["path"]).name)
    terminal.console().print(table)


@weights.command()
@names
@options.flag("--offline", help="Only check the files, never download.")
def fetch(names: tuple[str, ...], offline: bool) -> None:
    """Download weight files that are missing or damaged.

    \b
    Example:
      topfive weights fetch resnet50 vgg16
    """
    for network in _find(names):
        terminal.say(f"{network.name}: {files.checked(network, offline)}")


@weights.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
def verify(names: tuple[str, ...]) -> int:
    """Check the hashes of weight files.

    Without a NAME, all files on this machine are checked. The exit status is 3 if a file is
    damaged, or if a named one is missing.

    \b
    Example:
      topfive weights verify
    """
    status = 0
    chosen = _find(names) or [card for card in NETWORKS.values() if files.path(card).is_file()]
    if not chosen:
        terminal.say(f"no weight files in {files.folder()}")
    for network in chosen:
        if not files.path(network).is_file():
            verdict = "not here"
        elif files.verify(network):
            terminal.say(f"{network.name}: ok, {files.checksum(network)}")
            continue
        else:
            verdict = f"damaged, expected {files.checksum(network)}"
        terminal.say(f"{network.name}: {verdict}; to get it: topfive weights fetch {network.name}")
        status = DAMAGED
    return status


@weights.command("import")
@click.argument("file", type=options.PATH)
@click.option("--network", metavar="NAME", help="The network of the file; a bundle says it.")
def import_(file: Path, network: str | None) -> None:
    """Copy a weight file or a bundle to Keras's folder.

    The hashes are checked first.

    \b
    Examples:
      topfive weights import bundle.tar
      topfive weights import vgg16.h5 --network vgg16
    """
    card = _find((network,))[0] if network is not None else None
    if bundles.is_bundle(file):
        if card is not None:
            raise UsageError(f"{file} is a bundle, which names its networks: leave out --network")
        for arrived in bundles.read(file):
            terminal.say(f"{arrived.name}: {files.home(arrived)}")
    elif card is None:
        raise UsageError(f"{file} is not a bundle: say whose weights it holds with --network NAME")
    else:
        terminal.say(f"{card.name}: {files.import_file(file, card)}")


@weights.command()
@names
@options.path("-o", "--output", metavar="FILE.tar", required=True, help="The file to write.")
@options.force
def bundle(names: tuple[str, ...], output: Path, force: bool) -> None:
    """Pack networks into one file, for a machine without internet.

    It contains the weights, labels, hashes and licences. On the other machine, read it with
    `topfive weights import`.

    \b
    Example:
      topfive weights bundle resnet50 vgg16 -o bundle.tar
    """
    size = bundles.write(_find(names), output, force)
    terminal.say(f"{output}: {size / 1e6:,.1f} MB")


@weights.command()
@names
def remove(names: tuple[str, ...]) -> None:
    """Delete weight files, with the parts of unfinished downloads.

    \b
    Example:
      topfive weights remove vgg16
    """
    for network in _find(names):
        freed = files.remove(network)
        terminal.say(f"{network.name}: {f'{freed / 1e6:,.1f} MB freed' if freed else 'not here'}")


@weights.command()
@click.argument("name", required=False)
def path(name: str | None) -> None:
    """Print where the weight files are.

    Without a NAME, this is their folder, else the path of that network's file.

    \b
    Examples:
      topfive weights path
      topfive weights path resnet50
    """
    terminal.say(str(files.path(_find((name,))[0]) if name is not None else files.folder()))


def _find(names: tuple[str, ...]) -> list[Network]:
    """Find all before anything is done about the first.

    Raises:
        UsageError: one is a taught network, which has its weights in its folder, or those of
            a published one.
    """
    found = list(dict.fromkeys(find_network(name) for name in names))
    for network in found:
        if network.taught:
            held = "in its folder" if network.taught.body else f"those of {network.taught.backbone}"
            raise UsageError(
                f"{printable(network.taught.folder)} is a taught network, whose weights are "
                f"{held}; expected the name of a published one"
            )
    return found


def _row(network: Network) -> dict[str, Any]:
    """Return what `list` says about one network's file."""
    file = files.path(network)
    here = file.is_file()
    verdict = ""
    if here:
        good = "ok" if network.weights.checksum else "pinned"
        verdict = good if files.verify(network) else "damaged"
    return {
        "network": network.name,
        "size": file.stat().st_size if here else network.weights.size,
        "here": here,
        "hash": verdict,
        "path": str(file),
    }
