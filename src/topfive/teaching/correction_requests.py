"""What a user asks to be corrected, as changes to what a network was taught with."""

from __future__ import annotations

import difflib
import hashlib
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from topfive.classification import feature_cache
from topfive.errors import EngineError, UsageError, WeightsError
from topfive.networks import labels, taught_folders, weights
from topfive.networks.class_names import ClassNames, is_number
from topfive.networks.published import find_published
from topfive.results import Failure
from topfive.sources import arguments
from topfive.sources.source import Source
from topfive.teaching import old_classes, taught_networks
from topfive.teaching.collection import TeachingListener
from topfive.teaching.corrected_network import OLD_CLASS, Lesson, Pupil
from topfive.teaching.correction_journal import Change, changed

SHA256 = re.compile(r"(?:sha256:)?([0-9a-f]{64})")
ALIKE = 0.8  # of two names, for one to be taken for the other mistyped


def additions(
    pupil: Pupil, pictures: Sequence[tuple[str, str]], listener: TeachingListener,
    options: Mapping[str, Any],
) -> tuple[list[Change], list[str], list[Failure]]:  # fmt: skip
    """Return what pictures change, each named beside its class; what is to be said of them; and
    the failures of those that cannot be read. `options` are those of `Classifier`.

    Raises:
        UsageError: a picture is of two classes, or a name cannot be a class's.
        WeightsError, EngineError: see `Classifier`; or the weights are not those of then.
    """
    given = [
        (source, *known)
        for picture, name in pictures
        for known in [_class_of(pupil, name)]
        for source in arguments.read([picture])
    ]
    found, failures = _look(pupil, given, listener, options)
    return *_changes(pupil, found), failures


def removals(pupil: Pupil, names: Sequence[str]) -> list[Change]:
    """Return the changes that forget the pictures with these names; see `correcting.forget`.

    Raises:
        UsageError: a name means none of the pictures, or several.
        PictureError: it is a file that cannot be read.
    """
    # From the last to the first, so that the places stay right.
    places = sorted({_find(pupil, name) for name in names}, reverse=True)
    return [Change(place, pupil.lessons[place], None) for place in places]


def _class_of(pupil: Pupil, name: str) -> tuple[str, int | None]:
    """Return the label of the class that a name means, and its index where it is one of the
    backbone's."""
    if name in pupil.classes:
        return name, None
    known = labels.of(pupil.network)
    first = len(known) - len(pupil.classes)
    place = None if is_number(name) else ClassNames(known).find(name, str(pupil.folder))
    if place is not None:
        return (OLD_CLASS, place) if place < first else (pupil.classes[place - first], None)
    taught_folders.check_classes([name])
    if pupil.network.taught and pupil.extends:
        old_classes.check_classes([name], find_published(pupil.network.taught.backbone))
    return name, None


def _look(
    pupil: Pupil, given: Sequence[tuple[Source, str, int | None]], listener: TeachingListener,
    options: Mapping[str, Any],
) -> tuple[list[Lesson], list[Failure]]:  # fmt: skip
    """Return the pictures that can be read, as lessons, and the failures of the others."""
    _check_weights(pupil, offline=bool(options.get("offline")))
    classifier, _ = taught_networks.open_backbone(pupil.network, **options)
    found: list[Lesson] = []
    truths: list[tuple[Source, int | None]] = []
    failures = []
    listener.begin(len(given))
    with feature_cache.open_features(classifier) as opened:
        responses = opened.responses(source for source, _, _ in given)
        for (source, response), (_, label, truth) in zip(responses, given, strict=True):
            values = response.values
            failure = values if isinstance(values, Failure) else None
            listener.add(source.name, failure)
            if isinstance(values, Failure):
                failures.append(values)
                continue
            if len(values) + 1 != len(pupil.head) or not np.isfinite(values).all():
                raise EngineError(f"the features of {source.name} are not what was taught with")
            found.append(Lesson(source.name, str(response.sha256), label, False, values))
            truths.append((source, truth))
    listener.end()
    if pupil.extends:
        hashes = [one.sha256 for one in found]
        before = old_classes.answers(classifier, truths, hashes, TeachingListener())
        found = [
            replace(one, best=float(before.best[place]), right=bool(before.right[place]))
            for place, one in enumerate(found)
        ]
    return found, failures


def _check_weights(pupil: Pupil, offline: bool) -> None:
    base, file = taught_networks.backbone(pupil.network)
    if base.taught or file:  # weights of its own, which are checked
        return
    wanted, found = pupil.network.weights.checksum, weights.checksum(base)
    if (found or weights.held(base, offline).checksum) != wanted:
        raise WeightsError(
            f"{pupil.folder} was taught with other weights of {base.name} than those here: "
            f"expected {wanted}; teach it again"
        )


def _changes(pupil: Pupil, found: Sequence[Lesson]) -> tuple[list[Change], list[str]]:
    places = {one.sha256: place for place, one in enumerate(pupil.lessons)}
    names = {one.name: one for one in pupil.lessons}
    given: dict[str, Lesson] = {}
    for one in found:
        other = given.setdefault(one.sha256, one)
        if other.label != one.label:
            raise UsageError(f"{one.name} and {other.name} are one picture: it is of one class")
    changes: list[Change] = []
    notes = []
    end = len(pupil.lessons)
    for one in given.values():
        if one.sha256 not in places:
            changes.append(Change(end, None, one))
            end += 1
            if one.name in names:
                notes.append(f"{one.name} was taught with other content, which stays")
            continue
        place = places[one.sha256]
        was = pupil.lessons[place]
        if was.label == one.label:
            held = ", held out" if was.held else ""
            notes.append(f"{one.name} is there already: {was.name}{held}")
        else:
            right = one.right if one.label == OLD_CLASS else was.right
            changes.append(
                Change(place, was, replace(was, label=one.label, held=False, right=right))
            )
    return changes, notes + _new_classes(pupil, changes)


def _new_classes(pupil: Pupil, changes: Sequence[Change]) -> list[str]:
    known = Counter(one.label for one in changed(pupil.lessons, changes))
    notes = []
    for name in {one.now.label: None for one in changes if one.now}:
        if name not in pupil.classes and name != OLD_CLASS:
            close = difflib.get_close_matches(name, pupil.classes, n=1, cutoff=ALIKE)
            hint = f"; or is it {close[0]}?" if close else ""
            notes.append(f"{name} is a new class, pictures of it: {known[name]:,}{hint}")
    return notes


def _find(pupil: Pupil, name: str) -> int:
    """Return the place of the lesson that a name means.

    Raises:
        UsageError: there is none, or several.
        PictureError: it is a file that cannot be read.
    """
    digest = SHA256.fullmatch(name.lower())
    wanted = digest[1] if digest else ""
    if Path(name).is_file():
        wanted = hashlib.sha256(Source(name, Path(name)).read()).hexdigest()
    end = f"{os.sep}{os.path.normpath(name)}"
    ways = (
        [one.sha256 == wanted for one in pupil.lessons],
        [one.name == name for one in pupil.lessons],
        [f"{os.sep}{one.name}".endswith(end) for one in pupil.lessons],
    )
    for way in ways:
        places = np.flatnonzero(way)
        if len(places) == 1:
            return int(places[0])
        if len(places):
            several = ", ".join(pupil.lessons[place].sha256 for place in places)
            raise UsageError(f"{name} names several pictures, name one by its sha256: {several}")
    close = difflib.get_close_matches(name, [one.name for one in pupil.lessons], n=1)
    hint = (
        f". Did you mean {close[0]}?"
        if close
        else "; a picture is named by a file with its "
        "content, by the name that it was taught with, or by its sha256"
    )
    raise UsageError(f"{pupil.folder} was not taught {name}{hint}")
