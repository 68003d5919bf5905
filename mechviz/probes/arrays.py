"""Named arrays of one run or of the weights, for the tensor browser and for anybody's analysis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from mechviz.errors import InputError, shown
from mechviz.probes.reading import Read, Text, read
from mechviz.rankers.provenance import provenance_of
from mechviz.rankers.ranker import Ranker, check_ranker
from mechviz.rankers.stack import Stack

#: Dims of a site's activation in one text, without the layer.
DIMS = {
    **dict.fromkeys(
        ("resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out"),
        ("pos", "feature"),
    ),
    **dict.fromkeys(("mlp_pre", "mlp_post"), ("pos", "neuron")),
    **dict.fromkeys(("q", "k", "v", "z"), ("pos", "head", "feature")),
    **dict.fromkeys(("pattern", "attn_scores"), ("head", "query_pos", "key_pos")),
}
#: Made of several sites.
MADE = ("weighted_pattern", "head_out")


def array(ranker: Ranker, what: str, text: Text, truncate: bool = False) -> xr.DataArray:
    """Return what is at a site in every layer, for one text.

    Parameters
    ----------
    ranker : Ranker
    what : str
        A site: ``"resid_pre"``, ``"resid_mid"``, ``"resid_post"``, ``"attn_out"``, ``"mlp_out"`` (layer, pos, feature);
        ``"mlp_pre"``, ``"mlp_post"`` (layer, pos, neuron); ``"q"``, ``"k"``, ``"v"``, ``"z"`` (layer, pos, head, feature);
        ``"pattern"``, ``"attn_scores"`` (layer, head, query_pos, key_pos). Or ``"head_out"``, what each head adds to the
        residual stream (layer, pos, head, feature), or ``"weighted_pattern"``, attention times the length of what it moves,
        ``pattern * ||v W_O||`` (layer, head, query_pos, key_pos; Kobayashi et al. 2020).
    text : str, or (query, document)
    truncate : bool

    Returns
    -------
    DataArray
        Float32. Positions have coordinates that name their tokens, ``"3 lava"``.

    Raises
    ------
    InputError
        No such site in this ranker.
    """
    return arrays(ranker, (what,), text, truncate)[0]


def arrays(ranker: Ranker, whats: Sequence[str], text: Text, truncate: bool = False) -> list[xr.DataArray]:
    """Return several from one run; see `array`."""
    check_ranker(ranker)
    part = ranker.stack(ranker.stack_of("doc"))
    sites = {what: _sites(part, what) for what in whats}
    (one,) = read(
        ranker, [text], list(part.places(dict.fromkeys(site for own in sites.values() for site in own))), truncate=truncate
    )
    return [_made(part, what, one, ranker) for what in whats]


def _sites(part: Stack, what: str) -> tuple[str, ...]:
    """Return the sites that an array is made of."""
    if what not in (*DIMS, *MADE):
        raise InputError(f"what={shown(what)}; it is one of {', '.join(map(repr, (*DIMS, *MADE)))}")
    sites = {"head_out": ("z",), "weighted_pattern": ("pattern", "v")}.get(what, (what,))
    missing = [site for site in sites if not part.offers(site)]
    if missing:
        raise InputError(f"{what!r}: this ranker's layers have no {missing[0]}")
    return sites


def _made(part: Stack, what: str, one: Read, ranker: Ranker) -> xr.DataArray:
    def found(site: str) -> list[NDArray[np.float32]]:
        return [one.arrays[part.hook(layer, site)] for layer in range(part.n_layers)]

    if what == "head_out":
        pairs = zip(found("z"), output_weights(part), strict=True)
        return _named(
            np.stack([np.einsum("phd,hdm->phm", z, w) for z, w in pairs]), ("pos", "head", "feature"), what, one, ranker
        )
    if what == "weighted_pattern":
        lengths = np.stack([moved_lengths(v, w) for v, w in zip(found("v"), output_weights(part), strict=True)])
        return _named(np.stack(found("pattern")) * lengths[:, :, None], DIMS["pattern"], what, one, ranker)
    return _named(np.stack(found(what)), DIMS[what], what, one, ranker)


def output_weights(part: Stack) -> list[NDArray[np.float32]]:
    """Return the output projections of the heads, one array a layer, dims (head, d_head, d_model)."""
    return [part.w_o(layer).detach().float().cpu().numpy() for layer in range(part.n_layers)]


def moved_lengths(v: NDArray[np.float32], w_o: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the length of what each head would move from each position, dims (head, key_pos)."""
    shared = len(w_o) // v.shape[1]  # heads that share one value
    moved = np.einsum("phd,hdm->hpm", np.repeat(v, shared, axis=1), w_o)
    lengths: NDArray[np.float32] = np.linalg.norm(moved, axis=-1)
    return lengths


def _named(values: NDArray[Any], dims: tuple[str, ...], what: str, one: Read, ranker: Ranker) -> xr.DataArray:
    labels = [f"{pos} {label.strip() or label}" for pos, label in enumerate(one.tokens.labels)]
    coords = {dim: labels if dim.endswith("pos") else np.arange(n) for dim, n in zip(("layer", *dims), values.shape, strict=True)}
    return xr.DataArray(values, dims=("layer", *dims), coords=coords, name=what, attrs=provenance_of(ranker))
