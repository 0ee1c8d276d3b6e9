"""The connection to Ray: to a cluster, or to one that is started on this machine."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from topfive.errors import EngineError, MissingExtraError, UsageError
from topfive.system import extras

LOCAL, AUTO = "local", "auto"
TIMEOUT = 10  # seconds to reach an address

log = logging.getLogger("topfive")


def check_installed() -> None:
    """Raise a `MissingExtraError` if Ray is not."""
    try:
        import ray.data  # noqa: F401
    except ImportError as error:
        needs = f"Ray is not installed ({error}): {extras.install('ray')}"
        raise MissingExtraError(needs) from error


@contextmanager
def connected(address: str) -> Iterator[bool]:
    """Connect to a cluster or start one; yield whether it was started.

    A connection that the program already has is used and kept.

    Raises:
        EngineError: there is no such cluster, or Ray cannot start.
        UsageError: the address is none of Ray's.
    """
    import ray

    if ray.is_initialized():
        yield False
        return
    if address == AUTO:
        address = os.environ.get("RAY_ADDRESS") or AUTO
    if address not in (LOCAL, AUTO):
        _check_address(address)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # topfive reports to nobody
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    more = {"include_dashboard": False} if address == LOCAL else {}
    try:
        with _silence():  # the setting above is announced, too
            ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL, **more)
    except (OSError, RuntimeError, ValueError) as error:
        if address == LOCAL:
            raise EngineError(f"Ray cannot start here: {line(error)}") from error
        if address == AUTO:
            hint = "start one with `ray start --head`, or give its address"
            raise EngineError(f"no Ray cluster runs here: {hint}") from error
        hint = "if it wants its token, set RAY_AUTH_MODE=token"
        raise EngineError(f"no connection to Ray at {address}: {line(error)}; {hint}") from error
    # Long reports of each worker that dies, on standard output: Ray has no option for that.
    report = ray._private.worker.print_to_stdstream
    ray._private.worker.print_to_stdstream = lambda data, **_: log.debug("Ray: %s", data)
    try:
        yield address == LOCAL
    finally:
        ray.shutdown()
        ray._private.worker.print_to_stdstream = report


def _check_address(address: str) -> None:
    host, _, port = address.rpartition(":")
    if "/" in address or not (host and port.isdecimal()):
        raise UsageError(
            f"--ray takes local, auto or HOST:PORT; received {address!r} (Ray Data does not run "
            "through ray://: run topfive on a machine of the cluster)"
        )
    try:  # Ray itself tries for minutes
        socket.create_connection((host.strip("[]"), int(port)), TIMEOUT).close()
    except (OSError, OverflowError) as error:
        raise EngineError(f"no Ray cluster at {address}: {error}") from error


@contextmanager
def _silence() -> Iterator[None]:
    """Send what native code writes to standard error nowhere."""
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def line(error: Exception) -> str:
    """Return the first line of an error."""
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__
