"""The command, as a shell sees it: what it prints where, and its exit status."""

from __future__ import annotations

import csv
import io
import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from tests.support import fakes
from tests.support.photographs import PHOTOGRAPHS
from topfive.cli.main import main
from topfive.engines import blobs
from topfive.networks import published, records, weights

TOPFIVE = [sys.executable, "-m", "topfive"]


@pytest.fixture
def options(weight_file: Path, warm: Path) -> list[str]:
    """What lets `classify` answer at once, with made-up answers."""
    return ["--model", "squeezenet_v1.1", "--weights", str(weight_file)]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to stand in."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def lines(text: str) -> list[str]:
    return text.splitlines()


def test_a_real_network_answers_like_the_tutorial(
    warm: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["classify", "--image", str(PHOTOGRAPHS["motorcycle"]),
                 "--network", "efficientnet_lite0"]  # fmt: skip
    assert main(arguments) == 0
    answer = lines(capsys.readouterr().out)
    assert len(answer) == 5
    assert answer[0].startswith("1. moped: ")


def test_image_and_network_are_other_words_for_the_argument_and_model(
    options: list[str], photograph: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["classify", str(photograph), *options]) == 0
    short = capsys.readouterr().out
    options[0] = "--network"
    assert main(["classify", "--image", str(photograph), *options]) == 0
    assert capsys.readouterr().out == short


def test_several_pictures_get_a_block_each_and_top_says_how_many_classes(
    options: list[str], here: Path, photograph: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("b.jpg", "a.jpg"):
        (here / name).write_bytes(photograph.read_bytes())
    assert main(["classify", "b.jpg", "a.jpg", "--top", "2", *options]) == 0
    answer = lines(capsys.readouterr().out)
    assert [line[:3] for line in answer] == ["b.j", "1. ", "2. ", "", "a.j", "1. ", "2. "]


def test_a_bad_picture_is_one_line_and_the_run_goes_on(
    options: list[str], here: Path, photograph: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "empty.jpg").touch()
    (here / "good.jpg").write_bytes(photograph.read_bytes())
    names = ["none.jpg", "empty.jpg", "good.jpg"]
    assert main(["classify", *names, "--format", "csv", *options]) == 1
    captured = capsys.readouterr()
    rows = list(csv.DictReader(io.StringIO(captured.out)))
    assert [row["source"] for row in rows] == names
    assert [row["error_kind"] for row in rows] == ["missing", "empty", ""]
    assert lines(captured.err) == [
        "topfive: none.jpg: no such file",
        "topfive: empty.jpg: the file is empty",
    ]


def test_a_folder_needs_recursive_for_the_folders_inside(
    options: list[str], here: Path, photograph: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("in/b.jpg", "in/deep/a.jpg"):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_bytes(photograph.read_bytes())
    counts = []
    for extra in ([], ["--recursive"]):
        assert main(["classify", "in", "--format", "jsonl", *extra, *options]) == 0
        counts.append(len(lines(capsys.readouterr().out)))
    assert counts == [1, 2]


@pytest.mark.slow
def test_a_picture_comes_from_standard_input(options: list[str], photograph: Path) -> None:
    done = subprocess.run(
        [*TOPFIVE, "classify", "-", "--format", "json", *options],
        input=photograph.read_bytes(), capture_output=True, check=True,
    )  # fmt: skip
    (result,) = json.loads(done.stdout)
    assert result["source"] == "-"
    assert len(result["predictions"]) == 5


def test_save_writes_the_picture_with_its_label(
    options: list[str], here: Path, photograph: Path
) -> None:
    assert main(["classify", str(photograph), "--save", "out.png", *options]) == 0
    with Image.open("out.png") as drawn, Image.open(photograph) as original:
        assert drawn.size == original.size
        assert drawn.tobytes() != original.tobytes()


@pytest.mark.slow
def test_save_writes_several_into_a_folder_and_reads_each_source_once(
    options: list[str], here: Path, photograph: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a/x.jpg", "b/x.jpg"):
        (here / name).parent.mkdir()
        (here / name).write_bytes(photograph.read_bytes())
    assert main(["classify", "a", "b", "no.jpg", "--save", "out", *options]) == 1
    assert sorted(file.name for file in (here / "out").iterdir()) == ["x-2.jpg", "x.jpg"]
    fifo = here / "pipe"
    done = subprocess.run(
        [*TOPFIVE, "classify", "-", "--save", "piped.jpg", *options],
        input=photograph.read_bytes(), capture_output=True, check=True,
    )  # fmt: skip
    assert done.stderr == b""
    assert (here / "piped.jpg").is_file()
    assert not fifo.exists()


def test_a_picture_that_cannot_be_saved_is_answered_and_the_status_says_so(
    options: list[str], here: Path, photograph: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["classify", str(photograph), "--save", "no/out.jpg", *options]) == 1
    captured = capsys.readouterr()
    assert captured.out.startswith("1. ")
    assert "cannot write no/out.jpg" in captured.err


def test_show_without_a_screen_says_so_and_carries_on(
    options: list[str], photograph: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.delenv("DISPLAY", raising=False)
    assert main(["classify", str(photograph), str(photograph), "--show", *options]) == 0
    captured = capsys.readouterr()
    assert captured.out.count("1. ") == 2
    assert captured.err.count("cannot show pictures") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["classify"], "name a picture"),
        (["classify", "x", "--model", "rasnet50"], "Did you mean resnet50?"),
        (["classify", "x", "--top", "0"], "--top"),
        (["classify", "x", "--top", "many"], "--top"),
        (["classify", "x", "--format", "xml"], "--format"),
        (["classify", "x", "--frobnicate"], "--frobnicate"),
        (["classify", "x", "--save", "out.txt"], "--save out.txt"),
        (["classify", "x", "--backend", "theano"], "--backend"),
        (["classify", "x", "--backend", "tensorflow", "--device", "GPU"], "--device"),
        (["classify", "x", "--device", "GPU", "--threads", "2"], "--threads is for the CPU"),
        (["identify"], "identify"),
        (["networks", "x"], "x"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_is_status_2_and_says_what(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert words in captured.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["-m", "vgg16", "--offline"],
            [
                "vgg16_weights",
                "553.5 MB",
                "topfive weights import",
                "EfficientNet-Lite0 is here and answers now: --model efficientnet_lite0",
            ],
        ),
        (["--weights", "no.h5"], ["no.h5"]),
        (["--device", "TPU"], ["no device TPU", "CPU"]),
    ],
    ids=["no weights", "no file", "no device"],
)
def test_what_the_run_needs_and_lacks_is_status_3(
    arguments: list[str], words: list[str], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["classify", "x.jpg", *arguments]) == 3
    captured = capsys.readouterr()
    assert captured.out == ""
    assert [word for word in words if word not in captured.err] == []
    assert "Traceback" not in captured.err


def test_other_libraries_warnings_are_not_in_topfives_name(
    options: list[str], photograph: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["classify", str(photograph), *options]) == 0
    capsys.readouterr()
    logging.getLogger("topfive").warning("mine")
    logging.getLogger("urllib3").warning("theirs")
    assert "topfive: theirs" not in capsys.readouterr().err


@pytest.mark.slow
def test_ctrl_c_ends_with_one_line(options: list[str], here: Path) -> None:
    reader, writer = os.pipe()  # standard input that never comes
    process = subprocess.Popen(
        [*TOPFIVE, "classify", "-", *options], stdin=reader, stderr=subprocess.PIPE, text=True
    )
    time.sleep(2)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20)[1].strip() == "topfive: interrupted"
    assert process.returncode == 130
    os.close(reader)
    os.close(writer)


@pytest.mark.slow
def test_ctrl_c_while_a_network_is_compiled_leaves_nothing_half_done(
    here: Path, weight_file: Path, tmp_path: Path
) -> None:
    process = subprocess.Popen(
        [*TOPFIVE, "classify", "x", "-m", "squeezenet_v1.1", "--weights", str(weight_file)],
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stderr is not None
    assert "compiling" in process.stderr.readline()
    time.sleep(0.5)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the child too
    assert process.communicate(timeout=20)[1].strip() == "topfive: interrupted"
    assert process.returncode == 130
    assert [file.suffix for file in (tmp_path / "cache").iterdir()] == [".lock"]


@pytest.mark.slow
def test_a_reader_that_goes_away_ends_the_run_quietly(options: list[str], here: Path) -> None:
    subprocess.run([*TOPFIVE, "classify", "no", *options], capture_output=True, check=False)
    pictures = fakes.pictures(1, 20)
    for number in range(400):
        Image.fromarray(pictures[0]).save(here / f"{number}.png")
    process = subprocess.Popen(
        [*TOPFIVE, "classify", ".", "--top", "1000", *options],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    process.stdout = None
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (1, "")


@pytest.mark.slow
def test_a_full_disk_under_the_output_is_one_line(
    options: list[str], photograph: Path, warm: Path
) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    main(["classify", "no", *options])  # compiles
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*TOPFIVE, "classify", str(photograph), *options],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == "topfive: cannot write the output: No space left on device\n"


@pytest.mark.slow
def test_names_of_any_bytes_are_printed_and_harmless(
    options: list[str], here: Path, photograph: Path
) -> None:
    names = [b"caf\xff.jpg", b"\x1b[31mred.jpg", b"two\nlines.jpg"]
    for name in names:
        Path(os.fsdecode(here / os.fsdecode(name))).write_bytes(photograph.read_bytes())
    done = subprocess.run(
        [*TOPFIVE, "classify", ".", "missing\x1b[0m", *options], capture_output=True, check=False
    )
    assert done.returncode == 1
    assert b"\x1b" not in done.stdout + done.stderr
    assert done.stdout.count(b"1. ") == 3
    assert len(done.stdout.splitlines()) == 3 * 6 + 2


def test_networks_lists_every_card_within_80_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    (tmp_path / "keras" / "models").mkdir(parents=True)
    (tmp_path / "keras" / "models" / published.NETWORKS["vgg19"].weights.name).touch()
    monkeypatch.setattr(
        blobs, "is_current", lambda identity: identity["network"]["name"] == "vgg19"
    )
    assert main(["networks"]) == 0
    table = lines(capsys.readouterr().out)
    assert max(map(len, table)) <= 80
    rows = {line.split()[0]: line.split() for line in table[1:]}
    # Those that answer without a download are first.
    lite = [f"efficientnet_lite{number}" for number in range(3)]
    others = [name for name in published.NETWORKS if name not in (*lite, "vgg19")]
    assert list(rows) == [*lite, "vgg19", *others]
    assert rows["vgg16"][1:] == ["71.3", "90.1", "138.4", "16", "553.5", "2014", "1409.1556", "-"]
    assert rows["vgg19"][-2:] == ["file", "compiled"]


@pytest.mark.slow
def test_networks_as_json_has_the_whole_card_and_what_is_here(
    weight_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    card = published.NETWORKS["squeezenet_v1.1"]
    file = weights.path(card)
    file.parent.mkdir(parents=True)
    file.write_bytes(weight_file.read_bytes())
    here = []
    for _ in range(2):
        assert main(["networks", "--format", "json"]) == 0
        cards = {card["name"]: card for card in json.loads(capsys.readouterr().out)}
        here.append((cards[card.name]["downloaded"], cards[card.name]["compiled"]))
        # A file without a published hash is pinned when it is first used.
        main(["classify", "no.jpg", "--model", card.name, "--offline"])
        capsys.readouterr()
    assert here == [(True, False), (True, True)]
    assert sorted(cards) == sorted(published.NETWORKS)
    assert list(cards)[:4] == [*list(published.NETWORKS)[:3], card.name]
    assert cards["vgg16"]["weights"]["size"] == 553_467_096
    assert cards["vgg16"]["paper"] == "arXiv:1409.1556"
    assert (cards["vgg16"]["downloaded"], cards["vgg16"]["compiled"]) == (False, False)
    monkeypatch.setattr("topfive.engines.blobs.__version__", "99")
    assert main(["networks", "--format", "json"]) == 0
    cards = {card["name"]: card for card in json.loads(capsys.readouterr().out)}
    assert cards[card.name]["compiled"] is False


@pytest.mark.parametrize("arguments", [["--help"], ["networks"], ["classify", "--help"]])
def test_help_and_the_table_import_no_keras(arguments: list[str]) -> None:
    code = (
        "import sys; from topfive.cli.main import main; main(sys.argv[1:])\n"
        "print([m for m in ('keras', 'scipy', 'h5py') if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    assert done.stderr == "[]\n"


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from topfive.cli.main import main; main(['--help'])\n"
        "print([m for m in ('numpy', 'PIL', 'openvino', 'rich', 'requests', 'filelock',"
        " 'hashlib') if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"


@pytest.mark.slow
def test_doctor_finds_the_engine_working(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--format", "json"]) == 0
    findings = {f["subject"]: f for f in json.loads(capsys.readouterr().out)}
    assert findings["openvino CPU"]["works"] is True
    assert "answers as stored" in findings["openvino CPU"]["text"]
    assert findings["cache"]["works"] is True
    licence = findings["EfficientNet-Lite0"]["text"]
    assert "Apache-2.0" in licence
    assert "metadata names no licence" in licence
    (*_, (subject, verdict)) = findings.items()
    assert (subject, verdict["works"]) == ("verdict", True)
    assert verdict["text"] == (
        "topfive works: `topfive classify PICTURE` asks EfficientNet-Lite0, which is here"
    )


@pytest.mark.slow
def test_doctors_verdict_says_what_to_do_where_the_default_is_not_here(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from topfive.cli import doctor_checks

    stored = subprocess.CompletedProcess([], 0, "1e-7\n", "")
    monkeypatch.setattr(doctor_checks, "run_module", lambda *arguments: stored)
    for name, status, words in (
        ("vgg16", 0, "asks VGG16, once 553.5 MB are fetched; at once with --model "
                     "efficientnet_lite0"),
        ("vgg61", 3, "topfive needs --model NAME: TOPFIVE_MODEL, which names the default: unknown"),
    ):  # fmt: skip
        monkeypatch.setenv("TOPFIVE_MODEL", name)
        assert main(["doctor"]) == status
        assert words in lines(capsys.readouterr().out)[-1]


@pytest.mark.slow
def test_doctor_says_how_the_weights_that_come_along_are_had_again(
    no_packages: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", "--format", "json"]) == 3
    findings = {f["subject"]: f for f in json.loads(capsys.readouterr().out)}
    assert findings["EfficientNet-Lite0"] == {
        "subject": "EfficientNet-Lite0",
        "works": False,
        "text": "not installed: pip install topfive",
    }
    assert findings["EfficientNet-Lite1"]["works"] is None
    assert "pip install 'topfive[lite]'" in findings["EfficientNet-Lite1"]["text"]


def test_doctor_notices_an_engine_that_answers_wrongly(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from topfive.cli import doctor_checks

    stored = subprocess.CompletedProcess([], 0, "0.3\n", "")
    monkeypatch.setattr(doctor_checks, "run_module", lambda *arguments: stored)
    assert main(["doctor"]) == 3
    failed = [line for line in lines(capsys.readouterr().out) if line.startswith("FAILED")]
    *tests, verdict = failed
    assert tests
    assert all("0.0001 off" in line for line in tests)
    assert "topfive cannot classify here; what does not work: openvino CPU" in verdict


def test_networks_tells_what_was_measured_here(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    card = published.NETWORKS["vgg16"]
    assert card.weights.checksum
    key = (card.name, card.weights.checksum)
    measurement = {
        "agreement": {"hits": 79, "of": 80, "low": 0.933, "high": 0.998}, "faster": 3.94,
        "top5": {"exact": {"hits": 75, "of": 80}, "lower": {"hits": 74, "of": 80}},
    }  # fmt: skip
    records.update(*key, "precisions", "int8", {"measurement": measurement})
    records.update(*key, "precisions", "bf16", {"measurement": measurement | {"top5": None}})
    records.update(*key, "calibrations", "f32 crop-256-bicubic", {"pictures": 160})
    assert main(["networks"]) == 0
    told = " ".join(capsys.readouterr().out.split("\n\n")[1].split())
    assert told == (
        "vgg16 int8: its first label is float32's on 98.8% of 80 pictures (93.3% to 99.8%); "
        "top-5 92.5%, float32 93.8%; 3.9 times as fast "
        "vgg16 bf16: its first label is float32's on 98.8% of 80 pictures (93.3% to 99.8%); "
        "3.9 times as fast "
        "vgg16 calibrated: f32 crop-256-bicubic, with 160 pictures"
    )
    assert main(["networks", "--format", "json"]) == 0
    cards = {one["name"]: one for one in json.loads(capsys.readouterr().out)}
    first = cards["vgg16"]
    assert first["precisions"]["int8"]["measurement"] == measurement
    assert list(first["calibrations"]) == ["f32 crop-256-bicubic"]
    records.update(*key, "precisions", "int8", {"measurement": {"agreement": 3}})
    assert main(["networks"]) == 0
    assert "vgg16: what was measured of it is damaged" in capsys.readouterr().out
