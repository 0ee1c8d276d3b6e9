"""Fine-tune a network for a folder of pictures, or train one from scratch."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from topfive.engines.keras_engine import BACKENDS
from topfive.errors import EngineError, MissingExtraError, UsageError
from topfive.evaluation import metrics
from topfive.evaluation.metrics import Confusion, Measure
from topfive.networks import taught_folders
from topfive.networks import weights as weight_files
from topfive.networks.cards import Network, check_choice, choose_recipe
from topfive.networks.find import find_network
from topfive.networks.taught_folders import CARD
from topfive.sources.source import MAX_PIXELS
from topfive.system.files import checksum_of
from topfive.system.processes import ChildError, listen
from topfive.teaching import class_folders, taught_networks
from topfive.training import checkpoints, curves, tuned_networks
from topfive.training.options import Options

Row = dict[str, Any]


class TrainingListener:
    """Hears how a training goes; what is of interest is overridden."""

    def begin(self, plan: Mapping[str, Any]) -> None:
        """Hear what will be done: `classes`, `pictures` and `held_out` (counts), `phases` (each
        a `phase` with its `epochs` and `trainable` parameters), `steps` of an epoch, `backend`,
        `devices`, `mixed_precision`, `resumed_from`: the epochs that are done."""

    def step(self, epoch: int, step: int, steps: int, loss: float) -> None:
        """Hear that so many of an epoch's steps are done, now and then; `loss` is the mean so
        far."""

    def epoch(self, row: Mapping[str, float | int | str]) -> None:
        """Hear the row of an epoch, those of an earlier session first: `epoch` from 1, `phase`
        (`head`, `blocks`, `all`), `loss`, `accuracy`, `val_loss`, `val_accuracy`,
        `learning_rate` at its end, `seconds`."""

    def warn(self, text: str) -> None:
        """Hear what is the matter with a picture or a class."""


@dataclass(frozen=True)
class Tuned:
    """A network that was trained, and how good it is.

    `accuracy` is that of the compiled network on the held-out pictures; the epoch that was
    kept, `best_epoch`, was chosen by them, so it flatters a little. `unreadable` and `copies`
    count pictures that were left out.
    """

    network: Network
    backbone: str
    classes: tuple[str, ...]
    num_pictures: int
    num_held_out: int
    unreadable: int
    copies: int
    best_epoch: int
    accuracy: Measure
    confusions: tuple[Confusion, ...]
    history: tuple[Row, ...]
    options: Options
    backend: str
    seconds: float
    remarks: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        network = {"name": self.network.name, "reference": self.network.reference}
        return {**asdict(self), "network": network}


def tune(
    folder: str | os.PathLike[str],
    out: str | os.PathLike[str],
    network: str | Network | None = None,
    *,
    backend: str = "tensorflow",
    options: Options = Options(),  # noqa: B008, frozen
    validation: str | os.PathLike[str] | None = None,
    split: float = 0.2,
    weights: str | os.PathLike[str] | None = None,
    recipe: str = "default",
    fit: str | None = None,
    filter: str | None = None,
    window: tuple[float, float] | None = None,
    max_pixels: int = MAX_PIXELS,
    offline: bool = False,
    force: bool = False,
    restart: bool = False,
    listener: TrainingListener | None = None,
) -> Tuned:
    """Fine-tune a network for the classes of a folder, or train it from scratch, and write it to
    the folder `out`, with its curves; see `curves.write`.

    `folder` holds a folder of pictures for each class; see `class_folders.read`. `validation` is
    a folder like it whose pictures are held out, else that is the share `split` (0 to 1) of
    each class. `options` are how it learns; `weights` a file with other weights than the
    published ones. For `recipe`, `fit`, `filter` and `window` see `Classifier`. It works in a
    process of its own, on the Keras `backend`, and keeps a checkpoint in `out` after each
    epoch: after a kill the same call goes on to the same result; with `restart` it begins anew.
    With `force` a network in `out` is replaced. Pictures that cannot be used are left out.

    Raises:
        UsageError: there are fewer than two classes, `out` is taken, an option does not fit or
            is not that of the checkpoint.
        WeightsError: the weights are not here and cannot be fetched, or do not fit.
        EngineError: the backend cannot be used, or the network diverged.
        MissingExtraError: the backend, or what draws the curves, is not installed.
        OutputError: the network cannot be written; what was there stays.
    """
    check_choice("backend", backend, BACKENDS)
    if importlib.util.find_spec(backend) is None:
        raise MissingExtraError(
            f"the {backend} backend needs an extra: pip install 'topfive[{backend}]'"
        )
    curves.check()
    options, listener = options.resolved(), listener or TrainingListener()
    card = find_network(network)
    chosen = choose_recipe(card, recipe, fit, filter, window)
    target, work = Path(out), Path(out) / checkpoints.FOLDER
    if not work.is_dir() or (target / CARD).exists():
        taught_networks.check_target(target, Path(folder), force)
    class_folders.read(folder)
    if validation is None and not 0 < split < 1:
        raise UsageError(f"a share from 0 to 1 is held out, or a validation; received {split:g}")
    taught_folders.check_weights(card, weights)
    file = None if options.from_scratch else _weights(card, weights, offline)
    remarks: list[str] = []
    history: list[Row] = []
    done = 0

    def hear(event: dict[str, Any]) -> None:
        nonlocal done
        if event["event"] == "begin":
            done = event["plan"]["resumed_from"]
            listener.begin(event["plan"])
        elif event["event"] == "step":
            listener.step(event["epoch"], event["step"], event["steps"], event["loss"])
        elif event["event"] == "epoch":
            history.append(event["row"])
            if len(history) >= done:
                curves.write(target, history, event["best"])
            listener.epoch(event["row"])
        else:
            remarks.append(event["text"])
            listener.warn(event["text"])

    request = {
        "folder": os.fspath(folder),
        "validation": None if validation is None else os.fspath(validation),
        "split": split,
        "network": card.reference,
        "weights": None if file is None else str(file),
        "checksum": None if file is None else checksum_of(file),
        "recipe": asdict(chosen),
        "max_pixels": max_pixels,
        "backend": backend,
        "options": options.to_dict(),
        "checkpoints": str(work),
        "restart": restart,
    }
    try:
        found = listen("topfive.training.train_process", request, hear)
    except ChildError as error:
        raise EngineError(f"{card.title} cannot be trained on {backend}: {error}") from error
    with checkpoints.locked(work):
        content = tuned_networks.content(
            card, target, chosen, options, found, folder, validation, split
        )
        measured = tuned_networks.proved(content, work, found, max_pixels)
        content["made"]["accuracy"] = asdict(measured)
        taught_folders.write(target, content, tuned_networks.files(work))
        checkpoints.remove(work)
    truths, answers = (np.array(found[name]) for name in ("truths", "answers"))
    return Tuned(
        find_network(str(target)),
        content["backbone"],
        tuple(found["classes"]),
        found["pictures"],
        len(truths),
        found["unreadable"],
        found["copies"],
        found["best_epoch"],
        measured,
        metrics.confusions(truths, answers),
        tuple(found["history"]),
        options,
        backend,
        found["seconds"],
        tuple(remarks),
    )


def _weights(card: Network, file: str | os.PathLike[str] | None, offline: bool) -> Path:
    return weight_files.checked(card, offline) if file is None else Path(file)
