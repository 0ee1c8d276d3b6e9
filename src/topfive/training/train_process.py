"""A network that learns, in a process of its own, which tells in lines of JSON how it goes."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from topfive.engines import keras_engine
from topfive.errors import DamagedWeightsError, UsageError
from topfive.networks import find, heads
from topfive.system import files
from topfive.system.processes import serve
from topfive.training import checkpoints
from topfive.training import data as training_data
from topfive.training import model as training_model
from topfive.training.checkpoints import BODY, HEAD, Checkpoint
from topfive.training.data import Preparation
from topfive.training.loop import Training
from topfive.training.messages import Computing, TrainingRequest, TrainingResult
from topfive.training.options import Options


def tell(event: str, **values: Any) -> None:
    """Tell whoever started this process something."""
    print(json.dumps({"event": event, **values}), flush=True)


def answer(values: dict[str, Any]) -> dict[str, Any]:
    """Do the training that `tune` asks for."""
    request = TrainingRequest.from_dict(values)
    with checkpoints.locked(request.folders.work):
        return asdict(_train(request))


def _train(request: TrainingRequest) -> TrainingResult:
    options, work = request.options, request.folders.work
    network = find.find_network(request.network)
    prepare = Preparation(network.size, request.recipe, request.max_pixels)
    data = training_data.read(
        request.folders, options.seed, prepare, lambda text: tell("warn", text=text)
    )
    computing = _start(options, request.backend)
    file, checksum = request.weights or (None, "")
    if file and not files.matches(Path(file), checksum):
        raise DamagedWeightsError(f"{file} is not what it was: expected {checksum}")
    mixed = computing["mixed_precision"]
    weights = Path(file) if file else None
    model = training_model.build(network, weights, len(data.classes), options, mixed)
    key = {
        "network": request.network,
        "weights": checksum or None,
        "backend": request.backend,
        **asdict(options),
        "mixed_precision": mixed,
        "recipe": str(request.recipe),
        "classes": list(data.classes),
        "held_out": len(data.held_out),
        "learned_from": len(data.learned),
        "pictures": data.digest(),
    }
    if request.restart:
        checkpoints.clear(work)
    training = Training(model, data, options, Checkpoint(work, key), tell)
    training.resume()
    plan = training.plan(computing)
    tell("begin", plan=plan)
    for row in training.state.history:
        tell("epoch", row=row, best=training.state.best_epoch)
    training.run()
    head, body = training_model.head_of(model), training_model.body_of(model)
    body.save_weights(str(work / BODY))
    heads.write(head, work / HEAD)
    return TrainingResult(
        plan=plan,
        unreadable=data.unreadable,
        copies=data.copies,
        held_out=[source.name for source in data.held_out.sources],
        truths=data.held_out.truths.tolist(),
        answers=training.answers(data.held_out).argmax(axis=1).tolist(),
        history=training.state.history,
        best_epoch=training.state.best_epoch,
        seconds=training.state.seconds,
        parameters=int(body.count_params()) + head.size,
    )


def _start(options: Options, backend: str) -> Computing:
    """Start Keras, on all devices where the backend can use them; return what it computes on."""
    keras_engine.start_keras(backend)
    found = devices(backend)
    if backend == "jax" and len(found) > 1:
        import keras

        keras.distribution.set_distribution(keras.distribution.DataParallel())
        if options.batch % len(found):
            raise UsageError(
                f"a batch of {options.batch} cannot be divided among {len(found)} devices"
            )
    mixed = options.mixed_precision
    half = mixed == "on" or (mixed == "auto" and not found[0].startswith("CPU"))
    return {"backend": backend, "devices": found, "mixed_precision": half}


def devices(backend: str) -> list[str]:
    """Return the names of what a backend computes on: its GPUs, or `CPU`."""
    if backend == "jax":
        import jax

        return [f"{one.device_kind} {one.id}".replace("cpu", "CPU") for one in jax.devices()]
    if backend == "torch":
        import torch

        gpus = [torch.cuda.get_device_name(one) for one in range(torch.cuda.device_count())]
    else:
        import tensorflow

        gpus = [one.name for one in tensorflow.config.list_physical_devices("GPU")]
    return gpus[:1] or ["CPU"]


if __name__ == "__main__":
    sys.exit(serve(answer))
