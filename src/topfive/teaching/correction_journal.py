"""The journal of a taught network's corrections, kept in its card, each with the head before it.

A correction is a list of changes to the lessons. The card names what is of the network now and
what it takes to go back: the heads before, and the features of forgotten pictures. As the card
is replaced in one step, so are all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from topfive.errors import UsageError
from topfive.networks import heads, lessons, taught_folders
from topfive.networks.taught_cards import CardFile, ChangeEntry, CorrectionEntry
from topfive.networks.taught_folders import Part
from topfive.teaching.corrected_network import (
    OLD_CLASS,
    CorrectedNetwork,
    TaughtPictures,
    from_entries,
    read_numbers,
)


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
    """Make a revised network, with its new head, that of its folder, and enter that in its
    journal.

    Raises:
        OutputError: it cannot be written; what was there stays.
    """
    network, card = revision.network, revision.network.card
    after, gone = revision.outcome
    entry: CorrectionEntry = {
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
        _ = revision.outcome  # which fails where they are damaged
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
