"""What a network was taught with, in its folder."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from topfive.errors import UsageError
from topfive.networks import heads, lessons, taught_folders
from topfive.networks.lessons import OLD, Lessons
from topfive.networks.published import NETWORKS
from topfive.networks.taught_cards import CardFile, TaughtCard


def some(count: int = 4) -> Lessons:
    random = np.random.default_rng(0)
    names = ("cat/1.jpg", "dog/été.jpg", "not unicode \udcff.jpg", "a\nb.jpg")
    return Lessons(
        names[:count],
        tuple(random.bytes(32).hex() for _ in range(count)),
        np.array([0, 1, OLD, 1], np.intp)[:count],
        np.array([True, False, False, True])[:count],
        random.standard_normal((count, 8), np.float32),
    )


def put(folder: Path, found: Lessons) -> Path:
    """Write a network with these lessons to a folder."""
    network = NETWORKS["squeezenet"]
    card = TaughtCard(
        name="pets",
        backbone=network.name,
        classes=("cat", "dog"),
        weights=CardFile(None, str(network.weights.checksum), 1),
        recipe=network.recipe,
        parameters=1,
    )
    head = heads.as_part(np.zeros((9, 2), np.float32))
    taught_folders.write(folder, card, {"head": head, "lessons": lessons.as_part(found)})
    return folder


def replace_file(folder: Path, content: bytes) -> None:
    """Put other bytes in the place of the lessons, with the hash in the card made to fit."""
    card = json.loads((folder / "card.json").read_text())
    card["lessons"]["checksum"] = f"sha256:{hashlib.sha256(content).hexdigest()}"
    (folder / card["lessons"]["file"]).write_bytes(content)
    (folder / "card.json").write_text(json.dumps(card))


@pytest.mark.parametrize("count", [0, 1, 4])
def test_lessons_are_read_as_they_were_written(tmp_path: Path, count: int) -> None:
    known = some(count)
    found = lessons.read(put(tmp_path / "pets", known))
    assert len(found) == count
    assert (found.names, found.sha256) == (known.names, known.sha256)
    for part in ("truths", "held", "features"):
        assert (getattr(found, part) == getattr(known, part)).all()
        assert getattr(found, part).dtype == getattr(known, part).dtype


def test_some_of_them_are_taken_and_two_are_one_after_the_other() -> None:
    known = some()
    held = known.where(known.held)
    assert held.names == ("cat/1.jpg", "a\nb.jpg")
    assert held.sha256 == (known.sha256[0], known.sha256[3])
    assert (held.truths.tolist(), held.held.tolist()) == ([0, 1], [True, True])
    assert (held.features == known.features[[0, 3]]).all()
    assert known.where(np.array([2, 0])).names == (known.names[2], known.names[0])
    assert len(known.where(np.zeros(4, np.bool_)) + held) == 2
    both = known.without(held) + held
    assert both.names == (*known.names[1:3], *held.names)
    assert (both.features == known.features[[1, 2, 0, 3]]).all()
    assert both.truths.tolist() == [1, OLD, 0, 1]


def test_a_flipped_bit_or_a_missing_file_or_none_at_all_is_told(tmp_path: Path) -> None:
    folder = put(tmp_path / "pets", some())
    file = next(folder.glob("lessons-*.npz"))
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(UsageError, match=r"is damaged: it is not what was taught; teach .* again"):
        lessons.read(folder)
    file.unlink()
    with pytest.raises(UsageError, match=r"No such file.*teach the network again"):
        lessons.read(folder)
    card = json.loads((folder / "card.json").read_text())
    del card["lessons"]
    (folder / "card.json").write_text(json.dumps(card))
    with pytest.raises(UsageError, match="keeps no lessons"):
        lessons.read(folder)


@pytest.mark.parametrize("name", ["../outside.npz", "/etc/passwd", "card.json", "a/b", 7, None])
def test_a_card_cannot_name_a_file_elsewhere(tmp_path: Path, name: object) -> None:
    folder = put(tmp_path / "pets", some())
    card = json.loads((folder / "card.json").read_text())
    card["lessons"]["file"] = name
    (folder / "card.json").write_text(json.dumps(card))
    with pytest.raises(UsageError, match="is damaged"):
        lessons.read(folder)


def test_a_file_that_claims_more_than_it_holds_is_refused_before_there_is_memory_for_it(
    tmp_path: Path,
) -> None:
    folder = put(tmp_path / "pets", some())
    header = io.BytesIO()
    shape = (10**9, 10**6)
    fields = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, fields)
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", method) as archive:
            for name in lessons.KINDS:
                archive.writestr(f"{name}.npy", header.getvalue() + bytes(1000))
        replace_file(folder, stream.getvalue())
        with pytest.raises(UsageError, match="names is not what is written there"):
            lessons.read(folder)


def test_a_compressed_bomb_an_object_array_and_rubbish_are_refused(tmp_path: Path) -> None:
    folder = put(tmp_path / "pets", some())
    bomb, objects = io.BytesIO(), io.BytesIO()
    many: dict[str, Any] = dict.fromkeys(lessons.KINDS, np.zeros(10**6, np.uint8))
    np.savez_compressed(bomb, **many)
    many = dict.fromkeys(lessons.KINDS, np.array([{}], object))
    np.savez(objects, **many)
    for content in (bomb.getvalue(), objects.getvalue(), b"PK\x03\x04 rubbish", b""):
        replace_file(folder, content)
        with pytest.raises(UsageError, match="is damaged"):
            lessons.read(folder)


def test_parts_that_do_not_fit_each_other_or_the_network_are_refused(tmp_path: Path) -> None:
    known = some()
    wrong = [
        replace(known, truths=np.array([0, 1, 2, 1])),
        replace(known, truths=np.array([0, 1, -2, 1])),
        replace(known, held=known.held[:3]),
        replace(known, names=known.names[:3]),
        replace(known, sha256=known.sha256[:3]),
        replace(known, features=known.features[:3]),
        replace(known, features=known.features * np.float32(np.nan)),
    ]
    for number, one in enumerate(wrong):
        with pytest.raises(UsageError, match="is damaged"):
            lessons.read(put(tmp_path / str(number), one))
