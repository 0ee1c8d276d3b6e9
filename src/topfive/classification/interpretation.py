"""What is said of what a network returned: the best classes, groups of classes, the set that
holds the truth, or that the picture is unlike anything that the network knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from topfive.classification.calibration import Calibration
from topfive.errors import UsageError
from topfive.networks.hierarchy import Node, check, find_node, load, state, statement
from topfive.networks.labels import Label, top_predictions


class Interpreter:
    """Turns a network's outputs into the fields of a `Classification`.

    With `hierarchy` it says what is likely in WordNet's words, and `ancestors` names groups
    of classes whose probabilities are added up. With a calibration it takes logits: their
    probabilities are calibrated, `coverage` (0 to 1) asks for the smallest set of classes
    that holds the truth that often, `reject` whether the picture is unlike those that it was
    calibrated with.

    Raises:
        UsageError: an ancestor is unknown, or the calibration cannot promise the coverage.
    """

    def __init__(
        self,
        labels: tuple[Label, ...],
        *,
        hierarchy: bool = False,
        ancestors: Sequence[str] = (),
        calibration: Calibration | None = None,
        coverage: float | None = None,
        reject: bool = False,
    ) -> None:
        self._labels = labels
        self._nodes: dict[str, Node] = load(labels) if hierarchy or ancestors else {}
        if hierarchy:
            check(self._nodes)
        self._hierarchy = hierarchy
        self._ancestors = [find_node(self._nodes, name) for name in ancestors]
        self._calibration, self._coverage, self._reject = calibration, coverage, reject
        if calibration is None and (coverage is not None or reject):
            raise UsageError("coverage and reject need a calibration")
        if calibration is not None and coverage is not None:
            calibration.check_coverage(coverage)

    @property
    def takes_logits(self) -> bool:
        """Whether it is to be given logits instead of probabilities."""
        return self._calibration is not None

    def __call__(self, values: NDArray[np.float32], top: int) -> dict[str, Any]:
        """Return the fields that tell of a network's outputs, (classes,); see `takes_logits`."""
        probabilities = values
        more: dict[str, Any] = {}
        if self._calibration is not None:
            probabilities = self._calibration.probabilities(values)
            if self._coverage is not None:
                found = self._calibration.prediction_set(probabilities, self._coverage)
                best = top_predictions(probabilities, self._labels, len(found))
                more["prediction_set"] = best
            if self._reject:
                more["rejected"] = not self._calibration.is_known(values)
        return {
            "predictions": top_predictions(probabilities, self._labels, top),
            "hierarchy": state(self._nodes, probabilities) if self._hierarchy else (),
            "ancestors": tuple(statement(node, probabilities) for node in self._ancestors),
            **more,
        }
