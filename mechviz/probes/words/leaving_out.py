"""Taking words away one at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mechviz.probes.words.masking import DELETE, Floats, Masks
from mechviz.probes.words.result import WordExplanation, explanation
from mechviz.probes.words.scoring import Game, game_of
from mechviz.rankers.ranker import Ranker


def occlusion(
    ranker: Ranker,
    query: str,
    doc: str,
    target: Any = "score",
    masker: str | None = DELETE,
    unit: str = "word",
    side: str = "doc",
    **options: Any,
) -> WordExplanation:
    """Return how the target changes when one word is taken away.

    Parameters
    ----------
    ranker : Ranker
    query, doc : str
    target : ``"score"``, Target or callable
        ``"score"``; `rank_among`, `top_k` or `margin_to`; or a function of (queries, docs) that returns a number a pair.
    masker : str or None
        What takes the place of a word: ``"delete"`` (nothing), ``"[MASK]"`` or ``"[PAD]"`` (of each of its tokens; the latter
        is hidden from attention), or any word. None for ``"[MASK]"``, or ``"a"`` where there is none.
    unit : ``"word"``, ``"term"`` (all occurrences of a word at once) or ``"sentence"``
    side : ``"doc"`` or ``"query"``
        Whose words are taken away.
    **options
        ``batch_size`` (32) and ``truncate`` (False: a document that is too long is an error).

    Returns
    -------
    WordExplanation
        A word's value is the target of the whole text minus that of the text without the word; NaN for the only word of a
        text that is deleted.

    Raises
    ------
    InputError, InputTypeError
    """
    return occluded(game_of(ranker, query, doc, target, masker, unit, side, **options))


def leave_one_term(
    ranker: Ranker, query: str, doc: str, target: Any = "score", masker: str | None = DELETE, **options: Any
) -> WordExplanation:
    """Return how the target changes when all occurrences of a term are taken away at once; see `occlusion`."""
    return occluded(game_of(ranker, query, doc, target, masker, "term", **options))


def occluded(game: Game) -> WordExplanation:
    """Explain by occlusion what is in hand."""
    method = "leave one term" if game.unit == "term" else "occlusion"
    return explanation(game, method, occlusion_values(game, game.n))


def occlusion_values(function: Callable[[Masks], Floats], n: int) -> Floats:
    """Return function(all) - function(all but one), dims (unit).

    Parameters
    ----------
    function : callable
        Takes which of n units are there, boolean, dims (sample, unit); returns numbers, dims (sample).
    n : int
    """
    found = function(np.vstack([np.ones((1, n), dtype=np.bool_), ~np.eye(n, dtype=np.bool_)]))
    values: Floats = found[0] - found[1:]
    return values
