"""The benchmark's own arithmetic, its processes, and the tutorial's script that it runs."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from benchmarks.one_photograph import Comparison, Figure, compare, compare_answers, report
from benchmarks.processes import BenchmarkError, Command, Run

from benchmarks import one_photograph, processes, weight_files
from tests.conftest import ROOT
from topfive.engines import keras_models
from topfive.networks import labels, weights
from topfive.networks.cards import WeightFile, choose_recipe
from topfive.networks.find import find_network
from topfive.pictures import decoding, squares

PICTURE = ROOT / "examples" / "soccer_ball.jpg"
ANSWER = """1. soccer_ball: 93.43%
2. golf_ball: 3.00%
3. ping-pong_ball: 2.00%
4. jack-o'-lantern: 1.00%
5. bubble: 0.50%
"""
needs_tensorflow = pytest.mark.skipif(
    importlib.util.find_spec("tensorflow") is None, reason="needs topfive[tensorflow]"
)


def python(code: str, *arguments: str) -> Command:
    """A command that runs some Python."""
    return Command((sys.executable, "-c", code, *arguments), dict(os.environ))


# --- processes ---


@pytest.mark.slow
def test_a_run_has_its_output_and_its_wall_time() -> None:
    run = processes.run(python("import time; time.sleep(0.3); print('näh')"))
    assert run.output.strip() == "näh"
    assert 0.3 <= run.seconds < 30


@pytest.mark.slow
def test_a_run_has_the_peak_memory_of_its_own_process() -> None:
    # From a small process, as the benchmark is: this one's own memory would count.
    code = """
from benchmarks.processes import Command, run
import os, sys
for code in ("pass", "a = bytearray(b'x' * 150_000_000); del a"):
    print(run(Command((sys.executable, "-c", code), dict(os.environ))).memory)
"""
    output = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True
    ).stdout
    small, large = (int(line) for line in output.split())
    assert 1_000_000 < small < 100_000_000
    assert 150_000_000 < large - small < 320_000_000


def test_the_process_that_measures_stays_small() -> None:
    code = "import benchmarks.one_photograph, sys; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split()
    assert not {"numpy", "keras", "h5py", "openvino", "PIL", "requests"} & set(loaded)


def test_a_failing_run_is_an_error_with_what_it_said() -> None:
    with pytest.raises(BenchmarkError, match=r"ended with 3:\s+no weights"):
        processes.run(python("import sys; print('no weights', file=sys.stderr); sys.exit(3)"))


def test_a_killed_run_is_an_error() -> None:
    with pytest.raises(BenchmarkError, match="ended with -9"):
        processes.run(python("import os; os.kill(os.getpid(), 9)"))


def test_a_command_that_is_not_there_is_an_error() -> None:
    with pytest.raises(BenchmarkError, match="cannot start no-such-topfive"):
        processes.run(Command(("no-such-topfive",), dict(os.environ)))


def test_both_sides_take_turns(tmp_path: Path) -> None:
    log = tmp_path / "log"
    note = "import sys; open(sys.argv[1], 'a').write(sys.argv[2]); print(sys.argv[2])"
    commands = [python(note, str(log), side) for side in "ab"]
    runs = processes.turn_by_turn(commands, 3)
    assert log.read_text() == "ababab"
    assert [[one.output.strip() for one in side] for side in runs] == [["a"] * 3, ["b"] * 3]


# --- the answers of both sides ---


def test_equal_answers_pass_within_the_tolerance() -> None:
    compare_answers(f"1/1 ━━━━ 0s 243ms/step\n{ANSWER}", ANSWER.replace("93.43", "93.50"))


def test_a_draw_for_the_fifth_place_passes() -> None:
    compare_answers(ANSWER, ANSWER.replace("5. bubble: 0.50%", "5. baseball: 0.52%"))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("93.43", "93.23"),
        ("1. soccer_ball", "1. baseball"),
        ("2. golf_ball", "2. baseball"),
        ("5. bubble: 0.50%\n", ""),
        ("5. bubble: 0.50%", "5. bubble: 0.70%"),
    ],
)
def test_different_answers_are_refused(old: str, new: str) -> None:
    assert old in ANSWER
    with pytest.raises(BenchmarkError, match="the answers differ"):
        compare_answers(ANSWER, ANSWER.replace(old, new))


def test_no_answers_are_refused() -> None:
    with pytest.raises(BenchmarkError, match="the answers differ"):
        compare_answers("", "")


# --- the figures ---


def test_a_comparison_takes_medians_and_leaves_the_warm_up_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    warm_up: list[Command] = []

    def first_use(command: Command) -> Run:
        warm_up.append(command)
        return Run(99.0, 9999, ANSWER)

    timed = {"tutorial": [Run(12.0, 2000, ""), Run(11.0, 2900, ""), Run(19.0, 1000, "")],
             "topfive": [Run(1.5, 500, ""), Run(9.0, 400, ""), Run(1.0, 600, "")]}  # fmt: skip
    monkeypatch.setattr(one_photograph, "run", first_use)
    monkeypatch.setattr(
        one_photograph,
        "turn_by_turn",
        lambda commands, runs: [timed[one.arguments[0]][:runs] for one in commands],
    )
    tutorial, topfive, same = (Command((name,), {}) for name in ("tutorial", "topfive", "same"))
    row = compare("vgg16", "random", tutorial, topfive, same, runs=3)
    assert row == Comparison("vgg16", "random", 12.0, 1.5, 2000, 500)
    assert warm_up == [tutorial, same, topfive]

    warm_up.clear()
    row = compare("efficientnet_lite0", "random", tutorial, topfive, None, runs=3)
    assert (row.faster, warm_up) == (8.0, [tutorial, topfive])


@pytest.mark.parametrize(("theirs", "ours"), [("", ANSWER), (ANSWER, "")])
def test_networks_that_differ_have_to_answer_at_least(
    monkeypatch: pytest.MonkeyPatch, theirs: str, ours: str
) -> None:
    said = {"tutorial": theirs, "topfive": ours}
    monkeypatch.setattr(
        one_photograph, "run", lambda command: Run(1.0, 1, said[command.arguments[0]])
    )
    tutorial, topfive = (Command((name,), {}) for name in said)
    with pytest.raises(BenchmarkError, match="expected five answers each"):
        compare("efficientnet_lite0", "random", tutorial, topfive, None, runs=1)


def test_the_ratios_are_of_time_and_of_memory() -> None:
    row = Comparison("vgg16", "random", 12.0, 1.5, 2000e6, 500e6)
    assert (row.faster, row.memory_ratio) == (8.0, 0.25)


@pytest.mark.parametrize(
    ("topfive", "help_page", "line", "missed"),
    [(1.0, 0.2, 2, False), (1.01, 0.2, 2, True), (1.0, 0.25, 4, False), (1.0, 0.26, 4, True)],
)
def test_a_missed_target_is_marked(
    topfive: float, help_page: float, line: int, missed: bool
) -> None:
    row = Comparison("inception_v3", "random", 10.0, topfive, 2300e6, 1200e6)
    figure = Figure("topfive --help", help_page, " s", 0.25)
    assert ("!" in report([row], [figure]).splitlines()[line]) is missed


def test_a_figure_without_a_target_is_shown_alone() -> None:
    assert report([], [Figure("second answer", 1.5, " s", None)]).split() == [
        *"seconds memory, MB network tutorial topfive faster target tutorial topfive ratio".split(),
        *"second answer 1.50 s".split(),
    ]  # fmt: skip


def test_a_row_says_what_it_is_compared_with_where_the_tutorial_has_no_such_network() -> None:
    rows = [Comparison(name, "random", 10.0, 1.0, 1e9, 1e9)
            for name in ("efficientnet_lite0", "xception")]  # fmt: skip
    notes = [line for line in report(rows, []).splitlines() if "compared" in line]
    assert notes == ["efficientnet_lite0 is compared with the tutorial's script and VGG16."]


@pytest.mark.parametrize(("runs", "short"), [(1, 7), (7, 7), (8, 9), (11, 11)])
def test_short_commands_run_an_odd_number_of_times(runs: int, short: int) -> None:
    assert one_photograph.short_runs(runs) == short
    text = one_photograph.setting({"random"}, runs, short=True)
    assert f"(first and second answers: of {short} runs)" in text


def test_first_and_second_answers_are_timed_turn_by_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first is so in each round: it has a cache of its own, which only the second uses."""
    ran: list[tuple[str, str]] = []
    caches: set[str] = set()

    def run(command: Command) -> Run:
        name, cache = command.arguments[4], command.environment["TOPFIVE_CACHE"]
        ran.append((name, cache))
        first = name == "efficientnet_lite0" and cache not in caches
        caches.add(cache)
        return Run(6.0 if first else 2.5 if name == "efficientnet_lite0" else 2.0, 1, "")

    monkeypatch.setattr(one_photograph, "run", run)
    monkeypatch.setattr(one_photograph, "provide_file", lambda *_: ("published", tmp_path))
    figures = one_photograph.measure_default(["topfive"], PICTURE, tmp_path, 3)
    assert [(figure.value, figure.unit, figure.target) for figure in figures] == [
        (6.0, " s", None), (2.5, " s", None), (2.0, " s", None), (2.4, "x", 3.0), (1.25, "x", 1.0),
    ]  # fmt: skip
    warm_up, *rounds = ran
    assert warm_up[0] == "squeezenet"
    for start in range(0, 21, 3):
        (one, own), (two, same), (three, warm) = rounds[start : start + 3]
        assert (one, two, three) == ("efficientnet_lite0", "efficientnet_lite0", "squeezenet")
        assert own == same != warm == warm_up[1]
    assert len(rounds) == 21
    assert len(caches) == 8


def test_the_report_fits_80_columns() -> None:
    rows = [Comparison(name, "random", 123.4, 12.34, 12_345e6, 9_999e6)
            for name in one_photograph.NETWORKS]  # fmt: skip
    names = (
        "VGG16's first use without Keras's import (12.34 s)",
        "EfficientNet-Lite0's first answer, published weights",
        "EfficientNet-Lite0's first answer, times its second",
    )
    text = report(rows, [Figure(name, 123.45, " s", 0.55) for name in names])
    text += "\n" + one_photograph.setting({"random", "published"}, 5, short=True)
    assert max(len(line) for line in text.splitlines()) <= 80
    assert all(row.network in text for row in rows)


# --- what both sides read ---


def test_the_class_list_is_keras_own_file_to_the_byte() -> None:
    source = Path(keras.__file__).parent / "src/applications/imagenet_utils.py"
    digest = hashlib.md5(weight_files.class_index(), usedforsecurity=False).hexdigest()
    assert f'file_hash="{digest}"' in source.read_text("utf-8")


@pytest.mark.parametrize(("content", "kind"), [(b"right", "published"), (b"damaged", "random")])
def test_published_weights_are_used_where_their_hash_is_right(
    tmp_path: Path, content: bytes, kind: str
) -> None:
    digest = hashlib.md5(b"right", usedforsecurity=False).hexdigest()
    file = WeightFile("https://example.org/weights.h5", f"md5:{digest}", 5, "none")
    card = replace(find_network("vgg16"), weights=file)
    weights.path(card).parent.mkdir(parents=True)
    weights.path(card).write_bytes(content)
    made = tmp_path / "home" / "models" / "vgg16_random.h5"
    made.parent.mkdir(parents=True)
    made.write_bytes(b"made before")

    found, theirs, ours = weight_files.provide_weights(card, tmp_path / "home")
    assert found == kind
    if kind == "published":
        assert theirs == ours == []
        assert (made.parent / "weights.h5").read_bytes() == content
    else:
        assert ours == ["--weights", str(made)]
        digest = hashlib.md5(b"made before", usedforsecurity=False).hexdigest()
        assert theirs == ["--weights", made.name, "--hash", digest]
        assert not (made.parent / "weights.h5").exists()


@pytest.mark.slow
@needs_tensorflow
def test_the_tutorials_script_answers_as_the_network_does_and_fetches_nothing(
    tmp_path: Path,
) -> None:
    card = find_network("resnet50")
    kind, options, ours = weight_files.provide_weights(card, tmp_path / "home")
    assert kind == "random"
    before = sorted((tmp_path / "home" / "models").iterdir())
    script = [sys.executable, str(one_photograph.TUTORIAL), "--image", str(PICTURE)]
    nowhere = "http://127.0.0.1:9"
    command = Command(
        (*script, "--model", one_photograph.TUTORIALS["resnet50"], *options),
        one_photograph.environment(tmp_path)
        | {"KERAS_HOME": str(tmp_path / "home"), "KERAS_BACKEND": "tensorflow"}
        | {"https_proxy": nowhere, "http_proxy": nowhere, "no_proxy": ""},
    )
    output = processes.run(command).output
    assert sorted((tmp_path / "home" / "models").iterdir()) == before

    recipe = choose_recipe(card, "tutorial")
    picture = decoding.decode(PICTURE.read_bytes(), keras=recipe.keras_decoding)[0]
    model = keras_models.build(card, Path(ours[1]))
    batch = squares.fit(picture, card.size, recipe)[None]
    row = np.asarray(keras.ops.convert_to_numpy(model(batch)[0]))[0]
    names = [label.name for label in labels.load("imagenet")]
    best = enumerate(np.argsort(-row)[:5], 1)
    compare_answers(output, "\n".join(f"{n}. {names[i]}: {row[i] * 100:.2f}%" for n, i in best))


# --- the whole, with small programs in the place of both sides ---

STAND_IN = """
import os, pathlib, sys
arguments = " ".join(sys.argv[1:])
cache = pathlib.Path(os.environ["TOPFIVE_CACHE"])
log = pathlib.Path(os.environ["KERAS_HOME"]).parent / "log"
first = False
if "classify" in arguments:
    first = not (cache / "blob").exists()
    cache.mkdir(parents=True, exist_ok=True)
    (cache / "blob").touch()
log.open("a").write(f"{'first ' if first else ''}{arguments}\\n")
print(pathlib.Path(__file__).with_suffix(".txt").read_text())
"""


@pytest.fixture
def stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two programs that print their texts, and no real weights."""
    models = tmp_path / "bench" / "keras" / "models"
    models.mkdir(parents=True)
    for name in ("vgg16", "xception"):
        (models / f"{name}_random.h5").touch()
    for side in ("tutorial", "topfive"):
        (tmp_path / f"{side}.py").write_text(STAND_IN)
        (tmp_path / f"{side}.txt").write_text(ANSWER)
    monkeypatch.setattr(one_photograph, "TUTORIAL", tmp_path / "tutorial.py")
    return tmp_path


def benchmark(folder: Path, *options: str, networks: Sequence[str] = ("vgg16", "xception")) -> int:
    command = shlex.join([sys.executable, str(folder / "topfive.py")])
    return one_photograph.main(
        ["--networks", *networks, "--runs", "2", "--command", command,
         "--folder", str(folder / "bench"), *options]
    )  # fmt: skip


@pytest.mark.slow
@needs_tensorflow
def test_the_benchmark_measures_every_network_and_each_promise(
    stand_ins: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert benchmark(stand_ins, "--json", str(stand_ins / "result.json")) == 0
    result = json.loads((stand_ins / "result.json").read_text())
    assert [row["network"] for row in result["networks"]] == ["vgg16", "xception"]
    for row in result["networks"]:
        assert row["faster"] == row["tutorial_seconds"] / row["topfive_seconds"]
        assert row["memory_ratio"] == row["topfive_memory"] / row["tutorial_memory"]
    names = [figure["name"] for figure in result["figures"]]
    assert len(names) == 3
    assert names[:2] == ["memory of a VGG16 answer, ratio", "topfive --help"]
    assert names[2].startswith("VGG16's first use")
    assert [figure["target"] for figure in result["figures"]] == [0.55, 0.25, 4.0]
    printed = capsys.readouterr().out
    assert all(text in printed for text in ("vgg16", "xception", "random weights", *names))

    calls = (stand_ins / "bench" / "log").read_text().splitlines()
    vgg16 = [call for call in calls if "classify" in call and "--model vgg16" in call]
    # The first is the warm-up, which is compared; then one as it will be timed, two timed,
    # and two more with an empty cache.
    assert [call.startswith("first") for call in vgg16] == [True, False, False, False, True, True]
    assert [call.endswith("--recipe tutorial") for call in vgg16] == [True] + [False] * 5
    assert sum(call == "--help" for call in calls) == 6


@pytest.mark.slow
@needs_tensorflow
def test_the_default_network_stands_beside_the_tutorials_vgg16(
    stand_ins: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = stand_ins / "bench" / "keras" / "models"
    for name in ("efficientnet_lite0", "squeezenet"):
        (models / f"{name}_random.h5").touch()
    file = stand_ins / "result.json"
    assert benchmark(stand_ins, "--json", str(file), networks=["efficientnet_lite0"]) == 0
    result = json.loads(file.read_text())
    assert [row["network"] for row in result["networks"]] == ["efficientnet_lite0"]
    targets = {figure["name"]: figure["target"] for figure in result["figures"]}
    assert targets["EfficientNet-Lite0's first answer, times its second"] == 3
    assert targets["its second answer, times SqueezeNet's"] == 1
    assert any(name.startswith("VGG16's first use") for name in targets)
    assert "script and VGG16." in capsys.readouterr().out

    calls = (stand_ins / "bench" / "log").read_text().splitlines()
    script = [call for call in calls if "--image" in call]
    assert len(script) == 3
    assert all("--model vgg16 --weights vgg16_random.h5" in call for call in script)
    own = [call for call in calls if "classify" in call and "--model efficientnet_lite0" in call]
    # The warm-up and two that are timed, then seven pairs, each with a cache of its own.
    assert len(own) == 1 + 2 + 14
    assert sum(call.startswith("first") for call in own) == 1 + 7


@needs_tensorflow
def test_the_benchmark_fails_where_the_sides_answer_differently(
    stand_ins: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (stand_ins / "topfive.txt").write_text(ANSWER.replace("93.43", "91.00"))
    assert benchmark(stand_ins) == 1
    captured = capsys.readouterr()
    assert "the answers differ" in captured.err
    assert captured.out == ""
