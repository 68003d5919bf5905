"""Activations of many texts, batch by batch: what every probe reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mechviz.errors import InputError, InputTypeError, NonFiniteError, shown
from mechviz.rankers.checks import Inputs, check_own_tokens
from mechviz.rankers.hooked import site_of
from mechviz.rankers.ranker import Ranker, check_ranker
from mechviz.rankers.tokenize import tokenize
from mechviz.text.checks import check_text, whole_number
from mechviz.text.tokens import Tokens

#: A text alone, or a query and a document.
Text = str | tuple[str, str]


@dataclass(frozen=True, eq=False)
class Read:
    """What was read of one text.

    Attributes
    ----------
    number : int
        Which of the texts.
    tokens : Tokens
        Of the sequence that ran, special tokens included.
    arrays : dict of str to float32 array
        Hook name -> activation, dims as the hook's without the row: (pos, d_model), (pos, head, d_head),
        (head, query_pos, key_pos), (pos, neuron).
    score : float
        NaN of a text that ran without a query.
    """

    number: int
    tokens: Tokens
    arrays: dict[str, NDArray[np.float32]]
    score: float


def inputs_of(ranker: Ranker, texts: Sequence[Text], truncate: bool = True) -> tuple[str, list[Inputs]]:
    """Tokenise texts for the stack that reads documents.

    A text without a query runs alone: in the document's tower of a ranker that reads query and document apart, and as
    one sequence in one that reads them together (which such a ranker was not trained on).

    Parameters
    ----------
    ranker : Ranker
    texts : sequence of str, or of (query, document)
        All of one kind.
    truncate : bool
        Cut texts that are too long instead of raising.

    Returns
    -------
    str
        The stack.
    list of Inputs

    Raises
    ------
    InputError, InputTypeError
    """
    check_ranker(ranker)
    given = _listed(texts)
    stack = ranker.stack_of("doc")
    if isinstance(given[0], tuple):
        return stack, list(ranker.checked_inputs(given, truncate))  # type: ignore[arg-type]
    if "query" in ranker.stacks:  # the query is never run: its tower is another
        found = [{stack: inputs[stack]} for inputs in ranker.tokenize_all([(text, text) for text in given])]  # type: ignore[misc]
    else:
        found = [{stack: tokens} for tokens in tokenize(ranker.tokenizer, [[[("doc", text)]] for text in given])]  # type: ignore[list-item]
    for one in found:
        check_own_tokens(one, ["doc"])
    return stack, [{stack: ranker.complete(stack, ranker.fit(stack, one[stack], truncate))} for one in found]


def read(
    ranker: Ranker,
    texts: Sequence[Text],
    names: str | Sequence[str],
    batch_size: int = 32,
    truncate: bool = True,
    scores: bool = False,
) -> Iterator[Read]:
    """Run texts and yield what is at some hooks, text by text.

    Texts of like length run together, so they come in another order than given: see `Read.number`.

    Parameters
    ----------
    ranker : Ranker
    texts : sequence of str, or of (query, document)
    names : str or sequence of str
        Sites (``"z"``: that site in every layer) or full hook names of the stack that reads documents; none is allowed.
    batch_size : int
        Texts in one forward pass.
    truncate : bool
        Cut texts that are too long instead of raising.
    scores : bool
        Score pairs too (a pass more where query and document are read apart).

    Yields
    ------
    Read
    """
    stack, inputs = inputs_of(ranker, texts, truncate)
    whole_number("batch_size", batch_size)
    tower, text = ranker.towers[stack], ranker.text_of(stack)
    chosen = tower.names(names) if len(names) else []
    kept: dict[str, Tensor] = {}

    def keep(value: Tensor, hook: Any) -> None:
        kept[hook.name] = value.detach()

    hooks = [(name, keep) for name in chosen]
    scored = scores and isinstance(texts[0], tuple)
    once = len(ranker.stacks) == 1  # then scoring runs the layers that are read
    order = sorted(range(len(inputs)), key=lambda number: len(inputs[number][text]))
    for start in range(0, len(order), batch_size):
        numbers = order[start : start + batch_size]
        batch = [inputs[number] for number in numbers]
        found = np.full(len(batch), np.nan)
        with torch.no_grad():
            if scored and not once:
                found = ranker.score_inputs(batch).cpu().numpy()
            with tower.hooks(hooks):
                if scored and once:
                    found = ranker.score_inputs(batch).cpu().numpy()
                elif chosen:
                    ranker.encode(batch, stack)
        arrays = {name: kept[name].float().cpu().numpy() for name in chosen if name in kept}
        for row, number in enumerate(numbers):
            tokens = batch[row][text]
            own = {name: _unpadded(name, array[row], len(tokens)) for name, array in arrays.items()}
            for name, array in own.items():
                if not np.isfinite(array).all() and not name.endswith("hook_attn_scores"):
                    raise NonFiniteError(f"NaN or inf at {name}, text {number}; check the weights and the dtype")
            yield Read(number, tokens, own, float(found[row]))


def position_means(
    ranker: Ranker, texts: Sequence[Text], hooks: Sequence[str], batch_size: int = 32
) -> dict[str, NDArray[np.float64]]:
    """Return what is at each hook on average over all positions of all texts, dims as the hook's without the position."""
    sums: dict[str, NDArray[np.float64]] = {}
    count = 0
    for one in read(ranker, texts, hooks, batch_size):
        count += len(one.tokens)
        for hook in hooks:
            sums[hook] = sums.get(hook, np.zeros(1)) + one.arrays[hook].sum(axis=0, dtype=np.float64)
    return {hook: total / count for hook, total in sums.items()}


def doc_of(text: Text) -> str:
    """Return the document of a text or pair."""
    return text[1] if isinstance(text, tuple) else text


def _listed(texts: object) -> list[Text]:
    if isinstance(texts, str) or not isinstance(texts, Sequence):
        raise InputTypeError(f"texts must be a list of strings, or of (query, document), not {shown(texts)}")
    if not texts:
        raise InputError("texts is empty; give at least one")
    pairs = [isinstance(text, tuple) for text in texts]
    if any(pairs) and not all(pairs):
        raise InputError("texts holds strings and pairs; give one kind: strings, or (query, document) of each")
    for number, text in enumerate(texts):
        if isinstance(text, tuple):
            if len(text) != 2:
                raise InputError(f"texts[{number}] has {len(text)} parts; a pair is (query, document)")
            check_text(f"the query of texts[{number}]", text[0])
            check_text(f"the document of texts[{number}]", text[1])
        else:
            check_text(f"texts[{number}]", text)
    return list(texts)


def _unpadded(name: str, array: NDArray[np.float32], length: int) -> NDArray[np.float32]:
    """Return one text's part, dims without the row: a pattern, dims (head, query_pos, key_pos), is cut at both positions."""
    return array[:, :length, :length] if site_of(name) in ("pattern", "attn_scores") else array[:length]
