"""Perturbations that put the parts of a text in another order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mechviz.errors import InputError, shown
from mechviz.text.perturb.base import Perturbation
from mechviz.text.perturb.changes import Replacement
from mechviz.text.perturb.rewrites import Rewrite, check_seed, chunks, drawn_order, draws
from mechviz.text.sentences import sentences
from mechviz.text.words import words


def shuffle_words(seed: int = 0) -> Perturbation:
    """Put the words in a random order, which depends on the seed and the text alone.

    Words are split at white space, as in `insert`: punctuation goes with the word that it is written onto, and the white
    space between the words stays where it is.

    Raises
    ------
    InputError
        When applied to a text without two different words.
    """
    seed = check_seed("shuffle_words", seed)
    return Perturbation(_ShuffleWords(seed), f"shuffle_words(seed={seed})")


def shuffle_sentences(seed: int = 0) -> Perturbation:
    """Put the sentences in a random order, which depends on the seed and the text alone.

    What a sentence is says `mechviz.text.sentences`. The white space between the sentences stays where it is; where there
    is none, and a sentence without an end mark comes before another one, a space is added.

    Raises
    ------
    InputError
        When applied to a text without two different sentences.
    """
    seed = check_seed("shuffle_sentences", seed)
    return Perturbation(_ShuffleSentences(seed), f"shuffle_sentences(seed={seed})")


@dataclass(frozen=True)
class _ShuffleWords(Rewrite):
    seed: int

    def replacements(self, text: str, other: str | None) -> Iterator[Replacement]:
        spans = chunks(text)
        pieces = _different("shuffle_words", "words", text, spans)
        for (start, end), at in zip(spans, drawn_order(pieces, draws(self.seed, text)), strict=True):
            yield Replacement(start, end, pieces[at])


@dataclass(frozen=True)
class _ShuffleSentences(Rewrite):
    seed: int

    def replacements(self, text: str, other: str | None) -> Iterator[Replacement]:
        spans = sentences(text)
        pieces = _different("shuffle_sentences", "sentences", text, spans)
        order = drawn_order(pieces, draws(self.seed, text))
        for (start, end), (following, _), at in zip(spans, [*spans[1:], (len(text) + 1, 0)], order, strict=True):
            space = " " if following == end and _ends_in_a_word(pieces[at]) else ""
            yield Replacement(start, end, pieces[at] + space)


def _ends_in_a_word(piece: str) -> bool:
    return bool(found := words(piece)) and found[-1][1] == len(piece)


def _different(kind: str, what: str, text: str, spans: list[tuple[int, int]]) -> list[str]:
    pieces = [text[start:end] for start, end in spans]
    if len(set(pieces)) < 2:
        raise InputError(f"{kind}: {shown(text)} does not hold two different {what}: there is nothing to put in another order")
    return pieces
