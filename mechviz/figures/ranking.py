"""A ranked list before and after one document was perturbed: a slope for each document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mechviz.errors import InputError, InputTypeError
from mechviz.figures.colour import Theme, theme_named
from mechviz.figures.frame import MARGIN, Frame, index_of
from mechviz.figures.labels import placed
from mechviz.figures.svg import Element, Look, circle, line, text
from mechviz.figures.words import cut, digits_for, plain, signed, visible, width_of

_ALL_UP_TO = 50
_AROUND = 8
_MOST_LABEL = 240.0
_MOST_QUERY = 320.0
_SLOPES = 190.0
_GAP = 12.0
_TOP = MARGIN + 92
_ROW = 20.0
_LEAST_WIDTH = 660.0

_NOWHERE: Mapping[str, str] = MappingProxyType({})


def ranking_svg(
    labels: Sequence[str],
    before_scores: ArrayLike,
    after_scores: ArrayLike,
    moved_index: int | None,
    theme: str = "light",
    *,
    query: str = "",
    perturbation: str = "",
    provenance: Mapping[str, str] = _NOWHERE,
) -> str:
    """Draw how the ranks of documents change.

    Of more than 50 documents, those within 8 ranks of the moved one are drawn, before and after. Equal scores keep the
    order given; a score that is NaN means that the document was not retrieved.

    Parameters
    ----------
    labels : sequence of str
        One for each document.
    before_scores, after_scores : arrays, dims (doc)
    moved_index : int or None
        Which document was perturbed; None where it is none of them.
    theme : ``"light"`` or ``"dark"``
    query, perturbation : str, optional
        What was asked, and what was done.
    provenance : mapping of str to str, optional
        As of a result.

    Returns
    -------
    str
        SVG.

    Raises
    ------
    InputError
        Labels and scores do not fit, or there is no document.
    """
    colours = theme_named(theme)
    before, after = (_checked(scores, name, len(labels)) for scores, name in ((before_scores, "before"), (after_scores, "after")))
    moved = None if moved_index is None else index_of("moved_index", moved_index, len(labels))
    if any(not isinstance(label, str) for label in labels):
        raise InputTypeError("labels are strings, one for each document")
    chart = _Chart([" ".join(label.split()) for label in labels], before, after, moved, colours)
    facts = {
        "perturbation": perturbation,
        "documents": str(len(labels)),
        "metric": "rank by score, 1 the best",
        "direction": "original (left) to perturbed (right)",
        "moved document": chart.said(),
    }
    asked = cut(f" · query: {query}", _MOST_QUERY, 12) if query else ""
    frame = Frame("Ranks before and after the perturbation", provenance, (perturbation,), asked, facts)
    said = text(MARGIN, MARGIN + 49, cut(chart.said(), chart.width - 2 * MARGIN, 12))
    return frame.picture(chart.width, chart.bottom + MARGIN, colours, [said, *chart.drawn()])


def _checked(scores: ArrayLike, name: str, n: int) -> NDArray[np.float64]:
    array = np.asarray(scores, dtype=np.float64)
    if array.shape != (n,) or n == 0:
        raise InputError(f"{name}_scores has shape {array.shape} for {n} labels; give one score for each, and one at least")
    return array


def ranks_of(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the rank of each document, 1 the best; one that was not retrieved comes after all that were."""
    ranks = np.empty(len(scores), dtype=np.int64)
    ranks[np.argsort(-scores, kind="stable")] = np.arange(1, len(scores) + 1)  # NaN sorts last
    return ranks


class _Chart:
    """Rows of ranks, gaps where some are left out, and the slopes between two such columns."""

    def __init__(
        self,
        labels: Sequence[str],
        before: NDArray[np.float64],
        after: NDArray[np.float64],
        moved: int | None,
        theme: Theme,
    ) -> None:
        self.labels, self.scores, self.moved, self.theme = labels, (before, after), moved, theme
        self.ranks = (ranks_of(before), ranks_of(after))
        self.digits = max(3, digits_for(float(np.nan_to_num(after - before)[moved])) if moved is not None else 3)
        self.columns = self._columns()
        self.side = sum(self.columns) + 2 * _GAP + 10
        self.width = max(_LEAST_WIDTH, 2 * MARGIN + 2 * self.side + _SLOPES)
        self.left = (self.width - _SLOPES) / 2
        self.right = self.left + _SLOPES
        self.y: dict[int, float] = {}
        self.gaps: list[tuple[range, float]] = []
        at, last = _TOP, 0
        for rank in [*self._window(), len(labels) + 1]:
            if rank > last + 1:
                self.gaps.append((range(last + 1, rank), at + _ROW / 2))
                at += _ROW
            if rank <= len(labels):
                self.y[rank] = at + _ROW / 2
                at += _ROW
            last = rank
        self.bottom = at

    def _columns(self) -> tuple[float, float, float]:
        """Return the room that ranks, scores and labels take."""
        scores = [plain(float(score), self.digits) for array in self.scores for score in array if np.isfinite(score)]
        longest = max(width_of(words, 12, bold=True) for words in [*scores, "none"])
        labels = min(_MOST_LABEL, max(width_of(visible(label), 12, bold=True) for label in self.labels))
        return width_of(str(len(self.labels)), 12, bold=True), longest, max(60.0, labels + 4)

    def _window(self) -> list[int]:
        n = len(self.labels)
        if n <= _ALL_UP_TO:
            return list(range(1, n + 1))
        centres = [1] if self.moved is None else [int(ranks[self.moved]) for ranks in self.ranks]
        return [rank for rank in range(1, n + 1) if any(abs(rank - centre) <= _AROUND for centre in centres)]

    def said(self) -> str:
        """Say what became of the moved document."""
        if self.moved is None:
            moved = int((self.ranks[0] != self.ranks[1]).sum())
            return f"{moved:,} of {len(self.labels):,} documents changed rank"
        (r0, r1), (s0, s1) = ([int(ranks[self.moved]) for ranks in self.ranks], [float(s[self.moved]) for s in self.scores])
        places = [f"{rank:,}" if np.isfinite(score) else "not retrieved" for rank, score in ((r0, s0), (r1, s1))]
        if not np.isfinite(s0) or not np.isfinite(s1):
            return f"rank {places[0]} → {places[1]}, of {len(self.labels):,}"
        move = "unchanged" if r0 == r1 else f"up {r0 - r1:,}" if r1 < r0 else f"down {r1 - r0:,}"
        scores = f"score {plain(s0, self.digits)} → {plain(s1, self.digits)} ({signed(s1 - s0, self.digits)})"
        return f"rank {places[0]} → {places[1]} of {len(self.labels):,} ({move}), {scores}"

    def drawn(self) -> list[Element]:
        """Draw the rows, the slopes, and what was left out."""
        heads = [
            text(self.left - 10, _TOP - 12, "original", text_anchor="end", font_weight="bold"),
            text(self.right + 10, _TOP - 12, "perturbed", font_weight="bold"),
        ]
        order = [doc for doc in range(len(self.labels)) if doc != self.moved]
        # The moved document is drawn last, on top.
        order += [] if self.moved is None else [self.moved]
        seen = [doc for doc in order if any(int(ranks[doc]) in self.y for ranks in self.ranks)]
        drawn = [element for doc in seen for element in self._slope(doc)]
        drawn += [element for doc in seen for side in (0, 1) for element in self._end(doc, side)]
        return [*heads, *drawn, *(self._gap(gap, y) for gap, y in self.gaps)]

    def _look(self, doc: int) -> tuple[str, float, float]:
        """Return colour, width and opacity: those that the moved document overtook, or that overtook it, stand out."""
        if doc == self.moved:
            return self.theme.change, 3.0, 1.0
        if self.moved is not None:
            sides = [np.sign(ranks[doc] - ranks[self.moved]) for ranks in self.ranks]
            crossed = bool(sides[0] != sides[1])
        else:
            crossed = bool(self.ranks[0][doc] != self.ranks[1][doc])
        return self.theme.muted, 1.5 if crossed else 1.25, 0.9 if crossed else 0.3

    def _place(self, rank: int) -> float:
        """Return where a rank lies; one that is left out, in its gap."""
        return self.y[rank] if rank in self.y else next(y for gap, y in self.gaps if rank in gap)

    def _slope(self, doc: int) -> list[Element]:
        colour, width, opacity = self._look(doc)
        y0, y1 = (self._place(int(ranks[doc])) for ranks in self.ranks)
        lost = any(not np.isfinite(scores[doc]) for scores in self.scores)
        look: Look = {"stroke": colour, "stroke_width": width, "stroke_opacity": opacity, "data_doc": doc}
        return [line(self.left, y0, self.right, y1, stroke_dasharray="4 3" if lost else None, **look)]

    def _end(self, doc: int, side: int) -> list[Element]:
        """Draw what a document is at one end: its rank, its score, its label."""
        rank, score = int(self.ranks[side][doc]), float(self.scores[side][doc])
        if rank not in self.y:
            return []
        y, moved = self.y[rank], doc == self.moved
        colour, _, opacity = self._look(doc)
        x, out, anchor = (self.left, -1, "end") if side == 0 else (self.right, 1, "start")
        look: Look = {"font_weight": "bold"} if moved else {}
        ink = self.theme.change if moved else self.theme.ink if opacity > 0.5 else self.theme.muted
        known = bool(np.isfinite(score))
        ranks, scores, labels = self.columns
        label = cut(visible(self.labels[doc]), labels, 12, bold=moved)
        # Numbers stand below each other by their last digit, whichever side they are on.
        number = x - 10 if side == 0 else x + 10 + ranks
        amount = number - ranks - _GAP if side == 0 else number + _GAP + scores
        at = x + out * (10 + ranks + scores + 2 * _GAP)
        quiet = ink if moved else self.theme.muted
        numbers: Look = {"text_anchor": "end", "font_weight": look.get("font_weight")}
        drawn = [
            text(number, y + 4, f"{rank}" if known else "–", fill=ink, **numbers),
            text(amount, y + 4, plain(score, self.digits) if known else "none", fill=quiet, **numbers),
            placed(at, y + 4, label, anchor, 12, {"fill": ink, **look}),
        ]
        dot = circle(x, y, 4.5 if moved else 3, fill=colour if opacity > 0.5 else self.theme.border)
        return [dot, *drawn]

    def _gap(self, gap: range, y: float) -> Element:
        """Say how many are left out, and how many of these moved."""
        within = [(ranks >= gap.start) & (ranks < gap.stop) for ranks in self.ranks]
        moved = int((within[0] & (self.ranks[0] != self.ranks[1])).sum())
        others = "unchanged" if not moved else "more, all moved" if moved == len(gap) else f"more, {moved:,} of them moved"
        return text(self.left - 10, y + 4, f"… {len(gap):,} {others}", text_anchor="end", fill=self.theme.muted)
