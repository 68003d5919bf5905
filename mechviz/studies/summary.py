"""A study put into words, groups and plain data."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from mechviz.corpora import TextPair
from mechviz.results import StudySummary
from mechviz.results.study import CELL_VARIABLES
from mechviz.studies import selection, statistics
from mechviz.studies.schema import Header
from mechviz.studies.statistics.bootstrap import FEWEST

if TYPE_CHECKING:
    from mechviz.studies.folder import Study

# Settings of `mechviz.patch` that a view of one pair takes too.
_OF_ONE_PAIR = ("filler", "truncate", "layers", "heads", "positions")
_SIGNIFICANT = 0.05


def notes(study: Study) -> tuple[str, ...]:
    """Return what a reader of a study's numbers must know, in words."""
    cells, queries = study.header.n_cells, study.n_queries
    said = []
    if study.broken:
        said.append(f"{len(study.broken)} broken parts are left out: {', '.join(study.broken)}")
    if not study.n_used:
        return (*said, "no pair can be used: nothing is defined")
    if queries == 1:
        said.append("all pairs are of one query: intervals are not defined, and no p-value is below 1")
    elif queries < FEWEST:
        said.append(f"{queries} queries are too few for a bootstrap: intervals are Student's, and wide")
    if queries > (limit := statistics.most_units(cells)):
        said.append(f"{queries} queries are resampled as {limit} groups of queries, drawn at random")
    if empty := int((study.pairs_of_cells == 0).sum()):
        said.append(f"{empty} of {cells} cells are in no pair: not computed, or of a class of tokens that no pair has")
    if (least := cells / (study.analysis.flips + 1)) > _SIGNIFICANT:
        said.append(f"with {study.analysis.flips} sign flips, a cell that stands alone has q of {least:.2g} at least: see flips=")
    if cut := int((study.parts.table["truncated"][study.used] != "").sum()):
        said.append(f"{cut} pairs were cut to the ranker's limit")
    return tuple(said)


def said(study: Study) -> str:
    """Return a study in a line: its strongest cell, how many pairs it is made of, and how many were dropped."""
    header, dropped = study.header, f"{study.n_dropped} dropped"
    if study.dropped:
        reason, count = next(iter(study.dropped.items()))
        dropped += f" ({count}: {reason})"
    sizes = " x ".join(f"{size} {name}" for name, size in header.dims)
    line = f"Study({study.name}: {sizes}, {study.n_used} pairs of {study.n_queries} queries, {dropped}"
    if study.n_used and np.isfinite(study.effects).any():
        low, high = study.interval["low"].values, study.interval["high"].values
        strongest = np.unravel_index(int(np.nanargmax(np.abs(study.effects.values))), header.shape)
        cell = study.effects[strongest]
        where = ", ".join(f"{name} {cell.coords[name].item()}" for name, _ in header.dims)
        line += f"; strongest {where}: {study.analysis.metric} {cell.item():.3g} [{low[strongest]:.3g}, {high[strongest]:.3g}]"
    return f"{line}; {'; '.join(study.notes)})" if study.notes else f"{line})"


def groups(study: Study, column: str, bins: int | Sequence[float] | None = None) -> xr.Dataset:
    """Return the effects of groups of pairs; see `Study.by`."""
    codes, labels = selection.labelled(study.parts.table, column, bins)
    there = [(number, label) for number, label in enumerate(labels) if (study.rows & (codes == number)).any()]
    found: dict[str, list[Any]] = {name: [] for name in ("effect", "low", "high", "n", "n_queries")}
    for number, label in there:
        part = study.narrowed(codes == number, f"{column} {label}")
        empty = study.header.named(np.full(study.header.n_cells, np.nan))
        interval = part.interval if part.n_used else {"low": empty, "high": empty}
        values = (part.effects if part.n_used else empty, interval["low"], interval["high"], part.n_used, part.n_queries)
        for name, value in zip(found, values, strict=True):
            found[name].append(value)
    dims = (column, *(name for name, _ in study.header.dims))
    arrays = {name: (dims, np.stack([one.values for one in found[name]])) for name in ("effect", "low", "high")}
    numbers = {name: ((column,), np.array(found[name], dtype=np.int64)) for name in ("n", "n_queries")}
    coords = {column: [label for _, label in there], **study.header.coords_of()}
    return xr.Dataset({**arrays, **numbers}, coords=coords, attrs={"confidence": study.analysis.confidence})


def summary(study: Study, limit: int | None) -> StudySummary:
    """Return a study as plain data; see `Study.summary`."""
    header, some = study.header, study.n_used > 0
    table = study.parts.table[study.rows]
    return StudySummary(
        name=study.name,
        grid=header.grid,
        stack=header.stack,
        metric=study.analysis.metric,
        direction=header.direction,
        cells=_cells(study),
        pairs=study.to_dataframe(limit),
        n_used=study.n_used,
        n_queries=study.n_queries,
        dropped=study.dropped,
        groups={name: groups(study, name) for name in ("grade", "rank") if some and table[name].notna().any()},
        covariates=study.covariates() if some else None,
        provenance=_provenance(study),
    )


def _cells(study: Study) -> xr.Dataset:
    if study.n_used:
        arrays = [study.effects, *study.interval.data_vars.values(), study.ratio, study.raw, study.positive, study.p, study.q]
    else:
        arrays = [study.header.named(np.full(study.header.n_cells, np.nan))] * len(CELL_VARIABLES)
    return xr.Dataset(dict(zip(CELL_VARIABLES, arrays, strict=True)), attrs={"confidence": study.analysis.confidence})


def _provenance(study: Study) -> dict[str, str]:
    header, analysis = study.header, study.analysis
    return {
        "ranker": header.ranker,
        "weights_sha256": header.weights_sha256,
        "filler": header.filler,
        "settings": json.dumps(dict(header.settings)),
        "interval": f"bootstrap-t over queries, {analysis.draws} resamples, {analysis.confidence:.0%}",
        "p": f"sign flips by query, {analysis.flips} at most; q by Benjamini-Hochberg",
        "seed": str(analysis.seed),
        "min_change": f"{analysis.min_change:g}",
        "parts": str(len(study.parts.files)),
        "notes": "; ".join(study.notes),
        **header.versions,
    }


def opened(ranker: Any, pair: TextPair, header: Header, metric: str) -> Any:
    """Return the view of one pair with the settings of a study."""
    from mechviz import show
    from mechviz.text import perturb

    settings = {name: header.settings[name] for name in _OF_ONE_PAIR if header.settings.get(name) is not None}
    text: Any = pair.perturbed
    changed = text if pair.side == "doc" else perturb.on_query(lambda _: text)
    more: Any = {"metric": metric, "direction": header.direction, "stack": header.stack, **settings}
    return show.show_patching(ranker, pair.query, pair.doc, changed, **more)
