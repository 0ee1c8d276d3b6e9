"""The `Classifier`: the one way from a picture to its labels."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from topfive import engine_keras, engine_openvino, labels, sources
from topfive.errors import PictureError, UsageError
from topfive.hierarchy import Node, find_node, state, statement
from topfive.hierarchy import load as load_hierarchy
from topfive.networks import (
    DEFAULT_NETWORK,
    FILTERS,
    FITS,
    RECIPES,
    Network,
    choose_recipe,
    find_network,
)
from topfive.results import Classification, Failure, Prediction

if TYPE_CHECKING:
    from PIL import Image

    from topfive.sources import Picture, Source

# Each loads a network: `load(network, weights file or None, ...) -> Run`.
ENGINES: dict[str, Callable[..., engine_keras.Run]] = {
    "openvino": engine_openvino.load,
    **{name: partial(engine_keras.load, backend=name) for name in engine_keras.BACKENDS},
}


class Classifier:
    """A network that is ready to answer. It may be used from several threads.

    `network` is a name or a card; `weights` a file with other weights than the published
    ones; `backend` one of `ENGINES`; `device` and `threads` are OpenVINO's; `recipe` is
    `default` or `tutorial`, with `fit` and `filter` to override its parts; `offline`
    forbids downloads; `max_pixels` is the size above which a picture is refused. With
    `hierarchy` an answer says what is likely in WordNet's words, too; `ancestors` names
    groups of classes (`dog`) whose probabilities are added up. Without
    `wait` the network is made ready in the background, and what is in its way is raised by
    the first call.

    Raises:
        UsageError: an option is unknown.
        WeightsError: the weights are not here and cannot be fetched, or do not fit.
        EngineError, MissingExtraError: the backend or the device is not here.
    """

    def __init__(
        self,
        network: str | Network = DEFAULT_NETWORK,
        *,
        weights: str | os.PathLike[str] | None = None,
        backend: str = "openvino",
        device: str | None = None,
        threads: int | None = None,
        recipe: str = "default",
        fit: str | None = None,
        filter: str | None = None,
        offline: bool = False,
        max_pixels: int = sources.MAX_PIXELS,
        hierarchy: bool = False,
        ancestors: Sequence[str] = (),
        wait: bool = True,
    ) -> None:
        _check("backend", backend, ENGINES)
        _check("recipe", recipe, RECIPES)
        _check("fit", fit, (None, *FITS))
        _check("filter", filter, (None, *FILTERS))
        if max_pixels < 1 or (threads is not None and threads < 1):
            raise UsageError("max_pixels and threads must be at least 1")
        self.network = network if isinstance(network, Network) else find_network(network)
        self.recipe = choose_recipe(self.network, recipe, fit, filter)
        self.labels = labels.load(self.network.labels)
        self.max_pixels = max_pixels
        self._nodes: dict[str, Node] = {}
        if hierarchy or ancestors:
            self._nodes = load_hierarchy(self.labels)
        self._hierarchy = hierarchy
        self._ancestors = [find_node(self._nodes, name) for name in ancestors]
        self._run = ENGINES[backend](
            self.network,
            None if weights is None else Path(weights),
            offline=offline,
            device=device,
            threads=threads,
        )
        if wait:
            self.wait()

    def wait(self) -> None:
        """Wait until the network is ready to answer.

        Raises: what `Classifier` raises about weights and engines.
        """
        size = self.network.size
        self._run(np.empty((0, size, size, 3), np.uint8))

    def classify(self, picture: Picture | Source, top: int = 5) -> Classification:
        """Return the `top` most probable classes of one picture, best first.

        `picture` is a path, an http(s) address, `-` for standard input, the bytes of a
        file, a `PIL.Image` or an array: uint8 or float 0..1; grey, RGB or RGBA.

        Raises:
            PictureError: it cannot be read.
            UsageError: `top` is less than 1.
        """
        _check_top(top)
        source = sources.from_object(picture)
        return self._answer(source, self._square(source), top)

    def _square(self, source: Source) -> NDArray[np.uint8]:
        from topfive import images

        return images.fit(self.decode(source), self.network.size, self.recipe)

    def _answer(self, source: Source, square: NDArray[np.uint8], top: int) -> Classification:
        probabilities = self._run(square[np.newaxis])[0]
        return Classification(
            source.name,
            top_predictions(probabilities, self.labels, top),
            self.network.name,
            str(self.recipe),
            state(self._nodes, probabilities) if self._hierarchy else (),
            tuple(statement(node, probabilities) for node in self._ancestors),
        )

    def stream(
        self, pictures: Iterable[Picture | Source], top: int = 5
    ) -> Iterator[Classification | Failure]:
        """Yield one result for each picture, in their order; a bad one yields a `Failure`."""
        _check_top(top)
        return self._stream(pictures, top)

    def _stream(
        self, pictures: Iterable[Picture | Source], top: int
    ) -> Iterator[Classification | Failure]:
        ready = False
        for picture in pictures:
            source = sources.from_object(picture)
            found: NDArray[np.uint8] | PictureError
            try:
                found = self._square(source)
            except PictureError as error:
                found = error
            if not ready:  # a run that cannot answer ends before its first result
                self.wait()
                ready = True
            if isinstance(found, PictureError):
                yield Failure(source.name, found.kind, str(found))
            else:
                yield self._answer(source, found, top)

    def decode(self, picture: Picture | Source) -> Image.Image:
        """Return one picture as the recipe reads it: RGB, upright.

        Raises:
            PictureError: it cannot be read.
        """
        from PIL import Image

        from topfive import images

        content = sources.from_object(picture).read()
        keras = self.recipe.keras_decoding
        if isinstance(content, Image.Image):
            return images.from_image(content, self.max_pixels, keras)
        if isinstance(content, np.ndarray):
            return images.from_array(content, self.max_pixels)
        if isinstance(content, bytes):
            return images.decode(content, self.max_pixels, keras)
        raise PictureError(
            "unsupported",
            "expected a path, an address, bytes, a PIL.Image or a NumPy array; "
            f"received {type(content).__name__}",
        )


def classify(
    picture: Picture | Source, network: str = DEFAULT_NETWORK, top: int = 5
) -> Classification:
    """Classify one picture; the network stays loaded for the next call.

    See `Classifier` and `Classifier.classify`.
    """
    return _classifier(find_network(network).name).classify(picture, top)


def top_predictions(
    probabilities: NDArray[np.float32], labels: tuple[labels.Label, ...], top: int
) -> tuple[Prediction, ...]:
    """Return the `top` best of (classes,) probabilities; equal ones by their index."""
    best = np.argsort(-probabilities, kind="stable")[:top]
    return tuple(
        Prediction(int(i), labels[i].wnid, labels[i].name, float(probabilities[i])) for i in best
    )


@cache
def _classifier(network: str) -> Classifier:
    return Classifier(network)


def _check(option: str, value: str | None, known: Iterable[str | None]) -> None:
    names = [name for name in known if name is not None]
    if value not in known:
        raise UsageError(f"unknown {option} {value!r}; expected one of {', '.join(names)}")


def _check_top(top: int) -> None:
    if top < 1:
        raise UsageError(f"top must be at least 1; received {top}")
