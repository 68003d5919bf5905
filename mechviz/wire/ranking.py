"""Documents in a ranker's order, before and after a change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mechviz.results import PatchResult, RankingResult

#: Characters of a document that the list shows.
_SNIPPET = 160


def snippet(text: str) -> str:
    """Return the beginning of a text, cut at a word where it is long."""
    flat = " ".join(text.split())
    if len(flat) <= _SNIPPET:
        return flat
    return flat[:_SNIPPET].rsplit(" ", 1)[0] + " …"


def pack_rivals(result: PatchResult, numbers: Sequence[int] | None = None) -> dict[str, Any] | None:
    """Return the list that a patched document stands in; None where there are no competitors.

    ``numbers`` are the competitors' in the list that was given, which may hold the document itself, too.
    """
    if not result.competitors.size:
        return None
    pair = result.pair
    known_as = numbers or range(result.competitors.shape[1])
    documents = [
        {
            "name": f"doc {known_as[number] + 1}",
            "text": snippet(result.docs[number]) if result.docs else "",
            "original": float(original),
            "perturbed": float(perturbed),
            "moved": False,
            "grade": None,
        }
        for number, (original, perturbed) in enumerate(result.competitors.T)
    ]
    own = {
        "name": "this document",
        "text": snippet(pair.doc),
        "original": pair.original_score,
        "perturbed": pair.perturbed_score,
        "moved": True,
        "grade": None,
    }
    return {"documents": [*documents, own], "overlap": None, "ndcg": None, "compared": True}


def pack_ranking(result: RankingResult) -> dict[str, Any]:
    """Return the spec of a list of documents."""
    after = result.original if result.perturbed is None else result.perturbed
    documents = [
        {
            "name": f"doc {number + 1}",
            "text": snippet(doc),
            "original": float(result.original[number]),
            "perturbed": float(after[number]),
            "moved": bool(result.changed[number]),  # type: ignore[index]
            "grade": None if result.grades is None else int(result.grades[number]),
        }
        for number, doc in enumerate(result.docs)
    ]
    return {
        "documents": documents,
        "overlap": None if result.perturbed is None else result.overlap(),
        "ndcg": None if result.grades is None else [result.ndcg(), result.ndcg(perturbed=True)],
        "compared": result.perturbed is not None,
    }
