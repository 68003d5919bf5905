"""The target as a function of which words are there: many masked copies, each different one scored once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mechviz.errors import InputError, shown
from mechviz.probes.words.masking import MASK, PAD, Floats, Masks, Unit, check_masker, positions_of, units_of, written
from mechviz.probes.words.targets import Target, called, target_of
from mechviz.rankers.checks import Inputs
from mechviz.rankers.provenance import full_provenance_of
from mechviz.rankers.ranker import Ranker, check_ranker
from mechviz.rankers.towers import OTHER
from mechviz.text.checks import check_text, whole_number
from mechviz.text.fillers import DEFAULTS, bind_filler

SIDES = ("doc", "query")


class Copies:
    """Copies of one pair whose text on one side has lost words, and their scores.

    ``[MASK]`` and ``[PAD]`` (which attention does not see) take the place of each token of a word, so that no position moves.
    Any other masker changes the text, which is tokenised again.
    """

    def __init__(
        self, ranker: Ranker, query: str, doc: str, side: str, units: Sequence[Unit], masker: str, batch_size: int
    ) -> None:
        self.ranker, self.side, self.units, self.masker = ranker, side, units, masker
        self.texts = {"query": query, "doc": doc}
        self.batch_size = batch_size
        self.scored = 0
        self._known: dict[bytes, float] = {}

    def __call__(self, keep: Masks) -> Floats:
        """Return scores, dims (sample), for which units are kept, dims (sample, unit); NaN where no text is left."""
        rows, back = np.unique(keep, axis=0, return_inverse=True)
        inputs = self._laid(rows)
        keys = [b"" if one is None else _key(one) for one in inputs]
        new = {key: one for key, one in zip(keys, inputs, strict=True) if one is not None and key not in self._known}
        self._known.update(zip(new, self._scores(list(new.values())), strict=True))
        self.scored += len(new)
        found = np.array([self._known.get(key, np.nan) for key in keys])
        return found[back.ravel()]

    @cached_property
    def whole(self) -> Inputs:
        """The pair as it is, tokenised."""
        return self.ranker.checked_inputs([(self.texts["query"], self.texts["doc"])])[0]

    @property
    def stack(self) -> str:
        """Where the text runs."""
        return self.ranker.stack_of(self.side)

    @cached_property
    def owner(self) -> NDArray[np.int64]:
        """Which unit each position of the sequence belongs to, -1 where to none, dims (pos)."""
        return positions_of(self.whole[self.ranker.text_of(self.stack)], self.side, self.units)

    def text(self, keep: Sequence[bool] | Masks) -> str:
        """Return the text without some of its units."""
        return written(self.texts[self.side], self.units, keep, self.masker)

    def _laid(self, rows: Masks) -> list[Inputs | None]:
        if self.masker in (MASK, PAD):
            return [self._without(keep) for keep in rows]
        texts = [self.text(keep) for keep in rows]
        other = self.texts[OTHER[self.side]]
        kept = [text for text in dict.fromkeys(texts) if text.strip()]
        pairs = [(other, text) if self.side == "doc" else (text, other) for text in kept]
        found = dict(zip(kept, self.ranker.checked_inputs(pairs), strict=True)) if pairs else {}
        return [found.get(text) for text in texts]

    def _without(self, keep: Masks) -> Inputs:
        name = self.ranker.text_of(self.stack)
        tokens = self.whole[name]
        gone = (self.owner >= 0) & ~keep[self.owner]
        ids = np.where(gone, self._filler_id, tokens.ids)
        return {**self.whole, name: replace(tokens, ids=ids, mask=tokens.mask & ~(gone & (self.masker == PAD)))}

    @cached_property
    def _filler_id(self) -> int:
        return filler_id(self.ranker, self.side, self.masker)

    def _scores(self, inputs: list[Inputs]) -> list[float]:
        if not inputs:
            return []
        if "query" not in self.ranker.stacks:
            return [float(score) for score in self.ranker.score_all(inputs, self.batch_size)]
        # The other text stays as it is: it is encoded once.
        scores = np.empty(len(inputs))
        order = sorted(range(len(inputs)), key=lambda number: len(inputs[number][self.side]))
        with torch.no_grad():
            readout = self.ranker.readout(self.side, inputs[0])
            for start in range(0, len(order), self.batch_size):
                chosen = order[start : start + self.batch_size]
                encoded = self.ranker.encode([inputs[number] for number in chosen], self.side)
                scores[chosen] = readout(*encoded).float().cpu().numpy()
        bad = np.flatnonzero(~np.isfinite(scores))
        if len(bad):
            self.ranker.score_all([inputs[bad[0]]])  # which names the place
        return [float(score) for score in scores]


class Game:
    """The target as a function of which units are there.

    Attributes
    ----------
    own : Copies
        Of the pair that is explained.
    target : Target
    unit : str
    """

    def __init__(self, own: Copies, target: Target, unit: str) -> None:
        self.own, self.target, self.unit = own, target, unit
        # beside a changed document the others stay as they are; a changed query changes their scores too
        changing = target.others if own.side == "query" else ()
        self._rivals = [
            Copies(own.ranker, own.texts["query"], other, "query", own.units, own.masker, own.batch_size) for other in changing
        ]
        self._called: dict[str, float] = {}

    def __call__(self, keep: Masks) -> Floats:
        """Return the target, dims (sample), for which units are kept, dims (sample, unit); NaN where no text is left."""
        if self.target.function is not None:
            return self._own_target(keep)
        if self._rivals:
            theirs = np.stack([rival(keep) for rival in self._rivals], axis=1)
        else:
            theirs = np.broadcast_to(self._still, (len(keep), len(self._still)))
        return self.target.combine(self.own(keep), theirs)

    @cached_property
    def _still(self) -> Floats:
        own, others = self.own, list(self.target.others)
        if not others:
            return np.empty(0)
        return own.ranker.score(own.texts["query"], others, own.batch_size).astype(np.float64)

    @property
    def n(self) -> int:
        """How many units there are."""
        return len(self.own.units)

    @property
    def scored(self) -> int:
        """How many different masked copies were scored so far."""
        return self.own.scored + sum(rival.scored for rival in self._rivals) + len(self._called)

    @cached_property
    def ends(self) -> tuple[float, float]:
        """The target without any unit (NaN where that leaves no text) and with all."""
        none, every = self(np.repeat(np.array([[False], [True]]), self.n, axis=1))
        return float(none), float(every)

    @property
    def provenance(self) -> dict[str, str]:
        """Ranker, weights and versions."""
        return full_provenance_of(self.own.ranker)

    def _own_target(self, keep: Masks) -> Floats:
        function, own = self.target.function, self.own
        assert function is not None
        texts = [own.text(row) for row in keep]
        new = [text for text in dict.fromkeys(texts) if text.strip() and text not in self._called]
        if new:
            other = [own.texts[OTHER[own.side]]] * len(new)
            pair = (other, new) if own.side == "doc" else (new, other)
            self._called.update(zip(new, called(function, *pair).tolist(), strict=True))
        return np.array([self._called.get(text, np.nan) for text in texts])


def game_of(
    ranker: Ranker,
    query: str,
    doc: str,
    target: Any = "score",
    masker: str | None = None,
    unit: str = "word",
    side: str = "doc",
    batch_size: int = 32,
    truncate: bool = False,
) -> Game:
    """Check what was given and return the function that is explained.

    Parameters
    ----------
    ranker : Ranker
    query, doc : str
    target : ``"score"``, Target or callable
        See `mechviz.probes.words.targets`.
    masker : str or None
        None for ``[MASK]``, or, where the tokenizer has none or the target is a function of texts, ``a``.
    unit : ``"word"``, ``"term"`` or ``"sentence"``
    side : ``"doc"`` or ``"query"``
        Whose words are masked.
    batch_size : int
    truncate : bool
        Explain the part of a document that the ranker reads, instead of raising where it is too long.

    Raises
    ------
    InputError, InputTypeError
    """
    check_ranker(ranker)
    query, doc = check_text("query", query), check_text("doc", doc)
    chosen = target_of(target)
    chosen.check(doc)
    if side not in SIDES:
        raise InputError(f"side={shown(side)}; give 'doc' or 'query'")
    whole_number("batch_size", batch_size)
    masker = _masker(ranker, side, chosen, masker)
    inputs = ranker.checked_inputs([(query, doc)], truncate)[0]
    if truncate:
        tokens = inputs[ranker.text_of(ranker.stack_of("doc"))]
        doc = doc[: tokens.offsets[tokens.positions("doc"), 1].max()]
    units = units_of(side, doc if side == "doc" else query, unit)
    return Game(Copies(ranker, query, doc, side, units, masker, batch_size), chosen, unit)


def filler_id(ranker: Ranker, side: str, word: str) -> int:
    """Return the token id of a filler that is one token.

    Raises
    ------
    InputError
        It is not one token of the ranker's tokenizer, or there is no such special token.
    """
    tokenizer = ranker.query_tokenizer if side == "query" else ranker.tokenizer
    return bind_filler(word, tokenizer).fill(("",))[0][0]


def _masker(ranker: Ranker, side: str, target: Target, given: str | None) -> str:
    if given is None:
        tokenizer = ranker.query_tokenizer if side == "query" else ranker.tokenizer
        return DEFAULTS[0] if target.function is not None or tokenizer.mask_token_id is None else MASK
    masker = check_masker(given)
    if masker in (MASK, PAD):
        if target.function is not None:
            raise InputError(f"masker={masker!r} changes tokens, and the target is a function of texts; give 'delete' or a word")
        filler_id(ranker, side, masker)
    return masker


def _key(inputs: Inputs) -> bytes:
    return b"|".join(tokens.ids.tobytes() + tokens.mask.tobytes() for tokens in inputs.values())
