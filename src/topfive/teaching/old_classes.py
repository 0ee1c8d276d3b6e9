"""Pictures of a network's own classes: what it answers to them before it is extended."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from topfive.classification.classifier import Classifier
from topfive.classification.pipeline import NOT_FINITE
from topfive.engines.run import log_softmax
from topfive.errors import EngineError, UsageError
from topfive.evaluation import ground_truth, near_copies
from topfive.networks import labels
from topfive.networks.cards import Network
from topfive.networks.class_names import ClassNames
from topfive.networks.lessons import OLD
from topfive.results import Failure, Listener
from topfive.sources.source import Source
from topfive.system.text import listing
from topfive.teaching.class_folders import ClassFolder, split
from topfive.teaching.collection import Collected, collect
from topfive.teaching.extension_offset import Before
from topfive.teaching.teaching_request import TeachingRequest


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
    known = ground_truth.read_or_unlabelled(name, labels.of(network))
    if isinstance(known, ground_truth.Unlabelled):
        note = f"without their classes, first answers are to stay what they are: {known.reason}"
        return OldPictures(name, None, tuple(known), (note,))
    left = known.unlabelled
    notes = (f"without a class, left out: {listing(left)}",) if left else ()
    return OldPictures(name, known.layout, tuple(known), notes)


def gather(
    classifier: Classifier, request: TeachingRequest, old: OldPictures
) -> tuple[Collected, Before]:
    """Return the pictures of new and of old classes, each once, those held out marked, and what
    the network answers to them.

    Raises:
        UsageError: of new or of old classes no picture is left, or one changed meanwhile.
        WeightsError, EngineError, MissingExtraError: see `Classifier`.
    """
    own, log = request.collect(classifier), request.log
    folder = ClassFolder(old.folder, ("old",), tuple((source, 0) for source, _ in old.pictures))
    other = collect(classifier, folder, log, counts=False)
    thumbnails = np.concatenate([own.thumbnails, other.thumbnails])
    features = np.concatenate([own.lessons.features, other.lessons.features])
    groups = near_copies.group(thumbnails, features)
    count = len(own.lessons)
    is_new = np.isin(other.lessons.sha256, own.lessons.sha256) | np.isin(
        groups[count:], groups[:count]
    )
    known = other.lessons.where(~is_new)
    if copies := int(is_new.sum()):
        log.warn(
            f"in {old.folder}, left out because they, or near-copies, are of new classes, too: "
            f"{copies:,}"
        )
    if not len(own.lessons) or not len(known):
        empty = old.folder if len(own.lessons) else request.found.folder
        raise UsageError(f"{empty}: no picture is left that can be read")
    truths = np.full(len(known), OLD)
    apart = groups[count:][~is_new]
    if copies := near_copies.count_copies(apart):
        log.warn(f"{copies:,} of the pictures in {old.folder} are {near_copies.TOGETHER}")
    held = split(truths, request.split, request.seed, apart)
    known = replace(known, truths=truths, held=held)
    told = {source.name: truth for source, truth in old.pictures}
    pictures: list[tuple[Source, int | None]] = [
        *((own.sources[sha256], None) for sha256 in own.lessons.sha256),
        *((one, told[one.name]) for one in map(other.sources.__getitem__, known.sha256)),
    ]
    both = own.lessons + known
    stays = np.concatenate([np.ones(count, np.bool_), ~is_new])
    own = replace(own, lessons=both, thumbnails=thumbnails[stays], groups=groups[stays])
    return own, answers(classifier, pictures, both.sha256, log)


def answers(
    classifier: Classifier,
    pictures: Sequence[tuple[Source, int | None]],
    hashes: Sequence[str],
    listener: Listener,
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
        if isinstance(values, Failure) and values.kind == NOT_FINITE:
            raise EngineError(f"the answer to {source.name} is no numbers (NaN)")
        if isinstance(values, Failure) or response.sha256 != hashes[place]:
            raise UsageError(f"{source.name} changed while it was read; start again")
        best[place] = log_softmax(values).max()
        right[place] = truth is None or values.argmax() == truth
        listener.add(source.name, None)
    listener.end()
    return Before(best, right)


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
