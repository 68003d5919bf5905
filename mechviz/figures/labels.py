"""Words beside marks: tokens as they look in every picture, text of either direction at a place, slanted labels."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from mechviz.figures.colour import Theme
from mechviz.figures.svg import Attribute, Element, Look, text
from mechviz.figures.words import is_rtl, visible, width_of
from mechviz.figures.wrap import in_word
from mechviz.text import Tokens

#: Slanted labels this far apart do not touch.
APART = 12.0
SLANTED_FONT = 11.0
SPECIAL = ("cls", "sep", "pad")

_ANGLE = 60.0


def token_words(tokens: Tokens, pos: int) -> str:
    """Return a token as it stands in a list."""
    # A piece inside a word has the mark that its tokenizer would write as ## or leave out.
    return ("‐" if in_word(tokens, pos) else "") + visible(" ".join((tokens.labels[pos] or tokens.strings[pos]).split()))


def token_look(tokens: Tokens, pos: int, changed: bool, theme: Theme) -> Look:
    """Return the look of a token: by what part of the text it is in, and what the perturbation did to it."""
    segment = tokens.segments[pos]
    if tokens.fillers[pos]:
        return {"fill": theme.muted, "font_style": "italic"}
    if changed:
        return {"fill": theme.change, "font_weight": "bold"}
    if segment in SPECIAL:
        return {"fill": theme.muted}
    if segment == "prompt":
        return {"fill": theme.muted, "font_style": "italic"}
    return {"fill": theme.query} if segment == "query" else {}


def placed(x: float, y: float, words: str, anchor: str, size: float, look: Look) -> Element:
    """Return a line of text that begins (``start``) or ends (``end``) at ``x`` in the picture, whatever its direction."""
    if is_rtl(words):
        # From its middle, it lies right whether or not the reader minds the direction.
        half = width_of(words, size, look.get("font_weight") == "bold") / 2
        x, anchor = x + (half if anchor == "start" else -half), "middle"
        look = {**look, "direction": "rtl"}
    return text(x, y, words, text_anchor=anchor, font_size=size, **look)


def slanted(x: float, y: float, words: str, **look: Attribute) -> Element:
    """Return a label that ends below a column's middle ``x``."""
    turn = f"rotate({-_ANGLE:g} {x + 4:g} {y:g})"
    return text(x + 4, y, words, transform=turn, text_anchor="end", font_size=SLANTED_FONT, **look)


def depth_of(width: float) -> float:
    """Return how far down a slanted label of this width reaches."""
    return width * math.sin(math.radians(_ANGLE))


def far_enough(order: Iterable[int], n: int, step: float) -> list[int]:
    """Return the columns that get a slanted label, of ``n`` that are ``step`` apart; the first in ``order`` choose first."""
    apart = math.ceil(APART / step)
    taken = np.zeros(n, dtype=bool)
    kept = set()
    for at in order:
        if not taken[max(0, at - apart + 1) : at + apart].any():
            taken[at] = True
            kept.add(at)
    return sorted(kept)
