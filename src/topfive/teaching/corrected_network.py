"""A taught network with all that it was taught: what is corrected in it."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from topfive.errors import UsageError
from topfive.networks import heads, lessons, taught_folders
from topfive.networks.cards import Network
from topfive.networks.lessons import OLD
from topfive.teaching.extension_offset import Before

ANSWERS = "old_answers"  # section of the card: what the network said before it was extended
ENTRY = "correction-"  # and what was corrected, with a number, from 1
OLD_CLASS = ""  # the label of pictures of the backbone's own classes


@dataclass(frozen=True)
class Lesson:
    """A picture as far as a network was taught with it: its `features` (d,), and, where the
    network is extended, its `Before`."""

    name: str
    sha256: str
    label: str
    held: bool
    features: NDArray[np.float32]
    best: float = 0.0
    right: bool = False


@dataclass(frozen=True)
class Pupil:
    """A taught network with its lessons; `content` is its card as plain values."""

    folder: Path
    network: Network
    content: Mapping[str, Any]
    classes: tuple[str, ...]
    lessons: tuple[Lesson, ...]
    head: NDArray[np.float32]

    @property
    def extends(self) -> bool:
        """Whether its classes are beside those of its backbone."""
        return bool(self.network.taught and self.network.taught.extends)

    @property
    def fingerprint(self) -> str:
        """What names the network that it is now."""
        return self.network.taught.fingerprint if self.network.taught else ""

    @property
    def entries(self) -> list[dict[str, Any]]:
        """The journal, the oldest first."""
        return entries(self.content)


def entries(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the journal in a card, the oldest first."""
    names = (f"{ENTRY}{number}" for number in range(1, len(content)))
    return [content[name] for name in names if isinstance(content.get(name), dict)]


def read(folder: Path) -> Pupil:
    """Return the network in a folder with its lessons.

    Raises:
        UsageError: it is none that can be corrected, or is damaged.
        WeightsError: its head is damaged.
    """
    network = taught_folders.read(folder)
    content = taught_folders.read_card(folder)
    if network.taught is None:
        raise ValueError(f"{folder} holds no taught network")
    known = lessons.read(folder)
    classes = network.taught.classes
    answers = np.zeros((len(known), 2), np.float32)
    if network.taught.extends:
        answers = array(folder, content.get(ANSWERS), 2)
    if len(answers) != len(known):
        raise UsageError(f"{folder} is damaged: its parts do not fit each other; teach it again")
    labels = [OLD_CLASS if truth == OLD else classes[truth] for truth in known.truths]
    rows = zip(known.names, known.sha256, labels, known.held, known.features, answers, strict=True)
    return Pupil(
        folder, network, content, classes,
        tuple(Lesson(name, sha256, label, bool(held), vector, float(best), bool(right))
              for name, sha256, label, held, vector, (best, right) in rows),
        heads.read(network, known.features.shape[1]),
    )  # fmt: skip


def classes_of(found: Sequence[Lesson], known: Sequence[str]) -> tuple[str, ...]:
    """Return the classes that lessons show, the known ones first, in their order."""
    shown = dict.fromkeys(one.label for one in found if one.label != OLD_CLASS)
    return (*(name for name in known if name in shown), *(n for n in shown if n not in known))


def truths(found: Sequence[Lesson], classes: Sequence[str]) -> NDArray[np.intp]:
    """Return the indices of the lessons' classes, `OLD` of the backbone's."""
    places = {**{name: place for place, name in enumerate(classes)}, OLD_CLASS: OLD}
    return np.array([places[one.label] for one in found], np.intp)


def before(found: Sequence[Lesson]) -> Before:
    """Return what the network said of the lessons before it was extended."""
    best = np.array([one.best for one in found], np.float32)
    return Before(best, np.array([one.right for one in found], np.bool_))


def features(found: Sequence[Lesson]) -> NDArray[np.float32]:
    """Return the features of lessons, (lessons, d)."""
    return np.stack([one.features for one in found])


def array(folder: Path, section: object, width: int) -> NDArray[np.float32]:
    """Return a file of numbers that a section of the card names, (n, width)."""
    try:
        entry = section if isinstance(section, dict) else {}
        data = (folder / Path(str(entry["file"])).name).read_bytes()
        if entry["checksum"] != f"sha256:{hashlib.sha256(data).hexdigest()}":
            raise ValueError("a file is not what was written")
        found = np.load(io.BytesIO(data), allow_pickle=False)
    except (OSError, KeyError, ValueError, EOFError) as error:
        raise UsageError(f"{folder} is damaged: {error}; teach the network again") from error
    if found.dtype != np.float32 or found.shape[1:] != (width,) or not np.isfinite(found).all():
        raise UsageError(f"{folder} is damaged: numbers of another shape; teach the network again")
    return np.asarray(found)
