"""What a user asks to be corrected, as changes to what a network was taught with."""

from __future__ import annotations

import difflib
import hashlib
import os
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from topfive.classification import feature_cache
from topfive.classification.classifier import ClassifierOptions
from topfive.errors import EngineError, UsageError, WeightsError
from topfive.networks import labels, weights
from topfive.networks.class_names import ClassNames, is_number
from topfive.networks.published import find_published
from topfive.networks.taught_cards import ChangeEntry, PictureEntry, check_classes
from topfive.results import Listener
from topfive.sources import arguments
from topfive.sources.source import Source
from topfive.teaching import old_classes, taught_networks
from topfive.teaching.collection import read_features
from topfive.teaching.corrected_network import OLD_CLASS, CorrectedNetwork, Revision

SHA256 = re.compile(r"(?:sha256:)?([0-9a-f]{64})")
ALIKE = 0.8  # of two names, for one to be taken for the other mistyped
HOW = (
    "; a picture is named by a file with its content, by the name that it was taught with, or by "
    "its sha256"
)


def additions(
    network: CorrectedNetwork,
    pictures: Sequence[tuple[str, str]],
    listener: Listener,
    options: ClassifierOptions,
) -> Revision:
    """Return what pictures change, each named beside its class. Those that cannot be read are
    told to the listener. `options` are those of `Classifier`.

    Raises:
        UsageError: a picture is of two classes, or a name cannot be a class's.
        WeightsError, EngineError: see `Classifier`; or the weights are not those of then.
    """
    given = [
        (source, *known)
        for picture, name in pictures
        for known in [_class_of(network, name)]
        for source in arguments.read([picture])
    ]
    return _revision(network, *_look(network, given, listener, options))


def removals(network: CorrectedNetwork, names: Sequence[str]) -> Revision:
    """Return what forgets the pictures with these names; see `correct.forget`.

    Raises:
        UsageError: a name means none of the pictures, or several.
        PictureError: it is a file that cannot be read.
    """
    # From the last to the first, so that the places stay right.
    places = sorted({_find(network, name) for name in names}, reverse=True)
    known = network.pictures.entries()
    changes: list[ChangeEntry] = [
        {"place": place, "was": known[place], "now": None} for place in places
    ]
    return Revision(network, "forget", changes, network.pictures.vectors()[:0])


def _class_of(network: CorrectedNetwork, name: str) -> tuple[str, int | None]:
    """Return the name of the class that is meant; of one of the backbone's its index, too."""
    if name in network.classes:
        return name, None
    known = labels.of(network.network)
    first = len(known) - len(network.classes)
    place = None if is_number(name) else ClassNames(known).find(name, str(network.folder))
    if place is not None:
        return (OLD_CLASS, place) if place < first else (network.classes[place - first], None)
    check_classes([name])
    if network.card.extends:
        old_classes.check_classes([name], find_published(network.card.backbone))
    return unicodedata.normalize("NFC", name), None  # as the names of folders


def _look(
    network: CorrectedNetwork,
    given: Sequence[tuple[Source, str, int | None]],
    listener: Listener,
    options: ClassifierOptions,
) -> tuple[list[PictureEntry], NDArray[np.float32]]:
    """Return the given pictures that can be read, and `TaughtPictures.vectors` of them."""
    _check_weights(network, offline=bool(options.get("offline")))
    classifier, _ = taught_networks.open_backbone(network.network, **options)
    with feature_cache.open_features(classifier) as opened:
        pictures = [(source, row) for row, (source, _, _) in enumerate(given)]
        seen = list(read_features(opened, pictures, listener))
    vectors = np.zeros((len(seen), len(network.head) + 1), np.float32)
    for vector, one in zip(vectors, seen, strict=True):
        if len(one.features) != len(vector) - 2:
            raise EngineError(f"the features of {one.source.name} are not what was taught with")
        vector[:-2] = one.features
    if network.card.extends:
        asked = [(one.source, given[one.truth][2]) for one in seen]
        hashes = [one.sha256 for one in seen]
        vectors[:, -2:] = old_classes.answers(classifier, asked, hashes, Listener()).array()
    found: list[PictureEntry] = [
        {
            "name": one.source.name,
            "sha256": one.sha256,
            "class": given[one.truth][1],
            "held": False,
            "right": bool(right),
        }
        for one, right in zip(seen, vectors[:, -1], strict=True)
    ]
    return found, vectors


def _check_weights(network: CorrectedNetwork, offline: bool) -> None:
    base, file = taught_networks.backbone(network.network)
    if base.taught or file:  # weights of its own, which are checked
        return
    wanted, found = network.card.weights.checksum, weights.checksum(base)
    if (found or weights.held(base, offline).checksum) != wanted:
        raise WeightsError(
            f"{network.folder} was taught with other weights of {base.name} than those here: "
            f"expected {wanted}; teach it again"
        )


def _revision(
    network: CorrectedNetwork, found: Sequence[PictureEntry], vectors: NDArray[np.float32]
) -> Revision:
    """Return what the found pictures change: new ones are added, those that are known as
    another class are of this one from now on."""
    known = network.pictures.entries()
    places = {one["sha256"]: place for place, one in enumerate(known)}
    names = set(network.pictures.lessons.names)
    given: dict[str, PictureEntry] = {}
    changes: list[ChangeEntry] = []
    notes: list[str] = []
    incoming: list[int] = []
    for row, one in enumerate(found):
        name, label = one["name"], one["class"]
        other = given.setdefault(one["sha256"], one)
        if other["class"] != label:
            raise UsageError(f"{name} and {other['name']} are one picture: it is of one class")
        if other is not one:
            continue
        place = places.get(one["sha256"])
        if place is None:
            changes.append({"place": len(known) + len(incoming), "was": None, "now": one})
            incoming.append(row)
            if name in names:
                notes.append(f"{name} was taught with other content, which stays")
            continue
        was = known[place]
        if was["class"] == label:
            held = ", held out" if was["held"] else ""
            notes.append(f"{name} is there already: {was['name']}{held}")
        else:
            right = one["right"] if label == OLD_CLASS else was["right"]
            now: PictureEntry = {**was, "class": label, "held": False, "right": right}
            changes.append({"place": place, "was": was, "now": now})
    revision = Revision(network, "add", changes, vectors[incoming])
    return replace(revision, notes=(*notes, *_new_classes(revision)))


def _new_classes(revision: Revision) -> list[str]:
    """Return what is said of the classes that come in."""
    known, (after, _) = revision.network.classes, revision.outcome
    notes = []
    for name in dict.fromkeys(one["now"]["class"] for one in revision.changes if one["now"]):
        if name not in known and name != OLD_CLASS:
            count = int(np.count_nonzero(after.lessons.truths == after.classes.index(name)))
            close = difflib.get_close_matches(name, known, n=1, cutoff=ALIKE)
            hint = f"; or is it {close[0]}?" if close else ""
            notes.append(f"{name} is a new class, pictures of it: {count:,}{hint}")
    return notes


def _find(network: CorrectedNetwork, name: str) -> int:
    """Return the place of the picture that a name means."""
    known = network.pictures.lessons
    digest = SHA256.fullmatch(name.lower())
    wanted = digest[1] if digest else ""
    if Path(name).is_file():
        wanted = hashlib.sha256(Source(name, Path(name)).read()).hexdigest()
    end = f"{os.sep}{os.path.normpath(name)}"
    ways = (
        [sha256 == wanted for sha256 in known.sha256],
        [one == name for one in known.names],
        [f"{os.sep}{one}".endswith(end) for one in known.names],
    )
    for way in ways:
        places = np.flatnonzero(way)
        if len(places) == 1:
            return int(places[0])
        if len(places):
            several = ", ".join(known.sha256[place] for place in places)
            raise UsageError(f"{name} names several pictures, name one by its sha256: {several}")
    close = difflib.get_close_matches(name, known.names, n=1)
    hint = f". Did you mean {close[0]}?" if close else HOW
    raise UsageError(f"{network.folder} was not taught {name}{hint}")
