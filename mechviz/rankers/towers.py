"""What rankers share that read query and document apart."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import override

from mechviz.rankers.checks import Inputs
from mechviz.rankers.ranker import Ranker
from mechviz.rankers.tokenize import tokenize
from mechviz.text.tokens import Tokens

#: Each text's other.
OTHER = {"query": "doc", "doc": "query"}


class TwoTexts(Ranker):
    """A ranker that turns each text into a representation of its own and compares two."""

    stacks = ("query", "doc")
    #: What the ranker puts before each text.
    prefixes: Mapping[str, str] = {"query": "", "doc": ""}

    @abstractmethod
    def represent(self, hidden: Tensor, reads: Tensor, stack: str) -> Tensor:
        """Return the representation of each row, float32, dims (row, ...), from its last hidden state."""

    def compare(self, queries: Tensor, docs: Tensor, batch: Sequence[Inputs]) -> Tensor:
        """Return the score of each pair of representations, dims (row)."""
        return (queries * docs).sum(-1)

    def parts(self, side: str, text: str) -> list[tuple[str, str]]:
        """Return the text of a side as the ranker reads it, as (segment, text)."""
        prefix = self.prefixes[side]
        return [("prompt", prefix), (side, text)] if prefix else [(side, text)]

    @override
    def tokenize_all(self, pairs: Sequence[tuple[str, str]]) -> list[dict[str, Tokens]]:
        # One query against many documents is the common case: each different text is tokenised once.
        known: dict[str, dict[str, Tokens]] = {}
        for column, (side, tokenizer) in enumerate((("query", self.query_tokenizer), ("doc", self.tokenizer))):
            texts = list(dict.fromkeys(pair[column] for pair in pairs))
            known[side] = dict(zip(texts, tokenize(tokenizer, [[self.parts(side, text)] for text in texts]), strict=True))
        return [{"query": known["query"][query], "doc": known["doc"][doc]} for query, doc in pairs]

    @override
    def stack_of(self, side: str) -> str:
        return side

    @override
    def score_inputs(self, batch: Sequence[Inputs]) -> Tensor:
        different = list({_key(inputs["query"]): inputs for inputs in batch}.values())
        row = {_key(inputs["query"]): index for index, inputs in enumerate(different)}
        queries = self.vectors(different, "query")
        docs = self.vectors(batch, "doc")
        return self.compare(queries[[row[_key(inputs["query"])] for inputs in batch]], docs, batch)

    def fixed(self, stack: str, inputs: Inputs) -> Tensor:
        """Return the representation of the other text than that of ``stack``, without gradient, one row."""
        with torch.no_grad():
            return self.vectors([inputs], OTHER[stack])

    def describe_texts(self) -> str:
        """Return what the repr says of prefixes and models."""
        prefixes = "".join(f", {side}_prefix={prefix!r}" for side, prefix in self.prefixes.items() if prefix)
        return prefixes + (", two models" if len(self.models) > 1 else "")

    def vectors(self, batch: Sequence[Inputs], stack: str) -> Tensor:
        """Encode the texts of one stack and return their representations."""
        hidden, reads = self.encode(batch, stack)
        return self.represent(hidden, reads, stack)


def _key(tokens: Tokens) -> bytes:
    arrays: list[NDArray[np.generic]] = [tokens.ids, tokens.mask]
    return b"".join(array.tobytes() for array in arrays)
