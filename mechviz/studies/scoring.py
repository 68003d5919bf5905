"""How far a ranker agrees with axioms, over many pairs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from functools import partial
from itertools import islice
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import mechviz
from mechviz import views
from mechviz.corpora import Pairs, TextPair
from mechviz.errors import InputError, MechvizError, shown
from mechviz.rankers.ranker import Ranker, check_ranker
from mechviz.results import Scorecard
from mechviz.results.scorecard import ROW_COLUMNS, SCORED_COLUMNS, bucket
from mechviz.show import show_patching
from mechviz.studies.statistics import Sums, counts, interval
from mechviz.text import axioms as axiom_module
from mechviz.text.axioms import Axiom
from mechviz.text.axioms.similarity import SimilarityLike
from mechviz.text.perturb import on_query
from mechviz.text.statistics import TermStatistics

_DRAWS, _CONFIDENCE = 1000, 0.95
_BLOCK = 256


def scorecard(
    ranker: Ranker,
    pairs: Iterable[Any],
    axioms: Sequence[Axiom | str] | None = None,
    *,
    statistics: TermStatistics | None = None,
    similarity: SimilarityLike | None = None,
    truncate: bool = False,
    batch_size: int = 32,
    seed: int = 0,
) -> Scorecard:
    """Measure how often a ranker prefers what axioms prefer, and by how much.

    Of each pair of query and document each axiom makes a minimal pair: two texts that differ in what it speaks of alone. The
    ranker scores both.

    Parameters
    ----------
    ranker : Ranker
    pairs : Pairs, or an iterable of TextPair or of (query, doc)
        Where they carry perturbed texts with a preference (`Pairs.perturb` of axioms), these are scored, and ``axioms`` must be
        left out.
    axioms : sequence of Axiom or name, optional
        Default: all that can be made of what is given; those that compare terms need ``similarity``.
    statistics : TermStatistics, optional
        Document frequencies; default those of the documents of ``pairs``.
    similarity : callable or mapping, optional
        Of terms; see `mechviz.axioms.STMC1`.
    truncate : bool, default False
        Cut texts that are too long; otherwise such a pair is left out and counted.
    batch_size : int, default 32
    seed : int, default 0
        Of what axioms choose at random, and of the resamples.

    Returns
    -------
    Scorecard
        Its intervals are by bootstrap over queries. ``rank`` is that of the pairs; where no pair has one, it is the
        document's rank by this ranker among the documents of its query.

    Raises
    ------
    InputError, InputTypeError
        No pairs; axioms for pairs that are perturbed already; an axiom that does not exist or lacks what it needs.
    """
    check_ranker(ranker)
    collection = pairs if isinstance(pairs, Pairs) else Pairs(list(pairs))
    perturbed = _perturbed(collection, axioms, statistics, similarity, seed)
    frame, dropped = _scored(ranker, perturbed, truncate, batch_size)
    ranked = "of the pairs"
    if not frame.empty and frame["rank"].isna().all():
        frame["rank"] = _own_ranks(frame)
        ranked = "by this ranker among the documents given for the query"
    return Scorecard(
        ranker=ranker.name,
        rows=pd.DataFrame(list(_rows(frame, dropped, seed)), columns=list(ROW_COLUMNS)),
        pairs=frame,
        dropped=dropped,
        provenance={
            "ranker": ranker.name,
            "weights_sha256": ranker.weight_hash(),
            "pairs": collection.name,
            "rank": ranked,
            "seed": str(seed),
            "mechviz": mechviz.__version__,
        },
        shower=partial(_show, ranker, truncate),
    )


def _perturbed(
    pairs: Pairs,
    axioms: Sequence[Axiom | str] | None,
    statistics: TermStatistics | None,
    similarity: SimilarityLike | None,
    seed: int,
) -> Pairs:
    first = next(iter(pairs), None)
    if first is None:
        raise InputError(f"{pairs.name} holds no pair")
    if first.perturbed is not None or first.reason:
        if axioms is not None:
            raise InputError("these pairs are perturbed already: leave axioms out, or give pairs without perturbed texts")
        return pairs
    if statistics is None:
        statistics = TermStatistics.of(dict.fromkeys(pairs.docs()))
    if axioms is None:
        compares = {name for name, axiom in axiom_module.ALL.items() if "similarity" in (one.name for one in fields(axiom))}
        axioms = [name for name in axiom_module.ALL if similarity is not None or name not in compares]
    made = [axiom_module.named(one, statistics, similarity) if isinstance(one, str) else one for one in axioms]
    wrong = [one for one in made if not isinstance(one, Axiom)]
    if wrong or not made:
        raise InputError(f"axioms={shown(wrong[0] if wrong else axioms)}; give axioms such as mv.axioms.TFC1(), or their names")
    return pairs.perturb(cast(Any, made), seed=seed)


def _scored(
    ranker: Ranker, pairs: Iterable[TextPair], truncate: bool, batch_size: int
) -> tuple[pd.DataFrame, dict[str, dict[str, int]]]:
    """Return one row a valid pair with its two scores, and what was dropped, by axiom and reason."""
    rows: list[tuple[Any, ...]] = []
    dropped: dict[str, dict[str, int]] = {}

    def drop(pair: TextPair, reason: str) -> None:
        of_axiom = dropped.setdefault(pair.perturbation, {})
        of_axiom[reason] = of_axiom.get(reason, 0) + 1

    numbered = enumerate(pairs)
    while block := list(islice(numbered, _BLOCK)):
        wanted: list[tuple[int, TextPair]] = []
        for number, pair in block:
            dropped.setdefault(pair.perturbation, {})
            if pair.perturbed is None:
                drop(pair, pair.reason or "there is no perturbed text")
            elif not pair.preferred:
                drop(pair, "no axiom says which text is preferred")
            else:
                wanted.append((number, pair))
        scores = _scores(ranker, [text for _, pair in wanted for text in _both(pair)], truncate, batch_size)
        for number, pair in wanted:
            original, perturbed = (scores[text] for text in _both(pair))
            failed = next((score for score in (original, perturbed) if isinstance(score, str)), None)
            if failed is not None:
                drop(pair, failed)
                continue
            where = (pair.query_id, pair.doc_id, pair.query, pair.doc, pair.perturbed, pair.side)
            rows.append((number, pair.perturbation, *where, pair.grade, pair.rank, pair.preferred, original, perturbed))
    frame = pd.DataFrame(rows, columns=list(SCORED_COLUMNS))
    return frame.astype({"grade": "Int64", "rank": "Int64"}), dropped


def _both(pair: TextPair) -> tuple[tuple[str, str], tuple[str, str]]:
    changed = cast(str, pair.perturbed)
    return (pair.query, pair.doc), ((pair.query, changed) if pair.side == "doc" else (changed, pair.doc))


def _scores(
    ranker: Ranker, texts: Sequence[tuple[str, str]], truncate: bool, batch_size: int
) -> dict[tuple[str, str], float | str]:
    """Return the score of each (query, doc), or why it has none; what comes several times is scored once."""
    once = sorted(set(texts), key=lambda pair: len(pair[0]) + len(pair[1]))

    def score(chosen: Sequence[tuple[str, str]]) -> NDArray[np.float32]:
        queries, docs = zip(*chosen, strict=True)
        return ranker.score(list(queries), list(docs), batch_size=batch_size, truncate=truncate)

    if not once:
        return {}
    try:
        return dict(zip(once, map(float, score(once)), strict=True))
    except MechvizError:
        found: dict[tuple[str, str], float | str] = {}
        for one in once:  # to know which one it was
            try:
                found[one] = float(score([one])[0])
            except MechvizError as error:
                found[one] = _counted(str(error))
        return found


def _counted(message: str) -> str:
    """Return a reason without the numbers of one text, so that equal ones can be counted."""
    return "a text is too long for the ranker" if "this ranker takes" in message else message


def _own_ranks(frame: pd.DataFrame) -> pd.Series:
    """Return each document's rank among those of its query, by its original score."""
    known = frame.drop_duplicates(["query", "doc"])
    ranks = known.groupby("query")["original_score"].rank(ascending=False, method="min").astype("Int64")
    by_texts = dict(zip(zip(known["query"], known["doc"], strict=True), ranks, strict=True))
    found = [by_texts[texts] for texts in zip(frame["query"], frame["doc"], strict=True)]
    return pd.Series(found, index=frame.index, dtype="Int64")


def _rows(frame: pd.DataFrame, axioms: Iterable[str], seed: int) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a scorecard: of each axiom all pairs, then by grade, then by rank."""
    for axiom in axioms:
        chosen = frame[frame["axiom"] == axiom]
        groups: dict[tuple[str, str], NDArray[np.bool_]] = {("all", ""): np.ones(len(chosen), dtype=bool)}
        for group in ("grade", "rank"):
            names = np.array([bucket(group, value) for value in chosen[group]], dtype=object)
            # In the order of the values, not of their names: 11-50 comes after 1-10, and what is unknown last.
            ordered = chosen[group].sort_values(na_position="last")
            groups |= {(group, name): names == name for name in dict.fromkeys(bucket(group, value) for value in ordered)}
        yield from _rows_of(axiom, chosen, groups, seed)


def _rows_of(
    axiom: str, chosen: pd.DataFrame, groups: dict[tuple[str, str], NDArray[np.bool_]], seed: int
) -> Iterator[tuple[Any, ...]]:
    if chosen.empty:
        yield (axiom, "all", "", 0, *[np.nan] * 6)
        return
    towards = ((chosen["perturbed_score"] - chosen["original_score"]) * chosen["preferred"]).to_numpy(dtype=np.float64)
    queries = pd.factorize(chosen["query"])[0]
    units = int(queries.max()) + 1
    there = np.stack(list(groups.values()), axis=1).astype(np.float64)
    drawn = counts(np.zeros(units, dtype=np.int64), _DRAWS, np.random.default_rng(seed))

    def summed(values: NDArray[np.float64]) -> NDArray[np.float64]:
        total = np.zeros((units, len(groups)))
        np.add.at(total, queries, values)
        return total

    satisfied, change = (
        interval([Sums(summed(values[:, None] * there), summed(there))], [1], drawn, _CONFIDENCE)
        for values in ((towards > 0).astype(np.float64), towards)
    )
    for at, (group, value) in enumerate(groups):
        share = (satisfied.estimate[at], max(satisfied.low[at], 0.0), min(satisfied.high[at], 1.0))
        yield (axiom, group, value, int(there[:, at].sum()), *share, change.estimate[at], change.low[at], change.high[at])


def _show(ranker: Ranker, truncate: bool, card: Scorecard, theme: str) -> Any:
    """Return the table whose cells open their pairs, each as the picture of its patching."""
    by_number = card.pairs.set_index("number")

    def opened(number: int) -> Any:
        query, doc, text, side = (str(by_number.at[number, name]) for name in ("query", "doc", "perturbed", "side"))
        return show_patching(
            ranker, query, doc, text if side == "doc" else on_query(lambda _: text), truncate=truncate, wait=True
        )

    return views.ScorecardView(card, opener=opened, theme=theme)
