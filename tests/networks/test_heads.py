"""The layer that tells a taught network's classes, as a file that is not trusted."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.networks.test_taught_folders import BACKBONE
from tests.support import taught
from topfive.errors import WeightsError
from topfive.networks import heads, taught_folders
from topfive.networks.cards import Network
from topfive.networks.taught_cards import CardFile, TaughtCard

HEAD = taught.made_up_head(3)


def write(folder: Path, content: bytes) -> Network:
    """Write a network whose head is what these bytes are, with their right hash."""
    card = TaughtCard(
        name="pets",
        backbone=BACKBONE.name,
        classes=taught.CLASSES,
        weights=CardFile(None, str(BACKBONE.weights.checksum), None),
        recipe=BACKBONE.recipe,
        parameters=1,
    )
    return taught_folders.write(folder, card, {"head": (".npy", lambda f: f.write_bytes(content))})


def npy(array: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def npz() -> bytes:
    file = io.BytesIO()
    np.savez(file, HEAD)
    return file.getvalue()


def test_a_head_comes_back_as_it_was_written(tmp_path: Path) -> None:
    heads.write(np.asfortranarray(HEAD.astype(">f4")), tmp_path / "head.npy")
    network = write(tmp_path / "pets", (tmp_path / "head.npy").read_bytes())
    found = heads.read(network, taught.FEATURES)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, HEAD)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (npy(HEAD[:-1]), r"expected float32 \(513, 3\), received float32 \(512, 3\)"),
        (npy(HEAD[:, :2]), r"received float32 \(513, 2\)"),
        (npy(HEAD.ravel()), r"received float32 \(1539,\)"),
        (npy(HEAD.astype(np.float64)), r"received float64 \(513, 3\)"),
        (npy(np.full_like(HEAD, np.nan)), "not finite numbers"),
        (npy(np.where(np.arange(3) == 1, np.inf, HEAD).astype(np.float32)), "not finite numbers"),
        (npy(np.array([{}], object), allow_pickle=True), "cannot read"),
        (npz(), "cannot read"),
        (npy(HEAD)[:-1], "cannot read"),
        (npy(HEAD)[:20], "cannot read"),
        (b"", "cannot read"),
        (b"\x93NUMPY\x01\x00\x10\x00{'descr': '('}  \n", "cannot read"),
    ],
)
def test_a_file_that_is_no_head_of_this_network_is_refused(
    tmp_path: Path, content: bytes, said: str
) -> None:
    network = write(tmp_path / "pets", content)
    with pytest.raises(WeightsError, match=said) as caught:
        heads.read(network, taught.FEATURES)
    assert "\n" not in str(caught.value)
    assert str(tmp_path / "pets") in str(caught.value)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda file: file.write_bytes(npy(HEAD + 1)), "teach it again"),
        (Path.unlink, "No such file"),
        (lambda file: file.rename(file.with_name("x")) and file.mkdir(), "cannot"),
    ],
)
def test_a_head_that_changed_or_is_gone_is_said(
    tmp_path: Path, damage: Callable[[Path], Any], said: str
) -> None:
    network = write(tmp_path / "pets", npy(HEAD))
    damage(taught_folders.head_file(network)[0])
    with pytest.raises(WeightsError, match=said):
        heads.read(network, taught.FEATURES)
