"""A plan tied to a ranker: as a module inside another model, and at work while the ranker scores or generates."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from mechviz.errors import InputError, shown
from mechviz.interventions.batches import Batch, changed, entering, still, stored_as
from mechviz.interventions.coordinates import Coordinates
from mechviz.interventions.intervention import Intervention
from mechviz.interventions.ops import Seen
from mechviz.patching.edits import HEAD_FIRST, BatchEdit
from mechviz.rankers.ranker import Ranker
from mechviz.rankers.stack import Stack

if TYPE_CHECKING:
    from mechviz.interventions.plan import Plan

STEPS = ("every", "prompt")


class Bound(nn.Module):
    """A plan on a ranker, as a module.

    Its parameters are those that the plan learns; the ranker's weights are no part of it and get no gradient.

    Parameters
    ----------
    plan : Plan
    ranker : Ranker
    """

    def __init__(self, plan: Plan, ranker: Ranker) -> None:
        super().__init__()
        plan.meet(ranker)
        self.plan = plan
        self._ranker = [ranker]  # in a list, or its modules would become this module's
        self.coordinates = nn.ModuleDict(plan.coordinates)

    def forward(self, pairs: Any) -> Tensor:
        """Return the patched score of each pair, dims (pair), with gradient; ``pairs`` as in `Plan.run`.

        Raises
        ------
        InputError
            A pair that cannot be run.
        """
        (ranker,) = self._ranker
        laid, _ = self.plan.lay(ranker, pairs)
        training = self.training
        compiled = self.plan.compile(ranker, laid)
        for one in self.coordinates.values():
            one.train(training)  # meeting a ranker puts them at rest
        different = {len(one.sources) for one in laid}
        if len(different) > 1:
            raise InputError("pairs of one batch have different numbers of perturbed texts; give each number a batch of its own")
        batch = Batch(compiled, laid)
        with ranker.towers[compiled.stack].lock, still(ranker):
            batch.record()
            _, sources = batch.sources()
            return batch.patched(sources)


@contextmanager
def active(plan: Plan, ranker: Ranker, steps: str) -> Iterator[None]:
    """Let a plan act on all that a ranker does; see `Plan.active`."""
    if steps not in STEPS:
        raise InputError(f"steps={shown(steps)}; it is one of {', '.join(map(repr, STEPS))}")
    for one in plan.interventions:
        _check(one)
    stack = plan.meet(ranker, plan.stack)
    tower = ranker.towers[stack]
    hooks: list[tuple[str, Any]] = []
    with ExitStack() as opened:
        opened.enter_context(tower.lock)
        offsets = {part.blocks.name: _Offset() for part in tower.stacks.values()}
        for part in {part.blocks.name: part for part in tower.stacks.values()}.values():
            opened.callback(offsets[part.blocks.name].watch(part).remove)
        for name, one in zip(plan.names(), plan.interventions, strict=True):
            coordinates = plan.coordinates.get(name) if one.subspace is not None else None
            offset = offsets.get(one.hook.partition(".")[0]) or next(iter(offsets.values()))
            hooks += _hooks(one, coordinates, offset, steps)
        apart = ranker.stack_of("query") != ranker.stack_of("doc")  # then only one text is edited, as in `Plan.run`
        text = stack if apart else None
        opened.enter_context(ranker.hooks(hooks, stack=text) if text else tower.hooks(hooks))
        opened.enter_context(tower.running())
        yield


class _Offset:
    """How many positions of a text have been run before: generation runs one at a time after the prompt."""

    def __init__(self) -> None:
        self.value = 0

    def watch(self, part: Stack) -> Any:
        """Look at the cache that the layers are called with."""

        def look(module: nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
            cache = kwargs.get("past_key_values")
            self.value = 0 if cache is None else int(cache.get_seq_length())

        return part.runner.register_forward_pre_hook(look, with_kwargs=True)


def _hooks(one: Intervention, coordinates: Coordinates | None, offset: _Offset, steps: str) -> Iterator[tuple[str, Any]]:
    entered: dict[str, Tensor] = {}
    yield from entering(one, entered)

    def edit(activation: Tensor, hook: Any) -> Tensor | None:
        if not one.op.writes or (steps == "prompt" and offset.value > 0):
            return None
        by_position = activation.shape[2 if one.hook.rpartition(".")[2] in HEAD_FIRST else 1]
        positions = _positions(one, offset.value, by_position, len(activation), activation.device)
        if positions is not None and not positions.shape[1]:
            return None

        def change(old: Tensor, whole: Tensor) -> Tensor:
            source = None if one.stored is None else stored_as(one, old)
            encode = (lambda features: features) if coordinates is None else coordinates.encode
            inside = made.gather(entered["here"]) if entered else None
            seen = Seen(made, whole, encode, inside)
            return changed(one, coordinates, old, source, seen)

        made = BatchEdit(one.hook, change, one.heads, positions)
        return made(activation)

    yield one.hook, edit


def _positions(one: Intervention, before: int, here: int, rows: int, device: torch.device) -> Tensor | None:
    """Return where an intervention acts in the positions that are run now, of which ``before`` lie in the cache."""
    if one.positions is None:
        return None
    wanted: set[int] = set()
    for item in one.positions.items:
        start, end = item if isinstance(item, tuple) else (int(item), int(item) + 1)
        wanted.update(range(max(start, before), min(end, before + here)))
    found = sorted(at - before for at in wanted)
    return torch.tensor(found, dtype=torch.int64, device=device).expand(rows, -1)


def _check(one: Intervention) -> None:
    if one.run is not None:
        raise InputError(f"{one} takes activations from a source run, and here there is none; give it a stored vector as source")
    if one.op.whole:
        raise InputError(f"{one}: the op {one.op.name!r} needs the text without its padding; use plan.run, or a stored vector")
    if one.positions is not None:
        plain = one.positions.rows is None and all(not isinstance(item, str) for item in one.positions.items)
        if not plain or any(isinstance(item, int) and item < 0 for item in one.positions.items):
            raise InputError(
                f"{one}: while a ranker scores or generates, positions are whole numbers from the start, or everywhere"
            )
