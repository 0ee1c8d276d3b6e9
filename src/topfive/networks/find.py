"""The card that a name, or a folder, asks for."""

from __future__ import annotations

import os
from pathlib import Path

from topfive.errors import UnknownNetworkError, UsageError
from topfive.networks import taught_folders
from topfive.networks.cards import Network
from topfive.networks.published import DEFAULT_NETWORK, DEFAULT_VARIABLE, NETWORKS, find_published
from topfive.networks.taught_cards import CARD, LONGEST


def find_network(name: str | Network | None = None) -> Network:
    """Return the card of a published network by its name, or of a taught one by its folder; the
    default network's for None, and a card itself.

    What has a `/` in it is a folder, also where a published network is called so.

    Raises:
        UnknownNetworkError: there is neither.
        UsageError: the folder's card is damaged.
    """
    if isinstance(name, Network):
        return name
    if name is None:
        return _default()
    is_path = "/" in name or os.sep in name
    try:
        if not is_path:
            return find_published(name)
    except UnknownNetworkError:
        if not os.path.isdir(name):  # noqa: PTH112, Path's refuses names that are too long
            raise
    if os.path.lexists(os.path.join(name, CARD)):  # noqa: PTH118
        return taught_folders.read(Path(name))
    shown = "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in name)
    if os.path.isdir(name):  # noqa: PTH112
        why = f"holds no network: there is no {CARD} in it (topfive teach makes one)"
    elif os.path.lexists(name):
        why = "is a file; expected the folder of a taught network"
    else:
        why = "is no folder that is there; expected that of a taught network, or a name"
    raise UnknownNetworkError(f"{shown[:LONGEST]} {why}")


def _default() -> Network:
    chosen = os.environ.get(DEFAULT_VARIABLE)
    if not chosen:
        return NETWORKS[DEFAULT_NETWORK]
    try:
        return find_network(chosen)
    except UsageError as error:
        raise type(error)(f"{DEFAULT_VARIABLE}, which names the default: {error}") from error
