"""Work in a process of our own: its answer, or why there is none."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from topfive.errors import DamagedWeightsError, EngineError
from topfive.system import processes
from topfive.system.processes import ChildError

Ask = Callable[[str], Any]


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Return what makes a module of some lines and asks it."""

    def ask(body: str) -> Any:
        (tmp_path / "asked.py").write_text(f"import os, sys\n{body}")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        return processes.ask("asked", {"number": 21})

    return ask


@pytest.mark.parametrize(
    ("output", "said", "kind", "message"),
    [
        ('INFO\n{"kind": "DamagedWeightsError", "message": "not what it was"}', "",
         DamagedWeightsError, "not what it was"),
        ('{"kind": "OSError", "message": "no room"}', "noise", ChildError, "no room"),
        ("Statistics 100%", "Traceback\nMemoryError\n", ChildError, "MemoryError"),
        ("", "", ChildError, "its process ended with 1"),
    ],
)  # fmt: skip
def test_what_went_wrong_in_the_other_process_is_raised_here(
    output: str, said: str, kind: type[Exception], message: str, ask: Ask
) -> None:
    with pytest.raises(kind) as caught:
        ask(f"print({output!r}); sys.stderr.write({said!r}); sys.exit(1)")
    assert (type(caught.value), str(caught.value)) == (kind, message)


def test_a_process_that_is_killed_is_said_to_be(ask: Ask) -> None:
    with pytest.raises(ChildError, match="killed, by signal 9; is there memory"):
        ask("os.write(2, b'last words'); os.kill(os.getpid(), 9)")


def test_an_answer_comes_back_whatever_was_printed_before_it(ask: Ask) -> None:
    body = """
from topfive.system import processes
print("some library says this")
sys.exit(processes.serve(lambda request: 2 * request["number"]))
"""
    assert ask(body) == 42


def test_an_error_ends_the_process_with_a_status_and_one_line_of_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(request: dict[str, int]) -> None:
        raise EngineError("two\nlines")

    monkeypatch.setattr(sys, "argv", ["-m", "{}"])
    assert processes.serve(fail) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line) == {"kind": "EngineError", "message": "two\nlines"}
