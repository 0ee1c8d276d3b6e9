"""The machine: files that appear whole, hashes, child processes, downloads, progress."""

__all__ = [
    "downloads",
    "extras",
    "files",
    "memory",
    "processes",
    "progress",
    "sqlite",
    "text",
]
