"""Work in another process or thread."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

from topfive import errors

T = TypeVar("T")

M_MMAP_THRESHOLD = -3  # of malloc.h
LARGE = 1 << 18  # bytes
WATCHING = "--ends-with-its-input"


def skip_openvino_converter() -> None:
    """Keep OpenVINO from importing its converter, in a process of our own.

    OpenVINO does without it by design, and its import takes longer than all the rest.
    """
    sys.modules.setdefault("openvino.tools.ovc", None)  # type: ignore[arg-type]


def run_module(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m module` and return its status and what it printed."""
    command, environment = _command(module, *arguments)
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def _command(module: str, *arguments: str) -> tuple[list[str], dict[str, str]]:
    """Return the command line of `python -m module`, and its environment."""
    source = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, (source, os.environ.get("PYTHONPATH"))))
    # -P: a keras.py in the folder that the user stands in is not Keras.
    command = [sys.executable, "-P", "-m", module, *arguments]
    return command, {**os.environ, "PYTHONPATH": path}


class ChildError(Exception):
    """A process of ours ended without an answer; the message is the last that it said."""


def ask(module: str, request: Mapping[str, Any]) -> Any:
    """Let `python -m module` answer a request, both of plain values, and return the answer.

    Raises:
        TopfiveError: the one that was raised there.
        ChildError: there is no answer.
    """
    return listen(module, request, lambda _: None)


def listen(module: str, request: Mapping[str, Any], hear: Callable[[dict[str, Any]], None]) -> Any:
    """Do what `ask` does, and let `hear` have what is told on the way: objects with an `event`,
    each a line of JSON on its output. Its input is open for as long as somebody listens.

    Raises: what `ask` does, and what `hear` does, which ends the process.
    """
    command, environment = _command(module, json.dumps(request), WATCHING)
    with tempfile.TemporaryFile("w+", errors="replace") as said:
        pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout"), subprocess.PIPE)
        pipes["stderr"] = said
        process = subprocess.Popen(command, env=environment, text=True, errors="replace", **pipes)
        told: dict[str, Any] = {}
        try:
            for line in process.stdout or ():
                try:
                    found = json.loads(line)
                except ValueError:  # a library's own words
                    continue
                if isinstance(found, dict) and "event" in found:
                    hear(found)
                elif isinstance(found, dict) and found.keys() & {"answer", "kind"}:
                    told = found
        except BaseException:
            process.kill()
            raise
        finally:
            process.communicate()
        said.seek(0)
        last, status = last_line(said.read()), process.returncode
    if "answer" in told:
        return told["answer"]
    if "kind" in told:
        raise getattr(errors, told["kind"], ChildError)(told["message"])
    if status < 0:  # what it said last is of something else
        raise ChildError(f"its process was killed, by signal {-status}; is there memory for it?")
    raise ChildError(last or f"its process ended with {status}")


def serve(answer: Callable[[dict[str, Any]], Any]) -> int:
    """Answer the request on the command line, for `ask`, and return the exit status."""
    if WATCHING in sys.argv[2:]:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        told = {"answer": answer(json.loads(sys.argv[1]))}
    except (errors.TopfiveError, OSError) as error:
        told = {"kind": type(error).__name__, "message": str(error)}
    print(json.dumps(told))
    return int("kind" in told)


def _end_with_parent() -> None:
    """End when whoever started this process is gone, however it ended."""
    with contextlib.suppress(OSError):
        # Not by `sys.stdin`, whose lock the interpreter wants when it ends.
        while os.read(0, 1):
            pass
    os._exit(1)


def last_line(text: str) -> str:
    """Return the last line of a text, or nothing where there is none."""
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else ""


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
