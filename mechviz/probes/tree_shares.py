"""What each kind of node of an attribution tree is made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from mechviz.probes.contributions import has_text, key_head, label_of
from mechviz.probes.frozen import FrozenRun, Reading, Share, by_source

_T = TypeVar("_T")

#: The neurons of an MLP that are shown; the others are one node.
NEURONS = 10
#: Steps of the integral over attention scores (Gauss-Legendre).
_STEPS = 64


@dataclass(frozen=True, eq=False)
class Source:
    """Where the value of a node comes from in one run: a tensor of the run, and what it is multiplied by."""

    run: int
    number: Tensor
    factor: Tensor
    reading: Reading | None = None
    pattern: Tensor | None = None


@dataclass(eq=False)
class Entry:
    """A node before it has a number."""

    kind: str
    label: str
    value: float = 0.0
    layer: int = -1
    head: int = -1
    pos: int = -1
    via: str = ""
    sources: list[Source] = field(default_factory=list)
    #: Nodes below that are known already.
    below: list[Entry] = field(default_factory=list)

    @property
    def opens(self) -> bool:
        """Whether there is something below."""
        return bool(self.sources or self.below)


@dataclass(frozen=True, eq=False)
class Runs:
    """The frozen runs that a tree is made from, one a text, and where the positions of each begin among all."""

    runs: Sequence[FrozenRun]
    starts: Sequence[int]

    def components(self, sources: Iterable[Source]) -> list[Entry]:
        """Return what embeddings, heads, MLPs and constants add to some numbers."""
        found: dict[Any, Entry] = {}
        biases = Entry("bias", "biases")
        for source in sources:
            run = self.runs[source.run]
            for share in run.shares(source.number, source.factor):
                of = share.of
                if of.kind in ("bias", "rest"):
                    below = biases.below if of.kind == "bias" else None
                    self._constant(found, share, label_of(run, of), below)
                    continue
                for head in range(share.values.shape[1]) if of.kind == "head" else (-1,):
                    made = Entry(of.kind, label_of(run, of, head), layer=of.layer, head=head)
                    entry = found.setdefault((of.kind, of.stack, of.layer, head), made)
                    values = share.values if head < 0 else share.values[:, head]
                    entry.value += float(values.sum())
                    entry.sources.append(self._written(source.run, share, head))
        if biases.below:
            biases.value = sum(entry.value for entry in biases.below)
            found["bias"] = biases
        return list(found.values())

    def open(self, entry: Entry, qkv: bool) -> list[Entry]:
        """Return the nodes below one."""
        if entry.below:
            return entry.below
        if entry.kind == "head":
            return self._inputs(entry) if qkv else self._tokens(entry)
        if entry.kind == "mlp":
            return self._neurons(entry)
        if entry.kind == "embed":
            return self._embedding(entry)
        if entry.kind == "input" and entry.via == "v":
            return self._tokens(entry)
        return self.components(entry.sources)

    # -- one kind each -------------------------------------------------------------------------------------------

    def _constant(self, found: dict[Any, Entry], share: Share, label: str, below: list[Entry] | None) -> None:
        value = float(share.values)
        if below is None:
            found.setdefault(("rest", label), Entry("rest", label)).value += value
            return
        known = next((entry for entry in below if entry.label == label), None)
        if known is None:
            below.append(Entry("bias", label, value, share.of.layer))
        else:
            known.value += value

    def _written(self, run: int, share: Share, head: int) -> Source:
        of = share.of
        if head < 0:
            number = self.runs[run].neurons[of.stack, of.layer][1] if of.kind == "mlp" else of.leaf
            return Source(run, number, share.factor)
        reading = self.runs[run].readings[of.stack, of.layer]
        return Source(run, of.leaf, share.factor[0, :, head], reading, reading.pattern[head])

    def _tokens(self, entry: Entry) -> list[Entry]:
        """Return what a head reads from each position, by the values there."""
        found = []
        for source in entry.sources:
            run, reading = self.runs[source.run], _given(source.reading)
            pattern = _given(source.pattern)
            v = reading.made["v"]
            at = key_head(reading.pattern, v, entry.head)
            values, of_value = by_source(pattern, v[0, :, at], source.factor)
            for pos, value in enumerate(values.tolist()):
                label, place = self._token(source.run, run, reading.stack, pos, keys=True)
                along = torch.zeros_like(v)
                along[0, pos, at] = of_value[pos].to(v.dtype)
                below = [Source(source.run, v, along)]
                found.append(Entry("token", label, value, entry.layer, entry.head, place, "v", below))
        return found

    def _embedding(self, entry: Entry) -> list[Entry]:
        found = []
        for source in entry.sources:
            values = (source.number.detach().double() * source.factor.double())[0].sum(-1).tolist()
            run = self.runs[source.run]
            stack = next(one.stack for one in run.written if one.leaf is source.number)
            for pos, value in enumerate(values):
                label, place = self._token(source.run, run, stack, pos)
                found.append(Entry("token", label, value, pos=place))
        return found

    def _token(self, number: int, run: FrozenRun, stack: str, pos: int, keys: bool = False) -> tuple[str, int]:
        if not has_text(run, stack, keys):
            return "decoder start", -1
        return run.tokens.labels[pos], self.starts[number] + pos

    def _neurons(self, entry: Entry) -> list[Entry]:
        total: Any = 0.0
        biases: dict[Any, Entry] = {}
        for source in entry.sources:
            run = self.runs[source.run]
            post = next(post for post, made in run.neurons.values() if made is source.number)
            (factor,) = run.pull(source.number, [post], source.factor)
            total = total + (post.detach().double() * factor.double())[0].sum(0).cpu().numpy()
            for share in run.shares(source.number, source.factor):
                label = label_of(run, share.of)
                biases.setdefault(label, Entry("bias", label, layer=entry.layer)).value += float(share.values)
        order = np.argsort(-np.abs(total), kind="stable")
        found = [Entry("mlp", f"neuron {entry.layer}.{n}", float(total[n]), entry.layer) for n in order[:NEURONS]]
        if len(order) > NEURONS:
            left = len(order) - NEURONS
            label = f"{left} other neuron{'s' if left > 1 else ''}"
            found.append(Entry("rest", label, float(total[order[NEURONS:]].sum()), entry.layer))
        return [*found, *biases.values()]

    def _inputs(self, entry: Entry) -> list[Entry]:
        """Return what a head adds by its values, attended to evenly, and by query and key, which make attention uneven.

        The difference that the pattern makes is the integral of its derivative by the attention scores, from none to all of
        them (integrated gradients, Sundararajan et al. 2017); a score is a product, of which query and key get a half each.
        """
        value = Entry("input", "v, attended to evenly", layer=entry.layer, head=entry.head, via="v")
        query, key = (Entry("input", side, layer=entry.layer, head=entry.head, via=side) for side in ("q", "k"))
        rest = Entry("rest", "position and mask", layer=entry.layer, head=entry.head)
        for source in entry.sources:
            run, reading = self.runs[source.run], _given(source.reading)
            v = reading.made["v"]
            of_key = v[0, :, key_head(reading.pattern, v, entry.head)].detach().double()
            read = source.factor.double() @ of_key.T
            seen = _seen(reading, entry.head)
            even = seen.double() / seen.sum(-1, keepdim=True)
            value.value += float((even * read).sum())
            value.sources.append(Source(source.run, v, source.factor, reading, even))
            if reading.scores is None:  # one position: no query or key could change the pattern
                continue
            scores = reading.scores.detach()[0, entry.head].double()
            slope = _slope(scores, seen, read)
            along = torch.zeros_like(reading.scores)
            along[0, entry.head] = slope.to(along.dtype)
            of_scores = float((slope * scores.masked_fill(~seen, 0.0)).sum())
            sides = [reading.leaves["q"], reading.leaves["k"]]
            for side, leaf, factor in zip((query, key), sides, run.pull(reading.scores, sides, along), strict=True):
                half = factor / 2
                added = float((leaf.detach().double() * half.double()).sum())
                side.value += added
                of_scores -= added
                side.sources.append(Source(source.run, reading.made[side.via], half))
            rest.value += of_scores
        return [value, *(side for side in (query, key) if side.sources), *([rest] if query.sources else [])]


def _seen(reading: Reading, head: int) -> Tensor:
    """Return which positions a mask lets a head look at, boolean, dims (query_pos, key_pos)."""
    if reading.scores is None:
        return torch.ones_like(reading.pattern[head], dtype=torch.bool)
    scores = reading.scores.detach()[0, head]
    return scores > torch.finfo(scores.dtype).min / 2


def _slope(scores: Tensor, seen: Tensor, read: Tensor) -> Tensor:
    """Return the mean derivative of what a head reads by its scores, on the way from 0 to them, dims (query_pos, key_pos)."""
    nodes, weights = np.polynomial.legendre.leggauss(_STEPS)
    found = torch.zeros_like(scores)
    for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        pattern = torch.softmax((scores * node).masked_fill(~seen, -torch.inf), dim=-1)
        found += weight * pattern * (read - (pattern * read).sum(-1, keepdim=True))
    return found


def _given(value: _T | None) -> _T:
    assert value is not None
    return value
