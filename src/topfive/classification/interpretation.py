"""What is said of what a network returned: the best classes, groups of classes, the set that
holds the truth, or that the picture is unlike anything that the network knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from topfive.classification.calibration import Calibration
from topfive.errors import UsageError
from topfive.networks.hierarchy import check, find_node, load, state, statement
from topfive.networks.labels import Label, top_predictions


@dataclass
class Interpreter:
    """Turns a network's outputs into the fields of a `Classification`.

    What can be asked for is told by `Classifier`. With a calibration it takes logits.

    Raises:
        UsageError: an ancestor is unknown, or the calibration cannot promise the coverage.
    """

    labels: tuple[Label, ...]
    hierarchy: bool = False
    ancestors: Sequence[str] = ()
    calibration: Calibration | None = None
    coverage: float | None = None
    reject: bool = False

    def __post_init__(self) -> None:
        nodes = load(self.labels) if self.hierarchy or self.ancestors else {}
        if self.hierarchy:
            check(nodes)
        self._nodes, self._groups = nodes, [find_node(nodes, name) for name in self.ancestors]
        if self.calibration is None and (self.coverage is not None or self.reject):
            raise UsageError("coverage and reject need a calibration")
        if self.calibration is not None and self.coverage is not None:
            self.calibration.check_coverage(self.coverage)

    @property
    def takes_logits(self) -> bool:
        """Whether it is to be given logits instead of probabilities."""
        return self.calibration is not None

    def __call__(self, values: NDArray[np.float32], top: int) -> dict[str, Any]:
        """Return the fields that tell of a network's outputs, (classes,); see `takes_logits`."""
        probabilities = values
        more: dict[str, Any] = {}
        if self.calibration is not None:
            probabilities = self.calibration.probabilities(values)
            if self.coverage is not None:
                found = self.calibration.prediction_set(probabilities, self.coverage)
                more["prediction_set"] = top_predictions(probabilities, self.labels, len(found))
            if self.reject:
                more["rejected"] = not self.calibration.is_known(values)
        return {
            "predictions": top_predictions(probabilities, self.labels, top),
            "hierarchy": state(self._nodes, probabilities) if self.hierarchy else (),
            "ancestors": tuple(statement(node, probabilities) for node in self._groups),
            **more,
        }
