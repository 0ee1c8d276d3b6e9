"""Correct a taught network in seconds: pictures added, forgotten, and all of it taken back."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from topfive.classification.classifier import ClassifierOptions
from topfive.errors import OutputError, UsageError
from topfive.evaluation import metrics
from topfive.evaluation.metrics import Measure
from topfive.networks import find, taught_folders
from topfive.networks.cards import Taught
from topfive.networks.taught_cards import ChangeEntry
from topfive.results import Failure, Listener
from topfive.system import extras
from topfive.system.processes import Background
from topfive.system.text import listing
from topfive.teaching import corrected_network, correction_requests, extension_offset, regression
from topfive.teaching.collection import Log
from topfive.teaching.corrected_network import CorrectedNetwork, Revision, TaughtPictures

LOCK = f"{taught_folders.LOCK}-corrections"


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
    """An entry of the journal: what was done when, the fingerprints before and after."""

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


def add(
    folder: str | os.PathLike[str],
    pictures: Sequence[tuple[str, str]],
    *,
    listener: Listener | None = None,
    **options: Unpack[ClassifierOptions],
) -> Corrected:
    """Teach a network in a folder further pictures, each with the name of its class.

    A picture that it was taught as another class is of this class from now on; a name that is
    none of its classes' becomes a new one's. Of an extended network it may be a class of the
    backbone. None of them is held out. `options` are those of `Classifier`. Pictures that cannot
    be read are left out.

    Raises:
        UsageError: the network cannot be corrected, or not so; nothing is changed.
        WeightsError: the backbone's weights are not those that it was taught with.
        EngineError, MissingExtraError: see `Classifier`, `regression.fit`.
        OutputError: it cannot be written; what was there stays.
    """
    start, log = perf_counter(), Log(listener)
    extras.require("teach", "teaching")
    with _open(folder) as network:
        importing = Background(regression.prepare)
        revision = correction_requests.additions(network, pictures, log, options)
        importing.result()
        return _finish(folder, revision, log.failures, start)


def forget(folder: str | os.PathLike[str], names: Sequence[str]) -> Corrected:
    """Make a network in a folder what it would be had it not been taught some pictures.

    Each is named by a file with its content, by the name that it was taught with or the end of
    that, or by the sha256 of its bytes. A class whose last picture is forgotten is removed.

    Raises:
        UsageError: a picture was not taught, or too little would be left; nothing is changed.
        MissingExtraError: see `regression.fit`.
        OutputError: it cannot be written; what was there stays.
    """
    start = perf_counter()
    extras.require("teach", "teaching")
    with _open(folder) as network:
        return _finish(folder, correction_requests.removals(network, names), (), start)


def undo(folder: str | os.PathLike[str]) -> Corrected:
    """Take the last correction of the network in a folder back: it is what it was, byte for byte.

    Raises:
        UsageError: there is none.
        OutputError: it cannot be written; what was there stays.
    """
    start = perf_counter()
    with _open(folder) as network:
        return _finish(folder, corrected_network.last(network), (), start)


def history(folder: str | os.PathLike[str]) -> History:
    """Return the corrections of the network in a folder.

    Raises:
        UsageError: there is no network, or it is damaged.
    """
    taught = _find(folder)
    entries = taught_folders.read_card(Path(taught.folder)).corrections
    try:
        after = [str(entry["fingerprint"]) for entry in entries[1:]] + [taught.fingerprint]
        found = [
            Correction(
                str(entry["date"]),
                str(entry["what"]),
                tuple(map(_changed, entry["changes"])),
                (str(entry["fingerprint"]), then),
            )
            for entry, then in zip(entries, after, strict=False)
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"the journal in {taught.folder} is damaged: {error!r}") from error
    return History(os.fsdecode(folder), tuple(found))


def _changed(change: ChangeEntry) -> Changed:
    """Return a change of the journal; a KeyError, TypeError or ValueError says it is damaged."""
    was, now = change["was"], change["now"]
    classes = [None if end is None else str(end["class"]) for end in (was, now)]
    one = now or was
    if one is None:
        raise ValueError("nothing changed")
    return Changed(str(one["name"]), str(one["sha256"]), *classes)


def _find(folder: str | os.PathLike[str]) -> Taught:
    network = find.find_network(os.fsdecode(folder))
    if network.taught is None:
        raise UsageError(f"{network.name} is a published network; only taught ones are corrected")
    return network.taught


@contextmanager
def _open(folder: str | os.PathLike[str]) -> Iterator[CorrectedNetwork]:
    """Yield the network in a folder, held against other corrections from before it is read."""
    from filelock import FileLock

    place = Path(_find(folder).folder)
    with ExitStack() as held:
        try:
            held.enter_context(FileLock(place / LOCK))
        except OSError as error:
            raise OutputError(f"cannot write {folder}: {error.strerror or error}") from error
        yield corrected_network.read(place)


def _fit(network: CorrectedNetwork, pictures: TaughtPictures) -> NDArray[np.float32]:
    """Return the head that pictures teach, with the strength that was chosen before."""
    classes, card = pictures.classes, network.card
    least = 1 if card.extends else 2
    if len(classes) < least:
        left = f"{listing(classes)} alone" if classes else "no class"
        raise UsageError(f"that would leave {left}; {least} or more are needed")
    train = pictures.where(~pictures.lessons.held)
    features, truths, before = train.lessons.features, train.lessons.truths, train.before
    if lost := [name for place, name in enumerate(classes) if place not in truths]:
        raise UsageError(
            f"no picture of {listing(lost)} would be left but those that are held out: forget "
            "these, too, or add one"
        )
    try:
        strength, seed = float(card.made["strength"]), int(card.made["seed"])
        cost = float(card.made["cost"]) if card.extends else 0.0
        if not 0 < strength < 1e12 or not 0 <= seed < 1 << 32 or not 0 <= cost < 1e12:
            raise ValueError(f"strength {strength:g}, seed {seed}, cost {cost:g}")
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"{network.folder} does not say how it was taught: {error!r}; teach it again"
        ) from error
    if card.extends:
        return extension_offset.fit(
            features, truths, len(classes), before, cost, strength=strength, seed=seed
        )[0]
    return regression.fit(features, truths, len(classes), strength=strength, seed=seed).head


def _finish(
    folder: str | os.PathLike[str], revision: Revision, failures: Sequence[Failure], start: float
) -> Corrected:
    """Write what is revised, and return what that did."""
    before = revision.network
    if revision.what == "undo":
        corrected_network.write_back(revision)
    elif revision.changes:
        corrected_network.write(revision, _fit(before, revision.outcome[0]))
    after = corrected_network.read(before.folder)
    accuracy, old = _measure(before, after)
    return Corrected(
        os.fsdecode(folder),
        revision.what,
        tuple(map(_changed, revision.changes)),
        after.classes,
        tuple(name for name in after.classes if name not in before.classes),
        tuple(name for name in before.classes if name not in after.classes),
        accuracy,
        old,
        (before.fingerprint, after.fingerprint),
        len(after.card.corrections),
        perf_counter() - start,
        revision.notes,
        tuple(failures),
    )


Pair = tuple[Measure, Measure] | None


def _measure(before: CorrectedNetwork, after: CorrectedNetwork) -> tuple[Pair, Pair]:
    """Return how many of the pictures that are held out now are right before and after: those of
    the network's own classes and, of an extended one, those of the backbone's."""
    pictures = after.pictures.where(after.pictures.lessons.held)
    held = pictures.lessons
    if not len(held):
        return None, None
    own, old = [], []
    for one in (before, after):
        scores = extension_offset.scores(one.head, held.features)
        scores = _in_order(scores, one.classes, after.classes)
        if after.card.extends:
            outcome = extension_offset.measure(scores, held.truths, pictures.before)
            own.append(outcome.recognised)
            old.append(outcome.after)
        else:
            own.append(metrics.share(int((scores.argmax(axis=1) == held.truths).sum()), len(held)))
    return (own[0], own[1]), (old[0], old[1]) if old else None


def _in_order(
    scores: NDArray[np.float32], names: Sequence[str], wanted: Sequence[str]
) -> NDArray[np.float32]:
    """Return (n, names) scores in the order of the `wanted` classes, those of others after them;
    a class that is not known never wins."""
    unknown = np.full(len(scores), -np.inf, np.float32)
    columns = dict(zip(names, scores.T, strict=True))
    others = [name for name in names if name not in wanted]
    return np.stack([columns.get(name, unknown) for name in (*wanted, *others)], axis=1)
