"""What is left out of what the user named, and the word that says so."""

from __future__ import annotations

import functools
import logging
from collections import Counter

log = logging.getLogger("topfive")

# Thumbnails and notes that systems, cameras' programs and file servers lay beside pictures.
SYSTEM_NAMES = frozenset(
    "@eadir .@__thumb .thumbnails .thumbs .ds_store __macosx thumbs.db ehthumbs.db "
    "ehthumbs_vista.db desktop.ini $recycle.bin".split(" ")
)
ICON = "Icon\r"  # of a folder on macOS


class LeftOut(Counter[str]):
    """How many there are of each kind that is left out."""

    def is_system(self, name: str) -> bool:
        """Whether a file or folder is the system's, not the user's; then it is counted."""
        found = name == ICON or name.lower() in SYSTEM_NAMES
        if found:
            self[repr(name)[1:-1]] += 1
        return found

    def tell(self) -> None:
        """Say what was left out, the same only once."""
        if found := ", ".join(f"{kind} ({count:,})" for kind, count in sorted((+self).items())):
            _tell(found)


@functools.lru_cache(64)
def _tell(found: str) -> None:
    log.info("left out: %s", found)
