"""Classes of one's own beside those of a published network: one softmax over both."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from topfive.errors import UsageError
from topfive.evaluation.metrics import share_text
from topfive.networks import heads
from topfive.networks.cards import Network
from topfive.networks.find import find_network
from topfive.networks.lessons import OLD
from topfive.results import Failure
from topfive.system.processes import Background
from topfive.teaching import (
    class_folders,
    corrected_network,
    extension_offset,
    old_classes,
    regression,
    taught_networks,
    teach,
)
from topfive.teaching.collection import TeachingListener
from topfive.teaching.extension_offset import Outcome

COST = 2.0  # percent
# What the card keeps of the result.
MADE = ("pictures", "old_pictures", "layout", "cost", "strength", "offset", "outcome", "seconds")


@dataclass(frozen=True)
class Extended:
    """A network that was extended, in its `folder`, and what was measured of it on the pictures
    that are held out.

    `network` is the backbone's name, `classes` are the new ones. `pictures` and `old_pictures`
    were taught, the others held out. `layout` says where the classes of the old pictures stand;
    without one, right is the answer that the network gave before. `cost` is what was asked for,
    in percent; for it `offset` was added to the new classes' scores. `strength` is that of the
    regularisation.
    """

    folder: str
    network: str
    recipe: str
    classes: tuple[str, ...]
    pictures: int
    old_pictures: int
    layout: str | None
    cost: float
    strength: float
    offset: float
    outcome: Outcome
    seconds: float
    warnings: tuple[str, ...]
    failures: tuple[Failure, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return {**asdict(self), "failures": [one.to_dict() for one in self.failures]}


def extend(
    folder: str | os.PathLike[str],
    old: str | os.PathLike[str] | None,
    out: str | os.PathLike[str],
    network: str | Network | None = None,
    *,
    cost: float = COST,
    validation: str | os.PathLike[str] | None = None,
    split: float = teach.SPLIT,
    seed: int = 0,
    force: bool = False,
    listener: TeachingListener | None = None,
    **options: Any,
) -> Extended:
    """Add the classes of a folder to a published network's own and write that to `out`.

    `folder` holds a folder of pictures for each new class, `old` pictures of the old classes,
    which are to stay what they are: in any layout that `ground_truth.read` knows, or without
    classes; then the network's first answers are to stay. Of further pictures like these at most
    `cost` percent, on average, are answered right no longer. The share `split` of all is held
    out and measured on; of the new ones those in `validation`, where that is given. For the rest
    see `teaching.teach`.

    Raises:
        UsageError: there are too few pictures, a class is one of the network's already, the cost
            cannot be kept, `out` is taken, an option does not fit; nothing is written.
        WeightsError, EngineError, MissingExtraError: see `Classifier`, `regression.fit`.
        OutputError: the network cannot be written; what was there stays.
    """
    start = perf_counter()
    listener = listener or TeachingListener()
    regression.check_installed()
    target, card = Path(out), find_network(network)
    taught_networks.check_target(target, Path(folder), force)
    if card.taught:
        raise UsageError(
            f"{card.name} was taught: extend {card.taught.backbone} with all new classes at once, "
            "or add pictures of new ones to an extended network (--add)"
        )
    found = class_folders.read(folder, least=1)
    apart = None if validation is None else class_folders.read(validation, least=1)
    notes = class_folders.odd_classes(found, apart)
    old_classes.check_classes(found.classes, card)
    before = old_classes.find(old, card)
    if split == 0:
        raise UsageError("what is lost is measured on pictures that are held out: give a split")
    left = class_folders.split([OLD] * len(before.pictures), split, seed)
    extension_offset.allowed(int(np.count_nonzero(~left)), cost)  # before any work
    for note in (*notes, *before.notes):
        listener.warn(note)
    classifier, file = taught_networks.open_backbone(card, **options)
    importing = Background(regression.prepare)
    gathered = old_classes.gather(classifier, found, apart, before, split, seed, listener)
    importing.result()
    known, train = gathered.lessons, ~gathered.lessons.held
    head, strength, offset = extension_offset.fit(
        known.features[train], known.truths[train], len(gathered.classes), gathered.before[train],
        cost, seed=seed,
    )  # fmt: skip
    own = extension_offset.scores(head, known.features[known.held])
    outcome = extension_offset.measure(own, known.truths[known.held], gathered.before[known.held])
    kept = _kept(outcome, cost)
    for note in kept:
        listener.warn(note)
    result = Extended(
        str(target),
        card.name,
        str(classifier.recipe),
        gathered.classes,
        int(np.count_nonzero(known.truths[train] != OLD)),
        int(np.count_nonzero(known.truths[train] == OLD)),
        before.layout,
        cost,
        strength,
        offset,
        outcome,
        perf_counter() - start,
        (*notes, *before.notes, *gathered.warnings, *kept),
        gathered.failures,
    )
    made = {
        "by": "teach --extend",
        "versions": {name: version(name) for name in ("topfive", "scikit-learn")},
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "source": os.fsdecode(folder),
        "old": before.folder,
        "validation": None if validation is None else os.fsdecode(validation),
        "split": split,
        "seed": seed,
        **{name: value for name, value in result.to_dict().items() if name in MADE},
    }
    answers = partial(heads.write, gathered.before.array())
    taught_networks.write(
        target, classifier, file, gathered.classes, head, gathered.lessons, made,
        extends=True, more={corrected_network.ANSWERS: (heads.ENDING, answers)},
    )  # fmt: skip
    return result


def _kept(outcome: Outcome, cost: float) -> tuple[str, ...]:
    """Return what is said where more is lost than was asked for.

    Raises:
        UsageError: it is more than chance explains.
    """
    lost = outcome.cost
    if lost.hits <= cost / 100 * lost.of:
        return ()
    text = (
        f"of the old pictures that are held out {share_text(lost)} are right no longer, "
        "more than the "
        f"{cost:g} % that were asked for"
    )
    if 100 * lost.low > cost:
        raise UsageError(f"{text}; nothing is written. More old pictures may do")
    return (f"{text}; by chance, it may be: more old pictures tell",)
