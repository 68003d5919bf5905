"""How many senses the uses of a word fall into: clusters, their number, and whether there is more than one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist, squareform

from mechviz.text.checks import whole_number

#: Draws of the null: with 19, more than the largest is p = 0.05.
DRAWS = 19


@dataclass(frozen=True, eq=False)
class Clusters:
    """Uses of a word by sense.

    Attributes
    ----------
    labels : int64 array, dims (use)
        From 0, the largest sense first.
    silhouette : float
        Mean silhouette of the best number of clusters above 1; NaN where there can be none.
    p : float
        How often uses of one sense, of the same covariance, reach it; NaN likewise.
    """

    labels: NDArray[np.int64]
    silhouette: float
    p: float

    @property
    def shares(self) -> NDArray[np.float64]:
        """Share of the uses in each sense, falling, dims (sense)."""
        return np.bincount(self.labels) / len(self.labels)

    @property
    def effective(self) -> float:
        """Effective number of senses: exp of the entropy of the shares."""
        return float(np.exp(-(self.shares * np.log(self.shares)).sum()))


def clusters(vectors: NDArray[np.float32], most: int = 6, draws: int = DRAWS, seed: int = 0) -> Clusters:
    """Find the senses of uses.

    Clusters are Ward's (1963). Their number is the one with the largest mean silhouette (Rousseeuw 1987), from 2. Since a
    silhouette cannot say that there is one cluster, that is what is taken unless it is larger than in every draw of as many
    vectors from one normal distribution of the same covariance (the parametric bootstrap of SigClust, Liu et al. 2008).

    Parameters
    ----------
    vectors : float32 array, dims (use, feature)
    most : int
        Most senses that are looked for.
    draws : int
    seed : int

    Returns
    -------
    Clusters

    Raises
    ------
    InputError
    """
    for name, number in (("most", most), ("draws", draws)):
        whole_number(name, number)
    one = np.zeros(len(vectors), dtype=np.int64)
    centred = np.asarray(vectors, dtype=np.float64) - np.mean(vectors, axis=0, dtype=np.float64)
    # Equal uses up to float32's rounding have one sense; there is nothing to tell apart.
    if len(vectors) < 4 or most < 2 or np.abs(centred).max() <= 1e-6 * max(1e-30, float(np.abs(vectors).max())):
        return Clusters(one, float("nan"), float("nan"))
    labels, best = _best(centred, most)
    random = np.random.default_rng(seed)
    n = len(centred)
    turned = (random.standard_normal((n, n)) @ centred / np.sqrt(n) for _ in range(draws))
    above = sum(_best(drawn, most)[1] >= best for drawn in turned)
    p = (above + 1) / (draws + 1)
    return Clusters(_by_size(labels) if above == 0 else one, best, p)


def _best(vectors: NDArray[np.float64], most: int) -> tuple[NDArray[np.int64], float]:
    flat = pdist(vectors)
    tree, distances = linkage(flat, "ward"), squareform(flat)
    tried = [fcluster(tree, number, "maxclust") - 1 for number in range(2, min(most, len(vectors) - 1) + 1)]
    scores = [silhouette(distances, labels) for labels in tried]
    at = int(np.argmax(scores))
    return tried[at].astype(np.int64), scores[at]


def silhouette(distances: NDArray[np.float64], labels: NDArray[np.integer]) -> float:
    """Return the mean silhouette of clusters, -1 to 1, from distances with dims (use, use); 0 for a use alone in its cluster."""
    inside = np.eye(int(labels.max()) + 1)[labels]
    sizes = inside.sum(axis=0)
    if (sizes > 0).sum() < 2:
        return -1.0
    sums = distances @ inside
    own = sizes[labels]
    rows = np.arange(len(labels))
    within = sums[rows, labels] / np.maximum(own - 1, 1)
    means = sums / np.maximum(sizes, 1)
    means[:, sizes == 0] = np.inf
    means[rows, labels] = np.inf
    other = means.min(axis=1)
    larger = np.maximum(within, other)
    each = np.where((own > 1) & (larger > 0), (other - within) / np.where(larger > 0, larger, 1), 0)
    return float(each.mean())


def _by_size(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return labels numbered from the largest cluster; of equal ones, the one that comes first."""
    _, first, sizes = np.unique(labels, return_index=True, return_counts=True)
    order = np.lexsort((first, -sizes))
    number = np.empty(len(order), dtype=np.int64)
    number[order] = np.arange(len(order))
    return number[np.unique(labels, return_inverse=True)[1]]
