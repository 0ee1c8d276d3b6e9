"""Pictures that a network has learned from already, as far as names, cards and lessons tell."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from topfive.errors import UsageError
from topfive.evaluation.ground_truth import GroundTruth
from topfive.networks import labels, lessons, taught_folders
from topfive.networks.cards import Network
from topfive.networks.published import find_published
from topfive.sources import buckets

IMAGENET = "imagenet"
TRAINED = ("tune", "train")  # what kept no lessons, but the name of its folder
# ImageNet names its training files so: WordNet id, `_`, number; Imagenette's are some of them.
_FILE = re.compile(r"n\d{8}_\d+\.jpe?g", re.IGNORECASE)
# Its folders of them, as its archives and Kaggle's call these.
_FOLDER = re.compile(
    r"(?:^|/)(?:ILSVRC2012_img_train(?:\.tar)?|(?:ILSVRC|imagenet)[^/]*/(?:[^/]+/)*train)"
    r"/n\d{8}(?:\.tar)?/",
    re.IGNORECASE,
)


def by_names(network: Network, pictures: GroundTruth) -> str | None:
    """Return, in words, how many of the pictures are named as those that a network learned from,
    or lie where it found them; None if none does."""
    known = _published(network)
    hits = sum(
        truth < known and _is_training(pictures.folder, name)
        for name, truth in pictures.truths.items()
    )
    if hits:
        of_which = network.title if network.taught is None else "its backbone"
        return (
            f"{hits:,} of {len(pictures.truths):,} pictures are named as those of ImageNet's "
            f"training, which {of_which} learned from"
        )
    return _by_folder(network, pictures)


def by_contents(network: Network, hashes: Iterable[str | None]) -> str | None:
    """Return, in words, how many of the pictures with these sha256 a network was taught with;
    None if none, or if it keeps no lessons."""
    taught = network.taught
    if taught is None:
        return None
    with suppress(UsageError):  # it keeps none, or they are damaged, which is no matter here
        found = lessons.read(Path(taught.folder))
        known = {one for one, held in zip(found.sha256, found.held, strict=True) if not held}
        asked = list(hashes)
        if hits := sum(one in known for one in asked):
            return f"{hits:,} of {len(asked):,} pictures are some that {network.title} was taught"
    return None


def _published(network: Network) -> int:
    """Return how many of a network's classes, the first, it knows from ImageNet's training."""
    taught = network.taught
    if taught is not None and not taught.extends:
        return 0
    label_set = find_published(taught.backbone).labels if taught else network.labels
    return len(labels.load(label_set)) if label_set == IMAGENET else 0


def _is_training(folder: str, name: str) -> bool:
    whole = name if buckets.is_address(folder) else os.path.abspath(name)  # noqa: PTH100
    place = whole.replace(os.sep, "/")
    return bool(_FILE.fullmatch(place.rpartition("/")[2]) or _FOLDER.search(place))


def _by_folder(network: Network, pictures: GroundTruth) -> str | None:
    if network.taught is None or buckets.is_address(pictures.folder):
        return None
    with suppress(UsageError):
        made = taught_folders.read_card(Path(network.taught.folder)).made
        if made.get("by") not in TRAINED:
            return None
        # `validation` chose the epoch that was kept.
        named = (made.get("folder"), made.get("validation"))
        known = {one for one in named if isinstance(one, str) and "\0" not in one}
        places = {Path(one).resolve() for one in known}
        asked = Path(pictures.folder).resolve()
        if places & {asked, *asked.parents}:
            return f"the pictures lie in the folder that {network.title} was trained with"
    return None
