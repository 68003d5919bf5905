"""The live picture of a patching result: linked panels over one selection."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mechviz import wire
from mechviz.errors import InputError, InputTypeError, MechvizError, shown
from mechviz.results import Circuit, PatchResult
from mechviz.views.checks import check_panels, has_kernel
from mechviz.views.pictures import patching_picture
from mechviz.views.reader import Layers, Reader
from mechviz.views.view import LIVE_BYTES, LIVE_HEADS, Answer, View

#: Cells on the curve of heads that are patched together.
_CURVE = 12


@dataclass(frozen=True, eq=False)
class Step:
    """One advance of a computation.

    Attributes
    ----------
    shown : PatchResult
        What to draw now, estimates where exact values are still missing.
    exact : bool array, dims as the grid
        Which cells of ``shown`` are exact.
    result : PatchResult
        What has been computed so far.
    """

    shown: PatchResult
    exact: NDArray[np.bool_]
    result: PatchResult


@dataclass(frozen=True)
class Job:
    """A computation of one grid's exact values.

    Attributes
    ----------
    steps : callable
        Starts it.
    total : int
        How many cells it computes.
    """

    steps: Callable[[], Iterator[Step]]
    total: int


@dataclass(frozen=True)
class Extras:
    """What a view of a result may hold beside it.

    Attributes
    ----------
    circuit : Circuit or None
    parts : Packed or None
        What the two scores are made of: see `mechviz.wire.pack_parts`.
    jobs : mapping of grid key to Job
        Grids that can be computed when somebody asks for it.
    numbers : sequence of int
        Of each competing document, its number in the list that was given; default: as they come.
    """

    circuit: Circuit | None = None
    parts: wire.Packed | None = None
    jobs: Mapping[str, Job] = field(default_factory=dict)
    numbers: Sequence[int] | None = None


class PatchingView(View):
    """What patching did to one pair: head grid, texts, attention lines and more, linked.

    Parameters
    ----------
    result : PatchResult, or a sequence of them
        From `mechviz.patch`, from a file, or made of anybody's arrays. Several are one pair's: heads of several stacks, MLPs
        (``grid="mlps"``), positions (``grid="blocks"`` or ``"head_positions"``).
    patterns : callable or Reader, optional
        ``layer -> float32 array, dims (run, head, query_pos, key_pos)``, run 0 the base. Without it no lines are drawn.
    panels : sequence of str, optional
        Which panels, in their order: ``heads``, ``texts``, ``lines``, ``model``, ``neurons``, ``positions``, ``ranking``,
        ``score``, ``circuit``. Default: all that have something to show.
    theme : ``"auto"``, ``"light"`` or ``"dark"``
    extras : Extras, optional

    Attributes
    ----------
    result : PatchResult
        The first one.
    results : dict of str to PatchResult
        All, by stack and grid, such as ``"encoder.heads"``.
    selection : dict
        See `View`; may be set.
    """

    PANELS = ("heads", "texts", "lines", "model", "neurons", "positions", "ranking", "score", "circuit")

    def __init__(
        self,
        result: PatchResult | Sequence[PatchResult],
        patterns: Callable[[int], NDArray[np.float32]] | Reader | None = None,
        theme: str = "auto",
        panels: Sequence[str] | None = None,
        extras: Extras | None = None,
    ) -> None:
        self._stop = threading.Event()  # first of all: a widget that was never finished is closed, too
        self._results = _by_key(result)
        self._main = next(iter(self._results))
        self._extras = extras or Extras()
        self._wanted = {key: int(one.patched.size) for key, one in self._results.items()}
        self._exact = {key: int(one.exact.sum()) for key, one in self._results.items()}
        self._worker: threading.Thread | None = None
        self._failure: Exception | None = None
        self._before_wait: Callable[[], None] = lambda: None
        main = self._results[self._main]
        reader: Any = Layers({main.stack: patterns}) if callable(patterns) else patterns
        spec = {**wire.pack_patching(list(self._results.values())), "ranking": wire.pack_rivals(main, self._extras.numbers)}
        if self._extras.circuit is not None:
            spec["circuit"] = wire.pack_circuit(self._extras.circuit)
        cells = {name: data for one in self._results.values() for name, data in wire.bytes_of(wire.pack_cells(one)).items()}
        super().__init__(
            spec,
            reader,
            check_panels(panels, self._panels(spec, reader), self.PANELS),
            _order(list(self._results.values())),
            theme,
            cells=cells,
            progress=self._progress("loaded", 0.0),
        )

    # -- what a person uses --------------------------------------------------------------------------------------

    @property
    def result(self) -> PatchResult:
        """The main result; waits for a computation that still runs, and raises what it raised."""
        return self.results[self._main]

    @property
    def results(self) -> dict[str, PatchResult]:
        """All results, by stack and grid; waits for a computation that still runs, and raises what it raised."""
        self._finish()
        return dict(self._results)

    @property
    def title(self) -> str:
        """What a file of this view is called."""
        return f"{self._results[self._main].pair.perturbation} - mechviz"

    def cancel(self) -> None:
        """Stop the computation after the batch that runs now; cells that are done stay."""
        self._stop.set()

    def __repr__(self) -> str:
        return f"PatchingView({self._results[self._main]!r}, {self.progress.get('state', '')})"

    # -- the computation that fills it ---------------------------------------------------------------------------

    def follow(self, jobs: Mapping[str, Job], wait: bool, before_wait: Callable[[], None] = lambda: None) -> None:
        """Draw computations as they go, one after another, in a worker thread unless ``wait``.

        ``jobs`` are by grid key. ``before_wait`` is called before anybody waits for the worker, and raises where that would
        wait for ever.
        """
        self._before_wait = before_wait
        self._wanted = {key: job.total for key, job in jobs.items()}
        self._exact = dict.fromkeys(jobs, 0)
        self.progress = self._progress("running", 0.0)
        if wait:
            self._run(jobs)
            self._order = _order(list(self._results.values()))
            with self.hold_sync():
                for name, value in self._still(LIVE_HEADS, LIVE_BYTES).items():
                    setattr(self, name, value)
            if self._failure is not None:
                raise self._failure
        else:
            self._worker = threading.Thread(target=self._run, args=(jobs,), name="mechviz-patching", daemon=True)
            self._worker.start()

    def _run(self, jobs: Mapping[str, Job]) -> None:
        start = time.perf_counter()
        opened_at = self.selection if self.selection == self._first_selection() else None
        try:
            for key, job in jobs.items():
                for step in job.steps():
                    self._take(key, step)
                    if self._stop.is_set() and self._exact != self._wanted:
                        self.progress = self._progress("cancelled", time.perf_counter() - start)
                        break
                    self.progress = self._progress("running", time.perf_counter() - start)
                if self.progress["state"] == "cancelled":
                    break
            else:
                self.progress = self._progress("done", time.perf_counter() - start)
            self._order = _order(list(self._results.values()))
            if self.selection == opened_at:  # nobody has chosen a head: show the one that exact values put first
                self.selection = self._first_selection()
        except Exception as error:
            self._failure = error
            self.progress = {**self.progress, "state": "failed", "message": f"{type(error).__name__}: {error}"}

    def _take(self, key: str, step: Step) -> None:
        self._results[key] = step.result
        self._exact[key] = int(step.result.exact.sum())
        self.cells = {**self.cells, **wire.bytes_of(wire.pack_cells(step.shown, step.exact))}

    def _progress(self, state: str, seconds: float) -> dict[str, Any]:
        return {
            "state": state,
            "done": sum(self._exact.values()),
            "total": sum(self._wanted.values()),
            "seconds": round(seconds, 3),
            "message": "",
            "agreement": self._results[self._main].agreement(),
            "live": has_kernel(),
            "offers": list(self._extras.jobs),
        }

    def _finish(self) -> None:
        if self._worker is not None and self._worker.is_alive() and self._worker is not threading.current_thread():
            self._before_wait()
            self._worker.join()
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """Close the widget and stop a computation that still runs."""
        self._stop.set()
        super().close()

    # -- answers -------------------------------------------------------------------------------------------------

    def _answers(self) -> dict[str, Answer]:
        return {**super()._answers(), "together": self._answer_together, "curve": self._answer_curve}

    def _receive(self, _widget: object, content: dict[str, Any], _buffers: object) -> None:
        kind = content.get("type")
        if kind == "cancel":
            self.cancel()
        elif kind == "compute":
            self._compute(str(content.get("key")))
        elif kind in ("together", "curve"):  # these run the ranker: the kernel must stay free for other answers
            threading.Thread(target=self._answer, args=(content,), name="mechviz-together", daemon=True).start()
        else:
            self._answer(content)

    def _compute(self, key: str) -> None:
        """Compute a grid that was estimated only, when nothing else runs."""
        if key in self._extras.jobs and not (self._worker is not None and self._worker.is_alive()):
            self._stop.clear()
            self.follow({key: self._extras.jobs[key]}, wait=False, before_wait=self._before_wait)

    def _answer_together(self, message: dict[str, Any]) -> wire.Packed:
        heads = [(str(stack), int(layer), int(head)) for stack, layer, head in message["heads"]]
        stacks = {stack for stack, _, _ in heads}
        if len(stacks) != 1:
            raise InputError(f"heads of {', '.join(sorted(stacks)) or 'no stack'} cannot be patched together: choose some of one")
        result = self._heads_of(stacks.pop())
        values, patched = result.joint([[(layer, head) for _, layer, head in heads]])  # type: ignore[misc]
        entry = {"heads": [list(head) for head in heads], "effect": float(values[0]), "patched": float(patched[0])}
        return wire.Packed("together", entry, {})

    def _answer_curve(self, message: dict[str, Any]) -> wire.Packed:
        stack = str(message["stack"])
        result = self._heads_of(stack)
        curve = result.curve(min(_CURVE, int(np.isfinite(result.patched.values).sum())))
        names = ("top", "rest", "top_patched", "rest_patched")
        arrays = {f"curve.{stack}.{name}": curve[name].values.astype("<f4") for name in names}
        return wire.Packed(f"curve.{stack}", {"stack": stack, "cells": curve["cell"].values.tolist()}, arrays)

    def _heads_of(self, stack: str) -> PatchResult:
        result = self._results.get(f"{stack}.heads")
        if result is None or result.joint is None:
            raise MechvizError("patching together needs the ranker, and this view's result holds none; use show_patching")
        return result

    # -- what is drawn -------------------------------------------------------------------------------------------

    def _panels(self, spec: Mapping[str, Any], reader: Reader | None) -> list[str]:
        """Return the panels that have something to show."""
        dims = [set(map(str, result.effects.dims)) for result in self._results.values()]
        there = {
            "heads": any(one == {"layer", "head"} for one in dims),
            "texts": True,
            "lines": any("head" in one for one in dims),
            "model": reader is not None and bool(spec["stacks"]),
            "neurons": reader is not None and not isinstance(reader, Layers) and bool(spec["stacks"]),
            "positions": any("pos" in one for one in dims),
            "ranking": spec["ranking"] is not None,
            "score": self._extras.parts is not None,
            "circuit": self._extras.circuit is not None,
        }
        return [name for name in self.PANELS if there[name]]

    def _figure(self, panel: str, theme: str) -> str:
        return patching_picture(self, list(self._results.values()), self._extras.circuit, self._extras.parts, panel, theme)

    def _packed(self, count: int, budget: int, page: bool) -> list[wire.Packed]:
        parts = self._extras.parts
        return [*([] if parts is None else [parts]), *super()._packed(count, budget, page)]


def _by_key(given: PatchResult | Sequence[PatchResult]) -> dict[str, PatchResult]:
    results = [given] if isinstance(given, PatchResult) else list(given)
    wrong = [one for one in results if not isinstance(one, PatchResult)]
    if wrong or not results:
        raise InputTypeError(f"a PatchingView draws a PatchResult, or several of one pair, not {shown([*wrong, given][0])}")
    first = results[0].pair
    for one in results:
        dims = set(map(str, one.effects.dims))
        if "layer" not in dims or dims & {"neuron", "cell"} or ("site" in dims and "pos" not in dims):
            raise InputError(
                f"this result has dims {', '.join(map(str, one.effects.dims))}; the view draws grids of heads, MLPs and positions"
            )
        if (one.pair.query, one.pair.doc, one.pair.changed) != (first.query, first.doc, first.changed):
            raise InputError("these results are of different pairs; make one view of each")
    if not any({"head", "pos"} & set(one.effects.dims) for one in results):
        raise InputError("a grid of MLPs is a column beside heads: give the heads of the same pair, too")
    return {wire.grid_key(one): one for one in results}


def _order(results: Sequence[PatchResult]) -> list[wire.Head]:
    """Return all heads of the results, the largest effects first; those whose effects are not known come last."""
    found: list[tuple[float, wire.Head]] = []
    for result in results:
        if result.effects.dims == ("layer", "head"):
            defined = np.isfinite(result.effects.values).any()
            by = result.effects.values if defined else result.patched.values - result.pair.base_score
            size = np.where(np.isfinite(by), np.abs(by), -1.0)
            found += [(-float(size[at]), (result.stack, int(at[0]), int(at[1]))) for at in np.ndindex(size.shape)]
    found.sort(key=lambda one: one[0])
    return [head for _, head in found]
