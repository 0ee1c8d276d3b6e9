"""How much memory this process took at most."""

from __future__ import annotations

import re
import sys
from pathlib import Path

_SELF = Path("/proc/self")


def reset_peak() -> None:
    """Let `peak` begin anew with what is in memory now. Linux alone can."""
    if sys.platform == "linux":
        try:
            (_SELF / "clear_refs").write_text("5")
        except OSError:
            return  # not in every container: then the peak is that since the start


def peak() -> int:
    """Return the peak resident memory in bytes since `reset_peak` or, where that cannot, since
    the process began; 0 where the system does not tell.

    Source: proc_pid_status(5), VmHWM; getrusage(2).
    """
    if sys.platform == "linux":
        found = re.search(r"VmHWM:\s*(\d+) kB", (_SELF / "status").read_text("utf-8"))
        return int(found[1]) * 1024 if found else 0
    try:
        import resource
    except ImportError:  # Windows
        return 0
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
