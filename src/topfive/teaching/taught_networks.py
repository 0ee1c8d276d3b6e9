"""A taught network: what gives the features that it tells its classes by, and its folder."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from topfive.classification.classifier import Classifier, ClassifierOptions
from topfive.errors import DamagedWeightsError, UnknownNetworkError, UsageError
from topfive.networks import heads, labels, lessons, taught_cards, taught_folders, weights
from topfive.networks.cards import Network
from topfive.networks.find import find_network
from topfive.networks.published import find_published
from topfive.networks.taught_cards import CardFile, Made, TaughtCard
from topfive.system.files import checksum_of
from topfive.teaching.collection import Collected
from topfive.teaching.extension_offset import Before

ENDINGS = (".h5", ".keras", ".net")  # of weights; but for the last the content says what it is


def check_target(out: Path, folder: Path, force: bool) -> None:
    """Raise a `UsageError` if no network can be written to `out`; `folder` holds the pictures."""
    taught_folders.check_target(out, force)
    try:
        taught_cards.name({"the name of its folder": out.absolute().name}, "the name of its folder")
    except ValueError as error:
        raise UsageError(f"a network is called as its folder: {error}") from error
    if os.sep not in str(out):
        with suppress(UnknownNetworkError):
            known = find_published(str(out)).name
            raise UsageError(f"--model {out} is {known}, a published network; choose another name")
    above = next(place for place in out.absolute().parents if os.path.lexists(place))
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise UsageError(f"cannot write {out}: {above} is no folder that can be written to")
    if out.resolve().is_relative_to(folder.resolve()):
        raise UsageError(f"{out} would lie among the pictures; name a folder beside {folder}")


def backbone(network: Network, file: Path | None = None) -> tuple[Network, Path | None]:
    """Return the network whose features a head is taught on, with the recipe of the given one,
    and the file of its weights, None where these are its own.

    Raises:
        UsageError: a taught network is given a file.
        DamagedWeightsError: a taught network's weights are not what they were.
    """
    taught = network.taught
    if taught is None:
        return network, file
    taught_folders.check_weights(network, file)
    if taught.body is not None and not weights.verify(network):
        raise DamagedWeightsError(f"{weights.path(network)} is damaged: teach the network again")
    if taught.tuned:
        return network, None
    base = replace(find_published(taught.backbone), recipe=network.recipe)
    return base, weights.path(network) if taught.body else None


def open_backbone(
    network: str | Network | None, **options: Unpack[ClassifierOptions]
) -> tuple[Classifier, Path | None]:
    """Return what gives the features to teach on, and the file that a network taught on them
    needs a copy of, or None; `options` are those of `Classifier`.

    Raises: what `Classifier` and `backbone` do.
    """
    card = find_network(network)
    file = options.get("weights")
    base, file = backbone(card, None if file is None else Path(file))
    options["weights"] = file
    classifier = Classifier(base, throughput=True, **options)
    return classifier, weights.path(base) if base.taught else file


def write(
    out: Path,
    backbone: tuple[Classifier, Path | None],
    taught: Collected,
    head: NDArray[np.float32],
    made: Made,
    before: Before | None = None,
) -> None:
    """Write a network to a folder: the classes that were taught, which a `head` tells by the
    features of the backbone, as `open_backbone` returns it. They come after the classes of the
    backbone if it is told what that said of the pictures `before`.

    Raises:
        OutputError: it cannot be written; what was there stays.
    """
    classifier, file = backbone
    network, extends = classifier.network, before is not None
    replaced = 0 if extends else len(head) * len(labels.of(network))
    card = TaughtCard(
        name=out.absolute().name,
        backbone=network.backbone,
        classes=taught.classes,
        extends=extends,
        tuned=network.taught is not None,
        recipe=classifier.recipe,
        parameters=network.parameters - replaced + head.size,
        made=made,
    )
    files = {"head": heads.as_part(head), "lessons": lessons.as_part(taught.lessons)}
    if before is not None:
        files["old_answers"] = heads.as_part(before.array())
    if file is not None:
        ending = file.suffix if file.suffix in ENDINGS else ENDINGS[0]
        files["weights"] = (ending, partial(shutil.copyfile, file))
    else:
        checksum = weights.checksum(network) or checksum_of(weights.path(network))
        card = replace(card, weights=CardFile(None, checksum, network.weights.size))
    taught_folders.write(out, card, files)
