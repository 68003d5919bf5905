"""Batches for those who drive their own DataLoader: pairs go in, what a ranker scores comes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from mechviz.corpora.text_pair import TextPair
from mechviz.errors import InputError, InputTypeError, shown
from mechviz.text import Tokens


class TakesPairs(Protocol):
    """What a ranker does here."""

    def checked_inputs(self, pairs: Sequence[tuple[str, str]], truncate: bool = False) -> list[dict[str, Tokens]]:
        """Tokenise (query, document) pairs and check that they can be scored."""


@dataclass(frozen=True)
class Batch:
    """Pairs and their tokens, in one order.

    Attributes
    ----------
    pairs : tuple of TextPair
    original : list of mapping of stack to Tokens
        What ``ranker.score_all`` (and, with gradient, ``ranker.score_inputs``) takes.
    perturbed : list of mapping of stack to Tokens
        The same for the perturbed copies; empty where the pairs have none.
    left_out : tuple of TextPair
        Pairs that could not be perturbed; their ``reason`` says why.
    """

    pairs: tuple[TextPair, ...]
    original: list[Mapping[str, Tokens]]
    perturbed: list[Mapping[str, Tokens]]
    left_out: tuple[TextPair, ...] = ()

    def __len__(self) -> int:
        return len(self.pairs)


@dataclass(frozen=True)
class Collate:
    """Makes a `Batch` of pairs; see `collate`."""

    ranker: TakesPairs
    truncate: bool = False

    def __call__(self, pairs: Sequence[TextPair]) -> Batch:
        """Tokenise pairs and their perturbed copies.

        Raises
        ------
        InputError
            Some pairs have a perturbed copy and some have none; a text that the ranker cannot score.
        """
        usable = tuple(pair for pair in pairs if not pair.reason)
        changed = [(pair.query, pair.perturbed) if pair.side == "doc" else (pair.perturbed, pair.doc) for pair in usable]
        both = [(query, doc) for query, doc in changed if query is not None and doc is not None]
        if 0 < len(both) < len(usable):
            raise InputError(f"{len(both)} of {len(usable)} pairs have a perturbed copy; perturb all pairs or none")
        original = self.ranker.checked_inputs([(pair.query, pair.doc) for pair in usable], self.truncate)
        perturbed = self.ranker.checked_inputs(both, self.truncate)
        return Batch(usable, [*original], [*perturbed], tuple(pair for pair in pairs if pair.reason))


def collate(ranker: TakesPairs, truncate: bool = False) -> Collate:
    """Return a function for ``DataLoader(pairs.torch(), collate_fn=...)`` that makes a `Batch`.

    Parameters
    ----------
    ranker : Ranker
        Whose tokens are wanted.
    truncate : bool
        Cut texts that are too long instead of raising.

    Raises
    ------
    InputTypeError
        It is no ranker.
    """
    if not callable(getattr(ranker, "checked_inputs", None)):
        raise InputTypeError(f"collate takes a ranker, such as mv.load opens, not {shown(ranker)}")
    return Collate(ranker, truncate)
