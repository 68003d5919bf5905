"""The tokens below a heat map: which labels there is room for, and what part of the text each is in."""

from __future__ import annotations

from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from mechviz.figures.colour import Theme
from mechviz.figures.labels import SLANTED_FONT, SPECIAL, depth_of, far_enough, slanted, token_words
from mechviz.figures.svg import Element, line, text
from mechviz.figures.values import Values
from mechviz.figures.words import cut, width_of
from mechviz.figures.wrap import in_word
from mechviz.results import PatchResult

_LONGEST = 96.0
_TICK = 6.0
_SEGMENTS = {"query": "query", "doc": "document", "prompt": "prompt"}


class TokenAxis:
    """The x axis of a heat map.

    Parameters
    ----------
    result : PatchResult
    values : Values, dims (site, layer, pos)
    left : float
        Where the first column begins.
    width : float
        Of a column.
    theme : Theme
    pos : int or None
        The position that is selected.
    """

    def __init__(self, result: PatchResult, values: Values, left: float, width: float, theme: Theme, pos: int | None) -> None:
        self.pair, self.left, self.width, self.theme, self.pos = result.pair, left, width, theme, pos
        self.n_pos = values.values.shape[2]
        # Positions of a stack that reads something else are not the tokens that the pair holds.
        self.named = result.stack == self.pair.stack and self.n_pos == len(self.pair.base)
        self.kinds = self.pair.alignment.kinds if self.named else ("equal",) * self.n_pos
        self.strength: NDArray[np.float64] = np.nan_to_num(np.abs(values.values)).max((0, 1))

    def words(self, pos: int) -> str:
        """Return the label of a position: what the texts have there, and what became of it."""
        if not self.named:
            return str(pos)
        forward = self.pair.direction == "perturbed->original"
        original, perturbed = (self.pair.base, self.pair.source) if forward else (self.pair.source, self.pair.base)
        kind = self.kinds[pos]
        old, new = (token_words(tokens, pos) for tokens in (original, perturbed))
        plus, minus = ("" if in_word(tokens, pos) else mark for tokens, mark in ((perturbed, "+"), (original, "−")))
        return {"insert": plus + new, "delete": minus + old, "replace": f"{old}→{new}"}.get(kind, new)

    def shown(self) -> list[int]:
        """Return the positions that get a label: the selected, the changed, the strongest, and others where there is room."""
        first = [pos for pos in range(self.n_pos) if self.kinds[pos] != "equal"]
        order = [*([] if self.pos is None else [self.pos]), *first, *np.argsort(-self.strength, kind="stable").tolist()]
        return far_enough(order, self.n_pos, self.width)

    def labels(self, y: float) -> tuple[list[Element], float]:
        """Draw the labels below ``y``; return them and how much room they take."""
        drawn = self._spans(y)
        deepest = 0.0
        for pos in self.shown():
            changed = self.kinds[pos] != "equal"
            bold = changed or pos == self.pos
            words = cut(self.words(pos), _LONGEST, SLANTED_FONT, bold)
            x = self.left + (pos + 0.5) * self.width
            weight = "bold" if bold else None
            drawn.append(line(x, y + 2, x, y + _TICK, stroke=self.theme.change if changed else self.theme.border))
            drawn.append(slanted(x, y + _TICK + 7, words, fill=self._colour(pos), font_weight=weight, data_label=pos))
            deepest = max(deepest, width_of(words, SLANTED_FONT, bold))
        return drawn, _TICK + 12 + depth_of(deepest)

    def _spans(self, y: float) -> list[Element]:
        """Draw a line under each stretch of changed columns, whether or not there is room for their labels."""
        drawn = []
        for changed, run in groupby(range(self.n_pos), key=lambda pos: self.kinds[pos] != "equal"):
            members = list(run)
            if changed:
                x1, x2 = self.left + members[0] * self.width, self.left + (members[-1] + 1) * self.width
                drawn.append(line(x1, y + 1.5, x2, y + 1.5, stroke=self.theme.change, stroke_width=2))
        return drawn

    def _colour(self, pos: int) -> str:
        if self.kinds[pos] != "equal":
            return self.theme.change
        segment = self.pair.base.segments[pos] if self.named else "prompt"
        return self.theme.muted if segment in (*SPECIAL, "prompt") else self.theme.query if segment == "query" else self.theme.ink

    def segments(self, y: float) -> list[Element]:
        """Draw a bracket over each part of the text, above the first panel; nothing where there is only one."""
        if not self.named or len(set(self.pair.base.segments) & set(_SEGMENTS)) < 2:
            return []
        drawn: list[Element] = []
        for segment, run in groupby(range(self.n_pos), key=lambda pos: self.pair.base.segments[pos]):
            if segment not in _SEGMENTS:
                continue
            members = list(run)
            x1, x2 = self.left + members[0] * self.width, self.left + (members[-1] + 1) * self.width
            colour = self.theme.query if segment == "query" else self.theme.muted
            drawn.append(line(x1 + 1, y + 16, x2 - 1, y + 16, stroke=colour, stroke_width=2))
            words = _SEGMENTS[segment]
            if width_of(words, SLANTED_FONT) < x2 - x1:
                drawn.append(text((x1 + x2) / 2, y + 11, words, text_anchor="middle", font_size=SLANTED_FONT, fill=colour))
        return drawn
