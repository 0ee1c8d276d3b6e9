"""Text as a person or a table takes it."""

from __future__ import annotations

import codecs
import csv
import io
import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from functools import partial

SHOWN = 3  # names in a warning
WIDTH = 80  # columns
FORMULAS = "=+-@\t\r\n＝＋－＠"  # what a formula begins with, for one spreadsheet or another
UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

_USER = re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s/?#]*@", re.IGNORECASE)
_SIGNATURE = re.compile(
    r"([?&;](?:X-(?:Amz|Goog|Oss)-(?:Signature|Credential|Security-Token)|Signature|sig|"
    r"AWSAccessKeyId|GoogleAccessId|Key-Pair-Id|Policy)=)[\w%.~+/=-]*",
    re.IGNORECASE,
)


def printable(name: str) -> str:
    """Return a name that a terminal shows as it is: no line breaks, no escape sequences."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in name
    )


def plain(text: str) -> str:
    """Return lines, each `printable`."""
    return "\n".join(map(printable, text.split("\n")))


def shorten(text: str, most: int) -> str:
    """Return a printable text of at most so many letters."""
    shown = printable(text)
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"


class Number(str):
    """A number as it is to be written: `-0.50` is no formula."""

    __slots__ = ()


def csv_line(row: Sequence[object]) -> str:
    """Return a line of CSV; None is an empty cell.

    Text that a spreadsheet would take for a formula gets a `'` in front, which `csv_text` takes
    away, and so does such text with a `'` of its own.
    """
    line = io.StringIO()
    cells = [f"'{cell}" if _is_formula(cell) else cell for cell in row]
    # With both in the terminator, both are quoted within a cell, by every version of Python.
    csv.writer(line, lineterminator="\r\n").writerow(cells)
    return line.getvalue()[:-2] + "\n"


def csv_text(cell: str) -> str:
    """Return the text for which `csv_line` wrote a cell."""
    return cell[1:] if cell.startswith("'") and _is_formula(cell) else cell


def _is_formula(cell: object) -> bool:
    """Whether text begins as a formula does, and is more than the sign, with any `'` before."""
    if not isinstance(cell, str) or isinstance(cell, Number):
        return False
    inner = cell.lstrip("'")
    return len(inner) > 1 and inner[0] in FORMULAS


def listing(names: Sequence[str]) -> str:
    """Return names as `a, b, c and 7 more`."""
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def wrap(lines: Iterable[str]) -> str:
    """Return lines as a text for a terminal of `WIDTH`, names in it printable."""
    wrapped = partial(textwrap.fill, width=WIDTH, subsequent_indent="    ", break_on_hyphens=False)
    return "".join(f"{wrapped(printable(line))}\n" for line in lines)


def decode(content: bytes) -> str:
    """Return a file's text: UTF-8 with or without a mark, UTF-16 with one. Surrogates stand for
    bytes that are neither; `recode` reads them."""
    if content.startswith(UTF16):
        return content.decode("utf-16", "replace")
    return content.decode("utf-8-sig", "surrogateescape")


def is_utf8(text: str) -> bool:
    """Whether a decoded text has no bytes in it that are no UTF-8."""
    return not any("\udc80" <= letter <= "\udcff" for letter in text)


def recode(text: str) -> str:
    """Return a decoded text, read in the platform's encoding where it is not UTF-8."""
    if is_utf8(text):
        return text
    return text.encode("utf-8", "surrogateescape").decode(platform_encoding(), "replace")


def platform_encoding() -> str:
    """Return what texts are in that are not in UTF-8."""
    import locale

    name = codecs.lookup(locale.getencoding()).name
    return "cp1252" if name in ("utf-8", "ascii") else name  # as Windows and Excel write them


def spellings(name: str) -> Iterator[str]:
    """Yield a name from a decoded text as files may have it: as it stands, read in the platform's
    encoding, with letters and accents as one sign each or, as macOS writes them, as two."""
    yield name
    if not name.isascii():
        import unicodedata

        text = recode(name)
        yield from (text, unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text))


def hide_secrets(text: str) -> str:
    """Return a text without the passwords and signatures of the addresses in it."""
    text = _USER.sub(r"\1***@", text)
    return _SIGNATURE.sub(r"\1***", text)
