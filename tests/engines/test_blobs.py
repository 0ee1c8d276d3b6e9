"""Compiled networks on disk."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from topfive.engines import blobs
from topfive.engines.blobs import Target
from topfive.networks.published import NETWORKS

BLOB = bytes(range(256)) * 100
KEY = {"network": {"name": "n", "scale": (1.0, 2.0)}, "precision": "f32"}


def write(file: Path, identity: blobs.Key = KEY) -> None:
    with blobs.writing(file, identity) as stream:
        # As OpenVINO does it: in pieces, one of which is put right later.
        stream.write(BLOB[:1000])
        place = stream.seek(0, os.SEEK_CUR)
        stream.write(bytes(8))
        stream.write(BLOB[1008:])
        end = stream.seek(0, os.SEEK_CUR)
        stream.seek(place)
        stream.write(BLOB[place : place + 8])
        stream.seek(end)


def read(file: Path) -> memoryview | None:
    return blobs.Reading(KEY, file).blob()


def test_a_blob_comes_back_as_it_was_written(tmp_path: Path) -> None:
    write(tmp_path / "b")
    found = read(tmp_path / "b")
    assert found is not None
    assert bytes(found) == BLOB


def test_a_blob_starts_at_a_page_of_the_file(tmp_path: Path) -> None:
    write(tmp_path / "b")
    assert (tmp_path / "b").read_bytes().index(BLOB) % 4096 == 0


def test_no_file_is_no_blob(tmp_path: Path) -> None:
    assert read(tmp_path / "b") is None


def test_a_blob_of_another_key_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "b")
    with pytest.raises(blobs.DamagedBlobError, match="something else"):
        blobs.Reading({**KEY, "precision": "int8"}, tmp_path / "b").blob()


@pytest.mark.parametrize("content", [b"", b"x", b"PK\x03\x04" * 5000, bytes(10_000)])
def test_a_foreign_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "b").write_bytes(content)
    with pytest.raises(blobs.DamagedBlobError):
        read(tmp_path / "b")


@given(place=st.integers(0, 10**9), bit=st.integers(0, 7))
def test_any_flipped_bit_is_noticed_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, place: int, bit: int
) -> None:
    file = tmp_path_factory.mktemp("flip") / "b"
    write(file)
    content = bytearray(file.read_bytes())
    content[place % len(content)] ^= 1 << bit
    file.write_bytes(content)
    try:
        found = read(file)
    except blobs.DamagedBlobError:
        return
    # Only the zeros between the header and the blob may change unnoticed.
    assert found is not None
    assert bytes(found) == BLOB


@given(length=st.integers(0, 4096 + len(BLOB) - 1))
def test_any_cut_is_noticed(tmp_path_factory: pytest.TempPathFactory, length: int) -> None:
    file = tmp_path_factory.mktemp("cut") / "b"
    write(file)
    os.truncate(file, length)
    with pytest.raises(blobs.DamagedBlobError):
        read(file)


def test_every_part_of_the_identity_makes_another_file() -> None:
    card = NETWORKS["vgg16"]
    identities = [
        blobs.identity(card, "md5:1", Target()),
        blobs.identity(card, "md5:2", Target()),
        blobs.identity(card, "md5:1", Target("GPU")),
        blobs.identity(replace(card, size=225), "md5:1", Target()),
        blobs.identity(replace(card, scaling=NETWORKS["xception"].scaling), "md5:1", Target()),
        blobs.identity(NETWORKS["vgg19"], "md5:1", Target()),
        blobs.identity(card, "md5:1", Target(throughput=True)),
        blobs.identity(card, "md5:1", Target(precision="bf16")),
        blobs.identity(card, "md5:1", Target(precision="int8", graph=("sha256:1", "sha256:2"))),
        blobs.identity(card, "md5:1", Target(precision="int8", graph=("sha256:1", "sha256:3"))),
    ]
    assert len({blobs.path(identity) for identity in identities}) == len(identities)


@pytest.mark.parametrize("name", NETWORKS)
def test_only_large_dense_layers_have_a_second_file_for_throughput(name: str) -> None:
    one, many = (
        blobs.identity(NETWORKS[name], "md5:1", Target(throughput=many)) for many in (False, True)
    )
    assert (blobs.path(one) == blobs.path(many)) == (name not in ("vgg16", "vgg19"))
    assert not many["dense_in_place"]


def test_a_blob_of_another_conversion_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    identity = blobs.identity(NETWORKS["resnet50"], "md5:1", Target())
    blobs.folder().mkdir()
    write(blobs.path(identity), identity)
    assert blobs.is_current(identity)
    monkeypatch.setattr(blobs, "CONVERSION", blobs.CONVERSION + 1)
    assert not blobs.is_current(identity)
    with pytest.raises(blobs.DamagedBlobError, match="something else"):
        blobs.Reading(identity).blob()


def test_what_was_read_ahead_is_not_found_for_throughput_where_that_differs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(blobs, "_ahead", {})
    for name, shared in (("vgg16", False), ("resnet50", True)):
        card = NETWORKS[name]
        blobs.read_ahead(card, None, "openvino", None, "f32")
        (ahead,) = blobs._ahead.values()
        assert (blobs.find(card, None, Target(throughput=True)) is ahead) == shared
        blobs._ahead.clear()


def test_the_published_accuracy_is_no_part_of_the_identity() -> None:
    card = NETWORKS["vgg16"]
    corrected = replace(card, top1=1.0)
    assert blobs.identity(card, "md5:1", Target()) == blobs.identity(corrected, "md5:1", Target())


@pytest.mark.parametrize("version", ["topfive.engines.blobs.__version__", "openvino.get_version"])
def test_a_blob_of_another_version_is_not_used(
    tmp_path: Path, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = blobs.identity(NETWORKS["vgg16"], "md5:1", Target())
    write(tmp_path / "b", identity)
    other = (lambda: "0.0.1") if version.endswith("get_version") else "0.0.1"
    monkeypatch.setattr(version, other)
    with pytest.raises(blobs.DamagedBlobError, match="something else"):
        blobs.Reading(identity, tmp_path / "b").blob()


def test_what_was_read_ahead_is_found_once(
    weight_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blobs, "_ahead", {})
    card = NETWORKS["vgg16"]
    blobs.read_ahead(card, None, "openvino", None, "f32")
    ((_, ahead),) = blobs._ahead.items()
    assert blobs.find(card, weight_file, Target()) is not ahead
    assert blobs.find(card, None, Target()) is ahead
    assert blobs.find(card, None, Target()) is not ahead


def test_what_was_long_unused_is_removed_and_the_rest_stays(tmp_path: Path) -> None:
    old, used, kept = (tmp_path / f"{name}.blob" for name in ("old", "used", "kept"))
    left = tmp_path / f"{blobs.WORK}killed" / "graph.bin"
    left.parent.mkdir()
    for file in (old, used, kept, left):
        file.write_bytes(b"x")
    long_ago = time.time() - 31 * 86_400
    for file in (old, kept, left):
        os.utime(file, (long_ago, long_ago))
    blobs.remove_unused(keep=kept)
    assert [file.exists() for file in (old, used, kept, left)] == [False, True, True, False]


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOPFIVE_CACHE", "/somewhere")
    assert blobs.folder() == Path("/somewhere")
    monkeypatch.delenv("TOPFIVE_CACHE")
    assert blobs.folder().name == "topfive"
