"""The table of extras is that of the project's file, and messages are made from it."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest

from tests.conftest import ROOT
from topfive.errors import MissingExtraError
from topfive.system import extras


def declared() -> dict[str, list[str]]:
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    return dict(project["project"]["optional-dependencies"])


def test_the_table_is_the_projects() -> None:
    names = {
        extra: sorted(re.split(r"[\[><=]", one)[0] for one in packages)
        for extra, packages in declared().items()
        if extra != "dev"
    }
    assert {extra: sorted(packages) for extra, packages in extras.EXTRAS.items()} == names


def test_what_is_missing_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == "matplotlib" else name)
    extras.require("report", "a report", ["jinja2"])
    assert extras.missing("report") == ["matplotlib"]
    with pytest.raises(MissingExtraError) as caught:
        extras.require("report", "a report", hint=".md does without")
    assert str(caught.value) == (
        "a report needs matplotlib: pip install 'topfive[report]' (.md does without)"
    )
