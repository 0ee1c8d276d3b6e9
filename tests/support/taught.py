"""Networks with classes of their own, made without scikit-learn: folders as `teach` writes them."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from tests.support import fakes
from topfive.engines import keras_models, weight_loading
from topfive.networks import heads, taught_folders
from topfive.networks.cards import Network
from topfive.networks.published import NETWORKS
from topfive.networks.taught_cards import Made, TaughtCard

BACKBONE = NETWORKS["squeezenet_v1.1"]
FEATURES = 512
CLASSES = ("cat", "dog", "my bird")


def write(
    folder: Path,
    weight_file: Path,
    classes: Sequence[str] = CLASSES,
    *,
    extends: bool = False,
    tuned: bool = False,
    head: NDArray[np.float32] | None = None,
    **more: Any,
) -> Network:
    """Write a network that was taught on SqueezeNet v1.1 with the weights in a file, and return
    its card. Without a `head` it has a made-up one; `more` replaces what the card says."""
    made = {"by": "topfive teach", "seed": 0, "held out": {"pictures": 60, "right": 57}}
    card = TaughtCard(
        name=folder.name,
        backbone=BACKBONE.name,
        classes=tuple(classes),
        extends=extends,
        tuned=tuned,
        recipe=BACKBONE.recipe,
        parameters=BACKBONE.parameters,
        made=cast(Made, made),
    )
    array = made_up_head(len(classes)) if head is None else head
    save = (lambda file: write_body(weight_file, file)) if tuned else _copier(weight_file)
    return taught_folders.write(
        folder,
        replace(card, **more),
        {
            "weights": (".weights.h5" if tuned else weight_file.suffix, save),
            "head": heads.as_part(array),
        },
    )


def made_up_head(num_classes: int, seed: int = 0) -> NDArray[np.float32]:
    """Return a head (features + 1, classes) that leaves all classes possible."""
    random = np.random.default_rng(seed)
    return random.normal(0, 0.002, (FEATURES + 1, num_classes)).astype(np.float32)


def fitted_head(
    features: NDArray[np.float32], truths: Sequence[int], num_classes: int, sure: float = 8.0
) -> NDArray[np.float32]:
    """Return the head by which pictures with these features (n, features) are of the classes
    `truths`: least squares, the right logit is `sure` and the others are 0."""
    centre = features.mean(axis=0)
    kernel = np.linalg.pinv(features - centre, rcond=1e-3) @ (
        sure * (np.eye(num_classes)[list(truths)] - 1 / num_classes)
    )
    return np.vstack([kernel, sure / num_classes - centre @ kernel]).astype(np.float32)


def write_body(weight_file: Path, file: Path) -> None:
    """Write the weights of SqueezeNet v1.1 without those of its own classifier."""
    model = fakes.bare_model(BACKBONE)
    weight_loading.load_weights(model, weight_file)
    keras_models.features(model).save_weights(str(file))


def _copier(weight_file: Path) -> Any:
    return lambda file: shutil.copyfile(weight_file, file)
