"""PyTorch's old files: the known ones, and hostile ones of which nothing is ever run.

What the files hold is put together here opcode by opcode, since no honest writer makes them.
"""

from __future__ import annotations

import gzip
import io
import pickle
import struct
import sys
import tempfile
import time
import tracemalloc
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.support import fakes
from topfive.engines import torch_files, weight_loading
from topfive.engines.torch_files import TORCH_MAGIC
from topfive.errors import WeightsError
from topfive.networks import weights
from topfive.networks.published import NETWORKS

LITE = weights.path(NETWORKS["efficientnet_lite0"])
ENOUGH = 8 << 20  # bytes beyond the file that reading it may take


def text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def number(value: int) -> bytes:
    if -(2**31) <= value < 2**31:
        return b"J" + struct.pack("<i", value)
    return b"\x8a\x0a" + value.to_bytes(10, "little", signed=True)


def several(*parts: bytes) -> bytes:
    return b"(" + b"".join(parts) + b"t"


def named(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def table(**entries: bytes) -> bytes:
    return b"}(" + b"".join(text(key) + value for key, value in entries.items()) + b"u"


def stream(content: bytes) -> bytes:
    return b"\x80\x02" + content + b"."


NOTHING, TRUE, FALSE = b"N", b"\x88", b"\x89"
ORDERED = named("collections", "OrderedDict") + b")R"
REBUILD = named("torch._utils", "_rebuild_tensor_v2")
FLOATS, LONGS = named("torch", "FloatStorage"), named("torch", "LongStorage")


def storage(key: bytes, length: bytes, kind: bytes = FLOATS, place: str = "cpu") -> bytes:
    return several(text("storage"), kind, key, text(place), length, NOTHING) + b"Q"


def tensor(
    kept: bytes, shape: bytes, strides: bytes, offset: bytes = number(0), rest: bytes = ORDERED
) -> bytes:
    return REBUILD + several(kept, offset, shape, strides, FALSE, rest) + b"R"


def sizes(*values: int) -> bytes:
    return several(*map(number, values))


def plain(key: str, *shape: int, kind: bytes = FLOATS) -> bytes:
    """A tensor that is alone in its storage, row by row."""
    steps = [int(np.prod(shape[place + 1 :])) for place in range(len(shape))]
    kept = storage(text(key), number(int(np.prod(shape))), kind)
    return tensor(kept, sizes(*shape), sizes(*steps))


def state(**entries: bytes) -> bytes:
    """What torch writes: an OrderedDict, and in its attributes the versions of modules."""
    content = b"".join(text(key) + value for key, value in entries.items())
    versions = b"}" + text("_metadata") + ORDERED + b"s"
    return ORDERED + b"(" + content + b"u" + versions + b"b"


def body(values: NDArray[Any]) -> bytes:
    return struct.pack("<q", values.size) + values.tobytes()


HABITS = table(protocol_version=number(1001), little_endian=TRUE, type_sizes=table(short=b"K\x02"))
ONE = np.array([1, 2, 3, 4], "<f4")


def made(
    tensors: bytes, keys: bytes = b"](" + text("1") + b"e", bodies: bytes = body(ONE), *,
    version: bytes = number(1001), habits: bytes = HABITS,
) -> bytes:  # fmt: skip
    """A whole file, by default with one storage of four numbers."""
    return TORCH_MAGIC + b"".join(map(stream, (version, habits, tensors, keys))) + bodies


def written(folder: Path, content: bytes) -> Path:
    file = folder / "weights.pth"
    file.write_bytes(content)
    return file


def saved(tensors: dict[str, NDArray[Any]]) -> bytes:
    """A file of several tensors, each in a storage of its own."""
    kinds = {"f": FLOATS, "i": LONGS}
    content = {name: plain(str(place), *values.shape, kind=kinds[values.dtype.kind])
               for place, (name, values) in enumerate(tensors.items())}  # fmt: skip
    keys = b"](" + b"".join(text(str(place)) for place in range(len(tensors))) + b"e"
    return made(state(**content), keys, b"".join(map(body, tensors.values())))


# Two tensors that share a storage, one of them turned, and a number without dimensions.
SHARED = made(
    state(**{
        "a.weight": tensor(storage(text("7"), number(9)), sizes(2, 3), sizes(1, 2)),
        "a.bias": tensor(storage(text("7"), number(9)), sizes(3), sizes(1), number(6)),
        "count": tensor(storage(text("12"), number(1), LONGS), b")", b")"),
    }),
    b"](" + text("12") + text("7") + b"e",
    body(np.array([5], "<i8")) + body(np.arange(9, dtype="<f4")),
)  # fmt: skip


class Unpickler(pickle.Unpickler):
    """Another way to read a file that is trusted: Python's own, without torch."""

    lengths: dict[str, int]

    def find_class(self, module: str, name: str) -> Any:
        return {"OrderedDict": OrderedDict, "_rebuild_tensor_v2": lambda *parts: parts[:4]}.get(
            name, name
        )

    def persistent_load(self, pid: Any) -> Any:
        return pid[1], pid[2]


@pytest.mark.parametrize("name", [name for name, card in NETWORKS.items() if card.direct])
def test_a_packaged_file_holds_what_python_itself_reads_in_it(name: str) -> None:
    network = NETWORKS[name]
    tensors = torch_files.read(weights.path(network))
    data = weights.path(network).read_bytes()
    source = io.BytesIO(data)
    _, _, _, expected, keys = (Unpickler(source).load() for _ in range(5))
    kinds = {key: kind for (kind, key), *_ in expected.values()}
    places, position = {}, source.tell()
    for key in keys:
        (length,) = struct.unpack_from("<q", data, position)
        places[key] = position + 8
        position += 8 + length * (4 if kinds[key] == "FloatStorage" else 8)
    assert position == len(data)
    assert list(tensors) == list(expected)
    turned = 0
    for tensor_name, ((_, key), offset, shape, strides) in expected.items():
        found = tensors[tensor_name]
        assert found.shape == shape
        assert not found.flags.writeable
        turned += not found.flags.c_contiguous
        form, size = ("<f", 4) if found.dtype == np.float32 else ("<q", 8)
        for index in {(0,) * len(shape), tuple(n // 2 for n in shape), tuple(n - 1 for n in shape)}:
            step = sum(one * stride for one, stride in zip(index, strides, strict=True))
            at = places[key] + size * (offset + step)
            assert struct.unpack_from(form, data, at) == (found[index],)
    assert turned > 20, "what the strides are about"
    assert tensors["_conv_stem.weight"].shape == (32, 3, 3, 3)
    assert tensors["_bn0.num_batches_tracked"].shape == ()
    numbers = sum(values.size for values in tensors.values() if values.dtype.kind == "f")
    assert numbers == network.parameters


def test_strides_and_places_in_a_storage_are_kept(tmp_path: Path) -> None:
    tensors = torch_files.read(written(tmp_path, SHARED))
    assert list(tensors) == ["a.weight", "a.bias", "count"]
    assert tensors["a.weight"].tolist() == [[0, 2, 4], [1, 3, 5]]
    assert tensors["a.bias"].tolist() == [6, 7, 8]
    assert tensors["count"] == 5
    assert [str(values.dtype) for values in tensors.values()] == ["float32", "float32", "int64"]
    with pytest.raises(ValueError, match="read-only"):
        tensors["a.bias"][0] = 1


@settings(deadline=None, max_examples=50)
@given(st.lists(st.lists(st.integers(1, 5), max_size=4), min_size=1, max_size=6))
def test_what_was_written_is_read(shapes: list[list[int]]) -> None:
    random = np.random.default_rng(len(shapes))
    tensors = {f"{place}.weight": random.standard_normal(shape).astype("<f4")
               for place, shape in enumerate(shapes)}  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        found = torch_files.read(written(Path(folder), saved(tensors)))
        assert list(found) == list(tensors)
        assert all(np.array_equal(found[name], tensors[name]) for name in tensors)


def test_what_a_state_carries_beside_its_tensors_changes_nothing(tmp_path: Path) -> None:
    for attributes in (
        table(__dict__=table(clear=NOTHING), __setstate__=named("collections", "OrderedDict")),
        table(__class__=text("os"), a=NOTHING), several(NOTHING, table(x=NOTHING)), number(1),
    ):  # fmt: skip
        file = written(tmp_path, made(state(a=plain("1", 4)) + attributes + b"b"))
        found = torch_files.read(file)
        assert {name: values.tolist() for name, values in found.items()} == {"a": [1, 2, 3, 4]}


# What a call of Python's would do: leave a file, in each way that Python's opcodes have.
TOUCH = text("echo > ran")
SYSTEM = named("os", "system")
CALLS = {
    "GLOBAL": SYSTEM,
    "REDUCE": SYSTEM + TOUCH + b"\x85R",
    "STACK_GLOBAL": text("os") + text("system") + b"\x93" + TOUCH + b"\x85R",
    "INST": b"(" + TOUCH + b"ios\nsystem\n",
    "OBJ": b"(" + SYSTEM + TOUCH + b"o",
    "NEWOBJ": SYSTEM + TOUCH + b"\x85\x81",
    "NEWOBJ_EX": SYSTEM + TOUCH + b"\x85}\x92",
    "EXT1": b"\x82\x01",
    "EXT4": b"\x84\xff\xff\xff\x7f",
    "PERSID": b"Pos.system\n",
    "an import": named("ran_when_imported", "anything"),
    "builtins": named("builtins", "exec") + text("open('ran', 'w')") + b"\x85R",
    "Python 2's builtins": named("__builtin__", "eval") + text("open('ran', 'w')") + b"\x85R",
    "torch's own": named("torch", "load") + text("x") + b"\x85R",
    "torch's legacy loader": named("torch.storage", "_load_from_bytes") + TOUCH + b"\x85R",
    "a dotted name": named("collections", "OrderedDict.__init__"),
    "an almost known name": named("collections", "OrderedDict "),
    "a known class with arguments": named("collections", "OrderedDict") + several(b"]") + b"R",
    "a storage that is called": FLOATS + number(4) + b"\x85R",
    "a text that is called": text("torch._utils _rebuild_tensor_v2") + b")R",
    "BUILD on a tensor": plain("1", 4) + table(__setstate__=SYSTEM) + b"b",
    "BUILD on a list": b"]" + table(x=NOTHING) + b"b",
    "BUILD on a name": FLOATS + table(__dict__=b"}") + b"b",
}


@pytest.mark.parametrize("place", ["version", "habits", "tensors", "keys"])
@pytest.mark.parametrize("how", CALLS)
def test_nothing_that_a_file_names_is_imported_or_called(
    how: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "ran_when_imported.py").write_text("open('ran', 'w')")
    parts: dict[str, bytes] = {"tensors": state(a=plain("1", 4))}
    if place == "tensors":
        parts[place] = state(a=CALLS[how])
    elif place == "habits":
        parts[place] = table(little_endian=TRUE, x=CALLS[how])
    else:
        parts[place] = CALLS[how]
    with pytest.raises(WeightsError) as caught:
        torch_files.read(written(tmp_path, made(**parts)))
    if place == "habits" and how == "a text that is called":
        assert "a call that weights do not need" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists()
    assert "ran_when_imported" not in sys.modules


def twice(times: int = 60) -> bytes:
    """A tuple of twice a tuple of twice ...: 2**60 parts, in 60 lines."""
    return NOTHING + b"q\x00" + b"h\x00h\x00\x86q\x00" * times


def one(**changes: bytes) -> bytes:
    """The state of one tensor, some part of which is another."""
    parts = {"key": text("1"), "length": number(4), "kind": FLOATS, "shape": sizes(4),
             "strides": sizes(1), "offset": number(0), "rest": ORDERED, **changes}  # fmt: skip
    kept = storage(parts["key"], parts["length"], parts["kind"])
    return state(a=tensor(kept, parts["shape"], parts["strides"], parts["offset"], parts["rest"]))


GOOD, MOST = one(), 2**31 - 1
HOSTILE: dict[str, bytes] = {
    "parts without end as a key": made(ORDERED + twice() + plain("1", 4) + b"s"),
    "parts without end as a name": made(state(a=twice())),
    "parts without end as a shape": made(one(shape=twice())),
    "parts without end in a shape": made(one(shape=twice() + b"\x85")),
    "parts without end as strides": made(one(strides=twice())),
    "parts without end as an offset": made(one(offset=twice())),
    "parts without end as hooks": made(one(rest=twice())),
    "parts without end as a storage's name": made(one(key=twice())),
    "parts without end as a storage": made(state(a=tensor(twice() + b"Q", sizes(4), sizes(1)))),
    "parts without end as a storage's kind": made(one(kind=twice())),
    "parts without end as a length": made(one(length=twice())),
    "parts without end as a function": made(state(a=twice() + b")R")),
    "parts without end as arguments": made(state(a=REBUILD + twice() + b"R")),
    "parts without end as a version": made(GOOD, version=twice()),
    "parts without end as habits": made(GOOD, habits=twice()),
    "parts without end as a habit": made(GOOD, habits=table(little_endian=twice())),
    "parts without end in the list of names": made(GOOD, b"](" + twice() + b"e"),
    "parts without end as the list of names": made(GOOD, twice()),
    "parts without end, kept": made(twice(16_000)),
    "100,000 tuples in each other": made(NOTHING + b"\x85" * 100_000),
    "40,000 tuples in each other": made(NOTHING + b"\x85" * 40_000),
    "40,000 lists in each other": made(b"](" * 20_000 + b"e" * 20_000),
    "40,000 tables in each other": made((b"}" + text("")) * 13_000 + NOTHING + b"s" * 13_000),
    "a list in itself": made(GOOD, b"]q\x00(h\x00e"),
    "a table in itself": made(b"}q\x00" + text("a") + b"h\x00s"),
    "habits in themselves": made(GOOD, habits=b"}q\x00" + text("little_endian") + b"h\x00s"),
    "DUP without end": made(NOTHING + b"2" * 300_000),
    "marks without end": made(b"(" * 300_000),
    "marks within the bound": made(b"(" * 45_000),
    "POP": made(b"0"),
    "POP_MARK": made(b"1"),
    "tuples of a mark": made(b"(\x85"),
    "nothing": TORCH_MAGIC,
    "only ends": TORCH_MAGIC + b"." * 10,
    "a mark that is left": made(b"("),
    "two values that are left": made(GOOD + NOTHING),
    "more of a stack than there is": made(b"\x86"),
    "a memo of 4 billion": made(GOOD + b"r\xff\xff\xff\xff" + b"j\xfe\xff\xff\xff"),
    "a memo that is not there": made(b"h\x09"),
    "a textual memo": made(GOOD + b"p4000000000\ng4000000000\n"),
    "a LONG1": made(one(length=b"\x8a\xff" + b"\x7f" * 255)),
    "a LONG4 of 2 GB": made(one(length=b"\x8b\xff\xff\xff\x7f" + b"\x7f" * 100)),
    "a LONG4 of less than nothing": made(one(length=b"\x8b\xff\xff\xff\xff")),
    "a LONG4 of 200 kB": made(one(length=b"\x8b" + struct.pack("<i", 200_000) + b"\x7f" * 200_000)),
    "a textual number of 200,000 digits": made(one(length=b"I" + b"9" * 200_000 + b"\n")),
    "a textual long of 200,000 digits": made(one(length=b"L" + b"9" * 200_000 + b"L\n")),
    "a text of 4 GB": made(state(a=b"X\xff\xff\xff\xff" + b"x" * 100)),
    "a text of 2**63 bytes": made(state(a=b"\x8d" + b"\xff" * 8)),
    "bytes of 2**62": made(state(a=b"\x8e" + b"\xff" * 7 + b"\x3f")),
    "a frame of 2**62": made(b"\x95" + b"\xff" * 7 + b"\x3f" + GOOD),
    "a text that is no UTF-8": made(state(a=b"X\x02\0\0\0\xff\xfe")),
    "a quoted text": made(state(a=b"S'a\\xq'\n")),
    "a text without an end": made(state(a=b"Vaaaa")),
    "a textual float": made(one(length=b"Fnan\n")),
    "an opcode that is none": made(b"\xff"),
    "over 50,000 opcodes": made(NOTHING + b"q\x00" * 60_000),
    "over 256 KiB": made(state(a=text("x" * 300_000))),
    "a length of 2**62": made(one(length=number(2**62))),
    "a length of 2**31": made(one(length=number(MOST))),
    "a length that is negative": made(one(length=number(-4))),
    "a length that is true": made(one(length=TRUE, shape=sizes(1)), bodies=body(ONE[:1])),
    "a length that is a text": made(one(length=text("4"))),
    "a length that is nothing": made(one(length=NOTHING)),
    "a length other than before the numbers": made(one(length=number(3), shape=sizes(3))),
    "another length before the numbers": made(GOOD, bodies=struct.pack("<q", 5) + ONE.tobytes()),
    "a negative length before them": made(GOOD, bodies=struct.pack("<q", -4) + ONE.tobytes()),
    "a length in the other order": made(GOOD, bodies=struct.pack(">q", 4) + ONE.tobytes()),
    "no numbers": made(GOOD, bodies=b""),
    "half a length": made(GOOD, bodies=body(ONE)[:4]),
    "numbers that are cut": made(GOOD, bodies=body(ONE)[:-1]),
    "a byte that follows": made(GOOD, bodies=body(ONE) + b"\0"),
    "a storage without numbers": made(one(length=number(0)), bodies=body(ONE[:0])),
    "a storage without numbers, and a tensor without": made(
        one(length=number(0), shape=sizes(0)), bodies=body(ONE[:0])),
    "terabytes of one number": made(one(shape=sizes(MOST, 99), strides=sizes(0, 0))),
    "more than terabytes": made(one(shape=sizes(*[MOST] * 8), strides=sizes(*[0] * 8))),
    "terabytes in 64 bits": made(one(shape=sizes(2**39), strides=sizes(0))),
    "five of four numbers": made(one(shape=sizes(5), strides=sizes(0))),
    "strides past the end": made(one(strides=sizes(2))),
    "a shape past the end": made(one(shape=sizes(5))),
    "an offset past the end": made(one(offset=number(1))),
    "an offset far past the end": made(one(shape=sizes(1), offset=number(MOST))),
    "an offset right behind the end": made(one(shape=b")", strides=b")", offset=number(4))),
    "an offset that is negative": made(one(shape=sizes(1), offset=number(-1))),
    "an offset that is true": made(one(shape=sizes(1), offset=TRUE)),
    "an offset that is nothing": made(one(offset=NOTHING)),
    "a shape that is negative": made(one(shape=sizes(-4))),
    "shapes that are negative": made(one(shape=sizes(-2, -2), strides=sizes(1, 1))),
    "a shape with a zero": made(one(shape=sizes(4, 0), strides=sizes(1, 1))),
    "a shape of truths": made(one(shape=several(TRUE))),
    "a shape that is a list": made(one(shape=b"](" + number(4) + b"e")),
    "a shape that is a number": made(one(shape=number(4))),
    "a shape of texts": made(one(shape=several(text("4")))),
    "strides that are negative": made(one(strides=sizes(-1))),
    "strides of truths": made(one(strides=several(TRUE))),
    "strides that wrap around": made(one(shape=sizes(5), strides=sizes(2**62))),
    "strides that add up to wrap around": made(one(shape=sizes(2, 2), strides=sizes(MOST, MOST))),
    "strides of another length": made(one(strides=sizes(1, 1))),
    "no strides": made(one(strides=b")")),
    "nine dimensions": made(one(shape=sizes(*[1] * 9), strides=sizes(*[1] * 9))),
    "65 dimensions": made(one(shape=sizes(*[1] * 65), strides=sizes(*[1] * 65))),
    "too few arguments": made(state(a=REBUILD + several(NOTHING) + b"R")),
    "a storage of halves": made(one(kind=named("torch", "HalfStorage"))),
    "a storage of no name": made(one(kind=text("torch FloatStorage"))),
    "a storage that is a class": made(one(kind=named("collections", "OrderedDict"))),
    "a storage on a GPU": made(state(a=tensor(
        storage(text("1"), number(4), place="cuda:0"), sizes(4), sizes(1)))),
    "a storage that is none": made(state(a=tensor(text("1") + b"Q", sizes(4), sizes(1)))),
    "a text for a storage": made(state(a=tensor(text("1"), sizes(4), sizes(1)))),
    "a storage's name that is a number": made(one(key=number(1))),
    "a storage alone": made(state(a=storage(text("1"), number(4)))),
    "a known name alone": made(state(a=FLOATS)),
    "two storages of one name": made(state(
        a=plain("1", 4), b=tensor(storage(text("1"), number(2)), sizes(2), sizes(1)))),
    "two kinds of one name": made(state(
        a=plain("1", 4), b=plain("1", 4, kind=LONGS))),
    "a storage that no tensor has": made(GOOD, b"](" + text("1") + text("2") + b"e"),
    "another storage": made(GOOD, b"](" + text("2") + b"e"),
    "a storage twice": made(GOOD, b"](" + text("1") * 2 + b"e", body(ONE) * 2),
    "no storages": made(GOOD, b"]", b""),
    "storages that are numbers": made(GOOD, b"](" + number(1) + b"e"),
    "storages that are a tuple": made(GOOD, several(text("1"))),
    "storages that are a text": made(GOOD, text("1")),
    "no tensors": made(ORDERED, b"]", b""),
    "a list of tensors": made(b"](" + plain("1", 4) + b"e"),
    "a tensor for a state": made(plain("1", 4)),
    "tensors in a table of a table": made(state(state=state(a=plain("1", 4)))),
    "a tensor and a number": made(state(a=plain("1", 4), epoch=number(3))),
    "a name twice": made(ORDERED + b"(" + (text("a") + plain("1", 4)) * 2 + b"u"),
    "a name twice, one by one": made(ORDERED + (text("a") + plain("1", 4) + b"s") * 2),
    "a name that is a number": made(ORDERED + number(1) + plain("1", 4) + b"s"),
    "a name that is a table": made(ORDERED + b"}" + plain("1", 4) + b"s"),
    "a name without a tensor": made(ORDERED + b"(" + text("a") + b"u"),
    "a tensor in no table": made(b"](" + text("a") + plain("1", 4) + b"u"),
    "names appended to no list": made(GOOD, b"}(" + text("1") + b"e"),
    "big-endian numbers": made(GOOD, habits=table(little_endian=FALSE)),
    "numbers that are 1-endian": made(GOOD, habits=table(little_endian=number(1))),
    "numbers of no order": made(GOOD, habits=table(protocol_version=number(1001))),
    "habits that are a list": made(GOOD, habits=b"]"),
    "version 1000": made(GOOD, version=number(1000)),
    "version 1001 as a text": made(GOOD, version=text("1001")),
    "version true": made(GOOD, version=TRUE),
    "another magic number": b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x18." + made(GOOD)[15:],
    "the magic number alone, by half": TORCH_MAGIC[:7],
    "nothing at all": b"",
    "a text file": b"these are no weights\n" * 100,
    "a text file that begins with an opcode": b".these are no weights\n",
    "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(1000),
    "zeros": bytes(100_000),
    "only a pickle": pickle.dumps({"a": [1.0]}, 2),
    "compressed": gzip.compress(made(GOOD)),
    "a zip archive": b"PK\x03\x04" + bytes(100),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("what", HOSTILE)
def test_a_file_that_is_hostile_or_foreign_is_a_short_error_soon_and_in_little_memory(
    what: str, tmp_path: Path
) -> None:
    file = written(tmp_path, HOSTILE[what])
    tracemalloc.start()
    began = time.monotonic()
    try:
        with pytest.raises(WeightsError) as caught:
            torch_files.read(file)
        took, (_, peak) = time.monotonic() - began, tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300
    assert took < 10, "a second, but for a machine that has other work"
    assert peak < len(HOSTILE[what]) + ENOUGH


def test_the_honest_file_that_those_were_made_from_is_read(tmp_path: Path) -> None:
    assert torch_files.read(written(tmp_path, made(GOOD)))["a"].tolist() == [1, 2, 3, 4]


def test_a_file_of_today_is_told_from_one_of_before(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "weights.pth", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}))
    with pytest.raises(WeightsError, match="no PyTorch file of the kind from before its zip"):
        torch_files.read(tmp_path / "weights.pth")


@pytest.mark.parametrize("name", ["missing.pth", "."])
def test_what_cannot_be_read_says_why(tmp_path: Path, name: str) -> None:
    with pytest.raises(WeightsError, match=r"cannot read it: (No such file|Is a directory)"):
        torch_files.read(tmp_path / name)


def test_a_file_that_is_cut_anywhere_is_an_error(tmp_path: Path) -> None:
    for length in range(len(SHARED)):
        with pytest.raises(WeightsError) as caught:
            torch_files.read(written(tmp_path, SHARED[:length]))
        assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_packaged_file_that_is_cut_anywhere_is_an_error(tmp_path: Path) -> None:
    data = LITE.read_bytes()
    start = 47_176  # of the numbers
    file = written(tmp_path, data)
    # From behind, so that the file has to be written only once.
    for length in sorted({*range(start, len(data), 999_983), *range(0, start, 233)}, reverse=True):
        with file.open("rb+") as stream:
            stream.truncate(length)
        with pytest.raises(WeightsError, match=r"cut off|no PyTorch file|cannot read it"):
            torch_files.read(file)


def touch(file: Path) -> None:
    """Read a file; whatever is in it is an error or arrays no larger than it."""
    found, said = {}, ""
    try:
        found = torch_files.read(file)
    except WeightsError as error:
        said = str(error)
    assert "\n" not in said
    assert len(said) < 300
    for values in found.values():
        assert values.nbytes <= file.stat().st_size
        values.copy()


def test_flipped_bits_are_an_error_or_other_numbers(tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    for _ in range(800):
        data = bytearray(SHARED)
        for place in random.integers(len(TORCH_MAGIC), len(data), random.integers(1, 4)):
            data[place] ^= 1 << random.integers(8)
        touch(written(tmp_path, bytes(data)))


def test_other_bytes_are_an_error_or_other_numbers(tmp_path: Path) -> None:
    random = np.random.default_rng(6)
    for _ in range(800):
        place = int(random.integers(len(TORCH_MAGIC), len(SHARED)))
        cut = place + int(random.integers(0, 4))
        touch(
            written(tmp_path, SHARED[:place] + random.bytes(int(random.integers(4))) + SHARED[cut:])
        )


OPCODES = [bytes([code]) for code in range(256)]
PIECES = st.sampled_from([
    *OPCODES, text("a"), text("1"), number(4), number(0), sizes(4), sizes(1), FLOATS, LONGS,
    REBUILD, ORDERED, storage(text("1"), number(4)), plain("1", 4), NOTHING, TRUE, b"(", b"t",
    b"e", b"u", b"s", b"R", b"Q", b"b", b"q\x00", b"h\x00", b"]", b"}", b")", b"\x85", b"\x86",
])  # fmt: skip


@pytest.mark.slow
@settings(deadline=None, max_examples=300)
@given(st.lists(PIECES, max_size=40), st.binary(max_size=20), st.booleans())
def test_any_opcodes_are_an_error_or_numbers(
    pieces: list[bytes], noise: bytes, within: bool
) -> None:
    content = b"".join(pieces)
    tensors = state(a=content + noise) if within else content + noise
    with tempfile.TemporaryDirectory() as folder:
        touch(written(Path(folder), made(tensors)))


# A model with a layer of each kind that such a file has tensors for.
def small_model() -> Any:
    layers = keras.layers
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(5, 3, use_bias=False, name="stem")(inputs)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.DepthwiseConv2D(3, name="depthwise")(x)
    x = layers.GlobalAveragePooling2D(name="average")(x)
    return keras.Model(inputs, layers.Dense(7, name="dense")(x), name="small")


def small_tensors() -> dict[str, NDArray[Any]]:
    """In torch's order of axes: (filters, channels, height, width) and (outputs, inputs)."""
    random = np.random.default_rng(3)
    shapes = {
        "stem.weight": (5, 3, 3, 3), "norm.weight": (5,), "norm.bias": (5,),
        "norm.running_mean": (5,), "norm.running_var": (5,), "norm.num_batches_tracked": (),
        "depthwise.weight": (5, 1, 3, 3), "depthwise.bias": (5,),
        "dense.weight": (7, 5), "dense.bias": (7,),
    }  # fmt: skip
    found: dict[str, NDArray[Any]] = {
        name: random.standard_normal(shape).astype("<f4") for name, shape in shapes.items()
    }
    return {**found, "norm.num_batches_tracked": np.array(9, "<i8")}


def test_tensors_come_into_the_variables_with_their_axes_in_kerass_order(tmp_path: Path) -> None:
    model, tensors = small_model(), small_tensors()
    weight_loading.load_weights(model, written(tmp_path, saved(tensors)))
    found = {variable.path: np.asarray(variable.numpy()) for variable in model.weights}
    assert np.array_equal(found["stem/kernel"], tensors["stem.weight"].transpose(2, 3, 1, 0))
    kernels = tensors["depthwise.weight"].transpose(2, 3, 0, 1)
    assert np.array_equal(found["depthwise/kernel"], kernels)
    assert np.array_equal(found["dense/kernel"], tensors["dense.weight"].T)
    for name, path in (
        ("norm.weight", "norm/gamma"), ("norm.bias", "norm/beta"),
        ("norm.running_mean", "norm/moving_mean"), ("norm.running_var", "norm/moving_variance"),
        ("depthwise.bias", "depthwise/bias"), ("dense.bias", "dense/bias"),
    ):  # fmt: skip
        assert np.array_equal(found[path], tensors[name])


def changed(**changes: NDArray[Any] | None) -> dict[str, NDArray[Any]]:
    """The tensors with some replaced, left out (None) or added; `__` stands for a dot."""
    named_ = {name.replace("__", "."): values for name, values in changes.items()}
    return {name: values for name, values in {**small_tensors(), **named_}.items()
            if values is not None}  # fmt: skip


def swapped(first: str, second: str) -> dict[str, NDArray[Any]]:
    names = {first: second, second: first}
    tensors = small_tensors()
    return {names.get(name, name): tensors[names.get(name, name)] for name in tensors}


def odd(shape: tuple[int, ...], value: float) -> NDArray[Any]:
    values = np.zeros(shape, "<f4")
    values.flat[values.size // 2] = value
    return values


MISFITS: dict[str, tuple[dict[str, NDArray[Any]], str]] = {
    "a NaN": (changed(dense__weight=odd((7, 5), np.nan)), "'dense.weight' holds values that are"),
    "an infinity": (changed(norm__bias=odd((5,), np.inf)), "'norm.bias' holds values that are not"),
    "another shape": (
        changed(dense__weight=odd((7, 6), 0)),
        r"'dense/kernel' has the shape \(5, 7\), 'dense.weight' in the file \(6, 7\)"),
    "turned": (changed(dense__weight=odd((5, 7), 0)), r"'dense.weight' in the file \(7, 5\)"),
    "another number of axes": (
        changed(stem__weight=odd((5, 27), 0)), r"'stem.weight' \(5, 27\) stands where 'stem/"),
    "one too many": (
        changed(more__weight=odd((5,), 0)), "goes on with 'more.weight' where the network ends"),
    "the last missing": (changed(dense__bias=None), "the file ends before 'dense/bias'"),
    "one missing within": (
        changed(norm__running_mean=None), "'norm.running_var' .* where 'norm/moving_mean' is"),
    "in another order": (
        swapped("norm.weight", "norm.bias"), "'norm.bias' .* stands where 'norm/gamma' is"),
    "whole numbers": (
        changed(norm__weight=np.zeros(5, "<i8")), "'norm.bias' .* stands where 'norm/gamma' is"),
}  # fmt: skip


@pytest.mark.parametrize("what", MISFITS)
def test_a_file_that_does_not_fit_names_the_first_tensor(what: str, tmp_path: Path) -> None:
    tensors, message = MISFITS[what]
    file = written(tmp_path, saved(tensors))
    with pytest.raises(WeightsError, match=rf"weights\.pth does not fit small: .*{message}"):
        weight_loading.load_weights(small_model(), file)


# Networks whose layers are others, and those of which some have no counterpart in such a file.
@pytest.mark.parametrize(
    "name",
    ["squeezenet_v1.1", "mobilenet", "efficientnet_lite1", "efficientnetb0", "convnext_tiny"],
)
def test_the_packaged_file_fits_no_other_network(name: str) -> None:
    model = fakes.bare_model(NETWORKS[name])
    with pytest.raises(WeightsError, match=r"\.pth does not fit .*'\w+[./]?.*'"):
        weight_loading.load_weights(model, LITE)


@pytest.mark.parametrize("length", [0, 1, 8, 15])
def test_a_file_that_is_hardly_begun_is_no_weight_file(length: int, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"weights\.pth does not fit small: "):
        weight_loading.load_weights(small_model(), written(tmp_path, TORCH_MAGIC[:length]))
