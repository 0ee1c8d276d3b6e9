"""Folders with a network's card: found, read with suspicion, written whole or not at all."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.support import taught
from topfive.errors import OutputError, UnknownNetworkError, UsageError, WeightsError
from topfive.networks import heads, taught_folders, weights
from topfive.networks.cards import Network, Recipe
from topfive.networks.find import find_network
from topfive.networks.published import NETWORKS
from topfive.networks.taught_cards import CARD, CardFile, TaughtCard
from topfive.system.files import checksum_of

BACKBONE = NETWORKS["squeezenet"]
# Writes another network to a folder, and is killed before the n-th file gets its place.
KILLED = """
import os, pathlib, signal, sys
from tests.networks.test_taught_folders import write
left, replace = int(sys.argv[2]), pathlib.Path.replace
def die_or_replace(self, target):
    global left
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    return replace(self, target)
pathlib.Path.replace = die_or_replace
write(pathlib.Path(sys.argv[1]), seed=2)
"""


def write(folder: Path, classes: tuple[str, ...] = taught.CLASSES, seed: int = 1,
          **more: Any) -> Network:  # fmt: skip
    """Write a network on the published SqueezeNet, none of whose weights are needed."""
    card = TaughtCard(
        name=folder.name,
        backbone=BACKBONE.name,
        weights=CardFile(None, str(BACKBONE.weights.checksum), BACKBONE.weights.size),
        classes=tuple(classes),
        recipe=BACKBONE.recipe,
        parameters=1_000_000,
        made={"seed": seed},
    )
    files = {"head": heads.as_part(taught.made_up_head(len(classes), seed))}
    return taught_folders.write(folder, replace(card, **more), files)


def is_whole(folder: Path) -> bool:
    """Whether the card can be read and its head is what was taught."""
    network = taught_folders.read(folder)
    file, checksum = taught_folders.head_file(network)
    return checksum_of(file) == checksum


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()} - {taught_folders.LOCK}


def change(folder: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    card = json.loads((folder / CARD).read_text("utf-8"))
    edit(card)
    (folder / CARD).write_text(json.dumps(card), "utf-8")


def test_a_folder_is_a_network_however_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "Tiere, été ☃"
    written = write(folder)
    (tmp_path / "link").symlink_to(folder)
    monkeypatch.chdir(tmp_path)
    ways = (folder, f"{folder}/", folder.name, f"./{folder.name}", f"{folder.name}/", "link")
    found = [find_network(str(way)) for way in ways]
    assert written.taught
    assert {card.taught.fingerprint for card in found if card.taught} == {
        written.taught.fingerprint
    }
    assert {Path(card.reference).is_absolute() for card in found} == {True}
    assert found[0] == written
    assert (written.name, written.top1, written.recipe) == (folder.name, None, BACKBONE.recipe)


def test_a_published_name_is_that_network_and_a_path_is_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "vgg16")
    assert find_network("vgg16") is NETWORKS["vgg16"]
    for name in ("vgg16/", "./vgg16", str(tmp_path / "vgg16")):
        assert find_network(name).taught


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("pets/", "pets/ is no folder that is there"),
        ("file/", "file/ is no folder"),
        ("./file", "is a file; expected the folder"),
        ("empty", "empty holds no network: there is no card.json"),
        ("pest", "unknown network 'pest'"),
        ("", "unknown network ''"),
        ("a\0/b", "a\ufffd/b is no folder"),
        ("x/" * 5000, "x/ is no folder"),
        ("y" * 5000, "unknown network"),
        ("squeezenet/", "squeezenet/ is no folder"),
        ("été/", "été/ is no folder"),
    ],
)
def test_what_is_no_network_is_said_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    with pytest.raises(UnknownNetworkError) as caught:
        find_network(name)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda card: card.pop("classes"), "no 'classes'"),
        (lambda card: card.update(classes=[]), "expected 1 to 100,000 classes"),
        (lambda card: card.update(classes="cat"), "expected 1 to"),
        (lambda card: card.update(classes=["a", "a"]), "two classes have the same name"),
        (lambda card: card.update(classes=["a", "b\nc"]), "cannot be the name of a class"),
        (lambda card: card.update(classes=["a", "\x1b[2J"]), r"'\x1b[2J' cannot be"),
        (lambda card: card.update(classes=["a", "\u202eb"]), "cannot be the name"),
        (lambda card: card.update(classes=["a", 5]), "cannot be the name"),
        (lambda card: card.update(classes=["a", "x" * 201]), "1 to 200 printable letters"),
        (lambda card: card.update(name="../../x"), "cannot be a part of a file's name"),
        (lambda card: card.update(name="a\\b"), "cannot be a part of a file's name"),
        (lambda card: card.update(name="☃" * 100), "cannot be a part of a file's name"),
        (lambda card: card.update(name="x\ny"), "name is"),
        (lambda card: card.update(name=""), "name is"),
        (lambda card: card.update(backbone="vgg61"), "its backbone 'vgg61' is no network"),
        (lambda card: card.update(backbone=["vgg16"]), "backbone is"),
        (lambda card: card.update(weights=None), "NoneType"),
        (lambda card: card["weights"].pop("file"), "no 'file'"),
        (lambda card: card["weights"].update(checksum="md5:x"), "is no hash"),
        (lambda card: card["weights"].update(checksum="sha256:" + "0" * 64), "other weights of"),
        (lambda card: card["weights"].update(file=""), "file is"),
        (lambda card: card["weights"].update(file="../w.h5"), "part of a file's name"),
        (lambda card: card["weights"].update(file="a", size=-1), "size is '-1'"),
        (lambda card: card["weights"].update(file="a", size=1e400), "Infinity is no finite"),
        (lambda card: card["head"].update(file="/etc/passwd"), "part of a file's name"),
        (lambda card: card["head"].update(file=".."), "is no name of a file in the folder"),
        (lambda card: card["head"].update(file="card.json"), "is no name of a file"),
        (lambda card: card["head"].update(file=".hidden.npy"), "is no name of a file"),
        (lambda card: card.pop("head"), "no 'head'"),
        (lambda card: card.update(tuned=True), "its weights are tuned, and in no file"),
        (lambda card: card.update(tuned="no"), "tuned is neither true nor false"),
        (lambda card: card.update(extends=1), "extends is neither"),
        (lambda card: card.update(parameters=1e400), "Infinity is no finite number"),
        (lambda card: card.update(parameters=True), "parameters is 'True'"),
        (lambda card: card.update(recipe=[]), "list indices"),
        (lambda card: card["recipe"].update(fit="squash"), "unknown fit 'squash'"),
        (lambda card: card["recipe"].update(filter="x" * 10**6), "filter is"),
        (lambda card: card["recipe"].update(short_side=0), "short_side is '0'"),
        (lambda card: card["recipe"].update(window=[5, 5]), "its window is 5 to 5"),
        (lambda card: card["recipe"].update(window=[float("nan"), 5]), "NaN is no finite number"),
        (lambda card: card["recipe"].update(window=[1, 2, 3]), "too many values"),
        (lambda card: card["recipe"].update(window=["1", "2"]), "'1' is no number"),
        (lambda card: card.update(version=2), "no card of a network of this version"),
        (lambda card: card.pop("version"), "no card of a network of this version"),
    ],
)
def test_a_card_that_is_not_right_is_a_usage_error_in_a_line(
    tmp_path: Path, edit: Callable[[dict[str, Any]], object], said: str
) -> None:
    write(tmp_path / "pets")
    change(tmp_path / "pets", edit)
    with pytest.raises(UsageError) as caught:
        find_network(str(tmp_path / "pets"))
    message = str(caught.value)
    assert said in message
    assert message.startswith(str(tmp_path / "pets" / CARD))
    assert message.isprintable()
    assert len(message) < 600


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is damaged: Expecting value"),
        (b"\xff\xfe\x00", "is damaged: "),
        (b"[" * 200_000, "is damaged: "),
        (b"[1, 2]", "no card of a network"),
        (b'{"version": 1, "x": ' + b"9" * 5000 + b"}", "is damaged: "),
        (b" " * (taught_folders.MAX_CARD + 1), "cannot read .*over the limit of 16,777,216 bytes"),
    ],
)
def test_a_file_that_is_no_card_is_a_usage_error(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / CARD).write_bytes(content)
    with pytest.raises(UsageError, match=said):
        find_network(str(tmp_path))


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_a_card_that_is_no_file_is_not_waited_for(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    make(tmp_path / CARD)
    with pytest.raises(UsageError, match=r"cannot read .*: (not a regular file|Is a directory)"):
        find_network(str(tmp_path))
    (tmp_path / CARD).rename(tmp_path / "other")
    (tmp_path / CARD).symlink_to("nowhere")
    with pytest.raises(UsageError, match="No such file"):
        find_network(str(tmp_path))


def test_the_fingerprint_names_all_that_the_answers_depend_on(tmp_path: Path) -> None:
    first = write(tmp_path / "a").taught
    assert first
    same = write(tmp_path / "b", made={"seed": 5}, parameters=7).taught
    assert same
    assert same.fingerprint == first.fingerprint
    changes: list[dict[str, Any]] = [
        {"seed": 2}, {"extends": True}, {"classes": taught.CLASSES[::-1]},
        {"backbone": "squeezenet_v1.1"},
        {"backbone": "squeezenet_v1.1", "weights": CardFile(None, "md5:" + "0" * 32, 1)},
    ]  # fmt: skip
    found = [write(tmp_path / "c", **one).taught for one in changes]
    assert len({one.fingerprint for one in found if one} | {first.fingerprint}) == 6


def test_other_weights_are_refused_for_a_network_that_has_its_own(tmp_path: Path) -> None:
    card = write(tmp_path / "pets")
    taught_folders.check_weights(card, None)
    taught_folders.check_weights(BACKBONE, "x.h5")
    with pytest.raises(UsageError, match=r"pets has weights of its own; received x\.h5"):
        taught_folders.check_weights(card, "x.h5")


def test_the_network_before_is_replaced_and_its_files_go(tmp_path: Path) -> None:
    folder = tmp_path / "pets"
    old = write(folder)
    (folder / "notes.txt").write_text("mine")
    new = write(folder, seed=2)
    assert old.taught
    assert new.taught
    assert names(folder) == {CARD, "notes.txt", new.taught.head}
    with pytest.raises(WeightsError, match="was taught anew meanwhile; start again"):
        taught_folders.head_file(old)
    assert is_whole(folder)


def test_what_is_there_decides_whether_a_network_may_be_written(tmp_path: Path) -> None:
    check = taught_folders.check_target
    check(tmp_path / "new" / "deep", force=False)
    (tmp_path / "empty").mkdir()
    check(tmp_path / "empty", force=False)
    write(tmp_path / "pets")
    check(tmp_path / "pets", force=True)
    with pytest.raises(UsageError, match="holds a network already; --force replaces it"):
        check(tmp_path / "pets", force=False)
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is a file; name a new folder"):
        check(tmp_path / "file", force=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "photograph.jpg").touch()
    with pytest.raises(UsageError, match="holds other files; name a new folder"):
        check(tmp_path / "other", force=True)


def test_a_damaged_network_can_be_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "pets"
    write(folder)
    (folder / CARD).write_text('{"version": 1, "head": {"file": "../../x"}}')
    taught_folders.check_target(folder, force=True)
    new = write(folder, seed=2)
    assert new.taught
    assert names(folder) == {CARD, new.taught.head}


@pytest.mark.parametrize(
    "more",
    [
        {"classes": ("a", "b\n")},
        {"name": "../x"},
        {"parameters": 0},
        {"recipe": Recipe("squash", "bicubic", 256)},
        {"made": {"loss": float("nan")}},
    ],
)
def test_a_card_that_could_not_be_read_is_not_written(tmp_path: Path, more: dict[str, Any]) -> None:
    folder = tmp_path / "pets"
    old = write(folder)
    before = names(folder)
    with pytest.raises((UsageError, ValueError)):
        write(folder, **{"seed": 2, **more})
    assert taught_folders.read(folder) == old
    assert names(folder) == before


@pytest.mark.slow
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("step", [0, 1])
def test_a_kill_while_it_is_written_leaves_the_old_network(
    tmp_path: Path, step: int, first: bool
) -> None:
    folder = tmp_path / "pets"
    old = None if first else write(folder)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(folder), str(step)], cwd=ROOT, check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert any(name.startswith(".writing-") for name in names(folder))
    if old is None:
        assert not (folder / CARD).exists()
        taught_folders.check_target(folder, force=False)
    else:
        assert taught_folders.read(folder) == old
        assert is_whole(folder)
    new = write(folder, seed=3)
    assert new.taught
    assert names(folder) == {CARD, new.taught.head}


def test_many_that_write_at_once_leave_one_whole_network(tmp_path: Path) -> None:
    folder = tmp_path / "pets"
    # The first two share a head, which must outlive whichever of them is replaced.
    jobs = [(("a", "b"), 1), (("c", "d"), 1), *((("a", "b"), seed) for seed in range(2, 8))]
    with ThreadPoolExecutor(8) as pool:
        written = [one.result() for one in [pool.submit(write, folder, *job) for job in jobs * 2]]
        reads = [pool.submit(taught_folders.read, folder) for _ in range(20)]
    assert {read.result() for read in reads} <= set(written)
    last = taught_folders.read(folder)
    assert last in written
    assert last.taught
    assert is_whole(folder)
    assert names(folder) == {CARD, last.taught.head}


def first_value(folder: Path) -> float | str:
    """Return the first number of a network's head, or why there is none."""
    try:
        return float(heads.read(taught_folders.read(folder), taught.FEATURES)[0, 0])
    except WeightsError as error:
        return str(error)


@pytest.mark.slow
def test_a_reader_finds_the_old_network_or_the_new_one(tmp_path: Path) -> None:
    folder = tmp_path / "pets"
    write(folder)
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(lambda: [write(folder, seed=2 + n % 2) for n in range(60)])
        found = set()
        while not writing.done():
            found.add(first_value(folder))
        writing.result()
    values = {float(taught.made_up_head(3, seed)[0, 0]) for seed in (1, 2, 3)}
    assert len(found & values) > 1
    assert all("taught anew" in one or "No such file" in one for one in map(str, found - values))


def test_a_full_disk_leaves_the_old_network(small_disk: Path) -> None:
    folder = small_disk / "pets"
    old = write(folder)
    before = names(folder)
    with pytest.raises(OutputError, match=f"cannot write {folder}"):
        write(folder, tuple(f"class {n}" for n in range(600)))
    assert taught_folders.read(folder) == old
    assert is_whole(folder)
    assert names(folder) == before


def test_a_folder_that_cannot_be_made_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"cannot write .*file/pets"):
        write(tmp_path / "file" / "pets")


def test_a_link_in_the_place_of_a_card_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    folder = tmp_path / "pets"
    folder.mkdir()
    (folder / CARD).symlink_to(tmp_path / "precious")
    write(folder)
    assert (tmp_path / "precious").read_text() == "mine"
    assert not (folder / CARD).is_symlink()


def test_a_name_of_weights_in_the_folder_is_found_there(tmp_path: Path) -> None:
    file = tmp_path / "own.h5"
    file.write_bytes(b"weights")
    card = taught.write(tmp_path / "pets", file)
    assert weights.path(card).parent == tmp_path / "pets"
    assert card.weights.name == weights.path(card).name
    assert weights.verify(card)
    weights.path(card).write_bytes(b"other")
    assert not weights.verify(card)
    with pytest.raises(WeightsError, match="is damaged, and nowhere else: teach the network again"):
        weights.checked(card)
    weights.path(card).unlink()
    with pytest.raises(WeightsError, match="is missing, and nowhere else"):
        weights.held(card)


def test_a_head_of_a_network_that_was_not_taught_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="was not taught"):
        taught_folders.head_file(BACKBONE)


def test_a_card_is_a_value(tmp_path: Path) -> None:
    card = write(tmp_path / "pets")
    assert replace(card) == card
    assert hash(card) == hash(taught_folders.read(tmp_path / "pets"))
    assert np.isfinite(heads.read(card, taught.FEATURES)).all()
