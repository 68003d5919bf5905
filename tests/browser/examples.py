"""Texts and views that several browser tests open."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import mechviz as mv
from mechviz.views import PatchingView
from mechviz.views.patching import Job, Step

QUERY = "why are hot springs warm"
DOC = "Hot springs are warm because water is heated by rock and rises again through cracks."
COMPETITORS = ["Bread rises because yeast eats sugar.", "Lava is molten rock.", "The moon causes tides."]


def change(doc: str) -> str:
    """Replaces, deletes and inserts, so that every mark of the texts is seen."""
    return doc.replace("water", "lava").replace("by rock ", "") + " volcano"


def partial(result: mv.PatchResult, known: NDArray[np.bool_], rest: float = np.nan) -> Step:
    """A step of a computation that has the ``known`` cells; the others are shown as ``rest``."""
    return Step(shown=with_patched(result, known, rest), exact=known, result=with_patched(result, known, np.nan))


def with_patched(result: mv.PatchResult, known: NDArray[np.bool_], rest: float) -> mv.PatchResult:
    arrays: dict[str, Any] = {
        name: getattr(result, name).copy(data=np.where(known, getattr(result, name), rest)) for name in ("effects", "patched")
    }
    names = ("pair", "grid", "method", "metric", "stack", "competitors", "provenance")
    return mv.PatchResult(**{name: getattr(result, name) for name in names}, **arrays)


def cancelled_view(view: PatchingView, known: NDArray[np.bool_], rest: float = np.nan) -> PatchingView:
    """A view whose computation was cancelled after the ``known`` cells of its heads."""
    cut = PatchingView(view.result, view._reader)
    cut.cancel()
    cut.follow({"doc.heads": Job(lambda: iter([partial(view.result, known, rest)]), known.size)}, wait=True)
    return cut
