"""Contact sheets, as pictures: where what stands."""

from __future__ import annotations

import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from tests.support import judged
from topfive.evaluation import review
from topfive.pictures import contact_sheets
from topfive.pictures.contact_sheets import FRAME, PAPER, RIGHT, WRONG, sheet

GAP = 320 // 20


def red(width: int = 40, height: int = 30) -> Image.Image:
    return Image.new("RGB", (width, height), "red")


def cell(drawn: Image.Image, column: int, top: int = GAP) -> Image.Image:
    left = GAP + column * (320 + GAP)
    return drawn.crop((left, top, left + 320, drawn.height))


def lines_of(picture: Image.Image) -> int:
    """How many lines of text there are below the frame of a cell."""
    dark = (np.asarray(picture.convert("L"))[240:] < 160).any(axis=1)
    # Letters of one line may have gaps between them (the dot of an i), lines are further apart.
    places = np.flatnonzero(dark)
    return int((np.diff(places) > 5).sum() + 1) if len(places) else 0


def at(picture: Image.Image, x: float, y: float) -> NDArray[np.int64]:
    return np.asarray(picture.getpixel((int(x), int(y))), np.int64)


def test_pictures_stand_in_rows_whole_and_in_their_shape() -> None:
    wide, tall = red(400, 100), Image.new("RGBA", (30, 120), "blue")
    drawn = sheet([(wide, ["a"]), (tall, ["b"]), (red(), ["c"])], columns=2)
    assert drawn.width == GAP + 2 * (320 + GAP)
    first, second = np.asarray(cell(drawn, 0)), np.asarray(cell(drawn, 1))
    assert (first[80:160] == (255, 0, 0)).all(axis=2).sum() == 320 * 80
    assert tuple(first[20, 160]) == FRAME
    assert (second[:240] == (0, 0, 255)).all(axis=2).sum() == 60 * 240
    below = np.asarray(cell(drawn, 0, drawn.height // 2))
    assert ((below == (255, 0, 0)).all(axis=2)).sum() == 320 * 240


def test_a_row_is_as_high_as_its_longest_text() -> None:
    short, long = (sheet([(red(), ["a"] * count)]).height for count in (1, 3))
    assert long - short == 2 * round(1.4 * GAP)
    both = sheet([(red(), ["a"]), (red(), ["a"] * 3)])
    assert both.height == long


def test_a_long_line_is_broken_once_and_stays_in_its_cell() -> None:
    name = "a_picture_" * 40
    drawn = sheet([(red(), [name]), (red(), ["x"])])
    assert lines_of(cell(drawn, 0)) == 2
    # The next cell's first letter may begin a pixel before its place.
    gap = np.asarray(drawn)[:, GAP + 320 : 2 * GAP + 320 - 2]
    assert (gap == PAPER).all()


def test_right_and_wrong_differ_by_shape_not_by_colour_alone() -> None:
    shapes = []
    for mark in (RIGHT, WRONG, ""):
        drawn = cell(sheet([(red(), [f"{mark}robin 93%"])]), 0)
        area = np.asarray(drawn.convert("L"))[240 + GAP // 2 :, :GAP]
        shapes.append(area < 160)
    right, wrong, plain = shapes
    assert right.any()
    assert wrong.any()
    assert (right != wrong).mean() > 0.05
    assert (right != plain).mean() > 0.05
    colours = {tuple(pixel) for pixel in np.asarray(drawn)[240:].reshape(-1, 3)}
    assert contact_sheets.INK in colours


def test_names_that_do_not_print_are_spelled_out() -> None:
    spelled = sheet([(red(), ["a\\nb\\x1b\\u202e"])])
    assert np.array_equal(np.asarray(sheet([(red(), ["a\nb\x1b\u202e"])])), np.asarray(spelled))


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(max_size=500), max_size=3), st.integers(1, 400), st.integers(1, 400),
       st.integers(20, 400))  # fmt: skip
def test_any_text_and_any_picture_can_be_drawn(
    lines: list[str], width: int, height: int, cell_width: int
) -> None:
    drawn = sheet([(Image.new("L", (width, height)), lines)], width=cell_width)
    assert drawn.width > cell_width


def test_no_cells_are_an_empty_sheet() -> None:
    assert np.asarray(sheet([])).min() == 255


def test_a_review_of_several_shows_what_they_disagree_on_most_first(tmp_path: Path) -> None:
    sources = judged.pictures(tmp_path, ["same.jpg", "two.jpg", "three.jpg"])
    compared = judged.comparison(tmp_path, sources, {
        "vgg16": [0, 0, 1], "vgg19": [0, 0, 2], "xception": [0, 3, 0],
    })  # fmt: skip
    drawn = review.review(compared, 12)
    assert drawn.width == GAP + 2 * (320 + GAP)  # they agree on one of the three
    for column, number in ((0, 2), (1, 1)):
        seen = at(drawn, GAP + column * (320 + GAP) + 160, GAP + 120)
        assert abs(seen - judged.colour(number)).max() < 8
    assert lines_of(cell(drawn, 0)) >= 5  # name, truth, three answers
    assert review.review(compared, 1).width == GAP + 320 + GAP


def test_a_review_of_one_network_shows_its_most_confident_errors(tmp_path: Path) -> None:
    sources = judged.pictures(tmp_path, [f"{number}.jpg" for number in range(6)])
    compared = judged.comparison(tmp_path, sources, {"vgg16": [0, 1, 0, 1, 0, 1]})
    drawn = review.review(compared, 2)
    for column, number in ((0, 1), (1, 3)):
        seen = at(drawn, GAP + column * (320 + GAP) + 160, GAP + 120)
        assert abs(seen - judged.colour(number)).max() < 8


def test_a_picture_that_is_gone_is_an_empty_frame(tmp_path: Path) -> None:
    sources = judged.pictures(tmp_path, ["a.jpg"])
    (tmp_path / "a.jpg").unlink()
    compared = judged.comparison(tmp_path, sources, {"vgg16": [1]})
    drawn = review.review(compared, 1)
    assert tuple(at(drawn, GAP + 3, GAP + 3)) == FRAME


@pytest.mark.parametrize("name", ["-", "http://127.0.0.1:9/a.jpg", "", "x\0y", "y" * 5000])
def test_a_name_leads_to_files_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr(sys, "stdin", None)
    (drawn,) = contact_sheets.thumbnails([name], 100).values()
    assert drawn.getpixel((2, 2)) == FRAME


@pytest.mark.parametrize("form", ["zip", "tar", "tar.gz"])
def test_pictures_in_archives_are_found_again(tmp_path: Path, form: str) -> None:
    judged.pictures(tmp_path / "in", ["a.jpg", "b.jpg", "c.jpg"])
    archive = tmp_path / f"all.{form}"
    if form == "zip":
        with zipfile.ZipFile(archive, "w") as packed:
            for file in (tmp_path / "in").iterdir():
                packed.write(file, f"deep/{file.name}")
    else:
        with tarfile.open(archive, "w:gz" if form == "tar.gz" else "w") as tar:
            tar.add(tmp_path / "in", "deep")
    names = [f"{archive}/deep/{name}" for name in ("c.jpg", "a.jpg", "none.jpg")]
    found = contact_sheets.thumbnails(names, 64)
    assert list(found) == names
    for name, number in zip(names, (2, 0), strict=False):
        assert abs(at(found[name], 30, 20) - judged.colour(number)).max() < 8
    assert found[names[2]].getpixel((2, 2)) == FRAME


def test_a_thumbnail_is_small_upright_and_whole(tmp_path: Path) -> None:
    file = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    red(800, 400).save(file, exif=exif)
    (found,) = contact_sheets.thumbnails([str(file)], 200).values()
    assert found.size == (100, 200)
    (refused,) = contact_sheets.thumbnails([str(file)], 200, max_pixels=1000).values()
    assert refused.getpixel((2, 2)) == FRAME
