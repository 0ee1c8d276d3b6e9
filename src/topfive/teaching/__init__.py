"""Classes of one's own in seconds.

The ways in are `teach`, `extend` and `correct`.
"""

__all__ = [
    "accuracies",
    "class_folders",
    "correct",
    "correction_results",
    "extend",
    "options",
    "taught_networks",
    "teach",
]
