"""A network that answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Answer = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
Float = TypeVar("Float", np.float32, np.float64)
# OpenVINO chooses bfloat16 where the CPU has it, which moves probabilities visibly.
EXACT = {"INFERENCE_PRECISION_HINT": "f32"}


@dataclass(frozen=True)
class Run:
    """A network that answers: uint8 (n, size, size, 3) → float32 (n, classes).

    A call returns probabilities, `logits` what the softmax makes them of, and `features`
    (n, features) what the last layer with weights is given. All may be called from several
    threads; many pictures are fastest with `batch` a call, in `parallel()` calls at a time.
    """

    answer: Answer
    logits: Answer
    features: Answer
    batch: int = 1
    parallel: Callable[[], int] = lambda: 1

    def __call__(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self.answer(pictures)


def softmax(
    logits: NDArray[Float], temperature: float | NDArray[np.float64] = 1.0
) -> NDArray[Float]:
    """Return the probabilities of (…, classes) logits divided by a temperature."""
    scaled = logits.astype(np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), logits.dtype)


def log_softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the logarithms of the probabilities of (…, classes) logits."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))
