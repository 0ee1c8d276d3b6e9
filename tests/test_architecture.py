"""The rules that hold the house together."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import topfive
from tests.conftest import ROOT

SOURCE = ROOT / "src" / "topfive"
MODULES = sorted(SOURCE.rglob("*.py"))
HEAVY = {"keras", "openvino", "scipy", "h5py", "requests", "rich", "tkinter", "filelock",
         "tensorflow", "torch", "jax", "pi_heif", "platformdirs", "sqlite3", "pyarrow", "ray",
         "fsspec", "s3fs", "gcsfs", "huggingface_hub", "nncf", "onnx", "onnxruntime",
         "tf2onnx", "ai_edge_litert", "matplotlib", "jinja2", "markupsafe", "sklearn",
         "pydicom", "tensorboard", "threadpoolctl"}  # fmt: skip


def rows() -> list[str]:
    table = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    return re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)


def imports(tree: ast.AST) -> Iterator[str]:
    """Yield the modules that the code imports, but those for the type checker alone."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        yield from imports(node)


def room(file: Path) -> str:
    return file.relative_to(SOURCE).parts[0].removesuffix(".py")


def test_the_table_names_every_module_once() -> None:
    rooms = {room(file) for file in MODULES} - {"__init__", "__main__"}
    assert sorted(rows()) == sorted(rooms)


@pytest.mark.parametrize("file", MODULES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_a_module_imports_only_from_those_above_it(file: Path) -> None:
    if room(file) in ("__init__", "__main__"):
        return
    order = rows()
    for name in imports(ast.parse(file.read_text("utf-8"))):
        parts = name.split(".")
        if parts[0] == "topfive" and parts[1] in order and parts[1] != room(file):
            assert order.index(parts[1]) < order.index(room(file)), name


@pytest.mark.parametrize("file", MODULES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_heavy_imports_stand_inside_functions(file: Path) -> None:
    tree = ast.parse(file.read_text("utf-8"))
    tree.body = [node for node in tree.body if not isinstance(node, ast.FunctionDef | ast.ClassDef)]
    assert {name.split(".")[0] for name in imports(tree)} & HEAVY == set()


@pytest.mark.parametrize("file", MODULES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_nothing_is_unpickled_evaluated_or_given_to_a_shell(file: Path) -> None:
    code = file.read_text("utf-8")
    assert re.search(r"\bpickle\b|\beval\(|\bexec\(|shell=True|os\.system|assert ", code) is None


def test_modules_stay_small() -> None:
    long = {file.name: len(file.read_text("utf-8").splitlines()) for file in MODULES}
    assert {name: lines for name, lines in long.items() if lines > 400} == {}


def test_every_public_name_is_there() -> None:
    for name in topfive.__all__:
        assert getattr(topfive, name).__doc__, name
    assert sorted(topfive.__all__) == sorted(topfive._HOMES)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        topfive.nonsense  # noqa: B018


def test_no_file_names_a_package_registry() -> None:
    # Put together here, or this file would name them.
    hosts = [a + b for a, b in (("pyp", "i.org"), ("python", "hosted"), ("npm", "js"),
                                ("deb.", "debian"))]  # fmt: skip
    for file in ROOT.rglob("*"):
        parts = file.relative_to(ROOT).parts
        if file.is_file() and not parts[0].startswith(".") and "egg-info" not in str(file):
            text = file.read_bytes()
            assert not any(host.encode() in text for host in hosts), file
