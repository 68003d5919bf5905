"""One query and one document, as a collection holds them: no ranker has seen them yet."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mechviz.errors import InputError, shown
from mechviz.text.checks import check_text

SIDES = ("doc", "query")


@dataclass(frozen=True)
class TextPair:
    """A query and a document, what is known of them, and, where there is one, the perturbed copy of one of the two.

    Attributes
    ----------
    query, doc : str
    perturbed : str or None
        The perturbed copy of the text that ``side`` names; None where nothing has been perturbed yet.
    side : ``"doc"`` or ``"query"``
    query_id, doc_id : str
        As in the collection; empty where it has none.
    grade : int or None
        Relevance, from qrels.
    rank : int or None
        The document's rank in a run, 1 the best.
    run_score : float or None
        Its score in that run.
    perturbation : str
        Name of what was done, such as ``TFC1``; empty where nothing was, or nobody said.
    preferred : int
        Which of the two texts an axiom prefers: 1 the perturbed one, -1 the original; 0 where no axiom speaks.
    reason : str
        Why there is no perturbed text although one was wanted; empty otherwise. Such a pair is counted, not patched.

    Raises
    ------
    InputError, InputTypeError
        A text that is empty or no text; a side that does not exist.
    """

    query: str
    doc: str
    perturbed: str | None = None
    side: str = "doc"
    query_id: str = ""
    doc_id: str = ""
    grade: int | None = None
    rank: int | None = None
    run_score: float | None = None
    perturbation: str = ""
    preferred: int = 0
    reason: str = ""

    def __post_init__(self) -> None:
        check_text("query", self.query)
        check_text("doc", self.doc)
        if self.perturbed is not None:
            check_text("perturbed", self.perturbed)
        if self.side not in SIDES:
            raise InputError(f"side={shown(self.side)}; it is one of {', '.join(map(repr, SIDES))}")

    @property
    def original(self) -> str:
        """The text that ``perturbed`` is a copy of."""
        return self.doc if self.side == "doc" else self.query

    def with_perturbed(
        self, perturbed: str, perturbation: str = "", side: str = "doc", preferred: int = 0, doc: str | None = None
    ) -> TextPair:
        """Return the pair with a perturbed copy, and another document where the perturbation needed one."""
        return replace(
            self,
            doc=self.doc if doc is None else doc,
            perturbed=perturbed,
            perturbation=perturbation,
            side=side,
            preferred=preferred,
            reason="",
        )

    def without_perturbed(self, reason: str, perturbation: str = "") -> TextPair:
        """Return the pair marked as one that could not be perturbed."""
        return replace(self, perturbed=None, perturbation=perturbation, reason=reason)
