"""Named arrays of one run or of the weights, for the tensor browser and for anybody's analysis."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from mechviz.errors import InputError, shown
from mechviz.probes.reading import Read, Text, provenance_of, read
from mechviz.rankers.ranker import Ranker, check_ranker

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
    check_ranker(ranker)
    if what not in (*DIMS, *MADE):
        raise InputError(f"what={shown(what)}; it is one of {', '.join(map(repr, (*DIMS, *MADE)))}")
    part = ranker.stack(ranker.stack_of("doc"))
    sites = {"head_out": ("z",), "weighted_pattern": ("pattern", "v")}.get(what, (what,))
    missing = [site for site in sites if not part.offers(site)]
    if missing:
        raise InputError(f"{what!r}: this ranker's layers have no {missing[0]}")
    hooks = {site: [part.hook(layer, site) for layer in range(part.n_layers)] for site in sites}
    (one,) = read(ranker, [text], [hook for own in hooks.values() for hook in own], truncate=truncate)
    found = {site: np.stack([one.arrays[hook] for hook in own]) for site, own in hooks.items()}
    weights = [part.w_o(layer).detach().float().cpu().numpy() for layer in range(part.n_layers)]
    if what == "head_out":
        values = np.stack([np.einsum("phd,hdm->phm", z, w) for z, w in zip(found["z"], weights, strict=True)])
        return _named(values, ("pos", "head", "feature"), what, one, ranker)
    if what == "weighted_pattern":
        lengths = np.stack([_lengths(v, w) for v, w in zip(found["v"], weights, strict=True)])  # (layer, head, key_pos)
        return _named(found["pattern"] * lengths[:, :, None], DIMS["pattern"], what, one, ranker)
    return _named(found[what], DIMS[what], what, one, ranker)


def _lengths(v: NDArray[np.float32], w_o: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the length of what each head would move from each position, dims (head, key_pos)."""
    shared = len(w_o) // v.shape[1]  # heads that share one value
    moved = np.einsum("phd,hdm->hpm", np.repeat(v, shared, axis=1), w_o)
    lengths: NDArray[np.float32] = np.linalg.norm(moved, axis=-1)
    return lengths


def _named(values: NDArray[Any], dims: tuple[str, ...], what: str, one: Read, ranker: Ranker) -> xr.DataArray:
    labels = [f"{pos} {label.strip() or label}" for pos, label in enumerate(one.tokens.labels)]
    coords = {dim: labels if dim.endswith("pos") else np.arange(n) for dim, n in zip(("layer", *dims), values.shape, strict=True)}
    return xr.DataArray(values, dims=("layer", *dims), coords=coords, name=what, attrs=provenance_of(ranker))
