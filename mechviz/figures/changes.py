"""How the score changes of many pairs are spread: those of the texts, and those of the runs that are patched."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mechviz import wire
from mechviz.figures.cells import hatch
from mechviz.figures.colour import Theme
from mechviz.figures.frame import HEADING, MARGIN, Frame, notes
from mechviz.figures.svg import Element, Look, group, line, rect, text
from mechviz.figures.words import digits_for, percent, plain, signed
from mechviz.results import StudySummary

_WIDTH = 640.0
_HEIGHT = 110.0
_BINS = 36
_SIDES = (
    ("of the texts: perturbed − original", "original_score", "perturbed_score"),
    ("of the runs that are patched: source − base", "base_score", "source_score"),
)


def changes_picture(frame: Frame, summary: StudySummary, theme: Theme) -> str:
    """Draw a histogram of each kind of change, on one axis."""
    pairs = summary.pairs
    used = (pairs["reason"].fillna("") == "").to_numpy()
    found = [(name, changes) for name, *columns in _SIDES if np.isfinite(changes := score_changes(pairs, *columns)).any()]
    edges = bin_edges(np.concatenate([changes for _, changes in found])) if found else np.array([-1.0, 0.0, 1.0])
    counts = [[_counts(changes[of], edges) for of in (used, ~used)] for _, changes in found]
    most = max([1, *(int((used_here + dropped).max()) for used_here, dropped in counts)])
    y, drawn = MARGIN + HEADING + 6, []
    least = wire.min_change_of(summary)
    for number, ((name, changes), both) in enumerate(zip(found, counts, strict=True)):
        known = changes[used & np.isfinite(changes)]
        share = f"{percent(float((known > 0).mean()))} go up" if len(known) else "no pair was used"
        drawn.append(text(MARGIN, y + 12, f"{name}: {share}, of {len(known):,}"))
        drawn += _bars(edges, both, y + 22, most, theme)
        if least is not None and number == 1:
            drawn += [_gate(edges, at, y + 22, theme) for at in (-least, least) if edges[0] < at < edges[-1]]
        y += 22 + _HEIGHT + 14
    drawn += _axis(edges, y - 2, theme)
    said = [
        "Hatched: pairs that were dropped."
        + (f" Dashed: the least change that is used, {plain(least, digits_for(least))}." if least else ""),
        f"{summary.n_dropped:,} dropped: " + "; ".join(f"{n:,} {reason}" for reason, n in summary.dropped.items())
        if summary.n_dropped
        else "No pair was dropped.",
        "" if found else "No score of any pair is known.",
    ]
    words, height = notes(said, MARGIN, y + 34, _WIDTH, theme)
    return frame.picture(_WIDTH + 2 * MARGIN, y + 26 + height + MARGIN, theme, [*drawn, *words])


def score_changes(pairs: pd.DataFrame, before: str, after: str) -> NDArray[np.float64]:
    """Return the change of every pair, NaN where one of its scores is not known."""
    first, second = (pd.to_numeric(pairs[name], errors="coerce").to_numpy(dtype=np.float64) for name in (before, after))
    changes: NDArray[np.float64] = second - first
    return changes


def bin_edges(changes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the edges of bins of one round width, of which one is 0; far outliers fall into the first and the last bin."""
    known = changes[np.isfinite(changes)]
    first, last = np.percentile(known, [1, 99])
    room = max(last - first, abs(last) * 1e-3) / 2
    low = min(0.0, max(float(known.min()), first - room))
    high = max(0.0, min(float(known.max()), last + room))
    step = round_up((high - low) / _BINS)
    start, end = math.floor(low / step + 1e-6), math.floor(high / step + 1e-6) + 1
    return np.arange(start, max(start + 1, end) + 1) * step


def round_up(size: float) -> float:
    """Return 1, 2 or 5 times a power of ten, the least that is not below ``size``."""
    if not size > 0 or not math.isfinite(size):
        return 1.0
    power = 10.0 ** math.floor(math.log10(size))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= size * 0.999999)


def _counts(changes: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.int64]:
    known = changes[np.isfinite(changes)]
    at = np.clip(np.searchsorted(edges, known, side="right") - 1, 0, len(edges) - 2)
    return np.bincount(at, minlength=len(edges) - 1)


def _place(edges: NDArray[np.float64], value: float) -> float:
    return float(MARGIN + _WIDTH * (value - edges[0]) / (edges[-1] - edges[0]))


def _bars(edges: NDArray[np.float64], counts: list[NDArray[np.int64]], y: float, most: int, theme: Theme) -> list[Element]:
    drawn: list[Element] = []
    for number, (used, dropped) in enumerate(zip(*counts, strict=True)):
        left, right = _place(edges, edges[number]) + 0.5, _place(edges, edges[number + 1]) - 0.5
        tall, more = _HEIGHT * used / most, _HEIGHT * dropped / most
        bars = []
        if used:
            fill = theme.plus if edges[number + 1] > edges[-1] * 1e-9 else theme.minus
            bars.append(rect(left, y + _HEIGHT - tall, right - left, tall, fill=fill, data_used=int(used)))
        if dropped:
            bars += hatch(left, y + _HEIGHT - tall - more, right - left, more, theme)
        drawn.append(group(bars, data_bin=number, data_dropped=int(dropped)))
    zero = _place(edges, 0.0)
    base = line(MARGIN, y + _HEIGHT, MARGIN + _WIDTH, y + _HEIGHT, stroke=theme.muted)
    return [*drawn, base, line(zero, y - 3, zero, y + _HEIGHT, stroke=theme.muted)]


def _gate(edges: NDArray[np.float64], at: float, y: float, theme: Theme) -> Element:
    x = _place(edges, at)
    return line(x, y - 3, x, y + _HEIGHT, stroke=theme.change, stroke_width=1.5, stroke_dasharray="4 3", data_gate="1")


def _axis(edges: NDArray[np.float64], y: float, theme: Theme) -> list[Element]:
    digits = digits_for(float(edges[1] - edges[0]) * 10)
    ends = {float(edges[0]): "start", float(edges[-1]): "end"}
    ticks = {**ends, 0.0: ends.get(0.0, "middle")}
    look: Look = {"fill": theme.muted, "font_size": 11}
    return [
        text(_place(edges, at), y, signed(at, digits) if at else "0", text_anchor=anchor, **look) for at, anchor in ticks.items()
    ]
