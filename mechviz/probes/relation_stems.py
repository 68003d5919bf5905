"""A light stemmer for English: plural, -ed, -ing and a final e off, no more (steps 1 and 5a of Porter 1980).

>>> [stem(word) for word in ("springs", "warming", "heated", "cities", "glass", "running")]
['spring', 'warm', 'heat', 'citi', 'glass', 'run']
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

_VOWELS = frozenset("aeiou")


@lru_cache(maxsize=65536)
def stem(word: str) -> str:
    """Return the stem of a casefolded word (M. F. Porter, An algorithm for suffix stripping, Program 14(3), 1980).

    Only inflection is taken off: ``connection`` and ``connect`` keep apart. A final ``y`` after a consonant becomes ``i``, so
    that ``city`` and ``cities`` meet.
    """
    if len(word) < 3:
        return word
    word = _plural(word)
    if word.endswith("eed"):
        word = word[:-1] if _measure(word[:-3]) > 0 else word
    else:
        for suffix in ("ed", "ing"):
            if word.endswith(suffix) and _has_vowel(word[: -len(suffix)]):
                word = _mended(word[: -len(suffix)])
                break
    if word.endswith("y") and _has_vowel(word[:-1]):
        return word[:-1] + "i"
    return word[:-1] if word.endswith("e") and _may_lose_e(word[:-1]) else word


def _may_lose_e(word: str) -> bool:
    return _measure(word) > 1 or (_measure(word) == 1 and not _short(word))


def _plural(word: str) -> str:
    if word.endswith(("sses", "ies")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith("ss") else word


def _mended(word: str) -> str:
    if word.endswith(("at", "bl", "iz")):
        return word + "e"
    if len(word) > 1 and word[-1] == word[-2] and not _is_vowel(word, len(word) - 1) and word[-1] not in "lsz":
        return word[:-1]
    return word + "e" if _measure(word) == 1 and _short(word) else word


def _short(word: str) -> bool:
    """Whether a word ends in consonant, vowel, consonant, the last of which is not w, x or y."""
    if len(word) < 3 or word[-1] in "wxy":
        return False
    end = len(word) - 1
    return not _is_vowel(word, end) and _is_vowel(word, end - 1) and not _is_vowel(word, end - 2)


def _is_vowel(word: str, at: int) -> bool:
    return word[at] in _VOWELS or (word[at] == "y" and at > 0 and not _is_vowel(word, at - 1))


def _has_vowel(word: str) -> bool:
    return any(_is_vowel(word, at) for at in range(len(word)))


def _measure(word: str) -> int:
    """How often a consonant follows a vowel."""
    kinds = [_is_vowel(word, at) for at in range(len(word))]
    return sum(before and not here for before, here in pairwise(kinds))
