"""The commands `topfive features` and `topfive similar`, as a user meets them."""

from __future__ import annotations

import csv
import io
import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support import fakes, taught
from topfive.cli.main import main
from topfive.sources import lists

TOPFIVE = [sys.executable, "-m", "topfive"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five pictures, one of them twice, and a text."""
    folder = tmp_path / "photographs"
    (folder / "more").mkdir(parents=True)
    for number, pixels in enumerate(fakes.pictures(5, 80)):
        Image.fromarray(pixels).save(folder / f"{number}.png")
    (folder / "more" / "5.png").write_bytes((folder / "2.png").read_bytes())
    (folder / "9.txt").write_text("no picture")
    return folder


@pytest.fixture
def weights(weight_file: Path, warm: Path) -> list[str]:
    """The option that names the self-test's weights."""
    return ["--weights", str(weight_file)]


@pytest.fixture
def network(weights: list[str]) -> list[str]:
    """The options that name the self-test's network."""
    return ["-m", "squeezenet_v1.1", *weights]


@pytest.fixture
def made(folder: Path, network: list[str], tmp_path: Path) -> Path:
    """A file with the features of the folder."""
    file = tmp_path / "features.npy"
    assert main(["features", str(folder), "-o", str(file), "-q", *network]) == 1
    return file


def rows(file: Path) -> list[dict[str, str]]:
    with file.with_suffix(".csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_folder_becomes_a_file_with_a_row_each_and_a_summary(
    folder: Path, network: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    file = tmp_path / "features.npy"
    (tmp_path / "archive.zip").write_bytes(b"PK\5\6" + bytes(18))  # an archive without members
    arguments = [str(folder), "nothing.jpg", str(tmp_path / "archive.zip"), "-o", str(file)]
    assert main(["features", *arguments, *network]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "9 pictures: " in said.err
    assert "3 failed (2 missing, 1 not-a-picture)" in said.err
    names = [Path(row["source"]).name for row in rows(file)]
    assert names == [*(f"{n}.png" for n in range(5)), "9.txt", "5.png", "nothing.jpg",
                     "archive.zip"]  # fmt: skip
    found = np.load(file)
    assert found.shape == (9, 512)
    assert np.isnan(found).all(axis=1).tolist() == [False] * 5 + [True, False, True, True]
    assert found[2].tobytes() == found[6].tobytes()


def test_a_second_run_computes_nothing(
    folder: Path, network: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = [str(folder / f"{number}.png") for number in range(5)]
    for name in ("one.parquet", "two.parquet"):
        assert main(["features", *pictures, "-o", str(tmp_path / name), *network]) == 0
    assert (
        "5 pictures: 0 computed by SqueezeNet v1.1, 5 known from before, 0 failed; "
        in capsys.readouterr().err
    )
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()


@pytest.mark.slow
def test_names_come_from_a_list_and_from_standard_input(
    folder: Path, network: list[str], tmp_path: Path
) -> None:
    names = [str(folder / f"{number}.png") for number in (3, 1)]
    (tmp_path / "names.txt").write_text("\n".join(names))
    listed, piped = tmp_path / "listed.npy", tmp_path / "piped.npy"
    at = f"@{tmp_path / 'names.txt'}"
    assert main(["features", at, "-o", str(listed), "-q", *network]) == 0
    done = run(["features", "-0", "-o", str(piped), "-q", *network], "\0".join(names))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert listed.read_bytes() == piped.read_bytes()
    assert [row["source"] for row in rows(piped)] == names


def run(arguments: Sequence[str], given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*TOPFIVE, *arguments], input=given, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-o", "f.npy"], "name folders, pictures, archives or addresses, or give -0"),
        (["-0", "x.jpg", "-o", "f.npy"], "or give -0"),
        (["x.jpg"], "Missing option '-o'"),
        (["x.jpg", "-o", "f.xlsx"], "f.xlsx: expected a name that ends in .parquet, .npy"),
        (["x.jpg", "-o", "no/f.npy"], "there is no folder no; make it first"),
        (["x.jpg", "-o", "f.npy", "-m", "vgg61"], "unknown network 'vgg61'"),
        (["@nothing.txt", "-o", "f.npy"], "cannot read the list of names 'nothing.txt'"),
        (["x.jpg", "-o", "there.npy"], "there.npy is there already: give another name, or --force"),
    ],
)
def test_a_wrong_call_is_one_line_and_leaves_nothing(
    arguments: list[str], said: str, network: list[str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("there.npy").write_text("mine")
    before = sorted(tmp_path.iterdir())
    more = [] if "-m" in arguments else network
    assert main(["features", *arguments, *more]) == 2
    assert said in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == before
    assert Path("there.npy").read_text() == "mine"


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_was_stopped_goes_on_from_what_it_computed(
    how: signal.Signals, network: list[str], tmp_path: Path, warm: Path
) -> None:
    output, pictures, width = tmp_path / "out" / "f.npy", tmp_path / "many", 9 + how
    output.parent.mkdir()
    pictures.mkdir()
    arguments = ["features", "-0", "-o", str(output), *network]
    names: list[str] = []
    with subprocess.Popen(
        [*TOPFIVE, *arguments], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        until = time.monotonic() + 60
        while kept(warm, width) < 30:
            assert time.monotonic() < until
            names.append(str(pictures / f"{len(names):05}.png"))
            colour = (len(names) % 256, 7, len(names) // 256)
            Image.new("RGB", (width, 9), colour).save(names[-1])
            # Names without letters are passed over; so many are a block that is read at once.
            process.stdin.write(names[-1] + "\0" + "\0" * lists.LONGEST)
            process.stdin.flush()
        process.send_signal(how)
        said = process.stderr.read()
    assert not output.exists()
    assert not output.with_suffix(".csv").exists()
    if how is signal.SIGINT:
        assert process.returncode == 130
        assert "pictures are done; the same command goes on from there" in said
        assert list(output.parent.iterdir()) == []
    done = run(arguments, "\0".join(names))
    assert done.returncode == 0
    summary = done.stderr.splitlines()[-1]
    assert summary.startswith(f"{len(names):,} pictures: ")
    assert int(summary.split(" known")[0].split()[-1].replace(",", "")) >= 30
    assert [row["source"] for row in rows(output)] == names
    assert sorted(path.name for path in output.parent.iterdir()) == ["f.csv", "f.npy"]


def kept(cache: Path, width: int) -> int:
    """Return of how many pictures with that width features were committed."""
    count = 0
    for file in cache.glob("*.features"):
        with sqlite3.connect(file) as content:
            query = "select count(*) from features where width = ?"
            count += content.execute(query, (width,)).fetchone()[0]
        content.close()
    return count


def test_the_nearest_are_listed_and_the_picture_itself_is_marked(
    folder: Path, made: Path, weights: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["similar", str(folder / "2.png"), "--in", str(made), "-k", "4", *weights]
    assert main(arguments) == 0
    said = capsys.readouterr()
    assert said.err == ""
    lines = said.out.splitlines()
    assert lines[0] == f"1. {folder / '2.png'}: 1.0000 (the same picture)"
    assert lines[1] == f"2. {folder / 'more' / '5.png'}: 1.0000 (the same picture)"
    assert len(lines) == 4
    assert "same" not in lines[2]
    found = np.load(made).astype(float)[:5]
    cosines = found @ found[2] / np.linalg.norm(found, axis=1) / np.linalg.norm(found[2])
    best = int(np.argsort(-cosines)[1])
    assert lines[2] == f"3. {folder / f'{best}.png'}: {cosines[best]:.4f}"


@pytest.mark.slow
def test_several_pictures_have_a_block_each_and_a_failure_is_said(
    folder: Path, made: Path, weights: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [str(folder / "0.png"), "nothing.png", str(folder / "1.png")]
    assert main(["similar", *asked, "--in", str(made), "-k", "1", *weights]) == 1
    said = capsys.readouterr()
    assert said.err == "topfive: nothing.png: no such file\n"
    assert said.out == (
        f"{asked[0]}\n1. {asked[0]}: 1.0000 (the same picture)\n"
        f"\n{asked[2]}\n1. {asked[2]}: 1.0000 (the same picture)\n"
    )
    assert main(["similar", *asked, "--in", str(made), "-f", "json", *weights]) == 1
    told = json.loads(capsys.readouterr().out)
    assert [one["source"] for one in told] == asked
    assert told[1]["error"]["kind"] == "missing"
    assert len(told[2]["matches"]) == 6
    assert main(["similar", *asked, "--in", str(made), "-f", "csv", *weights]) == 1
    table = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(table) == 13
    assert table[0]["same"] == "1"


def test_many_pictures_are_asked_about_in_their_order(
    folder: Path, made: Path, weights: list[str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    # By its name: in the package the command of that name hides the module.
    monkeypatch.setattr("topfive.cli.similar.TOGETHER", 2)
    asked = [str(folder / f"{number}.png") for number in (4, 0, 3, 1, 2)]
    assert main(["similar", *asked, "--in", str(made), "-k", "1", "-f", "jsonl", *weights]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["source"] for one in told] == asked
    assert [one["matches"][0]["source"] for one in told] == asked


def test_a_folder_of_pictures_is_looked_through_by_itself(
    folder: Path, network: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["similar", str(folder / "2.png"), "--in", str(folder), "-k", "2", *network]
    for _ in range(2):
        assert main(arguments) == 1
        said = capsys.readouterr()
        assert said.err.count("9.txt: not a picture") == 1
        assert said.out.splitlines() == [
            f"1. {folder / '2.png'}: 1.0000 (the same picture)",
            f"2. {folder / 'more' / '5.png'}: 1.0000 (the same picture)",
        ]


@pytest.mark.slow
def test_a_sheet_is_drawn(
    folder: Path, made: Path, weights: list[str], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    asked, sheet = folder / "2.png", tmp_path / "sheet.png"
    arguments = ["similar", str(asked), "--in", str(made), *weights]
    assert main([*arguments, "-k", "3", "--save", str(sheet)]) == 0
    with Image.open(sheet) as drawn, Image.open(asked) as picture:
        assert drawn.width == 4 * (320 + 16) + 16
        middle = picture.resize((240, 240), Image.Resampling.LANCZOS).getpixel((120, 120))
        for cell in range(3):  # the picture, itself, and its double
            assert drawn.getpixel((16 + 336 * cell + 160, 16 + 120)) == middle
    before = asked.read_bytes()
    assert main([*arguments, "--save", str(asked)]) == 2
    assert "is there already" in capsys.readouterr().err
    assert main([*arguments, "--save", str(asked), "--force"]) == 1
    assert "is the picture itself: save it elsewhere" in capsys.readouterr().err
    assert asked.read_bytes() == before


@pytest.mark.slow
def test_several_sheets_go_to_a_folder_and_standard_input_is_drawn_too(
    folder: Path, made: Path, weights: list[str], tmp_path: Path
) -> None:
    asked = [str(folder / "0.png"), str(folder / "1.png")]
    sheets = tmp_path / "sheets"
    arguments = ["similar", *asked, "--in", str(made), "--save", str(sheets), *weights]
    assert main(arguments) == 0
    assert sorted(path.name for path in sheets.iterdir()) == ["0.jpg", "1.jpg"]
    with Path(asked[0]).open("rb") as stream:
        done = subprocess.run(
            [*TOPFIVE, "similar", "-", "--in", str(made), "-k", "1", "--save",
             str(tmp_path / "piped.png"), *weights],
            stdin=stream, capture_output=True, check=False,
        )  # fmt: skip
    assert done.stderr == b""
    assert done.stdout.decode() == f"1. {asked[0]}: 1.0000 (the same picture)\n"
    with Image.open(tmp_path / "piped.png") as drawn:
        left, right = (drawn.getpixel((16 + 336 * cell + 160, 16 + 120)) for cell in range(2))
        assert left == right


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a.png"], "Missing option '--in'"),
        (["--in", "f.npy"], "Missing argument 'PICTURES...'"),
        (["a.png", "--in", "none.npy"], "cannot read none.npy: No such file or directory"),
        (["a.png", "--in", "bad.parquet"], "bad.parquet is no file of `topfive features`"),
        (["a.png", "--in", "{made}", "-m", "vgg16"], "says what it was made with; leave out"),
        (["a.png", "--in", "{made}", "--window", "0", "9"], "leave out --window"),
        (["a.png", "--in", "{made}", "--save", "a.gif"], "a.gif: expected a name that ends in"),
        (["a.png", "--in", "{made}", "-k", "0"], "-k"),
        (["a.png", "--in", "{made}", "--offline"], "squeezenet_v1.1"),
    ],
)
def test_a_wrong_question_is_a_clear_error(
    arguments: list[str], said: str, made: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("bad.parquet").write_text("no table")
    arguments = [one.format(made=made) for one in arguments]
    assert main(["similar", *arguments]) in (2, 3)
    assert said in capsys.readouterr().err


def test_other_weights_are_not_mixed_with_those_of_the_file(
    made: Path, folder: Path, tmp_path: Path, weight_file: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    other = tmp_path / "other.h5"
    other.write_bytes(weight_file.read_bytes() + b"more")
    arguments = ["similar", str(folder / "0.png"), "--in", str(made), "--weights", str(other)]
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert "was made by squeezenet_v1.1 with the weights sha256:" in said
    assert "Give the same --weights, or make the file again" in said


@pytest.mark.slow
def test_a_taught_network_is_found_again_by_its_folder_unless_it_was_taught_anew(
    folder: Path, tmp_path: Path, weight_file: Path, warm: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    pets, file, asked = tmp_path / "pets", tmp_path / "f.parquet", str(folder / "0.png")
    taught.write(pets, weight_file)
    assert main(["features", asked, "-o", str(file), "-q", "-m", str(pets)]) == 0
    assert main(["similar", asked, "--in", str(file)]) == 0
    assert capsys.readouterr().out == f"1. {asked}: 1.0000 (the same picture)\n"
    taught.write(pets, weight_file, head=taught.made_up_head(3, seed=1))
    assert main(["similar", asked, "--in", str(file)]) == 2
    assert f"{file} was made by {pets} with the weights sha256:" in capsys.readouterr().err
