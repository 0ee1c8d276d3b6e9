"""Correct a taught network in seconds: pictures added, forgotten, and all of it taken back."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from topfive.classification.classifier import ClassifierOptions
from topfive.errors import OutputError, UsageError
from topfive.evaluation import metrics
from topfive.evaluation.metrics import Measure
from topfive.networks import find, taught_folders
from topfive.networks.cards import Taught
from topfive.results import Failure, Listener
from topfive.system import extras
from topfive.system.processes import Background
from topfive.system.text import listing
from topfive.teaching import (
    corrected_network,
    correction_journal,
    correction_requests,
    extension_offset,
    regression,
)
from topfive.teaching.collection import Log
from topfive.teaching.corrected_network import CorrectedNetwork, TaughtPictures
from topfive.teaching.correction_journal import Revision
from topfive.teaching.correction_results import Corrected, History, changed, journal

# Some of them are the results'.
__all__ = ["Corrected", "History", "add", "forget", "history", "undo"]

LOCK = f"{taught_folders.LOCK}-corrections"


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
    with _locked(folder) as place:
        network = corrected_network.read(place)
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
    with _locked(folder) as place:
        network = corrected_network.read(place)
        return _finish(folder, correction_requests.removals(network, names), (), start)


def undo(folder: str | os.PathLike[str]) -> Corrected:
    """Take the last correction of the network in a folder back: it is what it was, byte for byte.

    Raises:
        UsageError: there is none.
        OutputError: it cannot be written; what was there stays.
    """
    start = perf_counter()
    with _locked(folder) as place:
        revision = correction_journal.last(corrected_network.read(place))
        return _finish(folder, revision, (), start)


def history(folder: str | os.PathLike[str]) -> History:
    """Return the corrections of the network in a folder.

    Raises:
        UsageError: there is no network, or it is damaged.
    """
    place, taught = _find(folder)
    entries = taught_folders.read_card(place).corrections
    try:
        found = journal(entries, taught.fingerprint)
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"the journal in {place} is damaged: {error!r}") from error
    return History(os.fsdecode(folder), found)


def _find(folder: str | os.PathLike[str]) -> tuple[Path, Taught]:
    network = find.find_network(os.fsdecode(folder))
    if network.taught is None:
        raise UsageError(f"{network.name} is a published network; only taught ones are corrected")
    return Path(network.taught.folder), network.taught


@contextmanager
def _locked(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """Hold a network's folder against other corrections, from before it is read."""
    from filelock import FileLock

    place, _ = _find(folder)
    lock = FileLock(place / LOCK)
    try:
        lock.acquire()
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {error.strerror or error}") from error
    try:
        yield place
    finally:
        lock.release()


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
        correction_journal.write_back(revision)
    elif revision.changes:
        correction_journal.write(revision, _fit(before, revision.outcome[0]))
    after = corrected_network.read(before.folder)
    accuracy, old = _measure(before, after)
    return Corrected(
        os.fsdecode(folder),
        revision.what,
        tuple(map(changed, revision.changes)),
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
