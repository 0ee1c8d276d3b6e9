"""Networks that are taught from folders, with the default network and with a made-up one."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import class_pictures
from tests.support import taught
from tests.support.photographs import PHOTOGRAPHS, variations
from topfive import Classifier
from topfive.errors import (
    DamagedWeightsError,
    MissingExtraError,
    OutputError,
    UsageError,
    WeightsError,
)
from topfive.networks import find, lessons, taught_folders, weights
from topfive.results import Failure, Listener
from topfive.system import extras, files
from topfive.teaching import teach as teaching

Teach = Callable[..., teaching.Teaching]
THREE = ("discs", "stars", "stripes")


class Heard(Listener):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.totals: list[int] = []
        self.added: list[str] = []
        self.ended = 0
        self.warnings: list[str] = []

    def begin(self, total: int) -> None:
        self.totals.append(total)

    def add(self, source: str, failure: Failure | None) -> None:
        self.added.append(source)

    def end(self) -> None:
        self.ended += 1

    def warn(self, text: str) -> None:
        self.warnings.append(text)


@pytest.fixture
def teach(warm: Path) -> Teach:
    """Teach the default network, whose weights are real."""
    return teaching.teach


@pytest.fixture(scope="session")
def ten(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten classes."""
    return class_pictures.write(tmp_path_factory.mktemp("ten"), each=25)


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """Three classes, in a folder that a test may change."""
    return class_pictures.write(tmp_path / "pets", THREE, each=12)


@pytest.mark.slow
def test_ten_classes_are_taught_and_the_network_answers_as_was_measured(
    teach: Teach, ten: Path, tmp_path: Path
) -> None:
    heard = Heard()
    result = teach(ten, tmp_path / "shapes", listener=heard)
    assert (result.pictures, result.held_out, result.failures) == (200, 50, ())
    assert result.known + result.computed == 250
    accuracy = result.accuracy
    assert accuracy.held_out
    assert accuracy.all.of == 50
    assert accuracy.all.value >= 0.88
    assert accuracy.all.low < accuracy.all.value <= accuracy.all.high
    assert [(one.name, one.pictures, one.accuracy.of) for one in accuracy.classes] == [
        (name, 20, 5) for name in class_pictures.CLASSES
    ]
    assert sum(one.accuracy.hits for one in accuracy.classes) == accuracy.all.hits
    assert sum(one.count for one in accuracy.confusions) == 50 - accuracy.all.hits
    assert (heard.totals, len(heard.added), heard.ended, heard.warnings) == ([250], 250, 1, [])
    assert json.loads(json.dumps(result.to_dict()))["classes"] == list(class_pictures.CLASSES)

    # One inference of the compiled graph gives what the regression was measured with.
    kept = lessons.read(tmp_path / "shapes")
    held = [name for name, held in zip(kept.names, kept.held, strict=True) if held]
    classifier = Classifier(str(tmp_path / "shapes"), throughput=True)
    answers = list(classifier.stream([ten / name for name in held]))
    firsts = [one.predictions[0].label for one in answers if not isinstance(one, Failure)]
    assert sum(first == Path(name).parent.name for first, name in zip(firsts, held, strict=True)) \
        == accuracy.all.hits  # fmt: skip
    assert classifier.labels[0].name == "bars"


@pytest.mark.slow
def test_photographs_are_told_apart(teach: Teach, tmp_path: Path) -> None:
    """Classes of several things each: no line in the pictures' pixels parts them."""
    photos = tmp_path / "photos"
    for name, things in (("one", list(PHOTOGRAPHS)[::2]), ("two", list(PHOTOGRAPHS)[1::2])):
        for thing in things:
            (photos / name).mkdir(parents=True, exist_ok=True)
            for number, picture in enumerate(variations(thing, 5)):
                picture.save(photos / name / f"{thing}{number}.jpg")
    result = teach(photos, tmp_path / "net", split=0)
    assert result.accuracy.all.of == 40
    assert result.accuracy.all.value >= 0.9


@pytest.mark.slow
def test_the_features_are_computed_once_and_the_split_is_the_same_for_the_same_seed(
    teach: Teach, three: Path, tmp_path: Path
) -> None:
    first = teach(three, tmp_path / "a", seed=3)
    again = teach(three, tmp_path / "b", seed=3)
    other = teach(three, tmp_path / "c", seed=4)
    assert (again.known, again.computed) == (36, 0)
    assert again.seconds["features"] < again.seconds["all"]
    kept = [lessons.read(tmp_path / name) for name in "abc"]
    assert kept[0].held.sum() == 6
    assert (kept[0].held == kept[1].held).all()
    assert (kept[0].held != kept[2].held).any()
    heads = [taught_folders.read_card(tmp_path / name).head.checksum for name in "abc"]
    assert heads[0] == heads[1] != heads[2]
    assert first.accuracy == again.accuracy
    assert other.held_out == 6


@pytest.mark.slow
def test_the_card_says_how_it_was_made(teach: Teach, three: Path, tmp_path: Path) -> None:
    result = teach(three, tmp_path / "shapes", fit="pad", window=(10, 250))
    content = taught_folders.read_card(tmp_path / "shapes")
    assert content.backbone == "efficientnet_lite0"
    assert content.recipe.fit == "pad"
    assert content.recipe.window == (10, 250)
    assert result.recipe == "pad-bicubic-window10..250"
    made = content.made
    assert (made["folder"], made["pictures"], made["held_out"]) == (str(three), 30, 6)
    assert made["strength"] == result.strength
    assert made["accuracy"]["hits"] == result.accuracy.all.hits
    assert made["versions"]["scikit-learn"]
    # The network's last layer had 1281 numbers for each class, as the head has.
    assert content.parameters == 4_694_024 - 1281 * 1000 + 1281 * 3
    card = find.find_network(str(tmp_path / "shapes"))
    assert str(card.recipe) == result.recipe


@pytest.mark.slow
def test_a_network_with_other_weights_takes_them_along(
    weight_file: Path, warm: Path, three: Path, tmp_path: Path
) -> None:
    teaching.teach(three, tmp_path / "net", "squeezenet_v1.1", weights=weight_file)
    copy = next((tmp_path / "net").glob("weights-*.h5"))
    assert copy.read_bytes() == weight_file.read_bytes()
    assert weights.path(taught_folders.read(tmp_path / "net")) == copy
    # And a network that is taught on it computes no feature anew.
    result = teaching.teach(three, tmp_path / "other", str(tmp_path / "net"))
    assert (result.network, result.known, result.computed) == ("squeezenet_v1.1", 36, 0)
    assert len(list((tmp_path / "other").glob("weights-*.h5"))) == 1
    with pytest.raises(UsageError, match="has weights of its own"):
        teaching.teach(three, tmp_path / "x", str(tmp_path / "net"), weights=weight_file)


@pytest.mark.slow
def test_a_network_is_taught_on_the_features_of_a_tuned_one(
    weight_file: Path, warm: Path, three: Path, tmp_path: Path
) -> None:
    tuned = taught.write(tmp_path / "tuned", weight_file, tuned=True)
    result = teaching.teach(three, tmp_path / "net", tuned)
    assert (result.network, result.computed) == ("tuned", 36)
    card = taught_folders.read(tmp_path / "net")
    assert card.taught
    assert (card.taught.backbone, card.taught.tuned) == ("squeezenet_v1.1", True)
    assert files.checksum_of(weights.path(card)) == tuned.weights.checksum
    assert card.parameters == tuned.parameters - 513 * len(taught.CLASSES) + 513 * 3
    weights.path(tuned).write_bytes(b"other weights")
    with pytest.raises(DamagedWeightsError, match="teach the network again"):
        teaching.teach(three, tmp_path / "other", tuned)


@pytest.mark.slow
def test_a_validation_folder_is_what_is_measured_on(
    teach: Teach, three: Path, tmp_path: Path
) -> None:
    apart = class_pictures.write(tmp_path / "apart", THREE, each=5, seed=9)
    shutil.copy(three / "stars" / "003.jpg", apart / "stars" / "both.jpg")
    heard = Heard()
    result = teach(three, tmp_path / "net", validation=apart, listener=heard)
    assert (result.pictures, result.held_out, result.accuracy.all.of) == (35, 16, 16)
    assert result.warnings == (f"1 pictures are in {apart}, too: they are not taught",)
    assert heard.warnings == list(result.warnings)
    kept = lessons.read(tmp_path / "net")
    assert len(set(kept.sha256)) == 51
    assert kept.held.tolist() == [False] * 35 + [True] * 16
    assert kept.names[-1] == str(apart / "stripes" / "004.jpg")


@pytest.mark.slow
def test_a_validation_with_other_classes_is_refused_and_with_fewer_is_told(
    teach: Teach, three: Path, tmp_path: Path
) -> None:
    apart = class_pictures.write(tmp_path / "apart", ["stars", "rings"], each=2, seed=9)
    with pytest.raises(UsageError, match=r"holds classes that .* has not: rings"):
        teach(three, tmp_path / "net", validation=apart)
    shutil.rmtree(apart / "rings")
    result = teach(three, tmp_path / "net", validation=apart)
    assert result.warnings == (f"{apart} holds no pictures of discs, stripes",)
    assert result.accuracy.all.of == 2


def test_a_validation_that_leaves_nothing_to_teach_is_refused(
    teach: Teach, three: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="all pictures of discs, stars, stripes are in"):
        teach(three, tmp_path / "net", validation=three)
    assert not (tmp_path / "net").exists()


def test_without_a_split_it_is_measured_by_cross_validation(
    teach: Teach, three: Path, tmp_path: Path
) -> None:
    result = teach(three, tmp_path / "net", split=0)
    assert (result.pictures, result.held_out) == (36, 0)
    assert not result.accuracy.held_out
    assert result.accuracy.all.of == 36
    assert result.accuracy.all.value > 0.8
    assert not lessons.read(tmp_path / "net").held.any()


@pytest.mark.slow
def test_what_is_odd_about_the_pictures_is_told_and_left_out(
    teach: Teach, three: Path, tmp_path: Path
) -> None:
    shutil.copy(three / "discs" / "001.jpg", three / "discs" / "copy.jpg")
    shutil.copy(three / "discs" / "002.jpg", three / "stars" / "wrong.jpg")
    Image.new("RGB", (20, 40), "red").save(three / "discs" / "tiny.png")
    (three / "stripes" / "cut.jpg").write_bytes((three / "discs" / "001.jpg").read_bytes()[:900])
    (three / "stripes" / "notes.txt").write_text("not a picture")
    (three / "stars" / "empty.jpg").write_bytes(b"")
    (three / "beside.jpg").write_bytes(b"")
    (three / "void").mkdir()
    (three / "broken").mkdir()
    (three / "broken" / "one.jpg").write_bytes(b"no picture")
    class_pictures.write(three, ["dots"], each=2)
    class_pictures.write(three, ["bars"], each=70, size=64)
    result = teach(three, tmp_path / "net")
    assert result.classes == ("bars", "discs", "dots", "stars", "stripes")
    assert result.pictures + result.held_out == 70 + 12 + 2 + 12 + 12
    assert {Path(one.source).name: one.kind for one in result.failures} == {
        "cut.jpg": "broken", "notes.txt": "not-a-picture", "empty.jpg": "empty",
        "one.jpg": "not-a-picture",
    }  # fmt: skip
    discs, stars = three / "discs", three / "stars"
    assert result.warnings == (
        f"in several classes at once, left out: {discs / '002.jpg'} = {stars / 'wrong.jpg'}",
        f"copies of other pictures, left out: {discs / 'copy.jpg'}",
        "no picture is left of broken: left out",
        f"under 32 pixels wide or high: {discs / 'tiny.png'}",
        f"folders without a file, left out: {three / 'void'}",
        f"files beside the classes' folders, left out: {three / 'beside.jpg'}",
        "under 10 pictures of dots (2); more would make it better",
        "70 pictures of bars and 2 of dots: all classes count the same, whatever their number "
        "of pictures",
    )
    kept = lessons.read(tmp_path / "net")
    assert not {"discs/copy.jpg", "discs/002.jpg", "stars/wrong.jpg"} & set(kept.names)
    assert len(set(kept.sha256)) == len(kept)


@pytest.mark.slow
def test_parts_of_a_data_set_that_were_taken_for_classes_are_told(
    teach: Teach, tmp_path: Path
) -> None:
    for part, seed in (("train", 1), ("val", 2)):
        class_pictures.write(tmp_path / "data" / part, THREE, each=4, seed=seed)
    result = teach(tmp_path / "data", tmp_path / "net")
    first = tmp_path / "data" / "train"
    assert f"the classes are train, val: is {first} the folder of classes?" in result.warnings


def test_a_second_class_that_cannot_be_read_is_an_error_and_nothing_is_written(
    teach: Teach, tmp_path: Path
) -> None:
    class_pictures.write(tmp_path / "pets", ["discs"], each=3)
    (tmp_path / "pets" / "stars").mkdir()
    (tmp_path / "pets" / "stars" / "a.jpg").write_bytes(b"no picture")
    with pytest.raises(UsageError, match="pictures of 1 class are left; expected two"):
        teach(tmp_path / "pets", tmp_path / "net")
    assert not (tmp_path / "net").exists()


@pytest.mark.slow
def test_a_network_is_replaced_by_force_alone_and_what_changed_since_is_told(
    teach: Teach, three: Path, tmp_path: Path
) -> None:
    out = tmp_path / "net"
    assert teach(three, out).changes is None
    card = (out / "card.json").read_bytes()
    with pytest.raises(UsageError, match="holds a network already; --force replaces it"):
        teach(three, out)
    assert (out / "card.json").read_bytes() == card
    class_pictures.write(three, ["rings"], each=3)  # new
    (three / "discs" / "004.jpg").unlink()  # gone
    class_pictures.draw("stars", 80, np.random.default_rng(99)).save(three / "stars" / "001.jpg")
    result = teach(three, out, force=True)
    assert result.changes == teaching.Changes(new=3, gone=1, changed=1)
    # The changed picture's features are those of its new content.
    assert result.computed >= 1
    changed = hashlib.sha256((three / "stars" / "001.jpg").read_bytes()).hexdigest()
    kept = lessons.read(out)
    assert kept.sha256[kept.names.index("stars/001.jpg")] == changed
    assert taught_folders.read_card(out).classes == ("discs", "rings", "stars", "stripes")
    assert len(list(out.glob("head-*"))) == len(list(out.glob("lessons-*"))) == 1


@pytest.mark.slow
def test_an_interruption_leaves_nothing_behind_but_the_features(
    teach: Teach, three: Path, tmp_path: Path
) -> None:
    class Stops(Listener):
        def __init__(self) -> None:
            self.left = 20

        def add(self, source: str, failure: Failure | None) -> None:
            self.left -= 1
            if not self.left:
                raise KeyboardInterrupt

    folder = class_pictures.write(tmp_path / "others", THREE, each=12, seed=77)
    with pytest.raises(KeyboardInterrupt):
        teach(folder, tmp_path / "net", listener=Stops())
    assert not (tmp_path / "net").exists()
    result = teach(folder, tmp_path / "net")
    assert result.known >= 19
    assert result.known + result.computed == 36


@pytest.mark.parametrize("name", ["resnet", "VGG-16"])
def test_a_name_that_a_published_network_has_is_refused(
    three: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="a published network; choose another name"):
        teaching.teach(three, name, "squeezenet")


def test_a_target_that_cannot_be_written_is_refused_before_any_work(
    three: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    for out, message in (
        (three / "net", "would lie among the pictures"),
        (tmp_path / "file", "is a file"),
        (tmp_path / "file" / "net", "is no folder that can be written to"),
        (tmp_path / "full", "holds other files"),
        (tmp_path / "a\nb", "is called as its folder"),
    ):
        with pytest.raises(UsageError, match=message):
            teaching.teach(three, out, "no such network")  # is not looked for
    assert (tmp_path / "file").read_text() == "mine"


def test_wrong_options_and_what_is_missing_are_told_before_any_picture_is_read(
    three: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = Heard()
    out = tmp_path / "net"
    with pytest.raises(UsageError, match="share that is held out"):
        teaching.teach(three, out, "squeezenet", split=1.5, listener=heard)
    with pytest.raises(UsageError, match="unknown network"):
        teaching.teach(three, out, "nonet", listener=heard)
    with pytest.raises(WeightsError, match="--offline"):
        teaching.teach(three, out, "vgg16", offline=True, listener=heard)
    with pytest.raises(UsageError, match="expected 2 or more folders"):
        teaching.teach(three / "discs", out, "squeezenet", listener=heard)
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"topfive\[teach\]"):
        teaching.teach(three, out, "squeezenet", listener=heard)
    assert heard.totals == []
    assert not out.exists()


@pytest.mark.slow
def test_a_full_disk_leaves_the_network_that_was_there(
    teach: Teach, three: Path, tmp_path: Path, small_disk: Path
) -> None:
    out = small_disk / "net"
    teach(three, out)
    card = (out / "card.json").read_bytes()
    (small_disk / "ballast").write_bytes(bytes(700_000))
    class_pictures.write(three, ["rings"], each=12)
    with pytest.raises(OutputError, match="cannot write"):
        teach(three, out, force=True)
    assert (out / "card.json").read_bytes() == card
    assert len(lessons.read(out)) == 36


@pytest.mark.slow
def test_grey_pictures_of_16_bits_are_taught_as_the_window_shows_them(
    teach: Teach, tmp_path: Path
) -> None:
    random = np.random.default_rng(0)
    for name, low in (("dark", 1000), ("bright", 1200)):
        (tmp_path / "scans" / name).mkdir(parents=True)
        for number in range(12):
            pixels = low + random.integers(0, 100, (64, 64), np.uint16)
            Image.fromarray(pixels).save(tmp_path / "scans" / name / f"{number}.png")
    result = teach(tmp_path / "scans", tmp_path / "net", window=(1000, 1300), split=0.25)
    assert result.accuracy.all.hits == result.accuracy.all.of == 6
    assert taught_folders.read(tmp_path / "net").recipe.window == (1000, 1300)
