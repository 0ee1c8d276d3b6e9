"""Correct a taught network in seconds: pictures added, forgotten, and all of it taken back."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from topfive.errors import OutputError, UsageError
from topfive.evaluation import metrics
from topfive.evaluation.metrics import Measure
from topfive.networks import find, taught_folders
from topfive.networks.cards import Taught
from topfive.results import Failure
from topfive.system.processes import Background
from topfive.system.text import listing
from topfive.teaching import (
    corrected_network,
    correction_journal,
    correction_requests,
    extension_offset,
    regression,
)
from topfive.teaching.collection import TeachingListener
from topfive.teaching.corrected_network import Lesson, Pupil
from topfive.teaching.correction_journal import Change, changed
from topfive.teaching.correction_results import Changed, Corrected, History, journal

# Some of them are the results'.
__all__ = ["Corrected", "History", "add", "forget", "history", "undo"]

LOCK = f"{taught_folders.LOCK}-corrections"


def add(
    folder: str | os.PathLike[str],
    pictures: Sequence[tuple[str, str]],
    *,
    listener: TeachingListener | None = None,
    **options: Any,
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
    start = perf_counter()
    regression.check_installed()
    with _locked(folder) as place:
        pupil = corrected_network.read(place)
        importing = Background(regression.prepare)
        found = correction_requests.additions(
            pupil, pictures, listener or TeachingListener(), options
        )
        importing.result()
        return _correct(folder, pupil, "add", *found, start)


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
    regression.check_installed()
    with _locked(folder) as place:
        pupil = corrected_network.read(place)
        changes = correction_requests.removals(pupil, names)
        return _correct(folder, pupil, "forget", changes, [], [], start)


def undo(folder: str | os.PathLike[str]) -> Corrected:
    """Take the last correction of the network in a folder back: it is what it was, byte for byte.

    Raises:
        UsageError: there is none.
        OutputError: it cannot be written; what was there stays.
    """
    start = perf_counter()
    with _locked(folder) as place:
        pupil = corrected_network.read(place)
        changes = correction_journal.last(pupil)
        correction_journal.write_back(pupil, changes)
        return _result(folder, pupil, "undo", changes, [], [], start)


def history(folder: str | os.PathLike[str]) -> History:
    """Return the corrections of the network in a folder.

    Raises:
        UsageError: there is no network, or it is damaged.
    """
    place, taught = _find(folder)
    content = taught_folders.read_card(place)
    try:
        found = journal(corrected_network.entries(content), taught.fingerprint)
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


def _correct(
    folder: str | os.PathLike[str], pupil: Pupil, what: str, changes: Sequence[Change],
    notes: Sequence[str], failures: Sequence[Failure], start: float,
) -> Corrected:  # fmt: skip
    if changes:
        found = changed(pupil.lessons, changes)
        head = _taught(pupil, found, corrected_network.classes_of(found, pupil.classes))
        date = datetime.now(UTC).isoformat(timespec="seconds")
        correction_journal.write(pupil, what, date, changes, head)
    return _result(folder, pupil, what, changes, notes, failures, start)


def _taught(pupil: Pupil, found: Sequence[Lesson], classes: Sequence[str]) -> NDArray[np.float32]:
    """Return the head that lessons teach, with the strength that was chosen before."""
    least = 1 if pupil.extends else 2
    if len(classes) < least:
        left = f"{listing(classes)} alone" if classes else "no class"
        raise UsageError(f"that would leave {left}; {least} or more are needed")
    train = [one for one in found if not one.held]
    shown = {one.label for one in train}
    if lost := [name for name in classes if name not in shown]:
        raise UsageError(
            f"no picture of {listing(lost)} would be left but those that are held out: "
            "forget these, "
            "too, or add one"
        )
    vectors, truths = corrected_network.features(train), corrected_network.truths(train, classes)
    try:
        made = pupil.content["made"]
        strength, seed = float(made["strength"]), int(made["seed"])
        cost = float(made["cost"]) if pupil.extends else 0.0
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{pupil.folder} does not say how it was taught: {error!r}; teach it "
                         "again") from error  # fmt: skip
    if pupil.extends:
        before = corrected_network.before(train)
        return extension_offset.fit(
            vectors, truths, len(classes), before, cost, strength=strength, seed=seed
        )[0]
    return regression.fit(vectors, truths, len(classes), strength=strength, seed=seed).head


def _result(
    folder: str | os.PathLike[str], before: Pupil, what: str, changes: Sequence[Change],
    notes: Sequence[str], failures: Sequence[Failure], start: float,
) -> Corrected:  # fmt: skip
    after = corrected_network.read(before.folder)
    accuracy, old = _measure(before, after)
    return Corrected(
        os.fsdecode(folder),
        what,
        tuple(_told(change) for change in changes),
        after.classes,
        tuple(name for name in after.classes if name not in before.classes),
        tuple(name for name in before.classes if name not in after.classes),
        accuracy,
        old,
        (before.fingerprint, after.fingerprint),
        len(after.entries),
        perf_counter() - start,
        tuple(notes),
        tuple(failures),
    )


def _told(change: Change) -> Changed:
    was, now = (None if one is None else one.label for one in (change.was, change.now))
    one = change.now or change.was
    return Changed(one.name if one else "", one.sha256 if one else "", was, now)


Pair = tuple[Measure, Measure] | None


def _measure(before: Pupil, after: Pupil) -> tuple[Pair, Pair]:
    """Return how many of the pictures that are held out now are right before and after: those of
    the network's own classes and, of an extended one, those of the backbone's."""
    held = [one for one in after.lessons if one.held]
    if not held:
        return None, None
    truths = corrected_network.truths(held, after.classes)
    vectors, answers = corrected_network.features(held), corrected_network.before(held)
    own, old = [], []
    for one in (before, after):
        scores = _in_order(extension_offset.scores(one.head, vectors), one.classes, after.classes)
        if after.extends:
            outcome = extension_offset.measure(scores, truths, answers)
            own.append(outcome.recognised)
            old.append(outcome.after)
        else:
            own.append(metrics.share(int((scores.argmax(axis=1) == truths).sum()), len(held)))
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
