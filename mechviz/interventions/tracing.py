"""Causal tracing: noise hides some words, and one activation after another is put back as it was without the noise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from mechviz.errors import InputError, shown
from mechviz.interventions.batches import Batch, Compiled
from mechviz.interventions.intervention import Intervention
from mechviz.interventions.laid import Laid
from mechviz.interventions.ops import Noise
from mechviz.interventions.positions import QUERY_TERMS
from mechviz.patching.engine import exact_scores
from mechviz.patching.pairs import pair_settings
from mechviz.patching.runs import Run, record
from mechviz.patching.session import Session
from mechviz.patching.settings import complete
from mechviz.rankers.ranker import Ranker, check_ranker
from mechviz.results import Direction, Pair, PatchResult
from mechviz.text import Alignment, Tokens

if TYPE_CHECKING:
    from mechviz.views import PatchingView

_DIRECTION: Direction = "original->perturbed"


@dataclass(frozen=True, eq=False)
class Trace:
    """What putting activations back does to the score of a text whose words were hidden by noise.

    Attributes
    ----------
    result : PatchResult
        Its base run is the text under noise and its source run the same text without: an effect of 1 is the whole score back.
        Scores are means over the samples.
    hidden : tuple of int
        The positions under noise.
    spread : float
        Standard deviation of the noised score over the samples; NaN with one.
    """

    result: PatchResult
    hidden: tuple[int, ...]
    spread: float

    def show(self, theme: str = "auto") -> PatchingView:
        """Return the effects by layer and position as a view."""
        from mechviz.views import PatchingView

        return PatchingView(self.result, theme=theme)

    def __repr__(self) -> str:
        pair = self.result.pair
        words = " ".join(pair.source.labels[at] for at in self.hidden)
        return (
            f"Trace({pair.perturbation} at {shown(words)}: score {pair.source_score:.4g} -> {pair.base_score:.4g}, "
            f"{self.result.grid}, {self.result.effects.size} cells)"
        )


def trace(
    ranker: Ranker,
    query: str,
    doc: str,
    hide: Any = QUERY_TERMS,
    deviations: float = 3.0,
    samples: int = 5,
    seed: int = 0,
    grid: str = "blocks",
    stack: str | None = None,
    **settings: Any,
) -> Trace:
    """Hide words by noise on what enters the first layer, and put activations back cell by cell.

    Parameters
    ----------
    ranker : Ranker
    query, doc : str
    hide : optional
        Where the noise is: as ``positions`` of an `Intervention`; by default at the document's words that the query has.
    deviations : float, default 3
        Of the noise, in standard deviations of what enters the first layer over the text.
    samples : int, default 5
        Draws of the noise that scores are averaged over.
    seed : int
    grid : str, default ``"blocks"``
        What is put back: as in `mechviz.patch`.
    stack : str, optional
        Whose activations are put back; that of the document by default. The noise is in the text that it reads.
    **settings
        ``sites``, ``layers``, ``heads``, ``positions``, ``metric`` and ``memory`` of `mechviz.patch`.

    Returns
    -------
    Trace

    Raises
    ------
    InputError
        No such word, or settings that cannot be.

    Notes
    -----
    Meng, Bau, Andonian and Belinkov, "Locating and editing factual associations in GPT", NeurIPS 2022 (ROME), average ten draws
    of noise of three standard deviations.
    """
    check_ranker(ranker)
    if isinstance(samples, bool) or not isinstance(samples, int) or samples < 1:
        raise InputError(f"samples={shown(samples)}; give a whole number, at least 1")
    ranker.refuse_open_hooks()
    ranker.refuse_hooks_around_layers()
    stack = ranker.stack_of("doc") if stack is None else stack
    ranker.check_stack(stack)
    text = ranker.text_of(stack)
    inputs = ranker.checked_inputs([(query, doc)])[0]
    chosen = complete({**settings, "grid": grid, "direction": _DIRECTION, "stack": stack})  # type: ignore[typeddict-item]
    kept = pair_settings(chosen).sites
    readout = ranker.readout(stack, {name: tokens for name, tokens in inputs.items() if name != text})
    clean = record(ranker, inputs, stack, readout, kept)
    noised, patched, hidden = [], [], np.array([], dtype=np.int64)
    session = None
    for number in range(samples):
        hook = ranker.towers[stack].main.hook(0, "resid_pre")
        noise = Intervention(hook, Noise(deviations, seed + number), positions=hide)
        laid = Laid(0, query, doc, query, text, inputs, [])
        batch = Batch(Compiled(ranker, stack, (noise,), [None]), [laid])
        hidden = noise.positions.of(0, laid.tokens(), laid.classes(), query)
        if not len(hidden):
            raise InputError(f"hide={shown(hide)}: the text has no such word, so there is nothing to hide; choose others")
        with ranker.towers[stack].lock, torch.no_grad(), ranker.towers[stack].hooks(list(batch.hooks(0, -1, None))):
            base = record(ranker, inputs, stack, readout, kept)
        pair = _pair(ranker, query, doc, clean, base, hidden, f"noise of {deviations:g} standard deviations")
        recorded = (pair, base, clean)
        session = Session(ranker, query, doc, "", gradient=False, recorded=recorded, **chosen)
        patched.append(exact_scores(session))
        noised.append(base.score)
    assert session is not None
    session.pair = replace(session.pair, base_score=float(np.mean(noised)), perturbed_score=float(np.mean(noised)))
    result = session.result("exact", np.mean(patched, axis=0))
    provenance = {**result.provenance, "noise": f"{deviations:g} standard deviations, {samples} samples, seed {seed}"}
    spread = float(np.std(noised, ddof=1)) if samples > 1 else float("nan")
    return Trace(replace(result, joint=None, provenance=provenance), tuple(map(int, hidden)), spread)


def _pair(ranker: Ranker, query: str, doc: str, clean: Run, base: Run, hidden: NDArray[np.int64], said: str) -> Pair:
    tokens: Tokens = clean.tokens
    everywhere = np.arange(len(tokens))
    under = set(hidden.tolist())
    kinds = tuple("replace" if at in under else "equal" for at in everywhere.tolist())
    return Pair(
        query=query,
        doc=doc,
        changed=doc,
        side="doc",
        perturbation=said,
        direction=_DIRECTION,
        stack=ranker.text_of(clean.stack),
        base=tokens,
        source=tokens,
        alignment=Alignment(everywhere, everywhere, kinds),
        filler="none",
        original_score=clean.score,
        perturbed_score=base.score,
        base_score=base.score,
        source_score=clean.score,
    )
