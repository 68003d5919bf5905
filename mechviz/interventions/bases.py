"""Directions found in activations, as bases for interventions: principal components, a mean difference, a probe.

Activations have dims (example, feature): what a plan of `collect` gives back, each position an example (`examples`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from mechviz.errors import InputError, InputTypeError, shown
from mechviz.interventions.checks import as_array
from mechviz.interventions.subspaces import Basis


def examples(collected: xr.DataArray) -> NDArray[np.float32]:
    """Return what a plan collected, dims (pair, unit, feature), as one row a position, those that only fill up left out."""
    if not isinstance(collected, xr.DataArray) or "feature" not in collected.dims:
        raise InputTypeError(f"collected must be what a plan collected, dims (pair, unit, feature), not {shown(collected)}")
    rows = collected.values.reshape(-1, collected.sizes["feature"])
    found: NDArray[np.float32] = rows[np.isfinite(rows).all(axis=1)]
    return found


def pca(activations: Any, rank: int = 1) -> Basis:
    """Return the first principal components.

    Parameters
    ----------
    activations : array, dims (example, feature)
    rank : int
        How many.
    """
    from sklearn.decomposition import PCA

    found = _examples("activations", activations)
    most = min(found.shape[0] - 1, found.shape[1])
    if isinstance(rank, bool) or not isinstance(rank, int) or not 1 <= rank <= most:
        raise InputError(f"rank={shown(rank)}; {len(found)} examples of {found.shape[1]} features have 1 to {most} components")
    return Basis(PCA(rank, svd_solver="full").fit(found).components_.T, made=f"{rank} principal components")


def mean_difference(positive: Any, negative: Any) -> Basis:
    """Return the direction from the mean of some activations to that of others, both dims (example, feature)."""
    means = [_examples(name, one).mean(axis=0) for name, one in (("positive", positive), ("negative", negative))]
    if means[0].shape != means[1].shape:
        raise InputError(f"positive has {len(means[0])} features and negative {len(means[1])}; they must be equal")
    return Basis(means[0] - means[1], made="difference of means")


def probe(activations: Any, labels: Any) -> Basis:
    """Return the direction of a linear probe: logistic regression on standardised features, brought back to their scale.

    Parameters
    ----------
    activations : array, dims (example, feature)
    labels : array of bool, dims (example)
    """
    from sklearn.linear_model import LogisticRegression

    found, wanted = _examples("activations", activations), as_array("labels", labels).astype(bool)
    if wanted.shape != (len(found),) or len(set(wanted.tolist())) != 2:
        raise InputError(f"labels must be one True or False for each of {len(found)} examples, both of them present")
    spread = found.std(axis=0)
    spread[spread == 0] = 1
    fitted = LogisticRegression(max_iter=1000).fit((found - found.mean(axis=0)) / spread, wanted)
    return Basis(fitted.coef_[0] / spread, made="logistic regression")


def _examples(name: str, activations: Any) -> NDArray[np.float64]:
    found = as_array(name, activations)
    if found.ndim != 2 or len(found) < 2:
        raise InputError(f"{name} has shape {found.shape}; give dims (example, feature), at least two examples (see examples())")
    return found
