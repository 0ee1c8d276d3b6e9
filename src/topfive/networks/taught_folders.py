"""Networks with classes of their own: folders, each with a card.

A folder holds `card.json` and what that names: the layer that tells the classes by the features
of a published network, its backbone, and that one's weights where they were changed. All files
but the card have their hash in their name; the card is replaced last, so that a folder is at
every moment the old network or the new one.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from topfive.errors import OutputError, UsageError, WeightsError
from topfive.networks import taught_cards
from topfive.networks.cards import Network
from topfive.networks.taught_cards import CARD, CardFile, TaughtCard
from topfive.system import json_text
from topfive.system.files import checksum_of, read_regular, work_folder

# A file that goes with a card: its ending, and what writes it to a path.
Part = tuple[str, Callable[[Path], object]]

VERSION = 1
MAX_CARD = 16 * 1024**2  # bytes
WORK, LOCK = ".writing-", ".lock"  # folders of what is being written, and what tells that
WRITTEN = re.compile(r"[a-z_]+-[0-9a-f]{12}\.[a-z0-9.]+")  # the files that go with a card


def read(folder: Path) -> Network:
    """Return the network in a folder.

    Raises: see `read_card`.
    """
    return taught_cards.network(folder, read_card(folder))


def read_card(folder: Path) -> TaughtCard:
    """Return what a folder's card says.

    Raises:
        UsageError: it cannot be read, is damaged or of another version.
    """
    file = folder / CARD
    try:
        content = json_text.parse(read_regular(file, MAX_CARD), MAX_CARD)
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror or error}") from error
    except ValueError as error:
        raise UsageError(f"{file} is damaged: {error}; teach the network again") from error
    if not isinstance(content, dict) or content.get("version") != VERSION:
        raise UsageError(f"{file} is no card of a network of this version of topfive")
    return _checked(file, content)


def _checked(file: Path, content: Mapping[str, Any]) -> TaughtCard:
    try:
        return taught_cards.parse(content)
    except (KeyError, TypeError, ValueError, UsageError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise UsageError(f"{file} is damaged: {what}; teach the network again") from error


def head_file(network: Network) -> tuple[Path, str]:
    """Return where a taught network's head is, and its hash.

    Raises:
        WeightsError: the network in its folder is another one by now.
    """
    if network.taught is None:
        raise ValueError(f"{network.name} was not taught")
    folder = Path(network.taught.folder)
    card = read_card(folder)
    if taught_cards.network(folder, card).taught != network.taught:
        raise WeightsError(f"{folder} was taught anew meanwhile; start again")
    return folder / network.taught.head, card.head.checksum


def check_weights(network: Network, file: object) -> None:
    """Raise a `UsageError` if other weights are given for a network that has its own."""
    if file is not None and network.taught:
        raise UsageError(f"{network.name} has weights of its own; received {file}")


def check_target(folder: Path, force: bool) -> None:
    """Raise a `UsageError` if a folder holds what is no network, or one without `force`."""
    if os.path.lexists(folder / CARD):
        if not force:
            raise UsageError(f"{folder} holds a network already; --force replaces it")
    elif folder.is_dir():
        if any(not _is_left(file) for file in _listed(folder)):
            raise UsageError(f"{folder} holds other files; name a new folder")
    elif os.path.lexists(folder):
        raise UsageError(f"{folder} is a file; name a new folder")


def write(folder: Path, card: TaughtCard, files: Mapping[str, Part]) -> Network:
    """Make a card that of a folder, with files that are written first; return the network.

    `files` are by the names of their sections in the card. Each gets its hash into its name, and
    its section is made anew. Files that only the network had that was there are deleted.

    Raises:
        UsageError: the card would not be one.
        OutputError: it cannot be written; what was there stays.
    """
    from filelock import FileLock

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / LOCK), work_folder(folder, WORK) as work:
            parts: dict[str, Path] = {}
            sections: dict[str, Any] = {}
            for section, (ending, save) in files.items():
                part = work / f"{section}{ending}"
                save(part)
                checksum = checksum_of(part)
                name = f"{section}-{checksum[7:19]}{ending}"
                sections[section] = CardFile(name, checksum, part.stat().st_size)
                parts[name] = part
            found = _checked(folder / CARD, replace(card, **sections).to_dict())
            content = {"version": VERSION, **found.to_dict()}
            text = json.dumps(content, indent=1, allow_nan=False)
            before = {file.name for file in _listed(folder) if WRITTEN.fullmatch(file.name)}
            for name, part in parts.items():
                part.replace(folder / name)
            (work / CARD).write_text(text, "utf-8")
            (work / CARD).replace(folder / CARD)
            for name in before - found.files():
                (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {error.strerror or error}") from error
    return taught_cards.network(folder, found)


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise UsageError(f"cannot look into {folder}: {error.strerror}") from error


def _is_left(file: Path) -> bool:
    """Whether a file is what a process leaves that is killed while it writes a network."""
    return file.name.startswith((WORK, LOCK)) or bool(WRITTEN.fullmatch(file.name))
