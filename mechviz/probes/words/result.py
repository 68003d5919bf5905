"""What each word does to a target."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from mechviz.errors import InputError, shown
from mechviz.probes.words.masking import Floats, Masks
from mechviz.results import Passage, PassageGroup, Passages

if TYPE_CHECKING:
    from mechviz.probes.words.scoring import Game

#: Below this share of variance explained on held-out samples, an additive explanation is not to be trusted.
LOW_FIT = 0.5
_SIDES = {"doc": "document", "query": "query"}
_PIECE = re.compile(r"\S+")


@dataclass(frozen=True)
class Word:
    """One word (or term, or sentence) and what it does.

    Attributes
    ----------
    text : str
    spans : tuple of (start, end)
        Characters of the text.
    value : float
        More is better for the document; in units of the target; NaN where undefined.
    low, high : float
        Bounds of the value over draws of the samples; NaN of a method that draws none.
    """

    text: str
    spans: tuple[tuple[int, int], ...]
    value: float
    low: float = float("nan")
    high: float = float("nan")


@dataclass(frozen=True)
class Fit:
    """How well values that are added up foretell the target on samples that they were not fitted to.

    Attributes
    ----------
    r2 : float
        Share of variance explained; NaN where the target does not vary.
    weighted_r2 : float
        The same with samples weighted by their cosine with the whole text: the fit near it.
    kendall : float
        Rank correlation of foretold and true (tau-b).
    n : int
        Different samples.
    """

    r2: float
    weighted_r2: float
    kendall: float
    n: int

    @property
    def warning(self) -> str:
        """What to say where the fit is low, empty where it is not."""
        if np.isnan(self.weighted_r2):
            return f"The target is the same in all {self.n} held-out samples: the values say nothing of other texts."
        if self.weighted_r2 >= LOW_FIT:
            return ""
        share = max(self.weighted_r2, 0.0)
        return (
            f"Low fit: added up, the values explain {share:.0%} of the target's variance on {self.n} held-out masked texts "
            f"(weighted R2 {self.weighted_r2:.2f}, below {LOW_FIT:g}). Words act together here; do not read them one by one."
        )


@dataclass(frozen=True, eq=False)
class WordExplanation:
    """What each word of a text does to a target, by one method.

    Attributes
    ----------
    query, doc : str
    side : ``"doc"`` or ``"query"``
        Whose words they are.
    unit : ``"word"``, ``"term"`` or ``"sentence"``
    method : str
    target : str
    target_unit : str
        What one of the values is.
    masker : str
        What takes the place of a word that is away.
    words : tuple of Word
        In the order of the text.
    full, base : float
        The target of the whole text and of the text without any of the words; ``base`` is NaN where nothing would be left.
    intercept : float
        The target that the values, added up, foretell without any word.
    fit : Fit or None
        On held-out samples, of methods that draw samples.
    gap : float
        Of integrated gradients: sum of the values minus (full - base), 0 if the integral were exact; else NaN.
    warning : str
        What a reader must know first; empty where nothing is wrong.
    provenance : mapping of str to str
    game : callable or None
        The target as a function of which words are there, for curves and fits; it is not pickled.
    """

    query: str
    doc: str
    side: str
    unit: str
    method: str
    target: str
    target_unit: str
    masker: str
    words: tuple[Word, ...]
    full: float
    base: float
    intercept: float
    fit: Fit | None = None
    gap: float = float("nan")
    warning: str = ""
    provenance: Mapping[str, str] = field(default_factory=dict)
    game: Callable[[Masks], Floats] | None = field(default=None, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "game": None}

    @property
    def text(self) -> str:
        """The text whose words they are."""
        return self.doc if self.side == "doc" else self.query

    @property
    def values(self) -> xr.DataArray:
        """The values, float64, dims (word), with the words' texts as coordinate ``text``."""
        return xr.DataArray(
            [word.value for word in self.words],
            dims=("word",),
            coords={"word": np.arange(len(self.words)), "text": ("word", [word.text for word in self.words])},
            name=self.method,
            attrs={"unit": self.target_unit},
        )

    def foretold(self, keep: Masks) -> Floats:
        """Return what the values, added up, foretell, dims (sample), for which words are kept, dims (sample, word)."""
        found: Floats = self.intercept + keep @ np.nan_to_num(self.values.values)
        return found

    def top(self, n: int = 5) -> list[Word]:
        """Return the n words of the largest absolute value, largest first; words without a value are left out."""
        if isinstance(n, bool) or not isinstance(n, int) or n < 1:
            raise InputError(f"n={shown(n)}; give a whole number, at least 1")
        known = [word for word in self.words if np.isfinite(word.value)]
        return sorted(known, key=lambda word: -abs(word.value))[:n]

    def to_dataframe(self) -> pd.DataFrame:
        """Return one row a word: ``word``, ``start``, ``end``, ``occurrences``, ``value``, ``low``, ``high``, ``method``."""
        return pd.DataFrame(
            [
                {
                    "word": word.text,
                    "start": word.spans[0][0],
                    "end": word.spans[0][1],
                    "occurrences": len(word.spans),
                    "value": word.value,
                    "low": word.low,
                    "high": word.high,
                    "method": self.method,
                }
                for word in self.words
            ]
        )

    def passage(self) -> Passage:
        """Return the text cut into words and what stands between them, with the value at each word."""
        values = {span: word.value for word in self.words for span in word.spans}
        pieces: list[tuple[int, int, float]] = []
        done = 0
        for start, end in [*sorted(values), (len(self.text), len(self.text))]:
            pieces += [(done + found.start(), done + found.end(), np.nan) for found in _PIECE.finditer(self.text[done:start])]
            if end > start:
                pieces.append((start, end, values[start, end]))
            done = end
        ends = [0, *(end for _, end, _ in pieces)]
        return Passage.of(
            [self.text[start:end] for start, end, _ in pieces],
            values=[value for *_, value in pieces],
            spaces=[start > before for (start, *_), before in zip(pieces, ends[:-1], strict=True)],
            label=self.query if self.side == "doc" else "the query",
            value=self.full,
        )

    def passages(self) -> Passages:
        """Return the text as `views.passages` draws it."""
        return Passages(
            (PassageGroup(self.method, (self.passage(),), self._said()),),
            unit=f"effect of the {self.unit} on the {self.target_unit}",
            signed=True,
            title=f"Which {self.unit}s decide: {self.target}",
            note=f"Words of the {_SIDES[self.side]}; more is better for the document.",
            warning=self.warning,
            provenance=dict(self.provenance),
        )

    def show(self, theme: str = "auto") -> Any:
        """Draw the text with its words coloured by their values."""
        from mechviz import views

        return views.passages(self.passages(), theme=theme)

    def __repr__(self) -> str:
        first = ", ".join(f"{word.text} {word.value:+.3g}" for word in self.top(3)) or "no values"
        return (
            f"WordExplanation({self.method}, {len(self.words)} {self.unit}s of the {self.side}, {self.target} {self.full:.4g}: "
            f"{first}{', WARNING: ' + self.warning if self.warning else ''})"
        )

    def _said(self) -> str:
        parts = [f"{self.target} {self.full:.4g}"]
        if np.isfinite(self.base):
            parts.append(f"{self.base:.4g} without any {self.unit} (away: {self.masker})")
        if self.fit is not None:
            parts.append(
                f"R2 on {self.fit.n} held-out samples {self.fit.weighted_r2:.2f} (weighted), Kendall {self.fit.kendall:.2f}"
            )
        if np.isfinite(self.gap):
            parts.append(f"sum of values misses the change by {self.gap:.2g}")
        return "; ".join(parts)


def explanation(
    game: Game,
    method: str,
    values: Floats,
    low: Floats | None = None,
    high: Floats | None = None,
    intercept: float | None = None,
    settings: Mapping[str, object] | None = None,
    base: float | None = None,
    **rest: Any,
) -> WordExplanation:
    """Return the explanation that a method's numbers make.

    Without ``intercept``, values are counted off the whole text; without ``base``, the text without any word is scored.
    """
    none, full = game.ends
    unknown = np.full(game.n, np.nan)
    columns = (values, unknown if low is None else low, unknown if high is None else high)
    words = tuple(
        Word(unit.text, unit.spans, float(value), float(below), float(above))
        for unit, value, below, above in zip(game.own.units, *columns, strict=True)
    )
    own = game.own
    said = {name: str(value) for name, value in (settings or {}).items()}
    return WordExplanation(
        query=own.texts["query"],
        doc=own.texts["doc"],
        side=own.side,
        unit=game.unit,
        method=method,
        target=game.target.name,
        target_unit=game.target.unit,
        masker=own.masker,
        words=words,
        full=full,
        base=none if base is None else base,
        intercept=full - float(np.nansum(values)) if intercept is None else intercept,
        provenance={**game.provenance, "target": game.target.name, "masker": own.masker, "method": method, **said},
        game=game,
        **rest,
    )
