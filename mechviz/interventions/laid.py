"""Pairs made ready for a plan: the text that is run, and those that activations are taken from, token by token beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar, cast
from zlib import crc32

import numpy as np

from mechviz.corpora import TextPair
from mechviz.errors import InputError, InputTypeError, MechvizError, shown
from mechviz.patching.pairs import PairSettings, prepare
from mechviz.rankers.checks import Inputs
from mechviz.rankers.ranker import Ranker
from mechviz.results import Pair
from mechviz.text import Alignment, Tokens, align
from mechviz.text.classes import token_classes
from mechviz.text.perturb import Perturbation

Name = TypeVar("Name")


@dataclass(frozen=True, eq=False)
class Laid:
    """One pair, ready to run.

    Attributes
    ----------
    number : int
        Its number among those given.
    query, doc : str
        As given.
    query_id : str
        What it is counted by in intervals: the query where the collection has no ids.
    text : str
        The token sequence that is changed and edited, as `Pair.stack`.
    base : Inputs
        What the ranker reads in the base run.
    sources : list of Inputs
        And in each source run.
    side : str
    given : TextPair
    beside : Alignment or None
        Of base and source run, where they lie beside each other: then a position has one name in both.
    """

    number: int
    query: str
    doc: str
    query_id: str
    text: str
    base: Inputs
    sources: list[Inputs]
    side: str = "doc"
    given: TextPair | None = field(default=None, repr=False)
    beside: Alignment | None = field(default=None, repr=False)

    def tokens(self, run: int = -1) -> Tokens:
        """Return the tokens of a source run, or of the base run (-1)."""
        return self.inputs(run)[self.text]

    def inputs(self, run: int = -1) -> Inputs:
        """Return what the ranker reads in a source run, or in the base run (-1)."""
        return self.base if run < 0 else self.sources[run]

    @cached_property
    def rest(self) -> dict[str, Tokens]:
        """What the ranker reads besides the text that is changed."""
        return {name: tokens for name, tokens in self.base.items() if name != self.text}

    def classes(self, run: int = -1) -> tuple[str, ...]:
        """Return the class of each position of a run, as `Pair.classes`."""
        if self.beside is not None:
            return token_classes(self.tokens(-1), self.tokens(0), self.beside, self.query)
        tokens = self.tokens(run)
        other = self.tokens(0 if run < 0 else -1) if self.sources else tokens
        own = align(tokens.ids, other.ids)
        rows = np.flatnonzero(own.original >= 0)
        query = self.query
        if len(rows) == len(own) and (own.perturbed >= 0).all():
            return token_classes(tokens, other, own, query)
        kinds = own.kinds
        changed = {int(own.original[row]) for row in rows if kinds[row] != "equal"}
        still = Alignment(np.arange(len(tokens)), np.arange(len(tokens)), tuple("equal" for _ in range(len(tokens))))
        names = token_classes(tokens, tokens, still, query)
        return tuple(
            "injected" if at in changed and name not in ("cls", "sep", "pad", "prompt") else name for at, name in enumerate(names)
        )

    def seed(self, run: int = -1) -> int:
        """Return a number made of a run's token ids."""
        return crc32(self.tokens(run).ids.tobytes())


@dataclass(frozen=True)
class Layout:
    """How pairs are laid out.

    Attributes
    ----------
    stack : str or None
        Whose text is edited; that of the changed text by default.
    sources : int
        How many source runs a plan needs.
    direction, filler, truncate
        As in `mechviz.make_pair`.
    aligned : bool
        Whether texts are brought to one length with fillers; if not, they stay as they are, and positions are found in each.
    """

    stack: str | None
    sources: int
    direction: str
    filler: Any
    truncate: bool
    aligned: bool

    def lay(self, ranker: Ranker, number: int, pair: TextPair, perturbed: Sequence[str]) -> Laid:
        """Make one pair ready.

        Raises
        ------
        MechvizError
            It cannot be.
        """
        if pair.perturbed is None and pair.reason:
            raise InputError(pair.reason)
        if len(perturbed) < self.sources:
            raise InputError(
                f"the plan takes activations from {self.sources} source run{'s' if self.sources > 1 else ''}, and this pair has "
                f"{len(perturbed)} perturbed text{'' if len(perturbed) == 1 else 's'}; give (query, doc, perturbed), or pairs "
                "that carry it (pairs.perturb(...))"
            )
        base, sources, beside = self._inputs(ranker, pair, perturbed[: max(self.sources, min(len(perturbed), 1))])
        text = self._text(ranker, pair.side)
        return Laid(number, pair.query, pair.doc, pair.query_id or pair.query, text, base, sources, pair.side, pair, beside)

    def _text(self, ranker: Ranker, side: str) -> str:
        if self.stack is None:
            return ranker.stack_of(side)
        ranker.check_stack(self.stack)
        return ranker.text_of(self.stack)

    def _inputs(self, ranker: Ranker, pair: TextPair, perturbed: Sequence[str]) -> tuple[Inputs, list[Inputs], Alignment | None]:
        """Return what is read in the base run and in the source runs, and how the two lie beside each other, if they do."""
        if not perturbed:
            return ranker.checked_inputs([(pair.query, pair.doc)], self.truncate)[0], [], None
        if self.aligned and len(perturbed) == 1 and self._text(ranker, pair.side) == ranker.stack_of(pair.side):
            how = PairSettings(self.direction, self.filler, self.truncate)  # type: ignore[arg-type]
            made = prepare(ranker, pair.query, pair.doc, Perturbation(lambda _: perturbed[0], "the text", pair.side), how)
            return made.inputs("base"), [made.inputs("source")], made.alignment
        if self.aligned and len(perturbed) > 1:
            raise InputError(
                "several source runs cannot be aligned with one base text; give the plan aligned=False, and positions that each "
                "text has equally many of (such as 'cls' or 'query')"
            )
        changed = [(pair.query, one) if pair.side == "doc" else (one, pair.doc) for one in perturbed]
        base, *sources = ranker.checked_inputs([(pair.query, pair.doc), *changed], self.truncate)
        if self.direction.startswith("original"):
            base, sources = sources[0], [base, *sources[1:]]
        return base, list(sources), None


def listed(pairs: object) -> list[tuple[TextPair, list[str]]]:
    """Return pairs in one form, each with its perturbed texts.

    Parameters
    ----------
    pairs : Pairs, Pair, TextPair, (query, doc), (query, doc, perturbed), or an iterable of these
        ``perturbed`` may be a list of texts, one a source run.

    Raises
    ------
    InputError, InputTypeError
    """
    if isinstance(pairs, (TextPair, Pair)) or _is_tuple(pairs):
        return [_one(pairs)]
    if isinstance(pairs, (str, bytes, Mapping)) or not isinstance(pairs, Iterable):
        raise InputTypeError(f"pairs must be (query, doc, perturbed), a list of these or mv.Pairs, not {shown(pairs)}")
    found = [_one(pair) for pair in pairs]
    if not found:
        raise InputError("there are no pairs; give at least one")
    return found


def lay_all(ranker: Ranker, pairs: object, layout: Layout, on_error: str = "raise") -> tuple[list[Laid], dict[int, str]]:
    """Make pairs ready.

    Returns
    -------
    tuple
        Those that could be, and why the others could not, by number.

    Raises
    ------
    MechvizError
        With ``on_error="raise"``, what a pair raised.
    """
    ready: list[Laid] = []
    reasons: dict[int, str] = {}
    for number, (pair, perturbed) in enumerate(listed(pairs)):
        try:
            ready.append(layout.lay(ranker, number, pair, perturbed))
        except MechvizError as error:
            if on_error == "raise":
                raise
            reasons[number] = str(error)
    return ready, reasons


def drawn(names: Sequence[Name], count: int, seed: int) -> set[Name]:
    """Return some of the names, drawn at random: the queries, or the pairs of one query, that are held out."""
    return {names[at] for at in np.random.default_rng(seed).permutation(len(names))[:count].tolist()}


def _is_tuple(value: object) -> bool:
    return isinstance(value, (tuple, list)) and len(value) in (2, 3) and all(isinstance(one, str) for one in value[:2])


def _one(pair: object) -> tuple[TextPair, list[str]]:
    if isinstance(pair, TextPair):
        return pair, [] if pair.perturbed is None else [pair.perturbed]
    if isinstance(pair, Pair):
        given = TextPair(pair.query, pair.doc, pair.changed, pair.side, perturbation=pair.perturbation)
        return given, [pair.changed]
    if not _is_tuple(pair):
        raise InputTypeError(f"a pair is (query, doc) or (query, doc, perturbed), not {shown(pair)}")
    query, doc, *rest = cast(Sequence[Any], pair)
    several = [] if not rest else [rest[0]] if isinstance(rest[0], str) else rest[0]
    if not isinstance(several, (list, tuple)) or not all(isinstance(one, str) for one in several):
        raise InputTypeError(f"the perturbed text must be a string, or a list of them, not {shown(rest[0])}")
    return TextPair(query, doc, several[0] if several else None), list(several)
