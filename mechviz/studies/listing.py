"""The pairs of a study one by one: as rows, as a sample, as texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mechviz.corpora import TextPair
from mechviz.errors import InputError, shown
from mechviz.studies import selection
from mechviz.studies.schema import PLAIN_COLUMNS, TEXT_COLUMNS

if TYPE_CHECKING:
    from mechviz.studies.folder import Study

_SAMPLE = 3  # the stream of random numbers; see `Analysis.rng`
_FIRST = ("number", "query_id", "doc_id", *TEXT_COLUMNS)


def frame(study: Study, limit: int | None) -> pd.DataFrame:
    """Return one row a pair; see `Study.to_dataframe`."""
    rows = sample(study, study.rows, limit)
    table = study.parts.table.loc[rows, list(PLAIN_COLUMNS)].copy()
    table["change"], table["reason"] = selection.change_of(study.parts.table)[rows], study.reasons[rows]
    texts = [texts.set_index(places) for places, texts in study.parts.texts(rows)]
    whole = table.join(pd.concat(texts))
    columns = [*_FIRST, *(name for name in whole if name not in _FIRST)]
    return whole[columns].sort_values("number", ignore_index=True)


def sample(study: Study, rows: NDArray[np.bool_], limit: int | None) -> NDArray[np.bool_]:
    """Return which of some rows of ``study.parts.table`` are looked at: all, or ``limit`` drawn at random, the same each time.

    Raises
    ------
    InputError
        A limit below 1.
    """
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise InputError(f"limit={shown(limit)}; give a number of pairs, or None for all")
    if limit is None or rows.sum() <= limit:
        return rows
    numbers = study.parts.table["number"]
    drawn = study.analysis.rng(_SAMPLE).choice(np.sort(numbers.to_numpy()[rows]), size=limit, replace=False)
    return rows & numbers.isin(drawn).to_numpy()


def text_pair(study: Study, number: int) -> TextPair:
    """Return one pair by its number; see `Study.pair`."""
    table, numbers = study.parts.table, study.parts.table["number"].to_numpy()
    row = (numbers == number) & study.rows & (not isinstance(number, bool))
    if not row.any():
        there = numbers[study.rows]
        raise InputError(f"number={shown(number)}; this study has {len(there)} pairs from {there.min()} to {there.max()}")
    plain = table[row].iloc[0]
    texts = next(texts for _, texts in study.parts.texts(row)).iloc[0]
    known: dict[str, Any] = {
        name: None if pd.isna(plain[name]) else plain[name] for name in ("query_id", "doc_id", "side", "grade", "rank")
    }
    known |= {name: plain[name] for name in ("perturbation", "reason")}
    known |= {name: texts[name] for name in TEXT_COLUMNS}
    score = plain["run_score"]
    return TextPair(**known, run_score=None if pd.isna(score) else float(score), preferred=int(plain["preferred"]))
