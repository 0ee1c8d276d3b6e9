"""The `Classifier`: the one way from a picture to its labels."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import numpy as np
from numpy.typing import NDArray

from topfive.classification import pipeline
from topfive.classification.calibration import Calibration, find
from topfive.classification.interpretation import Interpreter
from topfive.classification.pipeline import Response
from topfive.engines.table import ENGINES
from topfive.errors import PictureError, UsageError
from topfive.networks import labels, weights
from topfive.networks.cards import PRECISIONS, Network, check_choice, choose_recipe
from topfive.networks.find import find_network
from topfive.networks.taught_folders import check_weights
from topfive.pictures import preparation
from topfive.pictures.preparation import Known, Prepared
from topfive.results import Classification, Failure, Row
from topfive.sources.source import MAX_PIXELS, SECONDS, from_object
from topfive.system import memory

if TYPE_CHECKING:
    from PIL import Image

    from topfive.sources.source import Picture, Source


class EngineOptions(TypedDict, total=False):
    """The options of a `Classifier` that change no answer, and other `weights`."""

    weights: str | os.PathLike[str] | None
    backend: str
    device: str | None
    threads: int | None
    offline: bool
    max_pixels: int
    timeout: float


class PictureOptions(EngineOptions, total=False):
    """These, and what overrides a recipe's parts."""

    fit: str | None
    filter: str | None
    window: tuple[float, float] | None


class ClassifierOptions(PictureOptions, total=False):
    """All options that a function takes which makes a `Classifier`; see there."""

    recipe: str
    precision: str
    hierarchy: bool
    ancestors: Sequence[str]
    calibrated: bool
    coverage: float | None
    reject: bool
    calibration: Calibration | None


class Classifier:
    """A network that is ready to answer. It may be used from several threads.

    `network` is a name, a card, or None for the default; `weights` a file with other weights
    than the published ones; `backend` one of `ENGINES`; `device` and `threads` are OpenVINO's;
    `recipe` is `default` or `tutorial`, with `fit`, `filter` and `window` (the values that
    become black and white in pictures of more than 8 bits) to override its parts; `offline`
    forbids downloads; `max_pixels` is the size above which a picture is refused; an
    address is given up after `timeout` seconds. With
    `hierarchy` an answer says what is likely in WordNet's words, too; `ancestors` names
    groups of classes (`dog`) whose probabilities are added up. `precision` is one of
    `cards.PRECISIONS`. `calibrated`, `coverage` and `reject` answer by a calibration, the
    one given or that which `topfive calibrate` stored: with its probabilities; with the set
    of classes, too, that holds the truth as often as `coverage` (0 to 1); saying whether the
    picture is unlike those it knows. `throughput` is for many pictures: the network answers
    several at a time, and large JPEGs are decoded at a part of their size (see
    `squares.DRAFT`). Without `wait` the network is made ready in the background, and what is
    in its way is raised by the first call.

    Raises:
        UsageError: an option is unknown.
        WeightsError: the weights are not here and cannot be fetched, or do not fit.
        EngineError, MissingExtraError: the backend or the device is not here.
    """

    def __init__(
        self,
        network: str | Network | None = None,
        *,
        weights: str | os.PathLike[str] | None = None,
        backend: str = "openvino",
        device: str | None = None,
        threads: int | None = None,
        recipe: str = "default",
        fit: str | None = None,
        filter: str | None = None,
        window: tuple[float, float] | None = None,
        offline: bool = False,
        max_pixels: int = MAX_PIXELS,
        timeout: float = SECONDS,
        hierarchy: bool = False,
        ancestors: Sequence[str] = (),
        precision: str = "f32",
        calibrated: bool = False,
        coverage: float | None = None,
        reject: bool = False,
        calibration: Calibration | None = None,
        throughput: bool = False,
        wait: bool = True,
    ) -> None:
        check_choice("backend", backend, ENGINES)
        check_choice("precision", precision, PRECISIONS)
        if max_pixels < 1 or (threads is not None and threads < 1):
            raise UsageError("max_pixels and threads must be at least 1")
        if not timeout > 0:
            raise UsageError(f"timeout must be above 0; received {timeout}")
        self.network = find_network(network)
        self.recipe = choose_recipe(self.network, recipe, fit, filter, window)
        self.labels = labels.of(self.network)
        self.max_pixels, self.timeout = max_pixels, timeout
        self.throughput = throughput
        self.drafts = throughput and not self.recipe.keras_decoding  # see `squares.DRAFT`
        if throughput:
            memory.PICTURES.allow(*memory.MANY_PICTURES)
        self._file = None if weights is None else Path(weights)
        check_weights(self.network, self._file)
        self.precision = precision
        if calibration is None and (calibrated or coverage is not None or reject):
            calibration = find(self.network, self.weights, precision, str(self.recipe))
        self.calibration = calibration
        self._interpret = Interpreter(
            self.labels, hierarchy, ancestors, calibration, coverage, reject
        )
        self._run = ENGINES[backend](
            self.network,
            self._file,
            offline=offline,
            device=device,
            threads=threads,
            throughput=throughput,
            precision=precision,
        )
        if wait:
            self.wait()

    def wait(self) -> None:
        """Wait until the network is ready to answer.

        Raises: what `Classifier` raises about weights and engines.
        """
        size = self.network.size
        self._run(np.empty((0, size, size, 3), np.uint8))

    @cached_property
    def weights(self) -> str:
        """The hash of the weights, `md5:…` or `sha256:…`; see `weights.fingerprint`."""
        return weights.fingerprint(self.network, self._file) or ""

    def classify(self, picture: Picture | Source, top: int = 5) -> Classification:
        """Return the `top` most probable classes of one picture, best first.

        `picture` is a path, an http(s) address, `-` for standard input, the bytes of a
        file, a `PIL.Image` or an array: uint8, uint16 or float 0..1, or any numbers where
        there is a window; grey, RGB or RGBA.

        Raises:
            PictureError: it cannot be read.
            UsageError: `top` is less than 1.
        """
        from topfive.pictures import squares

        _check_top(top)
        source = from_object(picture)
        square = squares.fit(self.decode(source), self.network.size, self.recipe)
        run = self._run.logits if self._interpret.takes_logits else self._run
        values = run(square[np.newaxis])[0]
        if not np.isfinite(values).all():
            raise pipeline.not_finite()
        return self._classification(source, values, top)

    def answer(self, picture: Picture | Source, top: int = 5) -> Classification | Failure:
        """Return what `classify` does, or a `Failure` for a picture that cannot be read."""
        try:
            return self.classify(picture, top)
        except PictureError as error:
            self.wait()  # a run that cannot answer ends before its first result
            return Failure(from_object(picture).name, error.kind, str(error))

    def stream(
        self, pictures: Iterable[Picture | Source], top: int = 5
    ) -> Iterator[Classification | Failure]:
        """Yield one result for each picture, in their order; a bad one yields a `Failure`.

        Pictures are read ahead, in threads; see `pipeline.stream`.
        """
        return (row.result for _, row in self.rows(pictures, top))

    def rows(
        self,
        pictures: Iterable[Picture | Source],
        top: int = 5,
        *,
        ordered: bool = True,
        readers: int | None = None,
    ) -> Iterator[tuple[Source, Row]]:
        """Yield each picture with its row, in their order or, not `ordered`, as they are done."""
        _check_top(top)
        output = "logits" if self._interpret.takes_logits else "probabilities"
        found = self.responses(pictures, output=output, ordered=ordered, readers=readers)
        return ((source, self._row(source, response, top)) for source, response in found)

    def responses(
        self,
        pictures: Iterable[Picture | Source],
        *,
        output: str = "probabilities",
        known: Known | None = None,
        ordered: bool = True,
        readers: int | None = None,
    ) -> Iterator[tuple[Source, Response]]:
        """Yield each picture with an `output` of the network: `probabilities` or `logits`, of
        all classes, or its `features`.

        `readers` threads read and decode. What `known` returns for the sha256 of a picture's
        bytes is not computed again.
        """
        run = self._run
        outputs = {"probabilities": run.answer, "logits": run.logits, "features": run.features}
        check_choice("output", output, outputs)
        self.wait()

        def prepare(source: Source) -> Prepared:
            size, drafts = self.network.size, self.drafts
            limits = self.max_pixels, drafts, known, self.timeout
            return preparation.prepare(source, size, self.recipe, *limits)

        return pipeline.stream(
            map(from_object, pictures),
            prepare,
            partial(pipeline.respond, outputs[output]),
            parallel=run.parallel(),
            batch=run.batch,
            readers=readers,
            ordered=ordered,
        )

    def _row(self, source: Source, response: Response, top: int) -> Row:
        found = response.values
        answer = found if isinstance(found, Failure) else self._classification(source, found, top)
        by = self.network.name, str(self.recipe), self.weights
        known = response.sha256, response.width, response.height
        return Row(answer, *by, response.milliseconds, *known)

    def _classification(
        self, source: Source, values: NDArray[np.float32], top: int
    ) -> Classification:
        network, recipe = self.network.name, str(self.recipe)
        said = self._interpret(values, top)
        return Classification(source.name, network=network, recipe=recipe, **said)

    def decode(self, picture: Picture | Source) -> Image.Image:
        """Return one picture as the recipe reads it: RGB, upright, or raise a `PictureError`."""
        from topfive.pictures import colour, squares

        least = squares.draft_side(self.network.size, self.recipe)
        source = from_object(picture)
        content = source.read(timeout=self.timeout)
        with colour.naming(source.name):
            return preparation.decode(content, self.recipe, self.max_pixels, least=least)[0]


def classify(
    picture: Picture | Source, network: str | Network | None = None, top: int = 5
) -> Classification:
    """Classify one picture, as `Classifier.classify` does; the network stays loaded."""
    return _classifier(find_network(network)).classify(picture, top)


_classifier = cache(Classifier)


def _check_top(top: int) -> None:
    if top < 1:
        raise UsageError(f"top must be at least 1; received {top}")
