"""Folders of pictures with a folder for each class, and how some are held out."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest

from topfive.errors import PictureError, UsageError
from topfive.sources import folders
from topfive.teaching import class_folders


def fill(folder: Path, *names: str) -> Path:
    """Make files, which need not be pictures: nothing here opens them."""
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"")
    return folder


def test_each_folder_is_a_class_with_all_that_is_in_it(tmp_path: Path) -> None:
    fill(tmp_path, "dog/b.jpg", "dog/a.jpg", "dog/puppies/small/c.jpg", "cat/x.png")
    found = class_folders.read(tmp_path)
    assert found.folder == str(tmp_path)
    assert found.classes == ("cat", "dog")
    assert [(Path(source.name).relative_to(tmp_path).as_posix(), truth)
            for source, truth in found.pictures] == [
        ("cat/x.png", 0), ("dog/a.jpg", 1), ("dog/b.jpg", 1), ("dog/puppies/small/c.jpg", 1),
    ]  # fmt: skip


def test_what_is_hidden_is_passed_over_and_what_is_in_no_class_is_told(tmp_path: Path) -> None:
    fill(tmp_path, "a/1", "b/2", "b/.DS_Store", ".git/3", ".hidden", "readme.txt", "c/.keep")
    (tmp_path / "d").mkdir()
    found = class_folders.read(tmp_path)
    assert found.classes == ("a", "b")
    assert len(found.pictures) == 2
    assert found.unlabelled == (str(tmp_path / "readme.txt"),)
    assert found.empty == ("c", "d")


def test_links_to_files_and_to_a_class_count_and_links_inside_do_not_lead_in_circles(
    tmp_path: Path,
) -> None:
    elsewhere = fill(tmp_path / "elsewhere", "x.jpg", "y.jpg")
    pets = fill(tmp_path / "pets", "cat/1.jpg")
    (pets / "cat" / "linked.jpg").symlink_to(elsewhere / "x.jpg")
    (pets / "cat" / "round").symlink_to(pets)
    (pets / "dog").symlink_to(elsewhere)
    found = class_folders.read(pets)
    assert [found.classes[truth] for _, truth in found.pictures] == ["cat", "cat", "dog", "dog"]


@pytest.mark.parametrize("name", ["my cat", "<b>Ünï 'q\"", "猫", "a,b;c|d", "-rf", "n01558993"])
def test_a_class_may_have_any_printable_name(tmp_path: Path, name: str) -> None:
    assert name in class_folders.read(fill(tmp_path, f"{name}/1", "other/2")).classes


@pytest.mark.parametrize("name", ["a\nb", "\x1b[31mred", "\u202egpj", "x" * 201, "not \udcff"])
def test_a_name_that_is_not_printable_or_too_long_is_refused_in_one_printable_line(
    tmp_path: Path, name: str
) -> None:
    with pytest.raises(UsageError, match="rename the folder") as raised:
        class_folders.read(fill(tmp_path, f"{name}/1", "other/2"))
    assert str(raised.value).isprintable()


def test_an_empty_folder_may_have_any_name(tmp_path: Path) -> None:
    (tmp_path / "a\nb").mkdir()
    assert class_folders.read(fill(tmp_path, "c/1", "d/2")).classes == ("c", "d")


def test_a_single_class_or_none_or_no_folder_is_refused(tmp_path: Path) -> None:
    fill(tmp_path, "one/1.jpg")
    (tmp_path / "void").mkdir()
    with pytest.raises(UsageError, match=r"expected 2 or more.*found 'one'.*any file 'void'"):
        class_folders.read(tmp_path)
    assert class_folders.read(tmp_path, least=1).classes == ("one",)
    with pytest.raises(UsageError, match=r"expected 2 or more folders.*found none"):
        class_folders.read(tmp_path / "one")
    for missing in (tmp_path / "nowhere", tmp_path / "one" / "1.jpg"):
        with pytest.raises(UsageError, match="expected a folder with a folder for each class"):
            class_folders.read(missing)


def test_a_folder_that_cannot_be_looked_into_is_a_picture_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, "a/1", "b/2")
    closed = OSError(13, "Permission denied", str(tmp_path / "b" / "closed"))
    walk = folders.walk
    monkeypatch.setattr(
        folders, "walk",
        lambda folder, **options: [*walk(folder, **options), *[closed] * folder.endswith("b")],
    )  # fmt: skip
    source, truth = class_folders.read(tmp_path).pictures[-1]
    assert (source.name, truth) == (closed.filename, 1)
    with pytest.raises(PictureError, match="Permission denied"):
        source.read()


def test_a_split_takes_the_share_of_each_class_and_the_same_for_the_same_seed() -> None:
    truths = [0] * 100 + [1] * 10 + [2] * 3 + [3] * 2 + [4]
    held = class_folders.split(truths, 0.2, 5)
    assert np.bincount(np.array(truths)[held], minlength=5).tolist() == [20, 2, 1, 1, 0]
    assert (held == class_folders.split(truths, 0.2, 5)).all()
    assert (held != class_folders.split(truths, 0.2, 6)).any()
    assert not class_folders.split(truths, 0, 5).any()
    assert np.bincount(np.array(truths)[~class_folders.split(truths, 0.99, 5)])[1:].min() == 1


def test_more_pictures_of_one_class_leave_the_split_of_the_others_as_it_is() -> None:
    before = class_folders.split([0] * 30 + [1] * 20, 0.3, 0)
    after = class_folders.split([0] * 30 + [1] * 25, 0.3, 0)
    assert (before[:30] == after[:30]).all()


@pytest.mark.parametrize(("share", "seed"), [(1.0, 0), (-0.1, 0), (float("nan"), 0), (0.2, -1)])
def test_a_share_or_a_seed_that_is_none_is_refused(share: float, seed: int) -> None:
    with pytest.raises(UsageError):
        class_folders.split([0, 1], share, seed)


def test_one_name_in_two_forms_is_one_class(tmp_path: Path) -> None:
    composed, parted = (unicodedata.normalize(form, "été") for form in ("NFC", "NFD"))
    fill(tmp_path, f"{composed}/a", f"{parted}/b", "hiver/c")
    (tmp_path / "leer").mkdir()
    found = class_folders.read(tmp_path)
    assert found.classes == ("hiver", composed)
    assert [Path(source.name).name for source, truth in found.pictures if truth == 1] == ["b", "a"]
    for source, _ in found.pictures:
        assert source.read() == b""
    apart = class_folders.read(fill(tmp_path / "val", f"{parted}/d"), least=1)
    assert class_folders.odd_classes(found, apart) == [f"{tmp_path}/val holds no pictures of hiver"]


def test_pictures_of_one_group_are_held_out_together() -> None:
    truths = np.repeat([0, 1], 30)
    groups = np.arange(60) // 3  # three of each
    for seed in range(5):
        held = class_folders.split(truths, 0.2, seed, groups)
        assert [*np.bincount(truths[held])] == [6, 6]
        assert all(len({*held[groups == one]}) == 1 for one in groups)
    alone = class_folders.split(truths, 0.2, 3, np.arange(60))
    assert (alone == class_folders.split(truths, 0.2, 3)).all()


def test_a_class_keeps_pictures_to_learn_from_whatever_its_groups() -> None:
    truths = np.array([0] * 6 + [1] * 4)
    one_group = class_folders.split(truths, 0.5, 0, np.array([0] * 6 + [6, 7, 8, 9]))
    assert not one_group[:6].any()
    assert one_group[6:].sum() == 2
    large = class_folders.split(truths, 0.2, 0, np.array([0] * 4 + [4] * 2 + [6, 7, 8, 9]))
    assert large[:6].tolist() == [False] * 4 + [True] * 2  # the smaller of two that are too large
    across = class_folders.split(truths, 0.5, 1, np.array([0, 0, 2, 3, 4, 5, 0, 0, 0, 9]))
    assert len({*across[[0, 1, 6, 7, 8]]}) == 1


def test_groups_of_one_leave_the_split_of_old_pictures_as_it_is() -> None:
    truths = [-1] * 50  # `OLD`
    alone = class_folders.split(truths, 0.2, 1, np.arange(50))
    assert (alone == class_folders.split(truths, 0.2, 1)).all()
