"""The networks that OpenVINO's benchmark_app runs, as files; made in a process of its own.

    python -m benchmarks.folder_graphs NETWORK WEIGHTS FOLDER TARGET [--answers N]

Writes `exported.xml`, the network as Keras exports it, for one picture at a time, `own.xml`, the
one that topfive compiles for many pictures, and `product.xml`, a matrix product; prints how many
operations a picture and the product are, and the answers of both networks to the first N
pictures, prepared as the tutorial's script does.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.folder_pictures import first
from benchmarks.folder_sides import command_line, print_answers, print_work


def main() -> None:
    """Do what the command line says."""
    parser = command_line(__doc__.splitlines()[0])
    parser.add_argument("target", type=Path, help="a folder for the files")
    options = parser.parse_args()
    os.environ["KERAS_BACKEND"] = "openvino"
    import numpy as np
    import openvino

    from topfive.engines import blobs, devices, direct_graphs, graphs, keras_models
    from topfive.evaluation import arithmetic
    from topfive.networks.cards import choose_recipe
    from topfive.networks.find import find_network
    from topfive.pictures import decoding
    from topfive.pictures.squares import fit
    from topfive.system import files

    network = find_network(options.network)
    recipe = choose_recipe(network, "tutorial")
    squares = [
        fit(decoding.decode(file.read_bytes(), keras=True)[0], network.size, recipe)
        for file in first(options.folder, options.answers or 0)
    ]
    openvino.serialize(arithmetic.make_product("f32"), options.target / "product.xml")
    model, target = keras_models.build(network, options.weights), blobs.Target(throughput=True)
    content = files.checksum_of(options.weights)

    def own() -> Any:
        if direct_graphs.is_direct(network, content, target):
            return direct_graphs.build(network, options.weights)
        return graphs.exported_graph(keras_models.for_openvino(model, network))

    kinds: dict[str, tuple[Callable[[], Any], int]] = {
        "exported": (lambda: graphs.exported_graph(keras_models.answering(model)), 1),
        "own": (own, target.batch(network)),
    }
    for name, (make, batch) in kinds.items():
        graph = make()
        work = 2 * arithmetic.count_multiply_adds(graph)
        graphs.set_batch(graph, batch)
        openvino.serialize(graph, options.target / f"{name}.xml")
        run = devices.run_of(devices.compile_graph(graph, target))
        rows = run(np.stack(squares)) if squares else ()
        print_answers(name, ((int(row.argmax()), float(row.max())) for row in rows))
    print_work(work, arithmetic.PRODUCT_OPERATIONS)


if __name__ == "__main__":
    main()
