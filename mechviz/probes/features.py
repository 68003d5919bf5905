"""Attention between the units of a sequence, by all heads: what a relation detector looks at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mechviz.errors import InputError, InputTypeError, shown
from mechviz.probes.arrays import moved_lengths, output_weights
from mechviz.probes.reading import Read, Text, inputs_of, read
from mechviz.probes.relation_units import Bools, Units, units_of
from mechviz.probes.relations import Relation, reads_together
from mechviz.rankers.ranker import Ranker
from mechviz.rankers.stack import Stack
from mechviz.text.perturb.rewrites import check_count

Floats = NDArray[np.float32]
#: Attention that is taken as none where logarithms are taken.
LEAST = 1e-6
#: What is done about attention being spread over more positions in a longer text.
SCALES = ("log", "share", "length", "none")
#: Texts in one forward pass: the patterns of all layers are kept.
BATCH = 4


@dataclass(frozen=True)
class Features:
    """What is read of two units i and j: attention from i to j and from j to i, of every head.

    Attributes
    ----------
    norm_weighted : bool
        Attention times the length of what it carries, ``||v_j W_O||``, the bias of v included (Kobayashi et al., Attention is
        Not Only a Weight, EMNLP 2020).
    offset : int
        k > 0: attention from i to k positions after j, as of heads that copy what comes next; k < 0: from -k positions before
        i to j. Beyond the text there is none.
    merge_words : bool
        Units are words: attention is summed over the pieces that are attended to and averaged over those that attend.
    scale : str
        ``"log"``: ln(a + 1e-6). ``"share"``: ln of the share of i's attention to all that it may be related to, and of the
        attention that it gets from these: for relations that each unit stands in once, where it asks which. ``"length"``: a
        times the number of tokens. ``"none"``.
    context : int
        k > 0: the mean over the pairs i - k, j - k to i + k, j + k, for relations that hold in runs, as between a text and its
        copy.
    """

    norm_weighted: bool = False
    offset: int = 0
    merge_words: bool = False
    scale: str = "log"
    context: int = 0

    def __post_init__(self) -> None:
        for name in ("norm_weighted", "merge_words"):
            if not isinstance(getattr(self, name), bool):
                raise InputTypeError(f"{name} must be True or False, not {shown(getattr(self, name))}")
        if isinstance(self.offset, bool) or not isinstance(self.offset, int):
            raise InputTypeError(f"offset must be a whole number, not {shown(self.offset)}")
        check_count("context", self.context, least=0)
        if self.scale not in SCALES:
            raise InputError(f"scale={shown(self.scale)}; it is one of {', '.join(map(repr, SCALES))}")

    def hooks(self, part: Stack) -> list[str]:
        """Return the hooks that are read."""
        sites = ("pattern", "v") if self.norm_weighted else ("pattern",)
        if not part.offers("pattern"):
            raise InputError(f"the stack {part.name!r} does not show its attention patterns")
        return [part.hook(layer, site) for site in sites for layer in range(part.n_layers)]

    def attention(self, one: Read, part: Stack, units: Units, weights: Sequence[Floats]) -> Floats:
        """Return the attention between units before it is scaled, dims (layer, head, query unit, key unit).

        ``weights`` are the layers' output projections, where lengths are weighed.
        """
        layers = range(part.n_layers)
        found = np.stack([one.arrays[part.hook(layer, "pattern")] for layer in layers])
        if self.norm_weighted:
            norms = [moved_lengths(one.arrays[part.hook(layer, "v")], weights[layer]) for layer in layers]
            found = found * np.stack(norms)[:, :, None, :]
        if self.offset:
            found = _shifted(found, self.offset)
        picked, starts = units.laid()
        found = found[:, :, picked][:, :, :, picked]
        if self.merge_words:
            found = np.add.reduceat(np.add.reduceat(found, starts, axis=3), starts, axis=2)
            sizes = np.array([len(pieces) for pieces in units.pieces], dtype=np.float32)
            found /= sizes[None, None, :, None]
        laid: Floats = found.astype(np.float32, copy=False)
        return laid


@dataclass(frozen=True, eq=False)
class Example:
    """One sequence: what may be related, what is, and the attention between.

    Attributes
    ----------
    number : int
        Which of the texts.
    units : Units
    allowed : bool array, dims (unit, unit)
        What is asked about.
    truth : bool array, dims (unit, unit), or None
        Where the relation holds; None where nobody knows.
    attention : float32 array, dims (layer, head, unit, unit)
        Before it is scaled.
    features : Features
    hidden : dict of str to float32 array, dims (unit, unit)
        Cosine between hidden states, by hook.
    """

    number: int
    units: Units
    allowed: Bools
    truth: Bools | None
    attention: Floats
    features: Features
    hidden: dict[str, Floats]

    def pairs(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the units of all pairs that are asked about."""
        rows, columns = np.nonzero(self.allowed)
        return rows, columns

    def of(self, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> Floats:
        """Return the features of pairs, dims (pair, feature): of every layer and head, to and from."""
        context = self.features.context
        if not context:
            return self._scaled(rows, columns)
        summed = np.zeros((len(rows), 2 * int(np.prod(self.attention.shape[:2]))), dtype=np.float32)
        counted = np.zeros((len(rows), 1), dtype=np.float32)
        for step in range(-context, context + 1):
            a, b = rows + step, columns + step
            there = (np.minimum(a, b) >= 0) & (np.maximum(a, b) < len(self.units))
            if self.features.scale == "share":  # a unit that is not asked about has no share
                there &= self._asked[np.clip(a, 0, len(self.units) - 1)]
            summed[there] += self._scaled(a[there], b[there])
            counted[there] += 1
        found: Floats = summed / counted
        return found

    def _scaled(self, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> Floats:
        both = np.stack([self.attention[:, :, rows, columns], self.attention[:, :, columns, rows]], axis=-1)
        if self.features.scale in ("log", "share"):
            both = np.log(both + np.float32(LEAST))
        if self.features.scale == "share":
            both -= self._sums[:, :, rows]
        elif self.features.scale == "length":
            both *= np.float32(len(self.units.tokens))
        return np.moveaxis(both, 2, 0).reshape(len(rows), -1)

    @cached_property
    def _asked(self) -> Bools:
        return np.asarray(self.allowed.any(axis=1), dtype=np.bool_)

    @cached_property
    def _sums(self) -> Floats:
        """Return ln of each unit's attention to and from all that it may be related to, dims (layer, head, unit, way)."""
        allowed = self.allowed.astype(np.float32)
        weights = self.attention + np.float32(LEAST)
        sums = [np.einsum("lhij,ij->lhi", weights, allowed), np.einsum("lhji,ij->lhi", weights, allowed)]
        found: Floats = np.log(np.where(self._asked[:, None], np.stack(sums, axis=-1), 1.0)).astype(np.float32)
        return found


def examples(
    ranker: Ranker,
    relation: Relation,
    texts: Sequence[Text],
    features: Features,
    hidden: Sequence[str] = (),
    made: bool = True,
) -> Iterator[Example]:
    """Run texts and yield what a detector sees, text by text, in another order than given.

    Parameters
    ----------
    ranker : Ranker
    relation : Relation
    texts : sequence of str, or of (query, document)
    features : Features
    hidden : sequence of str
        Hooks of hidden states, dims (pos, d_model), whose cosines are wanted.
    made : bool
        Whether the relation makes texts of those given; if not they run as they are.

    Yields
    ------
    Example
        Texts that cannot carry the relation are left out.

    Raises
    ------
    InputError, InputTypeError
        Texts that cannot be run; a relation that this ranker cannot show.
    """
    inputs_of(ranker, texts)
    relation.check(ranker, isinstance(texts[0], tuple))
    part = ranker.stack(ranker.stack_of("doc"))
    wanted = [*features.hooks(part), *hidden]
    together = reads_together(ranker)
    numbers, running, known = [], [], []
    for number, text in enumerate(texts):
        one = relation.make(text, together) if made else None
        if one is None and made:
            continue
        numbers.append(number)
        running.append(text if one is None else one.text)
        known.append(None if one is None else one.known)
    if not running:
        raise InputError(f"none of the {len(texts)} texts can carry the relation {relation.name!r}; give others")
    weights = output_weights(part) if features.norm_weighted else []
    for found in read(ranker, running, wanted, batch_size=BATCH):
        text = running[found.number]
        own = {"query": text[0], "doc": text[1]} if isinstance(text, tuple) else {"doc": text}
        units = units_of(found.tokens, own, features.merge_words, ranker.tokenizer.unk_token)
        about = known[found.number]
        cosines = {name: _cosine(found.arrays[name], units) for name in hidden}
        allowed, truth = relation.allowed(units, about), relation.truth(units, about)
        yield Example(
            numbers[found.number],
            units,
            allowed,
            None if truth is None else truth & allowed,
            features.attention(found, part, units, weights),
            features,
            cosines,
        )


def hidden_hooks(part: Stack) -> list[str]:
    """Return the hooks of the hidden states: what enters the first layer, and what leaves each."""
    return [part.hook(0, "resid_pre"), *(part.hook(layer, "resid_post") for layer in range(part.n_layers))]


def _shifted(attention: Floats, offset: int) -> Floats:
    """Return at i, j what is at i, j + offset, or for a negative offset what is at i + offset, j."""
    found = np.zeros_like(attention)
    length, step = attention.shape[-1], abs(offset)
    if step < length and offset > 0:
        found[..., : length - step] = attention[..., step:]
    elif step < length:
        found[..., step:, :] = attention[..., : length - step, :]
    return found


def _cosine(states: Floats, units: Units) -> Floats:
    picked, starts = units.laid()
    summed = np.add.reduceat(states[picked], starts, axis=0)
    lengths = np.linalg.norm(summed, axis=-1, keepdims=True)
    unit = np.divide(summed, lengths, out=np.zeros_like(summed), where=lengths > 0)
    found: Floats = unit @ unit.T
    return found
