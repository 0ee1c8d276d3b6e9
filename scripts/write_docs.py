"""Write the parts of the documentation that the code knows: help pages, the networks' table.

python scripts/write_docs.py
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click

from topfive.cli.main import cli
from topfive.networks.published import NETWORKS

ROOT = Path(__file__).parents[1]
COMMANDS = ROOT / "docs" / "commands.md"
README = ROOT / "README.md"
TABLE = re.compile(r"(?<=<!-- networks -->\n).*?(?=<!-- /networks -->)", re.DOTALL)


def commands() -> str:
    """Return the help pages of all commands as Markdown."""
    pages = (f"## {path}\n\n```text\n{page}\n```\n" for path, page in _pages(cli, "topfive"))
    return "# The commands\n\n`scripts/write_docs.py` writes this page.\n\n" + "\n".join(pages)


def readme() -> str:
    """Return the README with its table of networks renewed."""
    rows = [
        "| network | top-1 | top-5 | parameters | layers | file | year | paper |",
        "|---|--:|--:|--:|--:|--:|--:|---|",
    ]
    for card in NETWORKS.values():
        names = ", ".join(f"`{name}`" for name in (card.name, *card.aliases))
        top5 = "" if card.top5 is None else f"{card.top5:.1f} %"
        number = card.paper.removeprefix("arXiv:")
        rows.append(
            f"| {card.title} ({names}) | {card.top1:.1f} % | {top5} "
            f"| {card.parameters / 1e6:.1f} M | {card.depth} | {card.weights.size / 1e6:.1f} MB "
            f"| {card.year} | [{number}](https://arxiv.org/abs/{number}) |"
        )
    return TABLE.sub(lambda _: "\n".join(rows) + "\n", README.read_text("utf-8"))


def _pages(command: click.Command, path: str) -> Iterator[tuple[str, str]]:
    settings = {**cli.context_settings, "terminal_width": 80, "max_content_width": 80}
    context = click.Context(command, info_name=path, **settings)
    yield path, command.get_help(context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            if inner := command.get_command(context, name):
                yield from _pages(inner, f"{path} {name}")


def main() -> None:
    """Write both."""
    COMMANDS.parent.mkdir(exist_ok=True)
    COMMANDS.write_text(commands(), "utf-8")
    README.write_text(readme(), "utf-8")


if __name__ == "__main__":
    main()
