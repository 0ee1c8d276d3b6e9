"""An export, written or run: `python -m topfive.conversion.export_process REQUEST`.

A process has one Keras backend, and what frameworks print at their start stays here. The process
that writes a file is never the one that runs it: the file has to stand alone.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np

from topfive.conversion.export import ANSWERS, BUILT
from topfive.conversion.formats import DESCRIPTION, FORMATS, Format
from topfive.engines import keras_engine, proofs
from topfive.errors import DamagedWeightsError
from topfive.networks import find
from topfive.networks.cards import Network
from topfive.system import files
from topfive.system.processes import serve, skip_openvino_converter


def write(format: Format, network: Network, weights: Path, stamp: str) -> None:
    """Write a network, with the weights in a file, as `BUILT` with the format's endings.

    Raises:
        WeightsError: the weight file does not have the stamp, or does not fit.
    """
    keras_engine.start_keras(format.backend)
    from topfive.engines import keras_models

    model = keras_models.answering(keras_models.build(network, weights))
    if files.stamp(weights) != stamp:
        raise DamagedWeightsError(f"{weights} changed while it was read")
    description = Path(DESCRIPTION).read_text("ascii")
    format.write(model, network, description, Path(BUILT + format.endings[0]))


def answer(request: dict[str, str]) -> dict[str, str]:
    """Write an export, or open what was written and put what it answers to the self-test's two
    pictures, and to the first alone, into `ANSWERS`, float32 (3, classes)."""
    # From here all names are plain, whatever the user's folders are called.
    os.chdir(request["folder"])
    network, format = find.find_network(request["network"]), FORMATS[request["format"]]
    if request["task"] == "write":
        write(format, network, Path(request["weights"]), request["stamp"])
        return {}
    opened = format.open(Path(BUILT + format.endings[0]))
    pictures = proofs.pictures(network.size)
    np.save(ANSWERS, np.concatenate([opened.answer(pictures), opened.answer(pictures[:1])]))
    return {"runtime": opened.runtime, "description": opened.description}


if __name__ == "__main__":
    skip_openvino_converter()
    sys.exit(serve(answer))
