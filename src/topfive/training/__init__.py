"""Classes of one's own by gradient.

The way in is `tune`.
"""

__all__ = ["curves", "options", "tune"]
