"""The texts that tests run on: the project's own collection, and real pairs where they are at hand."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest

FIXTURES = Path(__file__).parent / "fixtures"


def docs() -> dict[str, str]:
    return _tsv("docs.tsv")


def queries() -> dict[str, str]:
    return _tsv("queries.tsv")


def qrels() -> list[tuple[str, str, int]]:
    lines = (FIXTURES / "collection" / "qrels").read_text(encoding="utf-8").splitlines()
    return [(query, doc, int(grade)) for query, _, doc, grade in (line.split() for line in lines)]


def judged_pairs() -> list[tuple[str, str]]:
    """Every judged (query, document) of the collection, as texts."""
    documents, questions = docs(), queries()
    return [(questions[query], documents[doc]) for query, doc, _ in qrels()]


def real_pairs(limit: int) -> list[tuple[str, str]]:
    """Real (query, passage) pairs, spread over the file; skips where MECHVIZ_DATA does not lead to them."""
    folder = os.environ.get("MECHVIZ_DATA")
    if not folder:
        pytest.skip("MECHVIZ_DATA is not set: no real pairs on this machine")
    path = Path(folder) / "trecdl" / "pairs.tsv"
    if not path.exists():
        pytest.skip("MECHVIZ_DATA has no trecdl/pairs.tsv")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    return [(row["query"], row["text"]) for row in rows[:: max(1, len(rows) // limit)][:limit]]


def _tsv(name: str) -> dict[str, str]:
    lines = (FIXTURES / "collection" / name).read_text(encoding="utf-8").splitlines()
    return dict(line.split("\t", 1) for line in lines)
