"""Pictures of a network's own classes: what it answers to them before it is extended."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from topfive.classification.classifier import Classifier
from topfive.errors import EngineError, UsageError
from topfive.evaluation import ground_truth
from topfive.networks import labels
from topfive.networks.cards import Network
from topfive.networks.class_names import ClassNames
from topfive.networks.lessons import OLD, Lessons
from topfive.results import Failure
from topfive.sources import archives, arguments, buckets, folders
from topfive.sources.source import Source
from topfive.system.text import listing
from topfive.teaching import class_folders, collection, teach
from topfive.teaching.class_folders import ClassFolder
from topfive.teaching.collection import Collected, TeachingListener, chosen, joined
from topfive.teaching.extension_offset import Before


@dataclass(frozen=True)
class OldPictures:
    """Pictures of a folder, each with the index of its class or, all of them, with None: nobody
    tells their classes. `layout` says where these stand, `notes` where care is wanted."""

    folder: str
    layout: str | None
    pictures: tuple[tuple[Source, int | None], ...]
    notes: tuple[str, ...]


def find(folder: str | os.PathLike[str] | None, network: Network) -> OldPictures:
    """Return the pictures of a network's own classes in a folder, an archive or a bucket.

    Raises:
        UsageError: there is no such folder, or none is given.
    """
    if folder is None:
        raise UsageError(
            f"to extend {network.name}, pictures of its own classes are needed (--old DIR), some "
            "hundreds like those it will be shown: new classes are told from them, and what is "
            "lost is measured on them. They may be folders named by class, or have no classes"
        )
    name = os.fsdecode(folder)
    try:
        known = ground_truth.read(name, labels.of(network))
    except UsageError as error:
        if not (folders.is_folder(name) or buckets.is_address(name) or archives.kind(name)):
            raise
        found = tuple((one, None) for one in arguments.read([name], recursive=True, unpack=True))
        note = f"without their classes, first answers are to stay what they are: {error}"
        return OldPictures(name, None, found, (note,))
    left = known.unlabelled
    notes = (f"without a class, left out: {listing(left)}",) if left else ()
    return OldPictures(name, known.layout, tuple(known), notes)


def collect(classifier: Classifier, old: OldPictures, listener: TeachingListener) -> Collected:
    """Return the features of old pictures; see `collecting.collect`."""
    pictures = tuple((source, 0) for source, _ in old.pictures)
    found = ClassFolder(old.folder, ("old",), pictures)
    return collection.collect(classifier, found, listener, counts=False)


@dataclass(frozen=True)
class Gathered:
    """New and old pictures, with what the network answered before."""

    classes: tuple[str, ...]
    lessons: Lessons
    before: Before
    warnings: tuple[str, ...]
    failures: tuple[Failure, ...]


def gather(
    classifier: Classifier, found: ClassFolder, apart: ClassFolder | None, old: OldPictures,
    split: float, seed: int, listener: TeachingListener,
) -> Gathered:  # fmt: skip
    """Return the pictures of all folders, each once, those held out marked.

    Raises:
        UsageError: of new or of old classes no picture is left, or one changed meanwhile.
        WeightsError, EngineError, MissingExtraError: see `Classifier`.
    """
    collected = [collection.collect(classifier, found, listener)]
    own = collected[0].lessons
    notes: list[str] = []
    places = {_relative(one, found.folder): one for one, _ in found.pictures}
    if apart is None:
        own = replace(own, held=class_folders.split(own.truths, split, seed))
    else:
        collected.append(collection.collect(classifier, apart, listener, counts=False))
        own, notes = teach.with_validation(collected[0], collected[1], apart.folder)
        places |= {str(Path(apart.folder) / _relative(one, apart.folder)): one
                    for one, _ in apart.pictures}  # fmt: skip
    collected.append(collect(classifier, old, listener))
    known, both = collected[-1].lessons, set(own.sha256)
    known = chosen(known, np.array([one not in both for one in known.sha256], np.bool_))
    if copies := len(collected[-1].lessons) - len(known):
        notes.append(f"in {old.folder}, left out because they are of new classes, too: {copies:,}")
    if not len(own) or not len(known):
        empty = old.folder if len(own) else found.folder
        raise UsageError(f"{empty}: no picture is left that can be read")
    known = replace(
        known,
        truths=np.full(len(known), OLD),
        held=class_folders.split([OLD] * len(known), split, seed),
    )
    pairs = {_relative(one, old.folder): (one, truth) for one, truth in old.pictures}
    before = answers(
        classifier,
        [*((places[name], None) for name in own.names), *(pairs[name] for name in known.names)],
        own.sha256 + known.sha256,
        listener,
    )
    for note in notes:
        listener.warn(note)
    return Gathered(
        collected[0].classes,
        joined(own, known),
        before,
        (*(text for one in collected for text in one.warnings), *notes),
        tuple(failure for one in collected for failure in one.failures),
    )


def _relative(source: Source, folder: str) -> str:
    return os.path.relpath(source.name, folder)


def answers(
    classifier: Classifier,
    pictures: Sequence[tuple[Source, int | None]],
    hashes: Sequence[str],
    listener: TeachingListener,
) -> Before:
    """Return what a network answers to pictures, each with the index of its class or None: its
    first answer is the right one. `hashes` are those of their bytes.

    Raises:
        UsageError: a picture is another one by now.
        EngineError: the answers are no numbers.
    """
    best = np.empty(len(pictures), np.float32)
    right = np.empty(len(pictures), np.bool_)
    listener.begin(len(pictures))
    found = classifier.responses((source for source, _ in pictures), output="logits")
    for place, (source, response) in enumerate(found):
        values, truth = response.values, pictures[place][1]
        if isinstance(values, Failure) or response.sha256 != hashes[place]:
            raise UsageError(f"{source.name} changed while it was read; start again")
        if not np.isfinite(values).all():
            raise EngineError(f"the answer to {source.name} is no numbers (NaN)")
        best[place] = _best(values)
        right[place] = truth is None or values.argmax() == truth
        listener.add(source.name, None)
    listener.end()
    return Before(best, right)


def _best(logits: NDArray[np.float32]) -> float:
    """Return the logarithm of the most probable class's probability."""
    shifted = logits.astype(np.float64) - logits.max()
    return float(-np.log(np.exp(shifted).sum()))


def check_classes(classes: Sequence[str], network: Network) -> None:
    """Raise a `UsageError` if one of the names means a class that a network has already."""
    known = labels.of(network)
    names = ClassNames(known)
    for name in classes:
        try:
            place = names.find(name, network.name)
            taken = None if place is None else f"{known[place].name} ({known[place].wnid})"
        except UsageError:
            taken = "several of them"
        if taken:
            raise UsageError(
                f"{name!a} is a class of {network.name} already, by its label, WordNet id or "
                f"number: {taken}; choose another name, or teach it without --extend"
            )
