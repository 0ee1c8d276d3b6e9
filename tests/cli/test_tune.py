"""The command `topfive tune`, as a user meets it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import click
import pytest

from tests.support import shapes
from tests.training.test_curves import accumulator, read, rows
from tests.training.test_curves import no_tensorflow as no_tensorflow  # a fixture
from topfive.cli import tune_text
from topfive.cli.main import main
from topfive.cli.tune import tune
from topfive.evaluation.metrics import Confusion, share
from topfive.networks import taught_folders
from topfive.networks.published import NETWORKS
from topfive.system import extras
from topfive.training import checkpoints, curves
from topfive.training import tune as tuning
from topfive.training.messages import Plan
from topfive.training.options import SPLIT, Options
from topfive.training.tune import TrainingListener, Tuned

PLAN: Plan = {
    "classes": ["cats", "dogs"], "pictures": 1600, "held_out": 400, "steps": 50,
    "phases": [{"phase": "head", "epochs": 4, "trainable": 1026},
               {"phase": "blocks", "epochs": 3, "trainable": 388_226}],
    "backend": "tensorflow", "devices": ["CPU"], "mixed_precision": False, "resumed_from": 0,
}  # fmt: skip
TUNED = Tuned(
    network=NETWORKS["squeezenet"], backbone="squeezenet", classes=("cats", "dogs"),
    num_pictures=1600, num_held_out=400, unreadable=0, copies=0, best_epoch=5,
    accuracy=share(392, 400), confusions=(Confusion(0, 1, 7), Confusion(1, 0, 1)),
    history=tuple(rows(5)),
    options=Options().resolved(), backend="tensorflow", seconds=412.7, remarks=(),
)  # fmt: skip


class Fake:
    """Stands for `tuning.tune`: tells of five epochs of which the first two are the head's,
    hears how it was called, and returns or raises what it shall."""

    def __init__(self) -> None:
        self.plan = PLAN
        self.outcome: Tuned | BaseException = TUNED
        self.epochs = 5
        self.called: dict[str, Any] = {}

    def __call__(self, folder: str, out: Path, listener: TrainingListener, **called: Any) -> Tuned:
        self.called = {"folder": folder, "out": out, **called}
        listener.warn("dogs/evil\x1b[2J.jpg is left out: broken")
        listener.begin(self.plan)
        for row in rows(self.epochs):
            listener.step(row["epoch"], 25, 50, row["loss"])
            listener.epoch(row)
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    """A training that is over at once."""
    fake = Fake()
    monkeypatch.setattr(tuning, "tune", fake)
    return fake


@pytest.fixture
def line(tmp_path: Path) -> list[str]:
    """A command that needs nothing to be there."""
    return ["tune", str(tmp_path / "pets"), "-o", str(tmp_path / "own"), "-m", "squeezenet"]


def test_what_came_of_it_is_said_within_80_columns(
    fake: Fake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["tune", "pets", "-o", "own", "-m", "squeezenet"]) == 0
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 80
    assert said.splitlines() == [
        "squeezenet, fine-tuned for 2 classes with 1,600 pictures",
        "",
        "held out         98.0% right (95 %: 96.1% to 99.0%), 392 of 400 pictures",
        "best epoch       5 of 5 (blocks), chosen by these pictures",
        "time             0:06:53",
        "taken wrongly    cats for dogs, 7 times",
        "                 dogs for cats, once",
        "in the folder    card.json, history.csv, curves.svg, tensorboard/",
        "",
        "topfive classify PICTURE --model own",
        "tensorboard --logdir own/tensorboard",
    ]


def test_in_a_log_each_epoch_is_a_line(
    fake: Fake, line: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(line) == 0
    said = capsys.readouterr().err.splitlines()
    assert max(map(len, said)) <= 80
    assert said == [
        "topfive: dogs/evil\\x1b[2J.jpg is left out: broken",
        "2 classes, 1,600 pictures to learn from, 400 held out",
        "tensorflow on CPU, 50 steps an epoch",
        "head: 1,026 parameters learn in up to 4 epochs",
        "blocks: 388,226 parameters learn in up to 3 epochs",
        "head 1/7: loss 2.000, 50.0% right; held out 2.500, 40.0% right; 1.5 s",
        "head 2/7: loss 1.000, 75.0% right; held out 1.250, 65.0% right; 1.5 s",
        # The head was done early: the blocks' three epochs end at the fifth.
        "blocks 3/5: loss 0.667, 83.3% right; held out 0.833, 73.3% right; 1.5 s",
        "blocks 4/5: loss 0.500, 87.5% right; held out 0.625, 77.5% right; 1.5 s",
        "blocks 5/5: loss 0.400, 90.0% right; held out 0.500, 80.0% right; 1.5 s",
    ]


def test_within_a_long_epoch_there_is_a_line_now_and_then(
    fake: Fake, line: list[str], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(tune_text, "NEXT_LINES", 0.0)
    monkeypatch.setattr(tune_text, "monotonic", iter(range(1000)).__next__)
    assert main(line) == 0
    assert "epoch 1 of 7, step 25 of 50, loss 2.000, 0:00:13 left" in capsys.readouterr().err


def test_quiet_leaves_only_what_is_the_matter(
    fake: Fake, line: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*line, "-q"]) == 0
    said = capsys.readouterr()
    assert said.err.splitlines() == ["topfive: dogs/evil\\x1b[2J.jpg is left out: broken"]
    assert "98.0% right" in said.out


def test_a_terminal_shows_a_bar_and_keeps_the_lines(
    fake: Fake, line: list[str], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    assert main(line) == 0
    said = capsys.readouterr().err
    assert "\x1b[2K" in said  # a line is drawn again
    assert "━" in said
    assert "blocks 5/5: loss 0.400, 90.0% right" in said


def test_it_comes_as_json(fake: Fake, line: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*line, "--format", "json", "--quiet"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said == json.loads(json.dumps(TUNED.to_dict()))
    assert said["accuracy"]["hits"] == 392


def test_a_training_that_goes_on_says_only_what_is_new(
    fake: Fake, line: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    fake.plan = {**PLAN, "resumed_from": 4}
    assert main(line) == 0
    said = capsys.readouterr().err.splitlines()
    assert said[5] == "going on after epoch 4"
    assert [text.split(":")[0] for text in said[6:]] == ["blocks 5/5"]


@pytest.mark.parametrize(
    ("more", "epochs", "message"),
    [
        ([], 5, "topfive: stopped; the same command goes on after epoch 5"),
        (["--restart"], 3, "the same command without --restart goes on after epoch 3"),
        ([], 0, "topfive: stopped before the first epoch was done"),
    ],
)
def test_ctrl_c_says_how_it_goes_on(
    fake: Fake, line: list[str], more: list[str], epochs: int, message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    fake.outcome, fake.epochs = KeyboardInterrupt(), epochs
    assert main([*line, *more]) == 130
    said = capsys.readouterr()
    assert message in said.err
    assert said.out == ""


def test_pictures_that_were_left_out_are_counted_and_the_status_tells(
    fake: Fake, line: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    fake.outcome = replace(TUNED, unreadable=3, copies=1200)
    assert main([*line, "-q"]) == 1
    assert "left out         3 cannot be read, 1,200 copies of others" in capsys.readouterr().out
    fake.outcome = replace(TUNED, copies=1)
    assert main([*line, "-q"]) == 0, "a copy is no failure"
    assert "left out         1 copies of others" in capsys.readouterr().out


def test_names_that_are_long_or_hostile_fit() -> None:
    classes = ("a" * 200, "b" * 200, "\x1b[2J")
    confusions = tuple(Confusion(0, index % 2 + 1, 1000) for index in range(9))
    said = tune_text.describe(
        replace(TUNED, classes=classes, confusions=confusions, backbone="squeezenet_v1.1"), "it's"
    )
    assert max(map(len, said.splitlines())) <= 80
    assert "and 4 other confusions" in said
    assert f"{'a' * 21}… for \\x1b[2J, 1,000 times" in said
    assert "--model 'it'\"'\"'s'" in said


def test_options_reach_the_training(fake: Fake, line: list[str], tmp_path: Path) -> None:
    assert main([
        *line, "--backend", "jax", "--validation", "apart", "--epochs", "7", "--head-epochs", "0",
        "--unfreeze", "all", "--batch", "16", "--optimizer", "sgd", "--learning-rate", "0.01",
        "--weight-decay", "0.001", "--label-smoothing", "0", "--warmup", "0.2", "--patience", "9",
        "--no-augment", "--seed", "3", "--force", "--restart", "--mixed-precision", "on",
        "--fit", "pad", "--window", "0", "4095", "--offline", "-q",
    ]) == 0  # fmt: skip
    assert fake.called["options"] == Options(
        epochs=7, head_epochs=0, unfreeze="all", batch=16, optimizer="sgd", learning_rate=0.01,
        weight_decay=0.001, label_smoothing=0, warmup=0.2, patience=9, augment=0,
        mixed_precision="on", seed=3,
    )  # fmt: skip
    del fake.called["options"]
    assert fake.called == {
        "folder": str(tmp_path / "pets"), "out": tmp_path / "own", "network": "squeezenet",
        "backend": "jax", "validation": Path("apart"), "split": SPLIT, "weights": None,
        "recipe": "default", "fit": "pad", "filter": None, "window": (0.0, 4095.0),
        "max_pixels": 100_000_000, "offline": True, "force": True, "restart": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--unfreeze", "some"], "'some' is neither a number of blocks nor 'all'"),
        (["--unfreeze", "-1"], "'-1' is neither a number of blocks nor 'all'"),
        (["--validation", "a", "--split", "0.3"], "give one of --validation and --split"),
        (["--split", "1"], "1.0 is not in the range 0<x<1"),
        (["--backend", "openvino"], "'openvino' is not one of 'tensorflow', 'jax', 'torch'"),
        (["--learning-rate", "0"], "0.0 is not in the range x>0"),
        (["--batch", "0"], "0 is not in the range x>=1"),
        (["--warmup", "2"], "2.0 is not in the range 0<=x<=1"),
        (["--initializer", "he"], "No such option"),
        (["--from-scratch"], "No such option"),
    ],
)
def test_wrong_usage_is_said_in_a_line(
    fake: Fake, line: list[str], more: list[str], message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert main([*line, *more]) == 2
    said = capsys.readouterr()
    assert message in said.err.splitlines()[-1]
    assert said.out == ""
    assert not fake.called


@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "status", "message"),
    [
        (["-m", "nope"], 2, "unknown network 'nope'"),
        (["--epochs", "0", "--head-epochs", "0"], 2, "no epochs to learn in"),
        ([], 2, "pets"),
        (["--window", "9", "2"], 2, "a window is a lower and a higher value"),
    ],
)
def test_what_the_library_refuses_is_said(
    line: list[str], more: list[str], status: int, message: str, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    pytest.importorskip("tensorflow")
    assert main([*line, *more]) == status
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "own").exists()


def test_the_network_needs_a_place(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tune", "pets"]) == 2
    assert "Missing option '-o' / '--output'" in capsys.readouterr().err


def test_a_missing_package_is_named_before_anything_is_done(
    line: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    pytest.importorskip("tensorflow")
    monkeypatch.setattr(extras, "find_spec", lambda one: None if "board" in one else one)
    assert main(line) == 3
    assert "pip install 'topfive[tune]'" in capsys.readouterr().err
    assert not (tmp_path / "own").exists()


def test_what_the_help_page_says_is_so() -> None:
    options = Options().resolved()
    told = {one.name: one.help or "" for one in tune.params if isinstance(one, click.Option)}
    assert f"[default: {options.epochs}]" in told["epochs"]
    assert f"[default: {options.head_epochs}]" in told["head_epochs"]
    assert f"[default: {options.patience}]" in told["patience"]
    assert f"[default: {SPLIT}]" in told["split"]
    assert f"{options.learning_rate:g} for adamw" in told["learning_rate"]
    assert f"{options.weight_decay:g} for adamw" in told["weight_decay"]
    assert {one.name for one in tune.params} > {*asdict(options)} - {
        "from_scratch",
        "initializer",
    }


@pytest.mark.slow
def test_the_help_page_imports_nothing_heavy() -> None:
    program = (
        "import sys; from topfive.cli.main import main; main(['tune', '--help'])\n"
        "heavy = {'numpy', 'keras', 'openvino', 'matplotlib', 'tensorboardX', 'rich', 'PIL'}\n"
        "sys.exit(str(heavy & sys.modules.keys()) if heavy & sys.modules.keys() else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.skipif(find_spec("tensorflow") is None, reason="needs TensorFlow")
def test_95_percent_of_shapes_are_told_by_a_network_that_every_command_takes(
    tmp_path: Path, warm: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shapes.write(tmp_path / "shapes", 25)
    (folder / "circle" / "broken.jpg").write_bytes(b"\xff\xd8nothing")
    shutil.copy(next((folder / "cross").iterdir()), folder / "cross" / "zz.png")
    own = tmp_path / "own"
    asked = ["tune", str(folder), "-o", str(own),
             "--head-epochs", "2", "--epochs", "1", "--batch", "16"]  # fmt: skip
    assert main([*asked, "-f", "json"]) == 1
    said = capsys.readouterr()
    tuned = json.loads(said.out)
    assert "broken.jpg is left out" in said.err
    assert "blocks: 1,014,916 parameters learn in up to 1 epochs" in said.err
    assert (tuned["unreadable"], tuned["copies"]) == (1, 1)
    assert (tuned["num_pictures"], tuned["num_held_out"]) == (80, 20)
    assert tuned["accuracy"]["hits"] >= 19
    assert [row["phase"] for row in tuned["history"]] == ["head", "head", "blocks"]
    table = (own / curves.TABLE).read_text()
    assert [line.split(",")[:2] for line in table.splitlines()[1:]] == [
        ["1", "head"], ["2", "head"], ["3", "blocks"],
    ]  # fmt: skip
    text = " ".join(one.text or "" for one in ElementTree.parse(own / curves.PICTURE).iter())  # noqa: S314
    assert f"best epoch: {tuned['best_epoch']}" in text
    assert {one.name for one in (own / curves.LOG).iterdir()} == {*curves.RUNS}
    log = read(accumulator(own, "validation"), "accuracy")
    assert log == pytest.approx({row["epoch"]: row["val_accuracy"] for row in tuned["history"]})
    assert not (own / checkpoints.FOLDER).exists()
    card = taught_folders.read_card(own)
    assert card.tuned is True
    made = card.made
    assert (made["by"], made["pictures"], made["held_out"]) == ("tune", 80, 20)
    assert made["options"]["head_epochs"] == 2
    assert made["history"] == tuned["history"]
    assert made["accuracy"]["hits"] == tuned["accuracy"]["hits"]

    # The folder is a network like any other.
    fresh = shapes.write(tmp_path / "fresh", 12, seed=5)
    assert main(["classify", str(fresh), "-r", "--model", str(own), "-f", "json"]) == 0
    answers = json.loads(capsys.readouterr().out)
    right = [one["predictions"][0]["label"] == Path(one["source"]).parent.name for one in answers]
    assert len(right) == 48
    assert sum(right) / len(right) >= 0.9
    assert main(asked) == 2
    assert "holds a network already; --force replaces it" in capsys.readouterr().err
