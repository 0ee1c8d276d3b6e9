"""The compiled network: made once, checked always, never a reason for no answer."""

from __future__ import annotations

import json
import logging
import math
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support import fakes, made_up
from topfive.engines import (
    blobs,
    compile_process,
    devices,
    direct_graphs,
    graphs,
    keras_engine,
    keras_models,
    openvino_engine,
    proofs,
)
from topfive.engines.blobs import Target
from topfive.engines.run import Run, softmax
from topfive.errors import (
    EngineError,
    UnusableWeightsError,
    UsageError,
    WeightsError,
    WrongAnswersError,
)
from topfive.networks import weights
from topfive.networks.cards import Network, PackagedFile
from topfive.networks.published import DEFAULT_NETWORK, NETWORKS
from topfive.system import files

CARD = NETWORKS["squeezenet_v1.1"]
DEFAULT = NETWORKS[DEFAULT_NETWORK]  # which is compiled in a second, without Keras
PICTURES = proofs.pictures(CARD.size)


def load(network: Network, file: Path | None = None, **options: Any) -> Run:
    """Load a network and wait until it is ready, as a `Classifier` does."""
    run = openvino_engine.load(network, file, **options)
    run(PICTURES[:0])
    return run


def cached(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "cache").glob("*.blob"))


@pytest.mark.slow
def test_the_second_load_takes_the_compiled_network(tmp_path: Path, weight_file: Path) -> None:
    first = load(CARD, weight_file)(PICTURES)
    (blob,) = cached(tmp_path)
    made = blob.stat().st_ino
    second = load(CARD, weight_file)(PICTURES)
    assert blob.stat().st_ino == made
    assert np.array_equal(first, second)
    assert made_up.difference(second) < 1e-4
    leftovers = {file.suffix for file in (tmp_path / "cache").iterdir()}
    assert leftovers == {".blob", ".lock"}


@pytest.mark.slow
def test_a_start_from_the_cache_imports_no_keras(weight_file: Path, warm: Path) -> None:
    load(CARD, weight_file)
    code = (
        "import sys, numpy; from topfive import Classifier\n"
        f"c = Classifier('squeezenet_v1.1', weights={str(weight_file)!r})\n"
        "c.classify(numpy.zeros((9, 9, 3), 'uint8'))\n"
        "print([m for m in ('keras', 'scipy', 'tensorflow', 'jax', 'torch', 'h5py',"
        " 'requests', 'rich', 'filelock') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    assert done.stderr == ""


@pytest.mark.slow
@pytest.mark.parametrize(
    "first", ["from topfive import Classifier", "import topfive.engines.compile_process"]
)
def test_openvino_reports_to_nobody(tmp_path: Path, first: str) -> None:
    code = f"{first}; import openvino, sys; print(sys.modules['openvino_telemetry'])"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "HOME": str(tmp_path)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "None\n"
    assert not (tmp_path / "intel").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: content[:4096] + bytes([content[4096] ^ 1]) + content[4097:],
        lambda content: content[: len(content) // 2],
        lambda content: content[: len(content) // 2] + bytes(len(content) // 2),
        lambda content: b"",
        lambda content: bytes(len(content)),
        lambda content: content + b"x",
    ],
    ids=["one bit", "cut", "half-written", "empty", "zeros", "longer"],
)
def test_a_damaged_entry_is_said_and_made_anew(
    tmp_path: Path, warm: Path, spoil: Callable[[bytes], bytes],
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    pictures = proofs.pictures(DEFAULT.size)
    expected = load(DEFAULT)(pictures)
    (good,) = warm.glob(f"{DEFAULT.name}-f32-*.blob")
    monkeypatch.setenv("TOPFIVE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    entry = tmp_path / "cache" / good.name
    entry.write_bytes(spoil(good.read_bytes()))
    assert np.abs(load(DEFAULT)(pictures) - expected).max() < 1e-4
    assert "damaged" in caplog.text
    caplog.clear()
    load(DEFAULT)
    assert "damaged" not in caplog.text


@pytest.fixture(scope="module")
def other(compiled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Other weights for the same network, which is compiled with them, too."""
    file = tmp_path_factory.mktemp("other") / "other.h5"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(made_up, "SEED", 1)
        made_up.write_weights(file)
        patch.setenv("TOPFIVE_CACHE", str(compiled))
        assert made_up.difference(load(CARD, file)(PICTURES)) > 1e-3
    return file


def entry(file: Path) -> Path:
    """Return where the cache keeps the network with these weights."""
    return blobs.path(blobs.identity(CARD, files.stamp(file), Target()))


@pytest.mark.slow
def test_another_networks_entry_under_this_name_is_not_answered_from(
    tmp_path: Path, weight_file: Path, other: Path, warm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(CARD, weight_file)
    (tmp_path / "cache").mkdir()
    shutil.copy(entry(other), tmp_path / "cache" / entry(weight_file).name)
    monkeypatch.setenv("TOPFIVE_CACHE", str(tmp_path / "cache"))
    answer = load(CARD, weight_file)(np.concatenate([PICTURES, PICTURES]))
    assert made_up.difference(answer[:2]) < 1e-4


@pytest.mark.slow
def test_eight_processes_on_an_empty_cache_all_answer(tmp_path: Path, photograph: Path) -> None:
    command = [sys.executable, "-m", "topfive", "classify", str(photograph), "--format", "jsonl"]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(8)
    ]
    outputs = [process.communicate() for process in running]
    assert [process.returncode for process in running] == [0] * 8
    assert len({answer for answer, _ in outputs}) == 1
    assert sum("compiling" in said for _, said in outputs) == 1
    assert len(cached(tmp_path)) == 1


@pytest.mark.slow
def test_a_full_disk_costs_a_warning_and_not_the_answer(
    small_disk: Path, weight_file: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setenv("TOPFIVE_CACHE", str(small_disk / "cache"))
    answer = load(CARD, weight_file)(PICTURES)
    assert made_up.difference(answer) < 1e-4
    assert "cannot keep" in caplog.text
    assert "MB free" in caplog.text
    assert [file.suffix for file in (small_disk / "cache").iterdir()] == [".lock"]


@pytest.mark.slow
def test_a_read_only_cache_costs_a_warning_and_not_the_answer(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    remount = ["mount", "-o", "remount,ro", str(small_disk)]
    subprocess.run(remount, check=True)
    monkeypatch.setenv("TOPFIVE_CACHE", str(small_disk))
    assert load(DEFAULT)(proofs.pictures(DEFAULT.size)).sum(axis=1) == pytest.approx(1, abs=1e-4)
    assert "Read-only" in caplog.text


@pytest.mark.slow
def test_a_read_only_cache_that_has_the_network_is_used(
    small_disk: Path, weight_file: Path, warm: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    load(CARD, weight_file)
    good = entry(weight_file)
    subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)  # noqa: S607
    (small_disk / good.name).write_bytes(good.read_bytes())
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)  # noqa: S607
    monkeypatch.setenv("TOPFIVE_CACHE", str(small_disk))
    assert made_up.difference(load(CARD, weight_file)(PICTURES)) < 1e-4
    assert caplog.text == ""


def test_a_conversion_that_disagrees_with_keras_is_not_admitted() -> None:
    logits = np.linspace(-3, 4, 2000, dtype=np.float32).reshape(2, 1000)
    powers = np.exp(logits)
    expected = powers / powers.sum(axis=1, keepdims=True)

    def prove(*off: float) -> None:
        received = expected.copy(), logits.copy(), logits[:, :9].copy()
        for values, added in zip(received, off, strict=True):
            values[1, 7] += np.float32(added)
        run = Run(lambda _: received[0], lambda _: received[1], lambda _: received[2])
        proofs.prove(CARD, (logits, logits[:, :9]), run, PICTURES)

    prove(5e-5, 2e-4, 2e-4)
    for place, what in enumerate(("a probability", "a logit", "a feature")):
        for off in (5e-4, math.nan):
            with pytest.raises(EngineError, match=f"differs from Keras by .* in {what}"):
                prove(*(off if place == number else 0 for number in range(3)))


@pytest.mark.slow
def test_weights_that_do_not_fit_are_an_error_and_not_a_slow_start(
    tmp_path: Path, weight_file: Path
) -> None:
    with pytest.raises(WeightsError, match="conv1"):
        load(NETWORKS["squeezenet"], weight_file)
    assert cached(tmp_path) == []


@pytest.mark.slow
def test_a_module_in_the_current_folder_is_not_mistaken_for_keras(
    tmp_path: Path, weight_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("keras", "numpy", "json"):
        (tmp_path / f"{name}.py").write_text(f"open('{name}-ran', 'w')")
    monkeypatch.chdir(tmp_path)
    load(CARD, weight_file)
    assert list(tmp_path.glob("*-ran")) == []


def published(weight_file: Path) -> Network:
    """A card whose published file is the test's, put where it belongs."""
    checksum = files.checksum_of(weight_file)
    card = replace(CARD, weights=replace(CARD.weights, checksum=checksum))
    weights.path(card).parent.mkdir(parents=True)
    weights.path(card).write_bytes(weight_file.read_bytes())
    return card


@pytest.mark.slow
def test_a_compiled_network_answers_without_its_weight_file(warm: Path, weight_file: Path) -> None:
    card = published(weight_file)
    load(card)
    weights.path(card).unlink()
    assert made_up.difference(load(card, offline=True)(PICTURES)) < 1e-4


@pytest.mark.slow
def test_a_damaged_weight_file_is_not_compiled(tmp_path: Path, weight_file: Path) -> None:
    card = published(weight_file)
    content = bytearray(weight_file.read_bytes())
    content[len(content) // 2] ^= 1
    weights.path(card).write_bytes(content)
    with pytest.raises(WeightsError, match="offline"):
        load(card, offline=True)
    assert cached(tmp_path) == []


@pytest.mark.slow
def test_weights_that_changed_under_their_name_are_noticed(
    weight_file: Path, other: Path, warm: Path
) -> None:
    before = other.read_bytes()
    assert made_up.difference(load(CARD, other)(PICTURES)) > 1e-3
    try:
        other.write_bytes(weight_file.read_bytes())
        assert made_up.difference(load(CARD, other)(PICTURES)) < 1e-4
    finally:
        other.write_bytes(before)


@pytest.mark.slow
def test_what_is_in_the_way_is_raised_by_each_call_until_it_is_gone(
    tmp_path: Path, weight_file: Path
) -> None:
    card = published(weight_file)
    content = weights.path(card).read_bytes()
    weights.path(card).unlink()
    run = openvino_engine.load(card, offline=True)
    for _ in range(2):
        with pytest.raises(WeightsError, match="offline"):
            run(PICTURES)
    weights.path(card).write_bytes(content)
    assert made_up.difference(run(PICTURES)) < 1e-4


@pytest.mark.slow
def test_threads_share_a_run(weight_file: Path, warm: Path) -> None:
    run = load(CARD, weight_file)
    several = fakes.pictures(8, CARD.size)
    expected = run(several)
    barrier = threading.Barrier(8)

    def ask(number: int) -> bool:
        barrier.wait()
        return all(
            np.array_equal(run(several[number][None])[0], expected[number]) for _ in range(10)
        )

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(8)))


def dense_network(weights: None = None, classifier_activation: str | None = "softmax") -> Any:
    """A network most of whose weights are in dense layers, as VGG's."""
    import keras

    layers, first = keras.layers, keras.config.image_data_format() == "channels_first"
    inputs = keras.Input((3, 32, 32) if first else (32, 32, 3))
    x = layers.Conv2D(8, 3, strides=4, activation="relu", name="conv1")(inputs)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(300, activation="relu", name="fc1")(x)
    x = layers.Dense(20, activation=classifier_activation, name="fc2")(x)
    return keras.Model(inputs, x, name="dense")


@pytest.mark.slow
@pytest.mark.parametrize("large_dense", [True, False])
def test_both_hints_answer_alike_from_one_file_or_two(
    large_dense: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    builder = f"{__name__}:dense_network"
    card = replace(CARD, name="dense", builder=builder, size=32, large_dense=large_dense)
    made = []

    def spawn(card: Network, held: weights.Held, target: Target, graph: None, blob: Path) -> None:
        """As in a process of its own, which would not know this card."""
        made.append(target.throughput)
        compile_process.convert(card, held, target, graph, blob)

    monkeypatch.setattr(openvino_engine, "_convert", spawn)
    file = fakes.make_weights(card, tmp_path / "weights.h5")
    pictures = fakes.pictures(6, 32)
    one = load(card, file)(pictures)
    together = load(card, file, throughput=True)
    assert together.batch == (4 if large_dense else 1)
    many = together(pictures)
    for some in ([5], [3, 0], [4, 1, 2], [2, 5, 0, 1, 3]):
        assert np.array_equal(together(pictures[some]), many[some]), "whatever is beside it"
    assert made == ([False, True] if large_dense else [False])
    assert len(cached(tmp_path)) == len(made)
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []
    assert 0.1 < one.max() < 0.999, "an answer that would show a difference"
    assert np.abs(one - many).max() < 1e-5
    assert np.array_equal(load(card, file, throughput=True)(pictures), many)
    assert len(made) == len(cached(tmp_path)), "found again"


def test_throughput_takes_the_same_file_and_answers_alike(weight_file: Path, warm: Path) -> None:
    expected = load(CARD, weight_file)(PICTURES)
    before = {file: file.stat().st_ino for file in warm.glob("*.blob")}
    run = load(CARD, weight_file, throughput=True)
    assert {file: file.stat().st_ino for file in warm.glob("*.blob")} == before
    assert np.abs(run(PICTURES) - expected).max() < 1e-5
    assert run.batch == 1
    assert run.parallel() >= 2


def test_throughput_is_several_requests_as_many_as_there_are_threads(
    weight_file: Path, warm: Path
) -> None:
    several = os.cpu_count() or 1
    if several < 2:
        pytest.skip("needs two processors")
    one, many = (load(CARD, weight_file, throughput=many) for many in (False, True))
    assert one.parallel() == 2
    assert 2 < many.parallel() <= several + 1
    assert load(CARD, weight_file, throughput=True, threads=1).parallel() == 2


@pytest.mark.slow
def test_threads_share_a_run_for_throughput(weight_file: Path, warm: Path) -> None:
    run = load(CARD, weight_file, throughput=True)
    several = fakes.pictures(8, CARD.size)
    expected = run(several)
    batches = [several[start : start + number] for number in (1, 2, 3) for start in range(5)]
    with ThreadPoolExecutor(run.parallel() + 2) as pool:
        answers = list(pool.map(run, batches))
    places = [(start, number) for number in (1, 2, 3) for start in range(5)]
    for (start, number), answer in zip(places, answers, strict=True):
        assert np.array_equal(answer, expected[start : start + number])


def test_a_request_that_fails_is_an_error_in_the_thread_that_asked(
    weight_file: Path, warm: Path
) -> None:
    run = load(CARD, weight_file, throughput=True)
    with pytest.raises(RuntimeError):
        run(np.zeros((1, 99, 99, 3), np.uint8))
    assert made_up.difference(run(PICTURES)) < 1e-4


def test_no_pictures_are_no_rows(weight_file: Path, warm: Path) -> None:
    assert load(CARD, weight_file)(PICTURES[:0]).shape == (0, 1000)


@pytest.mark.parametrize("device", ["CPU", "cpu", "AUTO"])
def test_openvinos_device_names_work(weight_file: Path, warm: Path, device: str) -> None:
    run = load(CARD, weight_file, device=device, threads=1)
    assert made_up.difference(run(PICTURES)) < 1e-4


def test_an_absent_device_is_an_error_that_lists_those_there_are(weight_file: Path) -> None:
    with pytest.raises(EngineError, match=r"no device XPU here; OpenVINO finds .*CPU"):
        load(CARD, weight_file, device="xpu")


def test_a_device_that_cannot_run_the_network_is_not_replaced_by_another(
    weight_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise openvino_engine.ConversionError("it differs from Keras")

    monkeypatch.setattr(openvino_engine, "check_device", lambda *_: None)
    monkeypatch.setattr(openvino_engine, "_compile", refuse)
    with pytest.raises(EngineError, match=r"NPU cannot run SqueezeNet v1\.1: it differs"):
        load(CARD, weight_file, device="NPU")


@pytest.mark.slow
def test_threads_bound_the_engines(weight_file: Path, warm: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from topfive.engines import proofs\n"
        "from topfive.engines.openvino_engine import load\n"
        "from topfive.networks.published import NETWORKS\n"
        "run = load(NETWORKS['squeezenet_v1.1'], Path(sys.argv[1]), threads=int(sys.argv[2]))\n"
        "pictures = proofs.pictures(227)\n"
        "run(pictures); before = os.times(); run(pictures[[0] * 40])\n"
        "after = os.times(); print((after.user - before.user) / (after.elapsed - before.elapsed))"
    )
    command = [sys.executable, "-c", code, str(weight_file), "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert float(done.stdout) < 1.2


def test_a_request_that_makes_no_sense_is_answered_in_json(tmp_path: Path) -> None:
    request = {"network": "nope", "weights": "f", "checksum": "c", "target": asdict(Target()),
               "graph": None, "blob": str(tmp_path / "b")}  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "topfive.engines.compile_process", json.dumps(request)],
        capture_output=True, text=True, check=False, env={**os.environ},
    )  # fmt: skip
    assert done.returncode == 1
    assert json.loads(done.stdout)["kind"] == "UnknownNetworkError"


PACKAGED = [name for name, card in NETWORKS.items() if isinstance(card.weights, PackagedFile)]


@pytest.mark.slow
@pytest.mark.parametrize("name", PACKAGED)
def test_a_copy_of_packaged_weights_is_the_users_and_goes_through_keras(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    card = NETWORKS[name]
    file = tmp_path / card.weights.name
    shutil.copy(weights.path(card), file)
    run = load(card, file)
    assert "cannot keep" not in caplog.text
    assert len(cached(tmp_path)) == 1
    assert run(fakes.pictures(2, card.size)).sum(axis=1) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("transposed", [False, True])
def test_dense_layers_are_turned_and_give_the_same(transposed: bool) -> None:
    import openvino
    from openvino import opset13

    random = np.random.default_rng(0)
    weights = random.standard_normal((30, 70) if transposed else (70, 30), np.float32)
    row = opset13.parameter([1, 70], np.float32)
    batch = opset13.parameter([2, 70], np.float32)
    outputs = [opset13.matmul(rows, weights, False, transposed) for rows in (row, batch)]
    graph = openvino.Model(outputs, [row, batch])
    inputs = [random.standard_normal(size, np.float32) for size in ((1, 70), (2, 70))]
    compiled = openvino.Core().compile_model(graph, "CPU", devices.hints(Target()))
    before = [compiled(inputs)[index].copy() for index in range(2)]
    graphs.multiply_from_the_left(graph)
    compiled = openvino.Core().compile_model(graph, "CPU", devices.hints(Target()))
    after = [compiled(inputs)[index] for index in range(2)]
    assert np.abs(before[0] - after[0]).max() < 1e-5
    assert np.array_equal(before[1], after[1])
    products = [node for node in graph.get_ops() if node.get_type_name() == "MatMul"]
    left = [node.input_value(0).get_node().get_type_name() for node in products]
    assert sorted(left) == ["Constant", "Parameter"]


@pytest.mark.slow
def test_logits_are_what_the_probabilities_are_made_of(weight_file: Path, warm: Path) -> None:
    run = load(CARD, weight_file)
    logits = run.logits(PICTURES)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    assert np.abs(powers / powers.sum(axis=1, keepdims=True) - run(PICTURES)).max() < 1e-6
    keras_run = keras_engine.run_of(keras_models.build(CARD, weight_file))
    assert np.abs(keras_run.logits(PICTURES) - logits).max() < 1e-4 * np.abs(logits).max()
    assert np.abs(keras_run(PICTURES) - run(PICTURES)).max() < 1e-4


def has(precision: str) -> bool:
    import openvino

    known = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return devices.CAPABILITIES[precision] in known


def has_bf16() -> bool:
    return has("bf16")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("precision", "bound"),
    [
        pytest.param(
            name,
            bound,
            marks=pytest.mark.skipif(not has(name), reason=f"needs a CPU with {name}"),
        )
        for name, bound in (("bf16", 0.05), ("f16", 0.01))
    ],
)
def test_lower_precision_is_near_float32_and_has_a_file_of_its_own(
    weight_file: Path, tmp_path: Path, precision: str, bound: float
) -> None:
    exact = load(CARD, weight_file)(PICTURES)
    for throughput in (False, True):
        less = load(CARD, weight_file, precision=precision, throughput=throughput)(PICTURES)
        assert 0 < np.abs(less - exact).max() < bound
    assert len(cached(tmp_path)) == 2


def test_lower_precision_is_compared_with_what_it_was_and_not_with_more_digits() -> None:
    logits = np.linspace(-3, 9, 2000, dtype=np.float32).reshape(2, 1000)
    rounded = softmax(logits).astype(np.float16).astype(np.float32)
    run = Run(lambda _: rounded, lambda _: logits, lambda _: logits)
    proofs.prove(CARD, (logits, logits), run, PICTURES, rounded)
    with pytest.raises(WrongAnswersError, match=r"differs from what it was .* in a probability"):
        proofs.prove(CARD, (logits, logits), run, PICTURES, rounded * 1.1)


def test_a_precision_that_openvino_replaces_by_another_is_an_error() -> None:
    import openvino

    class Core(openvino.Core):  # type: ignore[misc]
        def compile_model(self, graph: Any, device: str, config: dict[str, Any]) -> Any:
            return super().compile_model(graph, device, config | {devices.PRECISION: "f32"})

    number = openvino.opset13.parameter([1], np.float32)
    graph = openvino.Model([openvino.opset13.relu(number)], [number])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openvino, "Core", Core)
        devices.compile_graph(graph, Target())
        with pytest.raises(EngineError, match="asked for bf16, CPU would compute in f32 here"):
            devices.compile_graph(graph, Target(precision="bf16"))


def test_a_precision_that_the_device_does_not_have_is_an_error(
    weight_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(devices.CAPABILITIES, "f16", "NONSENSE")
    with pytest.raises(EngineError, match=r"CPU does not compute in f16 here; it has f32"):
        load(CARD, weight_file, precision="f16")


def test_a_network_that_was_not_quantised_has_no_int8(weight_file: Path) -> None:
    with pytest.raises(UsageError, match=r"no squeezenet_v1.1 in 8 bits .* topfive quantize"):
        load(CARD, weight_file, precision="int8")


@pytest.mark.slow
def test_a_refused_network_is_not_compiled_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    network, compiled = DEFAULT, []
    convert = direct_graphs.convert
    nothing = np.zeros((0, 1000), np.float32)
    zeros = Run(lambda _: nothing, lambda _: nothing, lambda _: nothing)

    def count(*arguments: Any) -> None:
        compiled.append(1)
        convert(*arguments)

    def load() -> int:
        caplog.clear()
        run = openvino_engine.load(network)
        run(proofs.pictures(network.size)[:0])
        return len(compiled)

    monkeypatch.setattr(direct_graphs, "convert", count)
    monkeypatch.setattr(keras_engine, "load", lambda *_, **__: zeros)
    monkeypatch.setattr(proofs, "TOLERANCE", -1)
    assert load() == 1
    assert "differs from Keras" in caplog.text
    assert load() == 1
    (note,) = blobs.folder().glob(f"*{blobs.REFUSED}")
    assert f"it was not compiled again. To have it tried: delete {note}" in caplog.text
    with monkeypatch.context() as patch:  # a new version tries again
        patch.setattr(blobs, "__version__", "0.0.1")
        assert load() == 2
    assert load() == 3
    monkeypatch.setattr(proofs, "TOLERANCE", 1e-4)
    assert load() == 3
    note.unlink()
    assert load() == 4
    assert load() == 4
    assert caplog.text == ""


def test_a_refusal_keeps_its_kind() -> None:
    identity = blobs.identity(CARD, "md5:1", Target())
    blobs.folder().mkdir()
    for kind in (UnusableWeightsError, WrongAnswersError):
        blobs.refuse(identity, kind("why"))
        found = blobs.refusal(identity)
        assert type(found) is kind
        assert str(found).startswith("why; it was not compiled again")
