"""A network as a file for other programs: written, run by the format's own runtime, compared.

The preprocessing is inside: uint8 RGB (n, size, size, 3) → float32 probabilities (n, classes).
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from topfive.conversion import formats
from topfive.conversion.formats import DESCRIPTION, FORMATS, Format
from topfive.engines import openvino_engine, proofs
from topfive.errors import EngineError, UsageError
from topfive.networks import labels
from topfive.networks import weights as weight_files
from topfive.networks.cards import Network, Recipe, check_choice
from topfive.networks.taught_folders import check_weights
from topfive.pictures import squares
from topfive.system import extras, files
from topfive.system.processes import ChildError, ask
from topfive.system.text import printable
from topfive.version import __version__

log = logging.getLogger("topfive")

WORK = ".exporting-"  # folders of exports under way
BUILT = "network"  # what is written, before it gets its name
ANSWERS = "answers.npy"
NOTHING_KEPT = ", and nothing was kept"


@dataclass(frozen=True)
class Exported:
    """A network that was written: its files, their size in bytes, the runtime that ran it, and
    the largest difference of a probability from topfive's."""

    files: tuple[Path, ...]
    size: int
    runtime: str
    difference: float


def export(
    network: Network,
    format: str,
    out: str | os.PathLike[str],
    *,
    recipe: Recipe | None = None,
    weights: Path | None = None,
    offline: bool = False,
    force: bool = False,
) -> Exported:
    """Write a network in one of `FORMATS` to `out`, where it appears when it is known to be right.

    It is run by its own runtime before, and has to give topfive's probabilities to
    `proofs.TOLERANCE`. `recipe` says how pictures are resized and cropped (None: as the card
    does), which an export only describes; `weights` is a file with others than the published
    ones; with `force` an earlier export is replaced.

    Raises:
        UsageError: the format is unknown, or the name does not fit it or is taken.
        MissingExtraError: what writes or runs the format is not installed.
        WeightsError: the weights cannot be had or do not fit.
        EngineError: the network cannot be written so, or its answers differ.
        OutputError: the files cannot be written.
    """
    check_choice("format", format, FORMATS)
    extras.require("export", format, FORMATS[format].packages)
    place = Place(Path(out), FORMATS[format])
    place.check(force)
    check_weights(network, weights)
    file = weights or weight_files.checked(network, offline)
    known = weight_files.fingerprint(network, weights) or ""
    request = {"network": network.reference, "format": format}
    request |= {"weights": str(file.absolute()), "stamp": files.stamp(file)}
    pictures = proofs.pictures(network.size)
    # Two at a time and one alone, as `export_process.answer`.
    expected = openvino_engine.load(network, weights, offline=offline)(pictures)[[0, 1, 0]]
    log.info("exporting %s to %s ...", network.title, format)
    told = json.dumps(describe(network, recipe or network.recipe, known, weights is None))
    try:
        with files.work_folder(place.out.parent, WORK) as work:
            request["folder"] = str(work.absolute())
            runtime, difference = prove(request, told, expected)
            size = place.take(work, force)
    except OSError as error:
        raise files.unwritable(place.out, error) from error
    return Exported(place.files, size, runtime, difference)


def prove(request: dict[str, str], told: str, expected: NDArray[np.float32]) -> tuple[str, float]:
    """Have an export written and run; return the runtime and a probability's largest difference.

    Raises:
        EngineError: it cannot be, or it is not what was `told` and `expected`.
    """
    work, what = Path(request["folder"]), f"{request['network']} in {request['format']}"
    (work / DESCRIPTION).write_text(told, "ascii")
    spawn(request, "write")
    found = spawn(request, "run")
    answers, runtime = np.load(work / ANSWERS, allow_pickle=False), found["runtime"]
    if answers.shape != expected.shape or found["description"] != told:
        raise EngineError(f"{what} is not what was written when {runtime} opens it{NOTHING_KEPT}")
    difference = float(np.abs(answers - expected).max())
    # Not `difference > TOLERANCE`: that lets NaN pass.
    if not difference <= proofs.TOLERANCE:
        raise EngineError(
            f"{what} differs from topfive by {difference:.2g} in a probability when {runtime} "
            f"runs it; at most {proofs.TOLERANCE:g} is allowed{NOTHING_KEPT}"
        )
    return runtime, difference


def describe(network: Network, recipe: Recipe, checksum: str, published: bool) -> dict[str, Any]:
    """Return what stands in an export, ready for JSON: with the same keys in every format.

    `checksum` is the weights' hash, see `weights.fingerprint`; whether the file is the
    `published` one decides whose terms hold.
    """
    side = network.size
    return {
        "topfive": __version__,
        "network": network.name,
        "title": network.title,
        "backbone": network.taught.backbone if network.taught else None,
        "paper": network.paper,
        "weights": checksum,
        "licence": network.weights.licence if published else None,
        "input": f"{formats.PICTURE}: uint8 RGB (n, {side}, {side}, 3)",
        "output": f"{formats.PROBABILITIES}: float32 (n, classes)",
        "size": side,
        "recipe": {**asdict(recipe), "steps": steps(recipe, side)},
        "scaling": {**asdict(network.scaling), "inside": True},
        "classes": [asdict(label) for label in labels.of(network)],
    }


def steps(recipe: Recipe, side: int) -> list[str]:
    """Return in words how a photograph becomes the network's square."""
    how = f"with Pillow's {recipe.filter} filter"
    first = "upright (by EXIF), RGB in 8 bits, transparency over white"
    if recipe.keras_decoding:
        first = "as Pillow's convert('RGB') makes it, not turned upright"
    last = {
        "stretch": [f"the whole picture resized to {side} x {side} pixels {how}"],
        "crop": [
            f"the short side resized to {max(recipe.short_side, side)} pixels {how}",
            f"the central {side} x {side} pixels cut out",
        ],
        "pad": [
            f"the long side resized to {side} pixels {how}",
            f"filled up to {side} x {side} pixels with the colour {squares.MEAN_COLOUR}",
        ],
    }
    return [first, *last[recipe.fit]]


@dataclass(frozen=True)
class Place:
    """Where an export goes: what the user named, and the format."""

    out: Path
    format: Format

    @property
    def files(self) -> tuple[Path, ...]:
        """What it consists of there, first what is opened."""
        beside = (self.out.with_suffix(ending) for ending in self.format.endings[1:])
        return (self.out, *beside)

    def check(self, force: bool) -> None:
        """Raise a `UsageError` if the name does not fit, or what is there is to stay."""
        ending, folder = self.format.endings[0], self.out.parent
        name = printable(str(self.out))
        if ending and self.out.suffix.lower() != ending:
            raise UsageError(f"{name}: expected a name that ends in {ending}")
        if not folder.is_dir():
            there = printable(str(folder))
            raise UsageError(f"{name}: there is no folder {there}; make it first")
        for file in filter(os.path.lexists, self.files):
            name = printable(str(file))
            if not force:
                raise UsageError(f"{name} is there already; --force replaces it")
            # Whatever else is there is not ours to delete.
            ours = not file.is_dir() if ending else (file / "saved_model.pb").is_file()
            if not ours or (file.is_symlink() and not ending):
                raise UsageError(f"{name} is something else, which --force leaves; name another")

    def take(self, work: Path, force: bool) -> int:
        """Move what was written in `work` to its place; return its size in bytes."""
        self.check(force)
        built = [work / (BUILT + ending) for ending in self.format.endings]
        written = [one for path in built for one in (path, *path.rglob("*")) if one.is_file()]
        for file in written:
            with file.open("rb") as stream:
                os.fsync(stream.fileno())
        # A folder cannot be replaced, nor two files at once: the old goes first, and the file
        # that is opened comes last.
        if len(self.files) > 1 or self.out.is_dir():
            for file in filter(os.path.lexists, self.files):
                file.rename(work / f"old{file.suffix}")
        size = sum(file.stat().st_size for file in written)
        for path, file in reversed(list(zip(built, self.files, strict=True))):
            if path.is_dir() or force:
                path.replace(file)
            elif not files.give(path, file, force):
                self.check(force)
        files.sync_folder(self.out.parent)
        return size


def spawn(request: dict[str, str], task: str) -> dict[str, str]:
    """Have a process write an export, or run it; return what it found.

    Raises:
        WeightsError, OutputError, EngineError: why it could not.
    """
    try:
        found: dict[str, str] = ask("topfive.conversion.export_process", request | {"task": task})
    except ChildError as error:
        what = {"write": "written", "run": "run"}[task]
        free = shutil.disk_usage(request["folder"]).free / 1e6
        raise EngineError(
            f"{request['network']} in {request['format']} cannot be {what}: {error} "
            f"({free:,.0f} MB free)"
        ) from error
    return found
