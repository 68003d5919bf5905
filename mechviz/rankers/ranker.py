"""What every ranker is: texts in, scores out, every activation within reach."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformer_lens import ActivationCache
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from mechviz.errors import InputError, InputTypeError, shown
from mechviz.rankers.checkpoint import check_tokenizer, weight_hash
from mechviz.rankers.encoder import Encoder, Hook
from mechviz.results import Ranking
from mechviz.text.checks import check_text
from mechviz.text.tokens import Tokens

#: The token sequences of one (query, document) pair, by stack.
Inputs = Mapping[str, Tokens]


class Ranker(ABC):
    """A model that gives a (query, document) pair a score.

    Attributes
    ----------
    name : str
    kind : str
        ``Dot`` or ``Cat``.
    model : PreTrainedModel
        The plain `transformers` model.
    tokenizer : PreTrainedTokenizerBase
    encoder : Encoder
        The hooked view of ``model``.
    max_length : int
        Tokens that one stack takes, special tokens included.
    stacks : tuple of str
        Names of the token sequences that a pair makes.
    """

    kind: str
    stacks: tuple[str, ...]

    def __init__(
        self, name: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None, max_length: int | None
    ) -> None:
        self.name = name
        self.model = model
        self.encoder = Encoder(model)
        self.tokenizer = check_tokenizer(tokenizer, model.config.vocab_size)
        if max_length is not None and (type(max_length) is not int or max_length < 4):
            raise InputError(f"max_length={shown(max_length)}; give a whole number of tokens, at least 4")
        limits = [max_length, model.config.max_position_embeddings, self.tokenizer.model_max_length]
        self.max_length = min(int(limit) for limit in limits if limit)
        self._hash: tuple[list[tuple[int, float]], str] | None = None

    # -- what a kind of ranker defines ---------------------------------------------------------------------------

    @abstractmethod
    def tokenize(self, query: str, doc: str) -> dict[str, Tokens]:
        """Return the token sequences of a pair by stack, at full length (nothing is cut here)."""

    @abstractmethod
    def stack_of(self, side: str) -> str:
        """Return the stack in which the text of a side (``"query"`` or ``"doc"``) runs."""

    @abstractmethod
    def score_inputs(self, batch: Sequence[Inputs]) -> Tensor:
        """Score tokenised pairs in one forward pass, dims (pair), with gradient if enabled."""

    @abstractmethod
    def readout(self, stack: str, others: Inputs) -> Readout:
        """Return how the last hidden state of ``stack`` becomes a score, the other stacks' texts as in ``others``."""

    # -- what all rankers do -------------------------------------------------------------------------------------

    def score(
        self,
        queries: str | Sequence[str],
        docs: str | Sequence[str],
        batch_size: int = 32,
        truncate: bool = False,
    ) -> NDArray[np.float32]:
        """Score pairs.

        Parameters
        ----------
        queries, docs : str or sequence of str
            Pairwise on equal lengths; one string is taken for every item of the other.
        batch_size : int
            Pairs in one forward pass; the scores do not depend on it.
        truncate : bool
            Cut documents that are too long instead of raising.

        Returns
        -------
        float32 array, dims (pair)

        Raises
        ------
        InputError, InputTypeError
            Lengths that differ, a text that cannot be scored or is longer than ``max_length`` tokens.
        """
        pairs = _pairwise(queries, docs)
        if batch_size < 1:
            raise InputError(f"batch_size={batch_size}; give at least 1")
        inputs = [self.checked_inputs(query, doc, truncate) for query, doc in pairs]
        return self.score_all(inputs, batch_size)

    def score_all(self, inputs: Sequence[Inputs], batch_size: int = 32) -> NDArray[np.float32]:
        """Score tokenised pairs in batches of similar length, dims (pair)."""
        scores = np.empty(len(inputs), dtype=np.float32)
        order = sorted(range(len(inputs)), key=lambda i: max(len(tokens) for tokens in inputs[i].values()))
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            with torch.no_grad():
                scores[chosen] = self.score_inputs([inputs[i] for i in chosen]).float().cpu().numpy()
        bad = np.flatnonzero(~np.isfinite(scores))
        if len(bad):
            with torch.no_grad():
                raise self.encoder.first_non_finite(lambda: self.score_inputs([inputs[bad[0]]]))
        return scores

    def rank(self, query: str, docs: Sequence[str], batch_size: int = 32, truncate: bool = False) -> Ranking:
        """Rank documents for a query, best first; equal scores keep the order given."""
        scores = self.score(check_text("query", query), check_docs(docs), batch_size, truncate)
        return Ranking(query, np.argsort(-scores, kind="stable"), scores)

    @contextmanager
    def hooks(self, fwd_hooks: Sequence[Hook] = (), bwd_hooks: Sequence[Hook] = ()) -> Iterator[None]:
        """Add hooks for the time of a ``with`` block.

        Parameters
        ----------
        fwd_hooks, bwd_hooks : sequences of (name, function)
            As in TransformerLens: ``name`` is a full hook name, a site (``"z"``: that site in every layer) or a
            function that chooses names; ``function(activation, hook)`` returns a new activation or None.
            A Dot ranker runs query and document through the same hooks, the query first.
        """
        with self.encoder.hooks(fwd_hooks, bwd_hooks):
            yield

    def run_with_cache(
        self, query: str, doc: str, names: str | Sequence[str] | Callable[[str], bool] | None = None, stack: str | None = None
    ) -> tuple[float, ActivationCache]:
        """Score one pair and keep activations.

        Parameters
        ----------
        query, doc : str
        names : str, sequence of str, function or None
            Sites (``"z"``), full hook names, a function that chooses names, or None for all.
        stack : str, optional
            Which token sequence to cache where a ranker has several; default that of the document.

        Returns
        -------
        float
            The score.
        ActivationCache
            TransformerLens's cache; activations have dims (row, pos, ...) with one row.
        """
        inputs = self.checked_inputs(query, doc)
        stack = self.stack_of("doc") if stack is None else stack
        if stack not in self.stacks:
            raise InputError(f"stack={stack!r}; a {self.kind} ranker has {', '.join(map(repr, self.stacks))}")
        kept: dict[str, Tensor] = {}

        def keep(value: Tensor, hook: Any) -> None:
            kept[hook.name] = value.detach()

        chosen = self.encoder.names(names)
        with torch.no_grad():
            score = float(self.score_inputs([inputs])[0])
            with self.hooks([(name, keep) for name in chosen]):
                self.encode([inputs[stack]])
        return score, ActivationCache({name: kept[name] for name in chosen}, self.model)

    def encode(self, batch: Sequence[Tokens]) -> tuple[Tensor, Tensor]:
        """Run token sequences through the layers, padded on the right.

        Returns
        -------
        tuple of Tensor
            The last hidden state, dims (row, pos, d_model), and the mask, dims (row, pos).
        """
        length = max(len(tokens) for tokens in batch)
        pad = self.tokenizer.pad_token_id or 0
        device = self.encoder.device

        def padded(name: str, value: int) -> Tensor:
            rows = [
                np.pad(getattr(tokens, name).astype(np.int64), (0, length - len(tokens)), constant_values=value)
                for tokens in batch
            ]
            return torch.as_tensor(np.stack(rows), device=device)

        mask = padded("mask", 0)
        with self.encoder.running():
            output = self.encoder.base(input_ids=padded("ids", pad), attention_mask=mask, token_type_ids=padded("types", 0))
        return output.last_hidden_state, mask

    def checked_inputs(self, query: str, doc: str, truncate: bool = False) -> dict[str, Tokens]:
        """Tokenise a pair and check that it can be scored."""
        inputs = self.tokenize(check_text("query", query), check_text("doc", doc))
        check_own_tokens(inputs)
        return {stack: self.fit(tokens, truncate) for stack, tokens in inputs.items()}

    def fit(self, tokens: Tokens, truncate: bool) -> Tokens:
        """Return a sequence that is no longer than the limit, its document cut at the end if ``truncate``."""
        rows = rows_within(tokens, self.max_length)
        if len(rows) == len(tokens):
            return tokens
        if not truncate:
            raise too_long(f"the {'document' if 'doc' in tokens.segments else 'query'} has", len(tokens), self.max_length)
        return tokens.pick(rows)

    def weight_hash(self) -> str:
        """Return a hash of all weights.

        It is computed again when they have changed in place, which is seen by torch's version counters and, for
        changes that bypass those, by a sample of each weight.
        """
        state = [(tensor._version, _sample(tensor)) for tensor in self.model.state_dict().values()]
        if self._hash is None or self._hash[0] != state:
            self._hash = (state, weight_hash(self.model))
        return self._hash[1]

    def describe(self) -> str:
        """Return how the score is made, for the repr."""
        return ""

    def __repr__(self) -> str:
        encoder = self.encoder
        return (
            f"{self.kind}({self.name!r}, {type(self.model).__name__}, {encoder.n_layers} layers x {encoder.n_heads} heads, "
            f"max_length={self.max_length}{self.describe()})"
        )


class Readout(ABC):
    """How the last hidden state of one stack becomes the score, all else fixed.

    Attributes
    ----------
    position : int or None
        The one position that is read; None if all are.
    """

    position: int | None

    @abstractmethod
    def __call__(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return scores, dims (row), for ``hidden``, dims (row, pos, d_model), and its mask, dims (row or 1, pos).

        Where `position` is not None, ``hidden`` may hold that one position only.
        """


def rows_within(tokens: Tokens, limit: int) -> NDArray[np.int64]:
    """Return the positions to keep so that a sequence fits a limit: the document loses its end.

    Raises
    ------
    InputError
        The query and the special tokens alone do not fit.
    """
    excess = len(tokens) - limit
    if excess <= 0:
        return np.arange(len(tokens))
    text = tokens.positions("doc")
    if excess >= len(text):
        raise InputError(
            f"{len(tokens)} tokens do not fit this ranker's limit of {limit}"
            f"{' even with the document cut' if len(text) else ''}: shorten the query"
        )
    return np.setdiff1d(np.arange(len(tokens)), text[-excess:])


def too_long(what: str, length: int, limit: int) -> InputError:
    """Return the error for a text over the limit."""
    return InputError(
        f"{what} {length} tokens with the special ones, this ranker takes {limit}; "
        "shorten it, or pass truncate=True to cut the document's end"
    )


def check_own_tokens(inputs: Inputs) -> None:
    """Refuse a text that has no token of its own (white space, characters the tokenizer drops)."""
    for side in ("query", "doc"):
        if not any(len(tokens.positions(side)) for tokens in inputs.values()):
            raise InputError(f"the {side} has no token of its own under this tokenizer (only spaces or characters that it drops)")


def check_ranker(ranker: object) -> Ranker:
    """Return a ranker; a name or a model is none yet.

    Raises
    ------
    InputTypeError
    """
    if not isinstance(ranker, Ranker):
        raise InputTypeError(f"the ranker must be one that mv.load, mv.Dot or mv.Cat opened, not {shown(ranker)}")
    return ranker


def check_docs(docs: object) -> list[str]:
    """Return a list of documents as a list; None is an empty one.

    Raises
    ------
    InputTypeError
        One string, or a container whose items are not documents in an order (a mapping, a set, a table).
    """
    if docs is None:
        return []
    if isinstance(docs, (str, bytes, Mapping, Set)) or hasattr(docs, "columns") or not isinstance(docs, Iterable):
        raise InputTypeError(f"docs must be a list of documents, not {shown(docs)}")
    return list(docs)


def _pairwise(queries: str | Sequence[str], docs: str | Sequence[str]) -> list[tuple[str, str]]:
    for name, value in (("queries", queries), ("docs", docs)):
        if isinstance(value, (bytes, Mapping, Set)) or hasattr(value, "columns") or not isinstance(value, Iterable):
            raise InputTypeError(f"{name} must be a string or a list of strings, not {shown(value)}")
    many_queries = [queries] if isinstance(queries, str) else list(queries)
    many_docs = [docs] if isinstance(docs, str) else list(docs)
    if isinstance(queries, str):
        many_queries *= len(many_docs)
    if isinstance(docs, str):
        many_docs *= len(many_queries)
    if len(many_queries) != len(many_docs):
        raise InputError(f"{len(many_queries)} queries and {len(many_docs)} docs; give equally many, or one string to repeat")
    return list(zip(many_queries, many_docs, strict=True))


def _sample(tensor: Tensor) -> float:
    flat = tensor.detach().reshape(-1)
    return float(flat[:: max(1, flat.numel() // 64)].double().sum())
