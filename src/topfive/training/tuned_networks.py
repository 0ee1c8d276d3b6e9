"""A network that was trained, as a folder: its card, its files, the proof that it answers so."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from topfive.classification.classifier import Classifier
from topfive.errors import EngineError, UsageError
from topfive.evaluation import metrics
from topfive.evaluation.metrics import Measure
from topfive.networks import heads, taught_folders
from topfive.networks.cards import Network, Recipe
from topfive.results import Failure
from topfive.sources.source import from_object
from topfive.system.text import printable
from topfive.training import checkpoints
from topfive.training.options import Options

TRIAL = "network"  # the folder of a network that is not proved yet
MOST_DIFFERING = 0.005  # of its answers


def content(
    network: Network, target: Path, recipe: Recipe, options: Options, found: Mapping[str, Any],
    folder: str | os.PathLike[str], validation: str | os.PathLike[str] | None, split: float,
) -> dict[str, Any]:  # fmt: skip
    """Return what the card of a network that was trained says."""
    computing = ("backend", "devices", "mixed_precision")
    return {
        "name": target.absolute().name,
        "backbone": network.taught.backbone if network.taught else network.name,
        "weights": {},
        "classes": found["classes"],
        "extends": False,
        "tuned": True,
        "recipe": taught_folders.recipe_of(recipe),
        "parameters": found["parameters"],
        "made": {
            "by": "train" if options.from_scratch else "tune",
            "versions": {name: version(name) for name in ("topfive", "keras", found["backend"])},
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "folder": os.fsdecode(folder),
            "validation": None if validation is None else os.fsdecode(validation),
            "split": split if validation is None else None,
            "pictures": found["pictures"],
            "held_out": len(found["truths"]),
            "unreadable": found["unreadable"],
            "copies": found["copies"],
            "options": options.to_dict(),
            **{name: found[name] for name in computing},
            "best_epoch": found["best_epoch"],
            "history": found["history"],
            "seconds": found["seconds"],
        },
    }


def files(work: Path) -> dict[str, tuple[str, Callable[[Path], None]]]:
    """Return the files of a network that a training left in its folder."""
    return {
        "weights": (".weights.h5", partial(shutil.copyfile, work / checkpoints.BODY)),
        "head": (heads.ENDING, partial(shutil.copyfile, work / checkpoints.HEAD)),
    }


def proved(
    card: Mapping[str, Any], work: Path, found: Mapping[str, Any], max_pixels: int
) -> Measure:
    """Return how good the compiled network is on what was held out.

    Raises:
        EngineError: it does not answer as the trained one.
    """
    network = taught_folders.write(work / TRIAL, card, files(work))
    classifier = Classifier(network, max_pixels=max_pixels)
    truths, answers = found["truths"], found["answers"]
    right = differing = 0
    responses = classifier.responses(map(from_object, found["held_out"]))
    for truth, known, (source, response) in zip(truths, answers, responses, strict=True):
        if isinstance(response.values, Failure):
            raise UsageError(f"{printable(source.name)} changed or went away: {response.values}")
        answer = int(response.values.argmax())
        right, differing = right + (answer == truth), differing + (answer != known)
    # Pictures that two classes fit equally well may go either way.
    if differing > max(1, MOST_DIFFERING * len(truths)):
        raise EngineError(
            f"the compiled network answers {differing:,} of {len(truths):,} pictures otherwise "
            "than the trained one"
        )
    return metrics.share(right, len(truths))
