"""Lists of names are read as they are used; each name is taken as it is."""

from __future__ import annotations

import codecs
import io
import unicodedata
from pathlib import Path
from typing import Literal

import pytest

from topfive.errors import UsageError
from topfive.sources import lists

Form = Literal["NFC", "NFD"]
FORMS: tuple[Form, Form] = ("NFC", "NFD")


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


@pytest.mark.parametrize(
    "data",
    [
        "\ufeffété.jpg\r\nb.jpg\r\n".encode(),
        "été.jpg\r\nb.jpg\r\n".encode("utf-16"),
        codecs.BOM_UTF16_BE + "été.jpg\nb.jpg".encode("utf-16-be"),
        "été.jpg\nb.jpg\n".encode("cp1252"),
        unicodedata.normalize("NFD", "été.jpg\nb.jpg\n").encode(),
        unicodedata.normalize("NFD", "été.jpg\nb.jpg\n").encode("utf-16"),
    ],
)
@pytest.mark.parametrize("form", FORMS)
def test_a_list_names_files_in_whatever_encoding_and_form(
    data: bytes, form: Form, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    there = unicodedata.normalize(form, "été.jpg")
    Path(there).touch()
    assert names(data) == [there, "b.jpg"]


def test_an_encoding_is_said_and_bytes_that_a_file_has_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("é.jpg").touch()
    assert names("é.jpg\nà.jpg\n".encode("cp1252")) == ["é.jpg", "\udce0.jpg"]
    assert [one.getMessage() for one in caplog.records] == [
        "@names: not all of it is UTF-8; the rest is read as cp1252"
    ]
    Path("\udce9.jpg").touch()
    assert names("é.jpg\n".encode("cp1252")) == ["\udce9.jpg"]


def test_a_long_list_in_utf_16_is_read_as_it_is_used() -> None:
    expected = [f"{number}ü" * 1000 for number in range(100)]
    assert names("\n".join(expected).encode("utf-16")) == expected
    assert names(b"\xff\xfe\0", nul=True) == ["\udcff\udcfe"]  # bytes, as `find -print0` has them
