"""A max-sim matrix: the cosine of every query token with every document token; each row's best counts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mechviz import wire
from mechviz.figures.cells import ramp, sequential_steps
from mechviz.figures.colour import Theme, sequential
from mechviz.figures.frame import notes
from mechviz.figures.labels import SLANTED_FONT, depth_of, far_enough, placed, slanted
from mechviz.figures.raster import raster
from mechviz.figures.svg import Element, line, rect, text
from mechviz.figures.words import cut, plain, visible, width_of

_CELL = 15.0
_LEAST = 2.0
_ROOM = 760.0
_LABEL = 110.0
_BEST = 130.0
_LEAST_WIDTH = 420.0
_TICK = 5.0


def max_sim(packed: wire.Packed, names: tuple[str, str], x: float, y: float, theme: Theme) -> tuple[list[Element], float, float]:
    """Draw one matrix a text; return the elements, their width, and where they end."""
    queries = [_words(token) for token in packed.entry["query_tokens"]]
    docs = [[_words(token) for token in tokens] for tokens in packed.entry["doc_tokens"]]
    matrices = [packed.arrays[f"parts.{run}"].astype(np.float64) for run in wire.RUNS[: len(docs)]]
    matrices = [np.where(np.isfinite(matrix), matrix, np.nan) for matrix in matrices]
    # Both texts share one scale, so that they can be compared.
    most = max(1e-9, *(float(np.nanmax(matrix, initial=0.0)) for matrix in matrices))
    widest = max(1, *(len(tokens) for tokens in docs))
    cell = max(_LEAST, min(_CELL, _ROOM // widest))
    left = x + max(40.0, min(_LABEL, max((width_of(token, 11) for token in queries), default=0.0))) + 10
    width = max(_LEAST_WIDTH, left + widest * cell + 10 + _BEST - x)
    said = "Cosine of every query token with every document token. Each row's best (outlined) counts"
    skipped = " Hatched tokens are skipped by this ranker." if any(np.isnan(matrix).any() for matrix in matrices) else ""
    drawn, taken = notes([f"{said}: their sum is the score.{skipped}"], x, y + 8, width, theme)
    y += taken + 20
    for matrix, tokens, name in zip(matrices, docs, names, strict=False):
        panel = _Panel(matrix, queries, tokens, most, cell, left, y + 16, theme)
        heading = f"{name}: {plain(panel.total, 4)}" if len(docs) > 1 else f"sum: {plain(panel.total, 4)}"
        drawn += [text(left, y + 6, heading, font_weight="bold"), *panel.drawn()]
        y = panel.bottom + 18
    middle = plain(most / 2)
    drawn += ramp(left, y, sequential_steps(theme), ("0 or less", middle, plain(most)), theme)
    return drawn, width, y + 26


def _words(token: object) -> str:
    return visible(" ".join(str(token).split()))


class _Panel:
    """The matrix of one text at a place."""

    def __init__(
        self,
        matrix: NDArray[np.float64],
        queries: list[str],
        docs: list[str],
        most: float,
        cell: float,
        x: float,
        y: float,
        theme: Theme,
    ) -> None:
        self.matrix, self.queries, self.docs, self.most, self.cell = matrix, queries, docs, most, cell
        self.x, self.y, self.theme = x, y, theme
        sizes = np.where(np.isfinite(matrix), matrix, -np.inf)
        self.best = [int(row.argmax()) if np.isfinite(row).any() else None for row in sizes]
        self.values = [np.nan if at is None else float(matrix[row, at]) for row, at in enumerate(self.best)]
        self.total = float(np.nansum(self.values))
        self.end = y + len(queries) * _CELL
        # The tokens that count get a label; others where there is room.
        wanted = [at for at in self.best if at is not None]
        self.labelled = far_enough([*wanted, *range(len(docs))], len(docs), cell)
        deepest = max((width_of(self._label(at), SLANTED_FONT) for at in self.labelled), default=0.0)
        self.bottom = self.end + _TICK + 12 + depth_of(deepest)

    def _label(self, at: int) -> str:
        return cut(self.docs[at], _LABEL, SLANTED_FONT)

    def drawn(self) -> list[Element]:
        theme, known = self.theme, np.isfinite(self.matrix)
        colours = sequential(np.clip(np.nan_to_num(self.matrix) / self.most, 0, 1) ** 2, theme)
        drawn = raster(colours, known, self.x, self.y, self.cell, _CELL, theme)
        right = self.x + len(self.docs) * self.cell
        drawn.append(rect(self.x, self.y, right - self.x, self.end - self.y, fill="none", stroke=theme.border))
        for row, (token, at) in enumerate(zip(self.queries, self.best, strict=True)):
            y = self.y + row * _CELL
            drawn.append(placed(self.x - 8, y + 11, cut(token, _LABEL, 11), "end", 11, {}))
            if at is None:
                continue
            box = (self.x + at * self.cell + 0.5, y + 0.5, max(1.0, self.cell - 1), _CELL - 1)
            drawn.append(rect(*box, fill="none", stroke=theme.change, stroke_width=1.5, data_best=f"{row}.{at}"))
            words = cut(f"{plain(self.values[row], 3)} {self.docs[at]}", _BEST, 11)
            drawn.append(text(right + 8, y + 11, words, font_size=11))
        counted = {at for at in self.best if at is not None}
        for at in self.labelled:
            middle = self.x + (at + 0.5) * self.cell
            drawn.append(line(middle, self.end + 1, middle, self.end + _TICK, stroke=theme.border))
            fill = theme.change if at in counted else theme.muted
            drawn.append(slanted(middle, self.end + _TICK + 7, self._label(at), fill=fill))
        return drawn
