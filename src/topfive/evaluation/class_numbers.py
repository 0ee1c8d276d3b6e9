"""What numbers mean that stand for classes: networks and data sets count them in several ways."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from topfive.errors import UsageError
from topfive.networks.class_names import ClassNames, is_number
from topfive.networks.labels import Label

INDEX, ILSVRC, ONE_BASED = NUMBERS = ("index", "ilsvrc", "one-based")
NAMES = {INDEX: "index", ILSVRC: "the development kit's number", ONE_BASED: "index from 1"}
META = "meta.mat"
MAX_BYTES = 256 * 1024**2


def names_with(
    labels: Sequence[Label],
    bare: set[int],
    numbers: str | None,
    place: str,
    folders: Iterable[Path],
) -> tuple[ClassNames, str]:
    """Return the classes by their names, and by the `bare` numbers that stand in a `place`, and
    in words what these are.

    What they mean is said by `numbers`, one of `NUMBERS`. Without it they are labels where a class
    is called by a number, and indices where a 0 is among them, or no class is ImageNet's; where
    the development kit's `meta.mat` lies in one of the `folders` they are its ids.

    Raises:
        UsageError: what they mean is unknown, or may be several things.
    """
    if numbers not in (None, *NUMBERS):
        raise UsageError(f"unknown numbers {numbers!r}; expected one of {', '.join(NUMBERS)}")
    if numbers is None and any(is_number(label.name) for label in labels):
        return ClassNames(labels), NAMES[INDEX]
    metas = [folder / META for folder in folders]
    meaning = (numbers or _meaning(bare, labels, place, metas)) if bare else INDEX
    if meaning == ILSVRC:
        meta = next((one for one in metas if one.is_file()), metas[0])
        return ClassNames(labels, _ilsvrc_ids(meta)), NAMES[ILSVRC]
    return ClassNames(labels, indices=True, first=int(meaning == ONE_BASED)), NAMES[meaning]


def _meaning(bare: set[int], labels: Sequence[Label], place: str, metas: Sequence[Path]) -> str:
    of_imagenet = any(label.wnid for label in labels)
    if 0 in bare or not (of_imagenet or len(labels) in bare):
        return INDEX
    if of_imagenet and any(meta.is_file() for meta in metas):
        return ILSVRC
    ways = {
        INDEX: "indices from 0, as Keras counts",
        ILSVRC: "the ids from 1 of ImageNet's development kit, whose order is another",
        ONE_BASED: "indices from 1, as TF Slim counts",
    }
    if len(labels) in bare:
        del ways[INDEX]
    if not of_imagenet:
        del ways[ILSVRC]
    *first, last = ways.values()
    said = f"{', '.join(first)}, or {last}" if first else f"{last}, as no 0 is among them"
    options = " or ".join(f"--numbers {way}" for way in ways)
    raise UsageError(
        f"{place}: its numbers may be {said}; say which with {options}, or name the classes by "
        "WordNet id or label"
    )


def _ilsvrc_ids(meta: Path) -> dict[int, str]:
    """Return the WordNet ids by the numbers of ImageNet's development kit of 2012.

    Source: its readme.txt; `synsets` is a table with ILSVRC2012_ID and WNID in it.
    """
    from scipy.io import loadmat

    if not meta.is_file():
        raise UsageError(f"{meta}: no such file; it tells what the numbers of ImageNet's kit are")
    try:
        if meta.stat().st_size > MAX_BYTES:
            raise ValueError("too large")
        synsets = loadmat(str(meta), squeeze_me=True, variable_names=["synsets"])["synsets"]
        pairs = zip(synsets["ILSVRC2012_ID"].tolist(), synsets["WNID"].tolist(), strict=True)
        return {int(number): str(wnid) for number, wnid in pairs}
    except Exception as error:  # SciPy raises anything where the file is another one
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UsageError(
            f"{meta}: not the {META} of ImageNet's development kit: {reason}"
        ) from error
