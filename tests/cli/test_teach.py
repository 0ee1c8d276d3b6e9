"""The command `topfive teach`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from benchmarks import class_pictures
from tests.support import photographs
from topfive.cli.main import main

THREE = ("discs", "stars", "<b>my Ünï 'q\"")


@pytest.fixture(autouse=True)
def here(warm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder is the test's own; the network is the default."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def pets(here: None) -> Path:
    """Three classes, one with a strange name, in the folder that the test stands in."""
    class_pictures.write(Path("pets"), ("discs", "stars", "rings"), each=12, seed=11)
    (Path("pets") / "rings").rename(Path("pets") / THREE[2])
    return Path("pets")


@pytest.mark.slow
def test_a_folder_is_taught_and_the_network_works_in_every_command_at_once(
    pets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["teach", "pets", "-o", "shapes/"]) == 0
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert " ".join(said.out.split()[:11]) == "shapes tells 3 classes by the features of " \
        "efficientnet_lite0 (recipe crop-256-bicubic)"  # fmt: skip
    assert lines[2] == "taught 30 pictures, held out 6"
    assert lines[3].startswith("right: ")
    assert "95 % interval" in lines[3]
    assert any(line.split()[:4] == ["discs", "10", "2", "2"] for line in lines)
    assert any(line.startswith(THREE[2]) for line in lines)
    assert any(line.startswith("features ") and "36 computed, 0 known" in line for line in lines)
    assert lines[-1] == "  topfive classify PICTURE --model shapes"
    assert all(len(line) <= 80 for line in lines)
    # The network that the features are of may have to be compiled first.
    assert all("compiling" in line for line in said.err.splitlines())

    picture = str(pets / THREE[2] / "001.jpg")
    assert main(["classify", picture, "--model", "shapes/", "-k", "1"]) == 0
    assert capsys.readouterr().out.startswith(f"1. {THREE[2]}: ")


def test_json_says_the_same(pets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["teach", "pets", "-o", "net", "-f", "json", "--split", "0"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["classes"] == sorted(THREE)
    assert (told["pictures"], told["held_out"]) == (36, 0)
    assert told["accuracy"]["held_out"] is False
    assert told["accuracy"]["all"]["of"] == 36
    assert {one["truth"] for one in told["accuracy"]["confusions"]} <= set(THREE)


def test_bad_pictures_are_named_and_the_status_is_1_and_the_network_is_there(
    pets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (pets / "discs" / "red \x1b[31m.jpg").write_bytes(b"no picture")
    shutil.copy(pets / "discs" / "003.jpg", pets / "stars" / "wrong.jpg")
    assert main(["teach", "pets", "-o", "net", "-q"]) == 1
    said = capsys.readouterr()
    errors = said.err.splitlines()
    assert "\x1b" not in said.err + said.out
    assert any("red \\x1b[31m.jpg: not a picture" in line for line in errors)
    assert any("in several classes at once, left out: pets/discs/003.jpg" in one for one in errors)
    assert "; 1 cannot be read" in said.out
    assert Path("net/card.json").is_file()


@pytest.mark.slow
def test_with_many_classes_the_least_accurate_are_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    class_pictures.write(Path("many"), each=3, size=48)
    class_pictures.write(Path("more"), ["dots"], each=3, size=48, seed=5)
    Path("more/dots").rename(Path("many/zebras"))
    assert main(["teach", "many", "-o", "net", "--split", "0"]) == 0
    out = capsys.readouterr().out
    assert "held out none: measured by cross-validation" in out
    assert "10 least accurate classes" in out
    assert sum(f"\n{name} " in out for name in [*class_pictures.CLASSES, "zebras"]) == 10


@pytest.mark.slow
def test_a_network_is_replaced_by_force_alone(
    pets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["teach", "pets", "-o", "net"]
    assert main(arguments) == 0
    capsys.readouterr()
    assert main(arguments) == 2
    assert "net holds a network already; --force replaces it" in capsys.readouterr().err
    (pets / "stars" / "000.jpg").unlink()
    assert main([*arguments, "--force"]) == 0
    assert "since then 0 pictures are new, 1 gone, 0 changed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pets"], "name a folder for the new network: -o FOLDER"),
        (["net"], "net holds a network: correct it with --add, --forget, --undo, --history"),
        (["net", "--undo", "--history"], "--undo, --history: one at a time"),
        (["net", "--undo", "-o", "x"], "--undo is for the network in net as it was made"),
        (["net", "--add", "a", "b", "-m", "vgg16"], "it does not go with --model"),
        (["net", "--forget", "a", "--device", "CPU"], "it does not go with --device"),
        (["pets", "-o", "x", "--extend"], "--extend needs --old DIR3"),
        (["pets", "-o", "x", "--cost", "1"], "--cost: only with --extend"),
        (["pets", "-o", "x", "--validation", "y", "--split", "0.1"], "leave --split away"),
        (["pets", "-o", "x", "--split", "1"], "not in the range"),
        (["nowhere", "-o", "x"], "nowhere: expected a folder with a folder for each class"),
        (["pets", "-o", "pets/x"], "would lie among the pictures"),
        (["pets", "-o", "x", "--recipe", "best"], "is not one of"),
    ],
)
def test_what_does_not_go_together_is_a_usage_error(
    pets: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("net").mkdir()
    Path("net/card.json").write_text("{}")
    assert main(["teach", *arguments]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not Path("x").exists()


@pytest.mark.slow
def test_a_network_is_corrected_and_the_correction_taken_back(
    pets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["teach", "pets", "-o", "net"]) == 0
    before = json.loads(Path("net/card.json").read_text())["head"]["checksum"]
    picture = str(class_pictures.write(Path("new"), ["bars"], each=1) / "bars" / "000.jpg")
    capsys.readouterr()
    assert main(["teach", "net", "--add", picture, "my bars"]) == 0
    assert "my bars" in capsys.readouterr().out
    card = json.loads(Path("net/card.json").read_text())
    assert "my bars" in card["classes"]
    assert main(["teach", "net", "--history", "-f", "json"]) == 0
    assert json.loads(capsys.readouterr().out)
    assert main(["teach", "net", "--undo"]) == 0
    capsys.readouterr()
    assert json.loads(Path("net/card.json").read_text())["head"]["checksum"] == before
    assert main(["teach", "net", "--forget", str(pets / "discs" / "000.jpg")]) == 0
    assert "000.jpg" in capsys.readouterr().out
    assert json.loads(Path("net/card.json").read_text())["head"]["checksum"] != before


@pytest.mark.slow
def test_a_network_is_extended(pets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = photographs.write(Path("old"), 10)
    assert main(["teach", "pets", "-o", "net", "--extend", "--old", str(old), "--cost", "10",
                 "-q"]) == 0  # fmt: skip
    assert "efficientnet_lite0 with 3 more" in capsys.readouterr().out
    assert json.loads(Path("net/card.json").read_text())["extends"] is True
