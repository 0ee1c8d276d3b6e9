"""The label on the picture, the file, the window."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageGrab

from topfive.errors import EngineError, PictureError, UsageError
from topfive.pictures import annotate
from topfive.pictures.window import show
from topfive.results import Classification, Prediction


def answer(label: str = "soccer_ball") -> Classification:
    return Classification("x", (Prediction(0, "n0", label, 0.93432),), "vgg16", "r")


def letters(drawn: Image.Image) -> np.ndarray:
    """Where the label's letters are: white on the plate."""
    return np.argwhere(np.asarray(drawn.convert("L")) > 250)


@pytest.mark.slow
@pytest.mark.parametrize("width", [200, 640, 8000])
@pytest.mark.parametrize("colour", ["black", "white"])
def test_the_label_can_be_read_at_every_width_on_light_and_dark(width: int, colour: str) -> None:
    picture = Image.new("RGB", (width, width * 3 // 4), colour)
    drawn = annotate.draw(picture, answer())
    assert drawn.size == picture.size
    found = letters(annotate.draw(Image.new("RGB", picture.size), answer()))
    top, left = found.min(axis=0)
    bottom, right = found.max(axis=0)
    assert bottom - top >= 9  # pixels, of a "b" and the descender of a "_"
    assert 1 / 40 < (bottom - top) / picture.height < 1 / 6
    plate = np.asarray(drawn.convert("L"))[top:bottom, left:right]
    # Letters and the plate under them differ as WCAG asks for (4.5 to 1).
    light, dark = plate.max() / 255, np.median(plate) / 255
    assert (light**2.2 + 0.05) / (dark**2.2 + 0.05) > 4.5


def test_a_long_label_is_broken_into_lines_within_the_picture() -> None:
    drawn = annotate.draw(Image.new("RGB", (200, 200)), answer("black_and_gold_garden_spider"))
    found = letters(drawn)
    assert found[:, 1].max() < 200 - 5
    assert np.ptp(found[:, 0]) > 26


def test_a_small_picture_is_enlarged() -> None:
    assert annotate.draw(Image.new("RGB", (20, 10)), answer()).size == (200, 100)


def test_the_picture_itself_stays_as_it_is() -> None:
    picture = Image.new("RGB", (300, 300))
    annotate.draw(picture, answer())
    assert picture.getbbox() is None


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(
    width=st.integers(1, 900), height=st.integers(1, 900), label=st.text(min_size=1, max_size=60)
)
def test_any_size_and_label_can_be_drawn(width: int, height: int, label: str) -> None:
    annotate.draw(Image.new("RGB", (width, height)), answer(label))


@pytest.mark.parametrize("name", ["out.jpg", "out.PNG", "out.webp"])
def test_saving_goes_by_the_name(tmp_path: Path, name: str) -> None:
    file = annotate.save(Image.new("RGB", (30, 20)), "x.png", tmp_path / name, set())
    assert file == tmp_path / name
    with Image.open(file) as saved:
        assert saved.size == (30, 20)
    assert [entry.name for entry in tmp_path.iterdir()] == [name]
    mask = os.umask(0)
    os.umask(mask)
    assert file.stat().st_mode & 0o777 == 0o666 & ~mask


def test_several_go_into_a_folder_under_their_names(tmp_path: Path) -> None:
    taken: set[Path] = set()
    sources = ["a/x.png", "b/x.gif", "-", "http://h/../%2e%2e/ev/il.jpg?q=/../..", "/", "..", "/é"]
    saved = [
        annotate.save(Image.new("RGB", (9, 9)), source, tmp_path / "new" / "out", taken)
        for source in sources
    ]
    assert [file.name for file in saved[:3]] == ["x.jpg", "x-2.jpg", "stdin.jpg"]
    assert len(set(saved)) == len(sources)
    assert {file.parent for file in saved} == {tmp_path / "new" / "out"}
    assert all(file.is_file() for file in saved)


def test_the_picture_itself_is_never_overwritten(tmp_path: Path) -> None:
    source = tmp_path / "x.jpg"
    Image.new("RGB", (9, 9)).save(source)
    before = source.read_bytes()
    for force in (False, True):
        with pytest.raises(PictureError, match="is the picture itself"):
            annotate.save(Image.new("RGB", (9, 9), "red"), str(source), source, set(), force)
        saved = annotate.save(Image.new("RGB", (9, 9)), str(source), tmp_path, set(), force)
        assert saved == tmp_path / "x-2.jpg"
    assert source.read_bytes() == before


def test_what_cannot_be_written_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PictureError, match="cannot write"):
        annotate.save(Image.new("RGB", (9, 9)), "x", tmp_path / "file" / "out.jpg", set())
    with pytest.raises(PictureError, match="cannot write"):
        annotate.save(Image.new("RGB", (9, 9)), "x", tmp_path / "absent" / "out.jpg", set())
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("name", "several"), [("out.txt", False), ("out", False), ("there.jpg", True)]
)
def test_a_target_that_cannot_be_is_refused_before_any_work(
    tmp_path: Path, name: str, several: bool
) -> None:
    (tmp_path / "there.jpg").touch()
    with pytest.raises(UsageError, match="--save"):
        annotate.check_target(tmp_path / name, several)


def test_a_folder_for_one_picture_is_fine(tmp_path: Path) -> None:
    annotate.check_target(tmp_path, several=False)


def test_no_screen_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(EngineError, match="cannot show pictures"):
        show(Image.new("RGB", (9, 9)), "x")


@pytest.mark.slow
@pytest.mark.parametrize(("key", "goes_on"), [("space", True), ("Escape", False), ("q", False)])
def test_the_window_shows_the_picture_until_a_key(
    screen: str, tmp_path: Path, key: str, goes_on: bool
) -> None:
    code = (
        "from PIL import Image; from topfive.pictures import window\n"
        "print(window.show(Image.new('RGB', (5000, 4000), (200, 30, 40)), 'my picture'))"
    )
    environment = {**os.environ, "DISPLAY": screen}
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    find = ["xdotool", "search", "--sync", "--name", "my picture"]
    window = subprocess.run(
        find, env=environment, capture_output=True, text=True, check=True, timeout=30
    ).stdout.split()[0]
    shot = np.asarray(ImageGrab.grab(xdisplay=screen).convert("RGB"))
    assert np.all(shot == (200, 30, 40), axis=2).mean() > 0.3
    subprocess.run(
        ["xdotool", "windowfocus", "--sync", window, "key", key],  # noqa: S607
        env=environment,
        check=True,
    )
    assert process.communicate(timeout=30) == (f"{goes_on}\n", "")


@pytest.mark.slow
def test_ctrl_c_closes_the_window(screen: str) -> None:
    code = (
        "from PIL import Image; from topfive.pictures import window\n"
        "window.show(Image.new('RGB', (50, 40)), 'interrupted picture')"
    )
    environment = {**os.environ, "DISPLAY": screen}
    process = subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stderr=subprocess.PIPE, text=True
    )
    find = ["xdotool", "search", "--sync", "--name", "interrupted picture"]
    subprocess.run(find, env=environment, capture_output=True, check=True, timeout=30)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=10)[1].strip().endswith("KeyboardInterrupt")
