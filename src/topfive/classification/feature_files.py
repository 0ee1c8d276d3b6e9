"""Files with the features of many pictures: a row each, in their order, failures too."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple, Unpack

import numpy as np

from topfive.classification import feature_formats
from topfive.classification.classifier import Classifier, EngineOptions
from topfive.classification.feature_formats import Block, Entry, Origin
from topfive.classification.pipeline import Response
from topfive.errors import UsageError
from topfive.networks import weights
from topfive.networks.find import find_network
from topfive.results import Failure
from topfive.sources.source import Source
from topfive.system import files


class Format(NamedTuple):
    """What writes and what reads a file, and whether there is a CSV beside it."""

    write: Callable[[Path, int, Origin, Iterable[Block]], None]
    read: Callable[[Path], Iterator[Block]]
    has_csv: bool


FORMATS = {
    ".parquet": Format(feature_formats.write_parquet, feature_formats.read_parquet, False),
    ".npy": Format(feature_formats.write_npy, feature_formats.read_npy, True),
}
WORK = ".writing-"  # folders of what is being written
NUMBER = r"(-?\d+(?:\.\d+)?(?:e[+-]\d+)?)"
RECIPE = re.compile(rf"([a-z]+)(?:-\d+)?-([a-z]+)(?:-window{NUMBER}\.\.{NUMBER})?(-keras)?")


def is_name(name: str) -> bool:
    """Whether that is the name of a file of features, as its suffix tells."""
    return Path(name).suffix.lower() in FORMATS and not Path(name).is_dir()


def format_of(file: Path) -> Format:
    """Return the format of a file, or raise a `UsageError` if its suffix is none of `FORMATS`."""
    if file.suffix.lower() not in FORMATS:
        raise UsageError(f"{file}: expected a name that ends in {', '.join(FORMATS)}")
    return FORMATS[file.suffix.lower()]


def check(file: Path, force: bool = False) -> None:
    """Refuse, before any work is done, what `write` could not write.

    Raises:
        UsageError: the suffix is none of `FORMATS`, the folder is missing, or the file is
            there and `force` does not allow to replace it.
        MissingExtraError: pyarrow is not installed.
    """
    for one in _files(file):
        files.check_target(one, [one.suffix.lower()], force)
    if file.suffix.lower() == ".parquet":
        feature_formats.load_pyarrow()


def write(
    file: Path,
    classifier: Classifier,
    responses: Iterable[tuple[Source, Response]],
    *,
    force: bool = False,
) -> None:
    """Write what `Features.responses` yields for a classifier, a row each.

    Parquet has a column for each field of `Entry`, and `features`, null for failures. A
    `.npy` is float32 (pictures, features), NaN for failures, and a CSV of the same name
    holds the rest. Names that are no valid Unicode are spelled out there.

    Raises:
        UsageError, MissingExtraError: as `check` does.
        OutputError: it cannot be written; what was there stays.
    """
    check(file, force)
    finals = _files(file)
    try:
        with files.work_folder(file.parent, WORK) as work:
            size = num_features(classifier)
            found = blocks(classifier, responses, size)
            format_of(file).write(work / file.name, size, origin(classifier), found)
            for final in finals:
                with (work / final.name).open("rb") as stream:
                    os.fsync(stream.fileno())
            check(file, force)
            if len(finals) > 1:  # never two that do not belong together
                finals[0].unlink(missing_ok=True)
            for final in reversed(finals):
                (work / final.name).replace(final)
        files.sync_folder(file.parent)
    except OSError as error:
        raise files.unwritable(file, error) from error


def origin(classifier: Classifier) -> Origin:
    """Return what a classifier's features come from."""
    name, recipe = classifier.network.reference, str(classifier.recipe)
    return Origin(name, classifier.weights, recipe, classifier.precision)


def num_features(classifier: Classifier) -> int:
    """Return how many features the classifier's network has."""
    # A picture that is always at hand tells, whatever becomes of the others.
    ((_, response),) = classifier.responses([np.zeros((1, 1, 3), np.uint8)], output="features")
    if isinstance(response.values, Failure):
        raise ValueError(response.values.message)
    return len(response.values)


def blocks(
    classifier: Classifier, responses: Iterable[tuple[Source, Response]], size: int
) -> Iterator[Block]:
    """Yield responses with `size` features as blocks, as `read` would from their file."""
    come_from, responses = origin(classifier), iter(responses)
    while some := list(islice(responses, feature_formats.block_rows(size))):
        features = np.full((len(some), size), np.nan, np.float32)
        entries = []
        for row, (source, one) in zip(features, some, strict=True):
            kind = error = None
            if isinstance(one.values, Failure):
                kind, error = one.values.kind, one.values.message
            else:
                row[:] = one.values
            known = source.name, one.sha256, one.width, one.height
            entries.append(Entry(*known, *come_from, kind, error))
        yield Block(entries, features)


def find_classifier(file: Path, **options: Unpack[EngineOptions]) -> Classifier:
    """Return what computes the same features of pictures as those in a file.

    Raises:
        UsageError: as `read` does; or the network, its weights or the recipe are others here.
        And what `Classifier` raises.
    """
    come_from = next((block.entries[0].origin for block in read(file)), None)
    if come_from is None:
        raise UsageError(f"{file} has no rows: no pictures were given when it was made")
    network = find_network(come_from.network)
    # Known before other weights are fetched and compiled in vain, if at all.
    given = options.get("weights")
    other = None if given is None else Path(given)
    here = weights.fingerprint(network, other) or come_from.weights
    if here == come_from.weights:
        chosen = {**_recipe(come_from.recipe), "precision": come_from.precision}
        classifier = Classifier(network, **chosen, throughput=True, **options)
        if origin(classifier) == come_from:
            return classifier
        here = f"{classifier.weights} with {classifier.recipe}"
    raise UsageError(
        f"{file} was made by {come_from.network} with the weights {come_from.weights} and "
        f"{come_from.recipe}; here it has {here}. Give the same --weights, or make the file again"
    )


def _recipe(text: str) -> dict[str, Any]:
    """Return the options that choose a recipe by its text."""
    found = RECIPE.fullmatch(text)
    if found is None:
        raise UsageError(f"unknown recipe {text[:80]!a}")
    fit, filter, low, high, keras = found.groups()
    window = None if low is None else (float(low), float(high))
    recipe = "tutorial" if keras else "default"
    return {"recipe": recipe, "fit": fit, "filter": filter, "window": window}


def read(file: Path) -> Iterator[Block]:
    """Yield what is in a file that `write` wrote.

    Raises:
        UsageError: it is missing or damaged, or is none; features are not finite; or not all
            come from the same network, weights, recipe and precision.
        MissingExtraError: pyarrow is not installed.
    """
    form = format_of(file)
    come_from: Origin | None = None
    try:
        for block in filter(attrgetter("entries"), form.read(file)):
            come_from = come_from or block.entries[0].origin
            if any(one.origin != come_from for one in block.entries):
                raise ValueError("it mixes networks, weights, recipes or precisions")
            if not np.isfinite(block.answered().features).all():
                raise ValueError("features are not finite numbers")
            yield block
    except OSError as error:
        reason = error.strerror or " ".join(str(error).split())
        raise UsageError(f"cannot read {error.filename or file}: {reason}") from error
    except ValueError as error:
        raise UsageError(f"{file} is no file of `topfive features`: {error}") from error


def _files(file: Path) -> list[Path]:
    """Return the files of one: itself, then what lies beside it."""
    return [file, feature_formats.beside(file)] if format_of(file).has_csv else [file]
