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
    from topfive.batches.batch import BatchListener as BatchListener
    from topfive.batches.batch import Placement as Placement
    from topfive.batches.batch import batch as batch
    from topfive.batches.journal import Summary as Summary
    from topfive.classification.classifier import Classifier as Classifier
    from topfive.classification.classifier import classify as classify
    from topfive.conversion.export import Exported as Exported
    from topfive.conversion.export import export as export
    from topfive.conversion.quantize import Quantized as Quantized
    from topfive.conversion.quantize import quantize as quantize
    from topfive.errors import PictureError as PictureError
    from topfive.errors import TopfiveError as TopfiveError
    from topfive.errors import UsageError as UsageError
    from topfive.errors import WeightsError as WeightsError
    from topfive.evaluation.bench import Measurement as Measurement
    from topfive.evaluation.bench import bench as bench
    from topfive.evaluation.calibrate import Calibrated as Calibrated
    from topfive.evaluation.calibrate import calibrate as calibrate
    from topfive.evaluation.compare import SideBySide as SideBySide
    from topfive.evaluation.compare import compare as compare
    from topfive.evaluation.evaluate import evaluate as evaluate
    from topfive.evaluation.evaluations import Comparison as Comparison
    from topfive.evaluation.evaluations import Evaluation as Evaluation
    from topfive.networks.cards import Network as Network
    from topfive.networks.find import find_network as find_network
    from topfive.networks.published import NETWORKS as NETWORKS
    from topfive.results import Classification as Classification
    from topfive.results import Failure as Failure
    from topfive.results import Prediction as Prediction
    from topfive.results import Row as Row
    from topfive.sources.source import Source as Source
    from topfive.teaching.extend import Extended as Extended
    from topfive.teaching.extend import extend as extend
    from topfive.teaching.teach import Teaching as Teaching
    from topfive.teaching.teach import teach as teach
    from topfive.training.tune import Tuned as Tuned
    from topfive.training.tune import tune as tune

# OpenVINO tells a server on the internet of each import, unless it finds no such package.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

# The public names by their modules, which are imported at first use: `topfive --help` needs none.
_NAMES = {
    "batches.batch": ("BatchListener", "Placement", "batch"),
    "batches.journal": ("Summary",),
    "classification.classifier": ("Classifier", "classify"),
    "conversion.export": ("Exported", "export"),
    "conversion.quantize": ("Quantized", "quantize"),
    "errors": ("PictureError", "TopfiveError", "UsageError", "WeightsError"),
    "evaluation.bench": ("Measurement", "bench"),
    "evaluation.calibrate": ("Calibrated", "calibrate"),
    "evaluation.compare": ("SideBySide", "compare"),
    "evaluation.evaluate": ("evaluate",),
    "evaluation.evaluations": ("Comparison", "Evaluation"),
    "networks.cards": ("Network",),
    "networks.find": ("find_network",),
    "networks.published": ("NETWORKS",),
    "results": ("Classification", "Failure", "Prediction", "Row"),
    "sources.source": ("Source",),
    "teaching.extend": ("Extended", "extend"),
    "teaching.teach": ("Teaching", "teach"),
    "training.tune": ("Tuned", "tune"),
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(f"topfive.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'topfive' has no attribute {name!r}")
