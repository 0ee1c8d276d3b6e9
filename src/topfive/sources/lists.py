"""Lists of names, in a file or on standard input, read as they are used."""

from __future__ import annotations

import codecs
import logging
import os
from collections.abc import Iterator
from itertools import chain
from typing import BinaryIO

from topfive.errors import UsageError
from topfive.system.files import open_regular
from topfive.system.text import UTF16, is_utf8, platform_encoding, spellings

log = logging.getLogger("topfive")

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
        return open_regular(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(
            f"cannot read the list of names {path!r}: {reason} "
            f"(a file whose name begins with {MARK} is given as ./{argument})"
        ) from error


def names(stream: BinaryIO, origin: str, nul: bool = False) -> Iterator[str]:
    """Yield the names in a stream that are not empty, ended by NULs or, where its first 64 KiB
    have none, by line ends; `origin` is what errors call the stream.

    A name is the bytes of a file's name: UTF-8, and surrogates for what is not. Not with `nul`, a
    mark at the beginning is none of them, the stream may be in UTF-16, and where a file has the
    name in another spelling alone, see `text.spellings`, it is that.

    Raises:
        UsageError: the stream cannot be read, or holds something else.
    """
    rest, end, is_recoded = b"", b"\0" if nul else b"", False
    for block in chain(_read(stream, origin, nul), [b""]):
        end = end or (b"\0" if b"\0" in block else b"\n")
        *whole, rest = (rest + block).split(end)
        if not block:
            whole, rest = [rest], b""
        for name in whole:
            text = os.fsdecode(name.removesuffix(b"\r") if end == b"\n" else name)
            there = text if nul else _find(text)
            if there != text and not is_recoded and not is_utf8(text):
                is_recoded, encoding = True, platform_encoding()
                log.warning("%s: not all of it is UTF-8; the rest is read as %s", origin, encoding)
            if text.strip():
                yield there
        if len(rest) > LONGEST:
            expected = "expected a list of names, one a line or ended by NULs"
            raise UsageError(f"{origin} has a name of over {LONGEST:,} bytes; {expected}")


def _read(stream: BinaryIO, origin: str, as_it_is: bool) -> Iterator[bytes]:
    """Yield a stream's bytes, in UTF-8 where it is in UTF-16, without a mark at its beginning."""
    decoder: codecs.IncrementalDecoder | None = None
    is_first = not as_it_is
    try:
        while block := stream.read(LONGEST):
            if is_first and block.startswith(UTF16):
                decoder = codecs.getincrementaldecoder("utf-16")("replace")
            elif is_first:
                block = block.removeprefix(codecs.BOM_UTF8)
            is_first = False
            if found := block if decoder is None else decoder.decode(block).encode():
                yield found
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read the names in {origin}: {error}") from error


def _find(name: str) -> str:
    """Return a name as a file has it, if one has."""
    if name.isascii():
        return name
    return next(filter(os.path.lexists, spellings(name)), name)
