"""Post-training quantisation with NNCF: `python -m topfive.conversion.quantize_process REQUEST`.

The process that asks imports neither Keras nor NNCF; what they print and would send stays here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from topfive.engines import blobs, devices, graphs, keras_engine
from topfive.networks import records
from topfive.networks.find import find_network
from topfive.system.processes import serve, skip_openvino_converter

# How much of the probability may move to other classes, in the mean over the pictures that make the
# network, before layers go back to float32; on others it is 0.03 to 0.04 then. At 0.03, real
# SqueezeNet lost a point of its top-5 accuracy. See docs/decisions/11-eight-bits.md.
MAX_SHIFT = 0.02
RANKED = 32  # pictures by which it is found which layers lose most


def answer(request: dict[str, Any]) -> None:
    """Write a network's graph in 8 bits, as `records.GRAPH`, for `quantize.make_int8`.

    The pictures, uint8 (n, size, size, 3), are what its ranges are taken from, and by which layers
    that lose too much are put back to float32, unless all layers shall stay.

    Raises:
        WeightsError: the weight file does not have the checksum, or does not fit.
    """
    # NNCF would send by it what it is used for.
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    import nncf
    import openvino
    from nncf.quantization import advanced_parameters as advanced
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet
    from openvino._offline_transformations import apply_moc_transformations

    from topfive.engines import keras_models

    network, pictures = find_network(request["network"]), np.load(request["pictures"])
    model = keras_engine.checked_model(network, Path(request["weights"]), request["checksum"])
    graph = graphs.exported_graph(keras_models.for_openvino(model, network))
    del model
    # NNCF takes weights for weights only where nothing stands between them and their layer: what
    # is constant is computed, and layers are merged where that is so.
    apply_moc_transformations(graph, cf=True)
    settings = {
        "subset_size": len(pictures),
        # Activations on both sides of zero get a range that is not symmetric.
        "preset": nncf.QuantizationPreset.MIXED,
    }
    ranges = advanced.AdvancedQuantizationParameters(
        # A processor without VNNI adds two products of 8 bits into 16, which overflow.
        overflow_fix=advanced.OverflowFix.FIRST_LAYER,
        activations_range_estimator_params=RangeEstimatorParametersSet.HISTOGRAM,
    )
    calibrating = nncf.Dataset([picture[np.newaxis] for picture in pictures])
    if request["all_layers"]:
        quantised = nncf.quantize(graph, calibrating, advanced_parameters=ranges, **settings)
    else:
        exact = devices.run_of(devices.compile_graph(graph, blobs.Target()))
        quantised = nncf.quantize_with_accuracy_control(
            graph,
            calibrating,
            nncf.Dataset(list(zip(pictures, exact(pictures), strict=True))),
            kept,
            max_drop=MAX_SHIFT,
            advanced_quantization_parameters=ranges,
            advanced_accuracy_restorer_parameters=advanced.AdvancedAccuracyRestorerParameters(
                ranking_subset_size=min(RANKED, len(pictures)),
                num_ranking_workers=1,  # each has a copy of the network
            ),
            **settings,
        )
    file = Path(request["folder"]) / records.GRAPH[0]
    openvino.save_model(quantised, file, compress_to_fp16=False)


def kept(
    compiled: Any, known: Iterable[tuple[NDArray[np.uint8], NDArray[np.float32]]]
) -> tuple[float, list[float]]:
    """Return which part of the probability (0 to 1) a network leaves where float32's answers
    had it: the mean over the known answers, and each."""
    parts = []
    for picture, expected in known:
        answer = compiled(picture[np.newaxis])[devices.PROBABILITIES][0]
        parts.append(1 - float(np.abs(answer - expected).sum()) / 2)
    return float(np.mean(parts)), parts


if __name__ == "__main__":
    skip_openvino_converter()
    sys.exit(serve(answer))
