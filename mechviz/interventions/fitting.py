"""Learning what a plan has to learn, with the ranker as it is."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from tqdm.auto import tqdm

from mechviz.errors import InputError, NonFiniteError, shown
from mechviz.interventions.batches import Batch, Compiled, batches, still
from mechviz.interventions.checkpoints import Checkpoints
from mechviz.interventions.checks import as_array
from mechviz.interventions.controls import check_controls, compare, judge
from mechviz.interventions.laid import Laid, drawn
from mechviz.interventions.plan import check_batch
from mechviz.interventions.settings import How, Objective, patient
from mechviz.rankers.ranker import Ranker
from mechviz.results import Evaluation
from mechviz.results.pair import passes_gate

if TYPE_CHECKING:
    from mechviz.interventions.plan import Plan

Floats = NDArray[np.float64]
#: What is kept between steps may take this many bytes; what does not fit is recorded anew in every epoch.
MEMORY = 2 * 2**30
#: How far beyond the middle, in score changes, the margin objective wants the patched score.
MARGIN = 0.5
#: Below this share of the usual change of a score, there is none.
STILL = 1e-3


@dataclass(frozen=True, eq=False)
class Fit:
    """What `Plan.fit` did.

    Attributes
    ----------
    plan : Plan
        The one that was fitted.
    history : DataFrame
        One row an epoch: ``epoch``, ``loss``, ``held_out`` (the loss on held-out pairs; NaN where there are none).
    evaluation : Evaluation
        Interchange accuracy on held-out pairs (on those learned from, where none were held out).
    controls : tuple of Evaluation
        The same for what should do worse; see `mechviz.interventions.controls`.
    stopped : bool
        Whether it ended early.
    n_used, n_dropped : int
        Pairs that were learned from, and those that could not be run or whose score does not change.
    """

    plan: Plan
    history: pd.DataFrame
    evaluation: Evaluation
    controls: tuple[Evaluation, ...] = ()
    stopped: bool = False
    n_used: int = 0
    n_dropped: int = 0

    def to_dataframe(self) -> pd.DataFrame:
        """Return the plan and its controls, one row each: ``name``, ``accuracy``, ``low``, ``high``, ``n_used``."""
        rows = [(one.name, one.value, one.low, one.high, one.n_used) for one in (self.evaluation, *self.controls)]
        return pd.DataFrame(rows, columns=["name", "accuracy", "low", "high", "n_used"])

    def _repr_html_(self) -> str:
        """Return the plan beside its controls as a plain table, for notebooks."""
        return str(self.to_dataframe().to_html(index=False, float_format="{:.3f}".format))

    def __repr__(self) -> str:
        early = ", stopped early" if self.stopped else ""
        dropped = f", {self.n_dropped} dropped" if self.n_dropped else ""
        first = (
            f"Fit({len(self.history)} epochs{early}, loss {self.history['loss'].iloc[0]:.3g} -> "
            f"{self.history['loss'].iloc[-1]:.3g}, {self.n_used} pairs{dropped})"
        )
        return "\n  ".join([first, *map(repr, (self.evaluation, *self.controls))])


@dataclass(eq=False)
class Ready:
    """A batch with its scores and what is wanted of it, dims (row)."""

    batch: Batch
    base: Tensor
    source: Tensor
    wanted: Tensor
    taken: dict[int, Tensor] = field(default_factory=dict)
    keeps: bool = True

    def said(self) -> list[Any]:
        """Return what is learned from, so that another fit can be told from this one."""
        texts = [[one.number, one.seed(), *(one.seed(run) for run in range(len(one.sources)))] for one in self.batch.laid]
        return [*texts, self.wanted.tolist()]

    def patched(self) -> Tensor:
        """Return the patched scores, dims (row), with gradient where it is enabled."""
        if not self.keeps:
            self.taken = self.batch.sources()[1]
        scores = self.batch.patched(self.taken)
        if not self.keeps:
            self.batch.forget()
            self.taken = {}
        return scores


@dataclass(eq=False)
class Data:
    """The pairs of a fit.

    Attributes
    ----------
    train, test : list of Ready
    dropped : int
    """

    train: list[Ready]
    test: list[Ready]
    dropped: int

    @property
    def judged(self) -> list[Ready]:
        """What the plan is judged on."""
        return self.test or self.train

    @property
    def scale(self) -> float:
        """The root mean square of the score changes that are learned from: losses are in its units."""
        changes = torch.cat([one.source - one.base for one in self.train])
        return float(changes.square().mean().sqrt())


def fit(
    plan: Plan,
    ranker: Ranker,
    pairs: Any,
    targets: Any = None,
    controls: bool | str | Sequence[str] = False,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: bool = True,
    **how: Any,
) -> Fit:
    """Learn a plan's subspaces by gradient descent (AdamW); the ranker's weights are not touched.

    Each text's run up to the lowest layer that is edited, and what is taken from its sources, is computed once; a step runs the
    layers above only.

    Parameters
    ----------
    plan : Plan
        It is changed: what it has learned before is where it starts.
    ranker : Ranker
    pairs : as in `Plan.run`
        Pairs that cannot be run, or whose score does not change, are left out.
    targets : array, dims (pair), optional
        Wanted scores, as your `CausalModel.targets` gives them; those of the source runs by default.
    controls : bool or sequence of str
        What to compare with that should do worse, all or some by name: ``random subspace``, ``placebo``, ``shuffled targets``,
        ``random weights`` (see `mechviz.interventions.controls`). The last two fit again.
    checkpoint : path, optional
        A folder in which every epoch is kept; a fit with the same settings that finds one there goes on from it, to the same
        result.
    progress : bool
        Whether to show a bar.
    objective : str or callable
        ``source`` (default): the patched score shall be the source's. ``counterfactual``: it shall be ``targets``. ``margin``:
        it shall lie beyond the middle of base and wanted score, by half of the change. Or a function of (patched, base, wanted),
        dims (pair), that returns each pair's loss.
    epochs : int, default 10
    lr : float, default 0.01
        After the warm-up.
    schedule : ``"linear"`` (default), ``"cosine"`` or ``"constant"``
        How the learning rate falls after the warm-up.
    warmup : float, default 0.1
        Share of the steps in which it rises.
    temperatures : (float, float), default (50, 0.1)
        Of the sigmoids of Boundless DAS and masks, at the first and last step; it falls geometrically.
    batch_size : int, default 16
    held_out : float, default 0.2
        Share of the queries whose pairs are not learned from; of the pairs, where there is one query.
    patience : int, optional
        Stop after so many epochs without a better held-out loss, and go back to the best one.
    seed : int
        Of the order of batches and of what is held out.

    Returns
    -------
    Fit

    Raises
    ------
    InputError, InputTypeError
        Nothing to learn, settings that cannot be, no pair that can be used.
    NonFiniteError
        The loss became NaN or inf.
    """
    settings, names = How.of(how), check_controls(controls)
    pairs = list(pairs) if isinstance(pairs, Iterator) else pairs  # controls read them again
    if not any(one.trained and one.op.writes for one in plan.interventions):
        raise InputError("this plan has nothing to learn; give an intervention a subspace such as 'das', 'boundless' or 'mask'")
    if settings.objective == "counterfactual" and targets is None:
        raise InputError("objective='counterfactual' needs targets=, each pair's wanted score: CausalModel.targets(pairs, ...)")
    laid, reasons = plan.lay(ranker, pairs, "record")
    if not laid:
        raise InputError(f"no pair can be run; the first reason: {next(iter(reasons.values()))}")
    wanted = _targets(targets, len(laid) + len(reasons))
    compiled = plan.compile(ranker, laid)
    if any(compiled.into(number) >= 0 and one.trained for number, one in enumerate(plan.interventions)):
        raise InputError("in a serial plan only what acts in the base run (the highest source number) can be learned")
    with ranker.towers[compiled.stack].lock, still(ranker):
        data = make_data(compiled, laid, wanted, len(reasons), settings)
        history, stopped = learn(plan, data, settings, checkpoint, progress)
        plan.settle(ranker)
        evaluation = judge(data, compiled, "plan")
    found = compare(plan, ranker, data, pairs, wanted, settings, names) if names else []
    used = sum(len(one.batch) for one in data.train)
    return Fit(plan, history, evaluation, tuple(found), stopped, used, data.dropped)


def make_data(compiled: Compiled, laid: Sequence[Laid], wanted: Floats | None, dropped: int, how: How) -> Data:
    """Record the pairs of a fit, in batches of those that are learned from and of those that are held out."""
    train, test = _parts(compiled, laid, wanted, how)
    used = [one for ready in (*train, *test) for one, good in zip(ready.batch.laid, _changes(ready), strict=True) if good]
    if not used:
        raise InputError("no pair can be used: the score does not change from base to source in any of them")
    if len(used) < len(laid):
        train, test = _parts(compiled, used, wanted, how)
    left = MEMORY
    for ready in [*train, *test]:
        left -= ready.batch.size
        if left < 0:
            ready.keeps, ready.taken = False, {}
            ready.batch.forget()
    return Data(train, test, dropped + len(laid) - len(used))


def learn(
    plan: Plan, data: Data, how: How, checkpoint: str | os.PathLike[str] | None = None, progress: bool = False
) -> tuple[pd.DataFrame, bool]:
    """Descend; return the history and whether it ended early. The plan's coordinates are changed."""
    modules = list(plan.coordinates.values())
    learned = [parameter for module in modules for parameter in module.parameters()]
    optimizer = torch.optim.AdamW(learned, lr=how.lr, weight_decay=0.0)
    loss_of = _objective(how.objective, data.scale)
    steps = how.epochs * len(data.train)
    kept = Checkpoints(checkpoint, plan, how, [ready.said() for ready in [*data.train, *data.test]])
    history: list[dict[str, float]] = kept.restore(plan, optimizer)
    best_state = kept.best or None
    stopped = patient(history, how) is False
    bar = tqdm(total=steps, initial=len(history) * len(data.train), desc="fit", unit="step", disable=not progress)
    try:
        for epoch in range(len(history), how.epochs if not stopped else 0):
            order = np.random.default_rng([how.seed, epoch]).permutation(len(data.train))
            total, count = 0.0, 0
            for number, at in enumerate(order):
                step, ready = epoch * len(order) + number, data.train[at]
                for module in modules:
                    module.train()
                    module.temperature.fill_(how.temperature(step, steps))
                for group in optimizer.param_groups:
                    group["lr"] = how.rate(step, steps)
                loss = loss_of(ready.patched(), ready.base, ready.wanted).mean()
                for penalty in (module.penalty() for module in modules):
                    loss = loss if penalty is None else loss + penalty
                if not torch.isfinite(loss):
                    raise NonFiniteError(
                        f"the loss became {float(loss.detach())} in step {step}; use a smaller lr than {how.lr:g}"
                    )
                gradients = torch.autograd.grad(loss, learned, allow_unused=True)
                for parameter, gradient in zip(learned, gradients, strict=True):
                    parameter.grad = gradient
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
                total, count = total + float(loss.detach()) * len(ready.batch), count + len(ready.batch)
                bar.update()
            for module in modules:
                module.eval()
            history.append({"epoch": epoch, "loss": total / count, "held_out": _loss(data.test, loss_of)})
            bar.set_postfix(loss=f"{history[-1]['loss']:.3g}")
            goes_on = patient(history, how)
            if goes_on:
                best_state = {name: copy.deepcopy(module.state_dict()) for name, module in plan.coordinates.items()}
            kept.save(plan, optimizer, history, best_state or {})
            if goes_on is False:
                stopped = True
                break
    finally:
        bar.close()
        for module in modules:
            module.eval()
    for name, state in (best_state or {}).items():
        plan.coordinates[name].load_state_dict(state)
    return pd.DataFrame(history), stopped


def _loss(data: Sequence[Ready], loss_of: Objective) -> float:
    """Return the mean loss without penalties; NaN without data."""
    with torch.no_grad():
        losses = [loss_of(one.patched(), one.base, one.wanted) for one in data]
    return float(torch.cat(losses).mean()) if losses else math.nan


def _objective(objective: str | Objective, scale: float) -> Objective:
    if callable(objective):
        return _checked(objective)
    if objective == "margin":
        return lambda patched, base, wanted: _margin(patched, base, wanted, scale)
    return lambda patched, base, wanted: ((patched - wanted) / scale).square()


def _margin(patched: Tensor, base: Tensor, wanted: Tensor, scale: float) -> Tensor:
    """Return 0 where the patched score is half of the change beyond the middle: at the wanted one."""
    change = wanted - base
    beyond = change.sign() * (patched - (base + wanted) / 2) / change.abs().clamp_min(STILL * scale)
    # Where the wanted score is the base's there is no middle: the patched one shall stay.
    return torch.where(change.abs() < STILL * scale, (patched - wanted).abs() / scale, F.relu(MARGIN - beyond))


def _checked(objective: Objective) -> Objective:
    """Return an objective of the user's own that says when it returns something else than one number a pair."""

    def loss_of(patched: Tensor, base: Tensor, wanted: Tensor) -> Tensor:
        losses = objective(patched, base, wanted)
        if not isinstance(losses, Tensor) or losses.shape != patched.shape:
            got = tuple(losses.shape) if isinstance(losses, Tensor) else shown(losses)
            raise InputError(f"the objective returned {got} for {len(patched)} pairs; return a tensor, one number a pair")
        return losses

    return loss_of


def _ready(compiled: Compiled, laid: Sequence[Laid], wanted: Floats | None, batch_size: int) -> list[Ready]:
    found = []
    for batch in batches(compiled, laid, check_batch(batch_size)):
        base = batch.record()
        scores, taken = batch.sources()
        own = None if wanted is None else torch.as_tensor(wanted[[one.number for one in batch.laid]], dtype=base.dtype)
        if own is None and not scores:
            raise InputError("without targets the wanted score is that of the source run, and these pairs have no perturbed text")
        aim = scores[-1] if own is None else own.to(base.device)
        found.append(Ready(batch, base, scores[-1] if scores else aim, aim, taken))
    return found


def _parts(compiled: Compiled, laid: Sequence[Laid], wanted: Floats | None, how: How) -> tuple[list[Ready], list[Ready]]:
    """Return the batches of what is learned from, and of what is held out."""
    held = _held_out(laid, how)
    parts = [[one for one in laid if (one.number in held) == tested] for tested in (False, True)]
    train, test = (_ready(compiled, part, wanted, how.batch_size) for part in parts)
    return train, test


def _changes(ready: Ready) -> NDArray[np.bool_]:
    base, source = (value.cpu().numpy() for value in (ready.base, ready.source))
    good: NDArray[np.bool_] = passes_gate(base, source - base)
    return good


def _held_out(laid: Sequence[Laid], how: How) -> set[int]:
    """Return the numbers of the pairs that are not learned from: those of some queries, or some of one query's."""
    queries = sorted({one.query_id for one in laid})
    names = queries if len(queries) > 1 else sorted(one.number for one in laid)
    count = min(round(how.held_out * len(names)), len(names) - 1)
    held = drawn(names, count, how.seed)
    return {one.number for one in laid if (one.query_id if len(queries) > 1 else one.number) in held}


def _targets(targets: Any, count: int) -> Floats | None:
    if targets is None:
        return None
    wanted = as_array("targets", targets).ravel()
    if len(wanted) != count:
        raise InputError(f"targets has {len(wanted)} scores for {count} pairs; give one a pair")
    return wanted
