"""Judgements and runs name queries and documents; here they meet the texts."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mechviz.corpora.dropped import Dropped
from mechviz.corpora.text_pair import TextPair
from mechviz.errors import InputTypeError, shown

#: How many documents are asked for at once.
BATCH = 64
ON_MISSING = ("drop", "raise")


class Judgement(NamedTuple):
    """One line of qrels."""

    query_id: str
    doc_id: str
    grade: int


class Retrieved(NamedTuple):
    """One line of a run."""

    query_id: str
    doc_id: str
    score: float


class Row(NamedTuple):
    """A query and a document by name, and what is known of them."""

    query_id: str
    doc_id: str
    grade: int | None = None
    rank: int | None = None
    run_score: float | None = None


Qrels = Callable[[], Iterable[Judgement]]
Run = Callable[[], Iterable[Retrieved]]
#: Ids -> the texts of those that there are.
Fetch = Callable[[list[str]], Mapping[str, str]]


def judged_rows(qrels: Qrels, run: Run | None) -> Iterator[Row]:
    """Yield the pairs of qrels in their order, with rank and score where a run has them."""
    found: dict[tuple[str, str], tuple[int | None, float]] = {}
    if run is not None:
        wanted = {(one.query_id, one.doc_id) for one in qrels()}
        found = {one[:2]: (rank, one.score) for one, rank in ranked(run) if one[:2] in wanted}
    for query_id, doc_id, grade in qrels():
        yield Row(query_id, doc_id, grade, *found.get((query_id, doc_id), (None, None)))


def run_rows(run: Run, qrels: Qrels | None) -> Iterator[Row]:
    """Yield the pairs of a run in its order, with their grade where qrels have one; the first counts."""
    grades: dict[str, dict[str, int]] = {}
    for query_id, doc_id, grade in () if qrels is None else qrels():
        grades.setdefault(query_id, {}).setdefault(doc_id, grade)
    for (query_id, doc_id, score), rank in ranked(run):
        yield Row(query_id, doc_id, grades.get(query_id, {}).get(doc_id), rank, score)


def ranked(run: Run) -> Iterator[tuple[Retrieved, int | None]]:
    """Yield the lines of a run with their ranks, which follow from the scores alone, as in trec_eval.

    The run is read twice, since its lines may come in any order; of the first reading, eight bytes a line are held.
    """
    scores: dict[str, array[float]] = {}
    for one in run():
        scores.setdefault(one.query_id, array("d")).append(one.score)
    ranks = {query_id: _ranks(np.asarray(of_query)) for query_id, of_query in scores.items()}
    places: Counter[str] = Counter()
    for one in run():
        of_query = ranks[one.query_id]
        yield one, None if of_query is None else int(of_query[places[one.query_id]])
        places[one.query_id] += 1


def _ranks(scores: NDArray[np.float64]) -> NDArray[np.int32] | None:
    """Return ranks from 1; equal scores keep the order of the run; none where all are equal: such a run has no order."""
    if len(scores) > 1 and (scores == scores[0]).all():
        return None
    ranks = np.empty(len(scores), dtype=np.int32)
    ranks[np.argsort(-scores, kind="stable")] = np.arange(1, len(scores) + 1)
    return ranks


def with_texts(
    rows: Iterable[Row], queries: Mapping[str, str], fetch: Fetch, once: bool, on_missing: str, dropped: Dropped
) -> Iterator[TextPair]:
    """Yield the pairs whose texts there are; the others are counted, or raised.

    With ``once``, a pair that comes again is counted and not yielded: some qrels judge a pair several times.

    White space at both ends of a text is dropped: it is the layout of the file.

    Raises
    ------
    InputError
        ``on_missing`` is ``"raise"`` and a text is missing or empty.
    InputTypeError
        A text that is none.
    """
    rows = iter(rows)
    seen: set[tuple[str, str]] = set()
    while batch := list(islice(rows, BATCH)):
        docs = fetch(list(dict.fromkeys(row.doc_id for row in batch)))
        for row in batch:
            query = _checked("query", row.query_id, queries.get(row.query_id))
            doc = _checked("document", row.doc_id, docs.get(row.doc_id))
            example = f"query {row.query_id}, document {row.doc_id}"
            if row[:2] in seen:
                dropped.add("judged again", example)
            elif query is None:
                dropped.add("the query is not in the collection", example, on_missing)
            elif doc is None:
                dropped.add("the document is not in the collection", example, on_missing)
            elif not query.strip():
                dropped.add("the query has no text", example, on_missing)
            elif not doc.strip():
                dropped.add("the document has no text", example, on_missing)
            else:
                if once:
                    seen.add(row[:2])
                yield TextPair(query.strip(), doc.strip(), **row._asdict())


def _checked(what: str, name: str, text: object) -> str | None:
    if text is not None and not isinstance(text, str):
        raise InputTypeError(f"the text of {what} {name} is {shown(text)}, a {type(text).__name__}; give a string")
    return text
