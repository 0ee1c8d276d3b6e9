"""A taught network with all that it was taught: what is corrected in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from topfive.errors import UsageError, WeightsError
from topfive.networks import heads, lessons, taught_cards, taught_folders
from topfive.networks.cards import Network
from topfive.networks.lessons import OLD, Lessons
from topfive.networks.taught_cards import CardFile, PictureEntry, TaughtCard
from topfive.teaching.extension_offset import Before

OLD_CLASS = ""  # the name of all the backbone's own classes


@dataclass(frozen=True)
class TaughtPictures:
    """The pictures of a network: `lessons`, whose truths are indices into `classes`, and what
    the network said of them `before` it was extended."""

    classes: tuple[str, ...]
    lessons: Lessons
    before: Before

    def where(self, which: NDArray[np.bool_]) -> TaughtPictures:
        """Return those for which `which` (pictures,) is true."""
        return TaughtPictures(self.classes, self.lessons.where(which), self.before[which])

    def entries(self) -> list[PictureEntry]:
        """Return them as the journal tells of pictures."""
        names = (*self.classes, OLD_CLASS)  # the index `OLD` is that of the last
        labels = [names[truth] for truth in self.lessons.truths]
        held, right = self.lessons.held.tolist(), self.before.right.tolist()
        rows = zip(self.lessons.names, self.lessons.sha256, labels, held, right, strict=True)
        return [
            {"name": name, "sha256": sha256, "class": label, "held": held, "right": right}
            for name, sha256, label, held, right in rows
        ]

    def vectors(self) -> NDArray[np.float32]:
        """Return the features and the two numbers of `Before`, (pictures, d + 2)."""
        return np.hstack([self.lessons.features, self.before.array()])


def from_entries(
    entries: Sequence[PictureEntry], vectors: NDArray[np.float32], classes: Sequence[str]
) -> TaughtPictures:
    """Return the pictures with these `entries` and `vectors`.

    Raises:
        KeyError: one is of none of the classes, or an entry is damaged.
    """
    places = {**{name: place for place, name in enumerate(classes)}, OLD_CLASS: OLD}
    lessons = Lessons(
        tuple(str(one["name"]) for one in entries),
        tuple(str(one["sha256"]) for one in entries),
        np.array([places[one["class"]] for one in entries], np.intp),
        np.array([bool(one["held"]) for one in entries], np.bool_),
        vectors[:, :-2],
    )
    right = np.array([bool(one["right"]) for one in entries], np.bool_)
    return TaughtPictures(tuple(classes), lessons, Before(vectors[:, -2], right))


@dataclass(frozen=True)
class CorrectedNetwork:
    """A taught network with its card, its pictures and its `head` (d + 1, classes)."""

    folder: Path
    network: Network
    card: TaughtCard
    pictures: TaughtPictures
    head: NDArray[np.float32]

    @property
    def classes(self) -> tuple[str, ...]:
        """Its own classes."""
        return self.card.classes

    @property
    def fingerprint(self) -> str:
        """What names the network that it is now."""
        return self.network.taught.fingerprint if self.network.taught else ""


def read(folder: Path) -> CorrectedNetwork:
    """Return the network in a folder with its lessons.

    Raises:
        UsageError: it is none that can be corrected, or is damaged.
        WeightsError: its head is damaged.
    """
    card = taught_folders.read_card(folder)
    network, known = taught_cards.network(folder, card), lessons.read(folder)
    answers = np.zeros((len(known), 2), np.float32)
    if card.extends:
        answers = read_numbers(folder, card.old_answers, 2)
    if len(answers) != len(known):
        raise UsageError(f"{folder} is damaged: its parts do not fit each other; teach it again")
    before = Before(answers[:, 0], answers[:, 1] != 0)
    pictures = TaughtPictures(card.classes, known, before)
    head = heads.read(network, known.features.shape[1])
    return CorrectedNetwork(folder, network, card, pictures, head)


def read_numbers(folder: Path, section: CardFile | None, width: int) -> NDArray[np.float32]:
    """Return a file of numbers that a section of the card names, (n, width).

    Raises:
        UsageError: it is missing or damaged.
    """
    try:
        if section is None:
            raise WeightsError("a file is named nowhere")
        return heads.read_file(folder / str(section.file), section.checksum, (None, width))
    except WeightsError as error:
        raise UsageError(f"{folder} is damaged: {error}") from error
