"""What is explained: the score, or what the score means beside other documents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mechviz.errors import InputError, InputTypeError, shown
from mechviz.probes.words.masking import Floats
from mechviz.rankers.checks import check_docs
from mechviz.text.checks import check_text

#: From (queries, docs), lists of as many texts, to a number for each pair.
OwnTarget = Callable[[list[str], list[str]], Any]


@dataclass(frozen=True)
class Target:
    """A number that is made of the score and of the scores of other documents.

    Attributes
    ----------
    name : str
    unit : str
        What one is, in words.
    combine : callable
        Takes the document's scores, dims (sample), and the others', dims (sample, other); returns numbers, dims (sample).
    others : tuple of str
        The other documents.
    smooth : bool
        Whether it has a gradient.
    function : callable or None
        The user's own, which is given texts in place of scores.
    """

    name: str
    unit: str
    combine: Callable[[Floats, Floats], Floats]
    others: tuple[str, ...] = ()
    smooth: bool = False
    function: OwnTarget | None = None

    def check(self, doc: str) -> None:
        """Refuse a document that is one of its own competitors."""
        if doc in self.others:
            raise InputError(f"{self.name}: the document itself is among the others; leave it out of the list")


SCORE = Target("score", "score", lambda own, others: own, smooth=True)


def rank_among(docs: Sequence[str]) -> Target:
    """Explain the rank among other documents.

    The number is *minus* the rank, so that more is better as in every target: -1 is the top. The rank is 1 + the number of
    others that score higher.

    Parameters
    ----------
    docs : sequence of str
        The others, without the document that is explained.

    Raises
    ------
    InputError, InputTypeError
        No list of texts, or an empty one.
    """
    others = _others(docs)
    return Target(f"rank among {len(others) + 1}", "places (minus the rank)", lambda own, theirs: -_ranks(own, theirs), others)


def top_k(docs: Sequence[str], k: int) -> Target:
    """Explain whether the document is among the first k: 1 if so, else 0.

    Parameters
    ----------
    docs : sequence of str
        The others, without the document that is explained.
    k : int
        From 1 to their number.

    Raises
    ------
    InputError, InputTypeError
        No list of texts, or a k with which every document is in, or none.
    """
    others = _others(docs)
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= len(others):
        raise InputError(f"k={shown(k)}; give a whole number from 1 to {len(others)}, the number of other documents")
    return Target(
        f"top {k} of {len(others) + 1}",
        f"membership of the top {k}",
        lambda own, theirs: (_ranks(own, theirs) <= k).astype(np.float64),
        others,
    )


def margin_to(other: str) -> Target:
    """Explain the score minus that of another document.

    Raises
    ------
    InputError, InputTypeError
        No text.
    """
    text = check_text("other", other)
    return Target("margin", "score minus the other document's", lambda own, theirs: own - theirs[:, 0], (text,), smooth=True)


def target_of(given: object) -> Target:
    """Return a target from what a user gave: ``"score"``, a `Target`, or a function of (queries, docs).

    Raises
    ------
    InputError, InputTypeError
    """
    if isinstance(given, Target):
        return given
    if isinstance(given, str):
        if given != "score":
            raise InputError(
                f"target={shown(given)}; give 'score', rank_among(docs), top_k(docs, k), margin_to(doc), or a function of "
                "(queries, docs)"
            )
        return SCORE
    if not callable(given):
        raise InputTypeError(
            f"a target is 'score', rank_among(docs), top_k(docs, k), margin_to(doc) or a function, not {shown(given)}"
        )
    name = str(getattr(given, "__name__", "function"))
    return Target(name, name, SCORE.combine, function=given)


def called(function: OwnTarget, queries: list[str], docs: list[str]) -> Floats:
    """Call a user's target.

    Raises
    ------
    InputError
        It did not return one finite number a pair.
    """
    name = getattr(function, "__name__", "function")
    try:
        found: NDArray[np.float64] = np.asarray(function(queries, docs), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"the target {name} failed on {len(docs)} pairs: {error}") from error
    if found.shape != (len(docs),) or not np.isfinite(found).all():
        raise InputError(f"the target {name} returned {shown(found)} for {len(docs)} pairs; return one finite number each")
    return found


def _ranks(own: Floats, theirs: Floats) -> Floats:
    ranks: Floats = 1.0 + (theirs > own[:, None]).sum(axis=1)
    return np.where(np.isnan(own), np.nan, ranks)


def _others(docs: Sequence[str]) -> tuple[str, ...]:
    others = [check_text(f"docs[{number}]", doc) for number, doc in enumerate(check_docs(docs))]
    if not others:
        raise InputError("docs is empty; give at least one other document")
    return tuple(others)
