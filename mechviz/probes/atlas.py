"""An atlas of a collection: documents or tokens as a ranker's layers place them, and what lies where (Carter et al. 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import scipy.sparse as sp
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from mechviz import results
from mechviz.errors import InputError, MechvizError, shown
from mechviz.probes.labelled import chosen_layers
from mechviz.probes.places import read_rows
from mechviz.probes.reading import Text, doc_of, read
from mechviz.rankers.provenance import provenance_of
from mechviz.rankers.ranker import Ranker, check_ranker
from mechviz.text.checks import whole_number
from mechviz.text.tokens import Tokens
from mechviz.text.words import STOPWORDS, terms

if TYPE_CHECKING:
    from mechviz.views import AtlasView

Level = Literal["document", "token"]
Method = Literal["pca", "umap"]

#: How many terms stand for a cell.
_TERMS = 4
#: Characters of a document, and tokens on either side of a token, that its label shows.
_BEGINNING, _AROUND = 90, 5
_NEIGHBOURS = 15


@dataclass(frozen=True, eq=False, repr=False)
class Atlas(results.Atlas):
    """The layout, its points and its cells; see `mechviz.results.Atlas`."""

    def show(self, theme: str = "auto") -> AtlasView:
        """Return the atlas as a view: brush, search, a slider over layers."""
        from mechviz.views import atlas as view

        return view(self, theme=theme)


def atlas(
    ranker: Ranker,
    texts: Sequence[Text],
    level: Level = "document",
    layers: Sequence[int] | None = None,
    method: Method = "pca",
    scores: ArrayLike | None = None,
    grades: ArrayLike | None = None,
    size: int = 20,
    most: int = 100_000,
    batch_size: int = 32,
    seed: int = 0,
) -> Atlas:
    """Lay documents or tokens out in the plane, layer by layer.

    A document is the mean of what the layer holds at the positions that the score reads: of its one position, where only one
    is read. Each layer's layout is turned and mirrored so that it lies as near as can be to the one before (orthogonal
    Procrustes), which moves no point with regard to another. Terms of a cell are the largest by class-based tf-idf: how often
    one occurs there, times log(1 + mean count of terms in a cell / how often it occurs anywhere) (Grootendorst 2022).

    Parameters
    ----------
    ranker : Ranker
    texts : sequence of str, or of (query, document)
        Pairs are scored, too. All activations of the layers asked for are held in memory: 4 bytes a point, layer and feature.
    level : ``"document"`` or ``"token"``
        Tokens are those of the document, special tokens left out.
    layers : sequence of int, optional
        By the number of the layer whose output it is, 0 the first; default all. -1 counts from the end.
    method : ``"pca"`` or ``"umap"``
        UMAP needs the extra ``mechviz-ir[umap]``; distances between far points mean little in it.
    scores, grades : array, dims (text), optional
        Scores instead of the ranker's, and relevance grades (whole numbers from 0; NaN where there is none).
    size : int
        Cells along one side.
    most : int
        Of more points than these, a random sample is laid out.
    batch_size, seed : int

    Returns
    -------
    Atlas

    Raises
    ------
    InputError, InputTypeError
        Fewer than 3 points, arrays of another length than the texts, layers that the ranker does not have.
    MechvizError
        ``method="umap"`` without its package.
    """
    check_ranker(ranker)
    if level not in ("document", "token"):
        raise InputError(f"level={shown(level)}; it is 'document' or 'token'")
    if method not in ("pca", "umap"):
        raise InputError(f"method={shown(method)}; it is 'pca' or 'umap'")
    for name, number, least in (("size", size, 2), ("most", most, 3)):
        whole_number(name, number, least)
    umap = _umap() if method == "umap" else None
    stack = ranker.stack_of("doc")
    chosen = chosen_layers(ranker.stack(stack), layers)
    given = {name: _column(name, values, len(texts)) for name, values in (("scores", scores), ("grades", grades))}
    vectors, points = _points(ranker, texts, level, chosen, most, batch_size, seed, scored=given["scores"] is None)
    if len(points) < 3:
        raise InputError(f"{len(points)} points cannot be laid out in a plane; give at least 3 texts (or use level='token')")
    for name, column in (("scores", "score"), ("grades", "grade")):
        if given[name] is not None:
            points[column] = given[name][points["text"].to_numpy()]  # type: ignore[index]
    flat, explained = zip(*(_plane(vectors[:, at], umap, seed) for at in range(len(chosen))), strict=True)
    layout = _turned(list(flat))
    counts, names = _counts(texts, points, level)
    cells = pd.concat([_cells(layer, plane, points, counts, names, size) for layer, plane in zip(chosen, layout, strict=True)])
    at = {"layer": list(chosen)}
    return Atlas(
        layout=xr.DataArray(np.stack(layout), dims=("layer", "point", "axis"), coords={**at, "axis": ["x", "y"]}),
        points=points,
        cells=cells.reset_index(drop=True),
        size=size,
        level=level,
        method="PCA" if umap is None else f"UMAP ({_NEIGHBOURS} neighbours)",
        explained=xr.DataArray(np.array(explained), dims="layer", coords=at),
        provenance={**provenance_of(ranker), "texts": str(len(texts)), "seed": str(seed)},
    )


# -- points ----------------------------------------------------------------------------------------------------------


def _points(
    ranker: Ranker, texts: Sequence[Text], level: str, layers: Sequence[int], most: int, batch_size: int, seed: int, scored: bool
) -> tuple[NDArray[np.float32], pd.DataFrame]:
    """Return vectors, dims (point, layer, feature), and the table of points, both in the order of the texts."""
    stack = ranker.stack_of("doc")
    hooks = [ranker.stack(stack).hook(layer, "resid_post") for layer in layers]
    found: list[tuple[int, NDArray[np.float32], list[dict[str, Any]]]] = []
    for one in read(ranker, texts, hooks, batch_size, scores=scored):
        held = np.stack([one.arrays[hook] for hook in hooks], axis=1)  # (pos, layer, feature)
        if level == "document":
            rows = held[read_rows(ranker, stack, one.tokens)].mean(axis=0, keepdims=True)
            labels = [{"label": _beginning(texts[one.number]), "term": ""}]
        else:
            own, spaces = one.tokens.positions("doc"), one.tokens.spaces()
            rows, labels = held[own], [_in_context(one.tokens, own, spaces, int(pos)) for pos in own]
        found.append((one.number, rows, [{**label, "text": one.number, "score": one.score} for label in labels]))
    found.sort(key=lambda part: part[0])
    vectors = np.concatenate([rows for _, rows, _ in found])
    points = pd.DataFrame([row for _, _, rows in found for row in rows]).assign(grade=np.nan)
    if len(points) > most:
        kept = np.sort(np.random.default_rng(seed).choice(len(points), most, replace=False))
        vectors, points = vectors[kept], points.iloc[kept].reset_index(drop=True)
    return vectors, points


def _beginning(text: Text) -> str:
    doc = " ".join(doc_of(text).split())
    return doc if len(doc) <= _BEGINNING else f"{doc[: _BEGINNING - 1]}…"


def _in_context(tokens: Tokens, own: NDArray[np.int64], spaces: NDArray[np.bool_], pos: int) -> dict[str, str]:
    """Return a token with what stands around it of the document, at positions ``own``."""
    near = own[(own >= pos - _AROUND) & (own <= pos + _AROUND)]
    pieces: list[str] = []
    for at in near:
        label = tokens.labels[at]
        pieces.append((" " if spaces[at] and pieces else "") + (f"[{label}]" if at == pos else label))
    return {"label": "".join(pieces), "term": tokens.labels[pos].strip().casefold()}


# -- layout ----------------------------------------------------------------------------------------------------------


def _plane(vectors: NDArray[np.float32], umap: Any, seed: int) -> tuple[NDArray[np.float64], float]:
    """Return one layer's layout, dims (point, axis), within [-1, 1], and the share of the variance in it."""
    if umap is None:
        from sklearn.decomposition import PCA

        fitted = PCA(2, random_state=seed).fit(vectors)
        # The largest loading is positive: a component has no sign of its own.
        signs = np.sign(fitted.components_[[0, 1], np.abs(fitted.components_).argmax(axis=1)])
        flat, explained = fitted.transform(vectors) * signs, float(np.nansum(fitted.explained_variance_ratio_))
    else:
        fitted = umap.UMAP(n_neighbors=min(_NEIGHBOURS, len(vectors) - 1), random_state=seed)
        flat, explained = fitted.fit_transform(vectors), float("nan")
    flat = np.asarray(flat, dtype=np.float64)
    flat -= flat.mean(axis=0)
    return flat / (np.abs(flat).max() or 1), explained


def _turned(planes: list[NDArray[np.float64]]) -> list[NDArray[np.float32]]:
    """Turn and mirror each layout onto the one before; distances within a layout stay."""
    from scipy.linalg import orthogonal_procrustes

    for at in range(1, len(planes)):
        planes[at] = planes[at] @ orthogonal_procrustes(planes[at], planes[at - 1])[0]
    return [plane.astype(np.float32) for plane in planes]


def _umap() -> Any:
    try:
        import umap
    except ImportError as error:
        raise MechvizError('method="umap" needs the package umap-learn: pip install "mechviz-ir[umap]"; or use "pca"') from error
    return umap


# -- cells -----------------------------------------------------------------------------------------------------------


def _counts(texts: Sequence[Text], points: pd.DataFrame, level: str) -> tuple[sp.csr_array, NDArray[np.str_]]:
    """Return how often each term occurs in each point, and the terms."""
    if level == "token":
        of_points = [[term] if term and term not in STOPWORDS else [] for term in points["term"]]
    else:
        docs = (texts[number] for number in points["text"])
        of_points = [[t for t in terms(doc_of(doc)) if t not in STOPWORDS] for doc in docs]
    names = np.array(sorted({term for own in of_points for term in own}) or [""])
    number = {term: at for at, term in enumerate(names.tolist())}
    columns = [number[term] for own in of_points for term in own]
    rows = np.repeat(np.arange(len(of_points)), list(map(len, of_points)))
    shape = (len(of_points), len(names))
    return sp.csr_array((np.ones(len(columns)), (rows, columns)), shape=shape), names


def cells_of(plane: NDArray[np.floating], size: int) -> NDArray[np.int64]:
    """Return row and column of the cell of each point, dims (point, 2), counted from the lower left corner."""
    low, high = plane.min(axis=0), plane.max(axis=0)
    span = np.where(high > low, high - low, 1)
    columns: NDArray[np.int64] = np.minimum(((plane - low) / span * size).astype(np.int64), size - 1)
    return columns[:, ::-1]


def _cells(
    layer: int, plane: NDArray[np.float32], points: pd.DataFrame, counts: sp.csr_array, names: NDArray[np.str_], size: int
) -> pd.DataFrame:
    """Return what lies in each cell that is not empty."""
    at = cells_of(plane, size)
    used, cell = np.unique(at[:, 0] * size + at[:, 1], return_inverse=True)
    n = len(used)
    inside = sp.csr_array((np.ones(len(cell)), (cell, np.arange(len(cell)))), shape=(n, len(cell)))
    found = sp.csr_array(inside @ counts)
    everywhere = np.asarray(found.sum(axis=0)).ravel()
    weights = np.log1p(everywhere.sum() / n / np.maximum(everywhere, 1))
    grades = points["grade"].to_numpy(dtype=float)
    graded = np.isfinite(grades)
    width = int(grades[graded].max()) + 1 if graded.any() else 0
    mixes = np.zeros((n, width), dtype=np.int64)
    np.add.at(mixes, (cell[graded], grades[graded].astype(np.int64)), 1)
    scores = points["score"].to_numpy(dtype=float)
    known = np.isfinite(scores)
    scored = np.bincount(cell[known], minlength=n)
    means = np.full(n, np.nan)
    np.divide(np.bincount(cell[known], scores[known], minlength=n), scored, out=means, where=scored > 0)
    return pd.DataFrame(
        {
            "layer": layer,
            "row": used // size,
            "column": used % size,
            "n": np.bincount(cell, minlength=n),
            "terms": [_strongest(found, row, weights, names) for row in range(n)],
            "score": means,
            "grades": [tuple(mix.tolist()) for mix in mixes],
        }
    )


def _strongest(found: sp.csr_array, row: int, weights: NDArray[np.float64], names: NDArray[np.str_]) -> str:
    own = slice(found.indptr[row], found.indptr[row + 1])
    columns = found.indices[own]
    order = np.lexsort((names[columns], -found.data[own] * weights[columns]))[:_TERMS]
    return " ".join(names[columns[order]])


# -- what was given --------------------------------------------------------------------------------------------------


def _column(name: str, values: ArrayLike | None, n: int) -> NDArray[np.float64] | None:
    if values is None:
        return None
    found = np.asarray(values, dtype=float)
    if found.shape != (n,):
        raise InputError(f"{name} has shape {found.shape} for {n} texts; give one a text, NaN where there is none")
    if name == "grades":
        known = found[np.isfinite(found)]
        if len(known) < (~np.isnan(found)).sum() or (known < 0).any() or (known % 1 > 0).any():
            raise InputError(f"grades={shown(values)}; grades are whole numbers from 0, NaN where there is none")
    return found
