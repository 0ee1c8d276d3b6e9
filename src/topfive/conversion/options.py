"""What `topfive quantize` may be asked for, and what it does where nothing is said."""

from topfive.networks.cards import PRECISIONS

LOWER = tuple(name for name in PRECISIONS if name != "f32")
QUANTISED = "int8"
PICTURES = 1000
