"""Fine-tune a network for a folder of pictures, or train one from scratch."""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from topfive.errors import EngineError, UsageError
from topfive.evaluation import metrics
from topfive.evaluation.metrics import Confusion, Measure
from topfive.networks import taught_folders
from topfive.networks import weights as weight_files
from topfive.networks.cards import KERAS_BACKENDS, Network, check_choice, choose_recipe
from topfive.networks.find import find_network
from topfive.networks.taught_cards import CARD
from topfive.sources.source import MAX_PIXELS
from topfive.system import extras
from topfive.system.files import checksum_of
from topfive.system.processes import ChildError, listen
from topfive.teaching import class_folders, taught_networks
from topfive.training import tuned_networks
from topfive.training.curves import Curves
from topfive.training.messages import Folders, HistoryRow, Plan, TrainingRequest, TrainingResult
from topfive.training.options import SPLIT, Options

AnyPath = str | os.PathLike[str]


class TrainingListener:
    """Hears how a training goes; what is of interest is overridden."""

    def begin(self, plan: Plan) -> None:
        """Hear what will be done."""

    def step(self, epoch: int, step: int, steps: int, loss: float) -> None:
        """Hear now and then how many of an epoch's steps are done, and their mean `loss`."""

    def epoch(self, row: HistoryRow) -> None:
        """Hear what an epoch gave, those of an earlier session first."""

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
    history: tuple[HistoryRow, ...]
    options: Options
    backend: str
    seconds: float
    remarks: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        network = {"name": self.network.name, "reference": self.network.reference}
        return {**asdict(self), "network": network}


def tune(
    folder: AnyPath,
    out: AnyPath,
    network: str | Network | None = None,
    *,
    backend: str = "tensorflow",
    options: Options = Options(),  # noqa: B008, frozen
    validation: AnyPath | None = None,
    split: float = SPLIT,
    weights: AnyPath | None = None,
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
    """Fine-tune a network, or train one from scratch, and write it to `out` with its `Curves`.

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
    check_choice("backend", backend, KERAS_BACKENDS)
    extras.require(backend, f"training on {backend}")
    progress = _Progress(Path(out), listener or TrainingListener())
    options, card = options.resolved(), find_network(network)
    chosen = choose_recipe(card, recipe, fit, filter, window)
    folders = _checked_folders(folder, out, validation, split, force)
    taught_folders.check_weights(card, weights)
    file: tuple[str, str] | None = None
    if not options.from_scratch:
        found = weight_files.checked(card, offline) if weights is None else Path(weights)
        file = str(found), checksum_of(found)
    request = TrainingRequest(
        folders, card.reference, file, chosen, options, backend, max_pixels, restart
    )
    return _train(card, request, progress)


def _checked_folders(
    pictures: AnyPath, out: AnyPath, validation: AnyPath | None, split: float, force: bool
) -> Folders:
    held = None if validation is None else os.fspath(validation)
    folders = Folders(os.fspath(pictures), os.fspath(out), held, split)
    if not folders.work.is_dir() or (Path(out) / CARD).exists():
        taught_networks.check_target(Path(out), Path(pictures), force)
    class_folders.read(folders.pictures)
    if held is None and not 0 < split < 1:
        raise UsageError(f"a share from 0 to 1 is held out, or a validation; received {split:g}")
    return folders


class _Progress:
    """Hears what the process that trains tells, and keeps the curves up to date."""

    def __init__(self, out: Path, listener: TrainingListener) -> None:
        self.curves, self.listener = Curves(out), listener
        self.history: list[HistoryRow] = []
        self.resumed_from = 0
        self.remarks: list[str] = []

    def hear(self, told: dict[str, Any]) -> None:
        """Hear an event: what a `TrainingListener` does, and the `best` epoch so far."""
        match told:
            case {"event": "begin", "plan": plan}:
                self.resumed_from = plan["resumed_from"]
                self.listener.begin(plan)
            case {"event": "step", "epoch": epoch, "step": step, "steps": steps, "loss": loss}:
                self.listener.step(epoch, step, steps, loss)
            case {"event": "epoch", "row": row, "best": best}:
                self.history.append(row)
                if len(self.history) >= self.resumed_from:
                    self.curves.write(self.history, best)
                self.listener.epoch(row)
            case {"event": "warn", "text": text}:
                self.remarks.append(text)
                self.listener.warn(text)


def _train(network: Network, request: TrainingRequest, progress: _Progress) -> Tuned:
    try:
        with closing(progress.curves):
            answer = listen("topfive.training.train_process", asdict(request), progress.hear)
    except ChildError as error:
        backend = request.backend
        raise EngineError(f"{network.title} cannot be trained on {backend}: {error}") from error
    found = TrainingResult(**answer)
    trained, accuracy = tuned_networks.write(network, request, found)
    return Tuned(
        network=trained,
        backbone=network.backbone,
        classes=tuple(found.plan["classes"]),
        num_pictures=found.plan["pictures"],
        num_held_out=len(found.truths),
        unreadable=found.unreadable,
        copies=found.copies,
        best_epoch=found.best_epoch,
        accuracy=accuracy,
        confusions=metrics.confusions(np.array(found.truths), np.array(found.answers)),
        history=tuple(found.history),
        options=request.options,
        backend=request.backend,
        seconds=found.seconds,
        remarks=tuple(progress.remarks),
    )
