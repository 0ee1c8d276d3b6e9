"""The networks that OpenVINO's benchmark_app runs, as files; made in a process of its own.

    python -m benchmarks.folder_graphs NETWORK WEIGHTS FOLDER TARGET [--answers N]

Writes `exported.xml`, the network as Keras exports it, and `own.xml`, the one that topfive
compiles for many pictures, each for one picture at a time; prints both's answers to the
first N pictures, prepared as the tutorial's script does.
"""

from __future__ import annotations

import os
from pathlib import Path

from benchmarks.folder_pictures import first
from benchmarks.folder_sides import command_line, print_answers


def main() -> None:
    """Do what the command line says."""
    parser = command_line(__doc__.splitlines()[0])
    parser.add_argument("target", type=Path, help="a folder for the files")
    options = parser.parse_args()
    os.environ["KERAS_BACKEND"] = "openvino"
    import numpy as np
    import openvino

    from topfive import blobs, convert, devices, images, keras_models
    from topfive.network_folders import find_network
    from topfive.networks import choose_recipe

    network = find_network(options.network)
    recipe = choose_recipe(network, "tutorial")
    squares = [
        images.fit(images.decode(file.read_bytes(), keras=True), network.size, recipe)
        for file in first(options.folder, options.answers or 0)
    ]
    model = keras_models.build(network, options.weights)
    models = {
        "exported": keras_models.answering(model),
        "own": keras_models.for_openvino(model, network),
    }
    for name, kind in models.items():
        graph = convert.exported(kind)
        openvino.serialize(graph, options.target / f"{name}.xml")
        compiled = devices.compile_graph(graph, blobs.Target(throughput=True))
        rows = [compiled(square[np.newaxis])[0][0] for square in squares]
        print_answers(name, ((int(row.argmax()), float(row.max())) for row in rows))


if __name__ == "__main__":
    main()
