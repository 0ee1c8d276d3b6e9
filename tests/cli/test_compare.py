"""The command `topfive compare`, as a user meets it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from PIL import Image

from tests.evaluation.test_compare import side
from topfive.cli.compare import print_text
from topfive.cli.main import main as run


def main(arguments: list[str]) -> int:
    """Run `topfive compare`."""
    return run(["compare", *arguments])


@pytest.fixture
def network(weight_file: Path, warm: Path) -> list[str]:
    """The options that name the self-test's network."""
    return ["-m", "squeezenet_v1.1", "--weights", str(weight_file)]


@pytest.mark.slow
def test_the_answers_and_what_they_take_are_printed(
    photograph: Path, network: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(photograph), "-k", "3", *network]) == 0
    said = capsys.readouterr().out
    assert "photograph.jpg: 1 of 1 say" in said.replace("\n", "")  # a long name is wrapped
    assert len(re.findall(r"^ *\d+\.\d% \w", said, re.MULTILINE)) == 3
    table = [line.split() for line in said.splitlines() if line.startswith("squeezenet_v1.1 ")]
    name, agrees, of, pictures, *numbers = table[-1]
    assert (name, agrees, of, pictures) == ("squeezenet_v1.1", "1", "of", "1")
    milliseconds, memory, weights, compiled = map(float, numbers)
    assert milliseconds > 0
    assert 30 < memory < 1000
    assert weights == pytest.approx(4.9, abs=0.2)
    assert 4 < compiled < 20


@pytest.mark.slow
def test_json_says_all_and_a_bad_picture_is_a_line_and_status_1(
    photograph: Path, network: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "a\x1b[2J.jpg"
    bad.write_text("no picture")
    assert main([str(bad), str(photograph), "-f", "json", *network]) == 1
    said = capsys.readouterr()
    told = json.loads(said.out)
    assert set(told) == {"networks", "pictures", "failures"}
    assert [one["source"] for one in told["pictures"]] == [str(photograph)]
    assert len(told["pictures"][0]["answers"][0]["predictions"]) == 5
    assert told["networks"][0]["agreement"] == 1
    assert told["failures"][0]["error"]["kind"] == "not-a-picture"
    assert r"a\x1b[2J.jpg: " in said.err
    assert "\x1b" not in said.err


def test_only_bad_pictures_print_no_table(
    network: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out.png"
    assert main(["no.jpg", "--save", str(output), *network]) == 1
    assert capsys.readouterr().out == ""
    assert not output.exists()


@pytest.mark.slow
def test_the_comparison_is_saved_as_a_picture(
    photograph: Path, network: list[str], tmp_path: Path
) -> None:
    output = tmp_path / "out.png"
    assert main([str(photograph), "--save", str(output), *network]) == 0
    with Image.open(output) as drawn:
        assert drawn.format == "PNG"
        assert drawn.width > 320
    assert main([str(photograph), "--save", str(tmp_path / "folder/"), *network]) == 2
    (tmp_path / "folder").mkdir()
    assert main([str(photograph), "--save", str(tmp_path / "folder"), *network]) == 0
    assert [file.name for file in (tmp_path / "folder").iterdir()] == ["comparison.jpg"]


def test_a_picture_that_is_compared_is_not_replaced(
    photograph: Path, network: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = photograph.read_bytes()
    assert main([str(photograph), "--save", str(photograph), *network]) == 2
    assert "this is one of the pictures" in capsys.readouterr().err
    assert photograph.read_bytes() == before


@pytest.mark.slow
def test_no_screen_is_said_and_the_answers_stand(
    photograph: Path, network: list[str], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.delenv("DISPLAY", raising=False)
    assert main([str(photograph), "--show", *network]) == 0
    said = capsys.readouterr()
    assert "cannot show pictures" in said.err
    assert "1 of 1 say" in " ".join(said.out.split()), "a long name breaks the line"


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ([], 2, "Missing argument 'PICTURES...'"),
        (["x.jpg", "-m", "vgg16", "--offline"], 3, "VGG16 needs its weights"),
        (["x.jpg", "-m", "vgg61"], 2, "unknown network 'vgg61'"),
        (["x.jpg", "-m", "vgg16", "-m", "vgg19", "--weights", "x.h5"], 2, "one weight file"),
        (["x.jpg", "-m", "vgg16", "-k", "0"], 2, "0 is not in the range"),
        (["x.jpg", "-m", "vgg16", "--save", "x.pdf"], 2, "expected a name that ends in .jpg"),
        (["x.jpg"] * 101 + ["--save", "x.png"], 2, "at most 100 pictures; 101 are named"),
    ],
)
def test_a_wrong_call_is_one_line(
    arguments: list[str], status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == status
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error


@pytest.mark.parametrize("networks", [1, 2, 3, 4, 14])
def test_any_number_of_networks_fits_into_80_columns(
    networks: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    comparison = side(tuple(range(180, 180 + networks)), top=5)
    print_text(comparison)
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 80
    for one in comparison.contenders:
        assert said.count(one.name) >= 2  # over its answers, and in the table
    # A label that is too long is broken, not cut.
    words = comparison.pictures[0].answers[0][0].label.split("_")
    assert words == ["American", "Staffordshire", "terrier"]
    assert all(word in said for word in words)
    assert said.count("%") == 5 * networks
