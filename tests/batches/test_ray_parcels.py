"""Sources as plain bytes, and back."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.support import fakes
from topfive.batches import ray_parcels
from topfive.errors import PictureError
from topfive.networks.find import find_network
from topfive.sources import buckets
from topfive.sources.archives import Member, ZipMember
from topfive.sources.source import MAX_PIXELS, Source

RECIPE = find_network("squeezenet").recipe


def there_and_back(source: Source, max_pixels: int = MAX_PIXELS) -> Source:
    parcel = ray_parcels.pack(source, RECIPE, max_pixels)
    assert [type(field) for field in parcel] == [bytes, str, bytes]
    return ray_parcels.unpack(*parcel)


@pytest.mark.parametrize(
    "content",
    [
        b"bytes",
        "",
        "https://example.org/a b.jpg?c",
        "s3://bucket/öbject",
        Path("/somewhere/\udcff.jpg"),
        Path("/http://x"),
        Member("/a.tar", 512, 10),
        ZipMember("/\udcff.zip", 0, 10, 9, 5, True),
        buckets.Object("gs://bucket/object", None),
    ],
)
def test_a_name_or_bytes_come_back_as_they_were(content: Any) -> None:
    source = Source("näme \udcff \ud800", content)
    assert there_and_back(source) == source


@pytest.mark.parametrize("content", ["a/../b.jpg", Path("a/../b.jpg"), "odd://name"])
def test_the_name_of_a_file_becomes_absolute(content: str | Path) -> None:
    found = there_and_back(Source("b.jpg", content))
    assert (found.name, found.content) == ("b.jpg", Path.cwd() / content)
    member = there_and_back(Source("m", Member("some.tar", 0, 1))).content
    assert member == Member(os.path.abspath("some.tar"), 0, 1)  # noqa: PTH100


def test_standard_input_is_read_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"content")))
    assert there_and_back(Source("-", "-")).content == b"content"


def test_pictures_and_arrays_come_as_the_recipe_reads_them() -> None:
    pixels = fakes.pictures(1, 30)[0]
    picture = Image.fromarray(pixels).convert("RGBA")
    for content in (pixels, picture, pixels / np.float32(255)):
        found = there_and_back(Source("<x>", content)).content
        assert found.dtype == np.uint8
        assert np.array_equal(found, pixels)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (PictureError("missing", "no such file"), "missing"),
        (np.zeros((20, 20, 3), np.uint8), "too-large"),
        (3.5, "unsupported"),
    ],
)
def test_what_cannot_be_read_comes_back_as_the_reason(content: Any, kind: str) -> None:
    found = there_and_back(Source("name", content), max_pixels=100).content
    assert (type(found), found.kind) == (PictureError, kind)
