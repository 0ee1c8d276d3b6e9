"""A model that learns: phases of epochs, early stopping, the best weights, checkpoints.

All that is random in an epoch depends on the seed and the epoch's number alone: a training
that was stopped at any moment goes on to what it would have become.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from topfive.errors import EngineError
from topfive.training import model as training_model
from topfive.training.checkpoints import Arrays, Checkpoint, State
from topfive.training.data import Data, Pictures
from topfive.training.messages import Computing, HistoryRow, Plan, PlannedPhase
from topfive.training.options import Options, Phase

MEASURED = 2048  # pictures that the features' mean and deviation are of
STEP = 0.2  # seconds between two steps that are told
ORDER = 1 << 20  # beside an epoch's number: what shuffles

Tell = Callable[..., None]  # is given the name of an event, and its plain values


class Training:
    """A model that learns from data, from a checkpoint on."""

    def __init__(
        self, model: Any, data: Data, options: Options, checkpoint: Checkpoint, tell: Tell
    ) -> None:
        self.model, self.data, self.options, self.checkpoint = model, data, options, checkpoint
        self.tell = tell
        self.batch = options.batch
        self.steps = -(-len(data.learned) // self.batch)
        self.phases = options.phases()
        self.state = State()

    def resume(self) -> None:
        """Go on from the checkpoint, or begin.

        Raises:
            UsageError: the checkpoint is damaged or of another training.
        """
        found = self.checkpoint.read()
        if found is None:
            self._begin()
            return
        self.state, variables, moments = found
        self._begin()
        _assign(self.model.variables, variables)
        _assign(self.model.optimizer.variables, moments)

    def plan(self, computing: Computing) -> Plan:
        """Return what will be done."""
        return {
            **computing,
            "classes": list(self.data.classes),
            "pictures": len(self.data.learned),
            "held_out": len(self.data.held_out),
            "phases": [*map(self._planned, self.phases)],
            "steps": self.steps,
            "resumed_from": len(self.state.history),
        }

    def run(self) -> None:
        """Learn until the last phase ends, and set the model to its best epoch."""
        if not self.state.history:
            training_model.standardise(self.model, self._features())
        while not self.state.finished:
            phase = self.phases[self.state.phase]
            if self.state.epochs >= phase.epochs or self.state.waited >= (
                self.options.patience or phase.epochs
            ):
                self._next()
            else:
                self._epoch(phase)
        _assign(self.model.variables, self.checkpoint.read_best(self.state))

    def _begin(self) -> None:
        phase = self.phases[self.state.phase]
        self._learn(phase)
        steps = self.steps * phase.epochs
        training_model.compile_model(self.model, self.options, phase.name, steps)

    def _learn(self, phase: Phase) -> None:
        training_model.set_learning(self.model, phase.unfreeze, self.options.from_scratch)

    def _planned(self, phase: Phase) -> PlannedPhase:
        self._learn(phase)
        count = sum(np.prod(one.shape) for one in self.model.trainable_variables)
        self._learn(self.phases[self.state.phase])
        return {"phase": phase.name, "epochs": phase.epochs, "trainable": int(count)}

    def _next(self) -> None:
        """End a phase; the next one begins with the best weights so far."""
        self.state.finished = self.state.phase + 1 == len(self.phases)
        if not self.state.finished:
            self.state.phase, self.state.epochs, self.state.waited = self.state.phase + 1, 0, 0
            _assign(self.model.variables, self.checkpoint.read_best(self.state))
            self._begin()
        self._keep(best=False)

    def _epoch(self, phase: Phase) -> None:
        start, state = perf_counter(), self.state
        number = len(state.history) + 1
        learned = self.model.fit(
            self._batches(number),
            steps_per_epoch=self.steps,
            verbose=0,
            shuffle=False,
            callbacks=[self._callback(number)],
        ).history
        loss, accuracy = score(self.answers(self.data.held_out), self.data.held_out.truths)
        row: HistoryRow = {
            "epoch": number,
            "phase": phase.name,
            "loss": float(learned["loss"][0]),
            "accuracy": float(learned["accuracy"][0]),
            "val_loss": loss,
            "val_accuracy": accuracy,
            "learning_rate": float(self.model.optimizer.learning_rate),
            "seconds": perf_counter() - start,
        }
        if not np.isfinite([row["loss"], loss]).all():
            raise EngineError(
                f"the loss of epoch {number} is no number: the network diverged; a lower learning "
                "rate, or no mixed precision, may do (with --restart)"
            )
        best = not state.best_epoch or _better(row, state.history[state.best_epoch - 1])
        state.history.append(row)
        state.best_epoch = number if best else state.best_epoch
        state.waited = 0 if best else state.waited + 1
        state.epochs += 1
        state.seconds += row["seconds"]
        self._keep(best)
        self.tell("epoch", row=row, best=state.best_epoch)

    def _callback(self, epoch: int) -> Any:
        """Return what seeds an epoch and tells of its steps, now and then."""
        import keras

        told = perf_counter()

        def tell(step: int, logs: Any) -> None:
            nonlocal told
            if step + 1 == self.steps or perf_counter() - told >= STEP:
                told, loss = perf_counter(), float(logs["loss"])
                self.tell("step", epoch=epoch, step=step + 1, steps=self.steps, loss=loss)

        def seed(_: Any) -> None:
            training_model.seed_epoch(self.model, self.options.seed, epoch)

        # Not before `fit`, which tries a new model on PyTorch with numbers from the same source.
        return keras.callbacks.LambdaCallback(on_train_begin=seed, on_train_batch_end=tell)

    def _keep(self, best: bool) -> None:
        model, optimizer = self.model.variables, self.model.optimizer.variables
        self.checkpoint.write(self.state, _arrays(model), _arrays(optimizer), best)

    def _batches(self, epoch: int) -> Iterator[tuple[Any, Any, Any]]:
        """Yield the batches of an epoch; the last is filled up with pictures from the first."""
        pictures, size = self.data.learned, len(self.data.classes)
        random = np.random.default_rng([self.options.seed, epoch, ORDER])
        order = np.resize(random.permutation(len(pictures)), self.steps * self.batch)
        counts = np.bincount(pictures.truths, minlength=size)
        share = (len(pictures) / (size * counts)).astype(np.float32)
        wanted = np.eye(size, dtype=np.float32)
        for places, squares in pictures.batches(order, self.batch):
            truths = pictures.truths[places]
            yield squares, wanted[truths], share[truths]

    def answers(self, pictures: Pictures, model: Any = None) -> NDArray[np.float32]:
        """Return the logits of pictures (n, classes), or what another model answers."""
        model, found = model or self.model, []
        for _, squares in pictures.batches(range(len(pictures)), self.batch):
            missing = self.batch - len(squares)
            whole = np.pad(squares, ((0, missing), (0, 0), (0, 0), (0, 0)))
            found.append(np.asarray(model.predict_on_batch(whole), np.float32)[: len(squares)])
        return np.concatenate(found)

    def _features(self) -> NDArray[np.float32]:
        model = training_model.before_head(self.model)
        pictures, random = self.data.learned, np.random.default_rng([self.options.seed, ORDER])
        if self.options.from_scratch:
            # What batch normalisation knows comes with learning: here it computes as it will then.
            training_model.seed_epoch(self.model, self.options.seed, 0)
            _, squares = next(pictures.batches(random.permutation(len(pictures)), self.batch))
            return _array(model(squares, training=True))
        some = np.sort(random.permutation(len(pictures))[:MEASURED])
        return self.answers(pictures.some(some), model)


def score(logits: NDArray[np.float32], truths: NDArray[np.intp]) -> tuple[float, float]:
    """Return the mean cross-entropy and the accuracy of (n, classes) logits."""
    from scipy.special import log_softmax

    known = log_softmax(logits.astype(np.float64), axis=1)[np.arange(len(truths)), truths]
    return float(-known.mean()), float((logits.argmax(axis=1) == truths).mean())


def _better(row: HistoryRow, other: HistoryRow) -> bool:
    """Whether an epoch is better: more of what is held out is right, or as much and surer."""
    first, second = ((one["val_accuracy"], -one["val_loss"]) for one in (row, other))
    return bool(first > second)


def _arrays(variables: Any) -> Arrays:
    return [_array(one) for one in variables]


def _array(tensor: Any) -> NDArray[Any]:
    import keras

    return np.asarray(keras.ops.convert_to_numpy(tensor))


def _assign(variables: Any, arrays: Arrays) -> None:
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
