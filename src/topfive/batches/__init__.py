"""Millions of pictures into one file: killed and gone on, sorted, spread with Ray.

The way in is `batch.batch`.
"""

__all__ = ["batch", "journal"]
