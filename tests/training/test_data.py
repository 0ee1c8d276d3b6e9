"""Which pictures are learned from, which are held out, which cannot be used."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.support import shapes
from tests.support.photographs import PHOTOGRAPHS
from topfive.errors import UsageError
from topfive.networks.published import NETWORKS
from topfive.training import data as training_data
from topfive.training.data import Data, Preparation
from topfive.training.messages import Folders

PREPARATION = Preparation(32, NETWORKS["squeezenet"].recipe, max_pixels=10_000)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve pictures of each of four shapes."""
    return shapes.write(tmp_path / "shapes", 12, size=40)


class Warnings(list[str]):
    def __contains__(self, part: object) -> bool:
        return any(str(part) in one for one in self)


def read(
    folder: Path, validation: Path | None = None, share: float = 0.25, seed: int = 0
) -> tuple[Data, Warnings]:
    warned = Warnings()
    folders = Folders(str(folder), "out", None if validation is None else str(validation), share)
    return training_data.read(folders, seed, PREPARATION, warned.append), warned


def names(data: Data, part: str = "held_out") -> list[str]:
    return [source.name for source in getattr(data, part).sources]


def squares(data: Data) -> list[Any]:
    order = np.random.default_rng(0).permutation(len(data.learned))
    return [square for _, some in data.learned.batches(order, 5) for square in some]


def test_a_share_of_each_class_is_held_out_the_same_for_the_same_seed(folder: Path) -> None:
    data, warned = read(folder)
    assert np.bincount(data.held_out.truths).tolist() == [3] * 4
    assert np.bincount(data.learned.truths).tolist() == [9] * 4
    assert not set(names(data)) & set(names(data, "learned"))
    again, other = read(folder)[0], read(folder, seed=1)[0]
    assert names(again) == names(data)
    assert again.digest() == data.digest()
    assert names(other) != names(data)
    assert other.digest() != data.digest()
    assert warned == ["under 10 pictures to learn from of circle (9), cross (9), square (9) and "
                      "1 more; more would make it better"]  # fmt: skip


def test_pictures_that_do_not_fit_into_memory_are_read_again_to_the_same_squares(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = read(folder)[0]
    monkeypatch.setattr(training_data, "MEMORY", 1000)
    data = read(folder)[0]
    assert kept.learned.squares is not None
    assert data.learned.squares is None
    assert data.digest() == kept.digest()
    assert all(map(np.array_equal, squares(data), squares(kept)))
    changed = data.learned.sources[-1].name
    Image.new("RGB", (40, 40), "red").save(changed)
    with pytest.raises(UsageError, match=f"{changed} changed or went away"):
        squares(data)


def test_unreadable_pictures_and_copies_are_left_out_and_named(folder: Path) -> None:
    (folder / "circle" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    (folder / "circle" / "empty.jpg").write_bytes(b"")
    Image.new("RGB", (200, 200)).save(folder / "square" / "large.png")
    shutil.copy(folder / "cross" / "000.png", folder / "cross" / "copy.png")
    shutil.copy(folder / "cross" / "001.png", folder / "square" / "other.png")
    (folder / "notes.txt").write_text("no picture")
    (folder / "nothing").mkdir()
    data, warned = read(folder)
    assert data.classes == shapes.SHAPES
    assert (data.unreadable, data.copies) == (3, 3)
    assert len(data.learned) + len(data.held_out) == 47
    used = {Path(name).name for part in ("learned", "held_out") for name in names(data, part)}
    assert not used & {"broken.png", "empty.jpg", "large.png", "copy.png", "other.png"}
    for part in ("broken.png is left out: ", "empty.jpg is left out: ", "large.png is left out: ",
                 "in several classes at once, left out: ", "1 copies of other pictures, left out",
                 "folders without a file, left out: ", "beside the classes' folders"):  # fmt: skip
        assert part in warned, part


def test_a_validation_is_held_out_and_what_is_in_both_is_not_learned_from(
    folder: Path, tmp_path: Path
) -> None:
    apart = shapes.write(tmp_path / "apart", 2, seed=9, size=40)
    shutil.rmtree(apart / "square")
    shutil.copy(folder / "cross" / "003.png", apart / "cross" / "same.png")
    data, warned = read(folder, apart)
    assert sorted(names(data)) == sorted(map(str, apart.rglob("*.png")))
    assert [data.classes[one] for one in data.held_out.truths] == [
        Path(name).parent.name for name in names(data)
    ]
    assert len(data.learned) == 47
    assert "1 pictures that are held out, too, are not learned from" in warned
    assert "holds no pictures of square" in warned
    (apart / "hexagon").mkdir()
    shutil.copy(folder / "cross" / "004.png", apart / "hexagon")
    with pytest.raises(UsageError, match=r"holds classes that .* has not: hexagon"):
        read(folder, apart)


def test_without_classes_or_anything_held_out_there_is_nothing_to_learn(folder: Path) -> None:
    with pytest.raises(UsageError, match="no picture is held out"):
        read(folder, share=0)
    for file in (folder / "circle").iterdir():
        file.write_bytes(b"nothing")
    with pytest.raises(UsageError, match="no picture is left to learn from of circle"):
        read(folder)
    for shape in shapes.SHAPES[1:]:
        shutil.rmtree(folder / shape)
    with pytest.raises(UsageError, match="expected 2 or more folders"):
        read(folder)


def test_unbalanced_classes_are_warned_of(folder: Path) -> None:
    for number in range(2, 12):
        (folder / "square" / f"{number:03}.png").unlink()
    assert "9 pictures of circle and 1 of square: all classes count the same" in read(folder)[1]


def copy_each(folder: Path, to: Path) -> None:
    """Write smaller copies of all pictures of a folder with a folder a class."""
    for file in sorted(folder.rglob("*.jpg")):
        place = to / file.parent.name / f"{file.stem}_small.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(file) as picture:
            picture.resize((60, 60)).save(place)


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Six photographs of each of two classes, as JPEG."""
    for number, name in enumerate(PHOTOGRAPHS):
        with Image.open(PHOTOGRAPHS[name]) as picture:
            width, height = picture.size
            for half, box in enumerate(
                ((0, 0, width // 2, height), (width // 2, 0, width, height))
            ):
                place = tmp_path / "photographs" / "ab"[number % 2]
                place.mkdir(parents=True, exist_ok=True)
                part = picture.convert("RGB").crop(box).resize((96, 96))
                part.save(place / f"{name}{half}.jpg", quality=95)
    return tmp_path / "photographs"


def test_near_copies_are_held_out_together(photographs: Path) -> None:
    copy_each(photographs, photographs)
    for seed in range(3):
        data, warned = read(photographs, seed=seed)
        held = {Path(name).stem.removesuffix("_small") for name in names(data)}
        learned = {Path(name).stem.removesuffix("_small") for name in names(data, "learned")}
        assert held
        assert not held & learned
        assert "32 pictures are near-copies of others" in warned


def test_near_copies_of_a_validation_are_not_learned_from(
    photographs: Path, tmp_path: Path
) -> None:
    for name in ("cat0.jpg", "coffee1.jpg"):
        (tmp_path / "some" / next(photographs.rglob(name)).parent.name).mkdir(parents=True)
        file = next(photographs.rglob(name))
        shutil.copy(file, tmp_path / "some" / file.parent.name)
    copy_each(tmp_path / "some", tmp_path / "val")
    data, warned = read(photographs, tmp_path / "val")
    assert not {"cat0", "coffee1"} & {Path(name).stem for name in names(data, "learned")}
    assert len(data.learned) == 14
    assert "2 pictures are near-copies of some that are held out: not learned from" in warned
