"""The process that trains: what it tells, and that it does not outlive whoever listens."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from topfive.errors import DamagedWeightsError, OutputError
from topfive.networks.published import NETWORKS
from topfive.system import processes
from topfive.system.processes import ChildError
from topfive.training import checkpoints
from topfive.training.messages import Folders, TrainingRequest
from topfive.training.options import Options

HEAD = """
import json, os, signal, sys, time
from topfive import errors
from topfive.system import processes
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what makes a module of some lines and listens to it."""

    def listen(body: str, hear: Any = None) -> Any:
        (tmp_path / "told.py").write_text(HEAD + body)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        return processes.listen("told", {"number": 20}, hear or (lambda _: None))

    return listen


TWO = """
print("a library's words"); print('{"not": "an event"')
for step in range(2):
    print(json.dumps({"event": "step", "step": step}), flush=True)
"""


def test_events_are_heard_in_their_order_and_the_answer_comes_last(module: Any) -> None:
    heard: list[dict[str, Any]] = []
    body = TWO + "sys.exit(processes.serve(lambda request: request['number'] + 1))"
    assert module(body, heard.append) == 21
    assert heard == [{"event": "step", "step": 0}, {"event": "step", "step": 1}]


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        ("def fail(request):\n    raise errors.DamagedWeightsError('not what it was')\n"
         "sys.exit(processes.serve(fail))", DamagedWeightsError, "not what it was"),
        ("raise MemoryError('no room')", ChildError, "MemoryError: no room"),
        ("os.kill(os.getpid(), signal.SIGKILL)", ChildError, "killed, by signal 9; is there mem"),
        ("sys.exit(4)", ChildError, "its process ended with 4"),
    ],
)  # fmt: skip
def test_what_went_wrong_there_is_raised_here(
    module: Any, body: str, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        module(TWO + body)


def test_what_the_hearer_raises_ends_the_process(module: Any, tmp_path: Path) -> None:
    file = tmp_path / "pid"
    body = f"open({str(file)!r}, 'w').write(str(os.getpid()))" + TWO + "time.sleep(60)"

    def interrupt(_: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        module(body, interrupt)
    with pytest.raises(ProcessLookupError):
        os.kill(int(file.read_text()), 0)


@pytest.mark.slow
def test_a_training_ends_when_nobody_listens_any_more(tmp_path: Path) -> None:
    network = NETWORKS["squeezenet"]
    request = TrainingRequest(
        Folders(str(tmp_path), str(tmp_path / "out"), None, 0.2), network.name, None,
        network.recipe, Options(), "torch", max_pixels=1, restart=False,
    )  # fmt: skip
    with checkpoints.locked(request.folders.work):  # it waits for this, and so does not begin
        command = [
            sys.executable,
            "-m",
            "topfive.training.train_process",
            json.dumps(asdict(request)),
            processes.WATCHING,
        ]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(3)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(5) == 1


def test_an_output_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(OutputError, match="cannot write"),
        checkpoints.locked(tmp_path / "file" / "out"),
    ):
        pass
