"""Classes of one's own in seconds.

The ways in are `teach`, `extend` and `correct`.
"""

__all__ = [
    "accuracies",
    "class_folders",
    "collection",
    "correct",
    "correction_results",
    "extend",
    "taught_networks",
    "teach",
]
