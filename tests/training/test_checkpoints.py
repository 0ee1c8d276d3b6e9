"""A training's files: whole or not used, and only for the training that they are of."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from topfive.errors import OutputError, UsageError
from topfive.training import checkpoints
from topfive.training.checkpoints import Checkpoint, State

KEY = {"backend": "tensorflow", "batch": 32, "pictures": "ab" * 32}


def arrays(seed: int) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [random.random((3, 2), np.float32), np.array(seed), random.random(4, np.float32)]


def same(left: object, right: object) -> bool:
    return all(map(np.array_equal, left, right))  # type: ignore[call-overload]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "out" / checkpoints.FOLDER
    folder.mkdir(parents=True)
    return folder


def test_what_was_written_comes_back_and_only_the_best_weights_are_kept(folder: Path) -> None:
    checkpoint = Checkpoint(folder, KEY)
    assert checkpoint.read() is None
    state = State(epochs=1, history=[{"epoch": 1, "loss": 0.5}], best_epoch=1)
    checkpoint.write(state, arrays(1), arrays(2), best=True)
    state = State(1, 2, [{"epoch": 1}, {"epoch": 2}], best_epoch=1, waited=1, seconds=2.5)
    checkpoint.write(state, arrays(3), arrays(4), best=False)
    found = Checkpoint(folder, KEY).read()
    assert found is not None
    assert found[0] == state
    assert same(found[1], arrays(3))
    assert same(found[2], arrays(4))
    assert same(checkpoint.read_best(state), arrays(1))
    state.best_epoch = 3
    checkpoint.write(state, arrays(5), arrays(6), best=True)
    assert sorted(one.name for one in folder.iterdir()) == ["best-000003.npz", "state.npz"]
    assert same(checkpoint.read_best(state), arrays(5))


def test_a_kill_while_the_best_weights_are_replaced_loses_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = Checkpoint(folder, KEY)
    checkpoint.write(State(best_epoch=1), arrays(1), arrays(2), best=True)
    replace = Path.replace

    def killed(self: Path, target: Path) -> Path:
        if target.name == checkpoints.STATE:
            raise KeyboardInterrupt
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.write(State(best_epoch=2), arrays(3), arrays(4), best=True)
    found = checkpoint.read()
    assert found is not None
    assert found[0].best_epoch == 1
    assert same(checkpoint.read_best(found[0]), arrays(1))


def test_another_training_is_refused_and_what_differs_is_named(folder: Path) -> None:
    Checkpoint(folder, KEY).write(State(best_epoch=1), arrays(1), [], best=True)
    other = {**KEY, "batch": 16, "pictures": "cd" * 32}
    with pytest.raises(UsageError, match=r"batch \(32 then, 16 now\), pictures; --restart"):
        Checkpoint(folder, other).read()


@pytest.mark.parametrize("place", [0, 400, -30])
def test_a_damaged_file_is_refused(folder: Path, place: int) -> None:
    checkpoint = Checkpoint(folder, KEY)
    checkpoint.write(State(best_epoch=1), arrays(1), arrays(2), best=True)
    file = folder / checkpoints.STATE
    content = bytearray(file.read_bytes())
    content[place] ^= 0xFF
    file.write_bytes(content)
    with pytest.raises(UsageError, match=r"state.npz is damaged .* --restart begins anew"):
        checkpoint.read()
    file.write_bytes(bytes(content[: len(content) // 2]))
    with pytest.raises(UsageError, match="is damaged"):
        checkpoint.read()


def test_no_room_is_an_error_and_the_checkpoint_before_stays(small_disk: Path) -> None:
    checkpoint = Checkpoint(small_disk, KEY)
    checkpoint.write(State(epochs=1, best_epoch=1), arrays(1), arrays(2), best=True)
    with pytest.raises(OutputError, match="full"):
        checkpoint.write(State(epochs=2), [np.zeros(1 << 20)], [], best=False)
    found = checkpoint.read()
    assert found is not None
    assert found[0].epochs == 1


@pytest.mark.slow
def test_two_processes_do_not_train_in_one_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "PATIENCE", 0.1)
    program = (
        "import sys; from pathlib import Path; from topfive.training import checkpoints\n"
        "with checkpoints.locked(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with (
            pytest.raises(UsageError, match=r"another process is training in .*out"),
            checkpoints.locked(folder),
        ):
            pass
        other.kill()
    with checkpoints.locked(folder):
        pass
