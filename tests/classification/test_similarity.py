"""The nearest pictures."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from topfive.classification import outputs, similarity
from topfive.classification.feature_formats import Block, Entry
from topfive.classification.similarity import Match, Matches, Query, Result, nearest
from topfive.errors import UsageError
from topfive.results import Failure

ORIGIN = ("squeezenet", "sha256:0", "stretch-bicubic", "f32")


def entry(number: int, error: str | None = None) -> Entry:
    return Entry(f"{number}.jpg", f"hash {number}", 4, 3, *ORIGIN, error, error)


def blocks(features: NDArray[np.float32], length: int) -> list[Block]:
    """Return rows in blocks of a length."""
    return [
        Block(list(map(entry, range(first, min(len(features), first + length)))),
              features[first : first + length])
        for first in range(0, len(features), length)
    ]  # fmt: skip


def query(features: NDArray[np.float32], sha256: str | None = None) -> Query:
    return Query("asked.jpg", sha256, features)


def names(found: Matches) -> list[str]:
    return [match.source for match in found.matches]


def random(rows: int, size: int, seed: int = 3) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(0, 1, (rows, size)).astype(np.float32)


@pytest.mark.parametrize("length", [1, 7, 64, 1000])
def test_they_are_those_of_the_whole_matrix_in_float64(length: int) -> None:
    features, asked = random(500, 33), random(3, 33, seed=4)
    found = nearest([query(one) for one in asked], blocks(features, length), 20)
    wide, ask = features.astype(float), asked.astype(float)
    cosines = (wide @ ask.T) / np.linalg.norm(wide, axis=1)[:, None] / np.linalg.norm(ask, axis=1)
    for number, one in enumerate(found):
        expected = np.argsort(-cosines[:, number])[:20]
        assert names(one) == [f"{row}.jpg" for row in expected]
        told = [match.similarity for match in one.matches]
        np.testing.assert_allclose(told, cosines[expected, number], atol=1e-6)


@pytest.mark.parametrize("length", [1, 5, 8, 300])
def test_of_equally_alike_ones_the_earlier_comes_first(length: int) -> None:
    one, features = random(1, 509)[0], random(300, 509, seed=5)
    places = [3, 4, 90, 151, 299]
    features[places] = one
    (found,) = nearest([query(random(1, 509, seed=6)[0])], blocks(features, length), 300)
    ranks = [names(found).index(f"{place}.jpg") for place in places]
    assert ranks == list(range(ranks[0], ranks[0] + 5))
    assert len({found.matches[rank].similarity for rank in ranks}) == 1


def test_the_same_bytes_are_said_to_be_the_same_picture_and_only_these() -> None:
    features = random(6, 8)
    features[4] = features[2]
    (found,) = nearest([query(features[2], "hash 4")], blocks(features, 3), 6)
    assert names(found)[:2] == ["2.jpg", "4.jpg"]
    assert [match.same for match in found.matches] == [False, True, *[False] * 4]
    assert found.matches[0].similarity == pytest.approx(1, abs=1e-6)
    (found,) = nearest([query(features[2], None)], [Block([entry(0)._replace(sha256=None)],
                                                          features[:1])])  # fmt: skip
    assert not found.matches[0].same


def test_failures_are_passed_over() -> None:
    features = random(4, 8)
    features[1] = np.nan
    block = Block([entry(0), entry(1, "missing"), entry(2), entry(3)], features)
    nothing = Block([entry(4, "missing")], features[1:2])
    (found,) = nearest([query(features[2])], [nothing, block, nothing], 9)
    assert sorted(names(found)) == ["0.jpg", "2.jpg", "3.jpg"]


def test_lengths_do_not_matter_however_large_or_small() -> None:
    one = np.abs(random(1, 64)[0])
    features = np.stack([one * np.float32(scale) for scale in (1e-37, 1e-20, 1, 1e20, 1e37)])
    (found,) = nearest([query(one * np.float32(1e30))], blocks(features, 2))
    told = [match.similarity for match in found.matches]
    np.testing.assert_allclose(told, 1, atol=1e-5)
    assert max(told) <= 1


def test_what_has_no_direction_is_like_nothing() -> None:
    features = np.stack([np.zeros(8, np.float32), np.ones(8, np.float32)])
    (found,) = nearest([query(features[1])], blocks(features, 2))
    assert [(match.source, round(match.similarity, 6)) for match in found.matches] == [
        ("1.jpg", 1), ("0.jpg", 0),
    ]  # fmt: skip
    (found,) = nearest([query(features[0])], blocks(features, 2))
    assert [match.similarity for match in found.matches] == [0, 0]


def test_the_opposite_is_the_last() -> None:
    features = random(3, 8)
    features[1] = -features[0]
    (found,) = nearest([query(features[0])], blocks(features, 2))
    assert names(found)[-1] == "1.jpg"
    assert found.matches[-1].similarity == pytest.approx(-1, abs=1e-6)


def test_another_number_of_features_is_a_clear_error() -> None:
    with pytest.raises(UsageError, match="have 9 features each; expected 8, as the network has"):
        nearest([query(random(1, 8)[0])], blocks(random(3, 9), 2))


def test_no_pictures_are_no_matches() -> None:
    assert nearest([query(random(1, 8)[0])], []) == [Matches("asked.jpg", ())]
    assert nearest([], blocks(random(3, 8), 2)) == []
    with pytest.raises(UsageError, match="at least 1"):
        nearest([query(random(1, 8)[0])], [], 0)


ODD = Match("c\x1b.jpg", None, -0.5, False)
LAST = Matches("d.jpg", (Match("b.jpg", "12", 0.25, False),))
FOUND: list[Result] = [
    Matches("a\n.jpg", (Match("b.jpg", "12", 0.98765432, True), ODD)),
    Failure("bad.jpg", "missing", "no such file"),
    LAST,
]


def text(format: str, results: list[Result], several: bool = True) -> str:
    return "".join(outputs.FORMATS[format](results, similarity.LAYOUT, several))


def test_text_is_a_line_a_match_and_shows_no_escapes() -> None:
    assert text("text", FOUND) == (
        "a\\n.jpg\n1. b.jpg: 0.9877 (the same picture)\n2. c\\x1b.jpg: -0.5000\n"
        "\nd.jpg\n1. b.jpg: 0.2500\n"
    )
    assert text("text", [LAST], several=False) == "1. b.jpg: 0.2500\n"


def test_json_and_csv_say_all() -> None:
    told = json.loads(text("json", FOUND))
    assert [json.loads(line) for line in text("jsonl", FOUND).splitlines()] == told
    assert told[0]["matches"][1] == {
        "source": "c\x1b.jpg", "sha256": None, "similarity": -0.5, "same": False,
    }  # fmt: skip
    assert told[1]["error"] == {"kind": "missing", "message": "no such file"}
    rows = list(csv.reader(io.StringIO(text("csv", FOUND))))
    assert rows == [
        ["source", "rank", "match", "sha256", "similarity", "same", "error_kind", "error"],
        ["a\n.jpg", "1", "b.jpg", "12", "0.987654", "1", "", ""],
        ["a\n.jpg", "2", "c\x1b.jpg", "", "-0.500000", "0", "", ""],
        ["bad.jpg", "", "", "", "", "", "missing", "no such file"],
        ["d.jpg", "1", "b.jpg", "12", "0.250000", "0", "", ""],
    ]


def test_a_sheet_shows_what_can_still_be_read(tmp_path: Path) -> None:
    Image.new("RGB", (30, 60), (20, 130, 30)).save(tmp_path / "green.png")
    asked = Image.new("RGB", (300, 200), (200, 30, 30))
    there, gone = Match(str(tmp_path / "green.png"), None, 0.5, False), Match("gone", None, 0, True)
    drawn = similarity.sheet(asked, Matches("asked.jpg", (there, gone)), 10**6)
    colours = [drawn.getpixel((16 + 336 * cell + 160, 16 + 30)) for cell in range(3)]
    assert colours == [(200, 30, 30), (20, 130, 30), (238, 240, 243)]
    assert drawn.width == 3 * (320 + 16) + 16
