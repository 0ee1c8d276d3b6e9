"""The peak of this process's memory."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from topfive.system import memory

MB = 10**6


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone can begin anew")
def test_the_peak_is_that_since_the_reset() -> None:
    memory.reset_peak()
    before = memory.peak()
    assert before > 10 * MB
    large = np.ones(200 * MB, np.uint8)
    assert 195 * MB < memory.peak() - before < 260 * MB
    del large
    assert memory.peak() - before > 195 * MB
    memory.reset_peak()
    assert memory.peak() - before < 60 * MB


def test_elsewhere_the_peak_is_that_since_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "freebsd")
    memory.reset_peak()
    assert memory.peak() > 10 * MB


def test_without_the_right_to_reset_the_peak_is_that_since_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "write_text", refuse)
    memory.reset_peak()
    assert memory.peak() > 10 * MB
