"""Synonyms from a wordnet, through the package ``wn``."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from mechviz.errors import InputError, MechvizError, shown
from mechviz.text.checks import check_text
from mechviz.text.perturb.rewrites import check_count
from mechviz.text.words import terms

_KINDS = "nvarscptxu"


def wordnet(lexicon: str = "oewn:2024", pos: str | None = None, senses: int | None = 1) -> WordNet:
    """Open a wordnet as a table of synonyms for `synonym`: ``synonym(wordnet(), which="query")``.

    The synonyms of a word are the other words of its synsets. A word is looked up as it stands in the text, so ``volcanoes``
    is found only where the lexicon has that form. The database is that of ``wn.config``, opened for the thread that asks
    first; set ``wn.config.allow_multithreading`` to ask in others.

    Parameters
    ----------
    lexicon : str
        As the package ``wn`` names it; by default the Open English WordNet.
    pos : str, optional
        Part of speech, ``"n"``, ``"v"``, ``"a"`` or ``"r"``; by default any.
    senses : int or None
        How many senses of the word, in the lexicon's order, the first the commonest; None for all.

    Raises
    ------
    MechvizError
        The package or the lexicon is not installed; the message has the command.
    """
    if pos is not None and (not isinstance(pos, str) or len(pos) != 1 or pos not in _KINDS):
        raise InputError(f"wordnet(pos) is {shown(pos)}; it is one of 'n', 'v', 'a', 'r', or None for any")
    _opened(check_text("wordnet(lexicon)", lexicon))
    return WordNet(lexicon, pos, None if senses is None else check_count("wordnet(senses)", senses, least=1))


@dataclass(frozen=True)
class WordNet:
    """The synonyms of a wordnet: called with a term, it returns a tuple of words."""

    lexicon: str
    pos: str | None
    senses: int | None

    def __call__(self, term: str) -> tuple[str, ...]:
        """Return the synonyms, each once, in the lexicon's order."""
        return _synonyms(_opened(self.lexicon), term, self.pos, self.senses)

    def __repr__(self) -> str:
        return f"wordnet({self.lexicon!r})"


def _opened(lexicon: str) -> Any:
    try:
        wn: Any = importlib.import_module("wn")
    except ImportError:
        raise MechvizError(
            f'wordnet needs the package wn and a lexicon: pip install "mechviz-ir[wordnet]", then python -m wn download {lexicon}'
        ) from None
    return _lexicon(wn, lexicon, str(wn.config.database_path))


@lru_cache(maxsize=8)
def _lexicon(wn: Any, lexicon: str, database: str) -> Any:
    try:
        return wn.Wordnet(lexicon)
    except wn.Error as error:
        raise MechvizError(
            f"the lexicon {shown(lexicon)} is not in wn's database {database} ({error}); python -m wn download {lexicon}"
        ) from error


@lru_cache(maxsize=1 << 16)  # a query to the database takes a millisecond, and texts repeat their words
def _synonyms(lexicon: Any, term: str, pos: str | None, senses: int | None) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for word in lexicon.words(term, pos):
        for sense in word.senses()[:senses]:
            found.update({lemma.replace("_", " "): None for lemma in sense.synset().lemmas()})
    return tuple(lemma for lemma in found if terms(lemma) != terms(term))
