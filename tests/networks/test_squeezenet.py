from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

from tests.support import fakes
from topfive.engines import keras_models
from topfive.networks import labels, squeezenet
from topfive.networks.published import NETWORKS

V1_0, V1_1 = NETWORKS["squeezenet"], NETWORKS["squeezenet_v1.1"]


@pytest.fixture(scope="module")
def models() -> dict[str, Any]:
    return {card.name: fakes.bare_model(card) for card in (V1_0, V1_1)}


# Caffe's shapes: v1.0 of the paper's table 1, v1.1 of its authors' repository.
SIZES = {
    ("squeezenet", "conv1"): (111, 96), ("squeezenet", "pool1"): (55, 96),
    ("squeezenet", "fire2_concat"): (55, 128), ("squeezenet", "fire3_concat"): (55, 128),
    ("squeezenet", "fire4_concat"): (55, 256), ("squeezenet", "pool4"): (27, 256),
    ("squeezenet", "fire5_concat"): (27, 256), ("squeezenet", "fire6_concat"): (27, 384),
    ("squeezenet", "fire7_concat"): (27, 384), ("squeezenet", "fire8_concat"): (27, 512),
    ("squeezenet", "pool8"): (13, 512), ("squeezenet", "fire9_concat"): (13, 512),
    ("squeezenet", "conv10"): (13, 1000),
    ("squeezenet_v1.1", "conv1"): (113, 64), ("squeezenet_v1.1", "pool1"): (56, 64),
    ("squeezenet_v1.1", "fire3_concat"): (56, 128), ("squeezenet_v1.1", "pool3"): (28, 128),
    ("squeezenet_v1.1", "fire5_concat"): (28, 256), ("squeezenet_v1.1", "pool5"): (14, 256),
    ("squeezenet_v1.1", "fire9_concat"): (14, 512), ("squeezenet_v1.1", "conv10"): (14, 1000),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("name", "layer"), SIZES)
def test_a_layer_has_caffes_shape(models: dict[str, Any], name: str, layer: str) -> None:
    size, channels = SIZES[name, layer]
    assert models[name].get_layer(layer).output.shape == (None, size, size, channels)


@pytest.mark.parametrize("name", ["squeezenet", "squeezenet_v1.1"])
def test_the_last_convolution_is_rectified_then_averaged(models: dict[str, Any], name: str) -> None:
    last = [layer.name for layer in models[name].layers][-4:]
    assert last == ["drop9", "conv10", "pool10", "prob"]
    assert models[name].get_layer("conv10").activation is keras.activations.relu
    assert models[name].output_shape == (None, 1000)


@pytest.mark.slow
@pytest.mark.parametrize("size", range(3, 30))
def test_pooling_in_ceil_mode_is_caffes(size: int) -> None:
    """Windows start at every second pixel and may hang over the far edge, as in Caffe."""
    picture = np.random.default_rng(size).normal(size=(1, size, size, 2)).astype(np.float32) - 9
    inputs = keras.Input((size, size, 2))
    model = keras.Model(inputs, squeezenet._max_pool(inputs, "pool"))
    received = np.asarray(model(picture))
    count = -(-(size - 3) // 2) + 1
    starts = [2 * number for number in range(count)]
    expected = [[picture[0, y : y + 3, x : x + 3].max(axis=(0, 1)) for x in starts] for y in starts]
    assert received.shape == (1, count, count, 2)
    assert np.array_equal(received[0], expected)


@pytest.mark.slow
def test_the_published_weights_answer_as_an_independent_model_does(shared: Path) -> None:
    """A few pictures, operation by operation; the engines' tests run them all."""
    model = keras_models.build(V1_0, shared / "weights" / "compressed_SqueezeNet.net")
    reference = json.loads((shared / "reference" / "squeezenet_v1.0_top5.json").read_text())
    names = labels.load("imagenet")
    for filter_name, filter_ in (
        ("nearest", Image.Resampling.NEAREST),
        ("bilinear", Image.Resampling.BILINEAR),
    ):
        for row in reference["predictions"][filter_name][:: 160 // 4]:
            with Image.open(shared / "images" / row["file"]) as picture:
                square = np.asarray(picture.convert("RGB").resize((227, 227), filter_))
            row_of = keras.ops.convert_to_numpy(model(square[None])[0])[0]
            first = int(row_of.argmax())
            assert first == row["top5"][0]["class"]
            assert names[first].wnid == row["top5"][0]["wnid"]
            for expected in row["top5"]:
                assert abs(row_of[expected["class"]] - expected["probability"]) < 1e-4
