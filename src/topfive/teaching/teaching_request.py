"""What is to be taught from which folders, and its pictures."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from topfive.classification.classifier import Classifier
from topfive.errors import UsageError
from topfive.evaluation import near_copies
from topfive.networks.lessons import OLD
from topfive.networks.taught_cards import Made, made_by
from topfive.system import extras
from topfive.system.processes import Background
from topfive.system.text import listing
from topfive.teaching import class_folders, regression, taught_networks
from topfive.teaching.class_folders import ClassFolder
from topfive.teaching.collection import Collected, Log, collect

StrPath = str | os.PathLike[str]


@dataclass(frozen=True)
class TeachingRequest:
    """The classes in a `folder` are to be taught, `least` or more, to a network in `out`.

    Held out are the pictures in `validation`, else the share `split` of each class, the same for
    the same `seed`. `old` is the folder with pictures of the classes that stay, None where none
    does. The `log` hears what happens.
    """

    folder: StrPath
    out: Path
    validation: StrPath | None
    split: float
    seed: int
    log: Log
    old: StrPath | None = None
    least: int = 2

    @cached_property
    def found(self) -> ClassFolder:
        """What is in the folder."""
        return class_folders.read(self.folder, self.least)

    @cached_property
    def apart(self) -> ClassFolder | None:
        """What is in the validation."""
        return None if self.validation is None else class_folders.read(self.validation, least=1)

    def check(self, force: bool) -> None:
        """Look at all that can be seen before the pictures are; `force` replaces a network.

        Raises:
            UsageError: a folder is not there or holds too few classes, `out` is taken, or an
                option is no number that fits.
            MissingExtraError: scikit-learn is not installed.
        """
        extras.require("teach", "teaching")
        taught_networks.check_target(self.out, Path(self.folder), force)
        notes = class_folders.odd_classes(self.found, self.apart)
        class_folders.split([], self.split, self.seed)  # refuses what it does not take
        for note in notes:
            self.log.warn(note)

    def collect(self, classifier: Classifier) -> Collected:
        """Return the pictures to teach and those that are held out, with their features.

        Raises:
            UsageError: no picture of a class is left to teach.
            WeightsError, EngineError, MissingExtraError: see `Classifier`.
        """
        importing = Background(regression.prepare)
        found = collect(classifier, self.found, self.log)
        if self.apart is None:
            if copies := near_copies.count_copies(found.groups):
                self.log.warn(f"{copies:,} pictures are {near_copies.TOGETHER}")
            held = class_folders.split(found.lessons.truths, self.split, self.seed, found.groups)
            found = replace(found, lessons=replace(found.lessons, held=held))
        else:
            apart = collect(classifier, self.apart, self.log, counts=False)
            found = _with_validation(found, apart, self.apart.folder, self.log)
        importing.result()
        return found

    def made(self) -> Made:
        """Return the part of the record that tells what was asked for."""
        command, places = "teach", Made(folder=os.fsdecode(self.folder))
        if self.old is not None:
            command = "teach --extend"
            places = Made(source=os.fsdecode(self.folder), old=os.fsdecode(self.old))
        return {
            **made_by(command, "scikit-learn"),
            **places,
            "validation": None if self.validation is None else os.fsdecode(self.validation),
            "split": self.split if self.validation is None or self.old is not None else None,
            "seed": self.seed,
        }


def _with_validation(own: Collected, apart: Collected, folder: str, log: Log) -> Collected:
    """Return the pictures of a folder and those that are held out, from the validation's
    `folder`, as one; what is in both is held out."""
    places = {name: number for number, name in enumerate(own.classes)}
    truths = np.array([places.get(name, OLD) for name in apart.classes], np.intp)
    second = replace(
        apart.lessons,
        names=tuple(os.path.join(folder, name) for name in apart.lessons.names),  # noqa: PTH118
        truths=truths[apart.lessons.truths],
        held=np.ones(len(apart.lessons), np.bool_),
    )
    kept = second.truths != OLD
    second = second.where(kept)
    both = own.lessons + second
    thumbnails = np.concatenate([own.thumbnails, apart.thumbnails[kept]])
    groups = near_copies.group(thumbnails, both.features)
    # What has the same bytes is a copy, too, of a picture without any edges as well.
    gone_too = np.isin(own.lessons.sha256, second.sha256)
    near = np.isin(groups[: len(own.lessons)], groups[len(own.lessons) :]) & ~gone_too
    stays = np.concatenate([~(gone_too | near), np.ones(len(second), np.bool_)])
    first = own.lessons.where(stays[: len(own.lessons)])
    taught = np.bincount(first.truths, minlength=len(places))
    if gone := [name for name, number in places.items() if not taught[number]]:
        raise UsageError(f"all pictures of {listing(gone)} are in {folder}, too: none is left")
    if left := int(gone_too.sum()):
        log.warn(f"{left:,} pictures are in {folder}, too: they are not taught")
    if left := int(near.sum()):
        log.warn(f"{left:,} pictures are near-copies of some in {folder}: they are not taught")
    return Collected(
        own.classes,
        first + second,
        own.sources | apart.sources,
        thumbnails[stays],
        groups[stays],
        own.known + apart.known,
        own.computed + apart.computed,
        own.seconds + apart.seconds,
    )
