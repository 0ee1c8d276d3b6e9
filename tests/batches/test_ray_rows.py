"""The rows of a run, computed by Ray: on two nodes on this machine, and by itself."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from itertools import starmap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import ROOT
from tests.support import fakes
from topfive import Classifier
from topfive.batches import ray_rows
from topfive.errors import EngineError, MissingExtraError, UsageError
from topfive.results import RowDict
from topfive.sources import archives
from topfive.sources.source import Source

pytestmark = pytest.mark.slow

NETWORK = "squeezenet_v1.1"
BLOCK = 4
needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs Ray")


def collect(folder: Path) -> list[Source]:
    """Sources of every kind, with a bad picture in every block."""
    found: list[Source] = []
    photographs = sorted(folder.glob("*.jpg"))
    for path in photographs:
        if len(found) % BLOCK == 0:
            found.append(Source(f"bad {len(found)}", b"no picture"))
        found.append(Source(str(path), path))
    picture = Image.open(photographs[0]).convert("RGBA")
    return [
        *found,
        Source("relative", os.path.relpath(photographs[1])),
        Source("bytes \udcff ü", photographs[2].read_bytes()),
        Source("array", np.asarray(picture)),
        Source("picture", picture),
        Source("number", 3.5),
        Source("", ""),
        Source("nul", "nul\0"),
        Source("closed", "http://127.0.0.1:1/x.jpg"),
        *starmap(Source, archives.members(f"{folder}/some.tar", 1 << 20)),
    ]  # fmt: skip


def fingerprint(row: RowDict) -> str:
    return json.dumps({**row, "milliseconds": None})


def expected(folder: Path, options: dict[str, Any], times: int = 1) -> list[list[str]]:
    """What one process answers: the names and the rows."""
    sources = collect(folder) * times
    found = Classifier(**options, throughput=True).rows(sources)
    return [[source.name, fingerprint(row.to_dict())] for source, row in found]


def run_on_two_nodes(folder: Path, options: dict[str, Any]) -> None:
    """Answer the same sources in several ways; write what came to files in the folder.

    Run in a process of its own: Ray leaves threads and settings behind.
    """
    from ray.cluster_utils import Cluster

    nodes = Cluster(True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    other = nodes.add_node(num_cpus=1)
    nodes.wait_for_nodes()
    ray_rows.BLOCK, first_chunk = BLOCK, ray_rows.FIRST_CHUNK

    def answer(name: str, times: int, event: Callable[[], None] | None = None, **how: Any) -> None:
        rows: list[Any] = []
        sources = iter(collect(folder) * times)
        try:
            for source, row in ray_rows.rows(sources, options, 5, nodes.address, **how):
                if event and not rows:
                    event()
                rows.append([source.name, fingerprint(row)])
        except Exception as error:
            rows = [type(error).__name__, str(error)]
        (folder / f"{name}.json").write_text(json.dumps(rows))

    ray_rows.FIRST_CHUNK, ray_rows.CHUNK_SECONDS = 16, 0  # a pool for each 32 sources
    answer("chunks", 1)
    ray_rows.FIRST_CHUNK = first_chunk
    answer("killed worker", 8, kill_a_worker, ordered=False)
    answer("killed node", 8, lambda: nodes.remove_node(other, allow_graceful=False))
    answer("fault", 1, readers="many")
    ray_rows.__version__ = "0.0"  # type: ignore[attr-defined]
    answer("version", 1)
    nodes.shutdown()


def kill_a_worker() -> None:
    import ray

    actors = [one for one in ray._private.state.actors().values() if one["State"] == "ALIVE"]
    os.kill(
        next(one["Pid"] for one in actors if "Answerer" in one["ActorClassName"]), signal.SIGKILL
    )


@pytest.fixture(scope="session")
def options(weight_file: Path) -> dict[str, Any]:
    return {"network": NETWORK, "weights": str(weight_file), "ancestors": ["dog"]}


@pytest.fixture(scope="session")
def answers(
    tmp_path_factory: pytest.TempPathFactory, options: dict[str, Any], compiled: Path
) -> Callable[[str], list[Any]]:
    """What two nodes answered, by the name of the way."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("needs Ray")
    folder = tmp_path_factory.mktemp("sources")
    for number, pixels in enumerate(fakes.pictures(15, 120)):
        Image.fromarray(pixels).save(folder / f"{number:02}.jpg")
    with tarfile.open(folder / "some.tar", "w") as tar:
        tar.add(folder / "03.jpg", "member.jpg")
    code = (
        "from tests.batches.test_ray_rows import *; "
        f"run_on_two_nodes(Path({str(folder)!r}), {options!r})"
    )
    done = run_python(code, compiled)
    assert done.returncode == 0, done.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TOPFIVE_CACHE", str(compiled))
        whole = {times: expected(folder, options, times) for times in (1, 8)}
    (folder / "whole.json").write_text(json.dumps(whole[1]))
    (folder / "whole 8.json").write_text(json.dumps(whole[8]))
    return lambda name: json.loads((folder / f"{name}.json").read_text())


def run_python(code: str, cache: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True, check=False,
        env={
            **os.environ, "TOPFIVE_CACHE": str(cache),
            "RAY_ENABLE_AUTO_CONNECT": "0",  # as in the command: a thread of Ray's may come late
            **environment,
        },
    )  # fmt: skip


def test_two_nodes_answer_row_for_row_what_one_process_does(
    answers: Callable[[str], list[Any]],
) -> None:
    whole = answers("whole")
    assert answers("chunks") == whole
    rows = [json.loads(row) for _, row in whole]
    assert sum(row["error"] is None for row in rows) == 20
    assert {row["error"]["kind"] for row in rows if row["error"]} == {
        "not-a-picture", "unsupported", "missing", "unreadable", "download",
    }  # fmt: skip


def test_unordered_and_with_a_worker_killed_the_rows_are_the_same(
    answers: Callable[[str], list[Any]],
) -> None:
    assert sorted(answers("killed worker")) == sorted(answers("whole 8"))


def test_with_a_node_killed_the_rows_are_the_same(answers: Callable[[str], list[Any]]) -> None:
    assert answers("killed node") == answers("whole 8")


def test_a_fault_in_an_actor_is_not_swallowed(answers: Callable[[str], list[Any]]) -> None:
    kind, message = answers("fault")
    assert kind != "EngineError"
    assert "TypeError" in message


def test_a_node_with_another_topfive_is_refused(answers: Callable[[str], list[Any]]) -> None:
    kind, message = answers("version")
    assert kind == "EngineError"
    assert "is installed; expected 0.0" in message


@needs_ray
def test_ray_on_this_machine_alone_writes_the_same_file(
    weight_file: Path, warm: Path, tmp_path: Path, photograph: Path
) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    line = [sys.executable, "-m", "topfive", "batch", str(photograph), str(tmp_path / "bad.jpg"),
            "-m", NETWORK, "--weights", str(weight_file), "-q", "-o"]  # fmt: skip
    done = subprocess.run(
        [*line, str(tmp_path / "ray.jsonl"), "--ray", "local"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    subprocess.run([*line, str(tmp_path / "plain.jsonl")], check=False)
    files = [(tmp_path / name).read_text().splitlines() for name in ("ray.jsonl", "plain.jsonl")]
    ray, plain = ([fingerprint(json.loads(row)) for row in rows] for rows in files)
    assert ray == plain
    assert len(plain) == 2


@needs_ray
def test_an_interrupted_run_leaves_no_process_behind(
    weight_file: Path, warm: Path, tmp_path: Path, photograph: Path
) -> None:
    names = (str(photograph) + "\0") * 100_000
    output = tmp_path / "rows.jsonl"
    line = [sys.executable, "-m", "topfive", "batch", "-0", "-m", NETWORK, "--weights",
            str(weight_file), "-q", "-o", str(output), "--ray", "local"]  # fmt: skip
    (tmp_path / "names").write_text(names)
    with (tmp_path / "names").open() as stdin:
        process = subprocess.Popen(
            line, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True, env={**os.environ, "TOPFIVE_TEST_RUN": str(tmp_path)},
        )  # fmt: skip
    try:
        wait_for(lambda: any("MapWorker" in command for command in commands(tmp_path)))
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert said.splitlines()[-1] == "topfive: interrupted"
    wait_for(lambda: not commands(tmp_path))


def commands(mark: Path) -> list[str]:
    """The command lines of the processes that inherited a mark in their environment."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if f"TOPFIVE_TEST_RUN={mark}\0".encode() in (entry / "environ").read_bytes():
                found.append((entry / "cmdline").read_text())
        except OSError:  # gone, or not ours
            continue
    return found


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.2)


@needs_ray
def test_without_a_cluster_auto_is_one_line(
    options: dict[str, Any], warm: Path, tmp_path: Path
) -> None:
    code = f"""
import functools
import ray._private.services as services
from topfive.batches import ray_rows as cluster
from topfive.sources.source import from_object
services.find_gcs_addresses = functools.cache(frozenset)  # others' on this machine
try:
    next(cluster.rows([from_object("x.jpg")], {options!r}, 5, "auto"))
except cluster.EngineError as error:
    print(error)
"""
    done = run_python(code, warm, RAY_TMPDIR=str(tmp_path), RAY_ADDRESS="")
    assert done.stdout.startswith("no Ray cluster runs here: start one with `ray start --head`")
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == ""


@needs_ray
@pytest.mark.parametrize(
    ("address", "error"),
    [("127.0.0.1:1", EngineError), ("nowhere", UsageError), ("ray://127.0.0.1:1", UsageError)],
)
def test_an_address_without_a_cluster_is_refused_at_once(
    address: str, error: type[Exception], options: dict[str, Any], warm: Path
) -> None:
    found = ray_rows.rows([Source("x.jpg", Path("x.jpg"))], options, 5, address)
    with pytest.raises(error, match=address):
        next(found)


def test_without_ray_its_extra_is_named(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    found = ray_rows.rows([Source("x.jpg", Path("x.jpg"))], options, 5, "local")
    with pytest.raises(MissingExtraError, match=r"pip install 'topfive\[ray\]'"):
        next(found)


def test_where_there_is_nothing_to_do_nothing_is_started() -> None:
    assert list(ray_rows.rows([], {"network": "no such"}, 5, "nowhere")) == []


def test_chunks_are_bounded_in_number_and_in_bytes(
    squeezenet: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_rows, "BLOCK_BYTES", 100)
    monkeypatch.setattr(ray_rows, "CHUNK_BYTES", 350)
    drawn = 0

    def endless() -> Iterator[Source]:
        nonlocal drawn
        while True:
            drawn += 1
            yield Source(str(drawn), bytes(60))

    sources = endless()
    found, blocks = ray_rows._draw(sources, 3, squeezenet)
    assert [source.name for source in found.values()] == ["1", "2", "3"]
    assert [block.num_rows for block in blocks] == [2, 1]
    found, blocks = ray_rows._draw(sources, 100, squeezenet)
    assert drawn == 3 + len(found) == 9
    assert [block.num_rows for block in blocks] == [2, 2, 2]
