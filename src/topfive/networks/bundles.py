"""Carry weight files to a machine without a network: one tar for several networks.

Its members are plain files, in this order: `manifest.json` with the others' sizes and SHA-256,
`LICENSES.txt`, the label tables, the weight files. A bundle with anything else is refused.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from topfive.errors import WeightsError
from topfive.networks import labels, weights
from topfive.networks.cards import Network
from topfive.networks.published import NETWORKS
from topfive.system import json_text
from topfive.system.files import check_free, checksum_of, open_regular, replacing
from topfive.version import __version__

FORMAT = "topfive bundle 1"
MANIFEST = "manifest.json"
LICENCES = "LICENSES.txt"
MAX_TEXT = 4 << 20  # bytes of the manifest, the licences, a label table
MAX_NETWORKS = 100
BLOCK = 1 << 20


@dataclass(frozen=True)
class Member:
    """A file in a bundle; `network` is the name of the one whose weights it is, or empty."""

    name: str
    size: int
    sha256: str
    network: str = ""


def write(networks: Iterable[Network], file: Path, force: bool = False) -> int:
    """Write a bundle of networks whose weights are here; return its size in bytes.

    The same networks give the same bytes. What `file` held before stays until it is whole.

    Raises:
        UsageError: the name is taken, and `force` does not allow to replace it.
        WeightsError: a weight file is not here or is damaged, or the bundle cannot be written.
    """
    check_free(file, force)
    wanted = {network.name for network in networks}
    chosen = [card for card in NETWORKS.values() if card.name in wanted]
    texts = {LICENCES: _licences(chosen)}
    for label_set in sorted({card.labels for card in chosen}):
        texts[_labels_name(label_set)] = labels.read_text(label_set).encode()
    members = [
        Member(name, len(text), hashlib.sha256(text).hexdigest()) for name, text in texts.items()
    ]
    members += [_weights_member(card) for card in chosen]
    content = {
        "format": FORMAT,
        "made_with": f"topfive {__version__}",
        "members": [asdict(member) for member in members],
    }
    manifest = (json.dumps(content, indent=1) + "\n").encode()
    with (
        replacing(file, force) as part,
        tarfile.open(part, "w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for name, text in ((MANIFEST, manifest), *texts.items()):
            tar.addfile(_header(name, len(text)), BytesIO(text))
        for member, card in zip(members[len(texts) :], chosen, strict=True):
            with weights.path(card).open("rb") as source:
                tar.addfile(_header(member.name, member.size), source)
    return file.stat().st_size


def read(file: Path) -> list[Network]:
    """Put the weight files of a bundle in place; return their networks.

    Raises:
        WeightsError: the bundle is cut, damaged, not made by `write`, or holds a file that is
            not the published one; then nothing has been put in place.
    """
    try:
        with open_regular(file) as stream, ExitStack() as parts:
            text = _take_text(stream, _next(stream, MANIFEST, MAX_TEXT), None)
            arrived = []
            for member in _members(text):
                header = _next(stream, member.name, member.size)
                if not member.network:
                    _check_text(member, _take_text(stream, header, member))
                    continue
                network = NETWORKS[member.network]
                part = parts.enter_context(weights.part_beside(network))
                with part.open("xb") as sink:
                    _take(stream, header, member, sink)
                weights.check_file(part, network, member.name)
                arrived.append((part, network))
            _check_end(stream)
            for part, network in arrived:
                weights.take_in(part, network)
    except WeightsError as error:
        raise WeightsError(f"{file}: {error}") from error
    except OSError as error:
        where = error.filename or file
        raise WeightsError(f"cannot import {where}: {error.strerror or error}") from error
    return [network for _, network in arrived]


def is_bundle(file: Path) -> bool:
    """Whether the file begins as a bundle does.

    Raises:
        WeightsError: it cannot be read.
    """
    try:
        with open_regular(file) as stream:
            name = MANIFEST.encode() + b"\0"
            return stream.read(len(name)) == name
    except OSError as error:
        raise WeightsError(f"cannot import {file}: {error.strerror or error}") from error


def _weights_member(network: Network) -> Member:
    file = weights.path(network)
    if not file.is_file():
        raise WeightsError(
            f"{network.title}'s weights are not here; first: topfive weights fetch {network.name}"
        )
    if not weights.verify(network):
        raise WeightsError(f"{file} is damaged; topfive weights fetch {network.name} replaces it")
    sha256 = checksum_of(file).removeprefix("sha256:")
    return Member(_weights_name(network), file.stat().st_size, sha256, network.name)


def _weights_name(network: Network) -> str:
    return f"weights/{network.weights.name}"


def _labels_name(label_set: str) -> str:
    return f"labels/{label_set}.tsv"


def _licences(networks: Sequence[Network]) -> bytes:
    lines = ["The weight files in this bundle are their authors', under these terms:"]
    for card in networks:
        lines += ["", f"{card.title}: {_weights_name(card)}", f"  {card.weights.licence}"]
        lines += [f"  published at {card.weights.url}", f"  described in {card.paper}"]
    named = " ".join(card.weights.licence for card in networks)
    for asset in sorted(files("topfive").joinpath("assets").iterdir(), key=lambda file: file.name):
        name = asset.name.removeprefix("licence-").removesuffix(".txt")
        if name != asset.name and name in named:
            lines += ["", "=" * 80, "", asset.read_text("utf-8").strip("\n")]
    return ("\n".join(lines) + "\n").encode()


def _header(name: str, size: int) -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)  # no owner, no date: the same input, the same bytes
    header.size = size
    return header


def _members(text: bytes) -> list[Member]:
    """Read the manifest; every name in it must be one that `write` could have written."""
    try:
        content = json_text.parse(text, MAX_TEXT)
        if content["format"] != FORMAT:
            raise ValueError(f"the format {content['format']!r}")
        members = [Member(**entry) for entry in content["members"]]
        if len(members) > MAX_NETWORKS:
            raise ValueError(f"{len(members)} members")
        allowed = {LICENCES: ("", MAX_TEXT)}
        allowed |= {_labels_name(name): ("", MAX_TEXT) for name in labels.LABEL_SETS}
        weight_files = {_weights_name(card): card for card in NETWORKS.values()}
        allowed |= {name: (card.name, 2 * card.weights.size) for name, card in weight_files.items()}
        for member in members:
            network, most = allowed.pop(member.name)
            if member.network != network or not 0 <= member.size <= most:
                raise ValueError(f"{member.name} with {member.size:,} bytes")
        return members
    except (ValueError, KeyError, TypeError) as error:
        raise WeightsError(
            f"its {MANIFEST} is not one of {FORMAT!r}: {type(error).__name__}, {error}"
        ) from error


def _next(stream: BinaryIO, name: str, most: int) -> tarfile.TarInfo:
    """Read the header of the next member, which has to be the plain file `name`."""
    block = stream.read(tarfile.BLOCKSIZE)
    try:
        # One block at a time: what tarfile itself would follow, links and long names, ends here.
        header = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
    except (tarfile.HeaderError, UnicodeDecodeError) as error:
        raise WeightsError(f"cut off or damaged before {name}: {error}") from error
    if header.name != name or header.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
        kind = "file" if header.isreg() else "link, folder or device"
        raise WeightsError(f"expected {name}, found the {kind} {header.name!r}")
    if not 0 <= header.size <= most:
        raise WeightsError(f"{name} has {header.size:,} bytes; at most {most:,} are expected")
    return header


def _take(stream: BinaryIO, header: tarfile.TarInfo, member: Member | None, sink: BinaryIO) -> None:
    digest, left = hashlib.sha256(), header.size
    while left:
        block = stream.read(min(BLOCK, left))
        if not block:
            raise WeightsError(f"cut off inside {header.name}")
        sink.write(block)
        digest.update(block)
        left -= len(block)
    stream.read(-header.size % tarfile.BLOCKSIZE)
    if member and (header.size, digest.hexdigest()) != (member.size, member.sha256):
        raise WeightsError(f"{header.name} is not what {MANIFEST} says it is")


def _take_text(stream: BinaryIO, header: tarfile.TarInfo, member: Member | None) -> bytes:
    sink = BytesIO()
    _take(stream, header, member, sink)
    return sink.getvalue()


def _check_text(member: Member, text: bytes) -> None:
    for name in labels.LABEL_SETS:
        if member.name == _labels_name(name) and text != labels.read_text(name).encode():
            raise WeightsError(
                f"{member.name} differs from the table of topfive {__version__}; "
                "import with the version that made the bundle"
            )


def _check_end(stream: BinaryIO) -> None:
    while block := stream.read(BLOCK):
        if block.strip(b"\0"):
            raise WeightsError("something follows after its last member")
