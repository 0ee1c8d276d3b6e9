"""What was measured of a network stays with it, whole, and is never taken for another's."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from topfive.errors import OutputError, UsageError
from topfive.networks import records
from topfive.networks.published import NETWORKS

KEY = ("resnet50", "md5:1")


def test_an_entry_is_found_again_and_the_others_stay() -> None:
    assert records.read(*KEY) == {}
    first = records.update(*KEY, records.PRECISIONS, "bf16", {"agreement": 0.99})
    records.update(*KEY, records.CALIBRATIONS, "f32 crop", {"temperature": 1.5})
    second = records.update(*KEY, records.PRECISIONS, "int8", {"agreement": 0.97})
    assert first == second == records.path(*KEY)
    assert records.read(*KEY) == {
        "network": "resnet50",
        "weights": "md5:1",
        "precisions": {"bf16": {"agreement": 0.99}, "int8": {"agreement": 0.97}},
        "calibrations": {"f32 crop": {"temperature": 1.5}},
    }
    records.update(*KEY, records.PRECISIONS, "bf16", None)
    assert list(records.read(*KEY)["precisions"]) == ["int8"]


def test_other_weights_have_a_record_of_their_own() -> None:
    records.update(*KEY, records.PRECISIONS, "bf16", {})
    assert records.read("resnet50", "md5:2") == {}
    assert records.read("resnet101", "md5:1") == {}


def test_a_strange_name_stays_in_the_folder() -> None:
    assert records.path("../../x/y", "md5:1").parent == records.folder()


@pytest.mark.slow
def test_many_at_once_lose_nothing() -> None:
    def add(number: int) -> None:
        records.update(*KEY, records.PRECISIONS, str(number), {"n": number})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(40)))
    assert len(records.read(*KEY)["precisions"]) == 40
    leftovers = {file.suffix for file in records.folder().iterdir()}
    assert leftovers <= {".json", ".lock"}


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"precisions": 3}', '{"calibrations": []}'])
def test_a_damaged_record_is_said_and_taken_for_empty(
    text: str, caplog: pytest.LogCaptureFixture
) -> None:
    records.folder().mkdir()
    records.path(*KEY).write_text(text, "utf-8")
    with caplog.at_level(logging.WARNING, "topfive"):
        assert records.read(*KEY) == {}
    assert str(records.path(*KEY)) in caplog.text


def test_a_record_that_cannot_be_written_is_an_error_and_the_old_one_stays(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOPFIVE_DATA", str(small_disk))
    records.update(*KEY, records.PRECISIONS, "bf16", {"agreement": 1})
    (small_disk / "full").write_bytes(bytes(2**20 - 12288))
    with pytest.raises(OutputError, match="the disk is full"):
        records.update(*KEY, records.PRECISIONS, "int8", {"scores": list(range(100_000))})
    assert list(records.read(*KEY)["precisions"]) == ["bf16"]


@pytest.mark.parametrize(
    "entry",
    [{}, {"graph": "g", "sha256": "x"}, {"graph": "../g", "sha256": ["a", "b"]},
     {"graph": ".", "sha256": ["a", "b"]}, {"graph": 3, "sha256": ["a", "b"]},
     {"graph": "g", "sha256": ["a"]}, ["graph"], 3],
)  # fmt: skip
def test_a_damaged_or_hostile_graph_entry_is_refused(entry: Any) -> None:
    with pytest.raises(UsageError, match=r"no resnet50 in 8 bits .*topfive quantize FOLDER"):
        records.find_int8(NETWORKS[KEY[0]], KEY[1])
    records.update(*KEY, records.PRECISIONS, "int8", entry)
    with pytest.raises(UsageError, match="is damaged: topfive quantize FOLDER --model resnet50"):
        records.find_int8(NETWORKS[KEY[0]], KEY[1])


def test_the_graph_in_8_bits_is_found() -> None:
    entry = {"graph": "resnet50-int8-1", "sha256": ["sha256:a", "sha256:b"]}
    records.update(*KEY, records.PRECISIONS, "int8", entry)
    folder, hashes = records.find_int8(NETWORKS[KEY[0]], KEY[1])
    assert folder == records.folder() / "resnet50-int8-1"
    assert hashes == ("sha256:a", "sha256:b")
