"""What a correction of a taught network did, and which there were."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from topfive.accuracies import told
from topfive.metrics import Measure
from topfive.results import Failure
from topfive.text import printable

WIDTH = 80  # columns
DID = {"add": "added", "forget": "forgotten", "undo": "taken back"}


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


def journal(entries: Sequence[Mapping[str, Any]], fingerprint: str) -> tuple[Correction, ...]:
    """Return the entries of a card, the oldest first; `fingerprint` is the network's now.

    Raises:
        KeyError, TypeError, ValueError: they are damaged.
    """
    after = [str(entry["fingerprint"]) for entry in entries[1:]] + [fingerprint]
    return tuple(
        Correction(
            str(entry["date"]),
            str(entry["what"]),
            tuple(_changed(one["was"], one["now"]) for one in entry["changes"]),
            (str(entry["fingerprint"]), then),
        )
        for entry, then in zip(entries, after, strict=False)
    )


def _changed(was: Mapping[str, Any] | None, now: Mapping[str, Any] | None) -> Changed:
    one = now or was or {}
    classes = [None if end is None else str(end["class"]) for end in (was, now)]
    return Changed(str(one["name"]), str(one["sha256"]), *classes)


def describe(result: Corrected | History) -> str:
    """Return what a correction did, or which there were, as text."""
    lines = _history(result) if isinstance(result, History) else _correction(result)
    return fitted(lines)


def fitted(lines: Iterable[str]) -> str:
    """Return lines as a text for a terminal of `WIDTH`, names in it printable."""
    wrapped = partial(textwrap.fill, width=WIDTH, subsequent_indent="    ", break_on_hyphens=False)
    return "".join(f"{wrapped(printable(line))}\n" for line in lines)


def _history(result: History) -> list[str]:
    if not result.corrections:
        return [f"{result.folder} was not corrected"]
    lines = []
    for number, one in enumerate(result.corrections, start=1):
        lines.append(f"{number}. {one.date}: {DID.get(one.what, one.what)}")
        lines += [f"  {_line(change)}" for change in one.changes]
    return [*lines, _undo(result.folder, len(result.corrections))]


def _correction(result: Corrected) -> list[str]:
    if not result.changes:
        return [f"{result.folder}: nothing changed", *(f"note: {one}" for one in result.notes)]
    lines = [f"{result.folder}: {DID[result.what]} in {result.seconds:.1f} s"]
    lines += [f"  {_line(change)}" for change in result.changes]
    for what, names in (("appended", result.appended), ("removed", result.removed)):
        lines += [f"{what}: the class {name}" for name in names]
    for what, pair in (("", result.accuracy), ("old classes, ", result.old)):
        if pair is not None:
            lines += [f"held out, {what}right before: {told(pair[0])}"]
            lines += [f"held out, {what}right now:    {told(pair[1])}"]
    lines += [f"note: {one}" for one in result.notes]
    return [*lines, _undo(result.folder, result.corrections)] if result.corrections else lines


def _line(change: Changed) -> str:
    if change.now is None:
        return f"{change.name}: was {_class(change.was)}"
    was = "" if change.was is None else f", was {_class(change.was)}"
    return f"{change.name}: {_class(change.now)}{was}"


def _class(name: str | None) -> str:
    return name or "one of the old classes"


def _undo(folder: str, count: int) -> str:
    last = "it" if count == 1 else f"the last of {count:,} corrections"
    return f"topfive teach {shlex.quote(folder)} --undo takes {last} back"
