"""What was measured of a network here: its calibrations, and its lower precisions.
One JSON file for each network and weight file; only its pictures could make it anew."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import shlex
from pathlib import Path
from typing import Any

from topfive.errors import UsageError
from topfive.networks.cards import Network
from topfive.system import files, json_text

CALIBRATIONS, PRECISIONS = "calibrations", "precisions"
GRAPH = ("graph.xml", "graph.bin")
LARGEST = 16 * 1024**2  # bytes of a record

log = logging.getLogger("topfive")


def folder() -> Path:
    """Return where records are kept: `TOPFIVE_DATA`, else the platform's folder."""
    return files.user_folder("TOPFIVE_DATA", "data")


def path(network: str, checksum: str) -> Path:
    """Return where the record of a network with these weights is, or would be.
    `checksum` is the weight file's, as `Classifier.weights` gives it."""
    plain = re.sub(r"[^\w.-]", "_", network)
    return folder() / f"{plain}-{hashlib.sha256(checksum.encode()).hexdigest()[:16]}.json"


def read(network: str, checksum: str) -> dict[str, Any]:
    """Return a record: `calibrations` and `precisions`, each by its names; empty where there
    is none. One that is damaged is reported to the log, and left where it is."""
    file = path(network, checksum)
    try:
        record = json_text.parse(files.read_regular(file, LARGEST), LARGEST)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        log.warning("cannot read %s: %s", file, error)
        return {}
    if isinstance(record, dict) and all(
        isinstance(record.get(section, {}), dict) for section in (CALIBRATIONS, PRECISIONS)
    ):
        return record
    log.warning("%s is damaged", file)
    return {}


def update(
    network: str, checksum: str, section: str, name: str, entry: dict[str, Any] | None
) -> Path:
    """Set one entry of a record, or remove it (None); the rest stays. Return the file.

    Raises:
        OutputError: it cannot be written; what was there stays.
    """
    from filelock import FileLock

    file = path(network, checksum)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(file.with_suffix(".lock")):
            record = {"network": network, "weights": checksum, **read(network, checksum)}
            entries = {key: value for key, value in record.get(section, {}).items() if key != name}
            record[section] = entries if entry is None else {**entries, name: entry}
            with files.replacing(file) as part:
                part.write_text(json.dumps(record, indent=1, allow_nan=False), "utf-8")
    except OSError as error:
        raise files.unwritable(file, error) from error
    return file


def find_int8(network: Network, checksum: str) -> tuple[Path, tuple[str, ...]]:
    """Return the folder of a network's graph in 8 bits, and the sha256 of each of `GRAPH` in it.

    Raises:
        UsageError: there is none, or its entry is damaged.
    """
    entry = read(network.name, checksum).get(PRECISIONS, {}).get("int8")
    make = f"topfive quantize FOLDER --model {shlex.quote(network.reference)}"
    if entry is None:
        raise UsageError(f"there is no {network.name} in 8 bits with these weights here: {make}")
    known: Any = entry if isinstance(entry, dict) else {}
    name, hashes = known.get("graph"), known.get("sha256")
    is_name = isinstance(name, str) and Path(name).name == name and not name.startswith(".")
    if not is_name or not isinstance(hashes, list) or len(hashes) != len(GRAPH):
        raise UsageError(f"{path(network.name, checksum)} is damaged: {make}")
    return folder() / str(name), tuple(map(str, hashes))
