"""The machine: files that appear whole, hashes, child processes, downloads, progress."""

__all__ = [
    "arrays",
    "downloads",
    "extras",
    "files",
    "json_text",
    "memory",
    "processes",
    "progress",
    "sqlite",
    "text",
]
