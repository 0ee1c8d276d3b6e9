"""Documentation that the code knows is current; the rest of the README tells the truth."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from scripts import write_docs

from tests.conftest import ROOT
from topfive import Classifier

HINT = "run `make docs`"


def test_the_help_pages_in_the_docs_are_current() -> None:
    assert write_docs.COMMANDS.read_text("utf-8") == write_docs.commands(), HINT


def test_the_readmes_table_of_networks_is_current() -> None:
    assert write_docs.README.read_text("utf-8") == write_docs.readme(), HINT


def test_links_in_the_documentation_lead_somewhere() -> None:
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text("utf-8")):
            if not link.startswith("https://"):
                assert (page.parent / link).exists(), f"{page.name}: {link}"


@pytest.fixture
def at_home(warm: Path) -> None:
    """The default network is compiled, which the commands would say."""
    Classifier()


def session() -> list[tuple[str, str]]:
    """The README's commands that can be run here, with their output."""
    text = (ROOT / "README.md").read_text("utf-8")
    blocks = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    steps = [part for block in blocks for part in re.findall(r"\$ (.*)\n((?:[^$].*\n)*)", block)]
    return [(line, output) for line, output in steps if line.startswith("topfive classify")]


@pytest.mark.parametrize(("line", "output"), session())
def test_the_readmes_session_is_what_the_commands_print(
    line: str, output: str, at_home: None
) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", line], cwd=ROOT, env={**os.environ, "PATH": path},  # noqa: S607
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    # Other processors round the last digits otherwise.
    number = r"\d+\.\d+"
    assert re.sub(number, "#", done.stdout) == re.sub(number, "#", output)
    assert [float(found) for found in re.findall(number, done.stdout)] == pytest.approx(
        [float(found) for found in re.findall(number, output)], abs=0.1
    )


@pytest.mark.slow
def test_the_tutorials_script_prints_and_says_that_there_is_no_screen(at_home: None) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "DISPLAY"}
    done = subprocess.run(
        [sys.executable, "classify_image.py", "--image", "examples/soccer_ball.jpg",
         "--network", "lite0"],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.startswith("1. soccer_ball: ")
    assert len(done.stdout.splitlines()) == 5
    assert "cannot show pictures" in done.stderr
    assert done.returncode == 0


@pytest.mark.slow
def test_the_tutorials_script_ends_with_the_errors_status(at_home: None) -> None:
    command = [sys.executable, "classify_image.py", "-m", "lite0", "-i"]
    for picture, network, status in (("no.jpg", "lite0", 1), ("x.jpg", "vgg61", 2)):
        command[3] = network
        done = subprocess.run(
            [*command, picture], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == status
        assert done.stderr.startswith("classify_image.py: ")
        assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_the_tutorials_script_shows_the_picture(at_home: None, screen: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "classify_image.py", "-i", "examples/soccer_ball.jpg", "-m", "lite0"],
        cwd=ROOT, env={**os.environ, "DISPLAY": screen}, stdout=subprocess.PIPE,
    )  # fmt: skip
    find = ["xdotool", "search", "--sync", "--name", "Classification"]
    found = subprocess.run(
        find, env={**os.environ, "DISPLAY": screen}, capture_output=True, check=True, timeout=30
    )
    key = ["xdotool", "windowfocus", "--sync", found.stdout.split()[0].decode(), "key", "q"]
    subprocess.run(key, env={**os.environ, "DISPLAY": screen}, check=True)
    assert process.communicate(timeout=30)[0].startswith(b"1. soccer_ball: ")
    assert process.returncode == 0
