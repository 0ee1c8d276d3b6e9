"""A small network that learns, on any backend:
`python -m tests.support.small_trainings BACKEND FOLDER`
prints what came of it as JSON, for `test_small_trainings`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from topfive.engines import keras_engine
from topfive.networks.published import NETWORKS
from topfive.pictures.preparation import Prepared
from topfive.sources.source import Source
from topfive.training import loop
from topfive.training import model as training_model
from topfive.training.checkpoints import Checkpoint
from topfive.training.data import Data, Pictures
from topfive.training.loop import Training
from topfive.training.options import Options

SIZE, CLASSES, BATCH = 32, 3, 4
NETWORK = replace(
    NETWORKS["squeezenet"], name="small", size=SIZE, builder="tests.support.small_trainings:network"
)
TUNED: dict[str, Any] = {
    "head_epochs": 2,
    "epochs": 3,
    "unfreeze": 1,
    "batch": BATCH,
    "warmup": 0.25,
}


class Stopped(Exception):
    """A training was stopped."""


def network(**_: Any) -> Any:
    """Return three blocks of a convolution and batch normalisation, and ten classes."""
    import keras

    layers = keras.layers
    x = inputs = keras.Input((SIZE, SIZE, 3))
    for number, size in enumerate((8, 12, 16), start=1):
        x = layers.Conv2D(size, 3, 2, padding="same", name=f"block{number}_conv")(x)
        x = layers.BatchNormalization(name=f"block{number}_norm")(x)
        x = layers.ReLU(name=f"block{number}_out")(x)
    x = layers.GlobalAveragePooling2D()(layers.Dropout(0.3)(x))
    return keras.Model(inputs, layers.Dense(10, name="answers")(x), name="small")


def pictures(count: int) -> Pictures:
    """Return pictures in three colours, nearly."""
    random = np.random.default_rng(count)
    truths = np.arange(count) % CLASSES
    squares = random.integers(0, 120, (count, SIZE, SIZE, 3)).astype(np.uint8)
    for square, truth in zip(squares, truths, strict=True):
        square[..., truth] += np.uint8(random.integers(40, 130))

    def never(source: Source) -> Prepared:
        raise AssertionError(source)

    sources = tuple(Source(str(number), None) for number in range(count))
    return Pictures(sources, truths, ("",) * count, squares, never)


DATA = Data(("red", "green", "blue"), pictures(24), pictures(6), 0, 0)


def training(
    folder: Path, weights: Path | None, stop: int = 0, mixed: bool = False, **options: Any
) -> Training:
    """Return a training that is about to begin or to go on; it stops after an epoch."""
    given = Options(from_scratch=weights is None, **options).resolved()
    folder.mkdir(exist_ok=True)

    def tell(event: str, **values: Any) -> None:
        if event == "epoch" and values["row"]["epoch"] == stop:
            raise Stopped

    model = training_model.build(NETWORK, weights, CLASSES, given, mixed)
    found = Training(model, DATA, given, Checkpoint(folder, asdict(given)), tell)
    found.resume()
    return found


def numbers(model: Any) -> dict[str, list[float]]:
    """Return all weights of a model by their names."""
    return {
        f"{layer.name}/{one.name}": np.asarray(one.numpy(), np.float64).ravel().tolist()
        for layer in (*training_model.body_of(model).layers, model.get_layer("head"))
        for one in layer.weights
        if "seed" not in one.path
    }


def told(one: Training) -> dict[str, Any]:
    """Let it learn to its end and return what came of it."""
    before = numbers(one.model)
    one.run()
    after = numbers(one.model)
    return {
        "changed": sorted(name for name in before if before[name] != after[name]),
        "history": [{**row, "seconds": 0} for row in one.state.history],
        "weights": [number for name in sorted(after) for number in after[name]],
    }


def results(folder: Path) -> Iterator[tuple[str, Any]]:
    """Yield what came of each training."""
    import keras

    weights = folder / "small.weights.h5"
    keras.utils.set_random_seed(1)
    network().save_weights(str(weights))
    measured = loop.score
    # Each epoch counts as better than the one before: the last one's weights are kept.
    loop.score = lambda logits, truths: (measured(logits, truths)[0], next(rising))

    rising = iter(range(100))
    yield "whole", told(training(folder / "whole", weights, **TUNED))
    for stop in (1, 2, 4):
        place, rising = folder / f"stopped_{stop}", iter(range(100))
        try:
            training(place, weights, stop, **TUNED).run()
        except Stopped:
            yield f"stopped_{stop}", told(training(place, weights, **TUNED))

    rising = iter(range(100))
    options: dict[str, Any] = {"epochs": 2, "batch": BATCH, "augment": 0.0}
    yield "scratch", told(training(folder / "scratch", None, **options))

    rising = iter(range(100))
    given: dict[str, Any] = {
        "head_epochs": 6,
        "epochs": 1,
        "batch": BATCH,
        "learning_rate": 1e-3,
        "warmup": 0.0,
    }
    half = training(folder / "mixed", weights, mixed=True, **given)
    body = training_model.body_of(half.model)
    yield "mixed", {
        "computes": [one.compute_dtype for one in (body.get_layer("block1_conv"),
                                                   half.model.get_layer("head"))],
        "keeps": sorted({str(one.dtype) for one in body.weights if "seed" not in one.path}),
        "optimizer": type(half.model.optimizer).__name__,
        **told(half),
    }  # fmt: skip

    assert DATA.learned.squares is not None
    grey = DATA.learned.squares[:2, ..., :1].repeat(3, axis=-1)
    inputs = keras.Input((SIZE, SIZE, 3), dtype="uint8")
    varying = keras.Model(inputs, training_model._varied(inputs, 1.0))
    made = {"plain": grey}
    for name, epoch in (("first", 1), ("second", 2), ("again", 1)):
        training_model.seed_epoch(varying, 0, epoch)
        made[name] = np.asarray(keras.ops.convert_to_numpy(varying(grey, training=True)))
    yield (
        "varied",
        {
            "grey": all(bool((one == one[..., :1]).all()) for one in made.values()),
            **{name: one[..., 0].tolist() for name, one in made.items()},
        },
    )

    for optimizer in ("adamw", "sgd"):
        given = {"learning_rate": 0.1, "weight_decay": 0.5, "warmup": 0.0, "label_smoothing": 0.3}
        one = training(folder / optimizer, weights, optimizer=optimizer, head_epochs=0, **given)
        before = numbers(one.model)
        learning = one.model.trainable_variables
        one.model.optimizer.apply([keras.ops.zeros(one.shape) for one in learning], learning)
        after = numbers(one.model)
        names = ("block3_conv/kernel", "block3_conv/bias", "block1_conv/kernel")
        yield optimizer, {
            "left": {name: float(np.linalg.norm(after[name]) / (np.linalg.norm(before[name]) or 1))
                     for name in names},
            "loss": float(one.model.loss(np.eye(3, dtype=np.float32)[:1],
                                         np.array([[2, 0, 1]], np.float32))),
        }  # fmt: skip


if __name__ == "__main__":
    keras_engine.start_keras(sys.argv[1])
    print(json.dumps(dict(results(Path(sys.argv[2])))))
