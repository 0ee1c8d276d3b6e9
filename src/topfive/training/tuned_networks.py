"""A network that was trained, as a folder: its card, its files, the proof that it answers so."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from functools import partial
from operator import eq, ne
from pathlib import Path

from topfive.classification.classifier import Classifier
from topfive.errors import EngineError, UsageError
from topfive.evaluation import metrics
from topfive.evaluation.metrics import Measure
from topfive.networks import heads, taught_folders
from topfive.networks.cards import Network
from topfive.networks.taught_cards import Made, TaughtCard, made_by
from topfive.networks.taught_folders import Part
from topfive.results import Failure
from topfive.sources.source import from_object
from topfive.system.text import printable
from topfive.training import checkpoints
from topfive.training.messages import TrainingRequest, TrainingResult

TRIAL = "network"  # the folder of a network that is not proved yet
MOST_DIFFERING = 0.005  # of its answers


def write(
    network: Network, request: TrainingRequest, found: TrainingResult
) -> tuple[Network, Measure]:
    """Write the network that came of a training, once it is proved; return it, and how good it is.

    Raises:
        EngineError: it does not answer as the trained one.
        UsageError: a picture is not what it was, or another process trains there.
        OutputError: it cannot be written; what was there stays.
    """
    work = request.folders.work
    with checkpoints.locked(work):
        card = card_of(network, request, found)
        accuracy = proved(card, request, found)
        card.made["accuracy"] = asdict(accuracy)
        written = taught_folders.write(Path(request.folders.out), card, files(work))
        checkpoints.remove(work)
    return written, accuracy


def card_of(network: Network, request: TrainingRequest, found: TrainingResult) -> TaughtCard:
    """Return the card of a network that was trained, but for its accuracy."""
    folders, options, plan = request.folders, request.options, found.plan
    made: Made = {
        **made_by("train" if options.from_scratch else "tune", "keras", request.backend),
        "folder": folders.pictures,
        "validation": folders.validation,
        "split": None if folders.validation else folders.split,
        "pictures": plan["pictures"],
        "held_out": plan["held_out"],
        "unreadable": found.unreadable,
        "copies": found.copies,
        "options": asdict(options),
        "backend": plan["backend"],
        "devices": plan["devices"],
        "mixed_precision": plan["mixed_precision"],
        "best_epoch": found.best_epoch,
        "history": found.history,
        "seconds": found.seconds,
    }
    return TaughtCard(
        name=Path(folders.out).absolute().name,
        backbone=network.backbone,
        classes=tuple(plan["classes"]),
        tuned=True,
        recipe=request.recipe,
        parameters=found.parameters,
        made=made,
    )


def files(work: Path) -> dict[str, Part]:
    """Return the files of a network that a training left in its folder."""
    return {
        "weights": (".weights.h5", partial(shutil.copyfile, work / checkpoints.BODY)),
        "head": (heads.ENDING, partial(shutil.copyfile, work / checkpoints.HEAD)),
    }


def proved(card: TaughtCard, request: TrainingRequest, found: TrainingResult) -> Measure:
    """Return how good the compiled network is on what was held out.

    Raises:
        EngineError: it does not answer as the trained one.
    """
    work = request.folders.work
    network = taught_folders.write(work / TRIAL, card, files(work))
    classifier = Classifier(network, max_pixels=request.max_pixels)
    answers: list[int] = []
    for source, response in classifier.responses(map(from_object, found.held_out)):
        if isinstance(response.values, Failure):
            raise UsageError(f"{printable(source.name)} changed or went away: {response.values}")
        answers.append(int(response.values.argmax()))
    differing, total = sum(map(ne, answers, found.answers)), len(answers)
    # Pictures that two classes fit equally well may go either way.
    if differing > max(1, MOST_DIFFERING * total):
        raise EngineError(
            f"the compiled network answers {differing:,} of {total:,} pictures otherwise "
            "than the trained one"
        )
    return metrics.share(sum(map(eq, answers, found.truths)), total)
