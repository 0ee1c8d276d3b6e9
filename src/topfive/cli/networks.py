"""`topfive networks`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from topfive.cli import options, terminal
from topfive.engines import blobs
from topfive.networks import records, weights
from topfive.networks.find import find_network
from topfive.networks.published import NETWORKS
from topfive.networks.taught_folders import read_card

if TYPE_CHECKING:
    from rich.table import Table

    from topfive.networks.cards import Network

HERE = {"downloaded": "file", "compiled": "compiled"}


@click.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@options.output_format("text", "json")
def networks(names: tuple[str, ...], format: str) -> int:
    """List the networks and which are ready to use.

    Networks that need no download come first. Give a NAME to see one network, or the folder of
    your own network to see how it was made.

    top-1 and top-5 are the published accuracies on ImageNet's validation set, in percent. M is
    millions of parameters. layers counts those with weights on the longest path. here says
    "file" if the weights are on this machine, and "compiled" if the network starts fast. What
    `topfive quantize` and `topfive calibrate` measured is below the table.

    \b
    Examples:
      topfive networks
      topfive networks resnet50 --format json
    """
    chosen = tuple(dict.fromkeys(map(find_network, names))) or tuple(
        sorted(NETWORKS.values(), key=lambda card: not _here(card)["downloaded"])
    )
    published = [card for card in chosen if card.taught is None]
    taught = [card for card in chosen if card.taught]
    if format == "json":
        cards = [{**asdict(card), **_here(card), **_record(card), **_made(card)} for card in chosen]
        terminal.write_json(cards)
        return 0
    from topfive.cli.networks_text import describe

    console = terminal.console()
    if published:
        console.print(_table(published))
    for number, card in enumerate(taught):
        if number or published:
            console.print()
        lines = describe(card, _made(card)["made"], _where(card))
        console.print("\n".join(lines), soft_wrap=True)
    measured: list[str] = []
    for card in chosen:
        try:
            measured += _lines(card.name, _record(card))
        except (KeyError, TypeError, ZeroDivisionError):
            measured.append(f"{card.name}: what was measured of it is damaged; measure it again")
    if measured:
        console.print("", *measured, sep="\n")
    return 0


def _table(cards: Sequence[Network]) -> Table:
    """Return the published networks as a table."""
    titles = ("network", "top-1", "top-5", "M", "layers", "MB", "year", "arXiv", "here")
    table = terminal.table(*titles, gap=1, style="bold")
    table.columns[-1].justify = "left"
    for card in cards:
        table.add_row(
            card.name,
            _percent(card.top1),
            _percent(card.top5),
            f"{card.parameters / 1e6:.1f}",
            str(card.depth),
            f"{card.weights.size / 1e6:.1f}",
            str(card.year),
            card.paper.removeprefix("arXiv:"),
            _where(card),
        )
    return table


def _record(network: Network) -> dict[str, dict[str, Any]]:
    """Return what was measured of a network with its own weights."""
    record = records.read(network.name, weights.fingerprint(network) or "")
    return {section: record.get(section, {}) for section in ("precisions", "calibrations")}


def _lines(name: str, record: dict[str, dict[str, Any]]) -> Iterator[str]:
    for precision, entry in record["precisions"].items():
        found = entry["measurement"]
        same, top5 = found["agreement"], found["top5"]
        line = (
            f"{name} {precision}: its first label is float32's on {_share(same)} of {same['of']} "
            f"pictures ({same['low']:.1%} to {same['high']:.1%})"
        )
        if top5:
            line += f"; top-5 {_share(top5['lower'])}, float32 {_share(top5['exact'])}"
        yield f"{line}; {found['faster']:.1f} times as fast"
    for how, entry in record["calibrations"].items():
        yield f"{name} calibrated: {how}, with {entry['pictures']} pictures"


def _share(measure: dict[str, Any]) -> str:
    return f"{measure['hits'] / measure['of']:.1%}"


def _here(network: Network) -> dict[str, bool]:
    checksum = weights.checksum(network)
    compiled = checksum is not None and blobs.is_current(
        blobs.identity(network, checksum, blobs.Target())
    )
    return {"downloaded": weights.path(network).is_file(), "compiled": compiled}


def _where(network: Network) -> str:
    return " ".join(HERE[word] for word, true in _here(network).items() if true) or "-"


def _made(network: Network) -> dict[str, Any]:
    """Return how a network was made, by its card; nothing of a published one."""
    if network.taught is None:
        return {}
    return {"made": read_card(Path(network.taught.folder)).made}


def _percent(accuracy: float | None) -> str:
    return "-" if accuracy is None else f"{accuracy:.1f}"
