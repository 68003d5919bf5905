"""What a study of many pairs found: its panels as still pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mechviz import wire
from mechviz.errors import InputError, InputTypeError, shown
from mechviz.figures.changes import changes_picture
from mechviz.figures.colour import theme_named
from mechviz.figures.frame import Frame
from mechviz.figures.groups import groups_picture
from mechviz.figures.head_grid import Stack, grids_picture
from mechviz.figures.small_grids import small_grids_picture
from mechviz.figures.tables import covariates_picture, pairs_picture
from mechviz.figures.values import Values
from mechviz.results import StudySummary

PANELS = ("heads", "cells", "changes", "groups", "covariates", "pairs")
#: Cells whose corrected p-value is above it are drawn weaker.
CLEAR = 0.05


def study_svg(
    summary: StudySummary, panel: str = "heads", theme: str = "light", selection: Mapping[str, Any] | None = None
) -> str:
    """Draw a panel of a study.

    Parameters
    ----------
    summary : StudySummary
        From `mechviz.study`, or made of anybody's arrays.
    panel : str
        ``heads`` (a grid of layers and heads) or ``cells`` (any other grid), ``changes``, ``groups``, ``covariates``, ``pairs``.
    theme : ``"light"`` or ``"dark"``
    selection : mapping, optional
        ``layer`` and ``head`` of the head that gets an outline and whose groups are drawn; default the strongest.

    Returns
    -------
    str
        SVG.

    Raises
    ------
    InputError, InputTypeError
        No such panel of this study, or a selection outside of its grid.
    """
    colours = theme_named(theme)
    if not isinstance(summary, StudySummary):
        raise InputTypeError(f"a picture of a study needs a StudySummary, not {shown(summary)}; see mv.study")
    heads = wire.is_heads(summary)
    there = {
        "heads": heads,
        "cells": not heads,
        "changes": True,
        "groups": bool(summary.groups),
        "covariates": summary.covariates is not None,
        "pairs": True,
    }
    if not there.get(panel, False):
        names = ", ".join(repr(name) for name, shows in there.items() if shows)
        raise InputError(f"panel={shown(panel)}; this study has {names}")
    if panel == "heads":
        frame = frame_of_study(summary, "Effects of attention heads over many pairs")
        return grids_picture(frame, [_stack(summary)], selection, colours)
    if panel == "cells":
        frame = frame_of_study(summary, f"Effects over many pairs: {summary.grid}")
        return small_grids_picture(frame, summary, weak_cells(summary), colours)
    if panel == "changes":
        return changes_picture(frame_of_study(summary, "Score changes of the pairs"), summary, colours)
    if panel == "groups":
        chosen = selection if heads else None
        return groups_picture(frame_of_study(summary, "Effects by groups of pairs"), summary, chosen, colours)
    if panel == "covariates":
        frame = frame_of_study(summary, "What goes with the size of the effects")
        return covariates_picture(frame, summary, colours)
    return pairs_picture(frame_of_study(summary, "Pairs with the largest score changes"), summary.pairs, colours)


def frame_of_study(summary: StudySummary, name: str) -> Frame:
    """Return the frame of a picture of a study."""
    pairs = f"{summary.n_used:,} pair{'' if summary.n_used == 1 else 's'}"
    queries = f"{summary.n_queries:,} quer{'y' if summary.n_queries == 1 else 'ies'}"
    facts = {
        "study": summary.name,
        "grid": summary.grid,
        "stack": summary.stack,
        "metric": summary.metric,
        "direction": summary.direction,
        "pairs": f"{summary.n_used} used of {summary.n_queries} queries, {summary.n_dropped} dropped",
        **{f"dropped, {reason}": str(n) for reason, n in summary.dropped.items()},
    }
    return Frame(name, summary.provenance, (summary.name,), f" · {pairs} of {queries}, {summary.n_dropped:,} dropped", facts)


def weak_cells(summary: StudySummary) -> NDArray[np.bool_]:
    """Return which cells are not told apart from nothing, dims of the grid."""
    q = summary.cells["q"].values
    weak: NDArray[np.bool_] = ~(q <= CLEAR) & np.isfinite(summary.cells["effect"].values)
    return weak


def _stack(summary: StudySummary) -> Stack:
    effect, low, high = (finite(summary.cells[name].values) for name in ("effect", "low", "high"))
    values = Values(effect, np.zeros(effect.shape, dtype=bool), summary.metric)
    return Stack(summary.stack, "", values, bounds=(low, high), weak=weak_cells(summary), confidence=wire.confidence_of(summary))


def finite(values: Any) -> NDArray[np.float64]:
    """Return numbers with NaN for all that is not finite."""
    numbers = np.asarray(values, dtype=np.float64)
    return np.where(np.isfinite(numbers), numbers, np.nan)
