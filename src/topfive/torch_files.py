"""Read the tensors of a PyTorch file of the kind from before its zip archives (`.pth`).

Such a file is five pickles and then the numbers: a magic number, a version, the machine's
habits, the state dict, the names of the storages; then each storage's length and content. The
pickles are hostile and are never unpickled: their opcodes are interpreted here, those alone
that such files need, on plain values. Nothing is imported or called whatever a file names, and
nothing is taken for longer, larger or deeper than its bytes are.

Source: `torch.serialization._legacy_load` of PyTorch 2.13; Python's `pickletools`.
"""

from __future__ import annotations

import mmap
import pickletools
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from topfive.errors import WeightsError

# The pickle that each such file begins with: torch's magic number.
TORCH_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
VERSION = 1001
# What is read of a pickle, and how many opcodes and dimensions it may have: four times as many
# as the largest of the files that are known, for what is read is all in memory.
MOST_BYTES, MOST_OPCODES, MOST_DIMENSIONS = 1 << 18, 50_000, 8
# The globals that such files name, and what a storage of that name holds.
ORDERED, REBUILD = "collections OrderedDict", "torch._utils _rebuild_tensor_v2"
STORAGES = {"torch FloatStorage": "<f4", "torch LongStorage": "<i8"}


@dataclass(frozen=True)
class _Global:
    name: str


@dataclass(frozen=True)
class _Storage:
    key: str
    kind: str
    length: int


@dataclass(frozen=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Mark:
    """Where the values of an opcode that takes many begin."""


_MARK = _Mark()


def read(file: Path) -> dict[str, NDArray[np.generic]]:
    """Return a file's tensors by their names, in its order: views of the mapped file, read-only.

    A view may show the same number many times over: look at its shape before it is copied.

    Raises:
        WeightsError: the file is no such file, is cut or damaged, or holds anything else.
    """
    try:
        with file.open("rb") as stream:
            content = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:  # an empty file cannot be mapped
        raise WeightsError(f"cannot read {file}: {error}") from error
    position = 0
    found = []
    for number, what in enumerate(("magic number", "version", "habits", "state", "storages")):
        if number == 1 and content[:position] != TORCH_MAGIC:
            raise WeightsError("no PyTorch file of the kind from before its zip archives")
        value, position = _interpret(content, position, what)
        found.append(value)
    _, version, habits, state, keys = found
    if type(version) is not int or version != VERSION:
        raise WeightsError(f"its version is not {VERSION}")
    if type(habits) is not dict or habits.get("little_endian") is not True:
        raise WeightsError("its numbers are not little-endian")
    if type(state) is not dict:
        raise WeightsError("its state is no table of tensors")
    tensors = {name: one for name, one in state.items() if type(one) is _Tensor}
    if len(tensors) != len(state) or not tensors:
        raise WeightsError("its state holds something else than tensors")
    arrays = _storages(content, position, keys, tensors)
    return {name: _view(name, one, arrays[one.storage.key]) for name, one in tensors.items()}


def _storages(
    content: mmap.mmap, position: int, keys: object, tensors: Mapping[str, _Tensor]
) -> dict[str, NDArray[np.generic]]:
    """Return the storages that follow the pickles, by their keys; they end where the file does."""
    known: dict[str, _Storage] = {}
    for tensor in tensors.values():
        if known.setdefault(tensor.storage.key, tensor.storage) != tensor.storage:
            raise WeightsError(f"two storages are called {tensor.storage.key[:50]!r}")
    if type(keys) is not list or not all(type(key) is str for key in keys):
        raise WeightsError("its storages have no list of names")
    if len(keys) != len(known) or set(keys) != set(known):
        raise WeightsError("its storages are not those of its tensors")
    arrays: dict[str, NDArray[np.generic]] = {}
    for key in keys:
        kind, length = np.dtype(known[key].kind), known[key].length
        start, end = position + 8, position + 8 + length * kind.itemsize
        if end > len(content):
            raise WeightsError(f"cut off: {end:,} bytes expected, {len(content):,} found")
        if struct.unpack("<q", content[position:start]) != (length,):
            raise WeightsError(f"a storage is not as long as its tensors say ({length:,})")
        arrays[key] = np.frombuffer(content, kind, length, start)
        position = end
    if position != len(content):
        raise WeightsError(f"{len(content) - position:,} bytes follow after its last storage")
    return arrays


def _view(name: str, tensor: _Tensor, values: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return a tensor as a view of its storage: torch's permuted kernels differ in strides."""
    reach = sum((n - 1) * step for n, step in zip(tensor.shape, tensor.strides, strict=True))
    if 0 in tensor.shape or tensor.offset + reach >= len(values):
        raise WeightsError(f"{name[:100]!r} reaches beyond its storage")
    return np.lib.stride_tricks.as_strided(
        values[tensor.offset :],
        tensor.shape,
        [step * values.itemsize for step in tensor.strides],
        writeable=False,
    )


def _interpret(content: mmap.mmap, position: int, what: str) -> tuple[Any, int]:
    """Return what a pickle at a position says, as plain values, and where it ends."""
    part = content[position : position + MOST_BYTES]
    machine = _Machine()
    try:
        for count, (opcode, argument, start) in enumerate(pickletools.genops(BytesIO(part))):
            if count == MOST_OPCODES:
                raise WeightsError(f"over {count:,} opcodes")
            if opcode.name == "STOP":
                return machine.result(), position + (start or 0) + 1
            machine.do(opcode.name, argument)
    except WeightsError as error:
        raise WeightsError(f"its {what}: {error}") from error
    # What pickletools says of bytes that are no opcodes, are cut, or are no UTF-8.
    except (ValueError, IndexError, struct.error, OverflowError) as error:
        reason = " ".join(str(error).split())[:100]
        raise WeightsError(f"its {what}: cut off or damaged: {reason}") from error
    raise WeightsError(f"its {what} has no end in {MOST_BYTES:,} bytes")


class _Machine:
    """The values that a pickle's opcodes have left so far: a stack, and those kept by number.

    Values are compared and hashed only after their types were looked at: tuples of tuples of
    one tuple can stand for more parts than there is time for.
    """

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def result(self) -> Any:
        if len(self.stack) != 1 or self.stack[0] is _MARK:
            raise WeightsError("it leaves more or less than one value")
        return self.stack[0]

    def do(self, name: str, argument: Any) -> None:
        """Do what an opcode says."""
        if name in ("BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE"):
            self.stack.append(argument)
        elif name in ("BINPUT", "LONG_BINPUT"):
            self.memo[argument] = self._top()
        elif name in ("BINGET", "LONG_BINGET"):
            if argument not in self.memo:
                raise WeightsError(f"nothing was kept as {argument}")
            self.stack.append(self.memo[argument])
        elif name == "GLOBAL":
            self.stack.append(_Global(self._known(argument)))
        elif name in _MAKES:
            self.stack.append(_MAKES[name]())
        elif name in _DOES:
            _DOES[name](self)
        elif name != "PROTO":
            raise WeightsError(f"the opcode {name} is none that weights need")

    def _known(self, name: str) -> str:
        if name not in (ORDERED, REBUILD, *STORAGES):
            raise WeightsError(f"it names {name[:100]!r}, which weights do not need")
        return name

    def _top(self) -> Any:
        if not self.stack or self.stack[-1] is _MARK:
            raise WeightsError("a value is missing")
        return self.stack[-1]

    def _pop(self) -> Any:
        value = self._top()
        self.stack.pop()
        return value

    def _since_mark(self) -> list[Any]:
        for place in range(len(self.stack) - 1, -1, -1):
            if self.stack[place] is _MARK:
                values = self.stack[place + 1 :]
                del self.stack[place:]
                return values
        raise WeightsError("a mark is missing")

    def tuple_of(self, count: int) -> None:
        values = [self._pop() for _ in range(count)]
        self.stack.append(tuple(reversed(values)))

    def tuple_since_mark(self) -> None:
        self.stack.append(tuple(self._since_mark()))

    def append_many(self) -> None:
        values = self._since_mark()
        if type(self._top()) is not list:
            raise WeightsError("something is appended to no list")
        self._top().extend(values)

    def set_one(self) -> None:
        value, key = self._pop(), self._pop()
        self._set([key, value])

    def set_many(self) -> None:
        self._set(self._since_mark())

    def _set(self, pairs: list[Any]) -> None:
        keys, values = pairs[::2], pairs[1::2]
        if type(self._top()) is not dict or len(keys) != len(values):
            raise WeightsError("something is set in no table")
        for key, value in zip(keys, values, strict=True):
            if type(key) is not str:
                raise WeightsError("a name in a table is no text")
            if key in self._top():
                raise WeightsError(f"{key[:100]!r} stands there twice")
            self._top()[key] = value

    def build(self) -> None:
        """Leave out what a state dict carries beside its tensors: versions of modules."""
        self._pop()
        if type(self._top()) is not dict:
            raise WeightsError("something is built that is no table")

    def storage(self) -> None:
        match self._pop():
            case ("storage", _Global(name), str(key), "cpu", int(length), None) if (
                name in STORAGES and 0 <= length < 1 << 40
            ):
                self.stack.append(_Storage(key, STORAGES[name], length))
            case _:
                raise WeightsError("what is kept elsewhere is no storage")

    def reduce(self) -> None:
        arguments, function = self._pop(), self._pop()
        match function, arguments:
            case _Global("collections OrderedDict"), ():
                self.stack.append({})
            case _Global("torch._utils _rebuild_tensor_v2"), (
                _Storage() as storage, int(offset), tuple(shape), tuple(strides), bool(), dict(),
            ) if _are_sizes(offset, *shape) and _are_sizes(*strides):  # fmt: skip
                if len(shape) != len(strides) or len(shape) > MOST_DIMENSIONS:
                    raise WeightsError(f"a tensor of {len(shape)} dimensions")
                self.stack.append(_Tensor(storage, offset, shape, strides))
            case _:
                raise WeightsError("a call that weights do not need")


def _are_sizes(*values: object) -> bool:
    return all(type(one) is int and 0 <= one < 1 << 40 for one in values)


_MAKES: dict[str, Callable[[], Any]] = {
    "MARK": lambda: _MARK, "NONE": lambda: None, "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False, "EMPTY_TUPLE": tuple, "EMPTY_LIST": list, "EMPTY_DICT": dict,
}  # fmt: skip
_DOES: dict[str, Callable[[_Machine], None]] = {
    "TUPLE1": lambda machine: machine.tuple_of(1), "TUPLE2": lambda machine: machine.tuple_of(2),
    "TUPLE": _Machine.tuple_since_mark, "APPENDS": _Machine.append_many,
    "SETITEM": _Machine.set_one, "SETITEMS": _Machine.set_many, "BUILD": _Machine.build,
    "BINPERSID": _Machine.storage, "REDUCE": _Machine.reduce,
}  # fmt: skip
