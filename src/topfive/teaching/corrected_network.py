"""A taught network with all that it was taught, and the journal of its corrections in its card.

A correction is a list of changes to the lessons. The card names what is of the network now and
what it takes to go back: the heads before, and the features of forgotten pictures. As the card
is replaced in one step, so are all of them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from topfive.errors import UsageError, WeightsError
from topfive.networks import heads, lessons, taught_cards, taught_folders
from topfive.networks.cards import Network
from topfive.networks.lessons import OLD, Lessons
from topfive.networks.taught_cards import CardFile, ChangeEntry, PictureEntry, TaughtCard
from topfive.networks.taught_folders import Part
from topfive.teaching.extension_offset import Before

OLD_CLASS = ""  # the name of all the backbone's own classes


SHA256 = re.compile("[0-9a-f]{64}")


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
    if not all(SHA256.fullmatch(str(one["sha256"])) for one in entries):
        raise ValueError("a picture's sha256 is none")
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
    pictures = TaughtPictures(card.classes, known, Before(answers[:, 0], answers[:, 1] != 0))
    head = heads.read(network, known.features.shape[1])
    return CorrectedNetwork(folder, network, card, pictures, head)


def read_numbers(folder: Path, section: CardFile | None, width: int) -> NDArray[np.float32]:
    """Return the numbers (n, width) in a file of the card; a damaged one is a `UsageError`."""
    try:
        if section is None:
            raise WeightsError("a file is named nowhere")
        return heads.read_file(folder / str(section.file), section.checksum, (None, width))
    except WeightsError as error:
        raise UsageError(f"{folder} is damaged: {error}") from error


@dataclass(frozen=True)
class Revision:
    """`what` is done to a network: `changes`, one after the other. `vectors` are those of the
    pictures that come in, as `TaughtPictures.vectors`; `notes` are to be told. The `classes` that
    it has afterwards are given only where they were noted."""

    network: CorrectedNetwork
    what: str
    changes: Sequence[ChangeEntry]
    vectors: NDArray[np.float32]
    notes: tuple[str, ...] = ()
    classes: tuple[str, ...] | None = None

    @cached_property
    def outcome(self) -> tuple[TaughtPictures, NDArray[np.float32]]:
        """The pictures that there are afterwards, and the vectors of those that went.

        Raises:
            KeyError, IndexError, TypeError, ValueError: the changes are damaged.
        """
        known = self.network.pictures
        entries, rows = known.entries(), list(range(len(known.lessons)))
        gone: list[int] = []
        incoming = len(rows)
        for change in self.changes:
            place, was, now = int(change["place"]), change["was"], change["now"]
            if place < 0 or (was is not None and entries[place]["sha256"] != was["sha256"]):
                raise ValueError("another picture is in its place")
            row, end = (incoming, place) if was is None else (rows[place], place + 1)
            incoming += was is None
            if now is None:
                gone.append(row)
            entries[place:end] = [] if now is None else [now]
            rows[place:end] = [] if now is None else [row]
        vectors = np.vstack([known.vectors(), self.vectors])
        classes = self.classes
        if classes is None:
            shown = dict.fromkeys(one["class"] for one in entries if one["class"] != OLD_CLASS)
            kept = [name for name in known.classes if name in shown]
            classes = tuple(dict.fromkeys((*kept, *shown)))
        return from_entries(entries, vectors[rows], classes), vectors[gone]


def write(revision: Revision, head: NDArray[np.float32]) -> None:
    """Write a revised network with its new head to its folder, and that to its journal.

    Raises:
        OutputError: it cannot be written; what was there stays.
    """
    network, card = revision.network, revision.network.card
    after, gone = revision.outcome
    entry: taught_cards.CorrectionEntry = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "what": revision.what,
        "changes": list(revision.changes),
        "fingerprint": network.fingerprint,
        "classes": list(card.classes),
        "parameters": card.parameters,
        "file": card.head.file,
        "checksum": card.head.checksum,
        "size": card.head.size,
    }
    card = replace(
        card,
        classes=after.classes,
        parameters=card.parameters + head.size - network.head.size,
        corrections=(*card.corrections, entry),
    )
    files = {**_files(network, after), "head": heads.as_part(head)}
    if len(gone):
        files["forgotten"] = heads.as_part(np.vstack([_forgotten(network), gone]))
    taught_folders.write(network.folder, card, files)


def last(network: CorrectedNetwork) -> Revision:
    """Return what takes the last correction of a network back.

    Raises:
        UsageError: there is none, or the journal is damaged.
    """
    if not network.card.corrections:
        raise UsageError(f"{network.folder} has no correction that could be undone")
    entry = network.card.corrections[-1]
    try:
        changes: list[ChangeEntry] = [
            {"place": one["place"], "was": one["now"], "now": one["was"]}
            for one in reversed(entry["changes"])
        ]
        vectors, classes = _forgotten(network)[::-1], tuple(entry["classes"])
        revision = Revision(network, "undo", changes, vectors, classes=classes)
        # Each fails where they are damaged.
        _ = revision.outcome, [entry[name] for name in ("parameters", "file", "checksum", "size")]
        if any(one["was"] is None and one["now"] is None for one in changes):
            raise ValueError("nothing changed")
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise UsageError(f"the journal in {network.folder} is damaged: {error!r}") from error
    return revision


def write_back(revision: Revision) -> None:
    """Make a network what it was before its last correction; the revision is that of `last`.

    Raises:
        OutputError: it cannot be written; what was there stays.
    """
    network, (after, _) = revision.network, revision.outcome
    card, entry = network.card, network.card.corrections[-1]
    files = _files(network, after)
    if back := sum(change["was"] is None for change in revision.changes):
        kept = _forgotten(network)[:-back]
        card = replace(card, forgotten=None)
        if len(kept):
            files["forgotten"] = heads.as_part(kept)
    card = replace(
        card,
        classes=after.classes,
        parameters=entry["parameters"],
        head=CardFile(entry["file"], entry["checksum"], entry["size"]),
        corrections=card.corrections[:-1],
    )
    taught_folders.write(network.folder, card, files)


def _files(network: CorrectedNetwork, after: TaughtPictures) -> dict[str, Part]:
    files = {"lessons": lessons.as_part(after.lessons)}
    if network.card.extends:
        files["old_answers"] = heads.as_part(after.before.array())
    return files


def _forgotten(network: CorrectedNetwork) -> NDArray[np.float32]:
    """Return the `TaughtPictures.vectors` of the pictures that are forgotten, in their order."""
    width = len(network.head) + 1
    if network.card.forgotten is None:
        return np.empty((0, width), np.float32)
    return read_numbers(network.folder, network.card.forgotten, width)
