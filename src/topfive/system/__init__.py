"""The machine: files that appear whole, hashes, child processes, downloads, progress."""

__all__ = [
    "downloads",
    "files",
    "memory",
    "processes",
    "progress",
    "sqlite",
    "text",
]
