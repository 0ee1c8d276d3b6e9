"""The rules of the house hold, and find what breaks them."""

from __future__ import annotations

import ast
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import topfive
from tests.conftest import ROOT
from tests.house import rules
from tests.house.rules import RULES, House

PAGE = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
SOURCE = ROOT / "src" / "topfive"
Rule = Callable[[House], Iterator[str]]


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_house_keeps_its_rules(rule: Rule) -> None:
    assert list(rule(House(SOURCE, PAGE))) == []


# A rule, the module that is planted or what is written at the end of one, and what is found.
PLANTED = [
    (rules.rooms_are_listed, "attic/__init__.py", '"""An attic."""', "attic"),
    (rules.floors, "system/deeper/module.py", "", "third floor"),
    (rules.floors, "sixth.py", "", "6 files"),
    (rules.one_way, "system/files.py", "from topfive.networks import cards", "networks.cards"),
    (rules.one_way, "errors.py", "from topfive.system import files", "system.files"),
    (rules.one_way, "system/text.py", "from topfive import Classifier", "the package itself"),
    (rules.one_way, "pictures/pixels.py", "def f():\n    import topfive.cli", "topfive.cli"),
    (rules.no_circles, "system/files.py", "from topfive.system import downloads", " > "),
    (rules.doors, "cli/batch.py", "from topfive.batches.ray_rows import x", "ray_rows is no door"),
    (rules.doors, "system/__init__.py", "import os", "not a docstring and `__all__`"),
    (rules.doors, "cli/__init__.py", "import os", "not a docstring and `__all__`"),
    (rules.doors, "engines/__init__.py", '__all__ = ["deep_compression"]', "a door to nobody"),
    (rules.processes_are_asked, "conversion/quantize.py",
     "from topfive.conversion import quantize_process", "quantize_process"),
    (rules.heavy_imports_wait, "system/files.py", "import requests", "requests"),
    (rules.heavy_imports_wait, "cli/batch.py", "if True:\n    from ray import data", "ray.data"),
    (rules.short_modules, "system/text.py", "\n" * 400, "lines"),
    (rules.nothing_is_run, "system/text.py", "assert True", "assert"),
    (rules.nothing_is_run, "system/text.py", "x = eval('1')", "eval("),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "place", "text", "found"), PLANTED)
def test_a_rule_finds_what_breaks_it(
    tmp_path: Path, rule: Rule, place: str, text: str, found: str
) -> None:
    source = tmp_path / "topfive"
    shutil.copytree(SOURCE, source, ignore=shutil.ignore_patterns("__pycache__"))
    file = source / place
    file.parent.mkdir(exist_ok=True)
    old = file.read_text("utf-8") if file.exists() else ""
    file.write_text(f"{old}\n{text}\n", "utf-8")
    assert any(found in one for one in rule(House(source, PAGE)))


def test_every_public_name_is_there() -> None:
    for name in topfive.__all__:
        assert getattr(topfive, name).__doc__, name
    code = (SOURCE / "__init__.py").read_text("utf-8")
    told = {name.removeprefix("topfive.") for name in rules.imported(ast.parse(code))}
    known = {f"{module}.{name}" for module, names in topfive._NAMES.items() for name in names}
    assert known <= told  # the type checker's imports are the table's
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
