"""Which class a name means: a WordNet id, a number, a label."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Mapping, Sequence

from topfive.errors import UsageError
from topfive.networks.labels import Label

WNID = re.compile(r"(?<![a-z0-9])n\d{8}(?!\d)", re.IGNORECASE)
LONGEST = 9  # digits of a number
SHOWN = 10  # labels, where there are no more


class ClassNames:
    """The classes of a network by their names. A number is a class's index, unless a class is
    called so; with `indices` always, counted from `first`; with `numbers` it is that of a WordNet
    id in this table. The forms that Unicode has for one letter are one.
    """

    def __init__(
        self,
        labels: Sequence[Label],
        numbers: Mapping[int, str] | None = None,
        *,
        indices: bool = False,
        first: int = 0,
    ) -> None:
        self._are_labels = numbers is None and not indices
        self._labels = labels
        self._wnids = {label.wnid: index for index, label in enumerate(labels) if label.wnid}
        self._numbers = dict(enumerate(range(len(labels)), start=first))
        if numbers is not None:
            known = ((number, self._wnids.get(wnid)) for number, wnid in numbers.items())
            self._numbers = {number: index for number, index in known if index is not None}
        self._exact: dict[str, list[int]] = {}
        self._plain: dict[str, list[int]] = {}
        for index, label in enumerate(labels):
            self._exact.setdefault(unicodedata.normalize("NFC", label.name), []).append(index)
            self._plain.setdefault(_plain(label.name), []).append(index)

    def with_wnid(self, text: str) -> int | None:
        """Return the class whose WordNet id stands somewhere in a text, if one does."""
        found = WNID.search(text)
        return self._wnids.get(found[0].lower()) if found else None

    def is_label(self, name: str) -> bool:
        """Whether a class is called exactly so."""
        return name in self._exact

    def find(self, name: str, place: str) -> int | None:
        """Return the index of the class with a WordNet id, a number or a label, if there is one.

        In a label upper and lower case, spaces and `_` are one, unless it is exactly that of
        one class. `place` is where the name stands, for the error.

        Raises:
            UsageError: several classes have the label.
        """
        name = unicodedata.normalize("NFC", name.strip())
        if name.lower() in self._wnids:
            return self._wnids[name.lower()]
        if is_number(name) and not (self._are_labels and name in self._exact):
            return self._numbers.get(int(name))
        found = self._exact.get(name) or self._plain.get(_plain(name), [])
        if len(found) > 1:
            ids = " or ".join(self._labels[index].wnid or str(index) for index in found)
            raise UsageError(f"{place}: {name!r} is the label of several classes; name it {ids}")
        return found[0] if found else None

    def get(self, name: str, place: str) -> int:
        """Return what `find` does.

        Raises:
            UsageError: no class has the name, or several; with the closest label.
        """
        found = self.find(name, place)
        if found is not None:
            return found
        close = difflib.get_close_matches(_plain(name), self._plain, n=1)
        hint = f" Did you mean {self._labels[self._plain[close[0]][0]].name}?" if close else ""
        raise UsageError(
            f"{place}: {name!r} is none of the {len(self._labels):,} classes.{hint} "
            f"Expected {self._expected()}"
        )

    def _expected(self) -> str:
        if len(self._labels) <= SHOWN:
            return f"one of {', '.join(repr(label.name) for label in self._labels)}"
        ways = ["a WordNet id"] if self._wnids else []
        if self._numbers:
            ways.append(f"a number from {min(self._numbers)} to {max(self._numbers)}")
        return ", ".join([*ways, "or a label" if ways else "a label"])


def is_number(name: str) -> bool:
    """Whether a name is a number rather than a label."""
    return name.isascii() and name.isdigit() and len(name) <= LONGEST


def _plain(name: str) -> str:
    return " ".join(unicodedata.normalize("NFC", name).replace("_", " ").lower().split())
