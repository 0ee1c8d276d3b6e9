from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from topfive.cli.export import export
from topfive.cli.main import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str) -> tuple[int, str, str]:
        status = main(["export", *arguments])
        return (status, *capsys.readouterr())

    return run


@pytest.mark.slow
def test_an_export_is_one_line_and_its_name_cannot_write_to_the_terminal(
    run: Run, tmp_path: Path, weight_file: Path, warm: Path
) -> None:
    import openvino

    folder = tmp_path / "-x\x1b[31m\n<b>é"
    folder.mkdir()
    out = folder / "a b.XML"
    for old in (out, folder / "a b.bin"):
        old.write_text("old")
    options = ("SqueezeNet-v1.1", "--to", "openvino", "-o", str(out), "--weights", str(weight_file))
    status, said, error = run(*options)
    assert (status, said) == (2, "")
    assert "a b.XML is there already; --force replaces it" in error
    status, said, error = run(*options, "--force", "--recipe", "tutorial", "--fit", "pad")
    assert status == 0
    assert re.fullmatch(
        r".*/-x\\x1b\[31m\\n<b>é/a b\.XML and .*a b\.bin: 5\.\d MB, agrees with topfive to \S+ in "
        r"OpenVINO [\d.]+\n",
        said,
    )
    # Nothing of what the frameworks print at their start.
    assert [line for line in error.splitlines() if not line.startswith("topfive: ")] == []
    assert {one.name for one in folder.iterdir()} == {"a b.XML", "a b.bin"}
    told = json.loads(openvino.Core().read_model(out).get_rt_info("topfive").value)
    recipe = {name: told["recipe"][name] for name in ("fit", "filter", "keras_decoding")}
    assert recipe == {"fit": "pad", "filter": "nearest", "keras_decoding": True}
    assert told["licence"] is None


def test_wrong_usage_is_status_2_and_says_what_is_right(run: Run, tmp_path: Path) -> None:
    out = str(tmp_path / "a.onnx")
    for arguments, says in [
        ((), "Missing argument 'NAME'"),
        (("vgg16",), "Missing option '--to'"),
        (("vgg16", "--to", "onnx"), "Missing option '-o'"),
        (("vgg16", "--to", "coreml", "-o", out), "'saved_model', 'keras'"),
        (("vgg166", "--to", "onnx", "-o", out), "Did you mean vgg16?"),
        (("vgg16", "--to", "litert", "-o", out), "a.onnx: expected a name that ends in .tflite"),
        (("vgg16", "--to", "onnx", "-o", out, "--backend", "torch"), "No such option"),
    ]:
        status, said, error = run(*arguments)
        assert (status, said) == (2, "")
        assert says in error
    assert not Path(out).exists()


def test_what_is_missing_is_status_3(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = str(tmp_path / "a.keras")
    status, _, error = run("vgg16", "--to", "keras", "-o", out, "--offline")
    assert status == 3
    assert "VGG16 needs its weights" in error
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    status, _, error = run("vgg16", "--to", "onnx", "-o", str(tmp_path / "a.onnx"))
    assert status == 3
    assert error.endswith("onnx needs tf2onnx: pip install 'topfive[export]'\n")


def test_the_options_are_what_an_export_has() -> None:
    names = {one.name for one in export.params if isinstance(one, click.Option)}
    assert names == {"format", "out", "force", "recipe", "fit", "filter", "window", "weights",
                     "offline"}  # fmt: skip
