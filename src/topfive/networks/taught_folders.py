"""Networks with classes of their own: folders, each with a card.

A folder holds `card.json` and what that names: the layer that tells the classes by the
features of a published network, its backbone, and, where these were changed too, the
backbone's weights. All files but the card have their hash in their name; the card is
replaced last, so that a folder is at every moment the old network or the new one.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from topfive.errors import OutputError, UsageError, WeightsError
from topfive.networks import taught_cards
from topfive.networks.cards import Network, Recipe
from topfive.networks.taught_cards import CARD, check_classes
from topfive.system.files import checksum_of, work_folder

# Some of them are the card's.
__all__ = [
    "CARD", "check_classes", "check_target", "check_weights", "head_file", "read", "read_card",
    "recipe_of", "write",
]  # fmt: skip

VERSION = 1
MAX_CARD = 16 * 1024**2  # bytes
WORK, LOCK = ".writing-", ".lock"  # folders of what is being written, and what tells that
WRITTEN = re.compile(r"[a-z_]+-[0-9a-f]{12}\.[a-z0-9.]+")  # the files that go with a card


def read(folder: Path) -> Network:
    """Return the card of the network in a folder.

    Raises:
        UsageError: it cannot be read or is damaged.
    """
    return _checked(folder, read_card(folder))


def read_card(folder: Path) -> dict[str, Any]:
    """Return what a folder's card says, as plain values.

    Raises:
        UsageError: it cannot be read or is of another version.
    """
    file = folder / CARD
    try:
        if file.exists() and not file.is_file():  # a pipe would be waited for
            raise ValueError("it is not a file")
        with file.open("rb") as stream:
            text = stream.read(MAX_CARD + 1)
        if len(text) > MAX_CARD:
            raise ValueError(f"over {MAX_CARD:,} bytes")
        content = json.loads(text)
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{file} is damaged: {error}; teach the network again") from error
    if not isinstance(content, dict) or content.get("version") != VERSION:
        raise UsageError(f"{file} is no card of a network of this version of topfive")
    return content


def _checked(folder: Path, content: Mapping[str, Any]) -> Network:
    try:
        return taught_cards.network(folder, content)
    except (KeyError, TypeError, ValueError, UsageError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise UsageError(f"{folder / CARD} is damaged: {what}; teach the network again") from error


def head_file(network: Network) -> tuple[Path, str]:
    """Return where a taught network's head is, and its hash.

    Raises:
        WeightsError: the network in its folder is another one by now.
    """
    if network.taught is None:
        raise ValueError(f"{network.name} was not taught")
    folder = Path(network.taught.folder)
    content = read_card(folder)
    if _checked(folder, content).taught != network.taught:
        raise WeightsError(f"{folder} was taught anew meanwhile; start again")
    return folder / network.taught.head, str(content["head"]["checksum"])


def check_weights(network: Network, file: object) -> None:
    """Raise a `UsageError` if other weights are given for a network that has its own."""
    if file is not None and network.taught:
        raise UsageError(f"{network.name} has weights of its own; received {file}")


def check_target(folder: Path, force: bool) -> None:
    """Raise a `UsageError` if a network cannot be written to a folder: something is there
    that is no network, or one is and `force` does not allow to replace it."""
    if os.path.lexists(folder / CARD):
        if not force:
            raise UsageError(f"{folder} holds a network already; --force replaces it")
    elif folder.is_dir():
        if any(not _is_left(file) for file in _listed(folder)):
            raise UsageError(f"{folder} holds other files; name a new folder")
    elif os.path.lexists(folder):
        raise UsageError(f"{folder} is a file; name a new folder")


def write(
    folder: Path,
    content: Mapping[str, Any],
    files: Mapping[str, tuple[str, Callable[[Path], None]]],
) -> Network:
    """Make `content` the card of a folder, with files that are written first; return the card.

    `files` are sections of the card, each with its file's ending and what writes it to a path;
    the file gets its hash into its name, and its section `file`, `checksum` and `size`. What
    the card before named and this one does not is deleted.

    Raises:
        UsageError: the card would not be one.
        OutputError: it cannot be written; what was there stays.
    """
    card = {"version": VERSION, **content}
    try:
        with _writing(folder) as work:
            parts: dict[str, Path] = {}
            for section, (ending, save) in files.items():
                part = work / f"{section}{ending}"
                save(part)
                checksum = checksum_of(part)
                name = f"{section}-{checksum[7:19]}{ending}"
                entry = {"file": name, "checksum": checksum, "size": part.stat().st_size}
                card[section] = {**card.get(section, {}), **entry}
                parts[name] = part
            text = json.dumps(card, indent=1, allow_nan=False)
            network = _checked(folder, card)
            known = _named(folder)
            for name, part in parts.items():
                part.replace(folder / name)
            (work / CARD).write_text(text, "utf-8")
            (work / CARD).replace(folder / CARD)
            for name in known - _files(card):
                (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {error.strerror or error}") from error
    return network


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[Path]:
    """Yield a folder in a folder, of one process at a time; what killed ones left is removed."""
    from filelock import FileLock

    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / LOCK), work_folder(folder, WORK) as work:
        yield work


def _named(folder: Path) -> set[str]:
    """Return the names of the files in a folder that go with the card there, or that a process
    left which was killed before there was one for them."""
    known = {file.name for file in _listed(folder) if WRITTEN.fullmatch(file.name)}
    # A damaged card names nothing.
    with contextlib.suppress(UsageError, ValueError):
        known |= _files(read_card(folder))
    return known


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise UsageError(f"cannot look into {folder}: {error.strerror}") from error


def _is_left(file: Path) -> bool:
    """Whether a file is what a process leaves that is killed while it writes a network."""
    return file.name.startswith((WORK, LOCK)) or bool(WRITTEN.fullmatch(file.name))


def _files(card: Mapping[str, Any]) -> set[str]:
    """Return the names of the files that a card goes with."""
    sections = [one for one in card.values() if isinstance(one, dict)]
    return {taught_cards.file(one, "file") for one in sections if one.get("file") is not None}


def recipe_of(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe as a card's plain values."""
    return asdict(recipe)
