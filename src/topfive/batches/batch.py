"""Many sources into one file: exactly one row each, and a run that was killed goes on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike, fsdecode
from pathlib import Path
from typing import TYPE_CHECKING, Any

from topfive.batches import conditions, placing, ray_rows, ray_session, tables
from topfive.batches.journal import Journal, Summary
from topfive.batches.placing import WAYS, Placer
from topfive.batches.run import BatchListener, BatchRun
from topfive.classification.classifier import Classifier
from topfive.errors import UsageError
from topfive.networks import hierarchy, labels
from topfive.networks.cards import Network
from topfive.networks.find import find_network
from topfive.sources import arguments as sources
from topfive.sources.source import Source, from_object
from topfive.version import __version__

if TYPE_CHECKING:
    from topfive.classification.calibration import Calibration
    from topfive.networks.hierarchy import Node
    from topfive.sources.source import Picture


@dataclass(frozen=True)
class Placement:
    """Where pictures are sorted to: `how` is one of `placing.WAYS`, by their first label or
    `by_ancestor`, by the first of the ancestors that were asked for."""

    how: str
    folder: Path
    by_ancestor: bool = False


def batch(
    pictures: str | PathLike[str] | Iterable[Picture | Source],
    output: str | PathLike[str],
    network: str | Network | None = None,
    *,
    top: int = 5,
    ordered: bool = True,
    where: Sequence[str] = (),
    placement: Placement | None = None,
    watch: bool = False,
    restart: bool = False,
    ray: str | None = None,
    readers: int | None = None,
    listener: BatchListener | None = None,
    **options: Any,
) -> Summary:
    """Classify many pictures into one `.parquet`, `.jsonl` or `.csv` file, a row each.

    `pictures` are what `topfive batch` takes (folders, patterns, archives, addresses), or any
    iterable of what `Classifier.stream` takes. `options` are the `Classifier`'s.

    Until all have their row, the rows are in `output` + `.partial`; the same call goes on
    from there. `where` keeps the rows of which all conditions hold (`dog>0.5`), and the
    failures. With `watch` it looks for new pictures until KeyboardInterrupt, and keeps
    `output` up to date. `ray` is `local`, `auto` or a cluster's address. `readers` threads
    read and decode. Rows are in the order of the pictures, or not `ordered`, as they are
    done; pictures that were found by a later run come after those of an earlier.

    Raises:
        UsageError: an option is wrong, differs from those that the run was begun with, or
            the output is there already and `restart` is not given.
        OutputError: it cannot be written; what was computed is kept.
        And what `Classifier` raises.
    """
    output = Path(output)
    tables.check(output)
    card = find_network(network)
    nodes: dict[str, Node] = {}
    if where or (placement and placement.by_ancestor):
        nodes = hierarchy.load(labels.of(card))
    wanted = [conditions.parse(text, nodes) for text in where]
    if options.get("hierarchy"):
        hierarchy.check(hierarchy.load(labels.of(card)))
    ancestors = list(options.pop("ancestors", ()))
    if isinstance(pictures, (str, PathLike)):
        pictures = [pictures]
    arguments = _arguments(pictures)
    if ray is not None:
        ray_session.check_installed()
    if watch and arguments is None:
        raise UsageError("only named sources, as folders are, can be watched")
    if placement and arguments is not None:
        placing.check(placement.folder, arguments, recursive=True)
    partial = journal_file(output)
    if output.exists() and not partial.exists() and not restart:
        raise UsageError(f"{output} is there already: give another name, or --restart")

    named = ("hierarchy", "coverage", "reject")
    asked = {name: options[name] for name in named if name in options}
    options |= {"ancestors": [*ancestors, *conditions.ancestors(wanted)], "throughput": True}
    classifier = Classifier(card, **options)
    settings = _settings(classifier, arguments, top, ordered, ancestors, where, placement, options)

    def find() -> Iterator[Source]:
        if arguments is None:
            return map(from_object, pictures)
        return sources.read(arguments, recursive=True, ordered=ordered, unpack=True)

    def rows(found: Iterable[Source]) -> Iterator[tuple[Source, Mapping[str, Any]]]:
        if ray is not None:
            how = {**options, "network": card, "calibration": classifier.calibration}
            return ray_rows.rows(found, how, top, ray, ordered=ordered, readers=readers)
        answered = classifier.rows(found, top, ordered=ordered, readers=readers)
        return ((source, row.to_dict()) for source, row in answered)

    with Journal(partial, settings, restart) as journal:

        def write() -> None:
            kept = (row for row in journal.rows() if row["error"] or conditions.hold(wanted, row))
            tables.write(output, kept, top, ancestors=ancestors, **{"hierarchy": False, **asked})

        placer = None
        if placement is not None:
            groups = [hierarchy.find_node(nodes, name) for name in ancestors if nodes]
            placer = Placer(
                placement.folder, placement.how, journal,
                groups if placement.by_ancestor else (), classifier.labels,
            )  # fmt: skip
        run = BatchRun(journal, placer, wanted, rows, listener or BatchListener())
        run.begin(find if arguments is not None else None)
        if watch:
            run.watch(find, write)
            return journal.summary()
        if not journal.finished:
            run.add(find())
            journal.finish()
        write()
        summary = journal.summary()
        journal.remove()
    return summary


def journal_file(output: Path) -> Path:
    """Return where the rows of a run are until it is complete."""
    return output.with_name(output.name + ".partial")


def _digest(calibration: Calibration | None) -> str | None:
    if calibration is None:
        return None
    return hashlib.sha256(json.dumps(calibration.to_dict()).encode()).hexdigest()


def _arguments(pictures: object) -> list[str] | None:
    """Return what names sources as a command's arguments do, None if they are something else."""
    if isinstance(pictures, Sequence) and all(isinstance(p, (str, PathLike)) for p in pictures):
        return [fsdecode(picture) for picture in pictures]
    return None


def _settings(
    classifier: Classifier, arguments: list[str] | None, top: int, ordered: bool,
    ancestors: list[str], where: Sequence[str], placement: Placement | None,
    options: Mapping[str, Any],
) -> dict[str, object]:  # fmt: skip
    """Return all that the rows depend on, by the names that users know."""
    return {
        "sources": arguments,
        "--model": classifier.network.name,
        "the weights' hash": classifier.weights,
        "the recipe": str(classifier.recipe),
        "--top": top,
        "--hierarchy": bool(options.get("hierarchy")),
        "--ancestor": ancestors,
        "--where": list(where),
        "--coverage": options.get("coverage"),
        "--reject": bool(options.get("reject")),
        "the calibration": _digest(classifier.calibration),
        "--precision": classifier.precision,
        "--backend": options.get("backend") or "openvino",
        "--device": options.get("device"),
        "--max-pixels": classifier.max_pixels,
        "--unordered": not ordered,
        **{f"--{way}-to": str(placement.folder) if placement and placement.how == way else None
           for way in WAYS},
        "--by-ancestor": bool(placement and placement.by_ancestor),
        "topfive's version": __version__,
    }  # fmt: skip
