"""Words and terms of a text: one rule for perturbations, axioms and statistics.

A word is a run of letters and digits with the marks that stand on them (accents, vowel signs). Everything else separates
words: white space, punctuation, symbols, the underscore, so ``don't`` and ``3.5`` are two words each. A Han character and a
hiragana are a word each, as in Unicode's own rule (UAX 29); Thai, Lao, Khmer and Burmese, which are written without spaces
too, would need a dictionary, and a run of their letters is one word here.

>>> terms("Hot springs, don't they?")
['hot', 'springs', 'don', 't', 'they']
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

_STOPWORDS = (
    "a an and are as at be but by for if in into is it no not of on or such that the their then there these they this to was"
    " will with do does did how what when where which who whom whose why s t d ll m re ve"
)
#: English words that say little about what a query is about: Lucene's list, the question words that queries start with, and
#: what an apostrophe leaves of others ("moon's", "don't").
STOPWORDS = frozenset(_STOPWORDS.split())

_HAN_HIRAGANA = "\u3041-\u3096\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_MARKS = (range(0x300, 0x20000), range(0xE0100, 0xE01F0))  # no marks stand outside these


def words(text: str) -> list[tuple[int, int]]:
    """Return the character span (start, end) of each word, ascending and disjoint."""
    return [word.span() for word in _pattern().finditer(text)]


def terms(text: str) -> list[str]:
    """Return the words, casefolded and composed (NFC): they compare without regard to case and to how accents are encoded."""
    return [unicodedata.normalize("NFC", word.casefold()) for word in _pattern().findall(text)]


@cache
def _pattern() -> re.Pattern[str]:
    # Python's re has no class for marks; it is written once, at the first text
    marks = "".join(chr(code) for codes in _MARKS for code in codes if unicodedata.category(chr(code))[0] == "M")
    letter = f"[^\\W_{_HAN_HIRAGANA}]"
    return re.compile(f"[{_HAN_HIRAGANA}][{marks}]*|{letter}(?:{letter}|[{marks}])*")
