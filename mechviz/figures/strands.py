"""One run of one head: tokens that attend, tokens that are attended to, and what runs between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mechviz import wire
from mechviz.figures.colour import Theme
from mechviz.figures.labels import placed, token_look, token_words
from mechviz.figures.lanes import Lanes, Strand
from mechviz.figures.svg import Element, Look, group, line, rect, text
from mechviz.figures.words import cut, weight_text, width_of
from mechviz.results import StackShape
from mechviz.text import Tokens

#: Width of a column of tokens.
COLUMN = 116.0

_SPARSE = 300
_NUMBERED = 10
_FAINT = 0.13


def line_look(weight: float, n_lines: int) -> tuple[float, float]:
    """Return opacity and width of a line: both by the square root of the weight, so that weak lines are seen.

    Hundreds of weak lines would drown everything else, so in a dense picture they fade and the strong ones stay.
    """
    root = max(0.0, min(1.0, weight)) ** 0.5
    density = max(0.0, min(1.0, (n_lines - _SPARSE) / (wire.EDGE_CAP / 2 - _SPARSE)))
    floor = 0.12 - 0.08 * density
    return floor + (1 - floor) * root ** (1 + 0.9 * density), 0.5 + 2.5 * root


@dataclass(frozen=True, eq=False)
class Half:
    """The picture of one run.

    Attributes
    ----------
    tokens : Tokens
    kinds : tuple of str
        Of the alignment's rows; all ``equal`` where nothing was perturbed.
    received : float array, dims (key_pos)
        The mean attention that each key receives.
    strands : list of Strand
        What is drawn, strongest first.
    lanes : pair of Lanes
        Rows of what attends and of what is attended to.
    shape : StackShape
        Says what attends where that is no position of the text.
    left, top : float
    height : float
        Of one row.
    room : float
        Between the two columns.
    theme : Theme
    pos : int or None
        The position whose lines stand out.
    """

    tokens: Tokens
    kinds: tuple[str, ...]
    received: NDArray[np.float32]
    strands: list[Strand]
    lanes: tuple[Lanes, Lanes]
    shape: StackShape
    left: float
    top: float
    height: float
    room: float
    theme: Theme
    pos: int | None

    @property
    def bars(self) -> bool:
        """Whether every key has a bar: with a single query the slope of a line would say nothing."""
        return self.shape.query_labels is not None and len(self.shape.query_labels) == 1

    def drawn(self, strongest: float, largest: float) -> list[Element]:
        """Draw all of it.

        Parameters
        ----------
        strongest : float
            The largest mean attention that a token of either run receives.
        largest : float
            The largest weight of either run.
        """
        right = self.left + COLUMN + self.room
        backs = [] if self.bars else self._backs(right, COLUMN / max(strongest, 1e-9))
        strands = self._bars(largest) if self.bars else self._lines()
        froms = self._column(0, self.left if self.bars else self.left + COLUMN - 6, "start" if self.bars else "end")
        return [*backs, *strands, *froms, *self._column(1, right + 6, "start"), *self._frames(right)]

    def _y(self, row: int) -> float:
        return self.top + row * self.height

    def _backs(self, right: float, length: float) -> list[Element]:
        sums = [min(COLUMN, float(self.received[list(lane)].sum()) * length) for lane in self.lanes[1].positions]
        return [
            rect(right, self._y(row) + 2, width, self.height - 4, rx=2, fill=self.theme.bar)
            for row, width in enumerate(sums)
            if width > 0
        ]

    def _own(self, side: int) -> tuple[str, ...] | None:
        """Return the labels of a side whose ends are no positions of the text."""
        return self.shape.key_labels if side else self.shape.query_labels

    def _column(self, side: int, x: float, anchor: str) -> list[Element]:
        labels = self._own(side)
        size = 12.0 if self.height >= 15 else 11.0
        if labels is None:
            return [mark for row in range(len(self.lanes[side])) for mark in self._token(side, row, x, anchor, size)]
        weight = "bold" if self.bars and side == 0 else None
        words = [cut(" ".join(label.split()), COLUMN - 8, size, bold=bool(weight)) for label in labels]
        return [
            placed(x, self._y(row) + self.height / 2 + 4, one, anchor, size, {"font_weight": weight})
            for row, one in enumerate(words)
        ]

    def _token(self, side: int, row: int, x: float, anchor: str, size: float) -> list[Element]:
        lane, base = self.lanes[side].positions[row], self._y(row) + self.height / 2 + 4
        if len(lane) > 1:
            return [placed(x, base, f"… {len(lane)} tokens", anchor, size, {"fill": self.theme.muted, "data_fold": len(lane)})]
        pos = lane[0]
        filler = bool(self.tokens.fillers[pos])
        changed = self.kinds[pos] != "equal" and not filler
        words = cut(token_words(self.tokens, pos), COLUMN - 10, size, bold=changed)
        width = width_of(words, size, changed)
        left = x if anchor == "start" else x - width
        dots: Look = {"stroke": self.theme.muted, "stroke_dasharray": "1.5 1.5"}
        under = [line(left, base + 2, left + width, base + 2, **dots)] if filler else []
        return [placed(x, base, words, anchor, size, token_look(self.tokens, pos, changed, self.theme)), *under]

    def _changed(self, strand: Strand) -> bool:
        ends = (strand.start, strand.end)
        touched = [pos for side in (0, 1) if self._own(side) is None for pos in self.lanes[side].positions[ends[side]]]
        return any(self.kinds[pos] != "equal" for pos in touched)

    def _pinned(self, side: int) -> int:
        """Return the row of the pinned position on a side, -1 where there is none."""
        return -1 if self.pos is None or self._own(side) is not None else int(self.lanes[side].of[self.pos])

    def _lines(self) -> list[Element]:
        begin, end = self.left + COLUMN, self.left + COLUMN + self.room
        plain: list[Element] = []
        pinned: list[Element] = []
        # The strongest come first and are drawn last, on top.
        for strand in reversed(self.strands):
            opacity, width = line_look(strand.weight, len(self.strands))
            colour = self.theme.change if self._changed(strand) else self.theme.line
            y1, y2 = (self._y(row) + self.height / 2 for row in (strand.start, strand.end))
            one = line(begin, y1, end, y2, stroke=colour, stroke_opacity=opacity, stroke_width=width)
            own = strand.start == self._pinned(0) or strand.end == self._pinned(1)
            (pinned if own else plain).append(one)
        return [
            group(plain, opacity=None if self.pos is None else _FAINT, data_lines=len(plain)),
            group(pinned, data_pinned=len(pinned)),
            *self._numbers(begin, end),
        ]

    def _numbers(self, begin: float, end: float) -> list[Element]:
        """Draw weights beside the strongest partners of the pinned position."""
        to = [(one.end, one.weight) for one in self.strands if one.start == self._pinned(0)][:_NUMBERED]
        come = [(one.start, one.weight) for one in self.strands if one.end == self._pinned(1)][:_NUMBERED]
        drawn = []
        for partners, x, anchor in ((to, end - 3, "end"), (come, begin + 3, "start")):
            for row, weight in partners:
                words = weight_text(weight)
                width = width_of(words, 11) + 4
                left = x - width + 2 if anchor == "end" else x - 2
                back = rect(left, self._y(row) + 1, width, self.height - 2, rx=3, fill=self.theme.page, fill_opacity=0.82)
                drawn += [back, text(x, self._y(row) + self.height / 2 + 4, words, text_anchor=anchor, font_size=11)]
        return drawn

    def _bars(self, largest: float) -> list[Element]:
        end = self.left + COLUMN + self.room - 4
        drawn = []
        for rank, strand in enumerate(self.strands):
            width = max(1.0, strand.weight / max(largest, 1e-9) * (self.room - 42))
            colour = self.theme.change if self._changed(strand) else self.theme.plus
            y = self._y(strand.end)
            drawn.append(rect(end - width, y + 2.5, width, self.height - 5, rx=2, fill=colour, data_bar=strand.end))
            if rank < _NUMBERED or strand.end == self._pinned(1):
                words = weight_text(strand.weight)
                drawn.append(text(end - width - 4, y + self.height / 2 + 4, words, text_anchor="end", font_size=11))
        return drawn

    def _frames(self, right: float) -> list[Element]:
        look: Look = {"rx": 3, "fill": "none", "stroke": self.theme.ink, "stroke_width": 1.5}
        rows = [(x, self._pinned(side)) for side, x in ((1, right + 1), (0, self.left + 1)) if self._pinned(side) >= 0]
        return [rect(x, self._y(row) + 0.75, COLUMN - 2, self.height - 1.5, data_selected="1", **look) for x, row in rows]
