"""A source as plain bytes, for another process or machine, and back.

Names stay names, which whoever unpacks them reads; what this process alone has is content.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from topfive.batches.journal import to_bytes, to_text
from topfive.errors import PictureError
from topfive.networks.cards import Recipe
from topfive.pictures import preparation
from topfive.sources import archives, buckets
from topfive.sources.source import STDIN, Source, is_url
from topfive.sources.spool import Spool

PATH, ADDRESS, BYTES, ARRAY, ERROR = "path", "address", "bytes", "array", "error"
PLACES: dict[str, type[Any]] = {
    place.__name__: place for place in (archives.Member, archives.ZipMember, buckets.Object)
}


class Parcel(NamedTuple):
    """A source's name, the kind of its content, and that."""

    name: bytes
    kind: str
    content: bytes


def pack(source: Source, recipe: Recipe, max_pixels: int) -> Parcel:
    """Return a source as bytes, from which `unpack` makes one that gets the same row.

    Names of files become absolute, standard input is read. Pictures and arrays of Python's
    are brought to what `recipe` makes of them, and refused above `max_pixels`.
    """
    try:
        kind, content = _content(source, recipe, max_pixels)
    except PictureError as error:
        kind, content = ERROR, json.dumps([error.kind, str(error)]).encode()
    return Parcel(to_bytes(source.name), kind, content)


def unpack(name: bytes, kind: str, content: bytes) -> Source:
    """Return the source that was packed."""
    found: Any = content
    if kind == PATH:
        found = Path(to_text(content))
    elif kind == ADDRESS:
        found = to_text(content)
    elif kind == ARRAY:
        found = np.load(BytesIO(content))
    elif kind == ERROR:
        found = PictureError(*json.loads(content))
    elif kind in PLACES:
        found = PLACES[kind](**json.loads(content))
    return Source(to_text(name), found)


def _content(source: Source, recipe: Recipe, max_pixels: int) -> tuple[str, bytes]:
    content = source.content
    is_held = isinstance(content, (PictureError, Spool))  # here, and not on another machine
    if is_held or (isinstance(content, str) and content == STDIN):
        content = source.read()
    if isinstance(content, bytes):
        return BYTES, content
    if isinstance(content, str) and (not content or is_url(content) or buckets.is_address(content)):
        return ADDRESS, to_bytes(content)
    if isinstance(content, (str, os.PathLike)):
        return PATH, to_bytes(str(Path(content).absolute()))
    if type(content).__name__ in PLACES:
        place = asdict(content)
        if "archive" in place:
            place["archive"] = str(Path(content.archive).absolute())
        return type(content).__name__, json.dumps(place).encode()
    picture, _ = preparation.decode(content, recipe, max_pixels)
    file = BytesIO()
    np.save(file, np.asarray(picture))
    return ARRAY, file.getvalue()
