"""The one way from pictures to answers: classes, sets, features, neighbours.

The way in is `classifier.Classifier`.
"""

__all__ = [
    "calibration",
    "classifier",
    "feature_cache",
    "feature_files",
    "feature_formats",
    "options",
    "outputs",
    "pipeline",
    "similarity",
]
