"""A taught network: what gives the features that it tells its classes by, and its folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from topfive.classification.classifier import Classifier
from topfive.errors import DamagedWeightsError, UnknownNetworkError, UsageError
from topfive.networks import heads, labels, lessons, taught_cards, taught_folders, weights
from topfive.networks.cards import Network
from topfive.networks.find import find_network
from topfive.networks.lessons import Lessons
from topfive.networks.published import find_published
from topfive.system.files import checksum_of

# A file of a network's folder: its ending, and what writes it.
Part = tuple[str, Callable[[Path], None]]
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


def open_backbone(network: str | Network | None, **options: Any) -> tuple[Classifier, Path | None]:
    """Return what gives the features to teach on, and the file that a network taught on them
    needs a copy of, or None; `options` are those of `Classifier`.

    Raises: what `Classifier` and `backbone` do.
    """
    card = find_network(network)
    file = options.pop("weights", None)
    base, file = backbone(card, None if file is None else Path(file))
    classifier = Classifier(base, weights=file, throughput=True, **options)
    return classifier, weights.path(base) if base.taught else file


def write(
    out: Path, classifier: Classifier, file: Path | None, classes: Sequence[str],
    head: NDArray[np.float32], pupils: Lessons, made: Mapping[str, Any], *, extends: bool = False,
    more: Mapping[str, Part] | None = None,
) -> Network:  # fmt: skip
    """Write a network to a folder and return its card: the `classes` that a `head` tells by the
    features of what `opened` returned, what they were taught with, and the record of how it
    was `made`, plain values. `more` are further files, as `network_folders.write` takes them.

    Raises:
        OutputError: it cannot be written; what was there stays.
    """
    network = classifier.network
    files: dict[str, Part] = {
        **(more or {}),
        "head": (heads.ENDING, partial(heads.write, head)),
        lessons.SECTION: (lessons.ENDING, partial(lessons.write, pupils)),
    }
    content = {
        "name": out.absolute().name,
        "backbone": network.taught.backbone if network.taught else network.name,
        "classes": list(classes),
        "extends": extends,
        "tuned": network.taught is not None,
        "recipe": taught_folders.recipe_of(classifier.recipe),
        "parameters": parameters(network, head, extends),
        "made": dict(made),
    }
    if file is not None:
        files["weights"] = (
            file.suffix if file.suffix in ENDINGS else ENDINGS[0],
            partial(shutil.copyfile, file),
        )
    else:
        content["weights"] = {
            "file": None,
            "checksum": weights.checksum(network) or checksum_of(weights.path(network)),
            "size": network.weights.size,
        }
    return taught_folders.write(out, content, files)


def parameters(network: Network, head: NDArray[np.float32], extends: bool = False) -> int:
    """Return how many numbers a network has with a `head` (features + 1, classes) in the place
    of its classifier or, if it `extends` that, beside it."""
    classifier = 0 if extends else len(head) * len(labels.of(network))
    return network.parameters - classifier + head.size
