"""A network in another form, proved before it is kept: 8 bits, files for other programs.

The ways in are `quantize` and `export`.
"""

__all__ = ["export", "formats", "options", "quantize"]
