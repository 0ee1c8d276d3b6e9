from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.support import fakes
from topfive.engines import deep_compression, keras_models, weight_loading
from topfive.errors import WeightsError
from topfive.networks.published import NETWORKS

Kernel = tuple[str, tuple[int, int, int, int]]
KERNELS: list[Kernel] = [("first", (3, 3, 2, 4)), ("second", (1, 1, 4, 5))]
LAYERS: list[Kernel] = [
    (layer.name, tuple(layer.weights[0].shape))
    for layer in fakes.bare_model(NETWORKS["squeezenet"]).layers
    if layer.weights
]


def encode(kernels: list[NDArray[np.float32]], biases: list[NDArray[np.float32]]) -> bytes:
    """Write tensors as the authors' program did; zeros that no gap can pass over are kept."""
    counts, bodies = [], b""
    for kernel, bias in zip(kernels, biases, strict=True):
        flat = kernel.transpose(3, 2, 0, 1).ravel()
        codebook = np.zeros(256, "<f4")
        found = np.unique(flat[flat != 0])
        codebook[1 : len(found) + 1] = found
        codes: list[int] = []
        gaps: list[int] = []
        last = -1
        for place in np.flatnonzero(flat):
            while place - last > 16:
                codes, gaps, last = [*codes, 0], [*gaps, 15], last + 16
            codes.append(1 + int(np.searchsorted(found, flat[place])))
            gaps.append(int(place) - last - 1)
            last = int(place)
        counts.append(len(codes))
        pairs = np.array([*gaps, 0][: len(gaps) + len(gaps) % 2], np.uint8).reshape(-1, 2)
        bodies += codebook.tobytes() + bias.astype("<f4").tobytes() + bytes(codes)
        bodies += (pairs[:, 0] | pairs[:, 1] << 4).astype(np.uint8).tobytes()
    return struct.pack(f"<{len(counts)}I", *counts) + bodies


def tensors(seed: int, share: float) -> tuple[list[Any], list[Any]]:
    random = np.random.default_rng(seed)
    kernels, biases = [], []
    for _, shape in KERNELS:
        values = random.choice(random.normal(size=20).astype(np.float32), shape)
        kernels.append(np.where(random.random(shape) < share, values, 0).astype(np.float32))
        biases.append(random.normal(size=shape[3]).astype(np.float32))
    return kernels, biases


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.02, 0.1, 0.5, 1.0]))
def test_what_was_encoded_is_decoded(seed: int, share: float) -> None:
    kernels, biases = tensors(seed, share)
    decoded = deep_compression.decode(encode(kernels, biases), KERNELS)
    assert all(map(np.array_equal, decoded[0::2], kernels))
    assert all(map(np.array_equal, decoded[1::2], biases))
    assert all(tensor.dtype == np.float32 for tensor in decoded)


DATA = encode(*tensors(1, 0.5))


@pytest.mark.parametrize("length", range(0, len(DATA), 37))
def test_a_file_that_is_cut_anywhere_says_inside_what(length: int) -> None:
    with pytest.raises(WeightsError, match=r"ends inside (the table|first/|second/)"):
        deep_compression.decode(DATA[:length], KERNELS)


def test_a_file_that_goes_on_is_an_error() -> None:
    with pytest.raises(WeightsError, match="goes on for 3 bytes after its last tensor"):
        deep_compression.decode(DATA + b"abc", KERNELS)


def test_more_weights_than_places_name_the_tensor() -> None:
    data = struct.pack("<2I", 2**32 - 1, 1) + DATA[8:]
    with pytest.raises(WeightsError, match=r"first/kernel does not fit: .* 4,294,967,295 non-zero"):
        deep_compression.decode(data, KERNELS)


def test_gaps_that_lead_out_of_the_kernel_name_the_tensor() -> None:
    kernels, biases = tensors(1, 1.0)
    data = bytearray(encode(kernels, biases))
    gaps = 8 + 4 * 256 + 4 * 4 + 72
    data[gaps : gaps + 36] = b"\xff" * 36
    with pytest.raises(WeightsError, match="first/kernel does not fit: a weight at place 1,151 of"):
        deep_compression.decode(bytes(data), KERNELS)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", ["codebook", "bias"])
def test_numbers_that_are_not_finite_name_the_tensor(value: float, place: str) -> None:
    data = bytearray(DATA)
    if place == "bias":
        data[8 + 1024 : 8 + 1028] = struct.pack("<f", value)
    else:
        data[8 : 8 + 1024] = struct.pack("<f", value) * 256
    with pytest.raises(WeightsError, match="first holds values that are not finite"):
        deep_compression.decode(bytes(data), KERNELS)


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=3000))
def test_noise_is_an_error_and_nothing_else(noise: bytes) -> None:
    with pytest.raises(WeightsError):
        deep_compression.decode(noise, KERNELS)


@pytest.fixture(scope="module")
def squeezenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of SqueezeNet v1.0's size, a third of whose weights are not 0."""
    random = np.random.default_rng(4)
    kernels, biases = [], []
    for _, shape in LAYERS:
        values = random.choice(random.normal(0, 0.05, 255).astype(np.float32), shape)
        kernels.append(np.where(random.random(shape) < 1 / 3, values, 0).astype(np.float32))
        biases.append(np.zeros(shape[3], np.float32))
    file = tmp_path_factory.mktemp("compressed") / NETWORKS["squeezenet"].weights.name
    file.write_bytes(encode(kernels, biases))
    return file


def test_a_third_of_squeezenets_weights_make_a_file_of_about_the_published_size(
    squeezenet: Path,
) -> None:
    # The paper: 0.66 MB with Huffman's code, which the published file does without.
    assert len(LAYERS) == 26
    assert squeezenet.stat().st_size == pytest.approx(NETWORKS["squeezenet"].weights.size, rel=0.1)
    keras_models.build(NETWORKS["squeezenet"], squeezenet)


def test_the_published_file_holds_squeezenets_26_convolutions(shared: Path) -> None:
    data = (shared / "weights" / "compressed_SqueezeNet.net").read_bytes()
    assert len(data) == NETWORKS["squeezenet"].weights.size
    decoded = deep_compression.decode(data, LAYERS)
    assert [tensor.shape for tensor in decoded[0::2]] == [shape for _, shape in LAYERS]
    assert [tensor.shape for tensor in decoded[1::2]] == [(shape[3],) for _, shape in LAYERS]
    counts = np.frombuffer(data, "<u4", 26)
    # 4-bit gaps make some entries that stand for zero; none of the rest may be lost.
    nonzero = [np.count_nonzero(tensor) for tensor in decoded[0::2]]
    assert all(found <= count for found, count in zip(nonzero, counts, strict=True))
    assert 0.9 < sum(nonzero) / counts.sum() <= 1
    # The paper: a third of the weights stay.
    assert 0.3 < sum(nonzero) / sum(tensor.size for tensor in decoded[0::2]) < 0.36


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.99999])
def test_a_cut_file_is_an_error_that_names_the_tensor(
    squeezenet: Path, tmp_path: Path, share: float
) -> None:
    data = squeezenet.read_bytes()
    file = tmp_path / "cut.net"
    file.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(WeightsError, match=r"ends inside \w+|not a weight file"):
        keras_models.build(NETWORKS["squeezenet"], file)


@pytest.mark.parametrize("name", ["squeezenet_v1.1", "vgg16"])
def test_the_file_fits_no_other_network(squeezenet: Path, name: str) -> None:
    model = fakes.bare_model(NETWORKS[name])
    with pytest.raises(WeightsError, match=r"conv1/kernel does not fit|SqueezeNet v1\.0 only"):
        weight_loading.load_weights(model, squeezenet)


def test_a_monstrous_file_is_read_no_further_than_a_network_could_be_long(tmp_path: Path) -> None:
    file = tmp_path / "large.net"
    with file.open("wb") as stream:
        stream.write(b"\1" * 104)
        stream.truncate(40 * 2**30)  # sparse: takes no room
    with pytest.raises(WeightsError, match="does not fit"):
        weight_loading.load_weights(fakes.bare_model(NETWORKS["squeezenet"]), file)
