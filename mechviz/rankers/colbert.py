"""ColBERT: late interaction, which compares every query token with every document token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Unpack, cast

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor, nn
from typing_extensions import override

from mechviz.errors import InputError, UnsupportedModelError, shown
from mechviz.rankers.checks import Inputs
from mechviz.rankers.conventions import Interaction, width_of
from mechviz.rankers.families import Family
from mechviz.rankers.opening import Options, open_model
from mechviz.rankers.readout import Readout
from mechviz.rankers.tokenize import add_position
from mechviz.rankers.towers import OTHER, TwoTexts
from mechviz.text.tokens import Tokens


class ColBERT(TwoTexts):
    """A ColBERT ranker: the sum over query tokens of their largest cosine with a document token (Khattab and Zaharia 2020).

    Queries are filled up with ``[MASK]`` to their full length, which are scored like words; document tokens of the skip
    list (punctuation) are not compared.

    Parameters
    ----------
    name : str or pylate.models.ColBERT
        A local directory, a hub id, in the layout of ColBERT (``artifact.metadata``) or PyLate.
    query_length, doc_length : int, optional
        Tokens of a text at most, special ones included. Default: what the checkpoint says.
    **options
        ``tokenizer``, ``max_length``, ``device`` (such as ``"cuda"``), ``dtype`` (``"bfloat16"``, ``"float16"``); see
        `mechviz.rankers.opening.Options`.

    Raises
    ------
    UnsupportedModelError
        A checkpoint that does not say it is one, or steps that mechviz does not have.
    MechvizError
        Weights or tokenizer are missing or do not fit.
    """

    kind = "ColBERT"

    def __init__(
        self, name: str, query_length: int | None = None, doc_length: int | None = None, **options: Unpack[Options]
    ) -> None:
        opened = open_model(name, self.kind, _classes, options, also=("linear.",))
        said = opened.said
        if said.interaction is None:
            raise UnsupportedModelError(
                f"{opened.label} has no artifact.metadata and no PyLate settings: how its tokens are projected and compared is "
                "not known"
            )
        super().__init__(opened, None, options)
        self.interaction: Interaction = replace(
            said.interaction,
            query_length=_length("query_length", query_length, said.interaction.query_length),
            doc_length=_length("doc_length", doc_length, said.interaction.doc_length),
        )
        self.prefixes = {"query": said.query_prefix, "doc": said.doc_prefix}
        self.extra = nn.ModuleList(said.projections).to(opened.model.device)
        self.width = width_of(self.model, said.projections, self.name)
        self._markers = {
            side: self._token(marker)
            for side, marker in (("query", self.interaction.query_marker), ("doc", self.interaction.doc_marker))
        }
        self._expansion = self._token(str(self.tokenizer.mask_token or "[MASK]")) if self.interaction.expand else None
        self._skipped = np.array(sorted(self._skip_ids()), dtype=np.int64)

    @override
    def tokenize_all(self, pairs: Sequence[tuple[str, str]]) -> list[dict[str, Tokens]]:
        return [{side: self._marked(side, tokens) for side, tokens in inputs.items()} for inputs in super().tokenize_all(pairs)]

    @override
    def limit(self, stack: str) -> int:
        length = self.interaction.query_length if stack == "query" else self.interaction.doc_length
        return min(self.max_length, length or self.max_length)

    @override
    def complete(self, stack: str, tokens: Tokens) -> Tokens:
        missing = self.limit(stack) - len(tokens)
        if stack != "query" or self._expansion is None or missing <= 0:
            return tokens
        token_id, token = self._expansion
        return add_position(tokens, len(tokens), token_id, token, masked=not self.interaction.attend, count=missing)

    @override
    def reads(self, stack: str, tokens: Tokens) -> NDArray[np.bool_]:
        if stack == "doc":
            reads: NDArray[np.bool_] = tokens.mask & ~np.isin(tokens.ids, self._skipped)
        else:  # the augmentation is scored though attention does not see it
            expansion = -1 if self._expansion is None else self._expansion[0]
            reads = tokens.mask | ((tokens.ids == expansion) & (np.array(tokens.segments) == "prompt"))
        return reads

    @override
    def represent(self, hidden: Tensor, reads: Tensor, stack: str) -> Tensor:
        """Return one vector of length 1 a token, zero where it is not read, dims (row, pos, d_vector); float32."""
        vectors = hidden.float()
        for layer in cast(nn.ModuleList, self.extra):
            vectors = layer(vectors)
        return nn.functional.normalize(vectors, dim=-1) * reads[..., None]

    @override
    def compare(self, queries: Tensor, docs: Tensor, batch: Sequence[Inputs]) -> Tensor:
        return max_sim(queries, docs, self.padded_reads("doc", [inputs["doc"] for inputs in batch]))

    @override
    def readout(self, stack: str, inputs: Inputs) -> Readout:
        other = OTHER[stack]
        return _MaxSim(self, stack, self.fixed(stack, inputs), self.padded_reads(other, [inputs[other]]))

    def max_sim_matrix(self, query: str, doc: str) -> xr.DataArray:
        """Return the cosine of every query token with every document token.

        Parameters
        ----------
        query, doc : str

        Returns
        -------
        DataArray, float32, dims (query_pos, doc_pos)
            With the token strings as coordinates ``query_token`` and ``doc_token``; NaN for document tokens of the skip
            list. The score of the pair is the sum over query_pos of the maximum over doc_pos.
        """
        (inputs,) = self.checked_inputs([(query, doc)])
        with torch.no_grad():
            queries, docs = (self.vectors([inputs], stack)[0] for stack in self.stacks)
        cosines = (queries @ docs.T).cpu().numpy()
        cosines[:, ~self.reads("doc", inputs["doc"])] = np.nan
        return xr.DataArray(
            cosines,
            dims=("query_pos", "doc_pos"),
            coords={f"{side}_token": (f"{side}_pos", list(inputs[side].strings)) for side in self.stacks},
        )

    @override
    def describe(self) -> str:
        how = self.interaction
        expansion = f" filled up with {self.tokenizer.mask_token}" if how.expand else ""
        width = f", {self.width} dimensions"
        skip = f", {len(how.skip)} words skipped" if how.skip else ""
        lengths = f", query_length={self.limit('query')}{expansion}, doc_length={self.limit('doc')}"
        return f"{lengths}{skip}{width}{self.describe_texts()}, score=MaxSim of cosines"

    def _marked(self, side: str, tokens: Tokens) -> Tokens:
        if not self.interaction.types:
            tokens = replace(tokens, types=np.zeros_like(tokens.types))
        marker = self._markers[side]
        return tokens if marker is None else add_position(tokens, 1, *marker)

    def _token(self, token: str) -> tuple[int, str] | None:
        """Return id and string of a token that the ranker adds; None for none."""
        if not token:
            return None
        token_id = self.tokenizer.get_vocab().get(token)
        if token_id is None:
            raise UnsupportedModelError(
                f"{self.name}: its tokenizer has no token {token!r}, which the checkpoint puts into texts"
            )
        return token_id, token

    def _skip_ids(self) -> set[int]:
        found: set[int] = set()
        vocabulary = self.tokenizer.get_vocab()
        for word in self.interaction.skip:
            if word in vocabulary:
                found.add(vocabulary[word])
            if not self.interaction.whole_words:
                found.update(self.tokenizer.encode(word, add_special_tokens=False)[:1])
        return found


class _MaxSim(Readout):
    def __init__(self, ranker: ColBERT, stack: str, other: Tensor, other_reads: Tensor) -> None:
        self.ranker, self.stack, self.other, self.other_reads = ranker, stack, other, other_reads

    def __call__(self, hidden: Tensor, reads: Tensor) -> Tensor:
        mine = self.ranker.represent(hidden, reads, self.stack)
        if self.stack == "query":
            return max_sim(mine, self.other, self.other_reads)
        return max_sim(self.other, mine, reads)


def max_sim(queries: Tensor, docs: Tensor, doc_reads: Tensor) -> Tensor:
    """Return the sum over query tokens of their largest product with a document token that is read, dims (row).

    Parameters
    ----------
    queries, docs : Tensor, dims (row or 1, pos, d_vector)
    doc_reads : Tensor of bool, dims (row or 1, doc_pos)
    """
    products = queries @ docs.transpose(1, 2)
    return products.masked_fill(~doc_reads[:, None], -torch.inf).amax(2).sum(1)


def _classes(family: Family) -> tuple[str, ...]:
    return () if family.causal else (family.base,)


def _length(name: str, given: object, said: int | None) -> int | None:
    if given is None:
        return said
    if type(given) is not int or given < 4:
        raise InputError(f"{name}={shown(given)}; give a whole number of tokens, at least 4")
    return given
