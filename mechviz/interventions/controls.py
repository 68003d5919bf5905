"""What a learned plan is compared with: if these do as well, nothing was found.

=====================  ==========================================================================================
``random subspace``    directions drawn at random, as many as were learned (a mask: the learned one, shuffled)
``placebo``            the activation moves as far as under the plan, in a direction drawn at random
``shuffled targets``   the plan fitted to the wanted scores of other pairs
``random weights``     the plan fitted to a ranker of the same shape with weights drawn at random
=====================  ==========================================================================================

They are the controls of interpretability by intervention: a subspace found by search can work without meaning anything (Makelov
et al. 2024), and so can a search on any network that is flexible enough (Sutter et al. 2025).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import override

from mechviz.errors import InputError, shown
from mechviz.interventions.batches import Compiled, still
from mechviz.interventions.coordinates import Columns, Coordinates, LearnedMask, Rotation
from mechviz.interventions.laid import listed
from mechviz.interventions.metrics import sum_up
from mechviz.rankers.ranker import Ranker
from mechviz.results import Evaluation

if TYPE_CHECKING:
    from mechviz.interventions.fitting import Data
    from mechviz.interventions.plan import Plan
    from mechviz.interventions.settings import How

Floats = NDArray[np.float64]
#: What they are called, in their order.
CONTROLS = ("random subspace", "placebo", "shuffled targets", "random weights")


def check_controls(controls: object) -> tuple[str, ...]:
    """Return which controls are wanted: all for True, none for False, or some by name.

    Raises
    ------
    InputError
    """
    if isinstance(controls, bool):
        return CONTROLS if controls else ()
    names = (controls,) if isinstance(controls, str) else tuple(controls) if isinstance(controls, (list, tuple)) else (controls,)
    if wrong := [name for name in names if name not in CONTROLS]:
        raise InputError(f"controls={shown(wrong[0])}; give True, or some of {', '.join(map(repr, CONTROLS))}")
    return names


def judge(data: Data, compiled: Compiled, name: str, dropped: int = 0) -> Evaluation:
    """Return interchange accuracy on what a plan is judged on, under other coordinates of the same plan."""
    columns: list[list[Floats]] = [[], [], [], []]
    queries: list[str] = []
    for ready in data.judged:
        ready.batch.plan, before = compiled, ready.batch.plan
        with torch.no_grad():
            values = (ready.patched(), ready.base, ready.source, ready.wanted)
        ready.batch.plan = before
        for column, value in zip(columns, values, strict=True):
            column.append(value.double().cpu().numpy())
        queries += [one.query_id for one in ready.batch.laid]
    patched, base, source, wanted = map(np.concatenate, columns)
    return sum_up("accuracy", patched, base, source, wanted, np.array(queries), dropped, name=name)


def compare(
    plan: Plan, ranker: Ranker, data: Data, pairs: Any, wanted: Floats | None, how: How, names: Sequence[str]
) -> list[Evaluation]:
    """Return the accuracy of each control that is named, as the plan's own."""
    laid = [one for ready in data.judged for one in ready.batch.laid]
    compiled = plan.compile(ranker, laid)
    makers: dict[str, Callable[[], Evaluation]] = {
        "random subspace": lambda: judge(data, _with(compiled, _random), "random subspace"),
        "placebo": lambda: judge(data, _with(compiled, _Placebo), "placebo"),
        "shuffled targets": lambda: _on_shuffled_targets(plan, ranker, data, compiled, how),
    }
    with ranker.towers[compiled.stack].lock, still(ranker):
        found = [makers[name]() for name in names if name in makers]
    return [*found, _on_random_weights(plan, ranker, pairs, wanted, how)] if "random weights" in names else found


def randomized(ranker: Ranker, seed: int = 0) -> Ranker:
    """Return a copy of a ranker whose weights are drawn at random, as its class draws them before training."""
    twin = copy.deepcopy(ranker)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for model in dict.fromkeys(tower.model for tower in twin.models):
            fresh: Any = type(model)(model.config)
            drawn = fresh.state_dict()  # it may have a pooler that this model was made without
            model.load_state_dict({name: drawn[name] for name in model.state_dict()})
    twin.name = f"{ranker.name} with random weights"
    return twin


def _on_shuffled_targets(plan: Plan, ranker: Ranker, data: Data, compiled: Compiled, how: How) -> Evaluation:
    from mechviz.interventions.fitting import learn

    shuffled = _fresh(plan)
    shuffled.meet(ranker, compiled.stack)
    aims = [ready.wanted for ready in data.train]
    order = torch.as_tensor(np.random.default_rng(how.seed).permutation(sum(map(len, aims))))
    changes = torch.cat([ready.wanted - ready.base for ready in data.train])[order]
    try:
        for ready, change in zip(data.train, torch.split(changes, [len(aim) for aim in aims]), strict=True):
            ready.wanted = ready.base + change
            ready.batch.plan = shuffled.compile(ranker, ready.batch.laid)
        learn(shuffled, data, replace(how, patience=None))
    finally:
        for ready, aim in zip(data.train, aims, strict=True):
            ready.wanted, ready.batch.plan = aim, compiled
    laid = [one for ready in data.judged for one in ready.batch.laid]
    return judge(data, shuffled.compile(ranker, laid), "shuffled targets")


def _on_random_weights(plan: Plan, ranker: Ranker, pairs: Any, wanted: Floats | None, how: How) -> Evaluation:
    from mechviz.interventions.fitting import fit

    twin, own = randomized(ranker, how.seed), _fresh(plan)
    options = {name: getattr(how, name) for name in how.__dataclass_fields__}
    targets = None if wanted is None else _carried_over(plan, ranker, twin, pairs, wanted)
    try:
        evaluation = fit(own, twin, pairs, targets=targets, progress=False, **options).evaluation
    except InputError:  # its score changes in no pair: there is nothing that could be found
        evaluation = Evaluation("accuracy", np.nan, np.nan, np.nan, 0, len(listed(pairs)))
    return replace(evaluation, name="random weights")


def _carried_over(plan: Plan, ranker: Ranker, twin: Ranker, pairs: Any, wanted: Floats) -> Floats:
    """Return targets that lie between another ranker's base and source scores where the given ones lie between this one's."""
    here, there = (_fresh(plan).run(one, pairs, on_error="record") for one in (ranker, twin))
    targets = np.zeros(len(wanted))
    numbers = here.pairs["number"].to_numpy(dtype=int)
    base, source = here.base_score.values, here.source_score.values[:, -1]
    share = (wanted[numbers] - base) / np.where(source == base, 1, source - base)
    targets[numbers] = there.base_score.values + share * (there.source_score.values[:, -1] - there.base_score.values)
    return targets


def _fresh(plan: Plan) -> Plan:
    """Return the plan before it learned anything, from another seed."""
    made = copy.copy(plan)
    made.coordinates, made.met, made.seed = {}, {}, plan.seed + 1
    return made


def _with(compiled: Compiled, change: Callable[[Coordinates], Coordinates]) -> Compiled:
    made: list[Coordinates | None] = []
    for one, own in zip(compiled.interventions, compiled.coordinates, strict=True):
        made.append(change(own) if own is not None and one.trained else own)
    return replace(compiled, coordinates=made)


def _random(coordinates: Coordinates) -> Coordinates:
    """Return coordinates of the same size in random directions."""
    if isinstance(coordinates, Columns):
        return Columns(_random(coordinates.shared), coordinates.first, coordinates.end)  # type: ignore[arg-type]
    made = copy.deepcopy(coordinates)
    random = np.random.default_rng(1)
    for module in made.modules():
        with torch.no_grad():
            if isinstance(module, Rotation):
                drawn = np.linalg.qr(random.standard_normal(tuple(module.weight.shape)))[0]
                module.weight.copy_(torch.as_tensor(drawn))
            elif isinstance(module, LearnedMask) and module.rotation is None:
                module.weight.copy_(module.weight[torch.as_tensor(random.permutation(len(module.weight)))])
    return made.eval()


class _Placebo(Coordinates):
    """The same coordinates, whose change goes in a random direction."""

    def __init__(self, own: Coordinates) -> None:
        super().__init__(own.width)
        self.own = own
        drawn = torch.as_tensor(np.random.default_rng(2).standard_normal(own.width), dtype=torch.float32)
        self.direction = drawn / drawn.norm()
        self.eval()

    @override
    def encode(self, features: Tensor) -> Tensor:
        return self.own.encode(features)

    @override
    def decode(self, change: Tensor) -> Tensor:
        moved: Tensor = self.own.decode(change)
        size: Tensor = torch.linalg.vector_norm(moved, dim=-1, keepdim=True)
        placed: Tensor = size * self.direction.to(moved.device)
        return placed
