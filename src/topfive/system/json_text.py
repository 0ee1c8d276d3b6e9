"""JSON that anybody may have written: read within bounds."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from typing import Any, NoReturn

MOST_DEPTH = 64  # brackets inside each other
MOST_DIGITS = 40  # of a whole number
MARKS = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[{]|[]}]', re.DOTALL)


def parse(text: bytes | bytearray, most: int) -> Any:
    """Return what a text of at most `most` bytes says.

    Raises:
        ValueError: it is longer, is no JSON, nests more than `MOST_DEPTH` deep, says a name
            twice in an object, or has a number that is not finite or whole and very long.
    """
    if len(text) > most:
        raise ValueError(f"over {most:,} bytes")
    if text.count(b"[") + text.count(b"{") > MOST_DEPTH:
        _check_depth(text)
    return json.loads(
        text.decode("utf-8"),
        object_pairs_hook=_unique,
        parse_int=_whole,
        parse_float=_finite,
        parse_constant=_no_number,
    )


def _check_depth(text: bytes | bytearray) -> None:
    depth = 0
    for mark in MARKS.finditer(text):
        depth += {b"[": 1, b"{": 1, b"]": -1, b"}": -1}.get(mark[0], 0)
        if depth > MOST_DEPTH:
            raise ValueError(f"brackets over {MOST_DEPTH} deep")


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice in an object")
    return found


def _whole(text: str) -> int:
    if len(text) > MOST_DIGITS:
        raise ValueError(f"a number of {len(text):,} digits")
    return int(text)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        _no_number(text)
    return value


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text[:MOST_DIGITS]} is no finite number")
