"""The model that is trained; it learns in processes of their own, see `test_tuning`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tests.support import fakes
from topfive.engines import keras_engine, keras_models
from topfive.networks.published import NETWORKS
from topfive.training import model as training_model
from topfive.training.options import ALL, Options

OPTIONS = Options().resolved()
NETWORK = NETWORKS["squeezenet_v1.1"]
# How many blocks each network has, and what layers with weights its last two begin with.
BLOCKS = {
    "vgg16": (7, "fc1", "fc2"),
    "vgg19": (7, "fc1", "fc2"),
    "resnet50": (17, "conv5_block2_1_conv", "conv5_block3_1_conv"),
    "inception_v3": (16, None, None),  # whose layers are named by a count
    "xception": (14, "block13_sepconv1", "block14_sepconv1"),
    "squeezenet": (9, "fire8_squeeze1x1", "fire9_squeeze1x1"),
    "squeezenet_v1.1": (9, "fire8_squeeze1x1", "fire9_squeeze1x1"),
    "mobilenet": (14, "conv_dw_12", "conv_dw_13"),
    "resnet50v2": (17, "conv5_block2_preact_bn", "conv5_block3_preact_bn"),
    "resnet101": (34, "conv5_block2_1_conv", "conv5_block3_1_conv"),
    "resnet152": (51, "conv5_block2_1_conv", "conv5_block3_1_conv"),
    "densenet121": (62, "conv5_block15_0_bn", "conv5_block16_0_bn"),
    "efficientnetb0": (18, "block7a_expand_conv", "top_conv"),
    "efficientnet_lite0": (18, "block7a_expand_conv", "top_conv"),
    "efficientnet_lite1": (23, "block7a_expand_conv", "top_conv"),
    "efficientnet_lite2": (23, "block7a_expand_conv", "top_conv"),
    "convnext_tiny": (22, "convnext_tiny_stage_3_block_1_depthwise_conv",
                      "convnext_tiny_stage_3_block_2_depthwise_conv"),
}  # fmt: skip


def build(weights: Path | None, **options: Any) -> Any:
    given = Options(**options, from_scratch=weights is None).resolved()
    return training_model.build(NETWORK, weights, 3, given, mixed=False)


def predict(model: Any, inputs: Any) -> Any:
    with keras_engine.exact_predictions():
        return np.asarray(model.predict_on_batch(inputs), np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_each_network_has_the_blocks_of_its_paper(name: str) -> None:
    body = keras_models.features(keras_models.bare(NETWORKS[name], "channels_last"))
    parts = training_model.blocks(body)
    assert [layer for part in parts for layer in part] == body.layers
    firsts = [next(layer.name for layer in part if layer.weights) for part in parts[-2:]]
    count, *expected = BLOCKS[name]
    assert len(parts) == count
    if name == "inception_v3":
        assert [part[-1].name for part in parts[-3:-1]] == ["mixed8", "mixed9"]
    else:
        assert firsts == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["resnet50", "efficientnetb0", "efficientnet_lite0", "convnext_tiny"]
)
def test_batch_normalisation_never_learns_and_only_top_blocks_do(name: str) -> None:
    body = keras_models.features(keras_models.bare(NETWORKS[name], "channels_last"))
    # Around the body is what `build` puts there, without weights.
    inputs = keras.Input(body.input_shape[1:])
    pictures = keras.Model(inputs, body(inputs))
    whole = keras.Input(body.input_shape[1:])
    model = keras.Model(whole, keras.layers.Dense(2, name="head")(pictures(whole)))
    counts = []
    for learning in (0, 1, 2, ALL):
        training_model.set_learning(model, learning)
        counts.append(len(model.trainable_variables))
        for layer in body.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                assert not layer.trainable
    assert counts[0] == 2
    assert counts == sorted(set(counts))
    kernels = [one for one in body.weights if "kernel" in one.name]
    assert {id(one) for one in kernels} <= {id(one) for one in model.trainable_variables}
    training_model.set_learning(model, ALL, from_scratch=True)
    assert len(model.trainable_variables) >= counts[-1]
    if name != "convnext_tiny":
        assert len(model.trainable_variables) > counts[-1]


@pytest.mark.slow
def test_the_head_that_is_written_is_that_of_the_model(weight_file: Path) -> None:
    model = build(weight_file)
    squares = fakes.pictures(6, NETWORK.size)
    before = predict(training_model.before_head(model), squares)
    training_model.standardise(model, before)
    kernel = np.random.default_rng(1).normal(size=(512, 3)).astype(np.float32)
    model.get_layer("head").set_weights([kernel, np.array([1, -2, 3], np.float32)])
    head = training_model.head_of(model)
    assert head.shape == (513, 3)
    expected = predict(model, squares)
    assert expected.std() > 1
    found = before.astype(np.float64) @ head[:-1] + head[-1]
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.slow
def test_pictures_are_varied_in_training_alone_and_grey_ones_stay_grey(weight_file: Path) -> None:
    model = build(weight_file, augment=1.0)
    plain = build(weight_file, augment=0.0)
    colour = fakes.pictures(4, NETWORK.size)
    np.testing.assert_array_equal(predict(model, colour), predict(plain, colour))
    inputs, layers = keras.Input(colour.shape[1:], dtype="uint8"), keras.layers
    varied = keras.Model(inputs, training_model._varied(inputs, 1.0))
    names = {type(layer) for layer in varied.layers}
    assert {layers.RandomFlip, layers.RandomRotation, layers.RandomContrast} <= names
    np.testing.assert_array_equal(predict(varied, colour), colour.astype(np.float32))


@pytest.mark.slow
@pytest.mark.parametrize(("initializer", "expected"), [("he", 2.0), ("glorot", None)])
def test_weights_from_scratch_are_drawn_as_the_papers_say(
    initializer: str, expected: float | None
) -> None:
    model = build(None, initializer=initializer, seed=3)
    body = training_model.body_of(model)
    kernels = [one for one in body.weights if one.name == "kernel"]
    assert len(kernels) == 25
    for kernel in kernels:
        values = np.asarray(kernel.numpy())
        *window, fan_in, fan_out = values.shape
        size = np.prod(window)
        variance = (expected or 0) / (size * fan_in) or 2 / (size * (fan_in + fan_out))
        assert values.var() == pytest.approx(variance, rel=0.15)
    assert all(not np.any(one.numpy()) for one in body.weights if one.name == "bias")
    again = training_model.body_of(build(None, initializer=initializer, seed=3))
    other = training_model.body_of(build(None, initializer=initializer, seed=4))
    assert np.array_equal(again.weights[0].numpy(), body.weights[0].numpy())
    assert not np.array_equal(other.weights[0].numpy(), body.weights[0].numpy())


def test_all_that_is_random_in_an_epoch_depends_on_the_seed_and_the_epoch(
    weight_file: Path,
) -> None:
    model = build(weight_file)

    def states(seed: int, epoch: int) -> list[tuple[int, ...]]:
        training_model.seed_epoch(model, seed, epoch)
        return [tuple(one.numpy().tolist()) for one in model.variables if "seed" in one.path]

    known = states(0, 1)
    assert len(set(known)) == len(known) == 7, "six layers that vary pictures, and dropout"
    assert states(0, 1) == known
    assert not set(states(0, 2)) & set(known)
    assert not set(states(1, 1)) & set(known)
