"""A network's card: everything particular to it, and how a picture becomes its square."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from topfive.errors import UsageError

Triple = tuple[float, float, float]

RECIPES = ("default", "tutorial")
FITS = ("stretch", "crop", "pad")
KERAS_BACKENDS = ("tensorflow", "jax", "torch")
BACKENDS = ("openvino", *KERAS_BACKENDS)
PRECISIONS = ("f32", "bf16", "f16", "int8")
FILTERS = ("nearest", "bilinear", "bicubic", "lanczos", "box", "hamming")


@dataclass(frozen=True)
class Scaling:
    """What happens to a pixel first: `value * scale + offset`, per channel of `order`."""

    order: str
    scale: Triple
    offset: Triple


@dataclass(frozen=True)
class Recipe:
    """How a photograph becomes the network's square.

    `stretch` takes the whole picture, `crop` brings the short side to `short_side` and cuts out
    the centre, `pad` fills up with ImageNet's mean colour. `keras_decoding` reads as Keras's
    `load_img` does: no EXIF orientation, transparency dropped, 16 bits clipped without a window.
    `window` are the values that become black and white in pictures of more than 8 bits.
    """

    fit: str
    filter: str
    short_side: int
    keras_decoding: bool = False
    window: tuple[float, float] | None = None

    def __str__(self) -> str:
        fit = f"crop-{self.short_side}" if self.fit == "crop" else self.fit
        window = "-window{:.15g}..{:.15g}".format(*self.window) if self.window else ""
        return f"{fit}-{self.filter}{window}" + ("-keras" if self.keras_decoding else "")


@dataclass(frozen=True)
class WeightFile:
    """A published weight file. `checksum` is `md5:…` or `sha256:…`, or None where its
    publisher gives none; `size` is in bytes; `licence` names the terms and the holder."""

    url: str
    checksum: str | None
    size: int
    licence: str

    @property
    def name(self) -> str:
        """The file's name, which is also its name in Keras's folder."""
        return self.url.rsplit("/", 1)[1]


@dataclass(frozen=True)
class PackagedFile(WeightFile):
    """A weight file inside an installed package, from where it is used and never downloaded.
    `package` is the package's name in Python, `member` the file's place in it, `install` what
    brings it here. `url` is the project's page."""

    package: str
    member: str
    install: str

    @property
    def name(self) -> str:
        """The file's name, under which Keras's folder may hold it, too."""
        return self.member.rsplit("/", 1)[1]

    @property
    def distribution(self) -> str:
        """What pip calls the package."""
        return self.package.replace("_", "-")


@dataclass(frozen=True)
class Taught:
    """What was learned in a folder on top of a published network, its `backbone`.

    `classes` are its own, in the order of its outputs; with `extends` they come after the
    backbone's. `head` names the file of the layer that tells them by the backbone's features,
    and `body` that of the weights before it, None where they are the backbone's; with `tuned`
    that file holds no classifier. `fingerprint` (`sha256:…`) names all that answers depend on.
    """

    folder: str
    backbone: str
    classes: tuple[str, ...]
    extends: bool
    head: str
    body: str | None
    tuned: bool
    fingerprint: str


@dataclass(frozen=True)
class Network:
    """A network's card. `builder` is `module:function`; `size` is in pixels; `top1` and
    `top5` are the published accuracies in percent on ImageNet's 50,000 validation pictures
    (None: not published), `published` how they were measured. `channels_first`: Keras can
    build it so, with the same answers; `large_dense`: most of its weights are in dense
    layers; `direct`: see `direct_graphs`; `taught`: its own classes, see `taught_folders`."""

    name: str
    title: str
    builder: str
    size: int
    scaling: Scaling
    recipe: Recipe
    weights: WeightFile
    top1: float | None
    top5: float | None
    parameters: int
    depth: int
    year: int
    paper: str
    aliases: tuple[str, ...] = ()
    labels: str = "imagenet"
    channels_first: bool = True
    large_dense: bool = False
    direct: bool = False
    published: str = "Keras, single centre crop"
    taught: Taught | None = None

    @property
    def reference(self) -> str:
        """What finds this card again: its name, or its folder."""
        return self.taught.folder if self.taught else self.name

    @property
    def backbone(self) -> str:
        """The name of the published network whose layers it has: its own, or its backbone's."""
        return self.taught.backbone if self.taught else self.name


def choose_recipe(
    network: Network,
    name: str = "default",
    fit: str | None = None,
    filter: str | None = None,
    window: tuple[float, float] | None = None,
) -> Recipe:
    """Return the card's recipe, or Keras's (`tutorial`), with what is given overridden.

    Raises:
        UsageError: one of them is unknown, or the window's ends are not in order.
    """
    if window is not None and not 0 < window[1] - window[0] < math.inf:
        low, high = window
        raise UsageError(f"a window is a lower and a higher value; received {low:g} and {high:g}")
    check_choice("recipe", name, RECIPES)
    check_choice("fit", fit, (None, *FITS))
    check_choice("filter", filter, (None, *FILTERS))
    recipe = network.recipe
    if name == "tutorial":
        recipe = Recipe("stretch", "nearest", recipe.short_side, keras_decoding=True)
    return replace(
        recipe,
        fit=fit or recipe.fit,
        filter=filter or recipe.filter,
        window=window or network.recipe.window,
    )


def check_choice(option: str, value: str | None, known: Iterable[str | None]) -> None:
    """Raise a `UsageError` that lists what is known, if the value of an option is not."""
    names = [name for name in known if name is not None]
    if value not in known:
        raise UsageError(f"unknown {option} {value!r}; expected one of {', '.join(names)}")
