"""Classes of one's own beside those of a published network: one softmax over both."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from topfive.classification.classifier import Classifier, ClassifierOptions
from topfive.errors import UsageError
from topfive.evaluation.metrics import share_text
from topfive.networks.cards import Network
from topfive.networks.find import find_network
from topfive.networks.lessons import OLD
from topfive.networks.taught_cards import Made
from topfive.results import Failure, Listener
from topfive.teaching import class_folders, extension_offset, old_classes, taught_networks
from topfive.teaching.collection import Collected, Log
from topfive.teaching.extension_offset import Before, Outcome
from topfive.teaching.old_classes import OldPictures
from topfive.teaching.options import COST, SPLIT
from topfive.teaching.teaching_request import TeachingRequest


@dataclass(frozen=True)
class Extended:
    """A network that was extended, in its `folder`, and what was measured on held-out pictures.

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
    split: float = SPLIT,
    seed: int = 0,
    force: bool = False,
    listener: Listener | None = None,
    **options: Unpack[ClassifierOptions],
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
    start, log = perf_counter(), Log(listener)
    card = find_network(network)
    if card.taught:
        raise UsageError(
            f"{card.name} was taught: extend {card.taught.backbone} with all new classes at once, "
            "or add pictures of new ones to an extended network (--add)"
        )
    request = TeachingRequest(folder, Path(out), validation, split, seed, log, old, least=1)
    request.check(force)
    known = _find_old(request, card, cost)
    backbone = taught_networks.open_backbone(card, **options)
    collected, before = old_classes.gather(backbone[0], request, known)
    head, result = _fit(request, backbone[0], collected, before, cost)
    result = replace(result, layout=known.layout, seconds=perf_counter() - start)
    made: Made = {
        **request.made(),
        "pictures": result.pictures,
        "old_pictures": result.old_pictures,
        "layout": result.layout,
        "cost": cost,
        "strength": result.strength,
        "offset": result.offset,
        "outcome": asdict(result.outcome),
        "seconds": result.seconds,
    }
    taught_networks.write(request.out, backbone, collected, head, made, before)
    return result


def _find_old(request: TeachingRequest, network: Network, cost: float) -> OldPictures:
    """Return the pictures of old classes, of which there must be enough for the cost."""
    old_classes.check_classes(request.found.classes, network)
    found = old_classes.find(request.old, network)
    if request.split == 0:
        raise UsageError("what is lost is measured on pictures that are held out: give a split")
    held = class_folders.split([OLD] * len(found.pictures), request.split, request.seed)
    extension_offset.allowed(int(np.count_nonzero(~held)), cost)
    for note in found.notes:
        request.log.warn(note)
    return found


def _fit(
    request: TeachingRequest,
    classifier: Classifier,
    collected: Collected,
    before: Before,
    cost: float,
) -> tuple[NDArray[np.float32], Extended]:
    """Return the layer that tells the new classes, and what it does."""
    known, classes = collected.lessons, collected.classes
    held, train = known.where(known.held), known.where(~known.held)
    head, strength, offset = extension_offset.fit(
        train.features, train.truths, len(classes), before[~known.held], cost,
        seed=request.seed, groups=collected.groups[~known.held],
    )  # fmt: skip
    own = extension_offset.scores(head, held.features)
    outcome = extension_offset.measure(own, held.truths, before[known.held])
    _check_cost(outcome, cost, request.log)
    num_old = int(np.count_nonzero(train.truths == OLD))
    return head, Extended(
        str(request.out),
        classifier.network.name,
        str(classifier.recipe),
        classes,
        len(train) - num_old,
        num_old,
        None,
        cost,
        strength,
        offset,
        outcome,
        0.0,
        tuple(request.log.warnings),
        tuple(request.log.failures),
    )


def _check_cost(outcome: Outcome, cost: float, log: Log) -> None:
    """Warn where more is lost than was asked for; refuse what chance does not explain."""
    lost = outcome.cost
    if lost.hits <= cost / 100 * lost.of:
        return
    text = (
        f"of the old pictures that are held out {share_text(lost)} are right no longer, "
        f"more than the {cost:g} % that were asked for"
    )
    if 100 * lost.low > cost:
        raise UsageError(f"{text}; nothing is written. More old pictures may do")
    log.warn(f"{text}; by chance, it may be: more old pictures tell")
