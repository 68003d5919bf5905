"""One recorded run of a text through the stack that is patched: what the engine starts from again and again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, cast

import torch
from torch import Tensor

from mechviz.rankers.checks import Inputs
from mechviz.rankers.hooked import Hook, HookFunction
from mechviz.rankers.ranker import Ranker
from mechviz.rankers.readout import Readout
from mechviz.rankers.stack import Stack
from mechviz.text import Tokens

#: Arguments of one layer besides the hidden state: masks, positions, whatever the architecture passes.
Call = tuple[tuple[Any, ...], dict[str, Any]]


class HasCalls(Protocol):
    """What was recorded so that layers can be run again."""

    @property
    def calls(self) -> Sequence[Call]:
        """What each layer was called with."""


#: What every run keeps: where the engine enters, and what it adds to.
ALWAYS = ("resid_pre", "after", "attn_out", "z")


@dataclass(frozen=True, eq=False)
class Run:
    """The activations of one run, each with a row dimension of 1.

    Attributes
    ----------
    inputs : mapping of stack to Tokens
    stack : str
        The one that was recorded.
    tokens : Tokens
        The sequence that it reads.
    score : float
    readout : Readout
    hidden : Tensor, dims (1, pos, d_model)
        The last hidden state.
    reads : Tensor of bool, dims (1, pos)
        Which of its positions are read.
    values : dict of str to list of Tensor
        Site -> its activation in each layer: ``resid_pre``, ``attn_out``, ``after`` (the residual stream with that
        added), ``z`` and the sites that were asked for.
    gradients : dict of str to list of Tensor
        Gradient of the score at the same places, where it was asked for.
    top : Tensor, dims (1, pos, d_model)
        What leaves the last layer, before the norm that may follow it.
    entered : Tensor, dims (1, pos, d_model)
        What enters the first layer of the model: the embedded text.
    calls : list of Call
        What each layer was called with besides the hidden state.
    """

    inputs: Inputs
    stack: str
    tokens: Tokens
    score: float
    readout: Readout
    hidden: Tensor
    reads: Tensor
    values: dict[str, list[Tensor]]
    gradients: dict[str, list[Tensor]]
    top: Tensor
    entered: Tensor
    calls: list[Call]

    @property
    def z(self) -> list[Tensor]:
        """What each head reads out, dims (1, pos, head, d_head), by layer."""
        return self.values["z"]

    @property
    def resid_pre(self) -> list[Tensor]:
        """What enters each layer, dims (1, pos, d_model), by layer."""
        return self.values["resid_pre"]

    @property
    def resid_after(self) -> list[Tensor]:
        """The residual stream with the stack's attention added, dims (1, pos, d_model), by layer."""
        return self.values["after"]

    @property
    def mask(self) -> Tensor:
        """Which positions may be attended to, boolean, dims (1, pos)."""
        return torch.as_tensor(self.tokens.mask.copy(), device=self.hidden.device)[None]

    def entering(self, layer: int) -> Tensor:
        """Return what enters a layer; what leaves the last one, for the layer above it; dims (1, pos, d_model)."""
        return self.resid_pre[layer] if layer < len(self.resid_pre) else self.top


@dataclass(frozen=True, eq=False)
class Stacked:
    """The base runs of several pairs, padded to one length.

    Attributes
    ----------
    runs : list of Run
    mask : Tensor of bool, dims (run, pos)
    reads : Tensor of bool, dims (run, pos)
        Which positions are read.
    resid_after : list of Tensor, dims (run, pos, d_model)
    """

    runs: list[Run]
    mask: Tensor
    reads: Tensor
    resid_after: list[Tensor]

    @classmethod
    def of(cls, runs: Sequence[Run]) -> Stacked:
        """Stack runs of one stack of one ranker."""
        length = max(run.hidden.shape[1] for run in runs)

        def stacked(rows: Sequence[Tensor]) -> Tensor:
            first = rows[0]
            whole = first.new_zeros(len(rows), length, *first.shape[2:])
            for number, row in enumerate(rows):
                whole[number, : row.shape[1]] = row[0]
            return whole

        layers = range(len(runs[0].resid_after))
        return cls(
            runs=list(runs),
            mask=stacked([run.mask for run in runs]),
            reads=stacked([run.reads for run in runs]),
            resid_after=[stacked([run.resid_after[layer] for run in runs]) for layer in layers],
        )


def record(
    ranker: Ranker, inputs: Inputs, stack: str, readout: Readout, sites: Sequence[str] = (), gradient: Sequence[str] = ()
) -> Run:
    """Run one pair and keep what patching needs, with one backward pass if a ``gradient`` is asked for.

    Parameters
    ----------
    ranker : Ranker
    inputs : mapping of stack to Tokens
    stack : str
    readout : Readout
    sites : sequence of str
        What to keep beside what every run keeps.
    gradient : sequence of str
        The sites where the gradient of the score is wanted.

    Raises
    ------
    NonFiniteError
        NaN or inf in the score, with the layer and site where it first appears.
    """
    return record_all(ranker, [inputs], stack, [readout], sites, gradient)[0]


def record_all(
    ranker: Ranker,
    inputs: Sequence[Inputs],
    stack: str,
    readouts: Sequence[Readout],
    sites: Sequence[str] = (),
    gradient: Sequence[str] = (),
) -> list[Run]:
    """Run several pairs in one batch, as `record` does one; what the layers were called with is kept for one pair only."""
    tower, part = ranker.towers[stack], ranker.stack(stack)
    gradient = [site for site in gradient if part.offers(site)]
    wanted = [site for site in dict.fromkeys([*ALWAYS, *sites, *gradient]) if part.offers(site)]
    kept: dict[str, list[Tensor]] = {name: [] for name in [*wanted, "top", "entered"]}

    def keep(site: str) -> HookFunction:
        def look(value: Tensor, hook: Any) -> Tensor:
            if gradient and not value.requires_grad:
                # The graph must not depend on whether the caller has frozen the weights.
                value = value.detach().requires_grad_()
            kept[site].append(value)
            return value

        return look

    hooks: list[Hook] = [(name, keep(site)) for name, (site, _) in part.places(wanted).items()]
    hooks += [(part.hook(part.n_layers - 1, "resid_post"), keep("top")), (tower.main.hook(0, "resid_pre"), keep("entered"))]
    calls: list[Call] = []
    with torch.set_grad_enabled(bool(gradient)), tower.hooks(hooks), calls_of(part, calls):
        hidden, reads = ranker.encode(inputs, stack)
        scores = torch.cat([readout(hidden[at : at + 1], reads[at : at + 1]) for at, readout in enumerate(readouts)])
        if not torch.isfinite(scores).all():
            with torch.no_grad():
                raise ranker.first_non_finite(lambda: ranker.score_inputs(inputs))
        flat = [value for site in gradient for value in kept[site]]
        found = iter(torch.autograd.grad(scores.sum(), flat, allow_unused=True) if gradient else ())
    gradients = {site: [_or_zero(next(found), value) for value in kept[site]] for site in gradient}
    still = {site: [value.detach() for value in values] for site, values in kept.items()}
    runs = []
    for at, (one, readout) in enumerate(zip(inputs, readouts, strict=True)):
        tokens = one[ranker.text_of(stack)]

        def own(value: Tensor, at: int = at, tokens: Tokens = tokens) -> Tensor:
            """One pair's row without its padding; T5's decoder has one position whatever the text's length."""
            return value if len(inputs) == 1 else value[at : at + 1, : len(tokens)]

        runs.append(
            Run(
                inputs=one,
                stack=stack,
                tokens=tokens,
                score=float(scores[at].detach()),
                readout=readout,
                hidden=own(hidden.detach()),
                reads=own(reads),
                values={site: [own(value) for value in still[site]] for site in wanted},
                gradients={site: [own(value) for value in values] for site, values in gradients.items()},
                top=own(still["top"][0]),
                entered=own(still["entered"][0]),
                calls=calls if len(inputs) == 1 else [],
            )
        )
    return runs


def readouts_of(ranker: Ranker, stack: str, rest: Sequence[Inputs]) -> list[Readout]:
    """Return each pair's readout, from what the ranker reads besides the text of ``stack``; what pairs share is made once."""
    made: dict[tuple[bytes, ...], Readout] = {}
    found = []
    for inputs in rest:
        key = tuple(tokens.ids.tobytes() + tokens.mask.tobytes() for tokens in inputs.values())
        if key not in made:
            made[key] = ranker.readout(stack, inputs)
        found.append(made[key])
    return found


def through(part: Stack, run: HasCalls, layer: int, hidden: Tensor) -> Tensor:
    """Run one of the model's own layers, with the arguments that it got in ``run``."""
    args, kwargs = run.calls[layer]
    output = part.layers[layer](hidden, *args, **kwargs)
    return cast(Tensor, output[0] if isinstance(output, tuple) else output)


def keeping(kept: dict[str, Tensor]) -> HookFunction:
    """Return a hook function that keeps what it sees by the hook's name."""

    def keep(value: Tensor, hook: Any) -> None:
        kept[hook.name] = value

    return keep


def _or_zero(gradient: Tensor | None, value: Tensor) -> Tensor:
    """Return a gradient; where the score does not depend on a value there is none, and it is 0."""
    return torch.zeros_like(value) if gradient is None else gradient


@contextmanager
def calls_of(part: Stack, calls: list[Call]) -> Iterator[None]:
    """Note what each layer of a stack is called with besides the hidden state."""

    def note(module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        calls.append((_detached(args[1:]), _detached(kwargs)))

    handles = [layer.register_forward_pre_hook(note, with_kwargs=True) for layer in part.layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _detached(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach()
    if isinstance(value, tuple):
        return tuple(_detached(item) for item in value)
    if isinstance(value, dict):
        return {key: _detached(item) for key, item in value.items()}
    return value
