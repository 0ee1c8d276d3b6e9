"""What `topfive doctor` says of the packages that are installed."""

from __future__ import annotations

import pytest

from topfive.cli import doctor_checks
from topfive.system import extras


def test_every_extra_is_told_and_how_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = {"jax", "jinja2", "nncf"}
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name in gone else name)
    monkeypatch.setattr(doctor_checks, "_version", lambda name: "1.0")
    found = {one.subject: one for one in doctor_checks._packages()}
    # The weights of `lite` have lines of their own.
    told = [name.removeprefix("extra ") for name in found if name.startswith("extra ")]
    assert told == [name for name in extras.EXTRAS if name != "lite"]
    assert len(told) == 13
    assert (found["extra teach"].works, found["extra teach"].text) == (True, "scikit-learn 1.0")
    for extra, text in (
        ("jax", "not installed: pip install 'topfive[jax]'"),
        ("report", "matplotlib 1.0, without jinja2: pip install 'topfive[report]'"),
    ):
        assert (found[f"extra {extra}"].works, found[f"extra {extra}"].text) == (None, text)
