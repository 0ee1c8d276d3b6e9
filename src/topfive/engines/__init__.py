"""A card and a weight file to a `Run`, on Keras or from OpenVINO's compiled cache.
The way in is `table.ENGINES`."""

__all__ = [
    "blobs",
    "devices",
    "graphs",
    "keras_engine",
    "keras_models",
    "openvino_engine",
    "proofs",
    "run",
    "self_test",
    "table",
    "weight_formats",
]
