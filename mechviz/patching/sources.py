"""What is patched in: the other text's activations, zeros, a mean, resampled or stored vectors, as each cell needs them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mechviz.errors import InputError, InputTypeError, shown
from mechviz.patching.runs import Run, keeping, through
from mechviz.rankers.checks import Inputs
from mechviz.rankers.ranker import Ranker

#: Names of what can be patched in instead of the other text's activations.
SOURCES = ("zero", "mean", "resample")

#: None for the other text, one of `SOURCES`, or a stored activation by full hook name, dims (pos, ...) or without pos.
SourceLike = str | Mapping[str, Any] | None

#: Site and layer -> the activation that is patched in, without the row dimension.
Raw = Callable[[str, int], Tensor]

#: Inputs of a head, and its pattern: their change is a change of the head's own z, by which it is patched.
_READ_BY_HEADS = ("q", "k", "v", "pattern")


@dataclass(frozen=True)
class SourceSettings:
    """What is patched in: see `mechviz.patch`."""

    source: SourceLike = None
    pairs: Sequence[tuple[str, str]] | None = None
    seed: int = 0


class Values:
    """New and old activations, by site and layer, at the hooks where a cell is patched.

    q, k, v and the pattern act through z of their own head only. So a cell of theirs is patched as the z that the head has
    when it reads them and all else is the base run's: exactly the same score, and no layer runs again from its input.

    Parameters
    ----------
    ranker : Ranker
    base : Run
    raw : callable
    """

    def __init__(self, ranker: Ranker, base: Run, raw: Raw) -> None:
        self.ranker, self.base, self._raw = ranker, base, raw
        self.part = ranker.stack(base.stack)
        self._kept: dict[tuple[str, int], Tensor] = {}

    def hook(self, site: str, layer: int) -> str:
        """Return the name of the hook at which a cell is patched."""
        return self.part.hook(layer, carrier(site))

    def old(self, site: str, layer: int) -> Tensor:
        """Return the base run's activation there, dims (pos, ...)."""
        return self.base.values[carrier(site)][layer][0]

    def new(self, site: str, layer: int) -> Tensor:
        """Return the activation that is patched in there, dims (pos, ...)."""
        if (site, layer) not in self._kept:
            value = self._raw(site, layer)
            self._kept[site, layer] = z_reading(self.ranker, self.base, layer, {site: value}) if site in _READ_BY_HEADS else value
        return self._kept[site, layer]


def carrier(site: str) -> str:
    """Return the site at which a cell of a site is patched."""
    return "z" if site in _READ_BY_HEADS else site


@torch.no_grad()
def z_reading(ranker: Ranker, run: Run, layer: int, read: Mapping[str, Tensor], hidden: Tensor | None = None) -> Tensor:
    """Return z of a layer whose heads read other q, k, v or pattern.

    Parameters
    ----------
    ranker : Ranker
    run : Run
    layer : int
    read : mapping of site to Tensor
        Without the row dimension; every other input is what ``hidden`` makes it.
    hidden : Tensor, dims (row, pos, d_model), optional
        What enters the layer; that of the run by default, and then z comes without a row dimension.

    Returns
    -------
    Tensor, dims ((row,) pos, head, d_head)
    """
    part, tower = ranker.stack(run.stack), ranker.towers[run.stack]
    seen: list[Tensor] = []

    def put(value: Tensor) -> Callable[..., Tensor]:
        return lambda activation, hook: value.to(activation.dtype).expand_as(activation)

    hooks: list[Any] = [(part.hook(layer, site), put(value)) for site, value in read.items()]
    with tower.hooks([*hooks, (part.hook(layer, "z"), lambda z, hook: seen.append(z))]), ranker.running(run.stack):
        through(part, run, layer, run.resid_pre[layer] if hidden is None else hidden)
    return seen[0][0] if hidden is None else seen[0]


def raw_values(ranker: Ranker, base: Run, other: Run, settings: SourceSettings, sites: Sequence[str]) -> Raw:
    """Return what is patched in at each site and layer.

    Raises
    ------
    InputError, InputTypeError
        A source that does not exist or lacks what it needs.
    """
    source, part = settings.source, ranker.stack(base.stack)
    if isinstance(source, Mapping):
        return _stored(source, base, lambda site, layer: part.hook(layer, site))
    if source is not None and (not isinstance(source, str) or source not in SOURCES):
        raise InputError(
            f"source={shown(source)}; leave it out for the other text, or give {', '.join(map(repr, SOURCES))} or a mapping of "
            "hook names to activations"
        )
    if settings.pairs is not None and source not in ("mean", "resample"):
        raise InputError(f"pairs are for source='mean' or 'resample', and source is {source!r}")
    if source is None:
        return lambda site, layer: other.values[site][layer][0]
    if source == "zero":
        return lambda site, layer: torch.zeros_like(base.values[site][layer][0])
    if "pattern" in sites:
        raise InputError(f"source={source!r}: rows of a pattern have the length of their own text; choose another grid or source")
    found = _from_pairs(ranker, base, _pool(ranker, source, settings.pairs), source, sites, settings.seed)
    return lambda site, layer: found[site][layer]


def _stored(source: Mapping[str, Any], base: Run, hook: Callable[[str, int], str]) -> Raw:
    def value(site: str, layer: int) -> Tensor:
        old, name = base.values[site][layer][0], hook(site, layer)
        if name not in source:
            raise InputError(
                f"source has nothing for {name}; it holds {', '.join(list(source)[:4]) or 'nothing'}: choose layers= that it has"
            )
        new = torch.as_tensor(source[name], dtype=old.dtype, device=old.device)
        try:
            return new.expand_as(old)
        except RuntimeError as error:
            raise InputError(
                f"source[{name!r}] has shape {tuple(new.shape)}, which does not fit {tuple(old.shape)}: give one vector, or "
                "one a position"
            ) from error

    return value


def _pool(ranker: Ranker, source: str, pairs: object) -> list[dict[str, Any]]:
    if pairs is None or isinstance(pairs, (str, Mapping)):
        raise InputTypeError(f"source={source!r} takes activations from pairs=[(query, doc), ...], not {shown(pairs)}")
    listed = list(pairs)  # type: ignore[call-overload]
    wrong = [pair for pair in listed if isinstance(pair, str) or len(pair) != 2]
    if wrong or not listed:
        raise InputError(f"pairs must be (query, document) texts, at least one; {shown(wrong[0]) if wrong else 'there are none'}")
    return ranker.checked_inputs(listed, truncate=True)


def _from_pairs(
    ranker: Ranker, base: Run, pool: Sequence[Inputs], source: str, sites: Sequence[str], seed: int
) -> dict[str, list[Tensor]]:
    """Return, by site and layer, the mean over all positions of the pool, or a drawn position's vector at each position."""
    part, tower, text = ranker.stack(base.stack), ranker.towers[base.stack], ranker.text_of(base.stack)
    tokens = [inputs[text] for inputs in pool]
    drawn = _draw(base.tokens.segments, [one.segments for one in tokens], [one.mask for one in tokens], seed)
    places = part.places(sites)
    found = {site: [torch.zeros_like(value[0]) for value in base.values[site]] for site, _ in places.values()}
    count = sum(int(one.mask.sum()) for one in tokens)
    for number, inputs in enumerate(pool):
        kept: dict[str, Tensor] = {}
        with torch.no_grad(), tower.hooks([(name, keeping(kept)) for name in places]):
            ranker.encode([inputs], base.stack)
        seen = np.flatnonzero(tokens[number].mask)
        rows = np.flatnonzero(drawn[:, 0] == number)
        for name, (site, layer) in places.items():
            value, into = kept[name][0], found[site][layer]
            one = len(into) == 1  # a decoder at its first step
            if source == "mean":
                into += value.sum(0) / len(pool) if one else value[seen].sum(0) / count
            elif one:
                into[0] = value[0] if drawn[0, 0] == number else into[0]
            else:
                into[rows] = value[drawn[rows, 1]]
    return found


def _draw(
    segments: Sequence[str], pool: Sequence[Sequence[str]], masks: Sequence[NDArray[np.bool_]], seed: int
) -> NDArray[np.int64]:
    """Return a random position of the pool for each position, of its own segment where the pool has that, dims (pos, 2).

    The two columns are the number of the pair and the position in it.
    """
    generator = np.random.default_rng(seed)
    places: dict[str, list[tuple[int, int]]] = {}
    for number, (names, mask) in enumerate(zip(pool, masks, strict=True)):
        for position in np.flatnonzero(mask).tolist():
            places.setdefault(names[position], []).append((number, position))
    anywhere = [place for group in places.values() for place in group]
    return np.array([_any_of(places.get(segment, anywhere), generator) for segment in segments], dtype=np.int64)


def _any_of(places: Sequence[tuple[int, int]], generator: np.random.Generator) -> tuple[int, int]:
    return places[int(generator.integers(len(places)))]
