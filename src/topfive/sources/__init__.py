"""What the user named, as names with content. The way in is `arguments.read`."""

__all__ = [
    "archives",
    "arguments",
    "buckets",
    "folders",
    "left_out",
    "lists",
    "own_output",
    "patterns",
    "source",
    "spool",
]
