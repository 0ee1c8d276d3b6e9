"""New classes beside those of a published network, which keep their pictures."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks import class_pictures
from tests.support import fakes, photographs
from topfive import Classifier
from topfive.cli import teach_text
from topfive.errors import UsageError
from topfive.evaluation import evaluate
from topfive.networks import labels, lessons, taught_folders
from topfive.networks.find import find_network
from topfive.networks.lessons import OLD
from topfive.networks.published import DEFAULT_NETWORK
from topfive.results import Failure, Listener
from topfive.teaching import extend as extending
from topfive.teaching import extension_offset
from topfive.teaching.collection import Log
from topfive.teaching.extend import Extended, extend

LABELS = labels.load("imagenet")
NEW = ("discs", "stripes", "dots")
Extend = Callable[..., Extended]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Pictures of three new classes, ten each."""
    return class_pictures.write(tmp_path / "new", NEW, each=10)


@pytest.fixture(scope="session")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seventy pictures whose classes nobody tells."""
    folder = tmp_path_factory.mktemp("blobs")
    for number, pixels in enumerate(fakes.pictures(70, 80)):
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def run(pictures: Path, blobs: Path, tmp_path: Path, weight_file: Path, warm: Path) -> Extend:
    """Extends a network with made-up answers, by default with all that is here."""

    def run(
        folder: Path = pictures, old: Path | None = blobs, out: Path = tmp_path / "out",
        network: str = "squeezenet_v1.1", **options: Any,
    ) -> Extended:  # fmt: skip
        return extend(
            folder, old, out, network, **{"weights": weight_file, "cost": 10.0, **options}
        )

    return run


class Told(Listener):
    """What a listener is told."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.begun: list[int] = []
        self.added: list[str] = []

    def begin(self, total: int) -> None:
        self.begun.append(total)

    def add(self, source: str, failure: Failure | None) -> None:
        self.added.append(source)

    def warn(self, text: str) -> None:
        self.warnings.append(text)


@pytest.mark.slow
def test_it_costs_at_most_two_points_and_recognises_new_pictures(
    warm: Path, tmp_path: Path
) -> None:
    everything = tmp_path / "photographs"
    everything.mkdir()
    for name, label in photographs.LABELS.items():
        wnid = next(one.wnid for one in LABELS if one.name == label)
        for number, picture in enumerate(photographs.variations(name, 23)):
            picture.save(everything / f"{wnid}_{number:03}.jpg", quality=90)
    files = np.random.default_rng(2).permutation(sorted(everything.iterdir()))
    (tmp_path / "old").mkdir()
    for file in files[:90]:
        shutil.copy(file, tmp_path / "old")
    new = class_pictures.write(tmp_path / "new", NEW, each=20)
    result = extend(new, tmp_path / "old", tmp_path / "out")
    assert (result.pictures, result.old_pictures) == (48, 72)
    assert result.layout == "file names that begin with a WordNet id"
    assert (result.outcome.before.of, result.outcome.recognised.of) == (18, 12)
    assert result.outcome.cost.value <= 0.02
    assert result.outcome.recognised.value >= 0.7

    def right(folder: Path, network: str) -> dict[str, bool]:
        (found,) = evaluate.evaluate(folder, [network]).evaluations
        return {os.path.relpath(one.source, folder): one.right for one in found.judgements}

    before = right(everything, DEFAULT_NETWORK)
    after = right(everything, str(tmp_path / "out"))
    assert 60 <= sum(before.values()) <= 140, "some are wrong, as with any photographs"
    for some in (files, files[90:]):  # all photographs, and those that took no part
        names = [file.name for file in some]
        lost = sum(before[name] for name in names) - sum(after[name] for name in names)
        assert 100 * lost / len(names) <= 2
    further = class_pictures.write(tmp_path / "further", NEW, each=8, seed=9)
    assert np.mean(list(right(further, str(tmp_path / "out")).values())) >= 0.75


@pytest.mark.slow
def test_one_softmax_is_over_both_and_the_old_classes_keep_their_proportions(
    run: Extend, pictures: Path, blobs: Path, weight_file: Path, tmp_path: Path
) -> None:
    result = run()
    before = Classifier("squeezenet_v1.1", weights=weight_file, throughput=True)
    after = Classifier(str(tmp_path / "out"), throughput=True)
    assert after.labels == (*LABELS, *(labels.Label("", name) for name in sorted(NEW)))
    assert result.classes == tuple(sorted(NEW))
    some = [*sorted(blobs.iterdir())[:3], *sorted((pictures / "dots").iterdir())[:3]]
    kept = lessons.read(tmp_path / "out")
    head = np.load(taught_folders.head_file(find_network(str(tmp_path / "out")))[0])
    for (_, old), (_, new) in zip(before.responses(some), after.responses(some), strict=True):
        assert isinstance(old.values, np.ndarray)
        assert isinstance(new.values, np.ndarray)
        place = kept.sha256.index(str(new.sha256))
        odds = np.exp(extension_offset.scores(head, kept.features[place][None])[0])
        share = 1 / (1 + odds.sum())
        np.testing.assert_allclose(new.values[:1000], share * old.values, atol=2e-4)
        np.testing.assert_allclose(new.values[1000:], share * odds, atol=2e-4)


@pytest.mark.slow
def test_the_folder_holds_what_it_takes_to_be_corrected_and_how_it_was_made(
    run: Extend, tmp_path: Path
) -> None:
    result = run(seed=3)
    card = taught_folders.read_card(tmp_path / "out")
    assert card.made["by"] == "teach --extend"
    assert {**card.made, **json.loads(json.dumps(result.to_dict()))} | card.made
    for name in ("cost", "strength", "offset", "pictures", "old_pictures"):
        assert card.made[name] == getattr(result, name)
    assert card.made["outcome"]["recognised"]["hits"] == result.outcome.recognised.hits
    assert card.parameters == 1_235_496 + 513 * 3
    kept = lessons.read(tmp_path / "out")
    assert (kept.truths == OLD).sum() == 70
    assert (kept.held & (kept.truths == OLD)).sum() == 14
    assert (kept.held & (kept.truths != OLD)).sum() == 6
    answers = np.load(tmp_path / "out" / str(card.old_answers and card.old_answers.file))
    assert answers.shape == (100, 2)
    assert (answers[:, 0] < 0).all()


@pytest.mark.slow
def test_the_same_seed_gives_the_same_network(run: Extend, tmp_path: Path) -> None:
    names = [tmp_path / name for name in ("one", "two", "three")]
    for out, seed in zip(names, (1, 1, 2), strict=True):
        run(out=out, seed=seed)
    prints = [find_network(str(out)).taught for out in names]
    first, second, third = (one.fingerprint for one in prints if one)
    assert first == second != third


@pytest.mark.slow
def test_without_their_classes_the_first_answers_to_old_pictures_are_to_stay(
    run: Extend, blobs: Path, tmp_path: Path
) -> None:
    told = Told()
    result = run(listener=told)
    assert result.layout is None
    assert result.outcome.before.hits == result.outcome.before.of == 14
    assert "first answers are to stay what they are" in told.warnings[0]
    assert told.begun == [30, 70, 100], "the new ones, the old ones, and what is said to both"
    assert len(told.added) == 200
    assert result.warnings == tuple(told.warnings)
    text = teach_text.describe_extension(result)
    assert "old, answered as before: 14 of 14" in text
    assert max(map(len, text.splitlines())) <= 80
    assert "right before" not in text


@pytest.mark.slow
def test_pictures_of_old_classes_may_be_labelled_by_folders_and_some_left_out(
    run: Extend, blobs: Path, pictures: Path, tmp_path: Path
) -> None:
    old = tmp_path / "labelled"
    for number, file in enumerate(sorted(blobs.iterdir())):
        place = old / LABELS[number % 5].wnid
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, place)
    shutil.copy(pictures / "discs" / "000.jpg", old / LABELS[2].wnid)
    (old / LABELS[3].wnid / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    (old / "notes.txt").write_text("no picture")
    result = run(old=old)
    assert result.layout == "folders named by WordNet id"
    assert [one.kind for one in result.failures] == ["broken"]
    assert any("notes.txt" in text for text in result.warnings)
    assert any(text.endswith("of new classes, too: 1") for text in result.warnings)
    assert result.old_pictures + result.outcome.before.of == 70
    assert "right before" in teach_text.describe_extension(result)


@pytest.mark.slow
def test_new_classes_are_measured_on_a_validation(
    run: Extend, pictures: Path, tmp_path: Path
) -> None:
    apart = class_pictures.write(tmp_path / "apart", ["discs", "dots"], each=4, seed=5)
    shutil.copy(pictures / "dots" / "003.jpg", apart / "dots" / "copy.jpg")
    result = run(validation=apart)
    assert result.outcome.recognised.of == 9
    assert result.pictures == 29, "what is in both is not taught"
    assert any("no pictures of stripes" in text for text in result.warnings)


@pytest.mark.parametrize("name", ["tench", "n01440764", "Great_White shark", "7", "crane"])
def test_a_class_that_the_network_has_already_is_refused(
    run: Extend, pictures: Path, tmp_path: Path, name: str
) -> None:
    (pictures / "discs").rename(pictures / name)
    with pytest.raises(UsageError, match=f"'{name}' is a class of squeezenet_v1.1 already"):
        run()
    assert not (tmp_path / "out").exists()


def test_what_is_missing_is_said_before_any_work(
    run: Extend, pictures: Path, blobs: Path, tmp_path: Path
) -> None:
    few = tmp_path / "few"
    few.mkdir()
    for number in range(50):
        shutil.copy(blobs / f"{number}.png", few)
    told = Told()
    for options, text in (
        ({"old": None}, "pictures of its own classes are needed"),
        ({"old": tmp_path / "nothing"}, "expected a folder, an archive or a bucket"),
        ({"old": few, "cost": 2.0}, "40 pictures of the old classes .* give 49 or more"),
        ({"cost": 0.0}, "over 0 and under 100"),
        ({"split": 0.0}, "held out"),
        ({"network": "squeezenet", "folder": tmp_path / "nothing"}, "expected a folder"),
        ({"out": blobs}, "holds other files"),
        ({"out": pictures / "out"}, "would lie among the pictures"),
    ):
        with pytest.raises(UsageError, match=text):
            run(listener=told, **options)
    assert not told.begun
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_new_pictures_that_are_like_the_old_ones_are_refused_and_nothing_is_written(
    run: Extend, tmp_path: Path
) -> None:
    same = tmp_path / "same"
    for number, pixels in enumerate(fakes.pictures(20, 80, seed=8)):
        place = same / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(place / f"{number}.png")
    with pytest.raises(UsageError, match="no new picture is recognised"):
        run(folder=same)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_taught_network_is_not_extended_and_not_replaced_without_force(
    run: Extend, tmp_path: Path
) -> None:
    run()
    with pytest.raises(UsageError, match="--force replaces it"):
        run()
    run(force=True)
    with pytest.raises(UsageError, match=r"out was taught: extend squeezenet_v1\.1 with all"):
        run(network=str(tmp_path / "out"), weights=None, out=tmp_path / "more")


@pytest.mark.parametrize(("lost", "of", "said"), [(0, 50, ""), (1, 50, ""), (2, 50, "by chance")])
def test_more_that_is_lost_than_was_asked_for_is_said(lost: int, of: int, said: str) -> None:
    truths = np.array([OLD] * of + [0])
    before = extension_offset.Before(np.full(of + 1, -1, np.float32), np.ones(of + 1, np.bool_))
    own = np.array([[0.0]] * lost + [[-9.0]] * (of - lost) + [[1.0]])
    log = Log(None)
    extending._check_cost(extension_offset.measure(own, truths, before), 2, log)
    assert said in " ".join(log.warnings)
    assert bool(log.warnings) == bool(said)


def test_much_more_that_is_lost_than_was_asked_for_is_an_error() -> None:
    truths = np.array([OLD] * 50 + [0])
    before = extension_offset.Before(np.full(51, -1, np.float32), np.ones(51, np.bool_))
    own = np.array([[0.0]] * 6 + [[-9.0]] * 44 + [[1.0]])
    with pytest.raises(UsageError, match=r"6 of 50 .* more than the 2 % .* nothing is written"):
        extending._check_cost(extension_offset.measure(own, truths, before), 2, Log(None))
