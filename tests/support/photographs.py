"""Real photographs that installed packages carry: scikit-image's and scikit-learn's."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image


def _file(package: str, place: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"the tests need {package}: pip install '.[dev]'")
    return Path(spec.origin).parent / place


# By what is in them; `camera` is grey.
PHOTOGRAPHS = {
    "cat": _file("skimage", "data/chelsea.png"),
    "coffee": _file("skimage", "data/coffee.png"),
    "rocket": _file("skimage", "data/rocket.jpg"),
    "astronaut": _file("skimage", "data/astronaut.png"),
    "motorcycle": _file("skimage", "data/motorcycle_left.png"),
    "camera": _file("skimage", "data/camera.png"),
    "temple": _file("sklearn", "datasets/images/china.jpg"),
    "flower": _file("sklearn", "datasets/images/flower.jpg"),
}

# What ImageNet's labels call it, which have three kinds of such cats and no astronaut.
LABELS = {"cat": "Egyptian_cat", "coffee": "espresso", "rocket": "missile", "motorcycle": "moped",
          "camera": "tripod", "temple": "palace", "flower": "daisy"}  # fmt: skip


def variations(name: str, count: int, size: int = 160, seed: int = 0) -> list[Image.Image]:
    """Return pictures of what is in a photograph, no two alike and each time the same: square
    parts of it, turned by some degrees, mirrored, lighter or darker, with noise."""
    random = np.random.default_rng([seed, list(PHOTOGRAPHS).index(name)])
    with Image.open(PHOTOGRAPHS[name]) as file:
        photograph = file.convert("RGB")
    return [_vary(photograph, size, random) for _ in range(count)]


def _vary(photograph: Image.Image, size: int, random: np.random.Generator) -> Image.Image:
    angle = np.radians(random.uniform(-10, 10))
    half = min(photograph.size) * random.uniform(0.3, 0.42)
    reach = half * (np.cos(angle) + abs(np.sin(angle)))  # of the corners, which stay inside
    x, y = (random.uniform(reach, side - reach) for side in photograph.size)
    across, down = half * np.exp(1j * angle), half * 1j * np.exp(1j * angle)
    mirrored = 1 if random.random() < 0.5 else -1
    corners = [mirrored * sign * across + other * down
               for sign, other in ((-1, -1), (-1, 1), (1, 1), (1, -1))]  # fmt: skip
    data = [at for one in corners for at in (x + one.real, y + one.imag)]
    part = photograph.transform((size, size), Image.Transform.QUAD, data, Image.Resampling.BICUBIC)
    noise = random.normal(0, random.uniform(0, 20), (size, size, 3))
    pixels = np.asarray(part) * random.uniform(0.7, 1.3) + noise
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def write(folder: Path, each: int, names: Iterable[str] = PHOTOGRAPHS, *, size: int = 160,
          seed: int = 0) -> Path:  # fmt: skip
    """Write `each` variations of photographs as `folder/name/000.jpg` and so on, by default of
    all, and return the folder."""
    for name in names:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number, picture in enumerate(variations(name, each, size, seed)):
            picture.save(folder / name / f"{number:03}.jpg", quality=90)
    return folder
