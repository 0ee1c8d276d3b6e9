"""Lists of names, in a file or on standard input, read as they are used."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from topfive.errors import UsageError

MARK = "@"
LONGEST = 1 << 16  # bytes of a name; the first NUL or line end has to come before


def is_list(argument: str) -> bool:
    """Whether an argument names a list: `@names.txt`; a file `@x` is given as `./@x`."""
    return argument.startswith(MARK)


def open_list(argument: str) -> BinaryIO:
    """Open the list that an argument names.

    Raises:
        UsageError: there is no such file, or it cannot be read.
    """
    path = argument.removeprefix(MARK)
    try:
        return Path(path).open("rb")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(
            f"cannot read the list of names {path!r}: {reason} "
            f"(a file whose name begins with {MARK} is given as ./{argument})"
        ) from error


def names(stream: BinaryIO, origin: str, nul: bool = False) -> Iterator[str]:
    """Yield the names in a stream, ended by NULs or, where its first 64 KiB have none, by line
    ends; `origin` is what errors call the stream. Empty names are passed over.

    A name is the bytes of a file's name: UTF-8, and surrogates for what is not.

    Raises:
        UsageError: the stream cannot be read, or holds something else.
    """
    rest, end = b"", b"\0" if nul else b""
    while True:
        try:
            block = stream.read(LONGEST)
        except (OSError, ValueError) as error:
            raise UsageError(f"cannot read the names in {origin}: {error}") from error
        end = end or (b"\0" if b"\0" in block else b"\n")
        *whole, rest = (rest + block).split(end)
        if not block:
            whole, rest = [rest], b""
        for name in whole:
            text = os.fsdecode(name.removesuffix(b"\r") if end == b"\n" else name)
            if text.strip():
                yield text
        if len(rest) > LONGEST:
            expected = "expected a list of names, one a line or ended by NULs"
            raise UsageError(f"{origin} has a name of over {LONGEST:,} bytes; {expected}")
        if not block:
            return
