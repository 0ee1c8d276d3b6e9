"""Bytes to an upright picture, and that to the network's square; drawing on pictures.
The way in is `preparation.prepare`."""

__all__ = ["annotate", "colour", "contact_sheets", "preparation", "squares", "window"]
