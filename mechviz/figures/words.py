"""Numbers to words, as the views write them (``js/src/marks/scale.ts``), and how wide words are."""

from __future__ import annotations

import math
import re
import unicodedata
from functools import cache

_MINUS = "−"
_ELLIPSIS = "…"
_OPEN_BOX = "␣"
_JOINER = "\u200d"
_FIRST_EMOJI = "\U0001f000"

# Advance widths in hundredths of the font size: those of Helvetica and Arial, to which most sans fonts are close.
_REGULAR = {
    19: "'",
    22: "ijl",
    26: "|",
    28: " !,./:;I[\\]ft",
    33: "()-`r{}",
    36: '"',
    39: "*",
    47: "^",
    50: "Jcksvxyz",
    56: "#$0123456789?L_abdeghnopqu",
    58: "+<=>~−",
    61: "FTZ",
    67: "&ABEKPSVXY",
    72: "CDHNRUw",
    78: "GOQ",
    83: "Mm",
    89: "%",
    94: "W",
    100: "→…\ufffd",
    102: "@",
}
_WIDTHS = {char: width / 100 for width, chars in _REGULAR.items() for char in chars}
_OTHER, _ARABIC, _WIDE, _EMOJI = 0.62, 0.47, 1.0, 1.3
_BOLD = 1.08


def digits_for(size: float) -> int:
    """Return how many digits after the point show ``size`` with two significant ones, between 2 and 6."""
    magnitude = abs(size)
    if not math.isfinite(magnitude) or magnitude == 0:
        return 3
    return max(2, min(6, 1 - math.floor(math.log10(magnitude))))


def plain(value: float, digits: int = 2) -> str:
    """Return a number in words; there is no minus zero."""
    if not math.isfinite(value):
        return "not defined"
    text = f"{abs(value):.{digits}f}"
    return _MINUS + text if value < 0 and float(text) else text


def signed(value: float, digits: int = 2) -> str:
    """Return a number that always has its sign, but for zero."""
    text = plain(value, digits)
    return f"+{text}" if math.isfinite(value) and value > 0 and float(text) else text


def weight_text(weight: float) -> str:
    """Return a weight between 0 and 1, as short as it can be read: .12, .004."""
    return re.sub("^0", "", f"{weight:.{3 if weight < 0.01 else 2}f}")


def percent(share: float) -> str:
    """Return a share in percent."""
    return "under 1%" if 0 < share < 0.005 else f"{math.floor(share * 100 + 0.5)}%"


def visible(label: str) -> str:
    """Return a token's label as it stands in a list, where one that is only space must be seen."""
    return label if label.strip() else _OPEN_BOX


def is_rtl(text: str) -> bool:
    """Tell whether the first letter of a text is written from right to left."""
    first = next((char for char in text if unicodedata.bidirectional(char) in ("L", "R", "AL")), "")
    return unicodedata.bidirectional(first) in ("R", "AL") if first else False


def width_of(text: str, size: float, bold: bool = False) -> float:
    """Return about how wide a text is at a font size: nobody measures here, so places leave some room."""
    joined = (_char_width(char) for before, char in zip(f" {text}", text, strict=False) if before != _JOINER)
    return sum(joined) * size * (_BOLD if bold else 1)


def letters(text: str) -> str:
    """Return what a text is written in: ``"latin"``, whose widths are known, ``"emoji"``, or ``"other"``, which are guessed."""
    if any(char == _JOINER or char >= _FIRST_EMOJI for char in text):
        return "emoji"
    known = all(unicodedata.normalize("NFD", char)[0] in _WIDTHS or unicodedata.category(char) == "Mn" for char in text)
    return "latin" if known else "other"


@cache
def _char_width(char: str) -> float:
    if char in _WIDTHS:
        return _WIDTHS[char]
    if unicodedata.category(char) in ("Mn", "Me", "Cf", "Cc"):
        return 0.0
    if "\U0001f1e6" <= char <= "\U0001f1ff":
        return _EMOJI / 2  # two letters are one flag
    if "\U0001f3fb" <= char <= "\U0001f3ff":
        return 0.0  # a tone of the emoji before it
    if unicodedata.east_asian_width(char) in ("W", "F"):
        return _EMOJI if char >= _FIRST_EMOJI else _WIDE
    other = _ARABIC if unicodedata.bidirectional(char) == "AL" else _OTHER
    return _WIDTHS.get(unicodedata.normalize("NFD", char)[0], other)


def cut(text: str, room: float, size: float, bold: bool = False) -> str:
    """Return ``text``, its end replaced by an ellipsis where it is wider than ``room``."""
    if width_of(text, size, bold) <= room:
        return text
    left = room - width_of(_ELLIPSIS, size, bold)
    end = 0
    while end < len(text) and (left := left - width_of(text[end], size, bold)) >= 0:
        end += 1
    return text[:end].rstrip(_JOINER) + _ELLIPSIS


def wrapped(text: str, room: float, size: float) -> list[str]:
    """Return ``text`` as lines no wider than ``room``; a word that is wider than a line is cut."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and width_of(longer, size) <= room:
            lines[-1] = longer
        else:
            lines.append(cut(word, room, size))
    return lines
