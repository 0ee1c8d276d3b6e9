"""Pictures that a network has learned from already are told from those that it has not."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from tests.support import taught
from topfive.evaluation import familiar_pictures
from topfive.evaluation.ground_truth import GroundTruth
from topfive.networks import lessons, taught_folders
from topfive.networks.cards import Network
from topfive.networks.lessons import OLD, Lessons
from topfive.networks.published import NETWORKS

PUBLISHED = NETWORKS["efficientnet_lite0"]


def pictures(folder: Path, **truths: int) -> GroundTruth:
    """Pictures by their names, which need not be there."""
    return GroundTruth(str(folder), "names", {str(folder / name): n for name, n in truths.items()})


def with_lessons(network: Network, contents: list[bytes], truths: list[int]) -> None:
    """Let a taught network have learned from files; the last one is held out."""
    assert network.taught is not None
    folder, count = Path(network.taught.folder), len(contents)
    known = Lessons(
        tuple(f"{number}.png" for number in range(count)),
        tuple(hashlib.sha256(content).hexdigest() for content in contents),
        np.array(truths, np.intp),
        np.arange(count) == count - 1,
        np.zeros((count, taught.FEATURES), np.float32),
    )
    card = taught_folders.read_card(folder)
    taught_folders.write(folder, card, {"lessons": lessons.as_part(known)})


@pytest.mark.parametrize(
    ("name", "familiar"),
    [
        ("n01440764/n01440764_10026.JPEG", True),
        ("n01440764_10026.jpeg", True),
        ("rest.tar/n01440764.tar/n01440764_10026.JPEG", True),
        ("tench/n01440764_10026.JPEG", True),
        ("ILSVRC2012_img_train/n01440764/a.png", True),
        ("ILSVRC2012_img_train.tar/n01440764.tar/a.png", True),
        ("ILSVRC/Data/CLS-LOC/train/n01440764/a.png", True),
        ("imagenette2-160/train/n01440764/a.png", True),
        ("n01558993_robin.JPEG", False),
        ("n01440764/ILSVRC2012_val_00000293.JPEG", False),
        ("ILSVRC/Data/CLS-LOC/val/n01440764/a.png", False),
        ("own/train/n01440764/a.png", False),
        ("imagenet/train.txt", False),
        ("n01440764/n01440764_10026.JPEG.txt", False),
    ],
)
def test_imagenet_s_training_pictures_are_known_by_their_names_and_folders(
    name: str, familiar: bool, tmp_path: Path
) -> None:
    said = familiar_pictures.by_names(PUBLISHED, pictures(tmp_path, **{name: 0}))
    assert (said is not None) is familiar
    if said:
        assert said.startswith("1 of 1 pictures are named as those of ImageNet's training, which "
                               "EfficientNet-Lite0 learned from")  # fmt: skip


def test_it_is_said_how_many_of_how_many(tmp_path: Path) -> None:
    some = {"n01440764_1.JPEG": 0, "n01440764_2.JPEG": 0, "ILSVRC2012_val_00000001.JPEG": 65}
    said = familiar_pictures.by_names(PUBLISHED, pictures(tmp_path, **some))
    assert said is not None
    assert said.startswith("2 of 3 pictures ")


def test_relative_folders_are_seen_from_the_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "imagenet" / "train").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "imagenet" / "train")
    found = GroundTruth(".", "names", {"./n01440764/a.png": 0})
    assert familiar_pictures.by_names(PUBLISHED, found) is not None
    bucket = GroundTruth("s3://own", "names", {"s3://own/n01440764/a.png": 0})
    assert familiar_pictures.by_names(PUBLISHED, bucket) is None


def test_of_an_extended_network_only_the_old_classes_are_imagenet_s(
    weight_file: Path, tmp_path: Path
) -> None:
    both = taught.write(tmp_path / "both", weight_file, extends=True)
    found = pictures(tmp_path, **{"n01440764_1.JPEG": 0, "n01440764_2.JPEG": 1000})
    said = familiar_pictures.by_names(both, found)
    assert said is not None
    assert said.startswith("1 of 2 pictures are named")
    assert said.endswith("which its backbone learned from")
    own = taught.write(tmp_path / "own", weight_file)
    assert familiar_pictures.by_names(own, found) is None


def test_a_taught_network_knows_its_pictures_by_their_contents(
    weight_file: Path, tmp_path: Path
) -> None:
    network = taught.write(tmp_path / "own", weight_file)
    with_lessons(network, [b"one", b"old", b"held out"], [0, OLD, 1])
    hashes = [hashlib.sha256(content).hexdigest() for content in (b"one", b"old", b"held out", b"")]
    said = familiar_pictures.by_contents(network, [*hashes, None])
    assert said == "2 of 5 pictures are some that own was taught"
    assert familiar_pictures.by_contents(network, hashes[2:]) is None
    assert familiar_pictures.by_contents(PUBLISHED, hashes) is None


def test_without_lessons_or_with_damaged_ones_nothing_is_said(
    weight_file: Path, tmp_path: Path
) -> None:
    network = taught.write(tmp_path / "own", weight_file)
    digest = hashlib.sha256(b"one").hexdigest()
    assert familiar_pictures.by_contents(network, [digest]) is None
    with_lessons(network, [b"one", b"held out"], [0, 0])
    assert familiar_pictures.by_contents(network, [digest]) is not None
    next((tmp_path / "own").glob("lessons-*")).write_bytes(b"damaged")
    assert familiar_pictures.by_contents(network, [digest]) is None


@pytest.mark.slow
def test_a_tuned_network_knows_its_folders_by_their_places(
    weight_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = {"by": "tune", "folder": "photos", "validation": str(tmp_path / "held")}
    network = taught.write(tmp_path / "own", weight_file, tuned=True, made=made)
    for place in ("photos", "photos/cat", "held"):
        said = familiar_pictures.by_names(network, pictures(tmp_path / place, **{"cat/a.png": 0}))
        assert said == "the pictures lie in the folder that own was trained with"
    assert familiar_pictures.by_names(network, pictures(tmp_path / "other", a=0)) is None
    odd = taught.write(tmp_path / "odd", weight_file, tuned=True,
                       made={"by": "tune", "folder": 7, "validation": None})  # fmt: skip
    assert familiar_pictures.by_names(odd, pictures(tmp_path / "photos", a=0)) is None
