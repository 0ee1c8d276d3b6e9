"""Read the tensors of a PyTorch file of the kind from before its zip archives (`.pth`).

Such a file is five streams of Python's opcodes and then the numbers: a magic number, a version,
the machine's habits, the state dict, the names of the storages; then each storage's length and
content. The streams are never unpickled: the opcodes that such files need are interpreted here,
on plain values. Nothing is imported or called, or taken for larger or deeper than its bytes are.

Source: `torch.serialization._legacy_load` of PyTorch 2.13; Python's `pickletools`.
"""

from __future__ import annotations

import math
import os
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
from topfive.system.files import open_regular

# The stream that each such file begins with: torch's magic number.
TORCH_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
VERSION = 1001
# Of a stream and a tensor: four times as many as the known files have, for all is in memory.
MOST_BYTES, MOST_OPCODES, MOST_DIMENSIONS = 1 << 18, 50_000, 8
MOST_FILE = 1 << 30
# The globals that such files name, and what a storage of that name holds.
ORDERED, REBUILD = "collections OrderedDict", "torch._utils _rebuild_tensor_v2"
STORAGES = {"torch FloatStorage": "<f4", "torch LongStorage": "<i8"}

_MARK = object()  # where the values of an opcode that takes many begin


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


def read(file: Path) -> dict[str, NDArray[np.generic]]:
    """Return a file's tensors by their names, in its order: read-only views of its storages.

    Raises:
        WeightsError: the file is no such file, is cut or damaged, or holds anything else.
    """
    try:
        with open_regular(file) as stream:
            content = stream.read(len(TORCH_MAGIC))
            if content != TORCH_MAGIC:
                raise WeightsError("no PyTorch file of the kind from before its zip archives")
            size = os.fstat(stream.fileno()).st_size
            if size > MOST_FILE:
                raise WeightsError(f"{size:,} bytes are more than such weights have")
            # Not mapped: a file that is cut meanwhile would end the process.
            content += stream.read(size)
    except OSError as error:
        raise WeightsError(f"cannot read it: {error.strerror}") from error
    version, position = _interpret(content, len(TORCH_MAGIC), "version")
    habits, position = _interpret(content, position, "habits")
    state, position = _interpret(content, position, "state")
    keys, position = _interpret(content, position, "storages")
    if type(version) is not int or version != VERSION:
        raise WeightsError(f"its version is not {VERSION}")
    if type(habits) is not dict or habits.get("little_endian") is not True:
        raise WeightsError("its numbers are not little-endian")
    if type(state) is not dict or {*map(type, state.values())} != {_Tensor}:
        raise WeightsError("its state is no table of tensors alone")
    arrays = _storages(content, position, keys, state)
    return {name: _view(name, one, arrays[one.storage.key]) for name, one in state.items()}


def _storages(
    content: bytes, position: int, keys: Any, tensors: Mapping[str, _Tensor]
) -> dict[str, NDArray[np.generic]]:
    """Return the storages that follow the streams, by their keys; they end where the file does."""
    known: dict[str, _Storage] = {}
    for tensor in tensors.values():
        if known.setdefault(tensor.storage.key, tensor.storage) != tensor.storage:
            raise WeightsError(f"two storages are called {tensor.storage.key[:50]!r}")
    if type(keys) is not list or {*map(type, keys)} != {str} or sorted(keys) != sorted(known):
        raise WeightsError("its list of storages is not that of its tensors")
    arrays: dict[str, NDArray[np.generic]] = {}
    for key in keys:
        kind, length = np.dtype(known[key].kind), known[key].length
        start, end = position + 8, position + 8 + length * kind.itemsize
        if end > len(content):
            raise WeightsError(f"cut off: {end:,} bytes expected, {len(content):,} found")
        if struct.unpack("<q", content[position:start]) != (length,):
            raise WeightsError(f"a storage is not as long as its tensors say ({length:,})")
        arrays[key], position = np.frombuffer(content, kind, length, start), end
    if position != len(content):
        raise WeightsError(f"{len(content) - position:,} bytes follow after its last storage")
    return arrays


def _view(name: str, tensor: _Tensor, values: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return a tensor as a view of its storage: torch's permuted kernels differ in strides."""
    reach = sum((n - 1) * step for n, step in zip(tensor.shape, tensor.strides, strict=True))
    # With steps of zero a tensor shows a number many times over, and could be of any size.
    if not 0 < math.prod(tensor.shape) <= len(values) or tensor.offset + reach >= len(values):
        raise WeightsError(f"{name[:100]!r} reaches beyond its storage")
    values, steps = values[tensor.offset :], [step * values.itemsize for step in tensor.strides]
    return np.lib.stride_tricks.as_strided(values, tensor.shape, steps, writeable=False)


def _interpret(content: bytes, position: int, what: str) -> tuple[Any, int]:
    """Return what a stream at a position says, as plain values, and where it ends."""
    stream, machine = BytesIO(content[position : position + MOST_BYTES]), _Machine()
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
            if count == MOST_OPCODES:
                raise WeightsError(f"over {count:,} opcodes")
            machine.do(opcode.name, argument)
        if len(machine.stack) != 1:
            raise WeightsError("more or less than one value is left")
        return machine.pop(), position + stream.tell()
    except WeightsError as error:
        raise WeightsError(f"its {what}: {error}") from error
    except (ValueError, IndexError, struct.error, OverflowError) as error:  # of pickletools
        reason = " ".join(str(error).split())[:100]
        raise WeightsError(f"its {what}: cut off, damaged or too long: {reason}") from error


class _Machine:
    """The values that a stream's opcodes have left so far: a stack, and those kept by number.
    Their types are looked at before they are compared or hashed: nested tuples may never end."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def do(self, name: str, argument: Any) -> None:
        """Do what an opcode says."""
        if name in ("BININT", "BININT1", "BININT2", "BINUNICODE"):
            self.stack.append(argument)
        elif name in ("BINPUT", "LONG_BINPUT"):
            self.memo[argument] = self._top()
        elif name in ("BINGET", "LONG_BINGET"):
            if argument not in self.memo:
                raise WeightsError(f"nothing was kept as {argument}")
            self.stack.append(self.memo[argument])
        elif name == "GLOBAL":
            if argument not in (ORDERED, REBUILD, *STORAGES):
                raise WeightsError(f"it names {argument[:100]!r}, which weights do not need")
            self.stack.append(_Global(argument))
        elif name in _MAKES:
            self.stack.append(_MAKES[name]())
        elif name in _DOES:
            _DOES[name](self)
        elif name not in ("PROTO", "STOP"):
            raise WeightsError(f"the opcode {name} is none that weights need")

    def _top(self) -> Any:
        if not self.stack or self.stack[-1] is _MARK:
            raise WeightsError("a value is missing")
        return self.stack[-1]

    def pop(self) -> Any:
        self._top()
        return self.stack.pop()

    def since_mark(self) -> list[Any]:
        for place in range(len(self.stack) - 1, -1, -1):
            if self.stack[place] is _MARK:
                values = self.stack[place + 1 :]
                del self.stack[place:]
                return values
        raise WeightsError("a mark is missing")

    def append_many(self) -> None:
        values = self.since_mark()
        if type(self._top()) is not list:
            raise WeightsError("something is appended to no list")
        self._top().extend(values)

    def set_all(self, pairs: list[Any]) -> None:
        if type(self._top()) is not dict or len(pairs) % 2:
            raise WeightsError("something is set in no table")
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            if type(key) is not str:
                raise WeightsError("a name in a table is no text")
            if key in self._top():
                raise WeightsError(f"{key[:100]!r} stands there twice")
            self._top()[key] = value

    def build(self) -> None:
        """Leave out what a state dict carries beside its tensors: versions of modules."""
        self.pop()
        if type(self._top()) is not dict:
            raise WeightsError("something is built that is no table")

    def storage(self) -> None:
        match self.pop():
            case "storage", _Global(name), str(key), "cpu", size, None if name in STORAGES:
                _check_sizes(size)
                self.stack.append(_Storage(key, STORAGES[name], size))
            case _:
                raise WeightsError("what is kept elsewhere is no storage")

    def reduce(self) -> None:
        match (self.pop(), self.pop())[::-1]:
            case _Global("collections OrderedDict"), ():
                self.stack.append({})
            case _Global("torch._utils _rebuild_tensor_v2"), (
                _Storage() as storage, offset, tuple(shape), tuple(strides), bool(), dict(),
            ) if len(shape) == len(strides) <= MOST_DIMENSIONS:  # fmt: skip
                _check_sizes(offset, *shape, *strides)
                self.stack.append(_Tensor(storage, offset, shape, strides))
            case _:
                raise WeightsError("a call that weights do not need")


def _check_sizes(*values: object) -> None:
    if not all(type(one) is int and 0 <= one < 1 << 40 for one in values):
        raise WeightsError("a size, a step or a place is no number or none that could be")


_MAKES: dict[str, Callable[[], Any]] = {
    "MARK": lambda: _MARK, "NONE": lambda: None, "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False, "EMPTY_TUPLE": tuple, "EMPTY_LIST": list, "EMPTY_DICT": dict,
}  # fmt: skip
_DOES: dict[str, Callable[[_Machine], None]] = {
    "TUPLE": lambda machine: machine.stack.append(tuple(machine.since_mark())),
    "TUPLE1": lambda machine: machine.stack.append((machine.pop(),)),
    "TUPLE2": lambda machine: machine.stack.append((machine.pop(), machine.pop())[::-1]),
    "SETITEM": lambda machine: machine.set_all([machine.pop(), machine.pop()][::-1]),
    "SETITEMS": lambda machine: machine.set_all(machine.since_mark()),
    "APPENDS": _Machine.append_many, "BUILD": _Machine.build,
    "BINPERSID": _Machine.storage, "REDUCE": _Machine.reduce,
}  # fmt: skip
