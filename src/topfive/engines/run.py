"""A network that answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Answer = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
# OpenVINO chooses bfloat16 where the CPU has it, which moves probabilities visibly.
EXACT = {"INFERENCE_PRECISION_HINT": "f32"}


@dataclass(frozen=True)
class Run:
    """A network that answers: uint8 (n, size, size, 3) → float32 (n, classes).

    A call returns probabilities, `logits` what the softmax makes them of, and `features`
    (n, features) what the last layer with weights is given. All may be called from several
    threads. Many pictures are answered fastest with `batch` of them a call and as many calls
    at a time as `parallel` returns.
    """

    answer: Answer
    logits: Answer
    features: Answer
    batch: int = 1
    parallel: Callable[[], int] = lambda: 1

    def __call__(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self.answer(pictures)
