"""Sentences of a text, by a simple rule that asks for no model and no language.

A sentence ends

- at a blank line;
- after ``. ! ? …`` or a full stop of another script, with the closing quotes and brackets that follow, where white space or
  the end of the text comes next (after the full-width ``。！？｡`` nothing need come next);
- but not after a ``.`` or ``…`` before a small letter, after a ``.`` that ends an abbreviation (a known one such as
  ``Dr.``, a single capital as in ``J. Smith``, letters with dots as in ``e.g.`` or ``U.S.``), or between ``No.`` or a single
  small letter and a number (``p. 5``).

A piece with neither a letter nor a digit, such as a stray dot, belongs to the sentence before it.

So a sentence that ends with an abbreviation runs on into the next one, and a title without a full stop into what follows it
on the next line. Decimal points, version numbers and addresses never end one, since no white space follows their dots.

>>> text = "Lava cools, e.g. in water. It was 3.5 m deep!"
>>> [text[start:end] for start, end in sentences(text)]
['Lava cools, e.g. in water.', 'It was 3.5 m deep!']
"""

from __future__ import annotations

import re

_KNOWN = (
    "adj adm al approx apr aug ave ca capt cf cit co col corp dec dept dr ed eds eq esp est feb fig figs gen gov inc jan jr jul"
    " jun lt ltd mr mrs ms mt nov oct op pp prof pt rep rev sec sen sept sgt sr st univ viz vol vs"
)
#: Words that a dot may follow before a capital or a number. "etc." is not here: before a capital it mostly ends a sentence.
ABBREVIATIONS = frozenset(_KNOWN.split())

_WIDE = "。！？｡"
_ENDS = f".!?…{_WIDE}‼⁇⁈⁉؟۔।॥։።፧၊။។៕᠃᠉"
_CLOSERS = "\"')\\]}»”’›」』）】〉》"
_END = re.compile(f"(?P<marks>[{_ENDS}]+)[{_CLOSERS}]*(?=(?P<space>\\s*)(?P<next>\\S?))|\\n[^\\S\\n]*\\n")
_LAST_WORD = re.compile(r"(?<![\w'’])(?:[^\W\d_]\.)*[^\W\d_]+$")
_LETTER = re.compile(r"[^\W_]")
_WORD_ROOM = 24  # no abbreviation is longer; looking back further would cost time on long texts


def sentences(text: str) -> list[tuple[int, int]]:
    """Return the character span (start, end) of each sentence, ascending and disjoint; only white space lies outside."""
    ends = [end.end() for end in _END.finditer(text) if _is_end(text, end)]
    spans: list[tuple[int, int]] = []
    for start, end in zip([0, *ends], [*ends, len(text)], strict=True):
        piece = text[start:end]
        first, last = start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip())
        if spans and first < last and not _LETTER.search(piece):
            spans[-1] = (spans[-1][0], last)
        elif first < last:
            spans.append((first, last))
    return spans


def _is_end(text: str, end: re.Match[str]) -> bool:
    marks, following = end["marks"], end["next"]
    if marks is None or not following:
        return True  # a blank line, or the end of the text
    if not end["space"] and marks[-1] not in _WIDE:
        return False
    if marks[-1] in ".…" and following.islower():
        return False
    return marks != "." or not _abbreviates(text, end.start(), following)


def _abbreviates(text: str, dot: int, following: str) -> bool:
    """Return whether the dot at ``dot`` belongs to the word before it."""
    found = _LAST_WORD.search(text[max(0, dot - _WORD_ROOM) : dot])
    if found is None:
        return False
    word = found.group()
    if word.casefold() == "no" or (len(word) == 1 and not word.isupper()):
        return following.isdecimal()
    return (len(word) == 1 and word != "I") or "." in word or word.casefold() in ABBREVIATIONS
