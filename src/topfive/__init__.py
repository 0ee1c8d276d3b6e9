"""topfive: what is in this picture?

`classify("photo.jpg").predictions[0].label` asks EfficientNet-Lite0, which comes along;
`Classifier("xception").classify("photo.jpg", top=5)` another network;
`batch("photos/", "results.parquet")` all that is in a folder;
`evaluate("labelled/", ["vgg16", "resnet50"])` how good they are;
`teach("folders/", "own", "resnet50")` your own classes.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING

from topfive.version import __version__ as __version__

if TYPE_CHECKING:
    from topfive.batches.batch import Placement, batch
    from topfive.batches.journal import Summary
    from topfive.batches.run import BatchListener
    from topfive.classification.classifier import Classifier, classify
    from topfive.conversion.export import Exported, export
    from topfive.conversion.quantize import Quantized, quantize
    from topfive.errors import PictureError, TopfiveError, UsageError, WeightsError
    from topfive.evaluation.bench import Measurement, bench
    from topfive.evaluation.calibrate import Calibrated, calibrate
    from topfive.evaluation.compare import SideBySide, compare
    from topfive.evaluation.evaluate import evaluate
    from topfive.evaluation.evaluations import Comparison, Evaluation
    from topfive.networks.cards import Network
    from topfive.networks.find import find_network
    from topfive.networks.published import NETWORKS
    from topfive.results import Classification, Failure, Prediction, Row
    from topfive.sources.source import Source
    from topfive.teaching.extend import Extended, extend
    from topfive.teaching.teach import Teaching, teach
    from topfive.training.tune import Tuned, tune

# OpenVINO tells a server on the internet of each import, unless it finds no such package.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

# Imported at first use: `topfive --help` needs none of them.
_HOMES = {
    "Placement": "batches.batch",
    "batch": "batches.batch",
    "Summary": "batches.journal",
    "BatchListener": "batches.run",
    "Classifier": "classification.classifier",
    "classify": "classification.classifier",
    "Exported": "conversion.export",
    "export": "conversion.export",
    "Quantized": "conversion.quantize",
    "quantize": "conversion.quantize",
    "PictureError": "errors",
    "TopfiveError": "errors",
    "UsageError": "errors",
    "WeightsError": "errors",
    "Measurement": "evaluation.bench",
    "bench": "evaluation.bench",
    "Calibrated": "evaluation.calibrate",
    "calibrate": "evaluation.calibrate",
    "SideBySide": "evaluation.compare",
    "compare": "evaluation.compare",
    "evaluate": "evaluation.evaluate",
    "Comparison": "evaluation.evaluations",
    "Evaluation": "evaluation.evaluations",
    "Network": "networks.cards",
    "find_network": "networks.find",
    "NETWORKS": "networks.published",
    "Classification": "results",
    "Failure": "results",
    "Prediction": "results",
    "Row": "results",
    "Source": "sources.source",
    "Extended": "teaching.extend",
    "extend": "teaching.extend",
    "Teaching": "teaching.teach",
    "teach": "teaching.teach",
    "Tuned": "training.tune",
    "tune": "training.tune",
}

__all__ = [
    "NETWORKS",
    "BatchListener",
    "Calibrated",
    "Classification",
    "Classifier",
    "Comparison",
    "Evaluation",
    "Exported",
    "Extended",
    "Failure",
    "Measurement",
    "Network",
    "PictureError",
    "Placement",
    "Prediction",
    "Quantized",
    "Row",
    "SideBySide",
    "Source",
    "Summary",
    "Teaching",
    "TopfiveError",
    "Tuned",
    "UsageError",
    "WeightsError",
    "batch",
    "bench",
    "calibrate",
    "classify",
    "compare",
    "evaluate",
    "export",
    "extend",
    "find_network",
    "quantize",
    "teach",
    "tune",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(f"topfive.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'topfive' has no attribute {name!r}")
