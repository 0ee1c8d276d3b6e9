"""From a source to the network's square, and what a row says of the source."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.support import pictures
from topfive.errors import PictureError
from topfive.networks.cards import Recipe, choose_recipe
from topfive.networks.published import NETWORKS
from topfive.pictures import decoding, preparation, squares
from topfive.pictures.preparation import Prepared
from topfive.sources.source import MAX_PIXELS, Source, from_object
from topfive.system import memory

RECIPE = Recipe("crop", "bicubic", 40)
PNG = pictures.encode(pictures.colours(), "PNG")


def prepare(content: Any, recipe: Recipe = RECIPE, draft: bool = False) -> Prepared:
    source = from_object(content)
    prepared = preparation.prepare(source, 32, recipe, MAX_PIXELS, draft)
    assert prepared.source is source
    assert prepared.seconds > 0
    return prepared


def square(prepared: Prepared) -> NDArray[np.uint8]:
    assert isinstance(prepared.square, np.ndarray)
    return prepared.square


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def test_a_file_has_its_square_its_hash_and_its_size(tmp_path: Path) -> None:
    file = tmp_path / "picture.png"
    file.write_bytes(PNG)
    prepared = prepare(file)
    expected = squares.fit(decoding.decode(PNG)[0], 32, RECIPE)
    assert np.array_equal(square(prepared), expected)
    assert prepared.sha256 == hashlib.sha256(PNG).hexdigest()
    assert (prepared.width, prepared.height) == (64, 48)


@pytest.mark.slow
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("draft", [False, True])
@pytest.mark.parametrize("size", [(64, 48), (1600, 1200), (1200, 1200)])
def test_width_and_height_are_the_upright_whole_pictures(
    orientation: int, draft: bool, size: tuple[int, int]
) -> None:
    data = pictures.encode(pictures.colours(*size), "JPEG", exif=turned(orientation))
    prepared = prepare(data, draft=draft)
    upright = size if orientation < 5 else size[::-1]
    assert (prepared.width, prepared.height) == upright
    whole = square(prepare(data)).astype(int)
    assert np.abs(square(prepared) - whole).max() <= 8


def test_the_tutorials_recipe_names_the_size_that_it_sees() -> None:
    data = pictures.encode(pictures.colours(), "JPEG", exif=turned(6))
    recipe = choose_recipe(NETWORKS["vgg16"], "tutorial")
    prepared = prepare(data, recipe)
    assert (prepared.width, prepared.height) == (64, 48)
    expected = squares.fit(decoding.decode(data, keras=True)[0], 32, recipe)
    assert np.array_equal(square(prepared), expected)


@pytest.mark.parametrize(
    "content", [Image.new("RGB", (7, 5)), np.zeros((5, 7, 3), np.uint8)], ids=["Pillow", "array"]
)
def test_what_has_no_bytes_has_no_hash(content: Any) -> None:
    prepared = prepare(content)
    assert prepared.sha256 is None
    assert (prepared.width, prepared.height) == (7, 5)


@pytest.mark.parametrize(
    ("content", "kind"),
    [(b"", "empty"), (b"hello", "not-a-picture"), (PNG[:-40], "broken")],
    ids=["empty", "text", "cut"],
)
def test_bytes_that_are_no_picture_have_their_hash_all_the_same(content: bytes, kind: str) -> None:
    prepared = prepare(content)
    assert isinstance(prepared.square, PictureError)
    assert prepared.square.kind == kind
    assert prepared.sha256 == hashlib.sha256(content).hexdigest()
    assert (prepared.width, prepared.height) == (None, None)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ("nowhere.jpg", "missing"),
        (Source("folder", PictureError("missing", "no file in this folder")), "missing"),
        (3, "unsupported"),
    ],
    ids=["no file", "an error", "a number"],
)
def test_what_cannot_be_read_is_an_error_in_the_squares_place(content: Any, kind: str) -> None:
    prepared = prepare(content)
    assert isinstance(prepared.square, PictureError)
    assert prepared.square.kind == kind
    assert prepared.sha256 is None


def test_an_error_that_is_no_pictures_is_not_caught() -> None:
    class Faulty(os.PathLike[str]):
        def __fspath__(self) -> str:
            raise RuntimeError("a fault of ours")

    with pytest.raises(RuntimeError, match="a fault of ours"):
        prepare(Source("faulty", Faulty()))


def test_only_a_draft_is_decoded_at_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    data = pictures.encode(pictures.colours(1600, 1200), "JPEG")
    seen: list[tuple[int, int]] = []
    fit = squares.fit

    def note(picture: Image.Image, size: int, recipe: Recipe) -> NDArray[np.uint8]:
        seen.append(picture.size)
        return fit(picture, size, recipe)

    monkeypatch.setattr("topfive.pictures.squares.fit", note)
    prepare(data)
    prepare(data, draft=True)
    assert seen == [(1600, 1200), (400, 300)]


def test_a_failure_holds_nothing_of_what_was_read(tmp_path: Path) -> None:
    file = tmp_path / "large.jpg"
    file.write_bytes(bytes(50_000_000))
    memory.reset_peak()
    before = memory.peak()
    failures = [prepare(file) for _ in range(6)]
    assert {str(one.square) for one in failures} == {
        "not a picture in any format that topfive reads"
    }
    assert all(isinstance(one.square, PictureError) for one in failures)
    assert all(getattr(one.square, "__traceback__", 0) is None for one in failures)
    if sys.platform == "linux":
        assert memory.peak() - before < 120_000_000


def test_what_waits_for_room_does_not_count_as_spent(monkeypatch: pytest.MonkeyPatch) -> None:
    budget = memory.Budget(1, 1)
    monkeypatch.setattr(memory, "PICTURES", budget)
    with ThreadPoolExecutor(1) as pool:
        with budget.claim() as claim:
            claim.take_for_making(1)
            waiting = pool.submit(prepare, PNG)
            time.sleep(0.5)
            assert not waiting.done()
        assert waiting.result().seconds < 0.4
