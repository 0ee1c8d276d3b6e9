"""Real photographs that installed packages carry: scikit-image's and scikit-learn's."""

from __future__ import annotations

import importlib.util
from pathlib import Path


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
