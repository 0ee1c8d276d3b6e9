"""The three EfficientNet-Lites as Keras models and as graphs, layer by layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import openvino
import pytest
from numpy.typing import NDArray
from openvino import opset13

from tests.engines.test_keras_models import compute
from tests.support import fakes
from topfive.engines import direct_graphs, keras_models, torch_files
from topfive.networks import efficientnet_lite, weights
from topfive.networks.published import NETWORKS, find_published

NAMES = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
KERNELS = (keras.layers.Conv2D, keras.layers.Dense)  # a depthwise layer is a convolution, too


@pytest.fixture(scope="module")
def models() -> dict[str, Any]:
    return {name: fakes.bare_model(NETWORKS[name]) for name in NAMES}


class Counting:
    """Layers that only count: a tensor is the number of kernels on the longest path to it."""

    def __init__(self) -> None:
        self.units: dict[str, list[int]] = {}  # the filters of a stage's units
        self.strides: list[int] = []
        self.rates: list[float] = []
        self.sums = 0

    def convolution(
        self, x: int, name: str, filters: int, kernel: int = 1, stride: int = 1, active: bool = True
    ) -> int:
        if name.endswith("_project"):
            self.units.setdefault(name[len("block")], []).append(filters)
        return x + 1

    def depthwise(self, x: int, name: str, kernel: int, stride: int) -> int:
        self.strides.append(stride)
        return x + 1

    def add(self, x: int, before: int, name: str, rate: float) -> int:
        self.rates.append(rate)
        return max(x, before)

    def classify(self, x: int, classes: int, dropout: float) -> int:
        return x + 1


def counted(name: str) -> tuple[Counting, int]:
    layers = Counting()
    return layers, efficientnet_lite.assemble(efficientnet_lite.VARIANTS[name], 0, layers)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_depth_on_the_card_is_the_longest_path_of_layers_with_kernels(
    name: str, models: dict[str, Any]
) -> None:
    depth = counted(name)[1]
    assert depth == NETWORKS[name].depth
    kernels = [layer for layer in models[name].layers if hasattr(layer, "kernel")]
    assert len(kernels) == depth, "none stands beside another"


@pytest.mark.parametrize("name", NAMES)
def test_the_card_counts_the_parameters_and_names_the_size(
    name: str, models: dict[str, Any]
) -> None:
    card, model = NETWORKS[name], models[name]
    assert model.count_params() == card.parameters
    assert model.input_shape == (None, card.size, card.size, 3)
    assert model.output_shape == (None, 1000)
    assert model.name == name
    assert efficientnet_lite.VARIANTS[name].size == card.size


# Of each stage: its units and their filters.
UNITS = {
    "efficientnet_lite0": [(1, 16), (2, 24), (2, 40), (3, 80), (3, 112), (4, 192), (1, 320)],
    "efficientnet_lite1": [(1, 16), (3, 24), (3, 40), (4, 80), (4, 112), (5, 192), (1, 320)],
    "efficientnet_lite2": [(1, 16), (3, 24), (3, 48), (4, 88), (4, 120), (5, 208), (1, 352)],
}


@pytest.mark.parametrize("name", NAMES)
def test_stem_head_first_and_last_stage_are_not_scaled_and_the_rest_is(
    name: str, models: dict[str, Any]
) -> None:
    layers, _ = counted(name)
    found = [(len(filters), filters[0]) for filters in layers.units.values()]
    assert found == UNITS[name]
    assert all(len(set(filters)) == 1 for filters in layers.units.values())
    assert models[name].get_layer("stem_conv").filters == 32
    assert models[name].get_layer("top_conv").filters == 1280
    assert layers.strides.count(2) == 4, "and the stem's"
    size = -(-NETWORKS[name].size // 32)
    assert models[name].get_layer("top_activation").output.shape == (None, size, size, 1280)


@pytest.mark.parametrize("name", NAMES)
def test_the_layers_are_those_of_the_weight_file_in_its_order(
    name: str, models: dict[str, Any]
) -> None:
    tensors = torch_files.read(weights.path(NETWORKS[name]))
    kernels = [values.shape for tensor, values in tensors.items() if values.ndim > 1]
    found = []
    for layer in models[name].layers:
        if isinstance(layer, keras.layers.DepthwiseConv2D):
            found.append(tuple(layer.kernel.shape[place] for place in (2, 3, 0, 1)))
        elif isinstance(layer, KERNELS):
            order = (3, 2, 0, 1) if len(layer.kernel.shape) == 4 else (1, 0)
            found.append(tuple(layer.kernel.shape[place] for place in order))
    assert found == kernels


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_layers_are_the_authors(name: str, models: dict[str, Any]) -> None:
    layers = models[name].layers
    normalisations = [one for one in layers if isinstance(one, keras.layers.BatchNormalization)]
    convolutions = [one for one in layers if hasattr(one, "kernel_size")]
    rectified = [one for one in layers if isinstance(one, keras.layers.ReLU)]
    assert {one.epsilon for one in normalisations} == {1e-3}
    assert len(normalisations) == len(convolutions) == NETWORKS[name].depth - 1
    assert {one.padding for one in convolutions} == {"same"}
    assert not any(one.use_bias for one in convolutions)
    assert {float(one.max_value) for one in rectified} == {6.0}
    units = sum(number for number, _ in UNITS[name])
    assert len(rectified) == len(convolutions) - units, "but after a unit's last"
    names = {layer.name for layer in layers if hasattr(layer, "kernel")}
    known = {layer.name for layer in fakes.bare_model(NETWORKS["efficientnetb0"]).layers}
    if name == "efficientnet_lite0":
        assert names < known, "which keras.applications calls so, too"


@pytest.mark.parametrize("name", NAMES)
def test_only_units_of_one_width_and_size_are_added_to_and_the_later_ones_dropped_more(
    name: str, models: dict[str, Any]
) -> None:
    layers, _ = counted(name)
    assert len(layers.rates) == sum(number - 1 for number, _ in UNITS[name])
    assert layers.rates == sorted(layers.rates)
    assert 0 < layers.rates[0] < layers.rates[-1] < efficientnet_lite.DROP_CONNECT
    drops = [one for one in models[name].layers if one.name.endswith("_drop")]
    assert [one.rate for one in drops] == layers.rates
    assert {one.noise_shape for one in drops} == {(None, 1, 1, 1)}
    rate = models[name].get_layer("top_dropout").rate
    assert rate == (0.3 if name == "efficientnet_lite2" else 0.2)


@pytest.mark.slow
def test_without_an_activation_a_model_returns_logits() -> None:
    with keras_models.without_initial_values():
        logits, usual = (
            efficientnet_lite.efficientnet_lite0(**options)
            for options in ({"classifier_activation": None}, {})
        )
    assert logits.layers[-1].name == usual.layers[-2].name == "predictions"
    assert logits.layers[-1].activation is keras.activations.linear
    assert usual.layers[-1].activation is keras.activations.softmax


@pytest.mark.parametrize("written", ["lite0", "Lite-0", "EfficientNet-Lite0", "efficientnetlite0"])
def test_the_networks_have_short_names(written: str) -> None:
    for number, name in enumerate(NAMES):
        assert find_published(written.replace("0", str(number))).name == name


@pytest.mark.parametrize("name", NAMES)
def test_pixels_are_scaled_as_the_authors_do(name: str) -> None:
    card = NETWORKS[name]
    body = keras.Sequential([keras.Input((card.size, card.size, 3)), keras.layers.Identity()])
    picture = fakes.pictures(1, card.size)
    scaled = np.asarray(keras_models.with_scaling(body, card)(picture))
    assert np.abs(scaled - (picture.astype(np.float32) - 127) / 128).max() < 1e-6
    recipe = card.recipe
    assert (recipe.fit, recipe.filter, recipe.short_side) == ("crop", "bicubic", card.size + 32)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["efficientnet_lite0", "efficientnet_lite2"])
def test_with_its_channels_first_a_network_answers_the_same(name: str, tmp_path: Path) -> None:
    card = NETWORKS[name]
    model = keras_models.build(card, weights.path(card))
    turned = keras_models.for_openvino(model, card)
    assert turned.layers[-2].input_shape == (None, 3, card.size, card.size)
    picture = fakes.pictures(1, card.size, seed=11)
    expected = compute(model, picture, tmp_path)
    assert 0.01 < expected.max() < 0.999, "an answer that would show a difference"
    assert np.abs(compute(turned, picture, tmp_path) - expected).max() < 1e-4
    keras.backend.clear_session()


def by_hand(
    x: NDArray[Any], tensors: dict[str, NDArray[Any]], stride: int, depthwise: bool, active: bool
) -> NDArray[Any]:
    """A normalised convolution of (channels, height, width), place by place, in float64."""
    kernels, gamma, beta, mean, variance = (
        values.astype(np.float64) for values in tensors.values()
    )
    size, kernel = x.shape[1], kernels.shape[2]
    count = -(-size // stride)
    # TensorFlow's "same": what is odd comes after the picture.
    missing = max((count - 1) * stride + kernel - size, 0)
    before, after = missing // 2, missing - missing // 2
    padded = np.pad(x.astype(np.float64), ((0, 0), (before, after), (before, after)))
    found = np.zeros((len(kernels), count, count))
    for row in range(count):
        for column in range(count):
            top, left = row * stride, column * stride
            window = padded[:, top : top + kernel, left : left + kernel]
            if depthwise:
                found[:, row, column] = (window * kernels[:, 0]).sum(axis=(1, 2))
            else:
                found[:, row, column] = (window[None] * kernels).sum(axis=(1, 2, 3))
    turn = (slice(None), None, None)
    found = (found - mean[turn]) / np.sqrt(variance[turn] + 1e-3) * gamma[turn] + beta[turn]
    return np.clip(found, 0, 6) if active else found


@pytest.mark.slow
@pytest.mark.parametrize("size", [7, 8, 9])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(
    ("kernel", "depthwise", "active"),
    [(1, False, False), (3, False, True), (5, True, True), (3, True, True)],
)
def test_a_layer_pads_normalises_and_rectifies_in_keras_and_in_openvino_as_by_hand(
    size: int, stride: int, kernel: int, depthwise: bool, active: bool
) -> None:
    random = np.random.default_rng(size)
    filters = 4 if depthwise else 6
    x = random.normal(size=(4, size, size)).astype(np.float32) * 3
    tensors: dict[str, NDArray[Any]] = {
        "weight": random.normal(size=(filters, 1 if depthwise else 4, kernel, kernel)),
        "bn.weight": random.uniform(0.5, 2, filters),
        "bn.bias": random.normal(size=filters),
        "bn.running_mean": random.normal(size=filters),
        # So small that the epsilon is most of it in some.
        "bn.running_var": random.uniform(1e-4, 1, filters),
    }
    tensors = {name: values.astype(np.float32) for name, values in tensors.items()}
    expected = by_hand(x, tensors, stride, depthwise, active)
    if active:
        assert (expected == 6).any(), "what would be above"

    inputs = keras.Input((size, size, 4))
    layers = efficientnet_lite.KerasLayers()
    node = opset13.parameter([1, 4, size, size], np.float32)
    graph_layers = direct_graphs._GraphLayers(dict(tensors))
    if depthwise:
        output = layers.depthwise(inputs, "a", kernel, stride)
        result = graph_layers.depthwise(node, "a", kernel, stride)
    else:
        output = layers.convolution(inputs, "a", filters, kernel, stride, active)
        result = graph_layers.convolution(node, "a", filters, kernel, stride, active)
    model = keras.Model(inputs, output)
    convolution, normalisation = (layer for layer in model.layers if layer.weights)
    order = (2, 3, 0, 1) if depthwise else (2, 3, 1, 0)
    convolution.kernel.assign(tensors["weight"].transpose(order))
    names = ("bn.weight", "bn.bias", "bn.running_mean", "bn.running_var")
    normalisation.set_weights([tensors[one] for one in names])
    received = keras.ops.convert_to_numpy(model(x.transpose(1, 2, 0)[None]))[0].transpose(2, 0, 1)
    assert received.shape == expected.shape
    assert np.abs(received - expected).max() < 1e-4
    graph = openvino.Model([result], [node])
    compiled = openvino.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    assert np.abs(compiled(x[None])[0][0] - expected).max() < 1e-4
