"""The live picture of a study: what many pairs say together, and the pairs behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mechviz import figures, wire
from mechviz.errors import InputTypeError, shown
from mechviz.results import StudySummary
from mechviz.views.checks import check_panels
from mechviz.views.opening import Opener, OpeningView


class StudyView(OpeningView):
    """What a study found: a grid of effects with their uncertainty, the gate, groups, covariates and the pairs, linked.

    Parameters
    ----------
    summary : StudySummary
        From `mechviz.study`, or made of anybody's arrays.
    opener : callable, optional
        ``number -> PatchingView``: runs the ranker on the pair of this number. Without it the list opens no pair.
    panels : sequence of str, optional
        Which panels, in their order: ``heads`` (or ``cells``, for any other grid), ``changes``, ``groups``, ``covariates``,
        ``pairs``. Default: all that have something to show.
    theme : ``"auto"``, ``"light"`` or ``"dark"``

    Attributes
    ----------
    summary : StudySummary
    opened : dict of int to PatchingView
        The pairs that were opened, by number.
    selection : dict
        See `View`; may be set.
    """

    PANELS = ("heads", "cells", "changes", "groups", "covariates", "pairs")

    def __init__(
        self, summary: StudySummary, opener: Opener | None = None, panels: Sequence[str] | None = None, theme: str = "auto"
    ) -> None:
        if not isinstance(summary, StudySummary):
            raise InputTypeError(f"a StudyView draws a StudySummary, not {shown(summary)}; see mv.study")
        self.summary = summary
        there = _panels(summary)
        chosen = check_panels(panels, there, there)
        self._grouped = [wire.pack_groups(summary, name) for name in summary.groups] if "groups" in chosen else []
        cells = wire.bytes_of(wire.pack_study_cells(summary))
        super().__init__(wire.pack_study(summary, opener is not None), summary.pairs, opener, chosen, theme, cells=cells)

    @property
    def title(self) -> str:
        """What a file of this view is called."""
        return f"{self.summary.name} - mechviz"

    def _packed(self, count: int, budget: int, page: bool) -> list[wire.Packed]:
        return [*super()._packed(count, budget, page), *self._grouped]

    def _first_selection(self) -> dict[str, Any]:
        first = super()._first_selection()
        if not self._sizes:
            return first
        effects = self.summary.cells["effect"].values
        sizes = np.where(np.isfinite(effects), np.abs(effects), -1.0)
        layer, head = np.unravel_index(int(sizes.argmax()), sizes.shape)
        return {**first, "layer": int(layer), "head": int(head)}

    def _figure(self, panel: str, theme: str) -> str:
        return figures.study_svg(self.summary, panel, theme, self.selection)

    def __repr__(self) -> str:
        return f"StudyView({self.summary!r})"


def _panels(summary: StudySummary) -> list[str]:
    """Return the panels that have something to show."""
    there: Mapping[str, bool] = {
        "heads": wire.is_heads(summary),
        "cells": not wire.is_heads(summary),
        "changes": True,
        "groups": bool(summary.groups),
        "covariates": summary.covariates is not None and len(summary.covariates) > 0,
        "pairs": True,
    }
    return [name for name, shows in there.items() if shows]
