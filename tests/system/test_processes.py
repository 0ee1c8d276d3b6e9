"""Work in a process of our own: its answer, or why there is none."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from topfive.errors import DamagedWeightsError, EngineError
from topfive.system import processes
from topfive.system.processes import ChildError


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
    output: str, said: str, kind: type[Exception], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = subprocess.CompletedProcess([], 1, output, said)
    monkeypatch.setattr(processes, "run_module", lambda *_: done)
    with pytest.raises(kind) as caught:
        processes.ask("topfive.anything", {})
    assert (type(caught.value), str(caught.value)) == (kind, message)


def test_a_process_that_is_killed_is_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    done = subprocess.CompletedProcess([], -9, "", "a library's last words")
    monkeypatch.setattr(processes, "run_module", lambda *_: done)
    with pytest.raises(ChildError, match="killed, by signal 9; is there memory"):
        processes.ask("topfive.anything", {})


def test_an_answer_comes_back_whatever_was_printed_before_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def double(request: dict[str, int]) -> int:
        print("some library says this")
        return 2 * request["number"]

    def run(_: str, request: str) -> subprocess.CompletedProcess[str]:
        monkeypatch.setattr(sys, "argv", ["-m", request])
        status = processes.serve(double)
        return subprocess.CompletedProcess([], status, capsys.readouterr().out, "")

    monkeypatch.setattr(processes, "run_module", run)
    assert processes.ask("topfive.anything", {"number": 21}) == 42


def test_an_error_ends_the_process_with_a_status_and_one_line_of_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(request: dict[str, int]) -> None:
        raise EngineError("two\nlines")

    monkeypatch.setattr(sys, "argv", ["-m", "{}"])
    assert processes.serve(fail) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line) == {"kind": "EngineError", "message": "two\nlines"}
