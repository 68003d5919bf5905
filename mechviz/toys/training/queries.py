"""Queries made from passages, to train on where real ones are few."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mechviz.text.words import STOPWORDS, words

#: How people ask for a thing.
_FRAMES = (
    "what is {}", "define {}", "{} definition", "meaning of {}", "what does {} mean", "how does {} work", "why is {}",
    "types of {}", "what causes {}", "where is {}", "who is {}", "how to {}", "{} facts", "cost of {}", "is {} good",
)  # fmt: skip
#: Shares of words that say much, framed spans, windows, and sentences.
_KINDS = (0.40, 0.35, 0.15, 0.10)


def make_queries(text: str, idf: Mapping[str, float], n: int, random: np.random.Generator) -> list[str]:
    """Return up to ``n`` queries that a passage answers: its rare words, questions for a few of its words, and stretches of it.

    Parameters
    ----------
    text : str
    idf : mapping of term to float
        Rare words are drawn more often.
    n : int
    random : numpy.random.Generator
    """
    found = [text[start:end].lower() for start, end in words(text)]
    telling = [place for place, word in enumerate(found) if word not in STOPWORDS and len(word) > 1]
    if len(telling) < 2:
        return []
    weights = np.array([idf.get(found[place], 1.0) for place in telling])
    weights = weights / weights.sum()
    made = []
    for kind in random.choice(4, size=n, p=_KINDS):
        if kind == 0:
            count = min(int(random.integers(1, 6)), len(telling))
            chosen = sorted(random.choice(telling, size=count, replace=False, p=weights))
            made.append(" ".join(dict.fromkeys(found[place] for place in chosen)))
        elif kind == 1:
            start = int(random.choice(telling, p=weights))
            frame = _FRAMES[int(random.integers(len(_FRAMES)))]
            made.append(frame.format(_span(found, start, int(random.integers(1, 4)))))
        else:
            length = int(random.integers(4, 9)) if kind == 2 else int(random.integers(9, 15))
            start = int(random.integers(0, max(1, len(found) - length + 1)))
            made.append(" ".join(found[start : start + length]))
    return made


def _span(found: Sequence[str], start: int, length: int) -> str:
    """Return some words from ``start`` on, without stop words at its end."""
    span = list(found[start : start + length])
    while len(span) > 1 and span[-1] in STOPWORDS:
        span.pop()
    return " ".join(span)
