"""An end to what a server can keep waiting, however slowly it goes on."""

from __future__ import annotations

import contextlib
import socket
import threading
from time import monotonic
from typing import Any


class Deadline:
    """Shuts the connections that were made under it when time is up: after `seconds`, or where
    that is None, `renew` was not called for as long as it said."""

    def __init__(self, seconds: float | None) -> None:
        self._end = monotonic() + (threading.TIMEOUT_MAX / 2 if seconds is None else seconds)
        self._until = self._end
        self._changed = threading.Condition()
        self._handles: list[socket.socket] = []
        self._over = False
        self.passed = False
        threading.Thread(target=self._wait, daemon=True).start()

    def renew(self, seconds: float) -> None:
        """Give it so many seconds from now, but none behind the end."""
        with self._changed:
            self._until = min(self._end, monotonic() + seconds)
            self._changed.notify()

    def left(self) -> float:
        """Return the seconds that are left until the end."""
        return max(0.0, self._end - monotonic())

    def watch(self, connection: socket.socket) -> None:
        """Shut this connection, too, when time is up."""
        with self._changed:
            # Of its own: TLS takes the one that it is given.
            self._handles.append(connection.dup())
            if self.passed:
                self._shut()

    def __enter__(self) -> Deadline:
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._over = True
            self._changed.notify()
            for handle in self._handles:
                handle.close()
            self._handles.clear()

    def _wait(self) -> None:
        with self._changed:
            while not self._over and (left := self._until - monotonic()) > 0:
                self._changed.wait(left)
            self.passed = not self._over
            if self.passed:
                self._shut()

    def _shut(self) -> None:
        for handle in self._handles:
            with contextlib.suppress(OSError):  # it is not connected any more
                handle.shutdown(socket.SHUT_RDWR)


def watch_connections(kind: Any, deadline: Deadline) -> Any:
    """Return a class of urllib3's connections as one whose connections a deadline watches."""

    class Watched(kind):  # type: ignore[misc]
        timeout: Any

        def _new_conn(self) -> socket.socket:
            if isinstance(self.timeout, (int, float)):  # for each of the host's addresses
                self.timeout = min(self.timeout, max(0.01, deadline.left()))
            made: socket.socket = super()._new_conn()
            deadline.watch(made)
            return made

    return Watched
