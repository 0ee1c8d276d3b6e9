"""Work in another process or thread."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")

M_MMAP_THRESHOLD = -3  # of malloc.h
LARGE = 1 << 18  # bytes


def skip_openvino_converter() -> None:
    """Keep OpenVINO from importing its converter, in a process of our own.

    OpenVINO does without it by design, and its import takes longer than all the rest.
    """
    sys.modules.setdefault("openvino.tools.ovc", None)  # type: ignore[arg-type]


def run_module(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m module` and return its status and what it printed."""
    # -P: a keras.py in the folder that the user stands in is not Keras.
    command = [sys.executable, "-P", "-m", module, *arguments]
    source = str(Path(__file__).parents[1])
    path = os.pathsep.join(filter(None, (source, os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def return_memory() -> None:
    """Have glibc give large blocks back as they are freed, in a process of our own.

    Otherwise decoded pictures of many sizes leave holes in each thread's memory, which
    grows for as long as the process runs.
    """
    if sys.platform == "linux":
        import ctypes

        library = ctypes.CDLL(None)
        if hasattr(library, "mallopt"):  # other C libraries have none
            library.mallopt(M_MMAP_THRESHOLD, LARGE)


class Background(Generic[T]):
    """A function at work in a thread; `result` waits for it and returns or raises what it did.

    `concurrent.futures` does the same and takes longer to import than a blob to be mapped.
    """

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._result: list[T] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._result.append(self._work())
        except BaseException as error:
            self._error = error

    def result(self) -> T:
        """Wait, then return or raise."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._result[0]
