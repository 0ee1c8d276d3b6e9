"""The journal of a taught network's corrections, kept in its card, each with the head before it.

A correction is a list of changes to the lessons. The card names what is of the network now and
what it takes to go back: the heads before, and the features of forgotten pictures. As the card
is replaced in one step, so are all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from topfive.errors import UsageError
from topfive.networks import heads, lessons, taught_folders
from topfive.networks.cards import Network
from topfive.networks.lessons import Lessons
from topfive.teaching.corrected_network import (
    ANSWERS,
    ENTRY,
    Lesson,
    Pupil,
    array,
    before,
    classes_of,
    features,
    truths,
)

FORGOTTEN = "forgotten"  # section of the card: the features of pictures that are forgotten


@dataclass(frozen=True)
class Change:
    """A change at a place of a list of lessons: what `was` there and what is there `now`, None
    where nothing was, or is."""

    place: int
    was: Lesson | None
    now: Lesson | None


def changed(found: Sequence[Lesson], changes: Iterable[Change]) -> tuple[Lesson, ...]:
    """Return lessons with changes made to them, one after the other."""
    result = list(found)
    for change in changes:
        after = [] if change.now is None else [change.now]
        result[change.place : change.place + (change.was is not None)] = after
    return tuple(result)


def write(
    pupil: Pupil, what: str, date: str, changes: Sequence[Change], head: NDArray[np.float32]
) -> Network:
    """Make the changes and the head those of a network, with an entry in its journal.

    Raises:
        OutputError: it cannot be written; what was there stays.
    """
    found = changed(pupil.lessons, changes)
    classes = classes_of(found, pupil.classes)
    entry = {
        "date": date,
        "what": what,
        "changes": [{"place": one.place, "was": _told(one.was), "now": _told(one.now)}
                    for one in changes],
        "fingerprint": pupil.fingerprint,
        "classes": list(pupil.classes),
        "parameters": pupil.content["parameters"],
        **pupil.content["head"],
    }  # fmt: skip
    content = {
        **pupil.content,
        f"{ENTRY}{len(pupil.entries) + 1}": entry,
        "classes": list(classes),
        "parameters": pupil.content["parameters"] + head.size - pupil.head.size,
    }
    files = _files(pupil, found, classes)
    files["head"] = (heads.ENDING, lambda file: heads.write(head, file))
    if gone := [one.was for one in changes if one.was and one.now is None]:
        kept = np.vstack([*_forgotten(pupil), *map(_vector, gone)])
        files[FORGOTTEN] = (heads.ENDING, lambda file: heads.write(kept, file))
    return taught_folders.write(pupil.folder, content, files)


def last(pupil: Pupil) -> list[Change]:
    """Return the changes that take the last correction back.

    Raises:
        UsageError: there is none, or the journal is damaged.
    """
    if not pupil.entries:
        raise UsageError(f"{pupil.folder} has no correction that could be undone")
    kept = list(_forgotten(pupil))
    found = list(pupil.lessons)
    result: list[Change] = []
    try:
        for entry in reversed(pupil.entries[-1]["changes"]):
            place = int(entry["place"])
            here = None if entry["now"] is None else found[place]
            if place < 0 or (here and here.sha256 != entry["now"]["sha256"]):
                raise ValueError("another picture is in its place")
            row = kept.pop() if here is None else _vector(here)
            change = Change(place, here, _lesson(entry["was"], row))
            found = list(changed(found, [change]))
            result.append(change)
        truths(found, pupil.entries[-1]["classes"])
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise UsageError(f"the journal in {pupil.folder} is damaged: {error!r}") from error
    return result


def write_back(pupil: Pupil, changes: Sequence[Change]) -> Network:
    """Make a network what it was before its last correction; `changes` are those of `last`.

    Raises:
        OutputError: it cannot be written; what was there stays.
    """
    number = len(pupil.entries)
    entry = pupil.entries[-1]
    content = {name: value for name, value in pupil.content.items() if name != f"{ENTRY}{number}"}
    content["classes"], content["parameters"] = entry["classes"], entry["parameters"]
    content["head"] = {name: entry[name] for name in ("file", "checksum", "size")}
    files = _files(pupil, changed(pupil.lessons, changes), entry["classes"])
    if back := sum(one.was is None for one in changes):
        kept = _forgotten(pupil)[:-back]
        del content[FORGOTTEN]
        if len(kept):
            files[FORGOTTEN] = (heads.ENDING, lambda file: heads.write(kept, file))
    return taught_folders.write(pupil.folder, content, files)


def _files(
    pupil: Pupil, found: Sequence[Lesson], classes: Sequence[str]
) -> dict[str, tuple[str, Callable[[Path], None]]]:
    known = Lessons(
        tuple(one.name for one in found),
        tuple(one.sha256 for one in found),
        truths(found, classes),
        np.array([one.held for one in found], np.bool_),
        features(found),
    )
    files: dict[str, tuple[str, Callable[[Path], None]]] = {
        lessons.SECTION: (lessons.ENDING, lambda file: lessons.write(known, file))
    }
    if pupil.extends:
        answers = before(found).array()
        files[ANSWERS] = (heads.ENDING, lambda file: heads.write(answers, file))
    return files


def _forgotten(pupil: Pupil) -> NDArray[np.float32]:
    """Return the features of the pictures that are forgotten, and the two numbers of `Before`,
    (pictures, d + 2), in their order."""
    width = len(pupil.head) - 1 + 2
    if FORGOTTEN not in pupil.content:
        return np.empty((0, width), np.float32)
    return array(pupil.folder, pupil.content[FORGOTTEN], width)


def _vector(lesson: Lesson) -> NDArray[np.float32]:
    return np.append(lesson.features, np.array([lesson.best, lesson.right], np.float32))


def _told(lesson: Lesson | None) -> dict[str, Any] | None:
    if lesson is None:
        return None
    return {"name": lesson.name, "sha256": lesson.sha256, "class": lesson.label,
            "held": lesson.held, "right": lesson.right}  # fmt: skip


def _lesson(told: Mapping[str, Any] | None, row: NDArray[np.float32]) -> Lesson | None:
    if told is None:
        return None
    return Lesson(str(told["name"]), str(told["sha256"]), str(told["class"]), bool(told["held"]),
                  row[:-2], float(row[-2]), bool(told["right"]))  # fmt: skip
