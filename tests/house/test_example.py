"""The example picture is drawn by our own script, and the default network knows what it is."""

from __future__ import annotations

import runpy
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import ROOT
from topfive import Classifier
from topfive.pictures import decoding

PICTURE = ROOT / "examples" / "soccer_ball.jpg"
SIZES = ((1024, 768), (2048, 1536), (640, 480), (320, 240), (224, 168), (500, 500))


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    """What the script defines, without its command line."""
    return runpy.run_path(str(ROOT / "scripts" / "draw_soccer_ball.py"))


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("recipe", ["default", "tutorial"])
def test_the_default_network_calls_the_example_a_soccer_ball(
    warm: Path, recipe: str, size: tuple[int, int]
) -> None:
    classifier = Classifier(recipe=recipe)
    picture = classifier.decode(str(PICTURE)).resize(size, Image.Resampling.BICUBIC)
    best = classifier.classify(picture).predictions[0]
    assert best.label == "soccer_ball"
    assert best.probability > 0.3


def test_the_example_is_small() -> None:
    assert PICTURE.stat().st_size < 150_000
    assert decoding.decode(PICTURE.read_bytes())[0].size == (1024, 768)


@pytest.mark.slow
def test_the_script_draws_the_example(script: dict[str, Any]) -> None:
    committed = np.asarray(decoding.decode(PICTURE.read_bytes())[0], np.float64)
    drawn = np.asarray(script["draw"](), np.float64)
    difference = np.abs(committed - drawn)
    # JPEG's own loss is 2.1 on the mean; another seed's lawn makes it 7.5.
    assert difference.mean() < 4
    assert (difference > 60).mean() < 0.001


@pytest.mark.slow
def test_another_seed_grows_another_lawn_around_the_same_ball(script: dict[str, Any]) -> None:
    one, same, other = (np.asarray(script["draw"](128, 96, seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    ball = np.s_[25:50, 50:78]
    np.testing.assert_array_equal(one[ball], other[ball])
    assert (one[80:] != other[80:]).mean() > 0.5


def test_the_ball_is_a_truncated_icosahedron(script: dict[str, Any]) -> None:
    normals, pentagon = script["truncated_icosahedron"]()
    assert (len(normals), int(pentagon.sum())) == (32, 12)
    distances = 1 / np.linalg.norm(normals, axis=1)
    directions = normals * distances[:, None]
    # In sides, the solid's circumradius is sqrt(58 + 18 sqrt 5) / 4, and that of a face
    # 1 / (2 sin(pi / corners)); a side is a third of the icosahedron's, which is 2.
    radius = np.sqrt(58 + 18 * np.sqrt(5)) / 4
    for corners, kind in ((5, pentagon), (6, ~pentagon)):
        expected = 2 / 3 * np.sqrt(radius**2 - 1 / (2 * np.sin(np.pi / corners)) ** 2)
        np.testing.assert_allclose(distances[kind], expected)
    # Each pentagon lies among five hexagons, each hexagon among three of either kind.
    angles = np.arccos(np.clip(directions @ directions.T, -1, 1))
    touching = (angles > 0.1) & (angles < 0.8)
    around = Counter(
        (bool(own), int(row[pentagon].sum()), int(row[~pentagon].sum()))
        for own, row in zip(pentagon, touching, strict=True)
    )
    assert around == {(True, 0, 5): 12, (False, 3, 3): 20}
