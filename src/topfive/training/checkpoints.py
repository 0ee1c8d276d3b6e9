"""What a training that was stopped goes on from: numbers and plain values, in two files.

`state.npz` is replaced at the end of each epoch, `best-NUMBER.npz` holds the best weights so
far and is named in it. Each appears whole, by a rename; a zip archive's checksums tell whether
it still is. Nothing is unpickled.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from topfive.errors import UsageError
from topfive.networks import heads
from topfive.system.arrays import read_many
from topfive.system.files import open_regular, replacing, unwritable

FOLDER = ".training"
STATE, LOCK = "state.npz", "lock"
PATIENCE = 20.0  # seconds for a process to end that was killed a moment ago

BODY, HEAD = "body.weights.h5", f"head{heads.ENDING}"  # what is handed over, beside checkpoints

Arrays = Sequence[NDArray[Any]]


@dataclass
class State:
    """Where a training is: the `phase` by its index, the `epochs` that are done in it, the row
    of each epoch so far, the best of them (`best_epoch`, from 1; 0 is none), for how many
    epochs of the phase nothing got better, the seconds that were spent; whether it is
    `finished`."""

    phase: int = 0
    epochs: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    best_epoch: int = 0
    waited: int = 0
    seconds: float = 0.0
    finished: bool = False


@dataclass(frozen=True)
class Checkpoint:
    """The files of one training in a folder. `key` is what it depends on: plain values."""

    folder: Path
    key: Mapping[str, Any]

    def write(self, state: State, model: Arrays, optimizer: Arrays, best: bool) -> None:
        """Keep a training as it is after an epoch, which may be the best so far.

        Raises:
            OutputError: it cannot be written; the one before stays.
        """
        if best:
            _save(self._best(state.best_epoch), {}, model=model)
        told = {"key": self.key, "state": vars(state)}
        _save(self.folder / STATE, told, model=model, optimizer=optimizer)
        for file in self.folder.glob("best-*.npz"):
            if file != self._best(state.best_epoch):
                file.unlink()

    def read(self) -> tuple[State, Arrays, Arrays] | None:
        """Return what was written last, with the model's and the optimizer's variables, if any.

        Raises:
            UsageError: it is damaged, or of a training that depends on something else.
        """
        file = self.folder / STATE
        if not file.exists():
            return None
        told, arrays = _load(file)
        if differing := ", ".join(_differences(told["key"], self.key)):
            raise UsageError(
                f"{self.folder.parent} holds a training that was stopped, and is of another kind: "
                f"{differing}; --restart begins anew, the command that began it goes on"
            )
        return State(**told["state"]), arrays["model"], arrays["optimizer"]

    def read_best(self, state: State) -> Arrays:
        """Return the model's variables after its best epoch; damaged ones are a `UsageError`."""
        return _load(self._best(state.best_epoch))[1]["model"]

    def _best(self, epoch: int) -> Path:
        return self.folder / f"best-{epoch:06}.npz"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder of checkpoints against all other processes; without one it goes again.

    Raises:
        UsageError: another one trains there.
        OutputError: the folder cannot be made.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / LOCK)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=PATIENCE)
    except Timeout as error:
        raise UsageError(f"another process is training in {folder.parent}") from error
    except OSError as error:
        raise unwritable(folder, error) from error
    try:
        yield
    finally:
        if not (folder / STATE).exists():
            remove(folder)
        lock.release()


def remove(folder: Path) -> None:
    """Delete a training's checkpoints, and the folder around them if nothing else is in it."""
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):
        folder.parent.rmdir()


def clear(folder: Path) -> None:
    """Delete a training's checkpoints from the folder that is held."""
    for file in (folder / STATE, *folder.glob("best-*.npz")):
        file.unlink(missing_ok=True)


def _save(file: Path, told: Mapping[str, Any], **groups: Arrays) -> None:
    arrays = {
        f"{group}-{number:05}": array
        for group, some in groups.items()
        for number, array in enumerate(some)
    }
    text = np.frombuffer(json.dumps(told).encode(), np.uint8)
    with replacing(file) as part, part.open("wb") as stream:
        np.savez(stream, told=text, **arrays)  # type: ignore[arg-type]


def _load(file: Path) -> tuple[dict[str, Any], dict[str, list[NDArray[Any]]]]:
    arrays: dict[str, list[NDArray[Any]]] = {"model": [], "optimizer": []}
    try:
        with open_regular(file) as stream:
            content = read_many(stream, file.stat().st_size)
        told = json.loads(content.pop("told").tobytes())
        for name in sorted(content):
            arrays[name.partition("-")[0]].append(content[name])
    except (OSError, ValueError, KeyError, RecursionError) as error:
        raise UsageError(f"{file} is damaged ({error}); --restart begins anew") from error
    return told, arrays


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Yield what two keys differ in, with the values where these are short."""
    for name in {**before, **now}:
        values = [json.dumps(one.get(name)) for one in (before, now)]
        if values[0] != values[1]:
            short = max(map(len, values)) < 40
            told = f" ({values[0]} then, {values[1]} now)" if short else ""
            yield name.replace("_", " ") + told
