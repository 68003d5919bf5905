"""Making a pair: two texts become two runs of one length in which every position means the same place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
from numpy.typing import NDArray

from mechviz.errors import InputError, shown
from mechviz.patching.attribution import carriers
from mechviz.patching.cells import find_grid, top_of
from mechviz.patching.runs import Run, record
from mechviz.patching.settings import Settings
from mechviz.rankers.checks import Inputs, check_own_tokens, rows_within, too_long
from mechviz.rankers.ranker import Ranker, check_ranker
from mechviz.results import DIRECTIONS, Direction, Pair
from mechviz.text import Alignment, FillerLike, Tokens, align, bind_filler
from mechviz.text.checks import check_text
from mechviz.text.fillers import Filler
from mechviz.text.perturb import as_perturbation
from mechviz.text.tokens import spread


@dataclass(frozen=True)
class PairSettings:
    """How two texts become two runs (see `make_pair`), and what of them is kept.

    ``stack`` is the one to record, that of the changed text by default; ``sites`` are kept in both runs, and ``gradient``
    are those where the base run's gradient is wanted; both are said for the stack that was chosen.
    """

    direction: Direction = DIRECTIONS[0]
    filler: FillerLike | None = None
    truncate: bool = False
    stack: str | None = None
    sites: Sequence[str] = ()
    gradient: Sequence[str] = ()


def pair_settings(chosen: Settings, gradient: bool = False, keep: Sequence[str] = (), more: Sequence[str] = ()) -> PairSettings:
    """Return what is kept of a pair's runs for a session with these settings; parameters as of `Session`."""
    top = top_of(chosen["heads"])
    grids = [find_grid(chosen["grid"], chosen["sites"]), *(find_grid(name, None) for name in more)]
    patched_at = [*(site for grid in grids if gradient for site in carriers(grid)), *(["z"] if top else [])]
    sites = [*(site for grid in grids for site in grid.sites), *keep]
    return PairSettings(
        chosen["direction"], chosen["filler"], chosen["truncate"], chosen["stack"], sites, tuple(dict.fromkeys(patched_at))
    )


def make_pair(
    ranker: Ranker,
    query: str,
    doc: str,
    perturb: object,
    direction: Direction = DIRECTIONS[0],
    filler: FillerLike | None = None,
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
    filler : str or callable, default ``"a"`` (``"the"`` where that is no single token, as under T5's tokenizer)
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
    settings = PairSettings(direction, filler, truncate)
    return record_pair(check_ranker(ranker), query, doc, perturb, settings)[0]


@dataclass(frozen=True)
class Prepared:
    """Two texts over the rows of their alignment, before any run.

    Attributes
    ----------
    query, doc, changed, side, perturbation : str
        As in `Pair`.
    stack, text : str
        The stack to record, and that of the changed text.
    settings : PairSettings
    filler : Filler
    texts : mapping of ``original`` and ``perturbed`` to Tokens
    unchanged : mapping of stack to Tokens
        What else the ranker reads.
    alignment : Alignment
    cut : str
        What was cut, in words.
    """

    query: str
    doc: str
    changed: str
    side: str
    perturbation: str
    stack: str
    text: str
    settings: PairSettings
    filler: Filler
    texts: Mapping[str, Tokens]
    unchanged: Inputs
    alignment: Alignment
    cut: str

    def inputs(self, name: str) -> dict[str, Tokens]:
        """Return what the ranker reads of the ``base`` or ``source`` run."""
        direction = self.settings.direction
        text = direction.rpartition(">")[2] if name == "base" else direction.partition("-")[0]
        return {**self.unchanged, self.text: self.texts[text]}

    def without_fillers(self, ranker: Ranker, name: str) -> dict[str, Tokens] | None:
        """Return what the ranker reads of the user's own text; None where the run has no filler."""
        inputs = self.inputs(name)
        tokens = inputs[self.text]
        if not tokens.fillers.any():
            return None
        return {**inputs, self.text: ranker.complete(self.text, tokens.pick(np.flatnonzero(~tokens.fillers)))}

    def pair(self, ranker: Ranker, runs: Mapping[str, Run], own_scores: Mapping[str, float]) -> Pair:
        """Return the pair of a ``base`` and a ``source`` run; ``own_scores`` are those of the user's own texts."""
        base, source = runs["base"], runs["source"]
        base_is_original = self.settings.direction == DIRECTIONS[0]
        return Pair(
            query=self.query,
            doc=self.doc,
            changed=self.changed,
            side=self.side,
            perturbation=self.perturbation,
            direction=self.settings.direction,
            stack=self.text,
            base=base.tokens,
            source=source.tokens,
            alignment=self.alignment,
            filler=self.filler.name,
            original_score=own_scores["base" if base_is_original else "source"],
            perturbed_score=own_scores["source" if base_is_original else "base"],
            base_score=base.score,
            source_score=source.score,
            truncated=self.cut,
            reads_equal=bool(np.array_equal(ranker.reads(self.text, base.tokens), ranker.reads(self.text, source.tokens))),
        )


def prepare(ranker: Ranker, query: str, doc: str, perturb: object, settings: PairSettings) -> Prepared:
    """Perturb a text and lay both over the rows of their alignment."""
    direction = settings.direction
    if direction not in DIRECTIONS:
        raise InputError(f"direction={shown(direction)}; it is one of {', '.join(map(repr, DIRECTIONS))}")
    ranker.refuse_open_hooks()
    ranker.refuse_hooks_around_layers()
    query, doc = check_text("query", query), check_text("doc", doc)
    perturbation = as_perturbation(perturb)
    side = perturbation.side
    text = ranker.stack_of(side)
    stack = _stack(ranker, side, settings.stack)
    bound = bind_filler(settings.filler, ranker.query_tokenizer if text == "query" else ranker.tokenizer)
    changed = perturbation.apply(query, doc)
    original, perturbed = ranker.tokenize_all([(query, doc), (query, changed) if side == "doc" else (changed, doc)])
    for inputs in (original, perturbed):
        check_own_tokens(inputs)
    if np.array_equal(original[text].ids, perturbed[text].ids):
        raise InputError(
            f"original and perturbed {side} differ as texts but have the same token ids under this tokenizer "
            "(it drops the difference: case, accents or spaces), so nothing can be patched"
        )
    texts, alignment, cut = _aligned(original[text], perturbed[text], side, bound, ranker.limit(text), settings.truncate)
    texts = {name: ranker.complete(text, tokens) for name, tokens in texts.items()}
    alignment = alignment.extended(len(texts["original"]))
    unchanged = {name: ranker.fit(name, tokens, settings.truncate) for name, tokens in original.items() if name != text}
    for name, tokens in unchanged.items():
        if len(tokens) < len(original[name]):
            cut = f"the {name} was cut from {len(original[name])} to {len(tokens)} tokens"
    unchanged = {name: ranker.complete(name, tokens) for name, tokens in unchanged.items()}
    return Prepared(query, doc, changed, side, perturbation.name, stack, text, settings, bound, texts, unchanged, alignment, cut)


def record_pair(ranker: Ranker, query: str, doc: str, perturb: object, settings: PairSettings) -> tuple[Pair, Run, Run]:
    """Make a pair and keep its base run (with gradient if asked for) and its source run."""
    prepared = prepare(ranker, query, doc, perturb, settings)
    readout = ranker.readout(prepared.stack, prepared.unchanged)
    runs = {}
    for name, gradient in (("base", settings.gradient), ("source", ())):
        runs[name] = record(ranker, prepared.inputs(name), prepared.stack, readout, settings.sites, gradient)
    scores = {name: run.score for name, run in runs.items()}
    for name in scores:
        own = prepared.without_fillers(ranker, name)
        if own is not None:
            with torch.no_grad():
                scores[name] = float(readout(*ranker.encode([own], prepared.stack))[0])
    return prepared.pair(ranker, runs, scores), runs["base"], runs["source"]


def _stack(ranker: Ranker, side: str, chosen: str | None) -> str:
    """Return the stack to patch: one that the changed text runs in."""
    text = ranker.stack_of(side)
    if chosen is None:
        return text
    ranker.check_stack(chosen)
    if ranker.text_of(chosen) != text:
        raise InputError(
            f"stack={chosen!r}: the perturbation changes the {side}, and nothing in the stack {chosen!r} depends on it; "
            f"leave stack out, or give {text!r}"
        )
    return chosen


def _aligned(
    original: Tokens, perturbed: Tokens, side: str, filler: Filler, limit: int, truncate: bool
) -> tuple[dict[str, Tokens], Alignment, str]:
    """Return both texts over the rows of their alignment, the alignment, and what was cut, in words."""
    alignment = align(original.ids, perturbed.ids, original.word_starts(), perturbed.word_starts())
    texts = {
        "original": _fill(original, alignment.original, perturbed, alignment.perturbed, filler, side),
        "perturbed": _fill(perturbed, alignment.perturbed, original, alignment.original, filler, side),
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


def _fill(
    tokens: Tokens,
    index: NDArray[np.int64],
    other: Tokens,
    other_index: NDArray[np.int64],
    filler: Filler,
    side: str,
) -> Tokens:
    """Spread a text over the rows of the alignment, each gap filled by the policy."""
    ids: list[int] = []
    strings: list[str] = []
    for is_gap, rows in groupby(range(len(index)), key=lambda row: bool(index[row] < 0)):
        if is_gap:
            more_ids, more_strings = filler.fill(tuple(other.strings[other_index[row]] for row in rows))
            ids += more_ids
            strings += more_strings
    return spread(tokens, index, ids, strings, filler.masked, side)
