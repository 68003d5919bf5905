"""Patching a pair: the session that holds its two runs, and `patch`, which takes it to the end."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import cache, cached_property
from importlib.metadata import version
from typing import TypedDict, Unpack

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

import mechviz
from mechviz.errors import InputError, InputTypeError, NonFiniteError
from mechviz.patching.attribution import attribute_heads
from mechviz.patching.cells import check_grid, rows_per_batch
from mechviz.patching.edits import Edit, run_cells
from mechviz.patching.metrics import Metric, find_metric, measure
from mechviz.patching.pairs import PairSettings, record_pair
from mechviz.rankers.checks import check_docs
from mechviz.rankers.ranker import Ranker, check_ranker
from mechviz.results import DIRECTIONS, Direction, PatchResult
from mechviz.text import FillerLike

METHODS = ("exact", "attribution")


class Settings(TypedDict, total=False):
    """What `patch` and `mechviz.show_patching` take beside the texts; each may be left out.

    Attributes
    ----------
    grid : str, default ``"heads"``
        Which cells: ``heads`` patches z of one attention head at all positions.
    direction : ``"perturbed->original"`` (default) or ``"original->perturbed"``
        Source -> base: activations of the source run are patched into the base run.
    metric : ``"effect"`` (default), ``"raw"``, ``"robust"`` or a function of (patched, base, source)
    filler : str or callable, default ``"a"`` (``"the"`` where that is no single token, as under T5's tokenizer)
        What stands where one text has a token and the other none: a word that is one token, ``"[MASK]"``, ``"[PAD]"``
        (masked out), or a function of the missing token strings.
    truncate : bool, default False
        Cut both texts alike where they are too long, instead of raising.
    docs : sequence of str
        Competing documents, for ranks; the document itself, if it is there, is left out.
    stack : str, default that of the changed text
        Whose heads: ``encoder``, ``decoder`` or ``cross`` of MonoT5; every other ranker has one that can move.
    """

    grid: str
    direction: Direction
    metric: str | Metric
    filler: FillerLike | None
    truncate: bool
    docs: Sequence[str] | None
    stack: str | None


_DEFAULTS = Settings(grid="heads", direction=DIRECTIONS[0], metric="effect", filler=None, truncate=False, docs=None, stack=None)


class Session:
    """One pair on one ranker, with its base and source run at hand; the parts of `patch`, step by step.

    Parameters
    ----------
    ranker, query, doc, perturb, **settings
        As in `patch`.
    gradient : bool
        Whether `attribution` will be asked for.

    Attributes
    ----------
    pair : Pair
    shape : dict of str to int
        Named sizes of the grid.
    """

    def __init__(
        self, ranker: Ranker, query: str, doc: str, perturb: object, gradient: bool = True, **settings: Unpack[Settings]
    ) -> None:
        unknown = sorted(set(settings) - set(_DEFAULTS))
        if unknown:
            raise InputTypeError(f"unknown settings {', '.join(unknown)}; mechviz has {', '.join(_DEFAULTS)}")
        chosen: Settings = {**_DEFAULTS, **settings}
        self.ranker = check_ranker(ranker)
        self.grid = chosen["grid"]
        check_grid(self.grid)
        self.metric = chosen["metric"]
        find_metric(self.metric)
        how = PairSettings(chosen["direction"], chosen["filler"], chosen["truncate"], chosen["stack"])
        self.pair, self.base, self.source = record_pair(ranker, query, doc, perturb, how, gradient)
        self.stack = ranker.stack(self.base.stack)
        self.shape = {"layer": self.stack.n_layers, "head": self.stack.n_heads}
        self.competitors = self._score_competitors(check_docs(chosen["docs"]), chosen["truncate"])

    def _score_competitors(self, docs: list[str], truncate: bool) -> NDArray[np.float32]:
        pair = self.pair
        docs = [doc for doc in docs if doc not in (pair.doc, pair.changed)]  # nobody competes with itself
        if not docs:
            return np.empty((2, 0), dtype=np.float32)
        original = self.ranker.score(pair.query, docs, truncate=truncate)
        changed = self.ranker.score(pair.changed, docs, truncate=truncate) if pair.side == "query" else original
        return np.stack([original, changed])

    def attribution(self) -> NDArray[np.float32]:
        """Return the gradient estimate of every cell's patched score, dims (layer, head)."""
        estimate = attribute_heads(self.base, self.source)
        if not np.isfinite(estimate).all():
            raise NonFiniteError("NaN or inf in the gradients of the score; check the weights and the dtype")
        return estimate

    def exact(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Patch every cell, the top layers first.

        Yields
        ------
        tuple
            Cells by their flat index (row-major in `shape`), and their scores, dims (cell).

        Raises
        ------
        NonFiniteError
            A patched score is NaN or inf.
        """
        heads = self.shape["head"]
        cells = [
            [Edit(self.stack.hook(layer, "z"), z[0], heads=(head,))]
            for layer, z in enumerate(self.source.z)
            for head in range(heads)
        ]
        cpu = self.base.hidden.device.type == "cpu"
        rows = rows_per_batch(self.base.hidden.shape[1], self.stack.d_model, self.stack.d_mlp, cpu)
        for chosen, scores in run_cells(self.ranker, self.base, cells, rows):
            bad = np.flatnonzero(~np.isfinite(scores))
            if len(bad):
                layer, head = divmod(chosen[int(bad[0])], heads)
                raise NonFiniteError(f"patching z of head {head} in layer {layer} gave the score {scores[bad[0]]}")
            yield np.array(chosen), scores

    def pattern(self, layer: int) -> NDArray[np.float32]:
        """Return the attention of one layer in both runs, dims (run, head, query_pos, key_pos); run 0 is the base."""
        if not 0 <= layer < self.shape["layer"]:
            raise InputError(f"layer {layer} does not exist; there are 0 to {self.shape['layer'] - 1}")
        kept: list[torch.Tensor] = []
        tower, stack, name = self.ranker.towers[self.base.stack], self.base.stack, self.stack.hook(layer, "pattern")
        with torch.no_grad(), tower.hooks([(name, lambda pattern, hook: kept.append(pattern))]), self.ranker.running(stack):
            for run in (self.base, self.source):
                args, kwargs = run.calls[layer]
                self.stack.layers[layer](run.resid_pre[layer], *args, **kwargs)
        return torch.cat(kept).float().cpu().numpy()

    def result(self, method: str, patched: NDArray[np.float32], attribution: NDArray[np.float32] | None = None) -> PatchResult:
        """Return a result for patched scores, dims as `shape`, NaN where not computed."""
        return PatchResult(
            pair=self.pair,
            grid=self.grid,
            stack=self.base.stack,
            method=method,
            metric=find_metric(self.metric)[0],
            effects=self._named(measure(self.pair, self.metric, patched)),
            patched=self._named(patched),
            attribution=None if attribution is None else self._named(attribution),
            competitors=self.competitors,
            provenance={**self._provenance, "method": method},
        )

    def _named(self, values: NDArray[np.float32]) -> xr.DataArray:
        return xr.DataArray(values, dims=tuple(self.shape), coords={name: np.arange(size) for name, size in self.shape.items()})

    @cached_property
    def _provenance(self) -> dict[str, str]:
        pair = self.pair
        texts = "\x00".join((pair.query, pair.doc, pair.changed))
        return {
            "ranker": self.ranker.name,
            "ranker_kind": self.ranker.kind,
            "ranker_repr": repr(self.ranker),
            "weights_sha256": self.ranker.weight_hash(),
            "texts_sha256": hashlib.sha256(texts.encode()).hexdigest()[:16],
            "grid": self.grid,
            "stack": self.base.stack,
            "metric": find_metric(self.metric)[0],
            "direction": pair.direction,
            "filler": pair.filler,
            "dtype": str(self.ranker.model.dtype).removeprefix("torch."),
            "device": str(self.ranker.model.device),
            "mechviz": mechviz.__version__,
            **_versions(),
        }


@cache
def _versions() -> dict[str, str]:
    return {name: version(name) for name in ("torch", "transformers", "transformer-lens", "numpy", "xarray")}


def patch(
    ranker: Ranker, query: str, doc: str, perturb: object, *, method: str = "exact", **settings: Unpack[Settings]
) -> PatchResult:
    """Patch activations of one text's run into the other's and measure how much of the score change moves.

    Parameters
    ----------
    ranker : Ranker
    query, doc : str
    perturb : callable or str
        ``doc -> doc``, ``(doc, query) -> doc``, the perturbed text itself, or ``mv.perturb.on_query`` of a function.
    method : ``"exact"`` or ``"attribution"``
        One intervention a cell, or its gradient approximation from one backward pass (fast; may be wrong).
    grid : str, default ``"heads"``
        Which cells: ``heads`` patches z of one attention head at all positions.
    direction : ``"perturbed->original"`` (default) or ``"original->perturbed"``
        Source -> base: activations of the source run are patched into the base run.
    metric : str or callable, default ``"effect"``
        ``effect`` = (patched - base) / (source - base); ``raw`` = patched - base; ``robust`` = raw over
        sqrt(1 + (source - base)^2) (Polyakov et al. 2025); or a function of (patched, base, source).
    filler : str or callable, default ``"a"`` (``"the"`` where that is no single token, as under T5's tokenizer)
        What stands where one text has a token and the other none: a word that is one token, ``"[MASK]"``,
        ``"[PAD]"`` (masked out), or a function of the missing token strings that returns as many.
    truncate : bool, default False
        Cut both texts alike where they are too long, instead of raising; competitors are cut at the limit too.
    docs : sequence of str, optional
        Competing documents, for ranks; the document itself, if it is there, is left out.
    stack : str, default that of the changed text
        Whose heads: ``encoder``, ``decoder`` or ``cross`` of MonoT5; every other ranker has one that can move.

    Returns
    -------
    PatchResult
        ``effects`` and ``patched``, float32, dims (layer, head).

    Raises
    ------
    MechvizError
        Input that cannot be used, a perturbation that raises, NaN or inf in the activations.

    Notes
    -----
    effect = (patched - base) / (source - base), as in Chen, Merullo and Eickhoff, "Axiomatic causal interventions
    for reverse engineering relevance computation in neural retrieval models", SIGIR 2024.
    """
    if method not in METHODS:
        raise InputError(f"method={method!r}; mechviz has {', '.join(map(repr, METHODS))}")
    session = Session(ranker, query, doc, perturb, gradient=method == "attribution", **settings)
    if method == "attribution":
        return session.result(method, session.attribution())
    patched = np.full(tuple(session.shape.values()), np.nan, dtype=np.float32)
    for cells, scores in session.exact():
        patched.flat[cells] = scores
    return session.result(method, patched)
