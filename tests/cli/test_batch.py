"""The command `topfive batch`, as a user meets it."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from tests.support import fakes
from topfive.batches.journal import Summary
from topfive.cli.main import main
from topfive.system.progress import describe

TOPFIVE = [sys.executable, "-m", "topfive"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five pictures and a text."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    for number, pixels in enumerate(fakes.pictures(5, 80)):
        Image.fromarray(pixels).save(folder / f"{number}.jpg")
    (folder / "9.txt").write_text("no picture")
    return folder


@pytest.fixture
def network(weight_file: Path, warm: Path) -> list[str]:
    """The options that name the self-test's network."""
    return ["-m", "squeezenet_v1.1", "--weights", str(weight_file)]


@pytest.mark.slow
def test_a_folder_becomes_a_table_and_a_summary(
    folder: Path, network: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "rows.csv"
    assert main(["batch", str(folder), "-o", str(output), *network]) == 1
    assert len(output.read_text().splitlines()) == 7
    said = capsys.readouterr()
    assert said.out == ""
    assert "6 pictures: 5 answered by SqueezeNet v1.1, 1 failed; 6 pictures, " in said.err
    assert "most frequent" in said.err
    assert "not-a-picture 1 ███" in said.err
    assert all(len(line) <= 80 for line in said.err.splitlines())


@pytest.mark.slow
def test_all_answered_is_a_success_and_quiet_says_nothing(
    folder: Path, network: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pattern = str(folder / "*.jpg")
    assert main(["batch", pattern, "-o", str(tmp_path / "rows.jsonl"), "-q", *network]) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.slow
def test_names_come_from_a_list_and_from_standard_input(
    folder: Path, network: list[str], tmp_path: Path
) -> None:
    files = sorted(str(path) for path in folder.glob("*.jpg"))
    (tmp_path / "names.txt").write_text("\n".join(files))
    listed, piped = tmp_path / "listed.jsonl", tmp_path / "piped.jsonl"
    at = f"@{tmp_path / 'names.txt'}"
    assert main(["batch", at, "-o", str(listed), "-q", *network]) == 0
    done = subprocess.run(
        [*TOPFIVE, "batch", "-0", "-o", str(piped), "-q", *network],
        input="\0".join(files).encode(), check=False,
    )  # fmt: skip
    assert done.returncode == 0
    for output in (listed, piped):
        rows = [json.loads(line) for line in output.read_text().splitlines()]
        assert [row["source"] for row in rows] == files


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-o", "rows.jsonl"], "name folders, pictures, archives or addresses, or give -0"),
        (["-0", "x.jpg", "-o", "rows.jsonl"], "or give -0"),
        (["x.jpg"], "Missing option '-o'"),
        (["x.jpg", "-o", "rows.xlsx"], "rows.xlsx: expected a name that ends in .parquet"),
        (["x.jpg", "-o", "no/where.csv"], "there is no folder no; make it first"),
        (["x.jpg", "-o", "rows.csv", "--where", "dgo"], "Did you mean"),
        (["x.jpg", "-o", "rows.csv", "--where", "dog>2"], "expected a number from 0 to 1"),
        (["x.jpg", "-o", "rows.csv", "--copy-to", "a", "--move-to", "b"], "give one of"),
        (["x.jpg", "-o", "rows.csv", "--copy-to", "a", "--by-ancestor"], "needs --ancestor"),
        (["x.jpg", "-o", "rows.csv", "-m", "vgg61"], "unknown network 'vgg61'"),
        (["@nothing.txt", "-o", "rows.csv"], "cannot read the list of names 'nothing.txt'"),
    ],
)
def test_a_wrong_call_is_one_line_and_leaves_nothing(
    arguments: list[str], said: str, network: list[str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    more = [] if "-m" in arguments else network
    assert main(["batch", *arguments, *more]) == 2
    assert said in capsys.readouterr().err
    assert [path for path in Path().iterdir() if not path.name.endswith(".partial")] == []


@pytest.mark.slow
def test_ctrl_c_says_how_to_go_on(folder: Path, network: list[str], tmp_path: Path) -> None:
    line = [*TOPFIVE, "batch", *[str(folder)] * 200, "-o", str(tmp_path / "rows.jsonl"), *network]
    process = subprocess.Popen(line, stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "rows.jsonl.partial").exists():
        time.sleep(0.05)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "pictures are done; the same command goes on from there" in said
    assert said.endswith("topfive: interrupted\n")
    assert "Traceback" not in said
    done = subprocess.run(line, stderr=subprocess.PIPE, text=True, check=False)
    assert "1,200 pictures: 1,000 answered by SqueezeNet v1.1, 200 failed" in done.stderr
    assert len((tmp_path / "rows.jsonl").read_text().splitlines()) == 1200


@pytest.mark.slow
def test_a_terminal_shows_a_bar(folder: Path, network: list[str], tmp_path: Path) -> None:
    parent, child = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80", "LINES": "24"}
    line = [*TOPFIVE, "batch", *[str(folder)] * 20, "-o", str(tmp_path / "rows.jsonl"), *network]
    process = subprocess.Popen(line, stderr=child, env=environment)
    os.close(child)
    shown = b""
    while True:
        try:
            piece = os.read(parent, 65536)
        except OSError:  # how Linux ends it
            break
        if not piece:
            break
        shown += piece
    os.close(parent)
    process.wait()
    text = shown.decode()
    assert "120 of 120 pictures" in text
    assert "20 failed" in text
    assert "━━━" in text


def test_the_line_of_progress_says_what_is_known() -> None:
    assert (
        describe(10, 1950, 0, 5000, 3) == "1,950 of 5,000 pictures, 195/s, 0:00:16 left, 3 failed"
    )
    assert describe(10, 50, 1900, 5000, 0) == "1,950 of 5,000 pictures, 5.0/s, 0:10:10 left"
    assert describe(0, 0, 0, None, 0) == "0 pictures"


def test_a_log_gets_a_line_now_and_then(
    folder: Path, network: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr("topfive.system.progress.FIRST_LINE", 0.0)
    monkeypatch.setattr("topfive.system.progress.REFRESH", 0.0)
    main(["batch", str(folder), "-o", str(tmp_path / "rows.jsonl"), *network])
    lines = [line for line in capsys.readouterr().err.splitlines() if "/s" in line]
    assert len(lines) == 2  # the first, and the summary's
    assert " pictures, " in lines[0]


def test_the_summary_names_the_most_frequent_first(capsys: pytest.CaptureFixture[str]) -> None:
    from topfive.cli.batch import show
    from topfive.system.progress import Pictures

    labels = {f"label_{number}": 100 - number for number in range(20)}
    shown = Pictures(lambda: None, lambda *_: None)
    show(Summary(1950, {"missing": 40, "broken": 4}, labels, 7, 1), shown, "VGG16")
    said = capsys.readouterr().err
    assert "1,950 pictures: 1,906 answered by VGG16, 44 failed" in " ".join(said.split())
    assert "7 sorted into folders, 1 could not be" in said
    assert said.index("label_0") < said.index("label_9")
    assert "label_10" not in said
