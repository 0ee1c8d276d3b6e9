"""The benchmark of the base install: what it copies, what it counts, what it prints."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from benchmarks.install import Install
from benchmarks.processes import BenchmarkError, Command, Run

from benchmarks import install
from tests.conftest import ROOT

PACKAGES = {"openvino 2026.4.1": 200_000_000, "topfive 0.1.0": 3_000_000}
FOUND = {
    install.WHOLE: Install(30.0, 500_000_000, PACKAGES),
    install.WITHOUT: Install(20.0, 400_000_000, PACKAGES),
}


def dependencies(checkout: Path) -> list[str]:
    project = tomllib.loads((checkout / "pyproject.toml").read_text("utf-8"))["project"]
    return [str(one) for one in project["dependencies"]]


def test_the_copy_is_what_is_built_of_the_checkout(tmp_path: Path) -> None:
    copy = install.copy_checkout(tmp_path / "whole")
    assert dependencies(copy) == dependencies(ROOT)
    assert (copy / "src" / "topfive" / "networks" / "published.py").is_file()
    assert not [*copy.rglob("__pycache__"), *copy.rglob("*.egg-info")]


def test_one_dependency_is_left_out(tmp_path: Path) -> None:
    package = install.weights_package()
    copy = install.copy_checkout(tmp_path / "without", package)
    left = set(dependencies(ROOT)) - set(dependencies(copy))
    assert {one.partition("==")[0] for one in left} == {package}
    assert len(dependencies(copy)) == len(dependencies(ROOT)) - 1


def test_a_dependency_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="does not name no-such-package in one line"):
        install.copy_checkout(tmp_path / "without", "no-such-package")


def test_packages_are_counted_with_their_files(tmp_path: Path) -> None:
    for name, content in (("large", "x" * 1000), ("small", "y"), ("pip", "z")):
        (tmp_path / f"{name}.py").write_text(content)
        about = tmp_path / f"{name}-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (about / "RECORD").write_text(f"{name}.py,,\n../../../bin/{name},,\n")
    assert install.packages(tmp_path) == {"large 1.0": 1000, "small 1.0": 1}
    assert install.size(tmp_path) > 1002


def test_neither_addresses_nor_paths_are_told() -> None:
    text = (
        "python /tmp/x/bin/pip ended with 1:\nCould not fetch https://name:word@host/simple/numpy"
    )
    assert install.without_places(text) == "python ... ended with 1:\nCould not fetch ..."


def test_the_ratio_stands_below_both_sides() -> None:
    lines = install.report(FOUND).splitlines()
    assert lines[3].split() == ["ratio", "1.50x", "1.250x"]
    assert lines[-2].split() == ["openvino", "2026.4.1", "200.0", "40.0%"]
    assert "ratio" not in install.report({install.WHOLE: FOUND[install.WHOLE]})


def test_the_report_fits_80_columns() -> None:
    many = {f"a-long-name-of-a-package-{number} 2026.12.31": 10**9 for number in range(30)}
    report = install.report({side: Install(12_345.6, 10**11, many) for side in FOUND})
    text = f"{report}\n{install.setting(3)}"
    assert max(map(len, text.splitlines())) <= 80
    assert sum("a-long-name" in line for line in text.splitlines()) == install.LARGEST


def test_both_sides_take_turns_and_the_medians_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[bool] = []

    def made(checkout: Path, folder: Path) -> Install:
        whole = any(one.startswith(install.weights_package()) for one in dependencies(checkout))
        asked.append(whole)
        return Install(10.0 * len(asked), 100 + whole, PACKAGES)

    monkeypatch.setattr(install, "install", made)
    file = tmp_path / "figures.json"
    options = ["--without-default-weights", "--runs", "3", "--json", str(file)]
    assert install.main(options) == 0
    assert asked == [True, False] * 3
    installs = json.loads(file.read_text())["installs"]
    assert [installs[side]["seconds"] for side in (install.WHOLE, install.WITHOUT)] == [30.0, 40.0]
    assert "medians of 3, turn by turn" in capsys.readouterr().out


def test_an_install_that_fails_says_so_without_the_machine_s_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(command: Command) -> Run:
        if "venv" in command.arguments:
            place = Path(command.arguments[-1])
            (place / "bin").mkdir(parents=True)
            (place / "bin" / "python").touch()
            (place / "lib" / "site-packages").mkdir(parents=True)
            return Run(1.0, 1, "")
        raise BenchmarkError(f"{command.arguments[0]} ended with 1:\nno https://host/simple")

    monkeypatch.setattr(install, "run", fail)
    assert install.main(["--runs", "1"]) == 1
    captured = capsys.readouterr()
    assert "install: ... ended with 1:\nno ..." in captured.err
    assert captured.out == ""
