"""Integrated gradients on the word embeddings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mechviz.errors import InputError, shown
from mechviz.probes.words.masking import DELETE, MASK, Floats
from mechviz.probes.words.result import WordExplanation, explanation
from mechviz.probes.words.scoring import Copies, Game, filler_id, game_of
from mechviz.rankers.ranker import Ranker
from mechviz.text.fillers import DEFAULTS

#: A sum that misses the change of the target by more than this share of it gets a warning.
WIDE_GAP = 0.05


def integrated_gradients(
    ranker: Ranker,
    query: str,
    doc: str,
    target: Any = "score",
    baseline: str | None = None,
    steps: int = 32,
    unit: str = "word",
    side: str = "doc",
    **options: Any,
) -> WordExplanation:
    """Integrate the target's gradient along the straight way from a text of fillers to the text.

    The way is one of word embeddings, before positions are added; special tokens, punctuation and the other text stay. Each
    of ``steps`` equal parts is taken in its middle. Values of tokens are summed to words.

    Parameters
    ----------
    ranker : Ranker
    query, doc : str
    target : ``"score"`` or a `margin_to`
        Others have no gradient.
    baseline : str or None
        The token whose embedding every token of a word starts from: ``"[MASK]"``, ``"[PAD]"`` (attention still sees it) or a
        word of one token such as ``"a"``. None for ``"[MASK]"``, or ``"a"`` or ``"the"`` where there is none.
    steps : int
    unit, side, **options
        See `occlusion`.

    Returns
    -------
    WordExplanation
        ``gap`` is what the sum of the values misses of full - base; a warning is set where it is more than 5% of that.

    Raises
    ------
    InputError, InputTypeError

    Notes
    -----
    Sundararajan, Taly and Yan, "Axiomatic attribution for deep networks", ICML 2017.
    """
    _check_steps(steps)
    game = game_of(ranker, query, doc, target, None if baseline == DELETE else baseline, unit, side, **options)
    return integrated(game, baseline, steps)


def integrated(game: Game, baseline: str | None = None, steps: int = 32) -> WordExplanation:
    """Explain by integrated gradients what is in hand."""
    target, own = game.target, game.own
    if not target.smooth or target.function is not None:
        raise InputError(f"the target {target.name} has no gradient; explain 'score' or margin_to(doc), or use another method")
    word = _baseline(own, baseline)
    parts = [(1.0, own)]
    if own.side == "query":  # beside a changed document the other's score is a constant
        parts += [(-1.0, Copies(own.ranker, own.texts["query"], other, own.side, own.units, own.masker, own.batch_size))
                  for other in target.others]  # fmt: skip
    values = np.zeros(game.n)
    base = full = 0.0
    for sign, copies in parts:
        found, start, end = _integrated(copies, word, steps)
        values += sign * found
        base, full = base + sign * start, full + sign * end
    gap = float(values.sum() - (full - base))
    wide = abs(gap) > WIDE_GAP * abs(full - base)
    warning = f"The values miss the change from the baseline, {full - base:.3g}, by {gap:.2g}; give more steps than {steps}."
    settings = {"baseline": word, "steps": steps}
    return explanation(
        game,
        "integrated gradients",
        values,
        settings=settings,
        base=game.ends[1] - (full - base),
        gap=gap,
        warning=warning if wide else "",
    )


def path_integral(gradient: Callable[[Tensor], Tensor], start: Tensor, end: Tensor, steps: int, rows: int = 32) -> Tensor:
    """Return integrated gradients, dims as of ``end``, along the straight way from ``start``.

    Parameters
    ----------
    gradient : callable
        Takes points, dims (row, ...), and returns the function's gradient at each.
    start, end : Tensor
    steps : int
        Equal parts of the way; each is taken in its middle.
    rows : int
        Points in one call.
    """
    total = torch.zeros_like(end)
    at = (torch.arange(steps, device=end.device, dtype=end.dtype) + 0.5) / steps
    for first in range(0, steps, rows):
        some = at[first : first + rows]
        points = start + some.reshape(-1, *[1] * end.dim()) * (end - start)
        total += gradient(points).sum(dim=0)
    return total / steps * (end - start)


def _integrated(copies: Copies, word: str, steps: int) -> tuple[Floats, float, float]:
    """Return a score's values, dims (unit), and the score at both ends."""
    ranker, stack, inputs = copies.ranker, copies.stack, copies.whole
    tokens = inputs[ranker.text_of(stack)]
    tower = ranker.towers[stack]
    runner: Any = tower.main.runner
    table = runner.get_input_embeddings()
    owner = torch.as_tensor(copies.owner.copy(), device=tower.device)
    with torch.no_grad():
        readout = ranker.readout(stack, inputs)
        ids = torch.as_tensor(tokens.ids.copy(), device=tower.device)
        away = torch.where(owner >= 0, filler_id(ranker, copies.side, word), ids)
        end, start = table(ids), table(away)

    def run(points: Tensor) -> Tensor:
        def put(module: Any, args: tuple[Any, ...], output: Tensor) -> Tensor:
            # T5's decoder reads the same table for its own first token
            return points.to(output.dtype) if output.shape == points.shape else output

        handle = table.register_forward_hook(put)
        try:
            return readout(*ranker.encode([inputs] * len(points), stack))
        finally:
            handle.remove()

    def gradient(points: Tensor) -> Tensor:
        with torch.enable_grad():
            points = points.detach().requires_grad_()
            return torch.autograd.grad(run(points).sum(), points)[0]

    with tower.lock:
        found = path_integral(gradient, start.float(), end.float(), steps, copies.batch_size).sum(dim=-1)
        with torch.no_grad():
            ends = run(torch.stack([start, end])).double().cpu().numpy()
    values = np.zeros(len(copies.units))
    own = copies.owner >= 0
    np.add.at(values, copies.owner[own], found.double().cpu().numpy()[own])
    return values, float(ends[0]), float(ends[1])


def _baseline(own: Copies, given: str | None) -> str:
    tokenizer = own.ranker.query_tokenizer if own.side == "query" else own.ranker.tokenizer
    if given is None:
        choices = [MASK] if tokenizer.mask_token_id is not None else list(DEFAULTS)
        for word in choices:
            try:
                filler_id(own.ranker, own.side, word)
            except InputError:
                continue
            return word
        raise InputError(f"none of {', '.join(choices)} is one token of this tokenizer; give baseline= a word that is")
    if given == DELETE:
        raise InputError("baseline='delete' has no embedding; give '[MASK]', '[PAD]' or a word of one token")
    filler_id(own.ranker, own.side, given)
    return given


def _check_steps(steps: object) -> None:
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise InputError(f"steps={shown(steps)}; give a whole number, at least 1")
