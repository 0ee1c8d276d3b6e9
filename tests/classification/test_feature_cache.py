"""Features that are computed once."""

from __future__ import annotations

import logging
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.support import fakes
from tests.support.photographs import PHOTOGRAPHS
from topfive import Classifier
from topfive.classification import feature_cache
from topfive.classification.feature_cache import Features
from topfive.classification.pipeline import Response
from topfive.engines import blobs
from topfive.networks import records, weights
from topfive.results import Failure
from topfive.sources.source import Source

RUN = """
import sys
from topfive import Classifier; from topfive.classification import feature_cache as features
classifier = Classifier("squeezenet_v1.1", weights=sys.argv[1])
print("ready", flush=True)
with features.open_features(classifier) as found:
    for source, response in found.responses(line.rstrip("\\n") for line in sys.stdin):
        print(source.name, flush=True)
print(found.known, found.computed)
"""


@pytest.fixture
def photographs(tmp_path: Path) -> list[str]:
    """Twelve different pictures, as files."""
    files = []
    for number, pixels in enumerate(fakes.pictures(12, 90)):
        files.append(str(tmp_path / f"{number:02}.jpg"))
        Image.fromarray(pixels).save(files[-1])
    return files


@pytest.fixture
def empty(squeezenet: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the features of `squeezenet` are kept: a folder of the test's own."""
    monkeypatch.setenv("TOPFIVE_CACHE", str(tmp_path / "features"))
    return feature_cache.path(squeezenet)


Values = list[NDArray[np.float32]]


def compute(classifier: Classifier, files: list[str]) -> tuple[Values, tuple[int, int]]:
    """Return the features of pictures, and how many were known and computed."""
    with feature_cache.open_features(classifier) as found:
        values = arrays(found.responses(files))
    return values, (found.known, found.computed)


def plain(classifier: Classifier, files: list[str]) -> Values:
    """Return the features of pictures, all computed."""
    return arrays(classifier.responses(files, output="features"))


def arrays(responses: Iterable[tuple[Source, Response]]) -> Values:
    values = [response.values for _, response in responses]
    return [one for one in values if not isinstance(one, Failure)]


def same(one: Values, other: Values) -> bool:
    return [values.tobytes() for values in one] == [values.tobytes() for values in other]


@pytest.mark.slow
def test_each_picture_is_computed_once_and_kept_bit_by_bit(
    squeezenet: Classifier, empty: Path, photographs: list[str]
) -> None:
    right = plain(squeezenet, photographs)
    first, counts = compute(squeezenet, photographs[:7])
    assert counts == (0, 7)
    second, counts = compute(squeezenet, photographs)
    assert counts == (7, 5)
    third, counts = compute(squeezenet, photographs)
    assert counts == (12, 0)
    assert same(first, right[:7])
    assert same(second, right)
    assert same(third, right)
    assert all(one.shape == (512,) and one.dtype == np.float32 for one in third)
    assert len({one.tobytes() for one in third}) == 12


def test_what_is_said_of_a_picture_is_kept_with_it_and_its_name_does_not_matter(
    squeezenet: Classifier, empty: Path, tmp_path: Path
) -> None:
    Image.fromarray(fakes.pictures(1, 120)[0][:70]).save(tmp_path / "a.png")
    compute(squeezenet, [str(tmp_path / "a.png")])
    (tmp_path / "a.png").rename(tmp_path / "b.png")
    with feature_cache.open_features(squeezenet) as found:
        ((source, response),) = found.responses([tmp_path / "b.png"])
    assert (found.known, source.name) == (1, str(tmp_path / "b.png"))
    assert (response.width, response.height) == (120, 70)
    assert response.sha256 is not None


def test_a_bad_picture_is_a_failure_in_its_place_and_is_not_kept(
    squeezenet: Classifier, empty: Path, photographs: list[str], tmp_path: Path
) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    files = [photographs[0], str(tmp_path / "bad.jpg"), "nothing", photographs[1]]
    for counts in ((0, 2), (2, 0)):
        with feature_cache.open_features(squeezenet) as found:
            told = [(source.name, one.values) for source, one in found.responses(files)]
        assert [name for name, _ in told] == files
        kinds = [one.kind if isinstance(one, Failure) else "" for _, one in told]
        assert kinds == ["", "not-a-picture", "missing", ""]
        assert (found.known, found.computed) == counts


def test_what_has_no_bytes_is_answered_and_not_kept(squeezenet: Classifier, empty: Path) -> None:
    pixels = fakes.pictures(1, 90)[0]
    for _ in range(2):
        with feature_cache.open_features(squeezenet) as found:
            ((_, response),) = found.responses([Source("pixels", pixels)])
        assert not isinstance(response.values, Failure)
        assert response.values.shape == (512,)
        assert (found.known, found.computed) == (0, 0)


def test_the_same_picture_twice_in_one_run_is_found_before_it_is_written(
    squeezenet: Classifier, empty: Path, photographs: list[str]
) -> None:
    with feature_cache.open_features(squeezenet) as found:
        list(found.responses(photographs[:1]))
        list(found.responses(photographs[:1]))
        assert (found.known, found.computed) == (1, 1)


@pytest.mark.slow
@pytest.mark.parametrize("column", ["vector", "width", "height", "crc32"])
def test_a_flipped_bit_is_computed_anew(
    column: str, squeezenet: Classifier, empty: Path, photographs: list[str]
) -> None:
    right, _ = compute(squeezenet, photographs)
    with sqlite3.connect(empty) as content:
        sha256, value = content.execute(f"select sha256, {column} from features").fetchone()  # noqa: S608
        if isinstance(value, bytes):
            value = bytes([value[0] ^ 1]) + value[1:]
        else:
            value ^= 1
        content.execute(f"update features set {column} = ? where sha256 = ?", (value, sha256))  # noqa: S608
    content.close()
    again, counts = compute(squeezenet, photographs)
    assert counts == (11, 1)
    assert same(again, right)
    assert compute(squeezenet, photographs)[1] == (12, 0)


@pytest.mark.slow
@pytest.mark.parametrize("value", [None, "text", 7, b""])
def test_a_value_of_another_kind_is_computed_anew(
    value: object, squeezenet: Classifier, empty: Path, photographs: list[str]
) -> None:
    right, _ = compute(squeezenet, photographs)
    with sqlite3.connect(empty) as content:
        content.execute("update features set vector = ?, crc32 = null", (value,))
    content.close()
    again, counts = compute(squeezenet, photographs)
    assert counts == (0, 12)
    assert same(again, right)


@pytest.mark.slow
def test_a_file_that_is_none_is_made_anew_with_a_warning(
    squeezenet: Classifier, empty: Path, photographs: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    right, _ = compute(squeezenet, photographs)
    empty.write_bytes(b"no database at all" * 500)
    again, counts = compute(squeezenet, photographs)
    assert counts == (0, 12)
    assert same(again, right)
    (warning,) = caplog.records
    assert warning.levelno == logging.WARNING
    assert f"{empty} is damaged (file is not a database); making it anew" in warning.message
    assert compute(squeezenet, photographs)[1] == (12, 0)


@pytest.mark.slow
def test_a_file_whose_damage_shows_later_is_made_anew_then(
    squeezenet: Classifier, empty: Path, photographs: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    right, _ = compute(squeezenet, photographs)
    with empty.open("r+b") as stream:  # all but the page that tells what tables there are
        stream.seek(4096)
        stream.write(bytes([255]) * (empty.stat().st_size - 4096))
    again, counts = compute(squeezenet, photographs)
    assert counts == (0, 12)
    assert same(again, right)
    assert "malformed); making it anew" in caplog.text
    assert len(caplog.records) == 1
    assert compute(squeezenet, photographs)[1] == (12, 0)


def test_a_folder_that_cannot_be_made_costs_a_warning_only(
    squeezenet: Classifier, photographs: list[str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setenv("TOPFIVE_CACHE", photographs[0])
    for _ in range(2):
        assert compute(squeezenet, photographs)[1] == (0, 12)
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert "cannot keep features in" in caplog.text


@pytest.mark.slow
def test_a_cache_that_is_only_read_costs_a_warning_only(
    squeezenet: Classifier, photographs: list[str], small_disk: Path,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setenv("TOPFIVE_CACHE", str(small_disk))
    right, _ = compute(squeezenet, photographs)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)  # noqa: S607
    again, counts = compute(squeezenet, photographs)
    assert counts == (0, 12)
    assert same(again, right)
    (warning,) = caplog.records
    assert "cannot keep features in" in warning.message
    assert "Read-only file system" in warning.message


@pytest.mark.slow
def test_a_full_disk_costs_a_warning_only(
    squeezenet: Classifier, photographs: list[str], small_disk: Path,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    right, _ = compute(squeezenet, photographs)
    monkeypatch.setenv("TOPFIVE_CACHE", str(small_disk))
    compute(squeezenet, photographs[:1])
    room = os.statvfs(small_disk)
    (small_disk / "ballast").write_bytes(bytes(room.f_bavail * room.f_bsize))
    monkeypatch.setattr(feature_cache, "COMMIT", 0)
    again, counts = compute(squeezenet, photographs)
    assert counts in ((0, 12), (1, 11))  # SQLite's own files may not fit either
    assert same(again, right)
    (warning,) = caplog.records
    assert "keep features" in warning.message or "not kept any longer" in warning.message
    (small_disk / "ballast").unlink()
    assert compute(squeezenet, photographs)[1] == (1, 11)


@pytest.mark.slow
def test_other_recipes_windows_weights_and_precisions_do_not_mix(
    weight_file: Path, warm: Path
) -> None:
    def path(**options: object) -> Path:
        changed = {name: options.pop(name) for name in ("weights", "precision") if name in options}
        classifier = Classifier("squeezenet_v1.1", weights=weight_file, wait=False, **options)  # type: ignore[arg-type]
        for name, value in changed.items():
            setattr(classifier, name, value)
        return feature_cache.path(classifier)

    others: tuple[dict[str, object], ...] = (
        {}, {"recipe": "tutorial"}, {"fit": "pad"}, {"filter": "nearest"}, {"window": (0, 100)},
        {"window": (0, 200)}, {"throughput": True}, {"precision": "bf16"}, {"weights": "md5:0"},
    )  # fmt: skip
    assert len({path(**one) for one in others}) == 9
    assert path(threads=1, max_pixels=10) == path()


def test_eight_bits_are_known_by_their_graph(
    squeezenet: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = []
    squeezenet.precision = "int8"
    for graph in (("a", "b"), ("a", "c")):
        monkeypatch.setattr(records, "find_int8", lambda *_, g=graph: (Path(), g))
        files.append(feature_cache.path(squeezenet))
    assert files[0] != files[1]


@pytest.mark.slow
def test_another_recipe_gives_its_own_features(
    squeezenet: Classifier, weight_file: Path, photographs: list[str], warm: Path
) -> None:
    padded = Classifier("squeezenet_v1.1", weights=weight_file, fit="crop")
    one, _ = compute(squeezenet, photographs)
    other, counts = compute(padded, photographs)
    assert counts == (0, 12)
    assert not same(one, other)


def test_what_is_known_of_a_picture_that_is_too_large_is_not_used(
    squeezenet: Classifier, empty: Path, photographs: list[str]
) -> None:
    compute(squeezenet, photographs[:1])
    squeezenet.max_pixels = 90 * 90 - 1
    with feature_cache.open_features(squeezenet) as found:
        ((_, response),) = found.responses(photographs[:1])
    assert isinstance(response.values, Failure)
    assert response.values.kind == "too-large"


@pytest.mark.slow
def test_a_run_does_not_hold_up_another_while_it_waits(
    squeezenet: Classifier, empty: Path, photographs: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    one, other = Features(squeezenet), Features(squeezenet)
    waits = one.responses(photographs[:6])
    next(waits)
    start = time.monotonic()
    list(other.responses(photographs[6:]))
    other.close()
    assert time.monotonic() - start < feature_cache.PATIENCE / 2
    list(waits)
    one.close()
    assert caplog.records == []
    assert compute(squeezenet, photographs)[1] == (12, 0)


@pytest.mark.slow
def test_it_may_be_used_from_several_threads(
    squeezenet: Classifier, empty: Path, photographs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feature_cache, "COMMIT", 0.01)
    right, found, results = plain(squeezenet, photographs), Features(squeezenet), []

    def work(files: list[str]) -> None:
        results.append(arrays(found.responses(files))[:: 1 if files == photographs else -1])

    threads = [threading.Thread(target=work, args=(photographs[::step],)) for step in (1, -1) * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found.close()
    assert found.known + found.computed == 6 * 12
    assert found.computed >= 12
    assert len(results) == 6
    assert all(same(one, right) for one in results)
    assert compute(squeezenet, photographs)[1] == (12, 0)


def start(weight_file: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", RUN, str(weight_file)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


@pytest.fixture
def many(tmp_path: Path) -> Iterator[list[str]]:
    """Names of pictures without end, each different from the others."""
    (tmp_path / "many").mkdir()

    def names() -> Iterator[str]:
        for number in range(10_000):
            file = tmp_path / "many" / f"{number:04}.png"
            colour = (number % 256, number // 256, 77)
            Image.new("RGB", (20, 20), colour).save(file)
            yield str(file)

    return names()  # type: ignore[return-value]


@pytest.mark.slow
def test_a_killed_run_keeps_what_it_committed(
    squeezenet: Classifier, weight_file: Path, warm: Path, many: Iterator[str]
) -> None:
    given = []
    with start(weight_file) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        until = time.monotonic() + 3 * feature_cache.COMMIT
        while time.monotonic() < until:
            given.append(next(many))
            process.stdin.write(given[-1] + "\n")
            process.stdin.flush()
            time.sleep(0.01)
        process.kill()
        done = len(process.stdout.readlines())
    known = compute(squeezenet, given)[1][0]
    assert known >= done / 3  # two seconds of three, and what was still in the pipe
    assert compute(squeezenet, given)[1] == (len(given), 0)


@pytest.mark.slow
def test_two_processes_at_once_keep_what_both_compute(
    squeezenet: Classifier, weight_file: Path, warm: Path, many: Iterator[str]
) -> None:
    given = [next(many) for _ in range(300)]
    processes = [start(weight_file) for _ in range(2)]
    said = []
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    halves = given[:200], given[100:]
    work = [
        threading.Thread(target=lambda p, names: said.append(p.communicate("\n".join(names))[0]),
                         args=(process, names))
        for process, names in zip(processes, halves, strict=True)
    ]  # fmt: skip
    for one in work:
        one.start()
    for one in work:
        one.join()
    for text in said:
        *names, counts = text.splitlines()
        assert len(names) == 200  # and no warning among them
        assert sum(map(int, counts.split())) == 200
    assert compute(squeezenet, given)[1] == (300, 0)


def test_what_is_used_is_not_deleted_as_unused(
    squeezenet: Classifier, empty: Path, photographs: list[str]
) -> None:
    compute(squeezenet, photographs[:1])
    long_ago = time.time() - (blobs.UNUSED_DAYS + 1) * 86_400
    os.utime(empty, (long_ago, long_ago))
    assert compute(squeezenet, photographs[:1])[1] == (1, 0)
    blobs.remove_unused(keep=empty.with_name("another.blob"))
    assert empty.exists()
    os.utime(empty, (long_ago, long_ago))
    blobs.remove_unused(keep=empty.with_name("another.blob"))
    assert not empty.exists()


@pytest.mark.slow
def test_they_are_the_features_of_the_keras_model(
    warm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from topfive.engines import keras_engine, keras_models

    classifier = Classifier()
    files = [str(PHOTOGRAPHS[name]) for name in ("cat", "coffee", "camera", "flower")]
    found, _ = compute(classifier, files)
    # The same classifier, but for what answers.
    model = keras_models.build(classifier.network, weights.path(classifier.network))
    monkeypatch.setattr(classifier, "_run", keras_engine.run_of(model))
    expected = plain(classifier, files)
    assert np.abs(expected).max() > 1
    tolerance = 1e-4 * float(np.abs(expected).max())
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=tolerance)
