"""A folder with a folder of pictures for each class to a network that tells these classes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from topfive.errors import UsageError
from topfive.networks import lessons
from topfive.networks.cards import Network
from topfive.networks.lessons import Lessons
from topfive.results import Failure
from topfive.system.processes import Background
from topfive.system.text import listing
from topfive.teaching import class_folders, regression, taught_networks
from topfive.teaching.accuracies import Accuracy, measure
from topfive.teaching.class_folders import odd_classes
from topfive.teaching.collection import Collected, TeachingListener, chosen, collect, joined
from topfive.teaching.regression import Tried

SPLIT = 0.2


@dataclass(frozen=True)
class Changes:
    """How a folder's pictures differ from those that a network was taught with before."""

    new: int
    gone: int
    changed: int


@dataclass(frozen=True)
class Teaching:
    """A network that was taught, in its `folder`, and how that went.

    `network` is the backbone's name; `pictures` were taught, `held_out` were not. `known` of them
    had their features already, and `computed` had not. `strength` is that of the
    regularisation, of those `tried`. The `seconds` are of the `features`, of the `fitting`, of
    `all`. `changes` are those since the network that was replaced.
    """

    folder: str
    network: str
    recipe: str
    classes: tuple[str, ...]
    pictures: int
    held_out: int
    accuracy: Accuracy
    strength: float
    tried: tuple[Tried, ...]
    known: int
    computed: int
    seconds: Mapping[str, float]
    changes: Changes | None
    warnings: tuple[str, ...]
    failures: tuple[Failure, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return {
            **asdict(self),
            "accuracy": self.accuracy.to_dict(),
            "failures": [one.to_dict() for one in self.failures],
        }


def teach(
    folder: str | os.PathLike[str],
    out: str | os.PathLike[str],
    network: str | Network | None = None,
    *,
    validation: str | os.PathLike[str] | None = None,
    split: float = SPLIT,
    seed: int = 0,
    force: bool = False,
    listener: TeachingListener | None = None,
    **options: Any,
) -> Teaching:
    """Teach a network the classes of a folder and write it to the folder `out`.

    `folder` holds a folder of pictures for each class; see `class_folders.read`. The accuracy is
    that on the pictures in `validation`, a folder like it, else on the share `split` (0 to 1) of
    each class; neither is taught. With a `split` of 0 it is that of cross-validation. The same
    `seed` gives the same parts. With `force` a network in `out` is replaced. `options` are those
    of `Classifier`. Pictures that cannot be read are left out.

    Raises:
        UsageError: there are fewer than two classes, `out` is taken, an option does not fit.
        WeightsError, EngineError, MissingExtraError: see `Classifier`, `regression.fit`.
        OutputError: the network cannot be written; what was there stays.
    """
    start = perf_counter()
    listener = listener or TeachingListener()
    regression.check_installed()
    target = Path(out)
    taught_networks.check_target(target, Path(folder), force)
    found = class_folders.read(folder)
    apart = None if validation is None else class_folders.read(validation, least=1)
    class_folders.split([], split, seed)  # refuses what it does not take
    notes = odd_classes(found, apart)
    for note in notes:
        listener.warn(note)
    before = _before(target)
    classifier, file = taught_networks.open_backbone(network, **options)
    importing = Background(regression.prepare)
    collected = [collect(classifier, found, listener)]
    if apart is None:
        pupils = collected[0].lessons
        pupils = replace(pupils, held=class_folders.split(pupils.truths, split, seed))
    else:
        collected.append(collect(classifier, apart, listener, counts=False))
        pupils, more = with_validation(collected[0], collected[1], apart.folder)
        notes += more
        for note in more:
            listener.warn(note)
    classes, train = collected[0].classes, chosen(pupils, ~pupils.held)
    if len(classes) < 2:
        raise UsageError(f"{found.folder}: pictures of {len(classes)} class are left; "
                         "expected two classes or more")  # fmt: skip
    importing.result()
    reading, fitting = sum(one.seconds for one in collected), perf_counter()
    fit = regression.fit(train.features, train.truths, len(classes), seed=seed)
    accuracy = measure(classes, pupils, fit)
    seconds = {"features": reading, "fitting": perf_counter() - fitting}
    made = {
        "by": "teach",
        "versions": {name: version(name) for name in ("topfive", "scikit-learn")},
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "folder": os.fsdecode(folder),
        "validation": None if validation is None else os.fsdecode(validation),
        "split": split if validation is None else None,
        "seed": seed,
        "pictures": len(train),
        "held_out": len(pupils) - len(train),
        "accuracy": asdict(accuracy.all),
        "strength": fit.strength,
        "tried": [asdict(one) for one in fit.folds],
        "seconds": seconds,
    }
    taught_networks.write(target, classifier, file, classes, fit.head, pupils, made)
    told = [text for one in collected for text in one.warnings] + notes
    return Teaching(
        str(target),
        classifier.network.name,
        str(classifier.recipe),
        classes,
        len(train),
        len(pupils) - len(train),
        accuracy,
        fit.strength,
        fit.folds,
        sum(one.known for one in collected),
        sum(one.computed for one in collected),
        {**seconds, "all": perf_counter() - start},
        None if before is None else changes(before, pupils),
        tuple(told),
        tuple(failure for one in collected for failure in one.failures),
    )


def with_validation(
    collected: Collected, apart: Collected, folder: str
) -> tuple[Lessons, list[str]]:
    """Return the pictures of a folder and those that are held out, from the validation's
    `folder`, as one; and what is said of those in both, which are held out.

    Raises:
        UsageError: no picture of a class is left to teach.
    """
    places = {name: number for number, name in enumerate(collected.classes)}
    truths = np.array([places.get(name, lessons.OLD) for name in apart.classes], np.intp)
    second = replace(
        apart.lessons,
        names=tuple(os.path.join(folder, name) for name in apart.lessons.names),  # noqa: PTH118
        truths=truths[apart.lessons.truths],
        held=np.ones(len(apart.lessons), np.bool_),
    )
    second = chosen(second, second.truths != lessons.OLD)
    both = set(second.sha256)
    own = collected.lessons
    first = chosen(own, np.array([one not in both for one in own.sha256], np.bool_))
    taught = np.bincount(first.truths, minlength=len(places))
    if gone := [name for name, number in places.items() if not taught[number]]:
        raise UsageError(f"all pictures of {listing(gone)} are in {folder}, too: none is left")
    left = len(own) - len(first)
    notes = [f"{left:,} pictures are in {folder}, too: they are not taught"] if left else []
    return joined(first, second), notes


def changes(before: Lessons, after: Lessons) -> Changes:
    """Return how the pictures of two teachings differ, by their names and contents."""
    old = dict(zip(before.names, before.sha256, strict=True))
    new = dict(zip(after.names, after.sha256, strict=True))
    changed = sum(old.get(name, sha256) != sha256 for name, sha256 in new.items())
    return Changes(len(new.keys() - old.keys()), len(old.keys() - new.keys()), changed)


def _before(out: Path) -> Lessons | None:
    """Return what the network that is replaced was taught with, if that can be read."""
    with suppress(UsageError):
        return lessons.read(out)
    return None
