"""Taught networks that are corrected, and taken back to what they were."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import class_pictures
from tests.support import fakes, taught
from topfive import Classifier
from topfive.cli import teach_text
from topfive.errors import UsageError, WeightsError
from topfive.networks import heads, labels, lessons, taught_folders, weights
from topfive.networks.find import find_network
from topfive.networks.lessons import OLD
from topfive.results import Classification
from topfive.teaching.correct import Corrected, add, forget, history, undo
from topfive.teaching.extend import extend
from topfive.teaching.teach import teach

pytestmark = pytest.mark.slow

CLASSES = ("boards", "discs", "stripes")


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for networks and pictures that are made once."""
    return tmp_path_factory.mktemp("corrected")


@pytest.fixture
def home(kept: Path, weight_file: Path, warm: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have made-up weights where the published ones would be."""
    file = kept / "keras" / "models" / taught.BACKBONE.weights.name
    if not file.exists():
        file.parent.mkdir(parents=True)
        shutil.copy(weight_file, file)
    monkeypatch.setenv("KERAS_HOME", str(kept / "keras"))
    return kept


@pytest.fixture
def pictures(home: Path) -> Path:
    """Pictures of three classes, ten each."""
    folder = home / "pictures"
    return folder if folder.exists() else class_pictures.write(folder, CLASSES, each=10)


@pytest.fixture
def further(home: Path) -> Path:
    """Other pictures of these classes, and some of another."""
    folder = home / "further"
    if folder.exists():
        return folder
    return class_pictures.write(folder, [*CLASSES, "rings"], each=4, seed=7)


@pytest.fixture
def pets(home: Path, pictures: Path, tmp_path: Path) -> Path:
    """A network that was taught them."""
    if not (home / "pets").exists():
        teach(pictures, home / "pets", "squeezenet_v1.1")
    return Path(shutil.copytree(home / "pets", tmp_path / "pets"))


@pytest.fixture
def extended(home: Path, pictures: Path, tmp_path: Path) -> Path:
    """A network that was extended by them."""
    if not (home / "extended").exists():
        (home / "old").mkdir()
        for number, pixels in enumerate(fakes.pictures(70, 80)):
            Image.fromarray(pixels).save(home / "old" / f"{number}.png")
        extend(pictures, home / "old", home / "extended", "squeezenet_v1.1", cost=10)
    return Path(shutil.copytree(home / "extended", tmp_path / "extended"))


def content(folder: Path) -> dict[str, bytes]:
    """Return all that a folder holds but the locks."""
    files = (file for file in folder.iterdir() if not file.name.startswith(".lock"))
    return {file.name: file.read_bytes() for file in files}


def fingerprint(folder: Path) -> str:
    found = find_network(str(folder)).taught
    assert found
    return found.fingerprint


def taught_as(folder: Path) -> dict[str, str]:
    """Return the class of each lesson by its hash."""
    known, classes = lessons.read(folder), taught_folders.read_card(folder).classes
    names = ["" if truth == OLD else classes[truth] for truth in known.truths]
    return dict(zip(known.sha256, names, strict=True))


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_each_correction_can_be_taken_back_byte_for_byte(
    pets: Path, pictures: Path, further: Path
) -> None:
    states = [content(pets)]
    prints = [fingerprint(pets)]
    corrections: tuple[Callable[[], Corrected], ...] = (
        lambda: add(pets, [(str(further / "discs" / "000.jpg"), "discs")]),
        lambda: add(pets, [(str(further / "rings" / "000.jpg"), "my ring"),
                           (str(pictures / "discs" / "003.jpg"), "stripes")]),
        lambda: forget(pets, [str(pictures / "boards" / "002.jpg"), "discs/005.jpg"]),
        lambda: forget(pets, [sha256(further / "rings" / "000.jpg")]),
    )  # fmt: skip
    for number, correct in enumerate(corrections, start=1):
        result = correct()
        assert result.corrections == number
        assert result.fingerprints == (prints[-1], fingerprint(pets))
        states.append(content(pets))
        prints.append(fingerprint(pets))
    assert len(set(prints)) == len(prints)
    found = [one.fingerprints for one in history(pets).corrections]
    assert found == list(itertools.pairwise(prints))
    for state in reversed(states[:-1]):
        undo(pets)
        assert content(pets) == state
    with pytest.raises(UsageError, match="no correction that could be undone"):
        undo(pets)


def test_an_added_picture_is_answered_as_it_was_taught(pets: Path, further: Path) -> None:
    picture = further / "rings" / "001.jpg"
    result = add(pets, [(str(picture), "my ring")])
    assert result.appended == ("my ring",)
    assert result.classes == (*CLASSES, "my ring")
    assert "my ring is a new class, pictures of it: 1" in result.notes
    answer = Classifier(str(pets)).classify(picture, top=4)
    assert isinstance(answer, Classification)
    assert answer.predictions[0].label == "my ring"
    card = taught_folders.read_card(pets)
    before = find_network(str(pets)).parameters
    assert card.parameters == before == 1_235_496 - 513 * 1000 + 513 * 4
    known = lessons.read(pets)
    assert not known.held[known.sha256.index(sha256(picture))]


def test_the_accuracy_before_and_after_is_of_the_same_pictures(pets: Path, pictures: Path) -> None:
    known = lessons.read(pets)
    held = int(np.flatnonzero(known.held)[0])
    result = forget(pets, [known.names[held]])
    assert result.accuracy
    assert result.accuracy[0] == result.accuracy[1]
    assert result.accuracy[0].of == known.held.sum() - 1
    changed = add(pets, [(str(pictures / known.names[np.flatnonzero(known.held)[1]]), "stripes")])
    assert changed.accuracy
    assert changed.accuracy[1].of == known.held.sum() - 2, "what is added is taught"


def test_a_picture_that_is_there_already_changes_nothing_or_its_class(
    pets: Path, pictures: Path, further: Path, tmp_path: Path
) -> None:
    before = content(pets)
    copy = shutil.copy(pictures / "discs" / "001.jpg", tmp_path / "copy.jpg")
    result = add(pets, [(str(copy), "discs")])
    assert content(pets) == before
    assert not result.changes
    assert result.notes[0].startswith(f"{copy} is there already: discs/001.jpg")
    assert "nothing changed" in teach_text.describe_corrections(result)

    result = add(pets, [(str(copy), "boards")])
    (change,) = result.changes
    assert (change.name, change.was, change.now) == ("discs/001.jpg", "discs", "boards")
    assert taught_as(pets)[change.sha256] == "boards"
    assert len(lessons.read(pets)) == 30
    twice = str(further / "discs" / "001.jpg")
    with pytest.raises(UsageError, match="one picture: it is of one class"):
        add(pets, [(twice, "discs"), (twice, "boards")])
    assert len(add(pets, [(twice, "discs"), (twice, "discs")]).changes) == 1


def test_a_class_whose_last_picture_is_forgotten_is_removed_and_one_of_two_is_not(
    pets: Path, pictures: Path
) -> None:
    result = forget(pets, [str(file) for file in sorted((pictures / "discs").iterdir())])
    assert result.removed == ("discs",)
    assert result.classes == ("boards", "stripes")
    assert find_network(str(pets)).taught.classes == ("boards", "stripes")  # type: ignore[union-attr]
    assert result.accuracy
    assert result.accuracy[0].of == 4
    before = content(pets)
    with pytest.raises(UsageError, match=r"would leave stripes alone; 2 or more"):
        forget(pets, [str(file) for file in sorted((pictures / "boards").iterdir())])
    assert content(pets) == before
    assert undo(pets).appended == ("discs",)
    assert find_network(str(pets)).taught.classes == CLASSES  # type: ignore[union-attr]


def test_a_class_is_not_left_with_pictures_that_are_held_out_alone(pets: Path) -> None:
    known = lessons.read(pets)
    train = [known.names[place] for place in np.flatnonzero((known.truths == 1) & ~known.held)]
    with pytest.raises(UsageError, match="no picture of discs would be left but those"):
        forget(pets, train)


def test_pictures_are_found_by_content_by_name_and_by_hash(
    pets: Path, pictures: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "elsewhere.jpg"
    shutil.copy(pictures / "boards" / "004.jpg", moved)
    digest = sha256(pictures / "stripes" / "006.jpg")
    result = forget(pets, [str(moved), "boards/001.jpg", f"sha256:{digest.upper()}"])
    assert {one.name for one in result.changes} == {
        "boards/004.jpg", "boards/001.jpg", "stripes/006.jpg"
    }  # fmt: skip
    with pytest.raises(UsageError, match=r"was not taught boards/04\.jpg\. Did you mean boards/0"):
        forget(pets, ["boards/04.jpg"])
    with pytest.raises(UsageError, match=r"names several pictures.*: [0-9a-f]{64}, "):
        forget(pets, ["005.jpg"])
    with pytest.raises(UsageError, match="was not taught zzz; a picture is named by"):
        forget(pets, ["zzz"])
    with pytest.raises(UsageError, match="was not taught"):
        forget(pets, [digest])


def test_a_picture_that_cannot_be_read_is_a_failure_and_the_others_are_added(
    pets: Path, further: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n broken")
    given = [(str(broken), "discs"), (str(further / "discs"), "discs"), ("nothing.jpg", "discs")]
    result = add(pets, given)
    assert [one.kind for one in result.failures] == ["broken", "missing"]
    assert len(result.changes) == 4, "a folder is all of its pictures"
    assert json.loads(json.dumps(result.to_dict()))["failures"][0]["source"] == str(broken)
    before = content(pets)
    assert not add(pets, given[:1]).changes
    assert content(pets) == before


def test_a_mistyped_class_is_asked_about_and_spelling_is_forgiven(
    pets: Path, further: Path
) -> None:
    picture = str(further / "discs" / "002.jpg")
    assert any("is it discs?" in one for one in add(pets, [(picture, "dics")]).notes)
    undo(pets)
    assert add(pets, [(picture, "Discs")]).classes == CLASSES
    with pytest.raises(UsageError, match="cannot be the name of a class"):
        add(pets, [(picture, "a\nb")])
    with pytest.raises(UsageError, match="cannot be the name of a class"):
        add(pets, [(picture, "")])


def test_an_extended_network_is_corrected_by_the_same_rule(
    extended: Path, further: Path, home: Path
) -> None:
    before = content(extended)
    cost = taught_folders.read_card(extended).made["cost"]
    result = add(extended, [(str(further / "discs"), "discs")])
    assert result.old
    assert result.accuracy
    assert result.old[1].of == 14
    assert result.old[1].hits >= result.old[0].hits - 1
    assert len(result.changes) == 4
    answers = taught_folders.read_card(extended).old_answers
    assert answers
    assert len(np.load(extended / str(answers.file))) == len(lessons.read(extended)) == 104
    assert cost == 10

    picture = further / "rings" / "002.jpg"
    assert add(extended, [(str(picture), "goldfish")]).changes[0].now == ""
    known = taught_as(extended)
    assert known[sha256(picture)] == "", "it is of a class that the backbone knows"
    with pytest.raises(UsageError, match=r"'7' is a class of squeezenet_v1\.1 already"):
        add(extended, [(str(picture), "7")])
    assert forget(extended, [str(home / "old" / "3.png")]).changes[0].was == ""
    assert add(extended, [(str(home / "old" / "4.png"), "discs")]).changes[0].was == ""
    for _ in range(4):
        undo(extended)
    assert content(extended) == before


def test_an_extended_network_keeps_a_class_and_enough_old_pictures(
    extended: Path, pictures: Path, home: Path
) -> None:
    files = [str(file) for name in CLASSES for file in sorted((pictures / name).iterdir())]
    with pytest.raises(UsageError, match="would leave no class; 1 or more"):
        forget(extended, files)
    assert forget(extended, files[:20]).classes == ("stripes",)
    with pytest.raises(UsageError, match="too few to keep the cost at 10 %"):
        forget(extended, [str(file) for file in (home / "old").iterdir()])


def test_the_text_fits_a_terminal_and_shows_names_as_they_are_safe(
    pets: Path, further: Path, tmp_path: Path
) -> None:
    odd = tmp_path / "odd \x1b[31m name \n of a picture that goes on and on and on, and on.jpg"
    shutil.copy(further / "discs" / "003.jpg", odd)
    added = add(
        pets, [(str(odd), "a class whose name is as long as people make them: " + 60 * "x")]
    )
    taken = forget(pets, ["boards/003.jpg"])
    texts = [
        teach_text.describe_corrections(one) for one in (added, taken, history(pets), undo(pets))
    ]
    for text in texts:
        assert all(len(line) <= 80 for line in text.splitlines() if " " in line.strip())
        assert "\x1b" not in text
    undo(pets)
    # Where a line is broken depends on the length of the folder's name.
    texts = [
        " ".join(text.split()) for text in (*texts, teach_text.describe_corrections(history(pets)))
    ]
    assert "boards/003.jpg: was boards" in texts[1]
    assert "held out, right now:" in texts[1]
    assert texts[2].count(": added") == texts[2].count(": forgotten") == 1
    assert "--undo takes the last of 2 corrections back" in texts[1]
    assert "was not corrected" in texts[4]


def test_what_cannot_be_corrected_is_said(
    pets: Path, further: Path, tmp_path: Path, weight_file: Path, home: Path
) -> None:
    picture = [(str(further / "discs" / "000.jpg"), "discs")]
    for name in ("squeezenet_v1.1", "vgg16"):
        with pytest.raises(UsageError, match="published network; only taught ones"):
            add(name, picture)
    with pytest.raises(UsageError, match=r"there is no card\.json in it"):
        history(further)
    taught.write(tmp_path / "tuned", weight_file)
    with pytest.raises(UsageError, match="keeps no lessons: it cannot be corrected"):
        add(tmp_path / "tuned", picture)
    file = next(pets.glob("lessons-*"))
    data = file.read_bytes()
    file.write_bytes(data[:-100])
    attempts: tuple[Callable[[], Corrected], ...] = (
        lambda: add(pets, picture), lambda: forget(pets, ["x"]), lambda: undo(pets)
    )  # fmt: skip
    for correct in attempts:
        with pytest.raises(UsageError, match=r"lessons-.* is damaged"):
            correct()
    file.write_bytes(data)
    next(pets.glob("head-*")).write_bytes(b"x")
    with pytest.raises(WeightsError, match="is not what was taught"):
        forget(pets, ["boards/003.jpg"])


@pytest.mark.parametrize("damage", [
    {"changes": None}, {"changes": [{"place": 99, "was": None, "now": {"sha256": "x"}}]},
    {"changes": [{"place": -1, "was": None, "now": None}]}, {"classes": ["boards"]},
    {"changes": [{"place": 0, "was": {}, "now": None}]},
    {"changes": [{"place": 0, "was": None, "now": None}]},
    {"parameters": None, "file": None, "checksum": None, "size": None},
])  # fmt: skip
def test_a_damaged_journal_is_an_error(
    pets: Path, further: Path, damage: dict[str, object]
) -> None:
    add(pets, [(str(further / "discs" / "000.jpg"), "discs")])
    card = json.loads((pets / "card.json").read_text())
    card["correction-1"] |= damage
    for name in [name for name in damage if damage[name] is None]:
        del card["correction-1"][name]
    (pets / "card.json").write_text(json.dumps(card))
    before = content(pets)
    with pytest.raises(UsageError, match=r"the journal in .* is damaged"):
        undo(pets)
    assert content(pets) == before


@pytest.mark.parametrize("made", [
    {"strength": -1.0}, {"strength": 0}, {"strength": "x"}, {"seed": -1}, {"seed": 1 << 40},
])  # fmt: skip
def test_a_network_that_says_nonsense_of_how_it_was_taught_is_an_error(
    pets: Path, made: dict[str, object]
) -> None:
    card = json.loads((pets / "card.json").read_text())
    card["made"] |= made
    (pets / "card.json").write_text(json.dumps(card))
    with pytest.raises(UsageError, match="does not say how it was taught"):
        forget(pets, ["boards/003.jpg"])


def test_the_weights_must_be_those_that_it_was_taught_with(
    pets: Path, further: Path, tmp_path: Path, weight_file: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    picture = [(str(further / "discs" / "000.jpg"), "discs")]
    models = tmp_path / "keras" / "models"
    monkeypatch.setenv("KERAS_HOME", str(models.parent))
    with pytest.raises(WeightsError, match="needs its weights"):
        add(pets, picture, offline=True)
    models.mkdir(parents=True)
    other = models / taught.BACKBONE.weights.name
    other.write_bytes(weight_file.read_bytes() + b"0")
    weights.pin(taught.BACKBONE)
    with pytest.raises(WeightsError, match="taught with other weights of squeezenet"):
        add(pets, picture, offline=True)
    assert not history(pets).corrections


def test_two_at_once_are_both_in_the_journal(pets: Path) -> None:
    names = ("boards/001.jpg", "boards/002.jpg", "discs/001.jpg", "discs/002.jpg")
    results: list[Corrected] = []
    threads = [
        threading.Thread(target=lambda name=name: results.append(forget(pets, [name])))
        for name in names
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one.corrections for one in results) == [1, 2, 3, 4]
    found = [one.changes[0].name for one in history(pets).corrections]
    assert sorted(found) == sorted(names)
    assert len(lessons.read(pets)) == 26


def test_a_kill_at_any_moment_leaves_a_whole_network(pets: Path) -> None:
    program = (
        "import sys; from topfive.teaching.correct import forget, undo\n"
        "for number in range(10**6):\n"
        "    forget(sys.argv[1], ['boards/001.jpg']); print(number, flush=True)\n"
        "    undo(sys.argv[1])\n"
    )
    first = fingerprint(pets)
    states = set()
    for patience in (0.002, 0.011, 0.03):
        with subprocess.Popen(
            [sys.executable, "-c", program, str(pets)],
            stdout=subprocess.PIPE,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        ) as process:
            assert process.stdout
            process.stdout.readline()
            time.sleep(patience)
            process.send_signal(signal.SIGKILL)
        network = find_network(str(pets))
        assert heads.read(network, taught.FEATURES).shape == (513, 3)
        states.add(fingerprint(pets))
        assert len(lessons.read(pets)) == 30 - len(history(pets).corrections)
        if history(pets).corrections:
            undo(pets)
        assert fingerprint(pets) == first
    assert len(states) <= 2


def test_the_label_of_a_wordnet_id_names_its_class(
    home: Path, pictures: Path, further: Path, tmp_path: Path
) -> None:
    robin = next(label for label in labels.load("imagenet") if label.name == "robin")
    shutil.copytree(pictures / "discs", tmp_path / "two" / robin.wnid)
    shutil.copytree(pictures / "boards", tmp_path / "two" / "boards")
    teach(tmp_path / "two", tmp_path / "birds", "squeezenet_v1.1")
    result = add(tmp_path / "birds", [(str(further / "discs" / "001.jpg"), "robin")])
    assert result.changes[0].now == robin.wnid
    assert not result.appended
