"""What `topfive doctor` says of the packages that are installed."""

from __future__ import annotations

import sys

import pytest

from topfive.cli import doctor_checks
from topfive.engines import blobs
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


@pytest.mark.parametrize(("version", "told"), [(None, []), ("1.0", ["openvino devices"])])
def test_without_openvino_there_is_a_verdict(
    version: str | None, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.setattr(doctor_checks, "ENGINES", {})
    monkeypatch.setattr(
        doctor_checks, "_version", lambda name: version if name == "openvino" else None
    )
    found = list(doctor_checks.examine())
    assert [one.subject for one in found if one.subject == "openvino devices"] == told
    assert (found[-1].subject, found[-1].works) == ("verdict", False)
    assert "topfive cannot classify here; what does not work: " in found[-1].text
    assert "openvino" in found[-1].text


def test_networks_that_were_refused_are_counted() -> None:
    blobs.folder().mkdir(parents=True, exist_ok=True)
    (blobs.folder() / f"vgg16-f16-0{blobs.REFUSED}").write_text("{}")
    (cache,) = (one for one in doctor_checks._folders() if one.subject == "cache")
    assert "0 compiled, 1 refused" in cache.text
