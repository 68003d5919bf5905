"""Splade: the learned sparse ranker, which compares two bags of weighted vocabulary terms."""

from __future__ import annotations

from typing import Unpack

import pandas as pd
import torch
from torch import Tensor
from transformers import PreTrainedModel
from typing_extensions import override

from mechviz.errors import InputError
from mechviz.rankers.checks import Inputs
from mechviz.rankers.families import Family
from mechviz.rankers.heads import TermLogits
from mechviz.rankers.opening import Options, open_model
from mechviz.rankers.readout import Readout
from mechviz.rankers.towers import TwoTexts


class Splade(TwoTexts):
    """A SPLADE ranker: the score is the dot product of two bags of weighted vocabulary terms.

    A term weighs the maximum over positions of ``log1p(relu(logit))`` (SPLADE-max, Formal et al. 2021).

    Parameters
    ----------
    name : str, PreTrainedModel or SparseEncoder
        A local directory, a hub id, or a model with a masked-language-model head (then give ``tokenizer``), of the
        document where ``query_name`` is given.
    query_name : str or PreTrainedModel, optional
        A second model for queries.
    **options
        ``tokenizer``, ``max_length``, ``device`` (such as ``"cuda"``), ``dtype`` (``"bfloat16"``, ``"float16"``); see
        `mechviz.rankers.opening.Options`.

    Raises
    ------
    UnsupportedModelError
        Another class, or sentence-transformers modules that mechviz does not have.
    MechvizError
        Weights or tokenizer are missing or do not fit.
    """

    kind = "Splade"

    def __init__(
        self, name: str | PreTrainedModel, query_name: str | PreTrainedModel | None = None, **options: Unpack[Options]
    ) -> None:
        opened = open_model(name, self.kind, _classes, options)
        query = None if query_name is None else open_model(query_name, self.kind, _classes, options, query=True)
        super().__init__(opened, query, options)
        if self.query_tokenizer.get_vocab() != self.tokenizer.get_vocab():
            raise InputError("the two models have different vocabularies: their terms cannot be compared")
        self.prefixes = {"query": (query or opened).said.query_prefix, "doc": opened.said.doc_prefix}

    @override
    def represent(self, hidden: Tensor, reads: Tensor, stack: str) -> Tensor:
        """Return the weight of each vocabulary term, dims (row, term)."""
        return _weights(self.logits(stack)(hidden), reads)

    def logits(self, stack: str, terms: Tensor | None = None) -> TermLogits:
        """Return how hidden states of a stack become logits of vocabulary terms."""
        tower = self.towers[stack]
        return TermLogits(tower.model, tower.family.masked[type(tower.model).__name__], terms)

    @override
    def readout(self, stack: str, inputs: Inputs) -> Readout:
        weights = self.fixed(stack, inputs)[0]
        terms = weights.nonzero()[:, 0]  # terms that the other text lacks cannot add to the score
        return _Terms(self.logits(stack, terms), weights[terms])

    def terms(self, query: str, doc: str) -> pd.DataFrame:
        """Return what each term adds to the score of a pair.

        Parameters
        ----------
        query, doc : str

        Returns
        -------
        DataFrame
            One row for each term that both texts have, by falling ``score``: ``term`` (as the tokenizer spells it),
            its weights ``query`` and ``doc``, and their product ``score``. The products sum to the score of the pair.
        """
        (inputs,) = self.checked_inputs([(query, doc)])
        with torch.no_grad():
            weights = [self.vectors([inputs], stack)[0].cpu() for stack in self.stacks]
        product = weights[0] * weights[1]
        order = torch.argsort(-product, stable=True)[: int((product > 0).sum())]
        return pd.DataFrame(
            {
                "term": self.tokenizer.convert_ids_to_tokens(order.tolist()),
                "query": weights[0][order].numpy(),
                "doc": weights[1][order].numpy(),
                "score": product[order].numpy(),
            }
        )

    @override
    def describe(self) -> str:
        return f"{self.describe_texts()}, score=dot product of max log1p(relu(logits))"


class _Terms(Readout):
    def __init__(self, logits: TermLogits, other: Tensor) -> None:
        self.logits, self.other = logits, other

    def __call__(self, hidden: Tensor, reads: Tensor) -> Tensor:
        return _weights(self.logits(hidden), reads) @ self.other


def _weights(logits: Tensor, reads: Tensor) -> Tensor:
    # log1p and relu grow with their argument: the maximum may be taken first, and a position left out counts as 0.
    return torch.log1p(torch.relu(logits.masked_fill(~reads[..., None], -torch.inf).amax(1)))


def _classes(family: Family) -> tuple[str, ...]:
    return tuple(family.masked)
