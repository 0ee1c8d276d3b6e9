"""Classes of one's own in seconds.

The ways in are `teach`, `extend` and `correct`.
"""

__all__ = ["class_folders", "correct", "extend", "options", "taught_networks", "teach"]
