"""Archives are read where they stand, member by member, whatever is in them."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from topfive.errors import PictureError
from topfive.sources import archives, arguments
from topfive.sources.source import Source

FILES = {"b.jpg": b"second", "inner/a.jpg": b"first" * 1000, "empty.jpg": b""}


def tar(files: dict[str, bytes], **options: Any) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", **options) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return sink.getvalue()


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return sink.getvalue()


FORMS: dict[str, Callable[[dict[str, bytes]], bytes]] = {
    "plain.tar": tar,
    "plain.tar.gz": lambda files: gzip.compress(tar(files)),
    "plain.tar.bz2": lambda files: bz2.compress(tar(files)),
    "plain.tar.xz": lambda files: lzma.compress(tar(files)),
    "deflated.zip": zipped,
    "stored.zip": lambda files: zipped(files, zipfile.ZIP_STORED),
}


def outcome(source: Source) -> Any:
    """Return the bytes, or the kind of the failure."""
    try:
        return source.read()
    except PictureError as error:
        return error.kind if "\n" not in str(error) else str(error)


def read(data: bytes, name: str = "photos.bin") -> list[tuple[str, Any]]:
    """Return the names behind the archive's own, and the outcomes."""
    Path(name).write_bytes(data)
    found = [(source.name, outcome(source)) for source in arguments.read([name], unpack=True)]
    assert arguments.count([name], unpack=True) in (len(found), None)
    return [(member.removeprefix(name + "/"), result) for member, result in found]


@pytest.fixture(autouse=True)
def current(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("form", FORMS)
def test_an_archives_members_come_in_its_order_whatever_it_is_called(form: str) -> None:
    data = FORMS[form](FILES)
    assert read(data, form) == list(FILES.items())
    assert read(data, "no suffix") == list(FILES.items())
    Path("many").mkdir()
    Path("many/photos.x").write_bytes(data)
    Path("many/z.jpg").write_bytes(b"beside")
    expected = [*(f"many/photos.x/{name}" for name in FILES), "many/z.jpg"]
    assert [source.name for source in arguments.read(["many/*"], unpack=True)] == expected
    # In a folder, and where nobody asks for it, it is one file.
    assert [source.name for source in arguments.read(["many"], unpack=True)] == [
        "many/photos.x", "many/z.jpg",
    ]  # fmt: skip
    assert [source.name for source in arguments.read(["many/photos.x"])] == ["many/photos.x"]


@pytest.mark.parametrize("form", FORMS)
def test_hidden_members_folders_and_links_are_passed_over(form: str) -> None:
    names = [".hidden.jpg", "in/.git/a.jpg", "__MACOSX/._a.jpg", "./seen.jpg", "in/../seen.jpg"]
    assert [name for name, _ in read(FORMS[form](dict.fromkeys(names, b"x")))] == [
        "seen.jpg", "in/../seen.jpg",
    ]  # fmt: skip


def test_links_folders_and_devices_in_a_tar_are_no_pictures() -> None:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE, b"0"):
            member = tarfile.TarInfo(f"kind{kind.decode()}")
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
    assert read(sink.getvalue()) == [("kind0", b"")]
    linked = zipfile.ZipInfo("link")
    linked.external_attr = 0o120777 << 16
    with zipfile.ZipFile(sink := io.BytesIO(), "w") as archive_:
        archive_.writestr(linked, "/etc/passwd")
    assert read(sink.getvalue()) == [("photos.bin", "missing")]


@pytest.mark.parametrize("form", FORMS)
def test_hostile_names_are_only_names(form: str) -> None:
    names = ["../../up.jpg", "/absolute.jpg", "line\nbreak\x1b[0m.jpg", "n" * 300, "ünï ☃.jpg"]
    assert read(FORMS[form](dict.fromkeys(names, b"x"))) == [(name, b"x") for name in names]
    assert [file.name for file in Path().iterdir()] == ["photos.bin"]


def test_a_name_in_a_tar_may_be_any_bytes() -> None:
    assert read(tar({"b\udcff.jpg": b"x"}, format=tarfile.GNU_FORMAT)) == [("b\udcff.jpg", b"x")]


@pytest.mark.parametrize("form", FORMS)
def test_a_member_over_the_limit_is_a_failure_and_the_run_goes_on(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("topfive.sources.arguments.MAX_BYTES", 1000)
    assert read(FORMS[form](FILES)) == [
        ("b.jpg", b"second"), ("inner/a.jpg", "too-large"), ("empty.jpg", b""),
    ]  # fmt: skip


def test_large_members_of_a_compressed_tar_are_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("topfive.sources.tars.MAX_HELD", 100)
    assert read(gzip.compress(tar(FILES))) == list(FILES.items())
    found = list(arguments.read(["photos.bin"], unpack=True))
    assert [isinstance(source.content, bytes) for source in found] == [True, False, True]


@pytest.mark.parametrize("form", [form for form in FORMS if "tar" in form])
def test_a_cut_tar_gives_what_comes_before_the_cut_and_says_so(form: str) -> None:
    pieces = {f"{number}.jpg": bytes([number]) * 1500 for number in range(5)}
    for length in (512 * 4 * 2 + 512 + 700, 512 * 4 * 2 + 300, 512 * 4 * 2):
        cut = FORMS[form](pieces) if form != "plain.tar" else tar(pieces)[:length]
        if form != "plain.tar":
            whole = tar(pieces)[:length]
            cut = {"gz": gzip, "bz2": bz2, "xz": lzma}[form.rpartition(".")[2]].compress(whole)
        found = read(cut)
        assert found[:2] == list(pieces.items())[:2]
        assert found[2:] == [("photos.bin", "broken")]
    # The compressed stream itself is cut.
    data = FORMS[form](FILES)
    if form != "plain.tar":
        assert read(data[:-8])[-1] == ("photos.bin", "broken")


def test_a_damaged_header_in_the_middle_is_not_the_end() -> None:
    data = bytearray(tar({f"{number}.jpg": b"x" * 512 for number in range(4)}))
    data[2 * 1024 + 148] ^= 0xFF  # the third's checksum
    assert read(bytes(data)) == [
        ("0.jpg", b"x" * 512), ("1.jpg", b"x" * 512), ("photos.bin", "broken"),
    ]  # fmt: skip


def test_a_wrong_checksum_at_the_end_of_a_compressed_tar_is_told() -> None:
    data = bytearray(gzip.compress(tar(FILES)))
    data[-6] ^= 0xFF
    assert read(bytes(data)) == [*FILES.items(), ("photos.bin", "broken")]


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 3000])
def test_headers_without_end_are_refused_in_little_memory(count: int) -> None:
    """One of 2 GB, and a chain of thousands."""
    member = tarfile.TarInfo("pax")
    member.type, member.size = tarfile.XHDTYPE, (2 << 30) // count**2
    head = member.tobuf(tarfile.USTAR_FORMAT) + bytes(-(-member.size // 512) * 512) * (count > 1)
    data = tar({"a.jpg": b"x"})[:1024] + head * count + bytes(4096)
    tracemalloc.start()
    try:
        assert read(data) == [("a.jpg", b"x"), ("photos.bin", "broken")]
        assert tracemalloc.get_traced_memory()[1] < 20 << 20
    finally:
        tracemalloc.stop()


def test_a_member_of_negative_size_ends_the_archive() -> None:
    member = tarfile.TarInfo("a.jpg")
    head = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    head[124:136] = b"\xff" * 10 + b"\xfc\x00"  # -1024
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    assert read(bytes(head) + bytes(4096)) == [("photos.bin", "broken")]


def test_a_sparse_member_is_a_failure_of_its_own() -> None:
    data = {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.map": "0,5",
            "GNU.sparse.size": "1099511627776", "GNU.sparse.name": "holes.jpg"}  # fmt: skip
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        for name, headers in (("odd", data), ("b.jpg", {})):
            member = tarfile.TarInfo(name)
            member.size, member.pax_headers = 5, headers
            archive.addfile(member, io.BytesIO(b"bytes"))
    assert read(sink.getvalue()) == [("holes.jpg", "unsupported"), ("b.jpg", b"bytes")]


def test_a_zip_bomb_is_not_inflated_beyond_what_it_declares() -> None:
    data = bytearray(zipped({"bomb.jpg": bytes(50 << 20), "b.jpg": b"good"}))
    at = data.index(b"PK\1\2")
    data[at + 24 : at + 28] = (10).to_bytes(4, "little")  # bytes, it says
    tracemalloc.start()
    try:
        assert read(bytes(data)) == [("bomb.jpg", "broken"), ("b.jpg", b"good")]
        assert tracemalloc.get_traced_memory()[1] < 5 << 20
    finally:
        tracemalloc.stop()


def patched(data: bytes, field: int, value: int, size: int = 2) -> bytes:
    """Write into the first entry of a zip's directory."""
    at = data.index(b"PK\1\2") + field
    return data[:at] + value.to_bytes(size, "little") + data[at + size :]


@pytest.mark.parametrize(
    ("field", "value", "size", "kind"),
    [
        (8, 1, 2, "unreadable"),  # encrypted
        (10, 12, 2, "unsupported"),  # bzip2, which has no bounded reader
        (10, 0, 2, "broken"),  # stored, it says
        (16, 0, 4, "broken"),  # another checksum
        (20, 5000, 4, "broken"),  # over the next member
        (24, 1 << 31, 4, "too-large"),
    ],
)
def test_a_zip_member_that_lies_is_a_failure_and_the_others_are_read(
    field: int, value: int, size: int, kind: str
) -> None:
    data = patched(zipped({"a.jpg": b"a" * 90, "b.jpg": b"good"}), field, value, size)
    assert read(data) == [("a.jpg", kind), ("b.jpg", b"good")]


def test_members_that_share_their_bytes_are_refused() -> None:
    data = zipped({"a.jpg": b"a" * 90, "b.jpg": b"b" * 90})
    second = data.rindex(b"PK\1\2") + 42
    data = data[:second] + bytes(4) + data[second + 4 :]
    assert [result for _, result in read(data)] == ["broken", "broken"]


@pytest.mark.parametrize("cut", [1, 30, 100])
def test_a_zip_without_its_directory_is_broken(cut: int) -> None:
    assert read(zipped(FILES)[:-cut]) == [("photos.bin", "broken")]


def test_an_archive_with_nothing_in_it_is_one_missing_source() -> None:
    assert read(zipped({})) == [("photos.bin", "missing")]
    assert read(tar({".hidden": b""})) == [("photos.bin", "missing")]


@pytest.mark.parametrize(
    "data", [b"", b"PK", b"\x1f\x8b", b"\x1f\x8bnothing", gzip.compress(b"no tar", mtime=0),
             bytes(1024), b"BZh9", b"\xfd7zXZ\0", zlib.compress(b"x"), b"\xff\xd8\xff"],
)  # fmt: skip
def test_what_is_no_archive_is_one_source(data: bytes) -> None:
    assert read(data) == [("photos.bin", data)]


def test_a_name_like_a_pictures_and_what_is_no_file_are_not_looked_into() -> None:
    assert read(zipped(FILES), "x.JPG") == [("x.JPG", zipped(FILES))]
    assert archives.kind("nowhere") is None
    assert archives.kind("/dev/zero") is None
    assert archives.kind(".") is None
    assert archives.kind("nul\0byte") is None


def test_a_zstd_archive_says_what_it_needs() -> None:
    results = read(b"\x28\xb5\x2f\xfd" + bytes(100), "photos.tar.zst")
    assert results in ([("photos.tar.zst", "unsupported")], [("photos.tar.zst", b"\x28\xb5\x2f\xfd" + bytes(100))])  # fmt: skip # noqa: E501


def test_an_archive_that_goes_away_fails_its_members() -> None:
    for data in (tar(FILES), zipped(FILES)):
        Path("gone").write_bytes(data)
        (source, *_) = arguments.read(["gone"], unpack=True)
        Path("gone").unlink()
        assert outcome(source) == "unreadable"


@pytest.mark.slow
def test_members_that_are_not_read_cost_little() -> None:
    data = tar({f"{number}.jpg": b"x" for number in range(10_000)})
    Path("many.tar").write_bytes(data)
    tracemalloc.start()
    try:
        assert sum(1 for _ in arguments.read(["many.tar"], unpack=True)) == 10_000
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def raw_zip(names: dict[bytes, bytes], system: int = 3) -> bytes:
    """Return a zip of empty files by the bytes of their names, and their extra fields."""
    placeholder = [f"{number:04}".ljust(len(name), "_") for number, name in enumerate(names)]
    with zipfile.ZipFile(sink := io.BytesIO(), "w") as archive:
        for name, extra in zip(placeholder, names.values(), strict=True):
            info = zipfile.ZipInfo(name)
            info.create_system, info.extra = system, extra
            archive.writestr(info, b"")
    data = sink.getvalue()
    for name, given in zip(placeholder, names, strict=True):
        data = data.replace(name.encode(), given)
    return data


def unicode_path(name: str, raw: bytes) -> bytes:
    field = b"\1" + struct.pack("<I", zlib.crc32(raw)) + name.encode()
    return struct.pack("<2H", 0x7075, len(field)) + field


@pytest.mark.parametrize(("raw", "extra", "expected"), [
    (b"in\\deep\\a.jpg", b"", "in/deep/a.jpg"),
    (b"in/a\\b.jpg", b"", "in/a\\b.jpg"),
    ("Vögel/Ærø.jpg".encode(), b"", "Vögel/Ærø.jpg"),
    ("鳥/写真.jpg".encode(), b"", "鳥/写真.jpg"),
    ("Vögel.jpg".encode("cp437"), b"", "Vögel.jpg"),
    (b"V?gel.jpg", unicode_path("Vögel.jpg", b"V?gel.jpg"), "Vögel.jpg"),
    (b"other.jpg", unicode_path("Vögel.jpg", b"V?gel.jpg"), "other.jpg"),
    (b"a.jpg", b"\x75\x70\1\0\1", "a.jpg"),
])  # fmt: skip
@pytest.mark.parametrize("system", [0, 3, 10])
def test_names_in_a_zip_are_those_that_its_maker_meant(
    raw: bytes, extra: bytes, expected: str, system: int
) -> None:
    assert read(raw_zip({raw: extra}, system)) == [(expected, b"")]


def test_folders_that_windows_wrote_are_none_of_the_files() -> None:
    assert read(raw_zip({b"val\\": b"", b"val\\a.jpg": b""})) == [("val/a.jpg", b"")]


def test_an_archive_that_would_never_end_is_left_with_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("topfive.sources.unpacking.FREE", 1 << 20)
    monkeypatch.setattr("topfive.sources.unpacking.RATIO", 10)
    monkeypatch.setattr("topfive.sources.arguments.MAX_BYTES", 3 << 20)
    for pack in (gzip.compress, bz2.compress, lzma.compress):
        for large in (2 << 20, 4 << 20):  # one is read, the other skipped
            data = pack(tar({"a.jpg": b"x", "b.jpg": bytes(large), "c.jpg": b"x"}))
            found = read(data)
            assert found[0] == ("a.jpg", b"x")
            assert found[-1] == ("photos.bin", "broken")
            assert "c.jpg" not in dict(found)


def test_an_xz_that_takes_much_memory_is_an_error() -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 29}]
    data = lzma.compress(tar(FILES), filters=filters)
    assert read(data, "photos.tar.xz") == [("photos.tar.xz", "broken")]
    assert read(lzma.compress(tar(FILES), preset=9)) == list(FILES.items())


def test_an_xz_of_several_streams_is_read_to_its_end() -> None:
    whole = tar(FILES)
    parts = [lzma.compress(whole[:700]), b"\0" * 8, lzma.compress(b""), lzma.compress(whole[700:])]
    assert read(b"".join(parts)) == list(FILES.items())


@pytest.mark.parametrize("form", FORMS)
def test_what_is_read_of_an_archive_costs_its_size_and_no_more(form: str) -> None:
    size = 40 << 20
    Path("large").write_bytes(FORMS[form]({"a.jpg": bytes(size)}))
    (source,) = arguments.read(["large"], unpack=True)
    tracemalloc.start()
    try:
        assert len(source.read()) == size
        assert tracemalloc.get_traced_memory()[1] < 1.2 * size
    finally:
        tracemalloc.stop()
