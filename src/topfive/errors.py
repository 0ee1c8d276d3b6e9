"""The error tree. Every error knows the exit status that the command ends with.

0: all answered; 1: some pictures failed; 2: wrong usage; 3: something that the run
needs is missing (weights, a network connection, an optional package, a device).
"""

from __future__ import annotations


class TopfiveError(Exception):
    """The root of all errors that topfive raises on purpose."""

    exit_status = 1


class UsageError(TopfiveError):
    """The call itself is wrong: an unknown name, an option that does not fit."""

    exit_status = 2


class UnknownNetworkError(UsageError):
    """No network has the name."""


class WeightsError(TopfiveError):
    """A weight file is missing, cut, foreign, or does not fit its network."""

    exit_status = 3


class DamagedWeightsError(WeightsError):
    """A weight file does not have its hash."""


class UnusableWeightsError(WeightsError):
    """A network with these weights answers with what is no finite number."""


class DownloadError(WeightsError):
    """A file could not be fetched."""


class MissingExtraError(TopfiveError):
    """An optional package is not installed."""

    exit_status = 3


class EngineError(TopfiveError):
    """A backend or a device cannot run the network."""

    exit_status = 3


class WrongAnswersError(EngineError):
    """A compiled network does not answer as it should, and would not if compiled again."""


class OutputError(TopfiveError):
    """The answers cannot be written where they should go."""


class PictureError(TopfiveError):
    """One picture cannot be read. In a stream it becomes a `Failure`.

    `kind` is one of `missing`, `unreadable`, `empty`, `not-a-picture`, `broken`,
    `too-large`, `unsupported`, `download`, `unsaved`, `not-finite` (the network's answer).
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind

    def __reduce__(self) -> tuple[type[PictureError], tuple[str, str]]:
        return type(self), (self.kind, str(self))
