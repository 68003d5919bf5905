"""What every picture has around it: a heading, a description of where its numbers come from, notes, a page."""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import mechviz
from mechviz.errors import InputError, shown
from mechviz.figures.colour import Theme
from mechviz.figures.svg import Element, document, text
from mechviz.figures.words import cut, digits_for, plain, signed, width_of, wrapped
from mechviz.results import Pair, PatchResult

MARGIN = 18.0
#: Height of a heading, below the margin.
HEADING = 44.0

_NOTE = 11.0
_NOTE_LINE = 16.0


@dataclass(frozen=True)
class Frame:
    """What is said around a picture.

    Attributes
    ----------
    name : str
        What it shows.
    provenance : mapping of str to str
        As of a result; empty where nobody knows.
    of : sequence of str
        What it is of, beside the ranker; what is empty is left out.
    end : str
        Goes after that and is never cut.
    facts : mapping of str to str
        Lines of the description.
    """

    name: str
    provenance: Mapping[str, str]
    of: Sequence[str] = ()
    end: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def whose(self) -> list[str]:
        """Whose numbers these are: the ranker, and what it read."""
        return [part for part in (ranker_name(self.provenance), *self.of) if part]

    def heading(self, width: float, theme: Theme) -> list[Element]:
        """Draw what the picture shows and of what, in the `HEADING` px below the margin."""
        room = width - 2 * MARGIN
        # Numbers are short and are what counts: of a long name, the name is cut.
        whose = cut(" · ".join(self.whose), room - width_of(self.end, 12), 12) + self.end
        return [
            text(MARGIN, MARGIN + 12, cut(self.name, room, 15, bold=True), font_size=15, font_weight="bold"),
            text(MARGIN, MARGIN + 31, whose, fill=theme.muted),
        ]

    def picture(self, width: float, height: float, theme: Theme, children: Iterable[Element]) -> str:
        """Return the whole SVG: heading, then what is drawn."""
        words = self.name + (f": {', '.join(self.whose)}" if self.whose else "")
        drawn = [*self.heading(width, theme), *children]
        return document(width, height, words, self.described(), theme.page, theme.ink, drawn)

    def described(self) -> str:
        """Say where the numbers come from, one line each; the texts themselves stay out."""
        known = self.provenance
        lines = {
            "ranker": known.get("ranker_repr") or ranker_name(known),
            "made by": known.get("made by", ""),
            "weights (sha256)": known.get("weights_sha256", ""),
            **self.facts,
            "computed by": f"mechviz {known['mechviz']}" if "mechviz" in known else "",
            "drawn by": f"mechviz {mechviz.__version__}",
        }
        return "\n".join(f"{name}: {value}" for name, value in lines.items() if value)


def frame_of(result: PatchResult, name: str, scores: bool = True) -> Frame:
    """Return the frame of a picture of a result."""
    pair = result.pair
    digits = score_digits(pair)
    change = (
        f" · score {plain(pair.original_score, digits)} → {plain(pair.perturbed_score, digits)} "
        f"({signed(pair.perturbed_score - pair.original_score, digits)})"
    )
    facts = {
        "perturbation": pair.perturbation,
        "changed": pair.side,
        "grid": result.grid,
        "stack": result.stack,
        "metric": result.metric,
        "method": result.method,
        **facts_of(pair),
    }
    return Frame(name, result.provenance, (pair.perturbation,), change if scores else "", facts)


def facts_of(pair: Pair) -> dict[str, str]:
    """Return how a pair was compared, for a description."""
    return {
        "direction": pair.direction,
        "filler": pair.filler,
        "scores": f"original {pair.original_score:.6g}, perturbed {pair.perturbed_score:.6g}, "
        f"base {pair.base_score:.6g}, source {pair.source_score:.6g}",
    }


def score_digits(pair: Pair) -> int:
    """Return digits that show the scores of a pair: two significant ones of the change that is explained."""
    return max(4, digits_for(pair.perturbed_score - pair.original_score))


def ranker_name(provenance: Mapping[str, str]) -> str:
    """Return the ranker's name, its class after it; empty where it is not known."""
    name, kind = (provenance.get(key, "") for key in ("ranker", "ranker_kind"))
    return f"{name or 'ranker'} ({kind})" if kind else name


def text_names(direction: str) -> tuple[str, str]:
    """Return what the texts of base and source run are called."""
    return ("perturbed", "original") if direction == "original->perturbed" else ("original", "perturbed")


def notes(sentences: Iterable[str], x: float, y: float, width: float, theme: Theme) -> tuple[list[Element], float]:
    """Draw small lines below a picture, each sentence from a new line, the first line's base at ``y``.

    Returns
    -------
    list of Element
    float
        Their height.
    """
    lines = [line for sentence in sentences if sentence for line in wrapped(sentence, width, _NOTE)]
    drawn = [text(x, y + _NOTE_LINE * row, words, fill=theme.muted, font_size=_NOTE) for row, words in enumerate(lines)]
    return drawn, _NOTE_LINE * len(lines)


def selected(selection: Mapping[str, Any] | None, **sizes: int) -> dict[str, int | None]:
    """Return the chosen index of each dim, None where none is chosen.

    Raises
    ------
    InputError
        An index lies outside of its dim.
    """
    chosen = {name: None if selection is None else selection.get(name) for name in sizes}
    return {name: None if at is None else index_of(f"selection[{name!r}]", at, sizes[name]) for name, at in chosen.items()}


def selected_head(selection: Mapping[str, Any] | None, stack: str, n_layers: int, n_heads: int) -> tuple[int, int] | None:
    """Return layer and head that are chosen in a stack, None where none is; a selection that names no stack means any.

    Raises
    ------
    InputError
        An index lies outside of its dim.
    """
    if selection is None or selection.get("stack") not in (None, stack):
        return None
    chosen = selected(selection, layer=n_layers, head=n_heads)
    layer, head = chosen["layer"], chosen["head"]
    return None if layer is None or head is None else (layer, head)


def index_of(name: str, value: object, size: int) -> int:
    """Return ``value`` as an index into ``size`` things.

    Raises
    ------
    InputError
        It is none.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or not 0 <= int(value) < size:
        raise InputError(f"{name}={shown(value)}; it is a number from 0 to {size - 1}")
    return int(value)
