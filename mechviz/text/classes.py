"""What each position of a pair is to the perturbation and to the query."""

from __future__ import annotations

import re
from collections.abc import Iterable

from mechviz.text.align import Alignment
from mechviz.text.tokens import Tokens

#: In the order in which they are given; the classes of Chen, Merullo and Eickhoff (SIGIR 2024), and those of the parts that a
#: document's tokens have no share in.
TOKEN_CLASSES = ("cls", "sep", "pad", "prompt", "injected", "query", "injected_term", "query_term", "other")


def token_classes(base: Tokens, source: Tokens, alignment: Alignment, query: str) -> tuple[str, ...]:
    """Return the class of each position, one of `TOKEN_CLASSES`.

    ``injected`` is where the two texts differ; ``query`` a query beside the document; of the document's other words
    ``injected_term`` are those of the query that the perturbation wrote (or took away) elsewhere too, ``query_term`` the
    query's other words, and ``other`` the rest. ``cls``, ``sep``, ``pad`` and ``prompt`` are those segments. Words are
    compared without regard to case.

    Parameters
    ----------
    base, source : Tokens
        The two runs, equally long.
    alignment : Alignment
        Its rows are their positions.
    query : str
    """
    changed = set(alignment.changed().tolist())
    words = [_words(tokens) for tokens in (base, source)]
    wanted = _terms([query])
    injected = _terms(word for one in words for row, word in enumerate(one) if row in changed) & wanted

    def name(row: int, segment: str, word: str) -> str:
        if segment not in ("query", "doc"):
            return segment
        if row in changed:
            return "injected"
        if segment == "query":
            return "query"
        terms = _terms([word])
        if terms & injected:
            return "injected_term"
        return "query_term" if terms & wanted else "other"

    return tuple(name(row, *one) for row, one in enumerate(zip(base.segments, words[0], strict=True)))


def _words(tokens: Tokens) -> list[str]:
    """Return the whole word that each position is part of; nothing for a filler."""
    parts: dict[tuple[str, int], list[str]] = {}
    keys = [(segment, int(word)) for segment, word in zip(tokens.segments, tokens.words, strict=True)]
    for key, label in zip(keys, tokens.labels, strict=True):
        parts.setdefault(key, []).append(label)
    whole = {key: "".join(labels) for key, labels in parts.items()}
    return [
        whole[key] if key[1] >= 0 else "" if filler else label
        for key, label, filler in zip(keys, tokens.labels, tokens.fillers, strict=True)
    ]


def _terms(texts: Iterable[str]) -> set[str]:
    return {term for text in texts for term in re.findall(r"\w+", text.casefold())}
