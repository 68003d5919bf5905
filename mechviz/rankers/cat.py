"""Cat: the cross-encoder, which reads query and document in one sequence."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Unpack

import torch
from torch import Tensor
from transformers import PreTrainedModel
from typing_extensions import override

from mechviz.errors import InputError, InputTypeError, UnsupportedModelError, shown
from mechviz.rankers.checks import Inputs
from mechviz.rankers.families import Family, Head
from mechviz.rankers.heads import apply_steps
from mechviz.rankers.opening import Options, open_model
from mechviz.rankers.pooling import POOLINGS
from mechviz.rankers.ranker import Ranker
from mechviz.rankers.readout import Readout
from mechviz.rankers.tokenize import fill_prompt, parse_prompt, tokenize
from mechviz.text.tokens import Tokens

#: Logits, dims (row, label), to scores, dims (row).
ScoreFunction = Callable[[Tensor], Tensor]


class Cat(Ranker):
    """A cross-encoder with a sequence-classification head.

    One label scores its raw logit (no sigmoid), two labels ``logit[1] - logit[0]``.

    Parameters
    ----------
    name : str, PreTrainedModel or CrossEncoder
        A local directory, a hub id, or a model with a classification head (then give ``tokenizer``).
    score : int or callable, optional
        Another score: the number of the label whose raw logit counts, or a function from logits, dims (row, label), to
        scores, dims (row). Needed with three labels or more.
    prompt : str, optional
        How the two texts become one sequence, with the fields ``{query}`` and ``{doc}``:
        ``"query: {query} document: {doc}"``. Default: the tokenizer's own form of a pair of texts.
    **options
        ``tokenizer``, ``max_length``, ``device`` (such as ``"cuda"``), ``dtype`` (``"bfloat16"``, ``"float16"``); see
        `mechviz.rankers.opening.Options`.

    Raises
    ------
    UnsupportedModelError
        A class without a family file, a checkpoint without a classification head, or one with three labels or more
        and no ``score``.
    MechvizError
        Weights or tokenizer are missing or do not fit.
    """

    kind = "Cat"

    def __init__(
        self,
        name: str | PreTrainedModel,
        score: int | ScoreFunction | None = None,
        prompt: str | None = None,
        **options: Unpack[Options],
    ) -> None:
        opened = open_model(name, self.kind, _classes, options)
        super().__init__(opened, None, options)
        self.n_labels = int(self.model.config.num_labels or 0)
        self._score, self._said = _scorer(score, self.n_labels, self.name)
        self.prompt = prompt
        self._pieces = None if prompt is None else parse_prompt(prompt)

    @override
    def tokenize_all(self, pairs: Sequence[tuple[str, str]]) -> list[dict[str, Tokens]]:
        if self._pieces is None:
            rows = [[[("query", query)], [("doc", doc)]] for query, doc in pairs]
        else:
            rows = [[list(fill_prompt(self._pieces, query=query, doc=doc))] for query, doc in pairs]
        return [{self.stacks[0]: tokens} for tokens in tokenize(self.tokenizer, rows)]

    @override
    def readout(self, stack: str, inputs: Inputs) -> Readout:
        return _Classify(self.model, self.hooked.family.heads[type(self.model).__name__], self._score)

    @override
    def describe(self) -> str:
        return f"{'' if self.prompt is None else f', prompt={shown(self.prompt)}'}, score={self._said}"


class _Classify(Readout):
    def __init__(self, model: Any, head: Head, score: ScoreFunction) -> None:
        self.model, self.head, self.score = model, head, score
        self.pooling = head.reads if isinstance(head.reads, str) else head.reads(model.config)
        self.position = 0 if self.pooling == "cls" else None

    def __call__(self, hidden: Tensor, reads: Tensor) -> Tensor:
        pooled = POOLINGS[self.pooling](hidden.float(), reads)
        if self.head.picks:
            pooled = pooled[:, None]
        return self.score(apply_steps(self.model, self.head.steps, pooled))


def _classes(family: Family) -> tuple[str, ...]:
    return tuple(family.heads)


def _scorer(score: object, labels: int, name: str) -> tuple[ScoreFunction, str]:
    """Return the function from logits to scores, and how the repr calls it."""
    if callable(score):
        checked = _Checked(score)
        checked.try_on(labels)
        return checked, getattr(score, "__name__", "custom")
    if score is not None:
        if isinstance(score, bool) or not isinstance(score, numbers.Integral):
            raise InputTypeError(f"score={shown(score)} must be the number of a label or a function of logits")
        label = int(score)
        if not 0 <= label < labels:
            raise InputError(f"score={label}: {name} has the labels 0 to {labels - 1}")
        return partial(_label, label), f"logit[{label}]"
    if labels == 1:
        return partial(_label, 0), "logit"
    if labels == 2:
        return _difference, "logit[1] - logit[0]"
    raise UnsupportedModelError(
        f"{name} has {labels} labels, and which of them means relevance cannot be known; say it: score=2 for the logit of "
        "label 2, or score=lambda logits: logits[:, 2] - logits[:, 0]"
    )


def _label(label: int, logits: Tensor) -> Tensor:
    return logits[:, label]


def _difference(logits: Tensor) -> Tensor:
    return logits[:, 1] - logits[:, 0]


@dataclass(frozen=True)
class _Checked:
    """A function of the caller's from logits, dims (row, label), to scores, dims (row)."""

    function: Callable[..., Any]

    def __call__(self, logits: Tensor) -> Tensor:
        try:
            scores = self.function(logits)
        except Exception as error:
            raise InputError(
                f"score= raised {type(error).__name__}: {error} for logits of shape {tuple(logits.shape)}, dims (row, label)"
            ) from error
        if not isinstance(scores, Tensor) or scores.shape != logits.shape[:1]:
            found = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
            raise InputError(f"score= returned {found} for logits of shape {tuple(logits.shape)}; it must return one score a row")
        return scores.float()

    def try_on(self, labels: int) -> None:
        """Refuse a function that mixes rows, or that no gradient passes.

        Raises
        ------
        InputError
        """
        logits = torch.randn(2, labels, generator=torch.Generator().manual_seed(0), requires_grad=True)
        with torch.enable_grad():
            together, alone = self(logits), self(logits[:1])
        if not torch.allclose(together[:1], alone):
            raise InputError("score= gives a row another score when a second one is beside it; it must score each row by itself")
        if not together.requires_grad:
            raise InputError(
                "score= returns what has no gradient (a detached or whole-number value); effects are previewed by one"
            )
