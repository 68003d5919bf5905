"""What the score did: in words, and as a dumbbell on the axis of all candidates."""

from __future__ import annotations

import math
from typing import Any

from mechviz import wire
from mechviz.figures.colour import Theme
from mechviz.figures.frame import score_digits
from mechviz.figures.svg import Element, Look, circle, line, phrase, text
from mechviz.figures.words import plain, signed
from mechviz.results import PatchResult

#: Height of `score_line`.
SCORES = 52.0

_DUMBBELL = 340.0
_MARGIN = 58.0
_AXIS = 34.0


def score_line(result: PatchResult, x: float, y: float, width: float, theme: Theme) -> list[Element]:
    """Draw scores and ranks of both texts, the scores of the runs, and the dumbbell at the right."""
    pair, digits, ranks = result.pair, score_digits(result.pair), wire.ranks(result)
    change = signed(pair.perturbed_score - pair.original_score, digits)
    strong: Look = {"font_size": 17, "font_weight": "bold", "fill": theme.change}
    parts: list[tuple[str, Look]] = [
        ("score", {"fill": theme.muted}),
        (f"{plain(pair.original_score, digits)} →", {"font_size": 17}),
        (plain(pair.perturbed_score, digits), strong),
        (change, strong),
    ]
    if ranks:
        parts.append((_rank_text(ranks), {"font_size": 13}))
    drawn = [phrase(x, y + 18, parts, 9)]
    costs = [run - own for run, own in zip((pair.base_score, pair.source_score), _own_scores(result), strict=True)]
    small = " and ".join("0" if abs(cost) < 0.5 * 10**-digits else signed(cost, digits) for cost in costs)
    base, source = plain(pair.base_score, digits), plain(pair.source_score, digits)
    runs = f"runs with fillers: base {base}, source {source}; filler's cost {small}"
    drawn.append(text(x, y + 40, runs, fill=theme.muted))
    return drawn + _dumbbell(result, ranks, x + width - _DUMBBELL, y, theme)


def _own_scores(result: PatchResult) -> tuple[float, float]:
    """Return the scores of the texts that base and source run are made of."""
    pair = result.pair
    own = (pair.original_score, pair.perturbed_score)
    return own if pair.direction == "perturbed->original" else own[::-1]


def _rank_text(ranks: dict[str, Any]) -> str:
    original, perturbed, of = ranks["original"], ranks["perturbed"], ranks["of"]
    if original == perturbed:
        return f"rank {original} of {of}, unchanged"
    move = f"up {original - perturbed}" if original > perturbed else f"down {perturbed - original}"
    return f"rank {original} → {perturbed} of {of} ({move})"


def _dumbbell(result: PatchResult, ranks: dict[str, Any] | None, left: float, y: float, theme: Theme) -> list[Element]:
    competitors = [score for score in (ranks or {"competitors": []})["competitors"] if math.isfinite(score)]
    original, perturbed = result.pair.original_score, result.pair.perturbed_score
    low, high = min(original, perturbed, *competitors), max(original, perturbed, *competitors)

    def place(score: float) -> float:
        share = (score - low) / (high - low) if high > low else 0.5
        return left + _MARGIN + share * (_DUMBBELL - 2 * _MARGIN)

    axis = y + _AXIS
    x0, x1 = place(original), place(perturbed)
    drawn = [line(left + 8, axis, left + _DUMBBELL - 8, axis, stroke=theme.border)]
    look: Look = {"stroke": theme.muted, "stroke_opacity": 0.65, "stroke_width": 1.5}
    drawn += [
        line(place(score), axis - 6, place(score), axis + 6, data_competitor=plain(score, 3), **look) for score in competitors
    ]
    # Labels reach outwards from the two dots, and part where the dots meet.
    overhang = min(5.0, abs(x1 - x0) / 2 - 4)
    ends = ("end", "start") if x1 >= x0 else ("start", "end")
    reach = {"end": overhang, "start": -overhang}
    return [
        *drawn,
        line(x0, axis, x1, axis, stroke=theme.change, stroke_width=2.5),
        circle(x0, axis, 4.5, fill=theme.page, stroke=theme.ink, stroke_width=1.75),
        circle(x1, axis, 5, fill=theme.change),
        text(x0 + reach[ends[0]], axis - 14, "original", text_anchor=ends[0], font_size=11, fill=theme.muted),
        text(x1 + reach[ends[1]], axis - 14, "perturbed", text_anchor=ends[1], font_size=11, fill=theme.change),
    ]
