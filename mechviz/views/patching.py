"""The live picture of a patching result: one widget, three panels, one selection."""

from __future__ import annotations

import numbers
import os
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anywidget
import comm
import numpy as np
import traitlets
from numpy.typing import NDArray

import mechviz
from mechviz import snapshot, wire
from mechviz.errors import InputError, MechvizError, shown
from mechviz.files import replacing
from mechviz.results import PatchResult

#: Heads whose attention comes with the widget; any other is fetched when asked for.
_LIVE_HEADS = 8
_LIVE_BYTES = 1_000_000
#: Attention that a page may hold; base64 makes it a third longer.
_PAGE_BYTES = 1_500_000


THEMES = ("auto", "light", "dark")


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


class PatchingView(anywidget.AnyWidget):
    """Head grid, texts before and after, and attention lines of one patched pair.

    Parameters
    ----------
    result : PatchResult
        From `mechviz.patch`, from a file, or made of anybody's arrays.
    patterns : callable, optional
        ``layer -> float32 array, dims (run, head, query_pos, key_pos)``, run 0 the base. Without it no lines are drawn.
    theme : ``"auto"``, ``"light"`` or ``"dark"``

    Attributes
    ----------
    result : PatchResult
    selection : dict
        ``layer``, ``head`` and the pinned position ``pos`` (or None); may be set.
    """

    _esm = snapshot.STATIC / "widget.js"
    _css = snapshot.STATIC / "widget.css"

    spec = traitlets.Dict().tag(sync=True)
    buffers = traitlets.Dict().tag(sync=True)
    cells = traitlets.Dict().tag(sync=True)
    progress = traitlets.Dict().tag(sync=True)
    selection = traitlets.Dict().tag(sync=True)
    theme = traitlets.Enum(THEMES, default_value="auto").tag(sync=True)

    def __init__(self, result: PatchResult, patterns: wire.Patterns | None = None, theme: str = "auto") -> None:
        self._stop = threading.Event()  # first of all: a widget that was never finished is closed, too
        check_theme(theme)
        if result.effects.dims != ("layer", "head"):
            raise InputError(f"this result has dims {', '.join(map(str, result.effects.dims))}; the view draws (layer, head)")
        self._result = result
        self._total = int(result.patched.size)  # cells that are wanted: fewer where some were chosen
        self._patterns = patterns
        self._worker: threading.Thread | None = None
        self._failure: Exception | None = None
        self._before_wait: Callable[[], None] = lambda: None
        super().__init__(
            **self._still(_LIVE_HEADS, _LIVE_BYTES),
            cells=_bytes(wire.pack_cells(result)),
            progress=self._progress("loaded", result),
            selection=self._first_selection(),
            theme=theme,
        )
        self.on_msg(self._answer)

    # -- what a person uses --------------------------------------------------------------------------------------

    @property
    def result(self) -> PatchResult:
        """The result; waits for a computation that still runs, and raises what it raised."""
        self._wait()
        if self._failure is not None:
            raise self._failure
        return self._result

    def cancel(self) -> None:
        """Stop the computation after the batch that runs now; cells that are done stay."""
        self._stop.set()

    def to_html(self, path: str | os.PathLike[str]) -> Path:
        """Write the view as one HTML file that needs no network, and return its path; waits for the computation.

        The file holds the lines of as many heads as fit, by falling effect, and says which.

        Raises
        ------
        InputError
            The folder does not exist.
        """
        result = self.result
        state = {
            **self._still(result.effects.size, _PAGE_BYTES),
            "cells": self.cells,
            "progress": {**self.progress, "live": False},
            "selection": dict(self.selection),
            "theme": self.theme,
        }
        page = snapshot.to_html(_plain(state), f"{result.pair.perturbation} - mechviz", mechviz.__version__)
        size = len(page.encode())
        if size > snapshot.SIZE_CAP:
            warnings.warn(f"{path} has {size / 2**20:.1f} MB, over {snapshot.SIZE_CAP / 2**20:.0f} MB", stacklevel=2)
        with replacing(path) as part:
            part.write_text(page, encoding="utf-8")
        return Path(path)

    def __repr__(self) -> str:
        state = self.progress.get("state", "")
        return f"PatchingView({self._result!r}, {state})"

    # -- the computation that fills it ---------------------------------------------------------------------------

    def follow(self, steps: Iterator[Step], total: int, wait: bool, before_wait: Callable[[], None] = lambda: None) -> None:
        """Draw a computation as it goes, in a worker thread unless ``wait``.

        ``before_wait`` is called before anybody waits for the worker, and raises where that would wait for ever.
        """
        self._before_wait, self._total = before_wait, total
        self.progress = {**self.progress, "state": "running", "done": 0, "total": total, "live": has_kernel()}
        if wait:
            self._run(steps)
            with self.hold_sync():
                self.spec, self.buffers = self._still(_LIVE_HEADS, _LIVE_BYTES).values()
            if self._failure is not None:
                raise self._failure
        else:
            self._worker = threading.Thread(target=self._run, args=(steps,), name="mechviz-patching", daemon=True)
            self._worker.start()

    def _run(self, steps: Iterator[Step]) -> None:
        start = time.perf_counter()
        opened_at = self.selection
        try:
            for step in steps:
                self._result = step.result
                self.cells = _bytes(wire.pack_cells(step.shown, step.exact))
                complete = int(step.exact.sum()) >= self._total
                state = "done" if complete else "cancelled" if self._stop.is_set() else "running"
                self.progress = self._progress(state, step.result, time.perf_counter() - start)
                if state == "cancelled":
                    break
            if self.selection == opened_at:  # nobody has chosen a head: show the one that exact values put first
                self.selection = self._first_selection()
        except Exception as error:
            self._failure = error
            self.progress = {**self.progress, "state": "failed", "message": f"{type(error).__name__}: {error}"}

    def _wait(self) -> None:
        if self._worker is not None and self._worker.is_alive() and self._worker is not threading.current_thread():
            self._before_wait()
            self._worker.join()

    def close(self) -> None:
        """Close the widget and stop a computation that still runs."""
        self._stop.set()
        super().close()

    def _progress(self, state: str, result: PatchResult, seconds: float = 0.0) -> dict[str, Any]:
        return {
            "state": state,
            "done": int(result.exact.sum()),
            "total": self._total,
            "seconds": round(seconds, 3),
            "message": "",
            "agreement": result.agreement(),
            "live": has_kernel(),
        }

    # -- attention -----------------------------------------------------------------------------------------------

    def _still(self, count: int, budget: int) -> dict[str, Any]:
        """Return the state that does not change while cells are computed, with lines of the ``count`` top heads."""
        heads = self._pack_heads(count, budget)
        arrays = {name: array for head in heads for name, array in head.arrays.items()}
        return {"spec": wire.pack_spec(self._result, heads), "buffers": _bytes(arrays)}

    def _pack_heads(self, count: int, budget: int) -> list[wire.HeadEdges]:
        if self._patterns is None:
            return []
        top = self._result.top(count)
        return wire.pack_heads(self._patterns, list(zip(top["layer"].tolist(), top["head"].tolist(), strict=True)), budget)

    def _first_selection(self) -> dict[str, Any]:
        top = self._result.top(1)
        layer, head = (int(top["layer"][0]), int(top["head"][0])) if len(top) else (0, 0)
        return {"layer": layer, "head": head, "pos": None}

    @traitlets.validate("selection")
    def _check_selection(self, proposal: Any) -> dict[str, Any]:
        value = dict(proposal["value"])
        sizes = self._result.effects.sizes
        for name in ("layer", "head"):
            if not _is_index(value.get(name), sizes[name]):
                raise InputError(f"selection[{name!r}] = {shown(value.get(name))}; give a number from 0 to {sizes[name] - 1}")
            value[name] = int(value[name])
        pos = value.setdefault("pos", None)
        if pos is not None and not _is_index(pos, len(self._result.pair.base)):
            raise InputError(f"selection['pos'] = {shown(pos)}; give None or a position below {len(self._result.pair.base)}")
        return value

    def _answer(self, _widget: object, content: dict[str, Any], _buffers: object) -> None:
        """Answer a message from the browser; what goes wrong is told there, not swallowed."""
        if content.get("type") == "cancel":
            self.cancel()
            return
        try:
            if content.get("type") != "attention":
                raise MechvizError(f"unknown message {shown(content.get('type'))}")
            if self._patterns is None:
                raise MechvizError("this view was made without attention patterns: pass patterns= to PatchingView")
            layer, head = int(content["layer"]), int(content["head"])
            pattern = self._patterns(layer)
            edges = wire.pack_head(layer, head, pattern[0, head], pattern[1, head])
        except Exception as error:
            self.send({"type": "error", "id": content.get("id"), "message": f"{type(error).__name__}: {error}"})
            return
        self.send(
            {
                "type": "attention",
                "id": content.get("id"),
                "entry": edges.entry,
                "buffers": wire.describe(edges.arrays),
                "order": list(edges.arrays),
            },
            buffers=[wire.to_bytes(array) for array in edges.arrays.values()],
        )


def has_kernel() -> bool:
    """Return whether somebody listens: a notebook kernel, marimo, or another host that replaced comm's default."""
    made_by = comm.create_comm.__module__.partition(".")[0]
    if made_by == "ipykernel":  # replaces the default when it is imported, kernel or not
        import IPython

        return hasattr(IPython.get_ipython(), "kernel")
    return bool(made_by != "comm")


def check_theme(theme: object) -> None:
    """Refuse a theme that does not exist."""
    if theme not in THEMES:
        raise InputError(f"theme={shown(theme)}; it is one of {', '.join(map(repr, THEMES))}")


def _is_index(value: object, size: int) -> bool:
    return isinstance(value, numbers.Integral) and 0 <= int(value) < size


def _bytes(arrays: dict[str, NDArray[Any]]) -> dict[str, bytes]:
    return {name: wire.to_bytes(array) for name, array in arrays.items()}


def _plain(value: Any) -> Any:
    """Replace non-finite floats by None, which JSON has and NaN is not."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
