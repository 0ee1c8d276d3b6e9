"""Of several pictures in a file the whole one is answered, no thumbnail of it, and its size told;
of an animation the first frame that shows something."""

from __future__ import annotations

import io
import struct
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, features

from tests.support import pictures
from topfive.errors import PictureError
from topfive.networks.cards import Recipe
from topfive.pictures import decoding, frames, heif_items, preparation
from topfive.sources.source import MAX_PIXELS, from_object

LARGE, SMALL = pictures.colours(128, 96), pictures.colours(32, 24)[:, ::-1].copy()
OTHER = pictures.colours(256, 100)
RAW, REDUCED, MASK = 0, 1, 4  # of NewSubfileType


def tiff(*images: tuple[NDArray[np.uint8], dict[int, int]], children: Sequence[int] = (),
         big: bool = False, order: str = "<") -> bytes:  # fmt: skip
    """Return a TIFF of RGB pictures, each with more tags: those numbered in `children` are
    described in the first's SubIFDs, the others one after the other."""
    place, word, entry = ("Q", 16, "HHQ8s") if big else ("I", 4, "HHI4s")
    data = bytearray(
        (b"II" if order == "<" else b"MM") + struct.pack(f"{order}H", 43 if big else 42)
    )
    data += struct.pack(f"{order}HHQ", 8, 0, 0) if big else bytes(4)
    kinds = {3: "H", 4: "I", 16: "Q"}
    strips = []
    for pixels, _ in images:
        strips.append(len(data))
        data += pixels.tobytes()
    starts, links = {}, {}

    def directory(number: int, more: dict[int, tuple[int, list[int]]]) -> None:
        pixels, own = images[number]
        height, width = pixels.shape[:2]
        tags = {256: (4, [width]), 257: (4, [height]), 258: (3, [8, 8, 8]), 259: (3, [1]),
                262: (3, [2]), 273: (4, [strips[number]]), 277: (3, [3]), 278: (4, [height]),
                279: (4, [pixels.size])} | more  # fmt: skip
        tags |= {tag: (4, [value]) for tag, value in own.items()}
        values = {tag: struct.pack(f"{order}{len(found)}{kinds[kind]}", *found)
                  for tag, (kind, found) in tags.items()}  # fmt: skip
        far = {tag: value for tag, value in values.items() if len(value) > (8 if big else 4)}
        for tag, value in far.items():
            starts_at = len(data)
            data.extend(value)
            far[tag] = struct.pack(order + place, starts_at)
        starts[number] = len(data)
        data.extend(struct.pack(order + ("Q" if big else "H"), len(tags)))
        for tag in sorted(tags):
            kind, found = tags[tag]
            data.extend(
                struct.pack(order + entry, tag, kind, len(found), far.get(tag, values[tag]))
            )
        links[number] = len(data)
        data.extend(struct.pack(order + place, 0))

    for number in children:
        directory(number, {})
    chain = [number for number in range(len(images)) if number not in children]
    for number in chain:
        below = {330: (16 if big else 4, [starts[one] for one in children])}
        directory(number, below if children and number == 0 else {})
    spots = [8 if big else 4, *(links[number] for number in chain[:-1])]
    for spot, number in zip(spots, chain, strict=True):
        struct.pack_into(order + place, data, spot, starts[number])
    del word
    return bytes(data)


def decoded(data: bytes, **options: Any) -> NDArray[np.int64]:
    return np.asarray(decoding.decode(data, **options)[0]).astype(np.int64)


@pytest.mark.parametrize(("big", "order"), [(False, "<"), (False, ">"), (True, "<")])
def test_a_tiff_that_begins_with_a_thumbnail_is_answered_from_the_whole(
    big: bool, order: str
) -> None:
    for images, children in (
        ([(SMALL, {254: REDUCED}), (LARGE, {})], [1]),
        ([(SMALL, {254: REDUCED}), (LARGE, {})], []),
        ([(SMALL, {}), (LARGE, {254: RAW})], [1]),  # not said, but the other size is larger
        ([(SMALL, {254: REDUCED}), (LARGE[::2, ::2].copy(), {254: REDUCED}), (LARGE, {})], [1, 2]),
        ([(OTHER, {254: MASK}), (LARGE, {})], []),
        ([(SMALL, {254: REDUCED}), (LARGE, {254: REDUCED})], []),
    ):
        data = tiff(*images, children=children, big=big, order=order)
        assert decoded(data).shape == LARGE.shape
        assert (decoded(data) == LARGE).all()


@pytest.mark.parametrize(
    ("images", "children"),
    [
        ([(LARGE, {}), (SMALL, {254: REDUCED})], [1]),  # a pyramid
        ([(LARGE, {}), (SMALL, {254: REDUCED})], []),
        ([(LARGE, {254: RAW}), (OTHER, {254: RAW})], []),  # pages
        ([(LARGE, {}), (OTHER, {254: REDUCED})], [1]),
        ([(LARGE, {}), (OTHER, {254: MASK})], [1]),
    ],
)
def test_the_first_page_of_a_tiff_is_answered_where_it_is_whole(
    images: list[tuple[NDArray[np.uint8], dict[int, int]]], children: list[int]
) -> None:
    assert (decoded(tiff(*images, children=children)) == LARGE).all()


def test_a_whole_picture_that_cannot_be_read_is_an_error_that_says_so() -> None:
    """As in a camera's raw files, whose thumbnails can be read."""
    for wrong in ({262: 32803}, {259: 34892}, {258: 14}):
        data = tiff((SMALL, {254: REDUCED}), (LARGE, wrong), children=[1])
        with pytest.raises(PictureError, match="only a smaller copy") as caught:
            decoding.decode(data)
        assert caught.value.kind == "unsupported"
        assert "\n" not in str(caught.value)
        assert decoding.decode(data, keras=True)[0].size == (32, 24)


def test_the_rows_width_and_height_are_those_of_the_whole_and_its_size_is_refused() -> None:
    data = tiff((SMALL, {254: REDUCED}), (LARGE, {}), children=[1])
    recipe = Recipe("crop", "bicubic", 32)
    prepared = preparation.prepare(from_object(data), 32, recipe, MAX_PIXELS)
    assert (prepared.width, prepared.height) == (128, 96)
    with pytest.raises(PictureError, match="128 x 96 pixels are over the limit"):
        decoding.decode(data, max_pixels=128 * 96 - 1)


def test_a_tiff_that_leads_in_circles_or_nowhere_is_read_as_far_as_it_goes() -> None:
    data = bytearray(tiff((SMALL, {254: REDUCED}), (SMALL, {254: REDUCED})))
    (first,) = struct.unpack_from("<I", data, 4)
    link = first + 2 + 12 * 10
    (second,) = struct.unpack_from("<I", data, link)
    for target in (first, second, 0xFFFFFFFF, 1, len(data) - 3):
        struct.pack_into("<I", data, second + 2 + 12 * 10, target)
        assert (decoded(bytes(data)) == SMALL).all()
    many = [(SMALL, {254: REDUCED})] * 500
    start = time.perf_counter()
    decoded(tiff(*many, children=range(1, 500)))
    assert time.perf_counter() - start < 2


def mpo(kinds: Sequence[int], *images: NDArray[np.uint8]) -> bytes:
    """Return an MPO whose entries have these types (CIPA DC-007, section 5.2.3.3)."""
    first, *others = (Image.fromarray(one) for one in images)
    data = bytearray(pictures.encode(first, "MPO", save_all=True, append_images=others, quality=95))
    start = data.index(b"MPF\0") + 4
    (offset,) = struct.unpack_from("<I", data, data.index(b"\x02\xb0\7\0", start) + 8)
    place = start + offset
    for number, kind in enumerate(kinds):
        struct.pack_into("<I", data, place + 16 * number, kind)
    return bytes(data)


def test_an_mpo_is_answered_from_its_picture_not_from_a_thumbnail() -> None:
    for data in (
        mpo([0x010001, 0x030000], SMALL, LARGE),
        mpo([0x010002, 0x010001, 0x030000], SMALL, SMALL, LARGE),
        mpo([0x030000, 0x010001], LARGE, SMALL),
        mpo([0x030000, 0x020002], LARGE, OTHER),  # of several views the first
    ):
        assert decoding.decode(data)[1] == (128, 96)
        assert np.abs(decoded(data) - LARGE).max() <= 16


def test_icons_are_answered_from_their_largest_size() -> None:
    icon = Image.fromarray(pictures.colours(64, 64))
    for sizes in ([(16, 16), (64, 64), (32, 32)], [(64, 64), (16, 16)]):
        assert decoding.decode(pictures.encode(icon, "ICO", sizes=sizes))[1] == (64, 64)
    both = b""
    for kind, side in ((b"ic12", 64), (b"ih32", 48), (b"ic11", 32)):
        content = pictures.encode(icon.resize((side, side)), "PNG")
        if kind == b"ih32":
            content = bytes(3 * 48 * 48)
        both += kind + struct.pack(">I", 8 + len(content)) + content
    data = b"icns" + struct.pack(">I", 8 + len(both)) + both
    assert decoding.decode(data)[1] == (64, 64)
    assert np.abs(decoded(data) - np.asarray(icon).astype(int)).max() == 0


def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the boxes of a HEIC or AVIF, or of a box in it: their kinds and contents."""
    while data:
        (length,) = struct.unpack_from(">I", data)
        yield data[4:8], data[8:length]
        data = data[length:]


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + kind + content


def several(*files: bytes, primary: int = 1, hidden: int = 0, thumbnail: int = 0) -> bytes:
    """Return a HEIC or AVIF with the pictures of others; `hidden` one is not to be shown,
    `thumbnail` is that of the primary one (numbers begin at 1)."""
    head, entries, places, properties, links, samples = b"", b"", b"", b"", b"", []
    number = 0
    for item, data in enumerate(files, 1):
        parts = dict(boxes(data))
        inside = dict(boxes(parts[b"meta"][4:]))
        kind = b"hvc1" if b"heic" in parts[b"ftyp"] else b"av01"
        head = head or box(b"ftyp", parts[b"ftyp"])
        entries += box(b"infe", struct.pack(">BBHHH4sx", 2, 0, item == hidden, item, 0, kind))
        own = list(boxes(dict(boxes(inside[b"iprp"]))[b"ipco"]))
        properties += b"".join(box(*one) for one in own)
        links += struct.pack(">HB", item, len(own)) + bytes(
            (number + place) | (0x80 if one[0] in (b"hvcC", b"av1C") else 0)
            for place, one in enumerate(own, 1)
        )
        number += len(own)
        samples.append(parts[b"mdat"])

    def meta(offset: int) -> bytes:
        nonlocal places
        places = struct.pack(">IHH", 0, 0x4400, len(files))
        for item, sample in enumerate(samples, 1):
            places += struct.pack(">HHHII", item, 0, 1, offset, len(sample))
            offset += len(sample)
        association = struct.pack(">II", 0, len(files)) + links
        parts = box(b"hdlr", bytes(8) + b"pict" + bytes(13))
        parts += box(b"pitm", bytes(4) + struct.pack(">H", primary)) + box(b"iloc", places)
        parts += box(b"iinf", bytes(4) + struct.pack(">H", len(files)) + entries)
        parts += box(b"iprp", box(b"ipco", properties) + box(b"ipma", association))
        if thumbnail:
            reference = box(b"thmb", struct.pack(">HHH", thumbnail, 1, primary))
            parts += box(b"iref", bytes(4) + reference)
        return box(b"meta", bytes(4) + parts)

    whole = meta(len(head) + len(meta(0)) + 8)
    return head + whole + box(b"mdat", b"".join(samples))


TINY, MIDDLE, SQUARE = (
    pictures.colours(*size)[:, ::-1].copy() for size in ((32, 16), (64, 32), (48, 48))
)


@pytest.mark.parametrize("format", ["HEIF", "AVIF"])
def test_of_several_sizes_in_a_heic_or_avif_the_largest_is_answered(format: str) -> None:
    def encode(pixels: NDArray[np.uint8]) -> bytes:
        if format == "HEIF":
            return pictures.heic(pixels)
        return pictures.encode(pixels, "AVIF", quality=95)

    tiny, middle, square = map(encode, (TINY, MIDDLE, SQUARE))
    for data, expected in (
        (several(tiny, middle), MIDDLE),
        (several(tiny, middle, primary=2), MIDDLE),
        (several(tiny, square), TINY),  # another photograph
        (several(tiny, middle, hidden=2), TINY),
        (several(tiny, middle, thumbnail=2), TINY),
        (several(tiny), TINY),
    ):
        picture, size = decoding.decode(data)
        assert size == picture.size == expected.shape[1::-1]
        assert np.abs(np.asarray(picture).astype(int) - expected).mean() <= 6
    with pytest.raises(PictureError, match="64 x 32 pixels are over the limit"):
        decoding.decode(several(tiny, middle), max_pixels=64 * 32 - 1)


def test_a_broken_list_of_pictures_costs_nothing() -> None:
    data = several(*(pictures.encode(one, "AVIF", quality=95) for one in (TINY, MIDDLE)))
    end = data.index(b"mdat")
    random = np.random.default_rng(0)
    start = time.perf_counter()
    for _ in range(300):
        changed = bytearray(data[: random.integers(40, end)] if random.random() < 0.2 else data)
        for place in random.integers(8, min(end, len(changed)), 3):
            changed[place] = random.integers(256)
        heif_items.find_larger(bytes(changed), (32, 16))
    assert time.perf_counter() - start < 5


def animation(format: str, *images: NDArray[np.uint8], **options: Any) -> bytes:
    first, *others = (Image.fromarray(one) for one in images)
    if format == "WEBP":
        options = {"lossless": True, **options}
    return pictures.encode(
        first, format, save_all=True, append_images=others, duration=40, **options
    )


BLACK, WHITE = np.zeros_like(LARGE), np.full_like(LARGE, 255)
ALMOST = (LARGE // 20 + 3).astype(np.uint8)  # within twelve levels
ANIMATED = ["GIF", "PNG", "WEBP", *(["AVIF"] if features.check("avif") else [])]


@pytest.mark.parametrize("format", ANIMATED)
@pytest.mark.parametrize(
    "blank", [[BLACK], [WHITE], [BLACK, BLACK + 1, ALMOST], []], ids=["black", "white", "in", "no"]
)
def test_an_animation_is_answered_from_its_first_frame_that_shows_something(
    format: str, blank: list[NDArray[np.uint8]]
) -> None:
    data = animation(format, *blank, LARGE, OTHER[:96, :128].copy(), minimize_size=False)
    result = decoded(data)
    assert np.abs(result - LARGE).mean() <= (12 if format in ("GIF", "AVIF") else 0)
    assert decoding.decode(data, keras=True)[0].size == (128, 96)
    if blank:
        assert np.ptp(decoded(data, keras=True), axis=(0, 1)).max() < 20


def test_frames_that_are_clear_are_blank() -> None:
    clear = Image.new("RGBA", (128, 96))
    data = pictures.encode(clear, "PNG", save_all=True, append_images=[Image.fromarray(LARGE)])
    assert (decoded(data) == LARGE).all()


@pytest.mark.parametrize("format", ANIMATED)
def test_an_animation_that_shows_nothing_is_answered_from_its_first_frame(format: str) -> None:
    result = decoded(animation(format, BLACK, WHITE, ALMOST))
    assert np.abs(result - BLACK).max() <= 3
    assert (decoded(pictures.encode(BLACK, format)) == 0).all() or format == "AVIF"


def test_frames_are_looked_through_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    late = animation("PNG", *(BLACK + number % 2 for number in range(12)), LARGE)
    assert (decoded(late) == LARGE).all()
    for name, limit in (("MAX_FRAMES", 12), ("MAX_FRAME_PIXELS", 12 * 128 * 96)):
        with monkeypatch.context() as patch:
            patch.setattr(frames, name, limit)
            assert (decoded(late) == 0).all()


def test_an_animation_that_is_cut_off_is_answered_as_far_as_it_goes() -> None:
    data = animation("GIF", BLACK, WHITE, LARGE)
    with Image.open(io.BytesIO(data)) as opened:
        assert opened.n_frames == 3  # type: ignore[attr-defined]
    assert decoded(data[: len(data) // 2]).shape == LARGE.shape
