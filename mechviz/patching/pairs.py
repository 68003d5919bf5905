"""Making a pair: two texts become two runs of one length in which every position means the same place."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import torch
from numpy.typing import NDArray

from mechviz.errors import InputError, shown
from mechviz.patching.runs import Run, record
from mechviz.rankers.ranker import Ranker, check_own_tokens, check_ranker, rows_within, too_long
from mechviz.results import DIRECTIONS, Direction, Pair
from mechviz.text import Alignment, FillerLike, Tokens, align, bind_filler
from mechviz.text.checks import check_text
from mechviz.text.fillers import Filler
from mechviz.text.perturb import as_perturbation
from mechviz.text.tokens import spread


def make_pair(
    ranker: Ranker,
    query: str,
    doc: str,
    perturb: object,
    direction: Direction = "perturbed->original",
    filler: FillerLike = "a",
    truncate: bool = False,
) -> Pair:
    """Perturb a text, align it with the original and score both.

    Parameters
    ----------
    ranker : Ranker
    query, doc : str
    perturb : callable or str
        ``doc -> doc``, ``(doc, query) -> doc``, the perturbed text itself, or `perturb.on_query` of a function.
    direction : ``"perturbed->original"`` or ``"original->perturbed"``
        From which run activations are taken, and into which they are patched.
    filler : str or callable
        What stands in a gap: a word that is one token, ``"[MASK]"``, ``"[PAD]"`` (masked out), or a function.
    truncate : bool
        Cut both texts alike where they are too long, instead of raising.

    Returns
    -------
    Pair

    Raises
    ------
    InputError, InputTypeError
        Texts or settings that cannot be used; texts whose token ids are equal.
    PerturbError
        The perturbation raised.
    NonFiniteError
        NaN or inf in the activations.
    """
    return record_pair(check_ranker(ranker), query, doc, perturb, direction, filler, truncate, gradient=False)[0]


def record_pair(
    ranker: Ranker,
    query: str,
    doc: str,
    perturb: object,
    direction: Direction,
    filler: FillerLike,
    truncate: bool,
    gradient: bool,
) -> tuple[Pair, Run, Run]:
    """Make a pair and keep its base run (with gradient if asked for) and its source run."""
    if direction not in DIRECTIONS:
        raise InputError(f"direction={shown(direction)}; it is one of {', '.join(map(repr, DIRECTIONS))}")
    ranker.encoder.refuse_open_hooks()
    ranker.encoder.refuse_hooks_around_layers()
    query, doc = check_text("query", query), check_text("doc", doc)
    perturbation = as_perturbation(perturb)
    bound = bind_filler(filler, ranker.tokenizer)
    changed = perturbation.apply(query, doc)
    stack = ranker.stack_of(perturbation.side)
    original = ranker.tokenize(query, doc)
    perturbed = ranker.tokenize(query, changed) if perturbation.side == "doc" else ranker.tokenize(changed, doc)
    for inputs in (original, perturbed):
        check_own_tokens(inputs)
    if np.array_equal(original[stack].ids, perturbed[stack].ids):
        raise InputError(
            f"original and perturbed {perturbation.side} differ as texts but have the same token ids under this tokenizer "
            "(it drops the difference: case, accents or spaces), so nothing can be patched"
        )
    texts, alignment, cut = _aligned(original[stack], perturbed[stack], perturbation.side, bound, ranker.max_length, truncate)
    unchanged = {name: ranker.fit(tokens, truncate) for name, tokens in original.items() if name != stack}
    for name, tokens in unchanged.items():
        if len(tokens) < len(original[name]):
            cut = f"the {name} was cut from {len(original[name])} to {len(tokens)} tokens"
    base_name = direction.rpartition(">")[2]
    readout = ranker.readout(stack, unchanged)
    runs = {
        name: record(ranker, {**unchanged, stack: tokens}, stack, readout, gradient and name == base_name)
        for name, tokens in texts.items()
    }
    base, source = runs[base_name], runs[direction.partition("-")[0]]
    scores = {name: _score_without_fillers(ranker, run) for name, run in runs.items()}
    pair = Pair(
        query=query,
        doc=doc,
        changed=changed,
        side=perturbation.side,
        perturbation=perturbation.name,
        direction=direction,
        stack=stack,
        base=base.tokens,
        source=source.tokens,
        alignment=alignment,
        filler=bound.name,
        original_score=scores["original"],
        perturbed_score=scores["perturbed"],
        base_score=base.score,
        source_score=source.score,
        truncated=cut,
    )
    return pair, base, source


def _aligned(
    original: Tokens, perturbed: Tokens, side: str, filler: Filler, limit: int, truncate: bool
) -> tuple[dict[str, Tokens], Alignment, str]:
    """Return both texts over the rows of their alignment, the alignment, and what was cut, in words."""
    alignment = align(original.ids, perturbed.ids, original.word_starts(), perturbed.word_starts())
    texts = {
        "original": _fill(original, alignment.original, perturbed, alignment.perturbed, filler),
        "perturbed": _fill(perturbed, alignment.perturbed, original, alignment.original, filler),
    }
    length = len(alignment)
    if length <= limit:
        return texts, alignment, ""
    if not truncate:
        raise too_long(f"aligned, original ({len(original)}) and perturbed text ({len(perturbed)}) have", length, limit)
    rows = rows_within(texts["original"], limit)
    alignment = alignment.keep(rows)
    texts = {name: tokens.pick(rows) for name, tokens in texts.items()}
    for name, tokens in texts.items():
        if tokens.fillers[tokens.positions(side)].all():
            raise InputError(f"cut to {limit} tokens, nothing of the {name} {side} is left; shorten what the perturbation adds")
    if not len(alignment.changed()):
        raise InputError(
            f"cut to {limit} tokens, original and perturbed text are equal: the change lies in the part that was cut; "
            "shorten the document or change its beginning"
        )
    cut = f"the texts were cut from {length} to {limit} aligned tokens, both at the same place"
    return texts, alignment, cut


def _fill(tokens: Tokens, index: NDArray[np.int64], other: Tokens, other_index: NDArray[np.int64], filler: Filler) -> Tokens:
    """Spread a text over the rows of the alignment, each gap filled by the policy."""
    ids: list[int] = []
    strings: list[str] = []
    for is_gap, rows in groupby(range(len(index)), key=lambda row: bool(index[row] < 0)):
        if is_gap:
            more_ids, more_strings = filler.fill(tuple(other.strings[other_index[row]] for row in rows))
            ids += more_ids
            strings += more_strings
    return spread(tokens, index, ids, strings, filler.masked)


def _score_without_fillers(ranker: Ranker, run: Run) -> float:
    """Return the score of the user's own text."""
    if not run.tokens.fillers.any():
        return run.score
    own = run.tokens.pick(np.flatnonzero(~run.tokens.fillers))
    with torch.no_grad():
        return float(run.readout(*ranker.encode([own]))[0])
