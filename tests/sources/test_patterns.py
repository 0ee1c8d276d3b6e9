"""What the parts of a pattern match."""

from __future__ import annotations

import pytest

from topfive.sources.patterns import ANYTHING, leads_to


@pytest.mark.parametrize(
    ("pattern", "path", "matches", "may_begin"),
    [
        ("in/*.jpg", "in/a.jpg", True, False),
        ("in/*.jpg", "in/a.png", False, False),
        ("in/*.jpg", "in", False, True),
        ("in/*.jpg", "out", False, False),
        ("*", "in/a.jpg", False, False),
        ("**", "in/a.jpg", True, True),
        ("in/**/x.jpg", "in/x.jpg", True, True),
        ("in/**/x.jpg", "in/a/b/x.jpg", True, True),
        ("in/**/x.jpg", "in/a/b", False, True),
        ("*/**/**/x.jpg", "in/x.jpg", True, True),
        ("*", ".hidden", False, False),
        (".*", ".hidden", True, False),
        ("**/x.jpg", ".hidden/x.jpg", False, True),
        ("[.]hidden", ".hidden", False, False),
        ("in/?", f"in/{ANYTHING}", True, False),
        ("in/a", f"in/{ANYTHING}", False, False),
    ],
)
def test_a_pattern_leads_to_what_it_matches(
    pattern: str, path: str, matches: bool, may_begin: bool
) -> None:
    parts = pattern.split("/"), path.split("/")
    assert leads_to(*parts) is matches
    assert leads_to(*parts, begins=True) is may_begin
