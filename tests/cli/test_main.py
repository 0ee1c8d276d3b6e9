"""The command `topfive`: its table of commands, and what its help pages import."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import click
import pytest

import topfive.cli
from topfive.cli.main import COMMANDS, cli, main
from topfive.engines.table import ENGINES
from topfive.networks.cards import BACKENDS

HELP = {name: text for group in COMMANDS.values() for name, text in group.items()}


def run(code: str) -> str:
    """Return what a program of its own prints on standard error."""
    command = [sys.executable, "-c", f"import sys\nfrom topfive.cli.main import main\n{code}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stderr


@pytest.mark.parametrize("name", HELP)
def test_the_table_says_what_the_command_says(name: str) -> None:
    command = import_module(f"topfive.cli.{name}")
    assert getattr(command, name).get_short_help_str(100) == HELP[name]


def test_every_module_of_a_command_is_in_the_table() -> None:
    (folder,) = topfive.cli.__path__
    modules = {file.stem: import_module(f"topfive.cli.{file.stem}")
               for file in Path(folder).glob("[a-z]*.py")}  # fmt: skip
    found = {name for name, module in modules.items()
             if isinstance(getattr(module, name, None), click.Command)}  # fmt: skip
    assert found == set(HELP)


def test_the_help_page_shows_the_groups_in_their_order(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert [line[:-1] for line in lines if line.endswith(":") and line[0] != " "] == [
        "Options", *COMMANDS,
    ]  # fmt: skip
    shown = [line.split(maxsplit=1) for line in lines[lines.index("Classify:") :]]
    assert [one for one in shown if one and one[0] in HELP] == [list(one) for one in HELP.items()]


@pytest.mark.parametrize("name", HELP)
def test_every_page_fits_and_has_an_example(name: str) -> None:
    command = getattr(import_module(f"topfive.cli.{name}"), name)
    settings = {**cli.context_settings, "terminal_width": 80, "max_content_width": 80}
    page = command.get_help(click.Context(command, info_name=f"topfive {name}", **settings))
    assert max(map(len, page.splitlines())) <= 80
    if not isinstance(command, click.Group):
        assert f"\n    topfive {name}" in page


def test_a_misspelt_command_is_known_to_be_near_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["clasify"]) == 2
    assert "No such command 'clasify'. Did you mean 'classify'?" in capsys.readouterr().err


def test_the_help_page_imports_no_command() -> None:
    found = "[m for m in sys.modules if m.startswith('topfive.cli.')]"
    assert run(f"main(['--help']); print({found}, file=sys.stderr)") == "['topfive.cli.main']\n"


@pytest.mark.slow
@pytest.mark.parametrize("name", HELP)
def test_a_commands_help_page_imports_nothing_heavy(name: str) -> None:
    heavy = ("numpy", "PIL", "keras", "openvino", "rich", "requests", "scipy", "h5py")
    found = f"[m for m in {heavy} if m in sys.modules]"
    assert run(f"main(['{name}', '--help']); print({found}, file=sys.stderr)") == "[]\n"


def test_the_backends_to_choose_from_are_the_engines() -> None:
    assert tuple(ENGINES) == BACKENDS
