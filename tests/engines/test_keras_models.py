from __future__ import annotations

import inspect
import pickle
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import openvino
import pytest
from numpy.typing import NDArray

from tests.support import fakes
from topfive.engines import graphs, keras_models, weight_formats, weight_loading
from topfive.engines.weight_formats import ZIP_MAGIC
from topfive.errors import WeightsError
from topfive.networks.cards import Network
from topfive.networks.published import NETWORKS
from topfive.networks.weights import HDF5_MAGIC

pytestmark = pytest.mark.slow

SQUEEZENET = NETWORKS["squeezenet"]
KERAS_NETWORKS = [name for name, card in NETWORKS.items() if card.builder.startswith("keras.")]


@pytest.fixture(scope="module")
def squeezenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A legacy weight file of SqueezeNet v1.0, 52 tensors."""
    return fakes.make_weights(SQUEEZENET, tmp_path_factory.mktemp("weights") / "squeezenet.h5")


@pytest.fixture
def file(squeezenet: Path, tmp_path: Path) -> Path:
    """A copy of it to be damaged."""
    copy = tmp_path / "weights.h5"
    copy.write_bytes(squeezenet.read_bytes())
    return copy


def bare(network: Network = SQUEEZENET) -> Any:
    return fakes.bare_model(network)


def values(model: Any) -> list[NDArray[Any]]:
    return [np.asarray(variable.numpy()) for variable in model.weights]


def same(left: Any, right: Any) -> bool:
    pairs = zip(values(left), values(right), strict=True)
    return all(np.array_equal(one, other) for one, other in pairs)


def compute(model: Any, inputs: NDArray[Any], folder: Path) -> NDArray[np.float32]:
    """Run a model on OpenVINO in full float32, which Keras's own `predict` does not ask for."""
    graph = str(folder / f"{model.name}.xml")
    signature = [keras.InputSpec(dtype=str(inputs.dtype), shape=inputs.shape)]
    model.export(graph, format="openvino", verbose=False, input_signature=signature)
    compiled = openvino.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.asarray(compiled(inputs)[0], np.float32)


class Asked(Exception):
    """Raised in the place of a download."""


@pytest.mark.parametrize("name", KERAS_NETWORKS)
def test_a_card_names_the_file_that_keras_asks_for(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def get_file(name: str, url: str, cache_subdir: str, file_hash: str | None = None) -> str:
        raise Asked(name, url, cache_subdir, file_hash)

    network = NETWORKS[name]
    monkeypatch.setattr("keras.src.utils.file_utils.get_file", get_file)
    with pytest.raises(Asked) as asked, keras_models.without_initial_values():
        getattr(keras.applications, network.builder.partition(":")[2])(weights="imagenet")
    file = network.weights
    checksum = file.checksum.partition(":")[2] if file.checksum else None
    assert asked.value.args == (file.name, file.url, "models", checksum)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_card_counts_the_parameters_and_names_the_size(name: str) -> None:
    network = NETWORKS[name]
    model = bare(network)
    assert model.count_params() == network.parameters
    assert model.input_shape == (None, network.size, network.size, 3)
    assert model.output_shape == (None, 1000)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_scaling_in_the_graph_is_kerass_preprocessing(name: str) -> None:
    network = NETWORKS[name]
    body = keras.Sequential([keras.Input((network.size, network.size, 3)), keras.layers.Identity()])
    picture = fakes.pictures(1, network.size)
    scaled = np.asarray(keras_models.with_scaling(body, network)(picture))
    pixels = picture.astype(np.float32)
    if name == "squeezenet":
        expected = pixels[..., ::-1] - np.array([104, 117, 123], np.float32)
    elif name == "squeezenet_v1.1":
        expected = keras.applications.vgg16.preprocess_input(pixels)
    elif network.direct:
        expected = (pixels - np.float32(127)) / np.float32(128)
    else:
        builder = getattr(keras.applications, network.builder.partition(":")[2])
        expected = inspect.unwrap(builder).__globals__["preprocess_input"](pixels)
    if name == "efficientnetb0":  # and, with these weights, a layer of Keras's own
        mean, deviation = np.array([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]], np.float64)
        normal = (scaled / 255 - mean) / deviation**2
        assert np.abs(normal - (expected / 255 - mean) / deviation**2.5).max() < 1e-4
    else:
        assert np.abs(scaled - expected).max() < 3e-5
    assert picture.dtype == np.uint8


def test_a_built_model_takes_pictures_as_bytes(squeezenet: Path) -> None:
    model = keras_models.build(SQUEEZENET, squeezenet)
    assert model.input_shape == (None, 227, 227, 3)
    assert model.input.dtype == "uint8"
    assert [output.shape for output in model.outputs] == [(None, 1000), (None, 1000), (None, 512)]
    assert {output.dtype for output in model.outputs} == {"float32"}
    assert keras_models.answering(model).output_shape == (None, 1000)


def test_settings_of_the_users_keras_do_not_reach_a_network(
    squeezenet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keras.config.set_floatx("float16")
    keras.config.set_image_data_format("channels_first")
    try:
        model = keras_models.build(SQUEEZENET, squeezenet)
        assert model.output_shape[0] == (None, 1000)
        assert {str(variable.dtype) for variable in model.weights} == {"float32"}
    finally:
        keras.config.set_floatx("float32")
        keras.config.set_image_data_format("channels_last")


# One of each kind; every network is compared with Keras where it is compiled.
TURNED = ("squeezenet", "squeezenet_v1.1", "mobilenet", "resnet50", "efficientnetb0")


@pytest.mark.parametrize("name", TURNED)
def test_with_its_channels_first_a_network_answers_the_same(name: str, tmp_path: Path) -> None:
    network = NETWORKS[name]
    file = fakes.make_weights(network, tmp_path / network.weights.name)
    model = keras_models.build(network, file)
    turned = keras_models.for_openvino(model, network)
    assert turned.layers[-2].input_shape == (None, 3, network.size, network.size)
    assert turned.input_shape == model.input_shape
    assert keras.config.image_data_format() == "channels_last"
    picture = fakes.pictures(1, network.size, seed=11)
    expected = compute(model, picture, tmp_path)
    assert 0.002 < expected.max() < 0.999, "an answer that would show a difference"
    assert np.abs(compute(turned, picture, tmp_path) - expected).max() < 1e-4
    keras.backend.clear_session()


@pytest.mark.parametrize("name", [n for n in NETWORKS if not NETWORKS[n].channels_first])
def test_a_network_that_keras_cannot_turn_is_left_as_it_is(name: str) -> None:
    model = object()
    assert keras_models.for_openvino(model, NETWORKS[name]) is model


def transpositions(model: Any) -> int:
    """Count what is left of them in the compiled graph."""
    graph = graphs.exported_graph(model)
    compiled = openvino.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    nodes = compiled.get_runtime_model().get_ops()
    return [node.get_rt_info()["layerType"] for node in nodes].count("Transpose")


def test_the_compiled_graph_is_nearly_free_of_transpositions() -> None:
    network = NETWORKS["resnet50"]
    model = keras_models.with_scaling(bare(network), network)
    assert transpositions(model) > 50, "what it is about"
    assert transpositions(keras_models.for_openvino(model, network)) <= 2


def test_channels_come_last_again_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def fail(weights: None, classifier_activation: None) -> None:
        seen.append(keras.config.image_data_format())
        raise MemoryError

    model = keras_models.with_scaling(bare(), SQUEEZENET)
    monkeypatch.setattr("topfive.networks.squeezenet.squeezenet_v1_0", fail)
    for _ in range(2):
        with pytest.raises(MemoryError):
            keras_models.for_openvino(model, SQUEEZENET)
    assert seen == ["channels_first"] * 2
    assert keras.config.image_data_format() == "channels_last"


def test_a_built_network_has_its_channels_last_whatever_was_built_before(squeezenet: Path) -> None:
    first = keras_models.build(SQUEEZENET, squeezenet)
    turned = keras_models.for_openvino(first, SQUEEZENET)
    again = keras_models.build(SQUEEZENET, squeezenet)
    assert again.layers[-2].input_shape == (None, 227, 227, 3)
    assert same(first, again)
    assert same(first, turned)


def save_legacy(model: Any, file: Path) -> None:
    fakes.write_legacy(model, file)


def save_whole_legacy(model: Any, file: Path) -> None:
    """As Keras 2's `model.save`: the same tensors, a level down, beside a description."""
    fakes.write_legacy(model, file)
    with h5py.File(file, "r+") as content:
        group = content.create_group("model_weights")
        for name in list(content):
            if name != "model_weights":
                content.move(name, f"model_weights/{name}")
        for name, value in content.attrs.items():
            group.attrs[name] = value
            del content.attrs[name]
        content.attrs["model_config"] = '{"class_name": "Lambda"}'


def save_weights(model: Any, file: Path) -> None:
    model.save_weights(file.with_name("named.weights.h5"))
    file.with_name("named.weights.h5").rename(file)


def save_keras(model: Any, file: Path) -> None:
    model.save(file.with_name("named.keras"))
    file.with_name("named.keras").rename(file)


def save_keras_with_an_optimizer(model: Any, file: Path) -> None:
    model.compile("adam", "categorical_crossentropy")
    model.optimizer.build(model.trainable_variables)
    save_keras(model, file)


def save_early_keras3(model: Any, file: Path) -> None:
    """As Keras 2.13 did: `layers` has another name, at every level."""
    save_weights(model, file)
    with h5py.File(file, "r+") as content:
        folders: list[str] = []
        content.visit(folders.append)
        for folder in reversed(folders):
            if folder.endswith("layers"):
                content.move(folder, f"{folder[:-6]}_layer_checkpoint_dependencies")


def save_compressed_keras(model: Any, file: Path) -> None:
    save_keras(model, file)
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


SAVERS = (
    save_legacy, save_whole_legacy, save_weights, save_keras, save_keras_with_an_optimizer,
    save_early_keras3, save_compressed_keras,
)  # fmt: skip


FORMATS = [("squeezenet", save) for save in SAVERS] + [
    (name, save)
    for name in ("mobilenet", "xception", "efficientnetb0", "convnext_tiny")
    for save in (save_legacy, save_weights)
] + [("convnext_tiny", save_early_keras3)]  # fmt: skip


@pytest.mark.parametrize(("name", "save"), FORMATS, ids=lambda x: getattr(x, "__name__", x))
def test_weights_come_back_from_every_format_whatever_the_files_name(
    name: str, save: Callable[[Any, Path], None], tmp_path: Path
) -> None:
    network = NETWORKS[name]
    saved, loaded = bare(network), bare(network)
    random = np.random.default_rng(1)
    for variable in saved.weights:
        variable.assign(random.uniform(1, 100, tuple(variable.shape)).astype(str(variable.dtype)))
    save(saved, tmp_path / "weights")
    weight_loading.load_weights(loaded, tmp_path / "weights")
    assert same(saved, loaded)


def listed(content: h5py.File) -> list[bytes]:
    return [name.encode() for name in content.attrs["layer_names"]]


def test_names_may_be_bytes_of_one_length_as_keras_wrote_them(file: Path, squeezenet: Path) -> None:
    with h5py.File(file, "r+") as content:
        for item, attribute in [(content, "layer_names")] + [
            (layer, "weight_names") for layer in content.values()
        ]:
            names = [name.encode() for name in item.attrs[attribute]]
            del item.attrs[attribute]
            item.attrs[attribute] = np.array(names, "S")
        assert isinstance(content.attrs["layer_names"][0], bytes)
    model, other = bare(), bare()
    weight_loading.load_weights(model, file)
    weight_loading.load_weights(other, squeezenet)
    assert same(model, other)


def test_lists_of_names_that_keras_split_are_put_together(file: Path, squeezenet: Path) -> None:
    with h5py.File(file, "r+") as content:
        names = listed(content)
        middle = names.index(b"fire4_squeeze1x1")
        del content.attrs["layer_names"]
        content.attrs["layer_names0"] = names[:middle]
        content.attrs["layer_names1"] = names[middle:]
    model, other = bare(), bare()
    weight_loading.load_weights(model, file)
    weight_loading.load_weights(other, squeezenet)
    assert same(model, other)
    with h5py.File(file, "r+") as content:
        del content.attrs["layer_names1"]
    with pytest.raises(WeightsError, match="the file ends before 'fire4_squeeze1x1/kernel'"):
        weight_loading.load_weights(bare(), file)


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_numbers_of_another_width_are_converted(file: Path, dtype: str) -> None:
    with h5py.File(file, "r+") as content:
        for layer in content.values():
            for group in layer.values():
                for name, dataset in list(group.items()):
                    numbers = dataset[()].astype(dtype)
                    del group[name]
                    group[name] = numbers
    model = bare()
    weight_loading.load_weights(model, file)
    assert str(model.weights[0].dtype) == "float32"
    assert float(np.abs(values(model)[0]).sum()) > 1


FIRST = "conv1/conv1/kernel_0:0"


def replace_with(what: Callable[[h5py.File, Path], Any]) -> Callable[[Path], None]:
    def change(file: Path) -> None:
        with h5py.File(file, "r+") as content:
            made = what(content, file)
            if made is not None:
                del content[FIRST]
                content[FIRST] = made

    return change


def exchange(what: Callable[[h5py.File], Any]) -> Callable[[Path], None]:
    return replace_with(lambda content, _: what(content))


def drop(*names: str) -> Callable[[Path], None]:
    def change(file: Path) -> None:
        with h5py.File(file, "r+") as content:
            kept = [name for name in listed(content) if name.decode() not in names]
            content.attrs["layer_names"] = kept

    return change


def swap(file: Path) -> None:
    with h5py.File(file, "r+") as content:
        names = listed(content)
        here, there = names.index(b"fire2_squeeze1x1"), names.index(b"fire2_expand3x3")
        names[here], names[there] = names[there], names[here]
        content.attrs["layer_names"] = names


def add(file: Path) -> None:
    with h5py.File(file, "r+") as content:
        names = listed(content)
        content.attrs["layer_names"] = [*names, names[1]]


def external_storage(content: h5py.File, file: Path) -> None:
    shape = content[FIRST].shape
    del content[FIRST]
    secret = file.with_name("secret")
    secret.write_bytes(bytes(4 * int(np.prod(shape))))
    content.create_dataset(FIRST, shape, "f4", external=[(str(secret), 0, h5py.h5f.UNLIMITED)])


def virtual(content: h5py.File, file: Path) -> None:
    shape = content[FIRST].shape
    del content[FIRST]
    layout = h5py.VirtualLayout(shape, "f4")
    layout[...] = h5py.VirtualSource(str(file.with_name("other.h5")), "x", shape)
    content.create_virtual_dataset(FIRST, layout)


def objects(content: h5py.File, file: Path) -> None:
    shape = content[FIRST].shape
    del content[FIRST]
    content.create_dataset(FIRST, shape, h5py.string_dtype())


def with_value(value: float) -> Callable[[Path], None]:
    def change(content: h5py.File, file: Path) -> None:
        content[FIRST][0, 0, 0, 0] = value

    return replace_with(change)


def attribute(value: Any) -> Callable[[Path], None]:
    def change(content: h5py.File, file: Path) -> None:
        content.attrs["layer_names"] = value

    return replace_with(change)


DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "missing layers": (drop("conv10"), "the file ends before 'conv10/kernel'"),
    "a missing layer in the middle": (
        drop("fire4_squeeze1x1"),
        r"'fire4_squeeze1x1/kernel' has the shape \(1, 1, 128, 32\), 'fire4_expand1x1/.*' in the "
        r"file \(1, 1, 32, 128\)",
    ),
    "an extra layer": (add, "the file goes on with 'conv1/kernel_0:0' where the network ends"),
    "swapped layers": (swap, r"'fire2_squeeze1x1/kernel' has the shape \(1, 1, 96, 16\)"),
    "another shape": (
        exchange(lambda _: np.zeros((3, 3, 3, 96), "f4")),
        r"'conv1/kernel' has the shape \(7, 7, 3, 96\), 'conv1/kernel_0:0' in the file \(3, 3,",
    ),
    "a scalar": (exchange(lambda _: np.float32(1)), r"in the file \(\)"),
    "not a number": (with_value(np.nan), "'conv1/kernel_0:0' holds values that are not finite"),
    "infinity": (with_value(np.inf), "'conv1/kernel_0:0' holds values that are not finite"),
    "too large for float32": (
        exchange(lambda c: c[FIRST][()].astype("f8") + 1e300), "not finite"),
    "a link to another file": (
        exchange(lambda _: h5py.ExternalLink("other.h5", "x")), "is a ExternalLink"),
    "a soft link": (
        exchange(lambda _: h5py.SoftLink("/conv10/conv10/kernel_0:0")), "is a SoftLink"),
    "storage in another file": (replace_with(external_storage), "not a plain array of numbers"),
    "a virtual array": (replace_with(virtual), "not a plain array of numbers"),
    "objects": (replace_with(objects), "not a plain array of numbers"),
    "texts": (exchange(lambda _: np.full((7, 7, 3, 96), b"1")), "not a plain array"),
    "a compound": (
        exchange(lambda _: np.zeros((7, 7, 3, 96), "f4,f4")), "not a plain array"),
    "an empty array": (exchange(lambda _: h5py.Empty("f4")), r"in the file None"),
    "a list that is a number": (attribute(7), "cut off or damaged"),
    "a list of numbers": (attribute([1, 2]), "'1' is not in the file"),
    "a list of no text": (attribute([b"\xff\xfe"]), "cut off or damaged"),
    "a name that leads up": (attribute([b"../secret"]), r"'\.\./secret' is not in the file"),
}  # fmt: skip


@pytest.mark.parametrize("what", DAMAGE)
def test_a_file_that_does_not_fit_names_the_first_tensor(file: Path, what: str) -> None:
    damage, message = DAMAGE[what]
    damage(file)
    with pytest.raises(WeightsError, match=message) as caught:
        weight_loading.load_weights(bare(), file)
    assert str(caught.value).startswith(f"{file} does not fit squeezenet: ")
    assert caught.value.exit_status == 3


def test_the_file_of_another_network_names_the_first_tensor(squeezenet: Path) -> None:
    with pytest.raises(WeightsError, match=r"'block1_conv1/kernel' .* 'conv1/kernel_0:0' in the"):
        weight_loading.load_weights(bare(NETWORKS["vgg16"]), squeezenet)
    with pytest.raises(WeightsError, match=r"conv1/kernel' has the shape \(3, 3, 3, 64\)"):
        keras_models.build(NETWORKS["squeezenet_v1.1"], squeezenet)


@pytest.fixture(scope="module")
def saved(squeezenet: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The same weights in every format."""
    model = bare()
    weight_loading.load_weights(model, squeezenet)
    file = tmp_path_factory.mktemp("saved") / "weights"
    contents = {}
    for save in (save_legacy, save_weights, save_keras):
        save(model, file)
        contents[save.__name__] = file.read_bytes()
    return contents


@pytest.mark.parametrize("share", [0.0, 1e-6, 1e-4, 0.01, 0.3, 0.7, 0.95, 0.9999])
@pytest.mark.parametrize("save", ["save_legacy", "save_weights", "save_keras"])
def test_a_cut_file_is_an_error(
    saved: dict[str, bytes], tmp_path: Path, save: str, share: float
) -> None:
    data = saved[save]
    (tmp_path / "weights.h5").write_bytes(data[: int(share * len(data))])
    with pytest.raises(WeightsError, match=r"cut off or damaged|not a weight file"):
        weight_loading.load_weights(bare(), tmp_path / "weights.h5")


@pytest.mark.parametrize("tail", [b"", bytes(9999)], ids=["short", "zeros"])
@pytest.mark.parametrize("head", [b"", b"text", HDF5_MAGIC, ZIP_MAGIC])
def test_what_only_begins_as_a_weight_file_is_an_error(
    tmp_path: Path, head: bytes, tail: bytes
) -> None:
    (tmp_path / "x.h5").write_bytes(head + tail)
    with pytest.raises(WeightsError, match=r"cut off or damaged|not a weight file"):
        weight_loading.load_weights(bare(), tmp_path / "x.h5")


def test_a_missing_file_and_a_folder_are_errors(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"cannot read .*: No such file"):
        weight_loading.load_weights(bare(), tmp_path / "missing.h5")
    with pytest.raises(WeightsError, match=r"cannot read .*: Is a directory"):
        weight_loading.load_weights(bare(), tmp_path)


def test_hdf5_that_is_not_keras_is_told_apart(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as content:
        content["dataset"] = np.zeros(3)
    with pytest.raises(WeightsError, match=r"not Keras's weights: .* found \['dataset'\]"):
        weight_loading.load_weights(bare(), tmp_path / "x.h5")


class Bomb:
    """Leaves a trace if it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.trace,)


@pytest.mark.parametrize("name", ["x.h5", "x.weights.h5", "x.keras", "x.net", "x.npy", "x.pkl"])
def test_nothing_is_unpickled(tmp_path: Path, name: str) -> None:
    trace = tmp_path / "trace"
    pickled = pickle.dumps(Bomb(trace))
    pickle.loads(pickled)  # noqa: S301
    assert trace.exists(), "the bomb works"
    trace.unlink()
    (tmp_path / name).write_bytes(pickled)
    with pytest.raises(WeightsError):
        weight_loading.load_weights(bare(), tmp_path / name)
    np.save(tmp_path / "objects.npy", np.array([Bomb(trace)]), allow_pickle=True)
    (tmp_path / "objects.npy").rename(tmp_path / name)
    with pytest.raises(WeightsError):
        weight_loading.load_weights(bare(), tmp_path / name)
    assert not trace.exists()


def rezip(file: Path, changes: dict[str, bytes], **options: Any) -> None:
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(file, "w", **options) as archive:
        for name, content in {**members, **changes}.items():
            archive.writestr(name, content)


@pytest.fixture
def archive(saved: dict[str, bytes], tmp_path: Path) -> Path:
    (tmp_path / "x.keras").write_bytes(saved["save_keras"])
    return tmp_path / "x.keras"


def test_of_a_keras_file_only_the_weights_are_taken(
    archive: Path, squeezenet: Path, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    lambda_layer = (
        '{"module": "keras.layers", "class_name": "Lambda", "config": {"function": '
        f'{{"module": "os", "class_name": "function", "config": "mkdir"}}, "arg": "{trace}"}}}}'
    )
    rezip(archive, {
        "config.json": lambda_layer.encode(),
        "../outside": b"x", "/absolute": b"x", str(tmp_path / "absolute"): b"x",
        "assets/../../outside": b"x", "assets/x.pkl": pickle.dumps(Bomb(trace)),
    })  # fmt: skip
    expected, loaded = bare(), bare()
    weight_loading.load_weights(expected, squeezenet)
    before = sorted(tmp_path.parent.rglob("*"))
    weight_loading.load_weights(loaded, archive)
    assert same(expected, loaded)
    assert sorted(tmp_path.parent.rglob("*")) == before


def test_a_bomb_in_a_keras_file_is_refused_before_it_is_unpacked(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weight_formats, "ZIP_SLACK", 1 << 20)
    rezip(archive, {"model.weights.h5": bytes(30_000_000)}, compression=zipfile.ZIP_DEFLATED)
    assert archive.stat().st_size < 200_000
    with pytest.raises(WeightsError, match="30,000,000 bytes, far more than the network needs"):
        weight_loading.load_weights(bare(), archive)


def test_a_member_that_unpacks_to_more_than_it_says_is_an_error(archive: Path) -> None:
    rezip(archive, {"model.weights.h5": bytes(3_000_000)}, compression=zipfile.ZIP_DEFLATED)
    data = archive.read_bytes()
    small = data.replace((3_000_000).to_bytes(4, "little"), (3_000).to_bytes(4, "little"))
    assert small != data
    archive.write_bytes(small)
    with pytest.raises(WeightsError, match="cut off or damaged"):
        weight_loading.load_weights(bare(), archive)


def test_a_flipped_bit_in_a_keras_file_is_noticed(archive: Path) -> None:
    data = bytearray(archive.read_bytes())
    data[len(data) // 2] ^= 1
    archive.write_bytes(data)
    with pytest.raises(WeightsError, match="cut off or damaged: Bad CRC"):
        weight_loading.load_weights(bare(), archive)


@pytest.mark.parametrize("name", ["model.weights.npz", "weights/model.weights.h5"])
def test_a_zip_without_the_weights_in_their_place_is_an_error(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "x.keras", "w") as archive:
        archive.writestr(name, b"x")
    with pytest.raises(WeightsError, match=r"no model\.weights\.h5 in it"):
        weight_loading.load_weights(bare(), tmp_path / "x.keras")


KERAS3_DAMAGE: dict[str, tuple[Callable[[h5py.File], Any], str]] = {
    "a missing layer": (
        lambda c: c.__delitem__("layers/conv2d_25"), "'layers/conv2d_25/vars/0' is not in"),
    "a missing tensor": (
        lambda c: c.__delitem__("layers/conv2d_3/vars/1"), "'layers/conv2d_3/vars/1' is not in"),
    "an extra layer": (
        lambda c: c.__setitem__("layers/dense/vars/0", np.zeros(3)),
        "goes on with 'layers/dense/vars/0' where the network ends"),
    "an extra tensor": (
        lambda c: c.__setitem__("layers/conv2d/vars/2", np.zeros(3)), "layers/conv2d/vars/2"),
    "swapped tensors": (
        lambda c: (c.move("layers/conv2d/vars", "x"), c.move("layers/conv2d_1/vars",
                   "layers/conv2d/vars"), c.move("x", "layers/conv2d_1/vars")),
        r"'conv1/kernel' has the shape \(7, 7, 3, 96\), 'layers/conv2d/vars/0' in"),
    "a link": (
        lambda c: (c.__delitem__("layers/conv2d/vars"),
                   c.__setitem__("layers/conv2d/vars", h5py.ExternalLink("x", "y"))),
        "is a ExternalLink"),
    "an array for a folder": (
        lambda c: (c.__delitem__("layers"), c.__setitem__("layers", np.zeros(3))), "conv2d"),
}  # fmt: skip


@pytest.mark.parametrize("what", KERAS3_DAMAGE)
def test_a_keras_3_file_that_does_not_fit_names_the_first_tensor(
    saved: dict[str, bytes], tmp_path: Path, what: str
) -> None:
    damage, message = KERAS3_DAMAGE[what]
    (tmp_path / "x").write_bytes(saved["save_weights"])
    with h5py.File(tmp_path / "x", "r+") as content:
        damage(content)
    with pytest.raises(WeightsError, match=message):
        weight_loading.load_weights(bare(), tmp_path / "x")


def test_folders_in_a_circle_end(saved: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(saved["save_weights"])
    with h5py.File(tmp_path / "x", "r+") as content:
        content["layers/again"] = content["layers"]
    with pytest.raises(WeightsError, match="the file goes on with 'layers/again/"):
        weight_loading.load_weights(bare(), tmp_path / "x")


class Counted(keras.layers.Layer):  # type: ignore[misc]
    """Adds a weight in every way that Keras takes."""

    def build(self, input_shape: Any) -> None:
        self.made = [
            self.add_weight(shape=(2,), initializer="ones"),
            self.add_weight((2,), "ones"),
            self.add_weight((2,), "ones", "float32"),
            self.add_weight((2,), initializer="ones", dtype="float32"),
            self.add_weight((2,)),
            self.add_weight(shape=(2,)),
            self.add_weight(initializer="ones"),
            self.add_weight(),
            self.add_weight(shape=(2,), dtype="int32", initializer="ones"),
            self.add_variable((2,), "ones"),
        ]


def build_counted() -> list[NDArray[Any]]:
    layer = Counted()
    layer.build(None)
    return [np.asarray(variable.numpy()) for variable in layer.made]


def test_all_ways_of_adding_a_weight_start_at_zero_and_keep_shape_and_type() -> None:
    usual = build_counted()
    with keras_models.without_initial_values():
        zeros = build_counted()
    assert all(not value.any() for value in zeros)
    assert [(v.shape, v.dtype) for v in zeros] == [(v.shape, v.dtype) for v in usual]
    assert build_counted()[0].all(), "and afterwards not any more"


def test_calls_that_keras_refuses_are_still_refused() -> None:
    layer = keras.layers.Layer()
    with keras_models.without_initial_values():
        with pytest.raises(ValueError, match="both positionally"):
            layer.add_weight((2,), "ones", initializer="ones")
        with pytest.raises(ValueError, match="keyword"):
            layer.add_weight("name", (2,))


def test_initial_values_come_back_after_an_error() -> None:
    original = keras.layers.Layer.add_weight
    with pytest.raises(ZeroDivisionError), keras_models.without_initial_values():
        raise ZeroDivisionError
    assert keras.layers.Layer.add_weight is original


def test_layers_of_other_threads_keep_their_initial_values() -> None:
    others: list[NDArray[Any]] = []
    with keras_models.without_initial_values():
        thread = threading.Thread(target=lambda: others.extend(build_counted()))
        thread.start()
        thread.join()
    assert all(value.all() for value in others[:4])


def test_threads_that_build_at_once_leave_keras_as_it_was() -> None:
    original = keras.layers.Layer.add_weight
    made: list[bool] = []
    gate = threading.Barrier(3)

    def build() -> None:
        gate.wait()
        for _ in range(2):
            with keras_models.without_initial_values():
                made.append(not any(value.any() for value in build_counted()))

    threads = [threading.Thread(target=build) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [True] * 6
    assert keras.layers.Layer.add_weight is original


def test_zeros_can_be_asked_for_within_zeros() -> None:
    original = keras.layers.Layer.add_weight
    with keras_models.without_initial_values(), keras_models.without_initial_values():
        assert not build_counted()[0].any()
    assert keras.layers.Layer.add_weight is original
