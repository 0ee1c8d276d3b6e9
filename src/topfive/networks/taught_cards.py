"""The card of a network with classes of its own, from plain values: none of them is trusted."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from topfive.errors import UsageError
from topfive.networks.cards import FILTERS, FITS, Network, Recipe, Taught, WeightFile, check_choice
from topfive.networks.published import NETWORKS

CARD = "card.json"
MAX_CLASSES = 100_000
LONGEST = 200  # letters of a name
MOST = 10**15  # of anything that is counted


def network(folder: Path, content: Mapping[str, Any]) -> Network:
    """Return the card of the network in a folder from what its file says.

    Raises:
        ValueError, KeyError, TypeError, UsageError: something in it is missing or wrong.
    """
    known = text(content, "backbone")
    if known not in NETWORKS:
        raise ValueError(f"its backbone {known!a} is no network of topfive's")
    backbone, classes, weights = NETWORKS[known], content["classes"], content["weights"]
    check_classes(classes)
    body = None if weights["file"] is None else file(weights, "file")
    head = file(content["head"], "file")
    tuned, extends = flag(content, "tuned"), flag(content, "extends")
    checksum, published = digest(weights, "checksum"), backbone.weights.checksum
    if tuned and body is None:
        raise ValueError("its weights are tuned, and in no file")
    if body is None and published not in (None, checksum):
        raise ValueError(f"it was taught with other weights of {known} than the published ones")
    facts = {
        "backbone": known,
        "weights": checksum,
        "head": digest(content["head"], "checksum"),
        "classes": list(classes),
        "extends": extends,
        "tuned": tuned,
    }
    fingerprint = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    place = folder.absolute()
    weight_file = replace(backbone.weights, checksum=checksum)
    if body is not None:
        size = count(weights, "size")
        weight_file = WeightFile((place / body).as_posix(), checksum, size, "the user's own")
    return replace(
        backbone,
        name=name(content, "name"),
        title=name(content, "name"),
        recipe=recipe(content["recipe"]),
        weights=weight_file,
        top1=None,
        top5=None,
        parameters=count(content, "parameters"),
        aliases=(),
        labels=f"{backbone.labels} + {fingerprint}" if extends else fingerprint,
        published="",
        taught=Taught(
            str(place), known, tuple(classes), extends, head, body, tuned, f"sha256:{fingerprint}"
        ),
    )


def check_classes(classes: object) -> None:
    """Raise a `UsageError` unless they are the names of different classes, and printable."""
    if not isinstance(classes, list | tuple) or not 0 < len(classes) <= MAX_CLASSES:
        raise UsageError(f"expected 1 to {MAX_CLASSES:,} classes")
    for name in classes:
        if not isinstance(name, str) or not 0 < len(name) <= LONGEST or not name.isprintable():
            raise UsageError(
                f"{str(name)[:LONGEST]!a} cannot be the name of a class; expected 1 to "
                f"{LONGEST} printable letters"
            )
    if len(set(classes)) < len(classes):
        raise UsageError("two classes have the same name")


def text(entry: Mapping[str, Any], key: str) -> str:
    """Return a short printable text.

    Raises:
        ValueError, KeyError, TypeError: it is no such thing, as with all that follow.
    """
    value = entry[key]
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST or not value.isprintable():
        raise ValueError(f"{key} is {str(value)[:40]!a}")
    return value


def name(entry: Mapping[str, Any], key: str) -> str:
    """Return a text that may be a part of a file's name: it leads nowhere else."""
    value = text(entry, key)
    if "/" in value or "\\" in value or len(value.encode()) > LONGEST:
        raise ValueError(f"{key} is {value[:40]!a}, which cannot be a part of a file's name")
    return value


def file(entry: Mapping[str, Any], key: str) -> str:
    """Return the name of a file that lies beside the card, and is not that."""
    value = name(entry, key)
    if Path(value).name != value or value.startswith(".") or value == CARD:
        raise ValueError(f"{value!a} is no name of a file in the folder")
    return value


def digest(entry: Mapping[str, Any], key: str) -> str:
    """Return a hash, `md5:…` or `sha256:…`."""
    value = text(entry, key)
    if not re.fullmatch(r"md5:[0-9a-f]{32}|sha256:[0-9a-f]{64}", value):
        raise ValueError(f"{value[:40]!a} is no hash")
    return value


def flag(entry: Mapping[str, Any], key: str) -> bool:
    """Return true or false."""
    value = entry[key]
    if not isinstance(value, bool):
        raise ValueError(f"{key} is neither true nor false")
    return value


def count(entry: Mapping[str, Any], key: str, most: int = MOST) -> int:
    """Return a whole number from 1."""
    value = entry[key]
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= most:
        raise ValueError(f"{key} is {str(value)[:40]!a}; expected a number from 1 to {most:,}")
    return value


def recipe(entry: Mapping[str, Any]) -> Recipe:
    """Return a recipe."""
    fit, filter = text(entry, "fit"), text(entry, "filter")
    check_choice("fit", fit, FITS)
    check_choice("filter", filter, FILTERS)
    side, window = count(entry, "short_side", 10_000), entry["window"]
    if window is not None:
        low, high = map(_number, window)
        if not low < high:
            raise ValueError(f"its window is {low:g} to {high:g}")
        window = (low, high)
    return Recipe(fit, filter, side, flag(entry, "keras_decoding"), window)


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{str(value)[:40]!a} is no number")
    return float(value)
