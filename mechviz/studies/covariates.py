"""How the size of effects goes with what pairs are: rarity of the words that were written, length, grade, score change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mechviz.errors import InputError, InputTypeError, MechvizError, shown
from mechviz.studies import listing, selection, statistics
from mechviz.studies.statistics.sums import METRICS, Floats
from mechviz.text.statistics import TermStatistics
from mechviz.text.words import terms as words_as_terms

if TYPE_CHECKING:
    from mechviz.studies.folder import Study

_COVARIATES = ("idf", "tf", "tf_idf", "length", "grade", "change")
_FEWEST_PAIRS = 3
# Texts whose words are kept: a document is looked at for its IDF and for its pairs.
_REMEMBERED = 20_000


def covariates(study: Study, terms: TermStatistics | None, limit: int | None, cell: Mapping[str, int | str]) -> pd.DataFrame:
    """Return a row for each covariate; see `Study.covariates`.

    Raises
    ------
    InputError, InputTypeError
        A cell that does not exist, or no statistics.
    MechvizError
        No pair can be used.
    """
    if terms is not None and not callable(getattr(terms, "idf", None)):
        raise InputTypeError(f"statistics of terms have an idf(term); {shown(terms)} has none: see mechviz.TermStatistics")
    if not study.n_used:
        raise MechvizError(f"{study.name}: no pair can be used, so there is no effect to tell of ({study.dropped})")
    rows = listing.sample(study, study.used, limit)
    size = _sizes(study, rows, cell)
    table = study.parts.table[rows]
    change = np.abs(selection.change_of(table))
    columns = {**_of_texts(study, rows, terms), "grade": table["grade"].to_numpy(np.float64, na_value=np.nan), "change": change}
    queries, _ = pd.factorize(pd.Series(study.parts.queries[rows], dtype=object))
    return pd.DataFrame([_row(name, columns[name], size, change, queries) for name in _COVARIATES])


def _row(name: str, values: Floats, size: Floats, change: Floats, queries: NDArray[np.int64]) -> dict[str, object]:
    known = np.isfinite(values) & np.isfinite(size)
    values, size, change = values[known], size[known], change[known]
    number, _ = pd.factorize(queries[known])
    found = dict.fromkeys(("spearman", "p", "partial", "p_partial"), np.nan)
    if len(values) >= _FEWEST_PAIRS:
        found["spearman"], found["p"] = statistics.spearman(values, size, number)
        found["partial"], found["p_partial"] = statistics.partial(values, size, change, number)
    return {"covariate": name, "n": len(values), "n_queries": len(np.unique(number)), **found}


def _sizes(study: Study, rows: NDArray[np.bool_], cell: Mapping[str, int | str]) -> Floats:
    """Return the absolute value of the metric in each pair, dims (pair): of one cell, or the mean of those it has."""
    table = study.parts.table
    base, change = table["base_score"].to_numpy(), selection.change_of(table)
    place = _place(study, cell)
    found: list[Floats] = []
    for places, patched in study.parts.patched(rows):
        above, below = METRICS[study.analysis.metric](change[places])
        difference = np.abs(patched[:, place].astype(np.float64) - base[places, None])
        there = np.isfinite(difference)
        mean = statistics.divided(np.where(there, difference, 0).sum(axis=1), there.sum(axis=1).astype(np.float64))
        found.append(mean * np.abs(above / below))
    return np.concatenate(found)


def _place(study: Study, cell: Mapping[str, int | str]) -> NDArray[np.int64]:
    """Return which of the flattened cells are meant."""
    cells = study.header.named(np.arange(study.header.n_cells))
    unknown = [name for name in cell if name not in cells.dims]
    if unknown:
        raise InputError(f"{', '.join(unknown)}: this grid has no such dimension; it has {', '.join(map(str, cells.dims))}")
    try:
        return np.atleast_1d(cells.sel(dict(cell)).values).ravel()
    except KeyError as error:
        sizes = "; ".join(f"{name} {', '.join(map(str, cells.coords[name].values))}" for name in cell)
        raise InputError(f"{shown(dict(cell))}: there is no such cell; there are {sizes}") from error


def _of_texts(study: Study, rows: NDArray[np.bool_], terms: TermStatistics | None) -> dict[str, Floats]:
    split = lru_cache(_REMEMBERED)(words_as_terms if terms is None else terms.terms)
    frames = [frame.assign(side=study.parts.table["side"].to_numpy()[places]) for places, frame in study.parts.texts(rows)]
    texts = pd.concat(frames, ignore_index=True)
    idf = _idf(texts["doc"], split) if terms is None else terms.idf
    texts_of = zip(texts["query"], texts["doc"], texts["perturbed"], texts["side"], strict=True)
    found = [_of_pair(query, doc, perturbed, side, split, idf) for query, doc, perturbed, side in texts_of]
    return dict(zip(("idf", "tf", "tf_idf", "length"), np.array(found, dtype=np.float64).T, strict=True))


def _of_pair(
    query: str,
    doc: str,
    perturbed: str,
    side: str,
    split: Callable[[str], Iterable[str]],
    idf: Callable[[str], float],
) -> tuple[float, float, float, float]:
    """Return IDF, TF, TF-IDF of what a perturbation wrote, averaged over its terms, and the document's length in words."""
    in_doc = Counter(split(doc))
    before = in_doc if side == "doc" else Counter(split(query))
    after = Counter(split(perturbed))
    changed = sorted((after - before) or (before - after))
    if not changed:
        return np.nan, np.nan, np.nan, float(in_doc.total())
    weights, counts = [idf(term) for term in changed], [in_doc[term] for term in changed]
    products = [weight * count for weight, count in zip(weights, counts, strict=True)]
    return fmean(weights), fmean(counts), fmean(products), float(in_doc.total())


def _idf(docs: Iterable[str], split: Callable[[str], Iterable[str]]) -> Callable[[str], float]:
    """Return the IDF that documents give, each counted once."""
    try:
        return TermStatistics.of(dict.fromkeys(docs), split).idf
    except InputError:  # no document has a word
        return lambda term: np.nan
