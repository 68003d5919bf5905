"""How far a ranker agrees with axioms, as a table with bars and colours."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from mechviz.errors import InputError, InputTypeError, shown
from mechviz.figures.cells import diverging_steps, hatch, ramp
from mechviz.figures.colour import Theme, diverging, hexed, ink_on, theme_named
from mechviz.figures.frame import HEADING, MARGIN, Frame, notes
from mechviz.figures.svg import Element, Look, group, line, rect, text
from mechviz.figures.tables import pairs_picture
from mechviz.figures.words import cut, digits_for, percent, signed
from mechviz.results import Scorecard

PANELS = ("scorecard", "pairs")

_ROW = 40.0
_AXIOM, _PAIRS, _VALUE = 110.0, 56.0, 184.0
_HEAT = 66.0
_LEFT = 84.0
_BAR = 80.0
_STARTS = {"over 1000": 1001.0, "unknown": math.inf}


def scorecard_svg(card: Scorecard, panel: str = "scorecard", theme: str = "light") -> str:
    """Draw a panel of a scorecard.

    Parameters
    ----------
    card : Scorecard
        From `mechviz.scorecard`, or made of anybody's numbers.
    panel : ``"scorecard"`` or ``"pairs"``
    theme : ``"light"`` or ``"dark"``

    Returns
    -------
    str
        SVG.

    Raises
    ------
    InputError, InputTypeError
    """
    colours = theme_named(theme)
    if not isinstance(card, Scorecard):
        raise InputTypeError(f"a picture of a scorecard needs a Scorecard, not {shown(card)}; see mv.scorecard")
    if panel not in PANELS:
        raise InputError(f"panel={shown(panel)}; a scorecard has {', '.join(map(repr, PANELS))}")
    provenance = {**card.provenance, "ranker": card.ranker}
    facts = {f"left out, {axiom}": _reasons(reasons) for axiom, reasons in card.dropped.items() if reasons}
    end = f" · {len(card.axioms)} axioms, {len(card.pairs):,} pairs"
    if panel == "pairs":
        frame = Frame("Pairs with the largest score changes towards an axiom", provenance, end=end, facts=facts)
        return pairs_picture(frame, card.pairs, colours, preferred=True)
    return _table(Frame("Agreement with axioms", provenance, end=end, facts=facts), card, colours)


def _reasons(reasons: Any) -> str:
    return "; ".join(f"{n} ({reason})" for reason, n in reasons.items())


def _table(frame: Frame, card: Scorecard, theme: Theme) -> str:
    rows = card.rows.assign(value=card.rows["value"].astype(str))
    by_key: dict[tuple[str, str, str], Any] = {(row["axiom"], row["group"], row["value"]): row for row in rows.to_dict("records")}
    columns = [(name, value) for name in ("grade", "rank") for value in _values(rows, name)]
    sizes = rows[["change"]].to_numpy(dtype=np.float64).ravel().tolist()
    sizes += rows.loc[rows["group"] == "all", ["low", "high"]].to_numpy(dtype=np.float64).ravel().tolist()
    limit = max([abs(size) for size in sizes if math.isfinite(size)], default=1.0) or 1.0
    top = MARGIN + HEADING + 30
    heat = MARGIN + _AXIOM + _PAIRS + 2 * _VALUE
    left = heat + _HEAT * len(columns) + 12
    drawn = _heads(columns, top, heat, left, theme)
    for number, axiom in enumerate(card.axioms):
        y = top + number * _ROW
        drawn.append(line(MARGIN, y, left + _LEFT, y, stroke=theme.faint))
        drawn.append(text(MARGIN, y + 24, cut(axiom, _AXIOM - 6, 12, bold=True), font_weight="bold"))
        row = by_key.get((axiom, "all", ""))
        if row is not None:
            drawn.append(text(MARGIN + _AXIOM + _PAIRS - 18, y + 24, f"{int(row['n']):,}", text_anchor="end"))
            drawn += _value(MARGIN + _AXIOM + _PAIRS, y, _share(row), (0.0, 0.5, 1.0), theme)
            drawn += _value(MARGIN + _AXIOM + _PAIRS + _VALUE, y, _change(row, limit), (-limit, 0.0, limit), theme)
        for place, (name, value) in enumerate(columns):
            drawn += _heat(heat + place * _HEAT, y, by_key.get((axiom, name, value)), f"{axiom} {name} {value}", theme)
        n = sum(card.dropped.get(axiom, {}).values())
        drawn.append(text(left + _LEFT - 8, y + 24, f"{n:,}", text_anchor="end", fill=theme.muted))
    bottom = top + _ROW * len(card.axioms) + 14
    if columns:
        drawn += ramp(MARGIN, bottom, diverging_steps(theme), ("0%", "50%", "100%"), theme)
        bottom += 34
    meaning = (
        "Agrees: the ranker scores the text higher that the axiom prefers. Score change: the mean, towards that text. "
        "Whiskers are 95% intervals over queries; small numbers below a share are pairs."
    )
    said = [
        meaning,
        *(f"{axiom} leaves out {_reasons(reasons)}." for axiom, reasons in card.dropped.items() if reasons),
    ]
    width = max(left + _LEFT, 700.0)
    words, height = notes(said, MARGIN, bottom + 12, width - MARGIN, theme)
    return frame.picture(width + MARGIN, bottom + height + MARGIN, theme, [*drawn, *words])


def _values(rows: pd.DataFrame, group_name: str) -> list[str]:
    values = dict.fromkeys(rows.loc[rows["group"] == group_name, "value"])
    return sorted(values, key=lambda value: (_start(value), value))


def _start(value: str) -> float:
    """Return where a bucket begins."""
    if value in _STARTS:
        return _STARTS[value]
    first = value[:1] + value[1:].partition("-")[0]  # a grade may be negative
    return float(first) if first.lstrip("-").isdigit() else math.inf


def _heads(columns: list[tuple[str, str]], top: float, heat: float, left: float, theme: Theme) -> list[Element]:
    bold: Look = {"font_weight": "bold"}
    ends = (
        (MARGIN + _AXIOM + _PAIRS - 18, "pairs"),
        (MARGIN + _AXIOM + _PAIRS + _VALUE - 24, "agrees"),
        (MARGIN + _AXIOM + _PAIRS + 2 * _VALUE - 24, "score change"),
        (left + _LEFT - 8, "left out"),
    )
    drawn = [text(MARGIN, top - 8, "axiom", **bold), *(text(x, top - 8, name, text_anchor="end", **bold) for x, name in ends)]
    for name in ("grade", "rank"):
        places = [place for place, (of, _) in enumerate(columns) if of == name]
        if not places:
            continue
        middle = heat + (places[0] + places[-1] + 1) * _HEAT / 2
        drawn.append(text(middle, top - 26, f"agrees, by {name}", text_anchor="middle", fill=theme.muted))
        for place in places:
            label = cut(columns[place][1], _HEAT - 2, 11)
            drawn.append(text(heat + (place + 0.5) * _HEAT, top - 8, label, text_anchor="middle", font_size=11, **bold))
    return drawn


#: A value, its bounds, and both in words.
Said = tuple[float, float, float, str, str]


def _share(row: dict[str, Any]) -> Said:
    value, low, high = (float(row[name]) for name in ("satisfied", "satisfied_low", "satisfied_high"))
    known = math.isfinite(low) and math.isfinite(high)
    words = percent(value) if math.isfinite(value) else "–"
    return value, low, high, words, f"{100 * low:.0f}–{100 * high:.0f}" if known else ""


def _change(row: dict[str, Any], limit: float) -> Said:
    value, low, high = (float(row[name]) for name in ("change", "low", "high"))
    digits = digits_for(limit)
    known = math.isfinite(low) and math.isfinite(high)
    words = signed(value, digits) if math.isfinite(value) else "–"
    return value, low, high, words, f"{signed(low, digits)} … {signed(high, digits)}" if known else ""


def _value(x: float, y: float, said: Said, axis: tuple[float, float, float], theme: Theme) -> list[Element]:
    """Draw a bar from the axis's middle with its interval, and the numbers at its right."""
    value, low, high, words, interval = said

    def place(at: float) -> float:
        return x + _BAR * (at - axis[0]) / (axis[2] - axis[0])

    end = x + _VALUE - 24
    drawn = [
        text(end, y + 18, words, text_anchor="end"),
        text(end, y + 32, interval, text_anchor="end", fill=theme.muted, font_size=11),
    ]
    if math.isfinite(value):
        start, width = min(place(axis[1]), place(value)), abs(place(value) - place(axis[1]))
        drawn.append(rect(start, y + 14, width, 11, fill=theme.plus if value >= axis[1] else theme.minus))
    drawn.append(line(place(axis[1]), y + 10, place(axis[1]), y + 29, stroke=theme.muted, shape_rendering="crispEdges"))
    if interval:
        drawn.append(line(place(low), y + 19.5, place(high), y + 19.5, stroke=theme.ink, stroke_width=1.5, data_interval="1"))
    return drawn


def _heat(x: float, y: float, row: dict[str, Any] | None, name: str, theme: Theme) -> list[Element]:
    if row is None:
        return [text(x + _HEAT / 2, y + 24, "–", text_anchor="middle", fill=theme.muted)]
    box = (x + 1.5, y + 2, _HEAT - 3, _ROW - 4)
    value = float(row["satisfied"])
    if not math.isfinite(value):
        return hatch(*box, theme)
    colour = diverging(value - 0.5, 0.5, theme)
    ink: Look = {"text_anchor": "middle", "fill": ink_on(colour)}
    marks = [
        rect(*box, rx=3, fill=hexed(colour)),
        text(x + _HEAT / 2, y + 18, percent(value), **ink),
        text(x + _HEAT / 2, y + 32, f"{int(row['n']):,}", font_size=11, **ink),
    ]
    return [group(marks, data_score=name)]
