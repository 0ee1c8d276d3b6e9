"""Run whole processes one after the other: how long they take and how much memory.

This module and what imports it must stay small: Linux counts a process's peak memory from
what its parent had when it started it.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


class BenchmarkError(Exception):
    """A side failed, or the two do not answer the same: its times mean nothing."""


@dataclass(frozen=True)
class Run:
    """One process: wall time in seconds, peak resident memory in bytes, what it printed."""

    seconds: float
    memory: int
    output: str


@dataclass(frozen=True)
class Command:
    """A command line, and the whole environment in which it runs."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str]


def run(command: Command) -> Run:
    """Run a command to its end.

    Raises:
        BenchmarkError: it cannot be started, or ends with another status than 0.
    """
    line = shlex.join(command.arguments)
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        try:
            process = subprocess.Popen(
                command.arguments, env=dict(command.environment), stdin=subprocess.DEVNULL,
                stdout=output, stderr=errors,
            )  # fmt: skip
        except OSError as error:
            raise BenchmarkError(f"cannot start {line}: {error.strerror}") from error
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        errors.seek(0)
        if process.returncode != 0:
            tail = errors.read().decode("utf-8", "replace")[-2000:]
            raise BenchmarkError(f"{line} ended with {process.returncode}:\n{tail}")
        unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
        return Run(seconds, usage.ru_maxrss * unit, output.read().decode("utf-8"))


def turn_by_turn(commands: Sequence[Command], runs: int) -> list[list[Run]]:
    """Return the runs of each command; a slow minute of the machine is slow for all."""
    rounds = [[run(command) for command in commands] for _ in range(runs)]
    return [list(side) for side in zip(*rounds, strict=True)]
