"""Keras's and TensorFlow's side of the benchmark of folders, a process of its own.

    python -m benchmarks.folder_keras NETWORK WEIGHTS FOLDER [--seconds N | --answers N]
                                      [--pipeline directory | tf.data]

Prints the rate of `model.predict`, 32 pictures at a time, over the folder's files, again and
again; or the answers to the first N, prepared as the tutorial's script does.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.folder_pictures import first
from benchmarks.folder_sides import Window, command_line, print_answers
from topfive.networks.cards import Network
from topfive.networks.find import find_network

BATCH = 32
# Both pipelines stretch with bilinear filtering and without anti-aliasing, Keras's default and
# less work than what topfive's recipes ask for.
FILTER = "bilinear"


def preprocessing(network: Network) -> Callable[[Any], Any]:
    """Return the function that Keras has for the network's pixels, or what it would be."""
    modules = {"vgg16": "vgg16", "resnet50": "resnet50", "inception_v3": "inception_v3",
               "xception": "xception"}  # fmt: skip
    if network.name in modules:
        module = importlib.import_module(f"keras.applications.{modules[network.name]}")
        return module.preprocess_input  # type: ignore[no-any-return]
    step, scaling = -1 if network.scaling.order == "BGR" else 1, network.scaling
    return lambda pixels: pixels[..., ::step] * list(scaling.scale) + list(scaling.offset)


def from_directory(folder: Path, size: int) -> Any:
    """Return batches as Keras's own loader makes them."""
    import keras

    return keras.utils.image_dataset_from_directory(
        folder, labels=None, image_size=(size, size), batch_size=BATCH, shuffle=False,
        interpolation=FILTER, verbose=False,
    )  # fmt: skip


def from_files(folder: Path, size: int) -> Any:
    """Return batches as TensorFlow's guide to input pipelines makes them."""
    import tensorflow as tf

    def decode(file: Any) -> Any:
        pixels = tf.io.decode_jpeg(tf.io.read_file(file), channels=3)
        return tf.image.resize(pixels, (size, size), method=FILTER)

    files = tf.data.Dataset.from_tensor_slices([str(file) for file in sorted(folder.iterdir())])
    return files.map(decode, num_parallel_calls=tf.data.AUTOTUNE).batch(BATCH)


PIPELINES = {"directory": from_directory, "tf.data": from_files}


def measure(model: Any, batches: Any, seconds: float) -> str:
    """Return the rate of `predict` over the batches, again and again, as a line."""
    import keras

    window = Window(seconds)

    class Count(keras.callbacks.Callback):  # type: ignore[misc]
        def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
            if window.add(len(logs["outputs"])):
                self.model.stop_predicting = True

    model.predict(batches.repeat(), verbose=0, callbacks=[Count()])
    return window.report()


def main() -> None:
    """Do what the command line says."""
    parser = command_line(__doc__.splitlines()[0])
    parser.add_argument("--pipeline", choices=PIPELINES, default="directory")
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import keras
    import numpy as np
    import tensorflow as tf
    from tests.support.fakes import bare_model

    from topfive.engines.weight_loading import load_weights

    network = find_network(options.network)
    preprocess, size = preprocessing(network), (network.size, network.size)
    model = bare_model(network)
    load_weights(model, options.weights)
    if options.answers:
        files = first(options.folder, options.answers)
        pictures = [keras.utils.load_img(file, target_size=size) for file in files]
        rows = model.predict(preprocess(np.stack([*map(keras.utils.img_to_array, pictures)])),
                             verbose=0)  # fmt: skip
        print_answers("Keras", ((int(row.argmax()), float(row.max())) for row in rows))
        return
    batches = PIPELINES[options.pipeline](options.folder, network.size)
    batches = batches.map(preprocess, num_parallel_calls=tf.data.AUTOTUNE)
    print(measure(model, batches.prefetch(tf.data.AUTOTUNE), options.seconds))


if __name__ == "__main__":
    main()
