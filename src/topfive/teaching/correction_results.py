"""What a correction of a taught network did, and which there were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from topfive.evaluation.metrics import Measure
from topfive.networks.taught_cards import ChangeEntry, CorrectionEntry
from topfive.results import Failure


@dataclass(frozen=True)
class Changed:
    """A picture, the class that it `was` taught as and the one it is `now`: None for not at
    all, an empty text for one of the backbone's."""

    name: str
    sha256: str
    was: str | None
    now: str | None


@dataclass(frozen=True)
class Corrected:
    """A correction of the network in a `folder`: `add`, `forget` or `undo`.

    `classes` are its own now, `appended` those among them that are new, `removed` those that are
    gone. `accuracy` is that on the pictures held out before and after, None where there are
    none; of an extended network it is that of its own classes, and `old` that of the backbone's.
    `fingerprints` are the network's before and after, which are the same where nothing changed;
    so many `corrections` can be undone now.
    """

    folder: str
    what: str
    changes: tuple[Changed, ...]
    classes: tuple[str, ...]
    appended: tuple[str, ...]
    removed: tuple[str, ...]
    accuracy: tuple[Measure, Measure] | None
    old: tuple[Measure, Measure] | None
    fingerprints: tuple[str, str]
    corrections: int
    seconds: float
    notes: tuple[str, ...]
    failures: tuple[Failure, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return {**asdict(self), "failures": [one.to_dict() for one in self.failures]}


@dataclass(frozen=True)
class Correction:
    """An entry of the journal: what was done when, and the network's fingerprints before and
    after."""

    date: str
    what: str
    changes: tuple[Changed, ...]
    fingerprints: tuple[str, str]


@dataclass(frozen=True)
class History:
    """The corrections of the network in a `folder`, the oldest first."""

    folder: str
    corrections: tuple[Correction, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return asdict(self)


def journal(entries: Sequence[CorrectionEntry], fingerprint: str) -> tuple[Correction, ...]:
    """Return the entries of a card, the oldest first; `fingerprint` is the network's now.

    Raises:
        KeyError, TypeError, ValueError: they are damaged.
    """
    after = [str(entry["fingerprint"]) for entry in entries[1:]] + [fingerprint]
    return tuple(
        Correction(
            str(entry["date"]),
            str(entry["what"]),
            tuple(changed(one) for one in entry["changes"]),
            (str(entry["fingerprint"]), then),
        )
        for entry, then in zip(entries, after, strict=False)
    )


def changed(change: ChangeEntry) -> Changed:
    """Return a change from the journal.

    Raises:
        KeyError, TypeError, ValueError: it is damaged.
    """
    was, now = change["was"], change["now"]
    classes = [None if end is None else str(end["class"]) for end in (was, now)]
    one = now or was
    if one is None:
        raise ValueError("nothing changed")
    return Changed(str(one["name"]), str(one["sha256"]), *classes)
