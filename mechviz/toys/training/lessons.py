"""What a toy is taught: queries, passages, and the score that each pair should get."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from tqdm.auto import tqdm

from mechviz.corpora import TextPair
from mechviz.errors import InputError
from mechviz.rankers import Dot
from mechviz.text.statistics import TermStatistics
from mechviz.text.words import STOPWORDS, terms, words
from mechviz.toys.training.queries import make_queries

#: Words of a passage that are read; the rest is cut.
WORDS = 64
#: Queries made from a judged passage, and from each further text.
MADE, MADE_FROM_MORE = 8, 2
#: Passages that the teacher finds most like a query, of which some are shown beside its own.
NEAREST = 60
#: How soon the lexical score saturates: tf / (tf + k).
SATURATION = 0.7
#: Seed of the queries that are made: the same ones whatever a training's own seed.
_SEED = 0

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Lessons:
    """Queries and passages, the score wanted of a pair, and judgements.

    Attributes
    ----------
    docs, queries : list of str
    source : int array, dims (query)
        The passage that a query was made from; -1 for real queries, which come last.
    near : int array, dims (query, neighbour)
        Passages most like a query.
    graded : list of (query, docs, grades)
        Judgements of a real query: its number, the numbers of its passages, and their grades.
    doc_vectors, query_vectors : float32 array, dims (text, dim)
        The teacher's, of length 1; of width 0 without a teacher.
    doc_weights : sparse array, dims (doc, term)
        idf x tf / (tf + k).
    query_terms, query_weights : sparse array, dims (query, term)
        1 where a query has a term, over the largest sum that it could reach; and queries weighted as passages are.
    lexical : float
        Weight of the lexical score beside the teacher's cosine.
    """

    docs: list[str]
    queries: list[str]
    source: Numbers
    near: Numbers
    graded: list[tuple[int, Numbers, Numbers]]
    doc_vectors: NDArray[np.float32]
    query_vectors: NDArray[np.float32]
    doc_weights: sparse.csr_array
    query_terms: sparse.csr_array
    query_weights: sparse.csr_array
    lexical: float

    @property
    def n_made(self) -> int:
        """How many queries were made; the real ones follow."""
        return int((self.source >= 0).sum())

    def wanted(self, queries: Numbers, docs: Numbers, short: bool = False) -> NDArray[np.float32]:
        """Return the score wanted of pairs, dims (pair): the teacher's cosine and ``lexical`` times a lexical score.

        With ``short``, ``docs`` are numbers of queries, which stand for passages.
        """
        vectors, weights = (self.query_vectors, self.query_weights) if short else (self.doc_vectors, self.doc_weights)
        cosine = (self.query_vectors[queries] * vectors[docs]).sum(1)
        lexical = self.query_terms[queries].multiply(weights[docs]).sum(1)
        return np.asarray(cosine + self.lexical * np.asarray(lexical).ravel(), np.float32)

    def all_wanted(self, queries: Numbers, docs: Numbers) -> NDArray[np.float32]:
        """Return the score wanted of every query with every passage, dims (query, doc)."""
        cosine = self.query_vectors[queries] @ self.doc_vectors[docs].T
        lexical = (self.query_terms[queries] @ self.doc_weights[docs].T).toarray()
        return np.asarray(cosine + self.lexical * lexical, np.float32)


def prepare(
    pairs: Sequence[TextPair],
    texts: Iterable[str],
    teacher: Dot | None,
    lexical: float,
    cache: Path | None = None,
    progress: bool = False,
) -> Lessons:
    """Make lessons from judged pairs and further texts.

    Raises
    ------
    InputError
        No pair, no grade, or only one grade; passages without words that say anything.
    """
    graded = [pair for pair in pairs if pair.grade is not None]
    grades = {pair.grade for pair in graded}
    if not graded:
        raise InputError(f"there is no pair with a grade to learn from ({len(pairs)} pairs given); give judged pairs")
    if len(grades) == 1:
        raise InputError(f"all {len(graded)} pairs have grade {grades.pop()}; a ranker learns from pairs of two grades or more")
    judged = list(dict.fromkeys(_cut(pair.doc) for pair in graded))
    docs = list(dict.fromkeys([*judged, *map(_cut, texts)]))
    statistics = TermStatistics.of(docs)
    idf = {term: statistics.idf(term) for term in statistics.document_frequencies}
    random = np.random.default_rng(_SEED)
    made = [
        (query, number)
        for number, doc in enumerate(docs)
        for query in make_queries(doc, idf, MADE if number < len(judged) else MADE_FROM_MORE, random)
    ]
    if not made:
        raise InputError(
            f"no query could be made from {len(docs)} passages; give passages of at least two words that are no stop words"
        )
    numbers = {doc: number for number, doc in enumerate(docs)}
    by_query: dict[str, dict[int, int]] = {}
    for pair in graded:
        by_query.setdefault(pair.query, {})[numbers[_cut(pair.doc)]] = int(pair.grade or 0)
    queries = [query for query, _ in made] + list(by_query)
    source = np.array([number for _, number in made] + [-1] * len(by_query))
    of_docs, of_queries = (vectors(teacher, *some, cache, progress) for some in (("doc", docs), ("query", queries)))
    columns = {term: column for column, term in enumerate(sorted(idf))}
    rarity = np.array([0.0 if term in STOPWORDS else idf[term] for term in columns])
    doc_weights, query_weights = (_weights(some, columns, rarity) for some in (docs, queries))
    terms_of = sparse.csr_array(query_weights > 0).astype(np.float32)
    most = terms_of @ rarity / (1 + SATURATION)
    query_terms = sparse.csr_array(sparse.diags_array(1 / np.maximum(most, 1e-6)) @ terms_of)
    return Lessons(
        docs,
        queries,
        source,
        _near(of_queries, of_docs, query_terms, doc_weights),
        [(len(made) + row, np.array(list(found)), np.array(list(found.values()))) for row, found in enumerate(by_query.values())],
        of_docs,
        of_queries,
        doc_weights,
        query_terms,
        query_weights,
        lexical,
    )


def _cut(text: str) -> str:
    spans = words(text)
    return text if len(spans) <= WORDS else text[: spans[WORDS - 1][1]]


def _weights(texts: Sequence[str], columns: dict[str, int], rarity: NDArray[np.float64]) -> sparse.csr_array:
    """Return idf x tf / (tf + k), dims (text, term)."""
    row, column, value = [], [], []
    for number, text in enumerate(texts):
        for term, count in Counter(term for term in terms(text) if term in columns).items():
            row.append(number)
            column.append(columns[term])
            value.append(count / (count + SATURATION))
    found = sparse.csr_array((value, (row, column)), shape=(len(texts), len(columns)), dtype=np.float32)
    return sparse.csr_array(found @ sparse.diags_array(rarity.astype(np.float32)))


def _near(
    queries: NDArray[np.float32], docs: NDArray[np.float32], terms_of: sparse.csr_array, weights: sparse.csr_array
) -> Numbers:
    """Return the passages most like each query, dims (query, neighbour): by the teacher, or by words where there is none."""
    count = min(NEAREST, len(docs))
    found = []
    for start in range(0, len(queries), 512):
        rows = slice(start, start + 512)
        alike = queries[rows] @ docs.T if docs.shape[1] else (terms_of[rows] @ weights.T).toarray()
        found.append(np.argpartition(-alike, count - 1, axis=1)[:, :count])
    return np.concatenate(found)


def vectors(
    teacher: Dot | None, stack: str, texts: Sequence[str], cache: Path | None = None, progress: bool = False
) -> NDArray[np.float32]:
    """Return the teacher's vectors of texts, of length 1, dims (text, dim), kept in ``cache``; of width 0 without a teacher."""
    if teacher is None:
        return np.zeros((len(texts), 0), np.float32)
    digest = hashlib.sha256("\0".join([teacher.weight_hash(), stack, *texts]).encode()).hexdigest()[:16]
    kept = None if cache is None else cache / f"{stack}-{digest}.npy"
    if kept is not None and kept.exists():
        return np.asarray(np.load(kept))
    found = _encoded(teacher, stack, texts, progress)
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.save(kept, found)
    return found


@torch.no_grad()
def _encoded(teacher: Dot, stack: str, texts: Sequence[str], progress: bool) -> NDArray[np.float32]:
    inputs = teacher.checked_inputs([(text, text) for text in texts], truncate=True)
    by_length = sorted(range(len(texts)), key=lambda number: len(inputs[number][stack]))
    found: list[torch.Tensor] = []
    for start in tqdm(range(0, len(texts), 32), desc=f"the teacher reads {stack} texts", disable=not progress):
        batch = [inputs[number] for number in by_length[start : start + 32]]
        found.append(torch.nn.functional.normalize(teacher.represent(*teacher.encode(batch, stack), stack), dim=-1).cpu())
    joined = torch.cat(found).numpy()
    ordered = np.empty_like(joined)
    ordered[by_length] = joined
    return ordered
