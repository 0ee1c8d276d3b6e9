"""What `topfive bench` measures and counts."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import pytest
from openvino import opset13

from tests.support import fakes, made_up
from topfive.engines import blobs, graphs, keras_models
from topfive.errors import EngineError, MissingExtraError, OutputError, UsageError, WeightsError
from topfive.evaluation import arithmetic, bench, bench_plots, bench_process, bench_subjects
from topfive.evaluation.bench import Configuration, Turn
from topfive.evaluation.bench_subjects import RANDOM, Subject
from topfive.networks import records, weights
from topfive.networks.cards import Network
from topfive.networks.find import find_network
from topfive.networks.published import NETWORKS
from topfive.system import files

pytestmark = pytest.mark.slow

V1_1 = NETWORKS["squeezenet_v1.1"]


def graph_of(network: Network) -> Any:
    """Return a network's graph; the weights are zero."""
    model = keras_models.with_scaling(fakes.bare_model(network), network)
    return graphs.exported_graph(keras_models.for_openvino(model, network))


@pytest.mark.parametrize(
    ("name", "published"),
    [
        # In billions. Simonyan and Zisserman 2015 by layer; He et al. 2015, table 1; Howard et
        # al. 2017, table 8 (depthwise convolutions); Iandola et al. 2016 by layer.
        ("vgg16", 15.47),
        ("resnet50", 3.86),
        ("mobilenet", 0.569),
        ("squeezenet", 0.833),
    ],
)
def test_the_multiply_adds_are_those_that_are_published(name: str, published: float) -> None:
    counted = arithmetic.count_multiply_adds(graph_of(find_network(name)))
    assert counted / 1e9 == pytest.approx(published, rel=0.005)


def test_convolutions_and_dense_layers_are_counted_by_hand_and_nothing_else_is() -> None:
    picture = opset13.parameter([2, 6, 10, 10], np.float32)
    wide = opset13.convolution(picture, np.zeros((8, 6, 3, 3), np.float32), [2, 2], [1, 1], [1, 1],
                               [1, 1])  # fmt: skip
    grouped = opset13.group_convolution(wide, np.zeros((4, 3, 2, 5, 5), np.float32), [1, 1], [2, 2],
                                        [2, 2], [1, 1])  # fmt: skip
    flat = opset13.reshape(opset13.relu(grouped), np.array([2, 12 * 25]), False)
    dense = opset13.matmul(flat, np.zeros((7, 300), np.float32), False, True)
    turned = opset13.matmul(np.zeros((2, 9), np.float32), dense, True, False)
    graph = openvino.Model([turned], [picture])
    expected = (2 * 8 * 25 * 54, 2 * 12 * 25 * 50, 2 * 7 * 300, 9 * 7 * 2)
    assert arithmetic.count_multiply_adds(graph) == sum(expected)


@pytest.mark.parametrize("precision", ["f32", "int8"])
def test_the_yardstick_is_a_matrix_product_of_the_size_that_is_counted(precision: str) -> None:
    graph = arithmetic.make_product(precision)
    assert 2 * arithmetic.count_multiply_adds(graph) == arithmetic.PRODUCT_OPERATIONS
    compiled = openvino.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    left = np.random.default_rng(1).standard_normal((arithmetic.SIDE,) * 2).astype(np.float32)
    right = np.random.default_rng(0).standard_normal((arithmetic.SIDE,) * 2, np.float32)
    error = np.abs(compiled(left)[0] - left @ right).max()
    assert error < (1e-2 if precision == "f32" else 8)  # of sums whose deviation is 32
    kinds = [str(one.get_rt_info()["runtimePrecision"].value)
             for one in compiled.get_runtime_model().get_ops()
             if one.get_rt_info()["layerType"].value in ("MatMul", "FullyConnected")]  # fmt: skip
    assert kinds == ["f32" if precision == "f32" else "u8"]


def test_a_graph_for_one_picture_answers_several_alike() -> None:
    """MobileNet's has the number of pictures in a Reshape."""
    network = find_network("mobilenet")
    graph = graphs.exported_graph(
        keras_models.for_openvino(bench_process.random_model(network), network)
    )
    pictures = fakes.pictures(3, network.size)
    core, exact = openvino.Core(), {"INFERENCE_PRECISION_HINT": "f32"}
    one = core.compile_model(graph, "CPU", exact)
    expected = np.concatenate([one(picture[None])[0].copy() for picture in pictures])
    graphs.set_batch(graph, 3)
    answers = core.compile_model(graph, "CPU", exact)(pictures)[0]
    assert answers.shape == (3, 1000)
    np.testing.assert_allclose(answers, expected, rtol=1e-3, atol=1e-6)
    assert np.abs(answers[0] - answers[1]).max() > 1e-5


@pytest.fixture(scope="module")
def squeezenet(weight_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
    """SqueezeNet v1.1 with the self-test's weights, ready to be measured."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TOPFIVE_CACHE", str(tmp_path_factory.mktemp("graphs")))
        patch.setenv("TOPFIVE_DATA", str(tmp_path_factory.mktemp("records")))
        found = bench_subjects.find(["squeezenet_v1.1"], weights=weight_file)
        with bench_subjects.open_subjects(found, weight_file) as ready:
            assert len(ready) == 1
            yield ready[0]


def test_a_subject_is_the_graph_that_topfive_runs(squeezenet: Subject, weight_file: Path) -> None:
    from topfive.engines import proofs

    assert squeezenet.precision == "f32"
    assert squeezenet.weights == files.checksum_of(weight_file)
    assert squeezenet.multiply_adds == pytest.approx(0.388e9, rel=0.01)
    graph = openvino.Core().read_model(squeezenet.graph)
    compiled = openvino.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    answers = [compiled(one[None])[0][0].copy() for one in proofs.pictures(V1_1.size)]
    assert made_up.difference(np.stack(answers)) < 1e-4


def test_configurations_take_turns_and_each_turn_is_whole(squeezenet: Subject) -> None:
    ways = bench.combine([squeezenet], [1], [1, 4])
    told = [(way.mode, way.threads, way.batch) for way in ways]
    assert told == [("latency", 1, 1), ("throughput", 1, 1), ("throughput", 1, 4)]
    turns = list(bench.measure(ways, 0.05, 2))
    assert [turn.configuration for turn in turns] == ways * 2
    for turn in turns:
        assert turn.rate > 1
        assert min(turn.seconds) > 0
        assert turn.limit > 1e9
        assert turn.operations == pytest.approx(2 * turn.rate * squeezenet.multiply_adds)
    one = turns[0]  # a single request: what it answered is all there is
    assert one.rate == pytest.approx(len(one.seconds) / sum(one.seconds))


class Request:
    """An infer request that takes its time."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.shape = seconds, (1, 8, 8, 3)

    def get_input_tensor(self) -> Any:
        self.data = np.zeros(self.shape, np.uint8)
        return self

    def start_async(self) -> None:
        self.end = time.perf_counter() + self.seconds

    def wait(self) -> None:
        time.sleep(max(0.0, self.end - time.perf_counter()))

    def wait_for(self, milliseconds: float) -> bool:
        time.sleep(milliseconds / 1000)
        return time.perf_counter() >= self.end


class Compiled:
    """A compiled network whose two requests are as fast as they are told to be."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.requests = seconds, list[Request]()

    def get_property(self, name: str) -> int:
        assert name == "OPTIMAL_NUMBER_OF_INFER_REQUESTS"
        return 2

    def create_infer_request(self) -> Request:
        self.requests.append(Request(self.seconds))
        return self.requests[-1]


def test_requests_answer_side_by_side_for_the_time_that_is_given() -> None:
    start, compiled = time.perf_counter(), Compiled(0.02)
    answers = bench.run(compiled, 0.4)
    assert time.perf_counter() - start < 2
    assert bench.answers_per_second(answers) == pytest.approx(100, rel=0.2)
    assert [len(times) for times in answers] == pytest.approx([20, 20], abs=6)
    assert compiled.requests[0].data.any()  # not a black picture


def test_a_slow_network_answers_once_at_least() -> None:
    answers = bench.run(Compiled(0.3), 0.001)
    assert [len(times) for times in answers] == [1, 1]


def test_what_goes_wrong_in_a_request_is_an_error(squeezenet: Subject, tmp_path: Path) -> None:
    odd = dataclasses.replace(squeezenet, graph=tmp_path / "missing.xml")
    with pytest.raises(EngineError, match=r"OpenVINO cannot run SqueezeNet v1\.1, 1 at"):
        list(bench.measure([Configuration(odd, "latency", 1, 1)], 0.01, 1))


def turn(way: Configuration, rate: float, limit: float, *seconds: float) -> Turn:
    return Turn(way, rate, seconds, 2 * rate * way.subject.multiply_adds, limit)


@pytest.fixture
def ways() -> list[Configuration]:
    """Of two networks that exist on paper."""
    subjects = [
        Subject(NETWORKS["vgg16"], "f32", RANDOM, Path("a.xml"), 15_470_264_320),
        Subject(NETWORKS["vgg16"], "int8", RANDOM, Path("b.xml"), 15_470_264_320),
        Subject(NETWORKS["mobilenet"], "f32", "md5:0", Path("c.xml"), 568_740_352),
    ]
    return bench.combine(subjects, [1, 2], [1, 4, 16])


@pytest.fixture
def turns(ways: list[Configuration]) -> list[Turn]:
    """Three of each, the second of which was disturbed."""
    return [
        turn(way, slow * way.threads * 6e11 / way.subject.multiply_adds, slow * way.threads * 2e12,
             *[0.01] * 90, *[0.05] * 10)
        for slow in (1.0, 0.2, 1.1)
        for way in ways
    ]  # fmt: skip


def test_medians_hold_against_a_disturbance_that_slows_the_product_as_well(
    turns: list[Turn], ways: list[Configuration]
) -> None:
    found = bench.summarise(turns)
    assert [one.configuration for one in found] == ways
    for one in found:
        threads = one.configuration.threads
        scale = threads * 6e11 / one.configuration.subject.multiply_adds
        assert one.turns == 3
        assert (one.slowest, one.rate, one.fastest) == pytest.approx(
            (0.2 * scale, scale, 1.1 * scale)
        )
        assert (one.milliseconds, one.p95) == pytest.approx((10, 50))
        assert one.operations == pytest.approx(threads * 1.2e12)
        assert one.limit == pytest.approx(threads * 2e12)
        assert one.share == pytest.approx(0.6)


def test_a_run_that_was_cut_off_is_summed_up_as_far_as_it_came(turns: list[Turn]) -> None:
    found = bench.summarise(turns[: len(turns) // 3 + 1])
    assert [one.turns for one in found] == [2] + [1] * (len(turns) // 3 - 1)


def test_the_dictionary_is_plain_and_says_all(turns: list[Turn]) -> None:
    measurements = bench.summarise(turns)
    told = json.loads(json.dumps(bench.to_dict(measurements, {"seconds": 3.0, "runs": 3})))
    assert set(told) == {"machine", "settings", "networks", "measurements"}
    assert set(told["machine"]) == {"cpu", "cpus", "system", "python", "openvino", "topfive"}
    assert told["settings"] == {"seconds": 3.0, "runs": 3, "product": [arithmetic.SIDE] * 3}
    assert told["networks"] == [
        {"network": "vgg16", "weights": RANDOM, "multiply_adds": 15_470_264_320},
        {"network": "mobilenet", "weights": "md5:0", "multiply_adds": 568_740_352},
    ]
    assert len(told["measurements"]) == 24
    assert set(told["measurements"][0]) == {
        "network", "precision", "mode", "threads", "batch", "turns", "pictures_per_second",
        "answer_milliseconds", "operations_per_second", "product_operations_per_second",
        "share_of_product",
    }  # fmt: skip


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_the_plot_has_a_line_for_each_precision_and_number_of_threads(
    suffix: str, turns: list[Turn], tmp_path: Path
) -> None:
    file = tmp_path / f"bench{suffix}"
    file.write_bytes(b"older")
    bench_plots.check(file, force=True)
    bench_plots.write(file, bench.summarise(turns), force=True)
    content = file.read_bytes()
    assert content.startswith(b"\x89PNG" if suffix == ".png" else b"<?xml")
    if suffix == ".svg":
        for text in (b"VGG16", b"MobileNet", b"f32, 1 thread<", b"int8, 2 threads<", b"batch",
                     b"pictures a second", b"as fast as a matrix product"):  # fmt: skip
            assert text in content, text
    assert list(tmp_path.iterdir()) == [file]


def test_a_plot_that_cannot_be_written_is_said_and_leaves_nothing(
    turns: list[Turn], tmp_path: Path
) -> None:
    for name, said in (("x.pdf", "ends in .svg, .png"), ("no/x.png", "there is no folder")):
        with pytest.raises(UsageError, match=said):
            bench_plots.check(tmp_path / name)
    (tmp_path / "x.png").mkdir()
    with pytest.raises(UsageError, match="is not a file"):
        bench_plots.check(tmp_path / "x.png")
    with pytest.raises(OutputError, match="cannot write"):
        bench_plots.write(tmp_path / "x.png", bench.summarise(turns))
    assert [path.name for path in tmp_path.iterdir()] == ["x.png"]


def test_without_matplotlib_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'topfive\[report\]'"):
        bench_plots.check(tmp_path / "x.png")


def test_a_graph_in_8_bits_that_is_stored_is_measured_too(
    squeezenet: Subject, weight_file: Path
) -> None:
    checksum, names = files.checksum_of(weight_file), records.GRAPH
    folder = records.folder() / "stored"
    folder.mkdir(parents=True)
    openvino.serialize(openvino.Core().read_model(squeezenet.graph), folder / names[0])
    hashes = [files.checksum_of(folder / name) for name in names]
    entry = {"graph": "stored", "sha256": hashes}
    records.update("squeezenet_v1.1", checksum, records.PRECISIONS, "int8", entry)
    found = bench_subjects.find(["squeezenet_v1.1"], weights=weight_file)
    assert [precision for _, precision, _ in found] == ["f32", "int8"]
    only = bench_subjects.find(["squeezenet_v1.1"], ["int8"], weights=weight_file)
    with bench_subjects.open_subjects(only) as ready:
        assert ready[0].graph == folder / names[0]
        assert ready[0].multiply_adds == squeezenet.multiply_adds
    (folder / names[1]).write_bytes(b"something else")
    with (
        pytest.raises(EngineError, match="is not what it was"),
        bench_subjects.open_subjects(only) as ready,
    ):
        pass
    assert list(blobs.folder().iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"names": ["vgg61"]}, UsageError, "unknown network"),
        ({"names": ["vgg16"]}, WeightsError, "topfive weights fetch vgg16; or measure with"),
        ({"names": ["vgg16"], "precisions": ["f33"]}, UsageError, "f33"),
        ({"names": ["vgg16"], "precisions": ["int8"], "random": True}, UsageError, "8 bits"),
        (
            {"names": ["vgg16"], "weights": Path("x"), "random": True},
            UsageError,
            "stand for no file",
        ),
        ({"names": ["vgg16", "vgg19"], "weights": Path("x")}, UsageError, "is for one network"),
        ({"names": ["vgg16"], "weights": Path("no.h5")}, WeightsError, "cannot read no.h5"),
    ],
)
def test_what_cannot_be_measured_is_an_error(
    arguments: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        bench_subjects.find(**arguments)


def test_8_bits_that_nobody_made_say_how_to_make_them(weight_file: Path) -> None:
    with pytest.raises(UsageError, match="topfive quantize FOLDER --model squeezenet_v1"):
        bench_subjects.find(["squeezenet_v1.1"], ["int8"], weights=weight_file)


def test_weights_that_do_not_fit_are_an_error_and_leave_nothing(tmp_path: Path) -> None:
    file = tmp_path / "cut.h5"
    file.write_bytes(weights.HDF5_MAGIC + bytes(100))
    found = bench_subjects.find(["squeezenet_v1.1"], weights=file)
    with (
        pytest.raises(WeightsError, match=r"cut\.h5 does not fit"),
        bench_subjects.open_subjects(found, file),
    ):
        pass
    assert list(blobs.folder().iterdir()) == []


def test_more_threads_than_cpus_are_refused() -> None:
    with pytest.raises(UsageError, match="unknown network"):  # as many are not what is wrong
        bench.bench(["vgg61"], threads=[arithmetic.count_cpus()])
    with pytest.raises(UsageError, match="this process may use"):
        bench.bench(["vgg61"], threads=[1, arithmetic.count_cpus() + 1])
