"""Many sources into one file: exactly one row each, and a run that was killed goes on."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from os import PathLike, fsdecode
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Unpack

from topfive.batches import conditions, placing, ray_rows, ray_session, tables
from topfive.batches.arrivals import Arrivals
from topfive.batches.conditions import Condition
from topfive.batches.journal import Journal, Summary
from topfive.batches.placing import WAYS, Placer
from topfive.classification.calibration import Calibration
from topfive.classification.classifier import Classifier, ClassifierOptions
from topfive.classification.outputs import Wanted
from topfive.errors import PictureError, UsageError
from topfive.networks import labels
from topfive.networks.cards import Network
from topfive.networks.find import find_network
from topfive.networks.hierarchy import find_node, load
from topfive.results import RowDict
from topfive.sources import arguments, own_output
from topfive.sources.source import Source, from_object
from topfive.version import __version__

if TYPE_CHECKING:
    from topfive.sources.source import Picture

POLL = 1.0  # least seconds between two looks for new files
SHARE = 10  # looking, and writing the output, take one part of that many of the time


class BatchListener:
    """Hears what a run does; what is of interest is overridden."""

    def begin(self, found: int) -> None:
        """The run begins; `found` pictures have their rows from earlier runs."""

    def add(self, row: RowDict) -> None:
        """A row, as `Row.to_dict` makes it, is in the journal."""

    def complain(self, name: str, error: PictureError) -> None:
        """A picture could not be put where it belongs."""


@dataclass(frozen=True)
class Placement:
    """Where pictures are sorted to: `how` is one of `placing.WAYS`, by their first label or
    `by_ancestor`, by the first of the ancestors that were asked for."""

    how: str
    folder: Path
    by_ancestor: bool = False


@dataclass(frozen=True)
class Plan:
    """What a batch is told; see `batch`. `wanted` is what `where` states."""

    pictures: Iterable[Picture | Source]
    output: Path
    network: Network
    asked: Wanted
    where: Sequence[str]
    wanted: Sequence[Condition]
    placement: Placement | None
    ordered: bool
    ray: str | None
    readers: int | None
    options: ClassifierOptions

    @cached_property
    def names(self) -> list[str] | None:
        """What names sources as a command's arguments do, None if they are something else."""
        given = self.pictures
        if isinstance(given, Sequence) and all(isinstance(p, (str, PathLike)) for p in given):
            return [fsdecode(picture) for picture in given]
        return None

    def check(self, watch: bool, restart: bool) -> None:
        """Raise a `UsageError` or a `MissingExtraError` for what cannot be done."""
        if self.ray is not None:
            ray_session.check_installed()
        if watch and self.names is None:
            raise UsageError("only named sources, as folders are, can be watched")
        if self.placement and self.names is not None:
            placing.check(self.placement.folder, self.names)
        if not os.path.lexists(self.output) or restart:
            return
        if not journal_file(self.output).exists():
            raise UsageError(f"{self.output} is there already: give another name, or --restart")
        ours = self.output.is_file() and (
            not self.output.stat().st_size or own_output.is_own(str(self.output))
        )
        if not ours:
            raise UsageError(
                f"{self.output} is there, and is not this run's; move it away, then the same "
                "command goes on"
            )

    def settings(self, classifier: Classifier) -> dict[str, object]:
        """Return all that the rows depend on, by the names that users know."""
        asked, placement = self.asked, self.placement
        places: dict[str, str | None] = {f"--{way}-to": None for way in WAYS}
        if placement:
            places[f"--{placement.how}-to"] = str(placement.folder)
        return {
            "sources": self.names,
            "--model": classifier.network.name,
            "the weights' hash": classifier.weights,
            "the recipe": str(classifier.recipe),
            "--top": asked.top,
            "--hierarchy": asked.hierarchy,
            "--ancestor": asked.ancestors,
            "--where": list(self.where),
            "--coverage": asked.coverage,
            "--reject": asked.reject,
            "the calibration": _digest(classifier.calibration),
            "--precision": classifier.precision,
            "--backend": self.options.get("backend") or "openvino",
            "--device": self.options.get("device"),
            "--max-pixels": classifier.max_pixels,
            "--unordered": not self.ordered,
            **places,
            "--by-ancestor": bool(placement and placement.by_ancestor),
            "topfive's version": __version__,
        }

    def find(self) -> Iterator[Source]:
        """Yield the sources."""
        if self.names is None:
            return map(from_object, self.pictures)
        return arguments.read(self.names, recursive=True, ordered=self.ordered, unpack=True)

    def rows(
        self, classifier: Classifier, found: Iterable[Source]
    ) -> Iterator[tuple[Source, RowDict]]:
        """Yield sources with their rows, answered here or by Ray."""
        top, ordered, readers = self.asked.top, self.ordered, self.readers
        if self.ray is not None:
            how = {**self.options, "network": self.network, "calibration": classifier.calibration}
            return ray_rows.rows(found, how, top, self.ray, ordered=ordered, readers=readers)
        answered = classifier.rows(found, top, ordered=ordered, readers=readers)
        return ((source, row.to_dict()) for source, row in answered)

    def placer(self, journal: Journal, classifier: Classifier) -> Placer | None:
        """Return what sorts the pictures, if they are to be sorted."""
        if self.placement is None:
            return None
        labels, named = classifier.labels, self.asked.ancestors
        groups = [find_node(load(labels), one) for one in named if self.placement.by_ancestor]
        return Placer(self.placement.folder, self.placement.how, journal, groups, labels)

    def write(self, journal: Journal, force: bool) -> None:
        """Write the output; without `force` only if nothing has its name."""
        kept = (row for row in journal.rows() if row["error"] or conditions.hold(self.wanted, row))
        tables.write(self.output, kept, self.asked, force)


@dataclass
class BatchRun:
    """A plan that is carried out: each source gets its row in the journal, its picture a place."""

    plan: Plan
    classifier: Classifier
    journal: Journal
    placer: Placer | None
    listener: BatchListener
    written: bool  # whether what has the output's name is this run's

    def begin(self) -> None:
        """Place what an earlier run was about to place."""
        self.listener.begin(self.journal.found)
        if self.placer is None:
            return
        waiting = {row["source"] for _, _, row in self.journal.waiting()}
        # A member of an archive is no file that its name leads to.
        missing = {name for name in waiting if not os.path.lexists(name)}
        known = {}
        if missing and self.plan.names is not None and self.placer.how == "copy":
            known = {source.name: source for source in self.plan.find() if source.name in missing}
        for name, error in self.placer.go_on(lambda name: known.get(name) or from_object(name)):
            if error:
                self.listener.complain(name, error)

    def add(self, found: Iterable[Source]) -> int:
        """Add the rows of sources; return how many."""
        number = 0
        for source, row in self.plan.rows(self.classifier, found):
            if self.placer:
                try:
                    self.placer.add(source, row, conditions.hold(self.plan.wanted, row))
                except PictureError as error:
                    self.listener.complain(source.name, error)
            else:
                self.journal.add(row)
            self.listener.add(row)
            number += 1
        return number

    def watch(self) -> None:
        """Add what arrives, until KeyboardInterrupt, and keep the output up to date."""
        arrivals = Arrivals(self.journal, self.placer)
        unwritten, written = True, 0.0
        try:
            while True:
                start = monotonic()
                added = self.add(arrivals.look(self.plan.find()))
                self.journal.renew()
                unwritten = unwritten or added > 0
                now = monotonic()
                if unwritten and not added and now >= written:
                    self.write()
                    unwritten, written = False, monotonic() + SHARE * (monotonic() - now)
                sleep(POLL if added else max(POLL, SHARE * (now - start)))
        except KeyboardInterrupt:
            self.write()

    def write(self) -> None:
        """Write the output."""
        self.plan.write(self.journal, self.written)
        self.written = True


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
    **options: Unpack[ClassifierOptions],
) -> Summary:
    """Classify many pictures into one `.parquet`, `.jsonl` or `.csv` file, a row each.

    `pictures` are what `topfive batch` takes (folders, patterns, archives, addresses), or any
    iterable of what `Classifier.stream` takes. `options` are the `Classifier`'s: `weights`,
    `backend`, `device`, `threads`, `precision`, `offline`, `max_pixels`, `recipe`, `fit`,
    `filter`, `window`, `hierarchy`, `ancestors`, `calibrated`, `coverage` and `reject`.

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
    if isinstance(pictures, (str, PathLike)):
        pictures = [pictures]
    said = bool(options.get("hierarchy")), list(options.get("ancestors", ()))
    asked = Wanted(top, *said, options.get("coverage"), bool(options.get("reject")))
    card = find_network(network)
    wanted = [conditions.parse(text, load(labels.of(card))) for text in where]
    options["ancestors"] = [*asked.ancestors, *conditions.ancestors(wanted)]
    plan = Plan(
        pictures, output, card, asked, where, wanted, placement, ordered, ray, readers, options
    )
    plan.check(watch, restart)
    there = os.path.lexists(output)
    classifier = Classifier(card, throughput=True, **options)
    with Journal(journal_file(output), plan.settings(classifier), restart) as journal:
        placer = plan.placer(journal, classifier)
        run = BatchRun(plan, classifier, journal, placer, listener or BatchListener(), there)
        run.begin()
        if watch:
            run.watch()
            return journal.summary()
        if not journal.finished:
            run.add(source for source in plan.find() if not journal.claim(source.name))
            journal.finish()
        run.write()
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
