"""`patch`: a grid of cells, patched one by one, together, or estimated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from mechviz.errors import InputError, InputTypeError, shown
from mechviz.patching.session import Session
from mechviz.patching.settings import METHODS, Settings
from mechviz.rankers.ranker import Ranker
from mechviz.results import PatchResult


def patch(
    ranker: Ranker,
    query: str,
    doc: str,
    perturb: object,
    *,
    method: str = "exact",
    together: Sequence[Any] | None = None,
    **settings: Unpack[Settings],
) -> PatchResult:
    """Patch activations of one text's run into the other's and measure how much of the score change moves.

    Parameters
    ----------
    ranker : Ranker
    query, doc : str
    perturb : callable or str
        ``doc -> doc``, ``(doc, query) -> doc``, the perturbed text itself, or ``mv.perturb.on_query`` of a function.
    method : str, default ``"exact"``
        - ``exact``: one intervention a cell.
        - ``attribution``: its gradient approximation from one backward pass (fast; may be wrong).
        - ``integrated``: the same with the gradient averaged over ``steps`` points on the way from the base text's
          embedding to the source text's.
        - ``hybrid``: attribution, then exact for the ``top_k`` cells of the largest estimates; ``result.exact`` marks them.
    together : sequence of cells, or of such sequences, optional
        Patch these cells in one run: ``[(1, 6), (2, 3)]`` is one joint cell of two heads; a list of such lists is several.
        A cell is its coordinates in the order of the grid's dims.
    grid : str, default ``"heads"``
        Which cells:

        - ``heads`` (layer, head): z of one attention head.
        - ``blocks`` (site, layer, pos): ``resid_pre``, ``attn_out`` or ``mlp_out`` of one layer at one position.
        - ``head_positions`` (site, layer, head, pos): ``z``, or the row of the ``pattern``, of a head at one position.
        - ``head_inputs`` (site, layer, head): the ``q``, ``k`` or ``v`` that one head reads.
        - ``mlps`` (layer): the output of one MLP.
        - ``neurons`` (layer, neuron): one neuron after its non-linearity; there are many: use ``attribution`` or ``hybrid``.

        A ranker without MLPs has no ``mlps``, no ``neurons``, and no ``mlp_out`` among its ``blocks``.
    sites : sequence of str, optional
        Only these sites of a grid that has several.
    layers : sequence of int, optional
        Only cells of these layers; the others are NaN.
    heads : sequence of (layer, head) or ``"top:k"``, optional
        Only these heads, or the k heads whose estimated effect is largest.
    positions : sequence of int and str, or str, optional
        Positions or classes of tokens (``cls``, ``injected``, ``injected_term``, ``query_term``, ``other``, ``sep``,
        ``query``, ``prompt``; see ``result.pair.classes()``). In a grid with positions only their cells; in the others a
        cell is patched there alone.
    direction : ``"perturbed->original"`` (default) or ``"original->perturbed"``
        Source -> base: activations of the source run are patched into the base run.
    source : str or mapping, optional
        What is patched in instead of the other text's activations: ``"zero"``; ``"mean"`` over all positions of ``pairs``;
        ``"resample"``, at each position that of a random one in ``pairs`` (of the same segment); or stored activations by
        full hook name, dims (pos, ...) or without pos. Scores and effects are those of the two texts all the same.
    pairs : sequence of (query, doc), optional
        For ``source="mean"`` and ``"resample"``.
    seed : int, default 0
        For ``source="resample"``.
    steps : int, default 8
        For ``method="integrated"``.
    top_k : int, default 32
        For ``method="hybrid"``.
    metric : str or callable, default ``"effect"``
        ``effect`` = (patched - base) / (source - base); ``raw`` = patched - base; ``robust`` = raw over
        sqrt(1 + (source - base)^2) (Polyakov et al. 2025); ``rank`` among ``docs``; ``mv.metrics.margin(i)`` to one of
        them; or a function of (patched, base, source), or of these and the competitors' scores.
    filler : str or callable, default ``"a"`` (``"the"`` where that is no single token, as under T5's tokenizer)
        What stands where one text has a token and the other none: a word that is one token, ``"[MASK]"``,
        ``"[PAD]"`` (masked out), or a function of the missing token strings that returns as many.
    truncate : bool, default False
        Cut both texts alike where they are too long, instead of raising; competitors are cut at the limit too.
    docs : sequence of str, optional
        Competing documents, for ranks; the document itself, if it is there, is left out.
    stack : str, default that of the changed text
        Which stack: ``encoder``, ``decoder`` or ``cross`` of MonoT5; every other ranker has one that can move.
    memory : float, default 2.0
        GiB above the model that the run may take; larger batches gain nothing on a CPU.

    Returns
    -------
    PatchResult
        ``effects`` and ``patched``, float32, dims of the grid; dims (cell) for ``together``.

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
        raise InputError(f"method={shown(method)}; mechviz has {', '.join(map(repr, METHODS))}")
    sets = None if together is None else _sets(together)
    if sets is not None and method != "exact":
        raise InputError(f"together= patches cells in one run; method={method!r} does not: leave method out")
    session = Session(ranker, query, doc, perturb, gradient=method in ("attribution", "hybrid"), **settings)
    if sets is not None:
        return session.joint_result(sets)
    if method == "attribution":
        return session.result(method, session.attribution())
    if method == "integrated":
        return session.result(method, session.integrated())
    if method == "exact":
        return session.result(method, exact_scores(session))
    preview = session.attribution()
    best = _largest(np.abs(preview - session.pair.base_score), session.settings["top_k"])
    return session.result(method, exact_scores(session, preview.copy(), best), preview, best)


def exact_scores(
    session: Session, patched: NDArray[np.float32] | None = None, cells: NDArray[np.bool_] | None = None
) -> NDArray[np.float32]:
    """Patch the chosen cells, and return the scores, dims as the session's grid; elsewhere ``patched``, NaN by default."""
    if patched is None:
        patched = np.full(tuple(session.shape.values()), np.nan, dtype=np.float32)
    for index, scores in session.exact(cells):
        patched.flat[index] = scores
    return patched


def _largest(values: NDArray[np.float32], count: int) -> NDArray[np.bool_]:
    """Return where the ``count`` largest values are, NaN left out; of equal ones the first."""
    order = np.argsort(np.where(np.isnan(values), np.inf, -values), axis=None, kind="stable")
    found = np.zeros(values.shape, dtype=bool)
    found.flat[order[:count]] = True
    return found & ~np.isnan(values)


def _sets(together: Sequence[Any]) -> list[Sequence[Any]]:
    """Return sets of cells: one, or several."""
    if isinstance(together, (str, bytes)) or not isinstance(together, Sequence) or not len(together):
        raise InputTypeError(f"together must be a list of cells, such as [(1, 6), (2, 3)], not {shown(together)}")
    return list(together) if all(isinstance(one, list) for one in together) else [together]
