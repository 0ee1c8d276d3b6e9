"""In a fork, without a home, with streams closed or little memory: an answer, or one clear line."""

from __future__ import annotations

import json
import multiprocessing
import os
import pwd
import subprocess
import sys
import time
from pathlib import Path

import pytest

from topfive import Classifier
from topfive.cli.main import main
from topfive.engines import blobs, forks, keras_engine
from topfive.errors import EngineError
from topfive.networks import records, weights
from topfive.system import files, processes

TOPFIVE = [sys.executable, "-m", "topfive"]
NETWORK = "squeezenet_v1.1"


@pytest.fixture
def classify(weight_file: Path, warm: Path, photograph: Path) -> list[str]:
    """The command that answers about a photograph."""
    options = ["-k", "1", "-m", NETWORK, "--weights", str(weight_file)]
    return [*TOPFIVE, "classify", str(photograph), *options]


FORK = """
import os, sys, threading, topfive
picture, weights, state = sys.argv[1:]
classifier = topfive.Classifier("squeezenet_v1.1", weights=weights, wait=state != "begun")
if state != "begun":
    list(classifier.stream([picture] * 4))
ended = threading.Event()
def work():
    while not ended.is_set():
        list(classifier.stream([picture] * 4))
if state == "busy":
    threading.Thread(target=work).start()
child = os.fork()
if not child:
    both = [classifier.classify(picture), *classifier.stream([picture] * 3)]
    print(len({one.predictions[0].label for one in both}), len(both), flush=True)
    sys.exit()
status = os.waitpid(child, 0)[1]
ended.set()
sys.exit(status)
"""


@pytest.mark.slow
@pytest.mark.parametrize("state", ["idle", "busy", "begun"])
def test_a_classifier_answers_in_a_process_that_is_forked(
    weight_file: Path, warm: Path, photograph: Path, state: str
) -> None:
    Classifier(NETWORK, weights=weight_file)  # in the cache
    command = [sys.executable, "-c", FORK, str(photograph), str(weight_file), state]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "1 4\n"


def ask(run: object) -> str:
    """Return what a run says in this process."""
    try:
        run()  # type: ignore[operator]
    except EngineError as error:
        return str(error)
    return "answered"


def in_a_fork(run: object) -> str:
    """Return what a run says in a child, at once."""
    queue = multiprocessing.get_context("fork").SimpleQueue()
    child = multiprocessing.get_context("fork").Process(target=lambda: queue.put(ask(run)))
    child.start()
    child.join(10)
    assert child.exitcode == 0
    return str(queue.get())


def test_what_cannot_answer_in_a_fork_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    run = keras_engine.run_of(None)
    assert forks.WHAT_TO_DO in in_a_fork(lambda: run(None))  # type: ignore[arg-type]
    monkeypatch.setitem(keras_engine._started, "process", os.getpid())
    assert "Keras was made ready" in in_a_fork(lambda: keras_engine.start_keras("openvino"))


def test_what_hangs_in_a_fork_is_not_waited_for(
    weight_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forks, "PATIENCE", 0.1)
    monkeypatch.setattr(blobs, "find", lambda *_: time.sleep(5))
    card = Classifier.__init__.__globals__["find_network"](NETWORK)
    start = time.monotonic()
    with pytest.raises(EngineError, match="spawn or forkserver"):
        forks.open_again(card, weight_file, blobs.Target(), None)
    assert time.monotonic() - start < 4


@pytest.mark.parametrize(
    ("folder", "variable"),
    [
        (blobs.folder, "HOME, or TOPFIVE_CACHE,"),
        (records.folder, "HOME, or TOPFIVE_DATA,"),
        (weights.folder, "KERAS_HOME"),
    ],
)
def test_a_user_without_a_home_is_told_which_variable_to_set(
    monkeypatch: pytest.MonkeyPatch, folder: object, variable: str
) -> None:
    def unknown(_: object) -> None:
        raise KeyError("no such user")

    for name in ("HOME", "TOPFIVE_CACHE", "TOPFIVE_DATA", "KERAS_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    with pytest.raises(Exception, match=f"set {variable} to a folder") as found:
        folder()  # type: ignore[operator]
    assert found.value.exit_status == 3  # type: ignore[attr-defined]


def run(command: list[str], closed: str) -> subprocess.CompletedProcess[str]:
    """Run a command with standard streams closed, as `2>&-` does."""
    line = ["sh", "-c", f'"$@" {closed}', "sh", *command]
    return subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.slow
def test_closed_streams_cost_no_answer_and_mix_nothing(classify: list[str], tmp_path: Path) -> None:
    done = run([*classify, "no-such.png", "-f", "jsonl"], "2>&-")
    assert [sorted(json.loads(line)) for line in done.stdout.splitlines()][1] == ["error", "source"]
    assert done.returncode == 1
    done = run(classify, ">&-")
    assert done.returncode == 1
    assert done.stderr.startswith("topfive: cannot write the output: ")
    assert len(done.stderr.splitlines()) == 1
    assert run([*TOPFIVE, "networks"], ">&-").stderr.startswith("topfive: the output cannot be")
    batch = [*TOPFIVE, "batch", "-q", "-o", str(tmp_path / "rows.csv"), *classify[5:]]
    done = run([*batch, classify[4]], "<&- >&- 2>&-")
    assert done.returncode == 0
    assert len((tmp_path / "rows.csv").read_text().splitlines()) == 2
    done = run([*batch, "-0"], "<&-")
    assert done.returncode == 2
    assert "standard input, which is closed" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("megabytes", [60, 250, 500, 880])
def test_a_small_address_space_is_one_line_and_status_3(
    classify: list[str], megabytes: int
) -> None:
    line = ["sh", "-c", f'ulimit -v {megabytes * 1000}; exec "$@"', "sh", *classify]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode or not done.stdout:
        assert done.returncode == 3
        assert done.stdout == ""
        assert done.stderr.startswith("topfive: ")
        assert len(done.stderr.splitlines()) == 1


def test_the_lack_of_memory_is_told_from_other_errors(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for error in (
        MemoryError(),
        ImportError("libfoo.so: failed to map segment from shared object"),
        RuntimeError("can't start new thread"),
    ):

        def fail(*_: object, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(weights, "folder", fail)
        assert main(["weights", "path"]) == 3
        assert capsys.readouterr().err == "topfive: there is not enough memory for this\n"


PARENT = """
import sys, tempfile
from pathlib import Path
from topfive.system import files, processes
with files.work_folder(Path(sys.argv[1]), ".converting-"):
    processes.ask("tests.cli.sleeper_process", {"file": sys.argv[2]})
"""


@pytest.mark.slow
def test_a_process_that_is_killed_leaves_no_orphan_and_a_folder_that_the_next_removes(
    tmp_path: Path,
) -> None:
    (tmp_path / "cache").mkdir()
    code = tmp_path / "sleeper.py"
    code.write_text(
        "import os, sys, time, pathlib\n"
        "from topfive.system.processes import serve\n"
        "def answer(request):\n"
        "    pathlib.Path(request['file']).write_text(str(os.getpid()))\n"
        "    time.sleep(60)\n"
        "sys.exit(serve(answer))\n"
    )
    said = tmp_path / "pid"
    text = PARENT.replace("tests.cli.sleeper_process", "sleeper")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{Path(files.__file__).parents[2]}"}
    command = [sys.executable, "-c", text, str(tmp_path / "cache"), str(said)]
    parent = subprocess.Popen(command, env=environment)
    limit = time.monotonic() + 30
    while not said.exists() or not said.read_text():
        assert time.monotonic() < limit
        time.sleep(0.05)
    parent.kill()
    parent.wait()
    while Path(f"/proc/{said.read_text()}").exists():
        assert time.monotonic() < limit
        time.sleep(0.05)
    assert len(list((tmp_path / "cache").iterdir())) == 1
    with files.work_folder(tmp_path / "cache", ".converting-") as work:
        assert list((tmp_path / "cache").iterdir()) == [work]
    assert processes.WATCHING
