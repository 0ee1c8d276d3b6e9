"""Lower precision: made from real pictures, measured on others, stored, and refused."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.conftest import ROOT
from tests.support import fakes, photographs
from topfive import Classifier
from topfive.conversion import admission, examples
from topfive.conversion.quantize import Made, Quantized, quantize, store, working
from topfive.engines import openvino_engine
from topfive.engines.run import Run
from topfive.errors import (
    EngineError,
    MissingExtraError,
    OutputError,
    UsageError,
)
from topfive.networks import labels, published, records
from topfive.results import Failure, Listener
from topfive.sources import arguments
from topfive.sources.source import MAX_PIXELS, Source
from topfive.system import files

pytestmark = pytest.mark.slow

CARD = published.NETWORKS[published.DEFAULT_NETWORK]
OTHER = published.NETWORKS["squeezenet_v1.1"]
TRACE = """
import pathlib
pathlib.Path(__file__).with_name("imported").touch()
"""


class Heard(Listener):
    def __init__(self) -> None:
        self.total = 0
        self.failures: list[Failure] = []

    def begin(self, total: int) -> None:
        self.total = total

    def add(self, source: str, failure: Failure | None) -> None:
        self.failures += [failure] if failure else []


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photographs in folders of their classes, and a package that tells of calls."""
    home = tmp_path_factory.mktemp("int8")
    photographs.write(home / "pictures", 9, photographs.LABELS)
    wnids = {label.name: label.wnid for label in labels.load("imagenet")}
    for name, label in photographs.LABELS.items():
        (home / "pictures" / name).rename(home / "pictures" / wnids[label])
    (home / "trace" / "openvino_telemetry").mkdir(parents=True)
    (home / "trace" / "openvino_telemetry" / "__init__.py").write_text(TRACE)
    return home


@pytest.fixture(scope="module")
def made(home: Path, compiled: Path) -> Quantized:
    """The default network, made in 8 bits with a third of the photographs, once."""
    pytest.importorskip("nncf")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TOPFIVE_CACHE", str(compiled))
        patch.setenv("TOPFIVE_DATA", str(home / "data"))
        patch.setenv("PYTHONPATH", str(home / "trace"))
        patch.setattr(admission, "SECONDS", 0.1)  # nothing here asks how fast it is
        return quantize(home / "pictures", CARD, recipe=CARD.recipe)


@pytest.fixture
def real(made: Quantized, home: Path, warm: Path, monkeypatch: pytest.MonkeyPatch) -> Quantized:
    """Use what was made."""
    monkeypatch.setenv("TOPFIVE_DATA", str(home / "data"))
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Sixty different small pictures whose classes nobody tells."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, pixels in enumerate(fakes.pictures(60, 24)):
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    return folder


def answering(wrong: bool) -> Run:
    """A network that answers with a class that the picture's sum tells, or the one after it."""

    def run(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        sums = pictures.reshape(len(pictures), -1).sum(axis=1, dtype=np.int64)
        answers = np.zeros((len(pictures), 1000), np.float32)
        answers[np.arange(len(pictures)), (sums + wrong) % 1000] = 1
        return answers

    return Run(run, run, run, parallel=lambda: 2)


@pytest.fixture
def wrong(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The precisions in which networks answer wrongly, which are made-up ones here."""
    found: set[str] = set()

    def load(*_: object, precision: str = "f32", **__: object) -> Run:
        return answering(precision in found)

    monkeypatch.setattr(openvino_engine, "load", load)
    monkeypatch.setattr("topfive.engines.devices.check_device", lambda *_: None)
    monkeypatch.setattr(admission, "SECONDS", 0.02)
    return found


def found(*names: str) -> Iterator[tuple[Source, None]]:
    return ((source, None) for source in arguments.read(names, recursive=True))


def collect(*names: str, limit: int = 1000, heard: Heard | None = None) -> list[examples.Example]:
    return examples.collect(found(*names), OTHER, OTHER.recipe, limit, MAX_PIXELS, heard or Heard())


# --- the real network, on real photographs ---


def test_the_default_network_in_8_bits_holds_the_bars_on_pictures_it_was_not_made_with(
    real: Quantized, home: Path
) -> None:
    by_hash = {hashlib.sha256(file.read_bytes()).hexdigest(): file
               for file in (home / "pictures").rglob("*.jpg")}  # fmt: skip
    held_out = [by_hash[digest] for digest in sorted(by_hash)][real.calibrating :]
    assert (real.calibrating, len(held_out)) == (21, 42)
    wnids = [label.wnid for label in labels.load("imagenet")]
    right, first = [], []
    for precision in ("f32", "int8"):
        classifier = Classifier(CARD, precision=precision)
        rows = [classifier.classify(file).predictions for file in held_out]
        first.append([best[0].index for best in rows])
        right.append([file.parent.name in [wnids[one.index] for one in best]
                      for file, best in zip(held_out, rows, strict=True)])  # fmt: skip
    same = sum(one == other for one, other in zip(*first, strict=True))
    assert same / len(held_out) >= 0.95
    assert sum(right[1]) - sum(right[0]) >= -0.01 * len(held_out)
    # What stands on the card is what was just found without the code that put it there.
    assert real.measurement.agreement.hits == same
    assert real.measurement.top5 is not None
    assert real.measurement.top5.exact.hits == sum(right[0])
    assert real.measurement.top5.lower.hits == sum(right[1])


def test_what_was_measured_is_stored_with_the_graph(real: Quantized) -> None:
    record = records.read(CARD.name, CARD.weights.checksum or "")
    entry = record["precisions"]["int8"]
    assert entry["measurement"] == json.loads(json.dumps(real.measurement.to_dict()))
    assert entry["measurement"]["admitted"] is True
    assert (entry["recipe"], entry["calibrating"]) == ("crop-256-bicubic", 21)
    assert set(entry["versions"]) == {"topfive", "openvino", "nncf"}
    folder, hashes = records.find_int8(CARD, CARD.weights.checksum or "")
    assert sorted(file.name for file in folder.iterdir()) == ["graph.bin", "graph.xml"]
    assert [files.checksum_of(folder / name) for name in records.GRAPH] == list(hashes)
    assert not list(folder.parent.glob(".*"))


def test_most_layers_are_in_8_bits_and_the_logits_are_there(real: Quantized) -> None:
    assert real.layers is not None
    assert real.layers[0] > 50 / 2
    assert real.layers[1] == 50
    classifier = Classifier(CARD, precision="int8")
    picture = fakes.pictures(1, 227)[0]
    ((_, said),) = classifier.responses([picture])
    ((_, logits),) = classifier.responses([picture], output="logits")
    assert isinstance(said.values, np.ndarray)
    assert isinstance(logits.values, np.ndarray)
    powers = np.exp(logits.values - logits.values.max())
    np.testing.assert_allclose(powers / powers.sum(), said.values, atol=1e-5)


def test_nothing_of_what_was_done_is_sent(made: Quantized, home: Path) -> None:
    assert not (home / "trace" / "openvino_telemetry" / "imported").exists()


@pytest.mark.parametrize("name", records.GRAPH)
def test_a_damaged_graph_is_noticed(
    real: Quantized, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    shutil.copytree(home / "data", tmp_path / "data")
    monkeypatch.setenv("TOPFIVE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("TOPFIVE_CACHE", str(tmp_path / "cold"))
    folder, _ = records.find_int8(CARD, CARD.weights.checksum or "")
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(EngineError, match=f"{name} is not what it was: make it again"):
        Classifier(CARD, precision="int8")


def test_a_run_that_is_killed_leaves_nothing_and_the_next_one_clears_up(
    folder: Path, weight_file: Path, warm: Path, tmp_path: Path
) -> None:
    pytest.importorskip("nncf")
    code = ("from pathlib import Path; from topfive.conversion import quantize; "
            "from topfive.networks import published; "
            "card = published.NETWORKS['squeezenet_v1.1']; "
            f"quantize.quantize({str(folder)!r}, card, recipe=card.recipe, "
            f"weights=Path({str(weight_file)!r}))")  # fmt: skip
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT / "src",
                               start_new_session=True, stderr=subprocess.DEVNULL)  # fmt: skip
    data, deadline = tmp_path / "data", time.monotonic() + 60
    while not list(data.glob(".*/pictures.npy")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    checksum = files.checksum_of(weight_file)
    record = records.path(OTHER.name, checksum)
    assert len(list(data.glob(f".{record.stem}-*/"))) == 1
    assert [file.suffix for file in data.glob("[!.]*")] == [".lock"]
    with pytest.raises(UsageError, match=r"there is no squeezenet_v1\.1 in 8 bits"):
        records.find_int8(OTHER, checksum)
    with working(record) as work:
        assert list(data.glob(".*")) == [work]
    assert not list(data.glob(".*"))


# --- which pictures ---


def test_the_same_pictures_are_chosen_whatever_their_names_and_order(
    folder: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    for number, file in enumerate(sorted(folder.iterdir(), reverse=True)):
        into = other / str(number % 3)
        into.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, into / f"{number}.png")
    for limit in (60, 25):
        one, same = (collect(str(place), limit=limit) for place in (folder, other))
        assert len(one) == len(same) == limit
        for picture, copy in zip(one, same, strict=True):
            np.testing.assert_array_equal(picture.square, copy.square)


def test_copies_of_a_picture_are_one_picture(folder: Path) -> None:
    before = collect(str(folder))
    for file in list(folder.iterdir()):
        shutil.copy(file, folder / f"a copy of {file.name}")
    after = collect(str(folder))
    assert len(after) == len(before) == 60
    assert len({one.square.tobytes() for one in after}) == 60
    calibrating, others = examples.split(after, True, "folder")
    assert (len(calibrating), len(others)) == (20, 40)


def test_no_more_pictures_make_a_network_than_help(folder: Path) -> None:
    many = collect(str(folder)) * 50
    calibrating, others = examples.split(many, True, "folder")
    assert (len(calibrating), len(others)) == (300, 2700)
    calibrating, others = examples.split(many, False, "folder")
    assert (len(calibrating), len(others)) == (0, 3000)


@pytest.mark.parametrize(("precision", "missing", "needed"), [("int8", 1, 60), ("bf16", 41, 20)])
def test_too_few_pictures_are_refused(
    folder: Path, wrong: set[str], weight_file: Path, precision: str, missing: int, needed: int
) -> None:
    for file in sorted(folder.iterdir())[:missing]:
        file.unlink()
    message = rf"holds {60 - missing} different pictures .*; {needed} or more are needed"
    with pytest.raises(UsageError, match=message):
        quantize(folder, OTHER, precision, recipe=OTHER.recipe, weights=weight_file)


def test_bad_pictures_are_said_and_left_out(folder: Path) -> None:
    (folder / "00.png").write_bytes(b"no picture")
    (folder / "01.png").unlink()
    (folder / "01.png").symlink_to("nowhere")
    heard = Heard()
    assert len(collect(str(folder), heard=heard)) == 58
    assert sorted((Path(one.source).name, one.kind) for one in heard.failures) == [
        ("00.png", "not-a-picture"), ("01.png", "missing"),
    ]  # fmt: skip
    assert heard.total == 59


def test_a_folder_that_is_not_there_is_an_error_and_not_one_without_classes(
    tmp_path: Path, wrong: set[str], weight_file: Path
) -> None:
    with pytest.raises(UsageError, match="nowhere: expected a folder, an archive or a bucket"):
        quantize(tmp_path / "nowhere", OTHER, "bf16", recipe=OTHER.recipe, weights=weight_file)


def test_files_without_a_class_are_left_out_where_others_have_one(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "topfive")
    (folder / "tench").mkdir()
    shutil.copy(folder / "00.png", folder / "tench" / "fish.png")
    known = [(source.name, truth) for source, truth in examples.find(folder, OTHER)]
    assert known == [(str(folder / "tench" / "fish.png"), 0)]
    assert "60 of the files have no class and are left out" in caplog.text


# --- what is stored, and what is not ---


def test_without_classes_only_the_agreement_is_measured(
    folder: Path, wrong: set[str], weight_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "topfive")
    lowered = quantize(folder, OTHER, "bf16", recipe=OTHER.recipe, weights=weight_file)
    assert "without classes, only the agreement with float32 is measured" in caplog.text
    assert (lowered.measurement.top1, lowered.measurement.top5) == (None, None)
    assert (lowered.measurement.agreement.value, lowered.calibrating) == (1, 0)
    entry = records.read(OTHER.name, files.checksum_of(weight_file))["precisions"]["bf16"]
    assert entry["measurement"]["top5"] is None
    assert "graph" not in entry


def test_a_network_that_loses_too_much_is_refused_with_its_figures_unless_forced(
    folder: Path, wrong: set[str], weight_file: Path
) -> None:
    def keep(force: bool) -> Quantized:
        return quantize(
            folder, OTHER, "bf16", recipe=OTHER.recipe, weights=weight_file, force=force
        )  # fmt: skip

    wrong.add("bf16")
    checksum = files.checksum_of(weight_file)
    said = r"first answer is float32's on 0\.0% of 60 pictures \(at least 95% is enough\)"
    with pytest.raises(EngineError, match=said):
        keep(False)
    assert records.read(OTHER.name, checksum) == {}
    assert not list(records.folder().glob(".*"))
    keep(True)
    stored = records.read(OTHER.name, checksum)["precisions"]["bf16"]["measurement"]
    assert stored["admitted"] is False


def test_auto_is_the_device_that_it_stands_for(
    folder: Path, wrong: set[str], weight_file: Path
) -> None:
    lowered = quantize(
        folder, OTHER, "bf16", recipe=OTHER.recipe, weights=weight_file, device="auto"
    )
    assert lowered.device != "AUTO"


def test_a_new_network_takes_the_place_of_the_one_before_it(
    folder: Path, weight_file: Path, wrong: set[str], caplog: pytest.LogCaptureFixture
) -> None:
    lowered = quantize(folder, OTHER, "bf16", recipe=OTHER.recipe, weights=weight_file)
    checksum = files.checksum_of(weight_file)
    record = records.path(OTHER.name, checksum)
    for how in ("int8 stretch-bicubic", "f32 stretch-bicubic"):
        records.update(OTHER.name, checksum, "calibrations", how, {"temperature": 1.1})
    for content in ("first", "second"):
        with working(record) as work:
            graph = work / "graph"
            graph.mkdir()
            for name in records.GRAPH:
                (graph / name).write_text(content)
            hashes = tuple(files.checksum_of(graph / name) for name in records.GRAPH)
            int8 = replace(lowered, precision="int8")
            store(int8, checksum, Made(None, graph, hashes, (4, 1), (1, 1)))
    kept, known = records.find_int8(OTHER, checksum)
    assert known == hashes
    assert [one.read_text() for one in kept.iterdir()] == ["second"] * 2
    assert [one for one in record.parent.iterdir() if one.is_dir()] == [kept]
    stored = records.read(OTHER.name, checksum)
    assert set(stored["precisions"]) == {"bf16", "int8"}
    # What was fitted to the answers of the network before is not true of this one.
    assert set(stored["calibrations"]) == {"f32 stretch-bicubic"}
    assert "the calibration for int8 stretch-bicubic was of the network before" in caplog.text


def test_a_place_that_cannot_be_written_to_is_said(
    folder: Path, wrong: set[str], weight_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "data").write_text("in the way")
    with pytest.raises(OutputError, match=f"cannot write to {tmp_path / 'data'}"):
        quantize(folder, OTHER, "bf16", recipe=OTHER.recipe, weights=weight_file)


def test_a_missing_package_is_said_before_any_work(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.setattr("topfive.system.extras.find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'topfive\[int8\]'"):
        quantize(folder, OTHER, recipe=OTHER.recipe)


def test_a_precision_that_the_device_lacks_or_nobody_knows_is_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match="expected one of bf16, f16, int8"):
        quantize(folder, OTHER, "f32", recipe=OTHER.recipe)
    with pytest.raises(EngineError, match="there is no device NPU here"):
        quantize(folder, OTHER, "bf16", recipe=OTHER.recipe, device="npu")


# --- the figures ---


def figures(wrong: int, known: bool = False) -> admission.Measurement:
    """Of a network that answers `wrong` of 100 pictures with the class after the right one."""
    classes = np.arange(10, 110, dtype=np.uint8)  # those under 5 are among the best of no answer
    pictures = np.zeros((100, 1, 1, 3), np.uint8)
    pictures[:, 0, 0, 0] = classes

    def run(some: NDArray[np.uint8]) -> NDArray[np.float32]:
        return answering(bool(some[0, 0, 0, 0] < 10 + wrong))(some)

    truths = classes.tolist() if known else None
    return admission.measure(answering(False), Run(run, run, run), pictures, truths, seconds=0.01)


@pytest.mark.parametrize(("wrong", "admitted"), [(0, True), (5, True), (6, False)])
def test_first_answers_have_to_be_the_same_on_95_of_100(wrong: int, admitted: bool) -> None:
    found = figures(wrong)
    assert (found.agreement.hits, found.agreement.of) == (100 - wrong, 100)
    assert found.shift == pytest.approx(wrong / 100)
    assert found.overlap == pytest.approx(1 - wrong / 500)
    assert (found.admitted, found.top5) == (admitted, None)


@pytest.mark.parametrize(("lost", "admitted"), [(0, True), (1, True), (2, False)])
def test_the_top_five_may_lose_a_point_where_the_classes_are_known(
    lost: int, admitted: bool
) -> None:
    found = figures(lost, known=True)
    assert found.top1 is not None
    assert found.top5 is not None
    assert (found.top5.exact.hits, found.top5.lower.hits) == (100, 100 - lost)
    assert found.top1.points == found.top5.points == -lost
    assert found.top5.low < -lost < found.top5.high
    assert found.admitted is admitted
    said = admission.refusal(found)
    assert f"on {1 - lost / 100:.1%} of 100 pictures" in said
    assert f"five best {-lost:+.1f} points as often" in said


def test_the_interval_of_a_difference_is_bonett_and_price_s() -> None:
    # (10 + 1) / 102 - (3 + 1) / 102, and 1.96 times the root of (15 - 49 / 102) / 102 / 102.
    assert admission.paired_difference(10, 3, 100) == pytest.approx((-0.00460, 0.14185), abs=1e-5)
    low, high = admission.paired_difference(3, 10, 100)
    assert (-high, -low) == pytest.approx(admission.paired_difference(10, 3, 100))
    assert admission.paired_difference(0, 20, 20)[0] == -1


def test_the_faster_network_is_said_to_be_faster() -> None:
    def slow(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        time.sleep(0.004)
        return answering(False)(pictures)

    pictures = np.zeros((20, 1, 1, 3), np.uint8)
    found = admission.measure(Run(slow, slow, slow), answering(False), pictures, None, seconds=0.05)
    assert found.faster == found.rates[1] / found.rates[0] > 2
    assert found.rates[0] < 250 * 1.1 * 2  # two threads


def test_each_network_is_asked_for_as_many_pictures_as_it_takes_at_a_time() -> None:
    calls = []

    def run(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        calls.append(len(pictures))
        time.sleep(0.004)  # for however many, as a graph that is filled up takes
        return answering(False)(pictures)

    pictures = np.arange(20 * 3, dtype=np.uint8).reshape(20, 1, 1, 3)
    four = Run(run, run, run, batch=4)
    found = admission.measure(four, answering(False), pictures, None, seconds=0.05)
    assert max(calls) == 4
    assert np.mean(calls) > 3
    assert found.rates[0] > 1.5 * 2 * 250, "more than two threads do one by one"
    assert found.agreement.hits == 20


def test_answers_that_are_no_numbers_are_refused() -> None:
    def broken(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.full((len(pictures), 1000), np.nan, np.float32)

    pictures = np.zeros((20, 1, 1, 3), np.uint8)
    with pytest.raises(EngineError, match="no numbers"):
        admission.measure(
            answering(False), Run(broken, broken, broken), pictures, None, seconds=0.01
        )
