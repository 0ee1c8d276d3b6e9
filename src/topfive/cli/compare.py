"""`topfive compare`."""

from __future__ import annotations

from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import click

from topfive.cli import options, terminal
from topfive.errors import EngineError, PictureError, UsageError
from topfive.sources import arguments
from topfive.system.text import plain, printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from topfive.evaluation.compare import Compared, SideBySide

NARROWEST = 24  # columns of a terminal, for a network's answers


@click.command()
@click.argument("pictures", nargs=-1, required=True)
@options.models(
    show_default="all whose weights are here", help="A network to compare. May be repeated."
)
@options.top
@options.output_format("text", "json")
@options.path(
    "--save",
    metavar="OUT",
    help="Save the comparison as a picture: a .png, .jpg or .webp file, or in a folder.",
)
@options.force
@options.flag("--show", help="Show the comparison in a window.")
@options.recursive
@options.network
@options.timeout
def compare(
    pictures: tuple[str, ...],
    format: str,
    save: Path | None,
    force: bool,
    show: bool,
    **chosen: Any,
) -> int:
    """Show the answers of several networks side by side.

    PICTURES are files, folders, glob patterns, http(s) addresses, or - for standard input.

    Each network runs in its own process. For each the table shows the median time for a
    picture, without reading it, and the peak memory of the process. A network agrees if its
    best class is that of most networks.

    \b
    Examples:
      topfive compare photo.jpg
      topfive compare photos/ -m resnet50 -m vgg16 --save comparison.png
    """
    from rich.text import Text

    from topfive.evaluation import compare as comparisons

    found = list(arguments.read(pictures, chosen.pop("recursive")))
    if save is not None:
        check_target(save, [source.name for source in found], force)

    def tell(doing: str) -> None:
        status.update(Text(plain(doing)))

    # What is going on, on a terminal.
    with terminal.console(stderr=True).status("") as status:
        compared = comparisons.compare(found, progress=tell, **chosen)
    for failure in compared.failures:
        terminal.tell(f"{failure.source}: {failure.message}")
    if format == "json":
        terminal.write_json(compared.to_dict())
    elif compared.pictures:
        print_text(compared)
    failed = bool(compared.failures)
    if compared.pictures and (save is not None or show):
        failed |= not draw(compared, save, show, force)
    return 1 if failed else 0


def check_target(save: Path, names: list[str], force: bool) -> None:
    """Raise a `UsageError` where the picture could not be saved, or would replace one of those
    that are compared."""
    from topfive.evaluation.compare_picture import MAX_PICTURES
    from topfive.pictures import annotate

    if len(names) > MAX_PICTURES:
        raise UsageError(f"--save draws at most {MAX_PICTURES} pictures; {len(names)} are named")
    if save.is_file() and any(Path(name).exists() and save.samefile(name) for name in names):
        raise UsageError(f"--save {save}: this is one of the pictures; save it elsewhere")
    annotate.check_target(save, several=False, force=force)


def draw(compared: SideBySide, save: Path | None, show: bool, force: bool) -> bool:
    """Save and show a comparison; return whether it could be saved."""
    from topfive.evaluation import compare_picture
    from topfive.pictures import annotate, window

    drawn, saved = compare_picture.draw(compared), True
    if save is not None:
        try:
            annotate.save(drawn, "comparison", save, set(), force)
        except PictureError as error:
            terminal.tell(str(error))
            saved = False
    if show:
        try:
            window.show(drawn, "topfive compare")
        except EngineError as error:
            terminal.tell(str(error))
    return saved


def print_text(compared: SideBySide) -> None:
    """Print the networks' answers to each picture, then what each network takes."""
    from rich.text import Text

    console, names = terminal.console(), [one.name for one in compared.contenders]
    for picture in compared.pictures:
        console.print(Text(f"{printable(picture.source)}: {picture.verdict}", "bold"))
        console.print(_answers(console, names, picture))
        console.print()
    console.print(_costs(compared))


def _answers(console: Console, names: list[str], picture: Compared) -> Table:
    """Return a network's answers beside another's, as many as fit."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    columns = max(1, min(len(names), console.width // NARROWEST))
    width = console.width // columns - 2
    grid = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(columns):
        grid.add_column(width=width)
    blocks = []
    for name, answer in zip(names, picture.answers, strict=True):
        block = Table.grid(padding=(0, 1, 0, 0))
        block.add_column(justify="right", no_wrap=True)
        block.add_column()
        for best in answer:
            agrees = "green" if best.label == picture.label else ""
            # Broken between its words, which have no spaces between them.
            pieces = wrap(best.label.replace("_", "_ "), width - len("100.0% "))
            label = "\n".join(pieces).replace("_ ", "_")
            block.add_row(f"{best.probability:.1%}", Text(plain(label), agrees))
        blocks.append(Group(Text(plain(name), "dim"), block))
    for start in range(0, len(blocks), columns):
        if start:
            grid.add_row()
        grid.add_row(*blocks[start : start + columns])
    return grid


def _costs(compared: SideBySide) -> Table:
    """Return the table of what each network takes."""
    titles = ("agrees", "ms", "memory MB", "weights MB", "compiled MB")
    table = terminal.table("network", *titles, style="dim")
    for one in compared.contenders:
        table.add_row(
            one.name,
            f"{one.agreements} of {len(compared.pictures)}",
            f"{one.milliseconds:.1f}",
            _megabytes(one.memory),
            _megabytes(one.weights),
            _megabytes(one.compiled),
        )
    return table


def _megabytes(size: int | None) -> str:
    return f"{size / 1e6:,.1f}" if size else "-"
