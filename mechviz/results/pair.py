"""What was compared: two texts, their tokens and scores; and documents in a ranker's order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mechviz.errors import InputError, shown
from mechviz.text import Alignment, Tokens
from mechviz.text.classes import token_classes

Direction = Literal["perturbed->original", "original->perturbed"]
DIRECTIONS: tuple[Direction, ...] = ("perturbed->original", "original->perturbed")

_GATE = 1e-5


def passes_gate(base: Any, change: Any) -> Any:
    """Return whether a change of the score is large enough for effects to be defined, for numbers and arrays alike."""
    return np.abs(change) > _GATE * np.maximum(1.0, np.abs(base))


@dataclass(frozen=True, eq=False)
class Pair:
    """One query, one document, the perturbed copy of one of them, their tokens, alignment and four scores.

    Attributes
    ----------
    query, doc, changed : str
        The user's texts; ``changed`` is the perturbed copy of the text that ``side`` names.
    side : ``"doc"`` or ``"query"``
    perturbation : str
        Its name.
    direction : ``"perturbed->original"`` or ``"original->perturbed"``
        From which text activations are taken, and into the run of which they are patched.
    stack : str
        The stack in which the changed text runs (``encoder``; ``doc`` or ``query`` for Dot).
    base, source : Tokens, equally long
        The two runs of that stack, with fillers.
    alignment : Alignment
        Its rows are the positions of ``base`` and ``source``.
    filler : str
        Name of the filler policy.
    original_score, perturbed_score : float
        Scores of the user's texts, what ``ranker.score`` says.
    base_score, source_score : float
        Scores of the two runs that are patched, with fillers.
    truncated : str
        What was cut, in words; empty if nothing.
    reads_equal : bool
        Whether the score reads the same positions of both runs (ColBERT leaves out the tokens of its skip list).
    """

    query: str
    doc: str
    changed: str
    side: str
    perturbation: str
    direction: Direction
    stack: str
    base: Tokens
    source: Tokens
    alignment: Alignment
    filler: str
    original_score: float
    perturbed_score: float
    base_score: float
    source_score: float
    truncated: str = ""
    reads_equal: bool = True

    def __post_init__(self) -> None:
        if self.direction not in DIRECTIONS:
            raise InputError(f"direction={shown(self.direction)}; it is one of {', '.join(map(repr, DIRECTIONS))}")
        if not len(self.base) == len(self.source) == len(self.alignment):
            raise InputError(
                f"base has {len(self.base)} positions, source {len(self.source)} and the alignment {len(self.alignment)} rows; "
                "they must be equal"
            )

    @property
    def change(self) -> float:
        """``source_score - base_score``: the denominator of every effect."""
        return self.source_score - self.base_score

    @property
    def gate(self) -> bool:
        """Whether the perturbation changed the score enough for effects to be defined."""
        return bool(passes_gate(self.base_score, self.change))

    @property
    def masks_equal(self) -> bool:
        """Whether both runs may attend to the same positions; if not, they are not fully exchangeable."""
        return bool(np.array_equal(self.base.mask, self.source.mask))

    def classes(self) -> tuple[str, ...]:
        """Return what each position is to the perturbation and the query, one of `mechviz.text.classes.TOKEN_CLASSES`."""
        return token_classes(self.base, self.source, self.alignment, self.query)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, for JSON."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        plain["base"], plain["source"] = self.base.to_dict(), self.source.to_dict()
        plain["alignment"] = {
            "original": self.alignment.original.tolist(),
            "perturbed": self.alignment.perturbed.tolist(),
            "kinds": list(self.alignment.kinds),
        }
        return plain

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Pair:
        """Rebuild from `to_dict`'s value."""
        alignment = data["alignment"]
        return cls(
            **{
                **data,
                "base": Tokens.from_dict(data["base"]),
                "source": Tokens.from_dict(data["source"]),
                "alignment": Alignment(alignment["original"], alignment["perturbed"], tuple(alignment["kinds"])),
            }
        )


@dataclass(frozen=True, eq=False)
class Ranking:
    """A list of documents in the ranker's order.

    Attributes
    ----------
    query : str
    order : int64 array, dims (rank)
        Indices into the documents that were given, best first; equal scores keep the order given.
    scores : float32 array, dims (doc)
        In the order given.
    """

    query: str
    order: NDArray[np.int64]
    scores: NDArray[np.float32]

    def ranks(self) -> NDArray[np.int64]:
        """Return the rank of each document in the order given, 1 the best, dims (doc)."""
        ranks = np.empty(len(self.order), dtype=np.int64)
        ranks[self.order] = np.arange(1, len(self.order) + 1)
        return ranks
