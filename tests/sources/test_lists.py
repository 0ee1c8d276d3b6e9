"""Lists of names are read as they are used; each name is taken as it is."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from topfive.errors import UsageError
from topfive.sources import lists


def names(data: bytes, nul: bool = False) -> list[str]:
    return list(lists.names(io.BytesIO(data), "@names", nul))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", []),
        (b"a\nb", ["a", "b"]),
        (b"a\r\n\r\n\n  \nb c\n", ["a", "b c"]),
        (b"*.jpg\n@x\n-\n~\n", ["*.jpg", "@x", "-", "~"]),
        ("ünï ☃\n".encode() + b"b\xff\xfe\n", ["ünï ☃", "b\udcff\udcfe"]),
        (b"line\nbreak\0b\r\0\0last", ["line\nbreak", "b\r", "last"]),
    ],
)
def test_names_stand_one_a_line_or_end_with_a_nul(data: bytes, expected: list[str]) -> None:
    assert names(data) == expected


def test_standard_input_is_ended_by_nuls_even_where_it_has_none() -> None:
    assert names(b"a\nb", nul=True) == ["a\nb"]


def test_names_across_blocks_are_whole() -> None:
    expected = [f"{number}" * 1000 for number in range(300)]
    for end in ("\n", "\0"):
        assert names(end.join(expected).encode()) == expected


def test_a_list_is_read_as_it_is_used() -> None:
    stream = io.BytesIO(b"name\n" * 1_000_000)
    found = lists.names(stream, "@names")
    assert next(found) == "name"
    assert stream.tell() <= lists.LONGEST


def test_what_is_no_list_is_refused_in_little_memory() -> None:
    stream = io.BytesIO(b"x" * 1_000_000)
    with pytest.raises(UsageError, match="expected a list"):
        list(lists.names(stream, "@names"))
    assert stream.tell() <= 3 * lists.LONGEST


def test_a_list_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for argument in ("@nowhere.txt", f"@{tmp_path}", "@", "@nul\0"):
        with pytest.raises(UsageError, match=r"cannot read the list of names .* \./@"):
            lists.open_list(argument)
    stream = io.BytesIO()
    stream.close()
    with pytest.raises(UsageError, match="standard input"):
        list(lists.names(stream, "standard input"))
