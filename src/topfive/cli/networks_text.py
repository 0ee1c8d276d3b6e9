"""What `topfive networks FOLDER` says of a taught network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING

from topfive.system.text import shorten

if TYPE_CHECKING:
    from topfive.networks.cards import Network

CLASSES = 20  # names that are shown
FACTS = 60  # lines of how it was made
LONGEST = 300  # letters of a line


def describe(network: Network, made: object, here: str) -> Iterator[str]:
    """Yield the lines that tell a taught network: what it is, and the record of how it was
    `made`, whatever that holds; `here` says what of it is on this machine."""
    taught = network.taught
    if taught is None:
        raise ValueError(f"{network.name} was not taught")
    more = f", … {len(taught.classes):,} in all" if len(taught.classes) > CLASSES else ""
    held = "tuned" if taught.tuned else "the user's own" if taught.body else "published"
    classes = f"{', '.join(taught.classes[:CLASSES])}{more}"
    if taught.extends:
        classes += f", after those of {taught.backbone}"
    yield network.name
    yield from (
        f"  {name:9} {shorten(value, LONGEST)}"
        for name, value in (
            ("folder", taught.folder),
            ("classes", classes),
            ("backbone", f"{taught.backbone}, weights {held}"),
            ("recipe", str(network.recipe)),
            ("size", f"{network.parameters / 1e6:.1f} million parameters"),
            ("here", here),
        )
    )
    facts = list(islice(_facts(made, 4), FACTS + 1)) if isinstance(made, Mapping) else []
    if facts:
        yield "  made"
        yield from facts[:FACTS]
    if len(facts) > FACTS:
        yield "    …"


def _facts(values: Mapping[str, object], indent: int) -> Iterator[str]:
    for key, value in values.items():
        start = f"{' ' * indent}{shorten(key.replace('_', ' '), LONGEST)}"
        if isinstance(value, Mapping):
            yield start
            yield from _facts(value, indent + 2)
        elif isinstance(value, list) and any(isinstance(one, list | Mapping) for one in value):
            yield f"{start}: {len(value):,} entries"
        elif value is not None:
            yield f"{start}: {shorten(_told(value), LONGEST)}"


def _told(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(_told, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
