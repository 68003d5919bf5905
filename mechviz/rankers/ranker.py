"""What every ranker is: texts in, scores out, every activation within reach."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformer_lens import ActivationCache
from transformers import PreTrainedTokenizerBase

from mechviz.errors import InputError, InputTypeError, NonFiniteError, shown
from mechviz.rankers.checkpoint import check_tokenizer, weight_hash
from mechviz.rankers.checks import Inputs, check_docs, check_own_tokens, pairwise, rows_within, too_long
from mechviz.rankers.conventions import Opened
from mechviz.rankers.hooked import Hook, HookedModel, HookFunction
from mechviz.rankers.opening import Options
from mechviz.rankers.readout import Readout
from mechviz.rankers.stack import Stack
from mechviz.rankers.tokenize import stacked
from mechviz.results import Ranking
from mechviz.text.checks import check_text
from mechviz.text.tokens import Tokens

#: Where neither model nor tokenizer has a limit of its own: what such models were trained with.
DEFAULT_LENGTH = 512
_NO_LIMIT = 10**9  # tokenizers without one say so by a larger number


class Ranker(ABC):
    """A model that gives a (query, document) pair a score.

    Attributes
    ----------
    name : str
    kind : str
        The name of the class: ``Dot``, ``Cat``, ``MonoT5``, ...
    model : PreTrainedModel
        The plain `transformers` model; where query and document have a model each, that of the document.
    tokenizer : PreTrainedTokenizerBase
    towers : dict of str to HookedModel
        The hooked view of the model that a stack runs in.
    models : list of HookedModel
        Those views, each once.
    stacks : tuple of str
        What activations can be patched in: the token sequences of a pair, or the stacks of one model.
    max_length : int
        Tokens that one sequence takes, special tokens included.
    extra : nn.Module
        Layers after the model that are part of the score (a projection).
    """

    kind: str
    stacks: tuple[str, ...] = ()

    def __init__(self, opened: Opened, query: Opened | None, options: Options) -> None:
        self.name = opened.label
        self.model = opened.model
        self.hooked = HookedModel(opened.model)
        self.stacks = self.stacks or tuple(self.hooked.stacks)
        query_tower = self.hooked if query is None else HookedModel(query.model)
        self.towers = {stack: query_tower if stack == "query" else self.hooked for stack in self.stacks}
        self.models = list(dict.fromkeys(self.towers.values()))
        self.tokenizer = check_tokenizer(opened.tokenizer, opened.model.config.vocab_size)
        self.query_tokenizer = (
            self.tokenizer if query is None else check_tokenizer(query.tokenizer, query.model.config.vocab_size)
        )
        said = [one.said.max_length for one in (opened, query) if one is not None]
        self.max_length = self._limit(options.get("max_length"), said)
        self.extra: nn.ModuleList | nn.ModuleDict = nn.ModuleList()
        self._hash: tuple[list[tuple[int, float]], str] | None = None
        self._encoding: str | None = None

    # -- what a kind of ranker defines ---------------------------------------------------------------------------

    @abstractmethod
    def tokenize_all(self, pairs: Sequence[tuple[str, str]]) -> list[dict[str, Tokens]]:
        """Return the token sequences of each (query, document), at full length (nothing is cut here)."""

    @abstractmethod
    def readout(self, stack: str, inputs: Inputs) -> Readout:
        """Return how the last hidden state of ``stack`` becomes the score of a pair, the other stacks' texts as in ``inputs``."""

    # -- what a kind of ranker may change ------------------------------------------------------------------------

    def score_inputs(self, batch: Sequence[Inputs]) -> Tensor:
        """Score tokenised pairs in one forward pass, float32, dims (pair), with gradient if enabled."""
        return self.readout(self.stacks[-1], {})(*self.encode(batch, self.stacks[-1]))

    def stack_of(self, side: str) -> str:
        """Return the stack in which the text of a side (``"query"`` or ``"doc"``) runs."""
        return self.stacks[0]

    def stack(self, name: str) -> Stack:
        """Return the layers of a stack."""
        return self.towers[name].main

    def text_of(self, stack: str) -> str:
        """Return which token sequence a stack reads: its own, where it has one."""
        return stack

    def limit(self, stack: str) -> int:
        """Return how many tokens the sequence of a stack may have."""
        return self.max_length

    def complete(self, stack: str, tokens: Tokens) -> Tokens:
        """Return a sequence with the positions that the ranker adds once lengths are known."""
        return tokens

    def reads(self, stack: str, tokens: Tokens) -> NDArray[np.bool_]:
        """Return which positions of the last hidden state enter the score, dims (pos)."""
        return tokens.mask

    def describe(self) -> str:
        """Return how the score is made, for the repr."""
        return ""

    # -- what all rankers do -------------------------------------------------------------------------------------

    def tokenize(self, query: str, doc: str) -> dict[str, Tokens]:
        """Return the token sequences of a pair by stack, at full length (nothing is cut here)."""
        return self.tokenize_all([(query, doc)])[0]

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
            Cut texts that are too long instead of raising.

        Returns
        -------
        float32 array, dims (pair)

        Raises
        ------
        InputError, InputTypeError
            Lengths that differ, a text that cannot be scored or is longer than ``max_length`` tokens.
        """
        pairs = pairwise(queries, docs)
        if not isinstance(batch_size, int) or batch_size < 1:
            raise InputError(f"batch_size={shown(batch_size)}; give a whole number, at least 1")
        return self.score_all(self.checked_inputs(pairs, truncate), batch_size)

    def score_all(self, inputs: Sequence[Inputs], batch_size: int = 32) -> NDArray[np.float32]:
        """Score tokenised pairs in batches of similar length, dims (pair)."""
        scores = np.empty(len(inputs), dtype=np.float32)
        order = sorted(range(len(inputs)), key=lambda i: max(len(tokens) for tokens in inputs[i].values()))
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            with torch.no_grad():
                scores[chosen] = self.score_inputs([inputs[i] for i in chosen]).cpu().numpy()
        bad = np.flatnonzero(~np.isfinite(scores))
        if len(bad):
            with torch.no_grad():
                raise self.first_non_finite(lambda: self.score_inputs([inputs[bad[0]]]))
        return scores

    def rank(self, query: str, docs: Sequence[str], batch_size: int = 32, truncate: bool = False) -> Ranking:
        """Rank documents for a query, best first; equal scores keep the order given."""
        scores = self.score(check_text("query", query), check_docs(docs), batch_size, truncate)
        return Ranking(query, np.argsort(-scores, kind="stable"), scores)

    @contextmanager
    def hooks(self, fwd_hooks: Sequence[Hook] = (), bwd_hooks: Sequence[Hook] = (), stack: str | None = None) -> Iterator[None]:
        """Add hooks for the time of a ``with`` block.

        Parameters
        ----------
        fwd_hooks, bwd_hooks : sequences of (name, function)
            As in TransformerLens: ``name`` is a full hook name, a site (``"z"``: that site in every layer) or a
            function that chooses names; ``function(activation, hook)`` returns a new activation or None.
        stack : ``"query"`` or ``"doc"``, optional
            For rankers that read query and document apart: only where this text runs. Default: in both, the query
            first.
        """
        if stack is not None:
            self.check_stack(stack)
            if self.text_of(stack) != stack:
                example = self.stack(stack).hook(0, "z")
                raise InputError(f"stack={stack!r} has no text of its own; choose its hooks by name, such as {example!r}")
        with ExitStack() as opened:
            for tower in sorted(self.models, key=id):  # one order of locks for all threads
                opened.enter_context(tower.hooks(self._within(stack, fwd_hooks), self._within(stack, bwd_hooks)))
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
        (inputs,) = self.checked_inputs([(query, doc)])
        stack = self.stacks[-1] if stack is None else stack
        self.check_stack(stack)
        tower = self.towers[stack]
        kept: dict[str, Tensor] = {}

        def keep(value: Tensor, hook: Any) -> None:
            kept[hook.name] = value.detach()

        chosen = tower.names(names)
        with torch.no_grad():
            score = float(self.score_inputs([inputs])[0])
            with tower.hooks([(name, keep) for name in chosen]):
                self.encode([inputs], stack)
        # A site of a later stack (T5's decoder) does not fire where only the earlier one runs.
        return score, ActivationCache({name: kept[name] for name in chosen if name in kept}, tower)

    def encode(self, batch: Sequence[Inputs], stack: str) -> tuple[Tensor, Tensor]:
        """Run the token sequences of one stack through its layers, padded on the right.

        Returns
        -------
        tuple of Tensor
            The last hidden state, dims (row, pos, d_model), and which positions are read, dims (row, pos).
        """
        tower, text = self.towers[stack], self.text_of(stack)
        rows = [inputs[text] for inputs in batch]
        with self.running(stack):
            runner = tower.main.runner
            hidden = runner(**self.padded(rows, tower, self.query_tokenizer if text == "query" else self.tokenizer))
        return hidden.last_hidden_state, self.padded_reads(stack, rows)

    @contextmanager
    def running(self, stack: str) -> Iterator[None]:
        """Make the model of a stack ready to run, and say which text runs."""
        with self.towers[stack].running():
            before, self._encoding = self._encoding, stack
            try:
                yield
            finally:
                self._encoding = before

    def padded(self, rows: Sequence[Tokens], tower: HookedModel, tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
        """Return what the model takes for token sequences, dims (row, pos)."""
        family = tower.family
        taken = {"input_ids": ("ids", tokenizer.pad_token_id or 0), "attention_mask": ("mask", 0)}
        if family.types:
            taken["token_type_ids"] = ("types", 0)
        arguments: dict[str, Any] = {
            argument: stacked([getattr(tokens, name) for tokens in rows], pad, tower.device)
            for argument, (name, pad) in taken.items()
        }
        if family.causal:
            arguments["use_cache"] = False
        return arguments

    def padded_reads(self, stack: str, rows: Sequence[Tokens]) -> Tensor:
        """Return which positions are read, boolean, dims (row, pos)."""
        return stacked([self.reads(stack, tokens) for tokens in rows], 0, self.towers[stack].device).bool()

    def checked_inputs(self, pairs: Sequence[tuple[str, str]], truncate: bool = False) -> list[dict[str, Tokens]]:
        """Tokenise pairs and check that they can be scored."""
        found = self.tokenize_all([(check_text("query", query), check_text("doc", doc)) for query, doc in pairs])
        for inputs in found:
            check_own_tokens(inputs)
        return [
            {stack: self.complete(stack, self.fit(stack, tokens, truncate)) for stack, tokens in inputs.items()}
            for inputs in found
        ]

    def fit(self, stack: str, tokens: Tokens, truncate: bool) -> Tokens:
        """Return a sequence that is no longer than the limit, its text cut at the end if ``truncate``."""
        limit = self.limit(stack)
        rows = rows_within(tokens, limit)
        if len(rows) == len(tokens):
            return tokens
        if not truncate:
            raise too_long(f"the {'document' if 'doc' in tokens.segments else 'query'} has", len(tokens), limit)
        return tokens.pick(rows)

    def first_non_finite(self, run: Callable[[], object]) -> NonFiniteError:
        """Run again with a look at every site of every model and return the error that names the first bad one."""
        looks = ((tower.first_non_finite(run), tower.model.dtype) for tower in self.models)
        site, dtype = next((look for look in looks if look[0]), (None, self.models[0].model.dtype))
        place = f"first at {site}" if site else "in the score head only"
        return NonFiniteError(f"NaN or inf in the activations, {place}; check the weights and the dtype ({dtype})")

    def check_stack(self, stack: str) -> None:
        """Refuse a stack that this ranker does not have.

        Raises
        ------
        InputError
        """
        if stack not in self.stacks:
            raise InputError(f"stack={shown(stack)}; a {self.kind} ranker has {', '.join(map(repr, self.stacks))}")

    def refuse_open_hooks(self) -> None:
        """Raise `InputError` if this thread has hooks set; another thread's are waited for."""
        for tower in self.models:
            tower.refuse_open_hooks()

    def refuse_hooks_around_layers(self) -> None:
        """Raise `InputError` if something is wrapped around layers that entering the model at a layer would leave out."""
        for tower in self.models:
            tower.refuse_hooks_around_layers()

    def weight_hash(self) -> str:
        """Return a hash of all weights.

        It is computed again when they have changed in place, which is seen by torch's version counters and, for
        changes that bypass those, by a sample of each weight.
        """
        modules = [*dict.fromkeys(tower.model for tower in self.models), self.extra]
        state = [(t._version, _sample(t)) for module in modules for t in module.state_dict().values()]
        if self._hash is None or self._hash[0] != state:
            self._hash = (state, weight_hash(modules))
        return self._hash[1]

    @property
    def bridge(self) -> Any:
        """TransformerLens's TransformerBridge on a copy of the model, for the families where it computes the same.

        Raises
        ------
        UnsupportedModelError
            TransformerLens cannot open this class, or computes something else from it.
        """
        from mechviz.rankers.bridge import make_bridge

        return make_bridge(self.hooked)

    def __repr__(self) -> str:
        sizes = dict.fromkeys(f"{stack.n_layers} layers x {stack.n_heads} heads" for stack in map(self.stack, self.stacks))
        place = "" if self.model.device.type == "cpu" else f", {self.model.device}"
        dtype = "" if self.model.dtype == torch.float32 else f", {str(self.model.dtype).removeprefix('torch.')}"
        return (
            f"{self.kind}({self.name!r}, {type(self.model).__name__}, {' and '.join(sizes)}, "
            f"max_length={self.max_length}{self.describe()}{place}{dtype})"
        )

    def _limit(self, asked: int | None, said: Sequence[int | None]) -> int:
        if asked is not None and (type(asked) is not int or asked < 4):
            raise InputError(f"max_length={shown(asked)}; give a whole number of tokens, at least 4")
        own = [tower.max_positions for tower in self.models]
        tokenizers = [self.tokenizer.model_max_length, self.query_tokenizer.model_max_length]
        limits = [int(limit) for limit in (asked, *said, *own, *tokenizers) if limit and limit < _NO_LIMIT]
        return min(limits) if limits else DEFAULT_LENGTH

    def _within(self, stack: str | None, hooks: Sequence[Hook]) -> list[Hook]:
        """Return hooks that do nothing while another text runs."""
        if stack is None:
            return list(hooks)

        def limited(function: HookFunction) -> HookFunction:
            return lambda value, hook: function(value, hook=hook) if self._encoding == stack else None

        return [(name, limited(function)) for name, function in hooks]


def check_ranker(ranker: object) -> Ranker:
    """Return a ranker; a name or a model is none yet.

    Raises
    ------
    InputTypeError
    """
    if not isinstance(ranker, Ranker):
        raise InputTypeError(
            f"the ranker must be one that mv.load, or a class such as mv.Dot or mv.Cat, opened, not {shown(ranker)}"
        )
    return ranker


def _sample(tensor: Tensor) -> float:
    flat = tensor.detach().reshape(-1)
    return float(flat[:: max(1, flat.numel() // 64)].double().sum())
