"""What toys are judged on: pools of documents to rerank, and documents with one word more. All from MECHVIZ_DATA."""

from __future__ import annotations

import csv
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import mechviz as mv
from mechviz.text.bm25 import bm25
from mechviz.text.words import terms

#: Of BM25, here and wherever it is a baseline.
K1, B = 0.9, 0.4
#: How many documents of BM25's list are reranked in Vaswani and Cranfield.
DEPTH = 30
_CONTROLS = 10  # words of nearest idf that one is drawn from

_cached_terms = lru_cache(maxsize=None)(lambda text: tuple(terms(text)))


@dataclass(frozen=True)
class Pool:
    """Documents of several queries to rerank, query by query.

    Attributes
    ----------
    name : str
        What it is, in words.
    query_ids, queries, docs : sequences, one entry a pair
    gains : float array, dims (pair)
    ideal : mapping of query id to float
        The best DCG@10.
    baseline : float array, dims (pair)
        BM25's scores.
    """

    name: str
    query_ids: list[str]
    queries: list[str]
    docs: list[str]
    gains: NDArray[np.float64]
    ideal: Mapping[str, float]
    baseline: NDArray[np.float64]

    @cached_property
    def rows(self) -> dict[str, NDArray[np.int64]]:
        """The pairs of each query."""
        ids = np.array(self.query_ids)
        return {one: np.flatnonzero(ids == one) for one in dict.fromkeys(self.query_ids)}


@dataclass(frozen=True)
class Added:
    """Documents, the same with a term of the query added, and the same with a term of another query.

    Attributes
    ----------
    query_ids, queries, docs, with_term, with_control : list of str, one entry a row
    recorded : float array, dims (row)
        The score change that TAS-B made of the term.
    """

    query_ids: list[str]
    queries: list[str]
    docs: list[str]
    with_term: list[str]
    with_control: list[str]
    recorded: NDArray[np.float64]


def folder() -> Path:
    """Return where the collections are."""
    named = os.environ.get("MECHVIZ_DATA")
    if not named:
        raise SystemExit("set MECHVIZ_DATA to the folder of the collections")
    return Path(named)


def judged_pairs() -> mv.Pairs:
    """Return the judged pairs of both years."""
    path = folder() / "trecdl" / "pairs.tsv"
    return mv.Pairs.from_tsv(path, query_id="qid", doc_id="docno", grade="relevance", name="TREC DL pairs")


def dcg(gains: NDArray[np.float64], k: int = 10) -> float:
    """Return the discounted cumulative gain of a list in its order."""
    first = gains[:k]
    return float((first / np.log2(np.arange(2, len(first) + 2))).sum())


def trecdl(year: int, every: int = 1) -> Pool:
    """Return the judged pairs of a year, or of every so many of its queries; gain 2^grade - 1, ideal over the pool."""
    own = sorted(query_ids(year))[::every]
    everything = _table("pairs.tsv")
    statistics = _statistics({row["docno"]: row["text"] for row in everything}.values())
    rows = [row for row in everything if row["qid"] in own]
    gains = 2.0 ** np.array([int(row["relevance"]) for row in rows]) - 1
    ideal = {qid: dcg(np.sort(gains[[row["qid"] == qid for row in rows]])[::-1]) for qid in own}
    return Pool(
        f"TREC DL {year}: {len(rows):,} judged passages of {len(own)} queries",
        [row["qid"] for row in rows],
        [row["query"] for row in rows],
        [row["text"] for row in rows],
        gains,
        ideal,
        np.array([bm25(row["query"], row["text"], statistics, K1, B) for row in rows]),
    )


def query_ids(year: int) -> set[str]:
    """Return the queries of a year of TREC's Deep Learning track."""
    return set((folder() / "trecdl" / f"qids_{year}.txt").read_text().split())


def vaswani_texts() -> dict[str, str]:
    """Return Vaswani's documents, by their number."""
    return _clean(
        re.findall(r"<DOCNO>(\d+)</DOCNO>\s*(.*?)\s*</DOC>", (folder() / "vaswani" / "doc-text.trec").read_text(), re.S)
    )


def cranfield_texts() -> dict[str, str]:
    """Return Cranfield's documents, by their number."""
    text = (folder() / "cranfield" / "cran.all.1400.xml").read_text()
    return _clean(re.findall(r"<docno>(\d+)</docno>.*?<text>\s*(.*?)\s*</text>", text, re.S))


def _clean(found: Iterable[tuple[str, str]]) -> dict[str, str]:
    return {number: " ".join(text.split()) for number, text in found if text.split()}


def vaswani() -> Pool:
    """Return BM25's first documents of each query; gains 0 and 1, ideal over all that are relevant."""
    root = folder() / "vaswani"
    queries = dict(re.findall(r"<num>(\d+)</num><title>\s*(.*?)\s*</title>", (root / "query-text.trec").read_text(), re.S))
    return _retrieved("Vaswani", vaswani_texts(), {qid: query.lower() for qid, query in queries.items()}, root / "qrels")


def cranfield() -> Pool:
    """Return the same of Cranfield, whose qrels number the queries in the order of their file."""
    root = folder() / "cranfield"
    titles = re.findall(r"<title>\s*(.*?)\s*</title>", (root / "cran.qry.xml").read_text(), re.S)
    queries = {str(number): title for number, title in enumerate(titles, 1)}
    return _retrieved("Cranfield", cranfield_texts(), queries, root / "cranqrel.trec.txt")


def added_terms(seed: int = 0) -> Added:
    """Return TFC1's rows that TAS-B was recorded on, each with a control: a term of another query, of about the same idf."""
    rows = _table("tasb_tfc1_4000.tsv")
    statistics = _statistics({row["docno"]: row["text"] for row in _table("pairs.tsv")}.values())
    words = sorted({word for row in rows for word in _cached_terms(row["query"])})
    idf = np.array([statistics.idf(word) for word in words])
    random = np.random.default_rng(seed)
    controls = []
    for row in rows:
        appended = row["perturbed_text"][len(row["text"]) :]
        taken = {*_cached_terms(row["query"]), *_cached_terms(row["text"])}
        nearest = np.argsort(np.abs(idf - max(map(statistics.idf, _cached_terms(appended)))), kind="stable")
        free = [words[at] for at in nearest if words[at] not in taken][:_CONTROLS]
        controls.append(f"{row['text']} {random.choice(free)}")
    return Added(
        [row["qid"] for row in rows],
        [row["query"] for row in rows],
        [row["text"] for row in rows],
        [row["perturbed_text"] for row in rows],
        controls,
        np.array([float(row["score_delta"]) for row in rows]),
    )


def _retrieved(name: str, docs: Mapping[str, str], queries: Mapping[str, str], qrels: Path) -> Pool:
    relevant: dict[str, set[str]] = defaultdict(set)
    for line in qrels.read_text().splitlines():
        query, _, doc, grade = line.split()
        if int(grade) > 0:
            relevant[query].add(doc)
    score = _Scores(docs)
    pool: dict[str, list[str]] = {}
    scores: list[float] = []
    for qid in relevant:
        found = score(queries[qid])
        pool[qid] = sorted(found, key=lambda doc: (-found[doc], int(doc)))[:DEPTH]
        scores += [found[doc] for doc in pool[qid]]
    pairs = [(qid, doc) for qid, found in pool.items() for doc in found]
    return Pool(
        f"{name}: BM25's first {DEPTH} documents of {len(relevant)} queries",
        [qid for qid, _ in pairs],
        [" ".join(queries[qid].split()) for qid, _ in pairs],
        [docs[doc] for _, doc in pairs],
        np.array([float(doc in relevant[qid]) for qid, doc in pairs]),
        {qid: dcg(np.ones(len(docs))) for qid, docs in relevant.items()},
        np.array(scores),
    )


class _Scores:
    """BM25 of a query with every document that has a word of it: a sum over words, each of which is counted once."""

    def __init__(self, docs: Mapping[str, str]) -> None:
        self.docs, self.statistics = docs, _statistics(docs.values())
        self.having: dict[str, list[str]] = defaultdict(list)
        for doc, text in docs.items():
            for word in set(_cached_terms(text)):
                self.having[word].append(doc)
        self.by_word: dict[str, dict[str, float]] = {}

    def __call__(self, query: str) -> dict[str, float]:
        """Return document -> score."""
        total: dict[str, float] = defaultdict(float)
        for word in _cached_terms(query):
            if word not in self.by_word:
                having = self.having.get(word, ())
                self.by_word[word] = {doc: bm25(word, self.docs[doc], self.statistics, K1, B) for doc in having}
            for doc, score in self.by_word[word].items():
                total[doc] += score
        return total


def _statistics(texts: Iterable[str]) -> mv.TermStatistics:
    return mv.TermStatistics.of(texts, _cached_terms)


@cache
def _table(name: str) -> list[dict[str, str]]:
    with (folder() / "trecdl" / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
