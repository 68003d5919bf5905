"""Tables of a study as pictures: covariates, and the pairs that changed most."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from mechviz import wire
from mechviz.figures.changes import score_changes
from mechviz.figures.colour import Theme
from mechviz.figures.frame import HEADING, MARGIN, Frame, notes
from mechviz.figures.labels import placed
from mechviz.figures.svg import Element, line, rect, text
from mechviz.figures.words import cut, digits_for, plain, signed, visible
from mechviz.results import StudySummary

#: Pairs of a picture.
_LISTED = 16
_ROW = 24.0
_PAIR = 40.0
_BAR = 60.0
_TEXTS = 470.0


def covariates_picture(frame: Frame, summary: StudySummary, theme: Theme) -> str:
    """Draw correlations as bars and numbers."""
    frame_of = summary.covariates if summary.covariates is not None else pd.DataFrame()
    top = MARGIN + HEADING + 8
    lefts = {"n": 210.0, "spearman": 350.0, "p": 425.0, "partial": 560.0, "p_partial": 640.0}
    drawn = [text(MARGIN, top + 12, "covariate", font_weight="bold")]
    there = [name for name in lefts if name in frame_of.columns]
    drawn += [
        text(MARGIN + lefts[name], top + 12, name.partition("_")[0], font_weight="bold", text_anchor="end") for name in there
    ]
    for row, values in enumerate(frame_of.to_dict("records")):
        y = top + 24 + row * _ROW
        drawn.append(line(MARGIN, y - 4, MARGIN + 640, y - 4, stroke=theme.faint))
        drawn.append(text(MARGIN, y + 12, cut(str(values.get("covariate", "")), 160, 12)))
        for name in there:
            value = float(values[name])
            words = _p(value) if name.startswith("p_") or name == "p" else f"{value:,.0f}" if name == "n" else signed(value, 2)
            words = words if math.isfinite(value) else "–"
            drawn.append(text(MARGIN + lefts[name], y + 12, words, text_anchor="end"))
            if name in ("spearman", "partial") and math.isfinite(value):
                drawn += middle_bar(MARGIN + lefts[name] - 110, y + 3, value, 1.0, theme)
    bottom = top + 24 + _ROW * len(frame_of)
    said = "Spearman's correlation with the size of the effects; partial: the same given the score change."
    words_, height = notes([said], MARGIN, bottom + 18, 640, theme)
    return frame.picture(640 + 2 * MARGIN, bottom + 10 + height + MARGIN, theme, [*drawn, *words_])


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def middle_bar(x: float, y: float, value: float, limit: float, theme: Theme) -> list[Element]:
    """Draw a bar from the middle of its room, whose ends are -limit and limit."""
    share = max(-1.0, min(1.0, value / limit)) if limit > 0 else 0.0
    middle = x + _BAR / 2
    start, width = min(middle, middle + share * _BAR / 2), abs(share) * _BAR / 2
    return [
        rect(start, y, width, 10, fill=theme.plus if value > 0 else theme.minus),
        line(middle, y - 2, middle, y + 12, stroke=theme.muted, shape_rendering="crispEdges"),
    ]


def pairs_picture(frame: Frame, pairs: pd.DataFrame, theme: Theme, preferred: bool = False) -> str:
    """List the pairs whose score changed most, by the size of the change; ``preferred``: towards what an axiom prefers."""
    changes = score_changes(pairs, "original_score", "perturbed_score")
    if preferred:
        changes = changes * pairs["preferred"].to_numpy(dtype=np.float64)
    order = np.argsort(-np.nan_to_num(np.abs(changes), nan=-1.0), kind="stable")[:_LISTED]
    rows = pairs.iloc[order]
    known = changes[np.isfinite(changes)]
    limit = float(np.percentile(np.abs(known), 99)) if len(known) else 0.0
    digits = max(2, digits_for(limit))
    top = MARGIN + HEADING + 8
    names = {"grade": _TEXTS + 60, "rank": _TEXTS + 120, "score": _TEXTS + 250, "change": _TEXTS + 390}
    drawn = [text(MARGIN, top + 12, "query and document", font_weight="bold")]
    drawn += [text(MARGIN + at, top + 12, name, font_weight="bold", text_anchor="end") for name, at in names.items()]
    parts = [
        wire.changed_part(original, perturbed if isinstance(perturbed, str) else "")
        for original, perturbed in zip(wire.originals(rows), rows["perturbed"], strict=True)
    ]
    for number, (values, change, part) in enumerate(zip(rows.to_dict("records"), changes[order], parts, strict=True)):
        y = top + 26 + number * _PAIR
        drawn.append(line(MARGIN, y - 4, MARGIN + names["change"], y - 4, stroke=theme.faint))
        drawn += _texts(str(values["query"]), str(values["doc"]), part, y, theme)
        scores = [
            float("nan") if pd.isna(values[name]) else float(values[name]) for name in ("original_score", "perturbed_score")
        ]
        shown = {
            "grade": _whole(values["grade"]),
            "rank": _whole(values["rank"]),
            "score": " → ".join(plain(score, digits) if math.isfinite(score) else "–" for score in scores),
            "change": signed(float(change), digits) if math.isfinite(change) else "–",
        }
        drawn += [text(MARGIN + names[name], y + 20, words, text_anchor="end") for name, words in shown.items()]
        if math.isfinite(change):
            drawn += middle_bar(MARGIN + names["change"] - 130, y + 11, float(change), limit, theme)
    bottom = top + 26 + _PAIR * len(rows)
    left = "" if len(pairs) <= len(rows) else f"{len(pairs) - len(rows):,} more pairs are not drawn."
    words_, height = notes([left or ("" if len(rows) else "There is no pair.")], MARGIN, bottom + 14, _TEXTS, theme)
    return frame.picture(names["change"] + 2 * MARGIN, bottom + height + MARGIN, theme, [*drawn, *words_])


def _texts(query: str, doc: str, part: Sequence[str], y: float, theme: Theme) -> list[Element]:
    first = cut(visible(wire.short(query, 110)), _TEXTS, 12, bold=True)
    changed = " ".join(f"{sign} {words}" for sign, words in zip("−+", part, strict=True) if words)
    second = cut(" · ".join(words for words in (changed, wire.short(doc, 110)) if words) or " ", _TEXTS, 11)
    return [
        placed(MARGIN, y + 12, first, "start", 12, {"font_weight": "bold"}),
        placed(MARGIN, y + 28, second, "start", 11, {"fill": theme.muted}),
    ]


def _whole(value: object) -> str:
    return "–" if value is None or pd.isna(value) else f"{int(value):,}"  # type: ignore[call-overload]
