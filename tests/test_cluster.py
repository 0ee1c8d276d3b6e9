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
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests import fakes
from tests.conftest import ROOT
from topfive import Classifier, archives, cluster
from topfive.errors import EngineError, MissingExtraError, UsageError
from topfive.sources import Source

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
        *(Source(name, content) for name, content in archives.members(f"{folder}/some.tar", 1 << 20)),
    ]  # fmt: skip


def fingerprint(row: dict[str, Any]) -> str:
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

    from topfive import ray_session

    nodes = Cluster(True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    other = nodes.add_node(num_cpus=1)
    nodes.wait_for_nodes()
    cluster.BLOCK, first_chunk = BLOCK, cluster.FIRST_CHUNK

    def answer(
        name: str, times: int, event: Callable[[], None] | None = None, **how: Any
    ) -> None:
        try:
            rows: list[Any] = []
            for source, row in cluster.rows(
                iter(collect(folder) * times), options | how.pop("options", {}), 5,
                nodes.address, **how,
            ):  # fmt: skip
                if event and not rows:
                    event()
                rows.append([source.name, fingerprint(row)])
        except Exception as error:
            rows = [type(error).__name__, str(error)]
        (folder / f"{name}.json").write_text(json.dumps(rows))

    cluster.FIRST_CHUNK, cluster.CHUNK_SECONDS = 16, 0  # a pool for each 32 sources
    answer("chunks", 1)
    cluster.FIRST_CHUNK = first_chunk
    answer("unordered", 1, ordered=False)
    answer("missing", 1, options={"weights": missing_there(folder, options)})
    answer("killed worker", 8, kill_a_worker)
    answer("killed node", 8, lambda: nodes.remove_node(other, allow_graceful=False))
    cluster.__version__ = "0.0"
    answer("version", 1)
    ray_session.__doc__ = None
    nodes.shutdown()


def kill_a_worker() -> None:
    import ray

    actors = ray._private.state.actors().values()
    alive = [one["Pid"] for one in actors if one["State"] == "ALIVE" and "Answerer" in one["ActorClassName"]]
    os.kill(alive[0], signal.SIGKILL)
