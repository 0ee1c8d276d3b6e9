"""The card of a network with classes of its own, from plain values: none of them is trusted."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypedDict, cast

from topfive.errors import UsageError
from topfive.networks.cards import FILTERS, FITS, Network, Recipe, Taught, WeightFile, check_choice
from topfive.networks.published import NETWORKS

CARD = "card.json"
MAX_CLASSES = 100_000
LONGEST = 200  # letters of a name
MOST = 10**15  # of anything that is counted
ENTRY = "correction-"  # of the journal, with a number, from 1


class Made(TypedDict, total=False):
    """How a network was made, for people to read: each command tells its part of this."""

    by: str
    versions: dict[str, str]
    date: str
    folder: str
    source: str  # the folder, where there is one of `old` pictures, too
    old: str
    validation: str | None
    split: float | None
    seed: int
    pictures: int
    old_pictures: int
    held_out: int
    unreadable: int
    copies: int
    layout: str | None
    accuracy: dict[str, Any]
    cost: float
    strength: float
    offset: float
    tried: list[dict[str, Any]]
    outcome: dict[str, Any]
    options: dict[str, Any]
    backend: str
    devices: list[str]
    mixed_precision: bool
    best_epoch: int
    history: list[dict[str, Any]]
    seconds: float | dict[str, float]


# A picture in the journal: its class, if held out, if the network was right before it was extended.
PictureEntry = TypedDict(
    "PictureEntry", {"name": str, "sha256": str, "class": str, "held": bool, "right": bool}
)


class ChangeEntry(TypedDict):
    """What `was` at a place of the lessons and what is there `now`."""

    place: int
    was: PictureEntry | None
    now: PictureEntry | None


class CorrectionEntry(TypedDict):
    """A correction, with the network before it and the file of its head."""

    date: str
    what: str
    changes: list[ChangeEntry]
    fingerprint: str
    classes: list[str]
    parameters: int
    file: str | None
    checksum: str
    size: int | None


@dataclass(frozen=True)
class CardFile:
    """A file of a network: its name (None: the backbone's, elsewhere), hash, size in bytes."""

    file: str | None
    checksum: str
    size: int | None


UNWRITTEN = CardFile(None, "", None)  # until `taught_folders.write` has written the file


@dataclass(frozen=True, kw_only=True)
class TaughtCard:
    """What a card says, in the order of its file.

    The network is its `head` and `weights`. It is corrected by its `lessons`, its `old_answers`
    from before it was extended, and the features of `forgotten` pictures; `corrections` are the
    journal, the oldest first. That and what was `made` are looked at where they are used.
    """

    name: str
    backbone: str
    classes: tuple[str, ...]
    extends: bool = False
    tuned: bool = False
    recipe: Recipe
    parameters: int
    made: Made = field(default_factory=Made)
    weights: CardFile = UNWRITTEN
    old_answers: CardFile | None = None
    head: CardFile = UNWRITTEN
    lessons: CardFile | None = None
    forgotten: CardFile | None = None
    corrections: tuple[CorrectionEntry, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as `parse` takes them."""
        values = {name: value for name, value in asdict(self).items() if value is not None}
        entries = enumerate(values.pop("corrections"), start=1)
        return {**values, **{f"{ENTRY}{number}": entry for number, entry in entries}}

    def files(self) -> set[str | None]:
        """Return the names of the files that go with it."""
        own = (self.weights, self.old_answers, self.head, self.lessons, self.forgotten)
        return {one.file for one in own if one} | {entry.get("file") for entry in self.corrections}


def parse(content: Mapping[str, Any]) -> TaughtCard:
    """Return a card from plain values.

    Raises:
        ValueError, KeyError, TypeError, UsageError: something in it is missing or wrong.
    """
    known = text(content, "backbone")
    if known not in NETWORKS:
        raise ValueError(f"its backbone {known!a} is no network of topfive's")
    check_classes(content["classes"])
    made = content.get("made")
    published = NETWORKS[known].weights.checksum
    entries = (content.get(f"{ENTRY}{number}") for number in range(1, len(content)))
    card = TaughtCard(
        name=name(content, "name"),
        backbone=known,
        classes=tuple(content["classes"]),
        extends=flag(content, "extends"),
        tuned=flag(content, "tuned"),
        recipe=recipe(content["recipe"]),
        parameters=count(content, "parameters"),
        made=cast("Made", made) if isinstance(made, dict) else Made(),
        weights=_weights(content["weights"]),
        old_answers=_if_there(content, "old_answers"),
        head=_card_file(content["head"]),
        lessons=_if_there(content, "lessons"),
        forgotten=_if_there(content, "forgotten"),
        corrections=tuple(
            cast("CorrectionEntry", entry) for entry in entries if isinstance(entry, dict)
        ),
    )
    if card.tuned and card.weights.file is None:
        raise ValueError("its weights are tuned, and in no file")
    if card.weights.file is None and published not in (None, card.weights.checksum):
        raise ValueError(f"it was taught with other weights of {known} than the published ones")
    return card


def network(folder: Path, card: TaughtCard) -> Network:
    """Return the network in a folder with this card."""
    backbone, place, body = NETWORKS[card.backbone], folder.absolute(), card.weights
    facts = {name: getattr(card, name) for name in ("backbone", "classes", "extends", "tuned")}
    facts |= {"weights": body.checksum, "head": card.head.checksum}
    fingerprint = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    weights = replace(backbone.weights, checksum=body.checksum)
    if body.file is not None:
        url = (place / body.file).as_posix()
        weights = WeightFile(url, body.checksum, body.size or 0, "the user's own")
    return replace(
        backbone,
        name=card.name,
        title=card.name,
        recipe=card.recipe,
        weights=weights,
        top1=None,
        top5=None,
        parameters=card.parameters,
        aliases=(),
        labels=f"{backbone.labels} + {fingerprint}" if card.extends else fingerprint,
        published="",
        taught=Taught(
            str(place),
            card.backbone,
            card.classes,
            card.extends,
            card.head.file or "",
            body.file,
            card.tuned,
            f"sha256:{fingerprint}",
        ),
    )


def made_by(command: str, *packages: str) -> Made:
    """Return the first part of a record: which command of which version made it, and when."""
    from importlib.metadata import version  # which takes longer than to read a card

    return {
        "by": command,
        "versions": {name: version(name) for name in ("topfive", *packages)},
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def check_classes(classes: object) -> None:
    """Raise a `UsageError` unless they are the names of different classes, and printable."""
    if not isinstance(classes, list | tuple) or not 0 < len(classes) <= MAX_CLASSES:
        raise UsageError(f"expected 1 to {MAX_CLASSES:,} classes")
    for name in classes:
        if not isinstance(name, str) or not 0 < len(name) <= LONGEST or not name.isprintable():
            raise UsageError(
                f"{str(name)[:LONGEST]!a} cannot be the name of a class; expected 1 to "
                f"{LONGEST} printable letters"
            )
    if len(set(classes)) < len(classes):
        raise UsageError("two classes have the same name")


def text(entry: Mapping[str, Any], key: str) -> str:
    """Return a short printable text.

    Raises:
        ValueError, KeyError, TypeError: it is no such thing, as with all that follow.
    """
    value = entry[key]
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST or not value.isprintable():
        raise ValueError(f"{key} is {str(value)[:40]!a}")
    return value


def name(entry: Mapping[str, Any], key: str) -> str:
    """Return a text that may be a part of a file's name: it leads nowhere else."""
    value = text(entry, key)
    if "/" in value or "\\" in value or len(value.encode()) > LONGEST:
        raise ValueError(f"{key} is {value[:40]!a}, which cannot be a part of a file's name")
    return value


def file(entry: Mapping[str, Any], key: str) -> str:
    """Return the name of a file that lies beside the card, and is not that."""
    value = name(entry, key)
    if Path(value).name != value or value.startswith(".") or value == CARD:
        raise ValueError(f"{value!a} is no name of a file in the folder")
    return value


def digest(entry: Mapping[str, Any], key: str) -> str:
    """Return a hash, `md5:…` or `sha256:…`."""
    value = text(entry, key)
    if not re.fullmatch(r"md5:[0-9a-f]{32}|sha256:[0-9a-f]{64}", value):
        raise ValueError(f"{value[:40]!a} is no hash")
    return value


def flag(entry: Mapping[str, Any], key: str) -> bool:
    value = entry[key]
    if not isinstance(value, bool):
        raise ValueError(f"{key} is neither true nor false")
    return value


def count(entry: Mapping[str, Any], key: str, most: int = MOST) -> int:
    """Return a whole number from 1."""
    value = entry[key]
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= most:
        raise ValueError(f"{key} is {str(value)[:40]!a}; expected a number from 1 to {most:,}")
    return value


def recipe(entry: Mapping[str, Any]) -> Recipe:
    fit, filter = text(entry, "fit"), text(entry, "filter")
    check_choice("fit", fit, FITS)
    check_choice("filter", filter, FILTERS)
    side, window = count(entry, "short_side", 10_000), entry["window"]
    if window is not None:
        low, high = map(_number, window)
        if not low < high:
            raise ValueError(f"its window is {low:g} to {high:g}")
        window = (low, high)
    return Recipe(fit, filter, side, flag(entry, "keras_decoding"), window)


def _card_file(entry: Mapping[str, Any]) -> CardFile:
    return CardFile(file(entry, "file"), digest(entry, "checksum"), entry.get("size"))


def _weights(entry: Mapping[str, Any]) -> CardFile:
    """Return the section of the weights, which may be nowhere in the folder."""
    if entry["file"] is None:
        return CardFile(None, digest(entry, "checksum"), entry.get("size"))
    return replace(_card_file(entry), size=count(entry, "size"))


def _if_there(content: Mapping[str, Any], section: str) -> CardFile | None:
    return None if content.get(section) is None else _card_file(content[section])


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{str(value)[:40]!a} is no number")
    return float(value)
