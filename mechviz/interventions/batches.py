"""Pairs that run together under a plan: recorded once, and run again from the lowest layer that is edited."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from mechviz.errors import InputError
from mechviz.interventions.coordinates import Coordinates
from mechviz.interventions.intervention import Intervention, sources_of
from mechviz.interventions.laid import Laid
from mechviz.interventions.ops import Seen
from mechviz.interventions.positions import together
from mechviz.patching.edits import HEAD_FIRST, BatchEdit
from mechviz.patching.kernel import run_layers
from mechviz.patching.runs import Call, calls_of, keeping, readouts_of
from mechviz.rankers.ranker import Ranker

#: What is at an intervention's positions in a source run, by its number, dims (row, unit, feature).
Sources = Mapping[int, Tensor]
#: How much longer than the shortest the longest text of a batch may be.
_STRETCH = 1.25


@dataclass(frozen=True, eq=False)
class Compiled:
    """A plan that has met a ranker.

    Attributes
    ----------
    ranker : Ranker
    stack : str
        The one that is entered again.
    interventions : tuple of Intervention
    coordinates : sequence of Coordinates or None
        One an intervention; None where it acts on features as they are.
    serial : bool
    """

    ranker: Ranker
    stack: str
    interventions: tuple[Intervention, ...]
    coordinates: Sequence[Coordinates | None]
    serial: bool = False

    @property
    def n_sources(self) -> int:
        """How many source runs there are."""
        return sources_of(self.interventions)

    def into(self, number: int) -> int:
        """Return the run that an intervention edits: -1 for the base run, or that of a source run in a chain."""
        run = self.interventions[number].run
        return -1 if not self.serial or run is None or run + 1 >= self.n_sources else run + 1

    def edited(self, run: int) -> list[int]:
        """Return the numbers of the interventions in a run."""
        return [number for number in range(len(self.interventions)) if self.into(number) == run]

    def read(self, run: int) -> list[int]:
        """Return the numbers of the interventions that take something from a source run."""
        return [number for number, one in enumerate(self.interventions) if one.run == run]

    @property
    def entry(self) -> int:
        """The layer at which the stack is entered for the base run: -1 for the whole model."""
        tower, part = self.ranker.towers[self.stack], self.ranker.stack(self.stack)
        layers = [tower.layer_of(self.hook(number, -1), part) for number in self.edited(-1)]
        return min(layers, default=part.n_layers)

    def hook(self, number: int, run: int) -> str:
        """Return where an intervention edits a run: what leaves a layer is edited in the base run where it enters the next one.

        So the layer itself, which is the same as ever, is not run again.
        """
        one, part = self.interventions[number], self.ranker.stack(self.stack)
        blocks, _, rest = one.hook.partition(".")
        layer, _, site = rest.partition(".")
        if run >= 0 or blocks != part.blocks.name or site != "hook_resid_post" or one.op.name == "skip":
            return one.hook
        if int(layer) + 1 == part.n_layers:  # a norm of the stack's may follow
            return one.hook
        following = part.hook(int(layer) + 1, "resid_pre")
        # Edits at both are made in this order, whatever the order in which they are given.
        return one.hook if any(other.hook == following for other in self.interventions) else following


@dataclass(eq=False)
class Batch:
    """Some pairs, padded to one length.

    Attributes
    ----------
    plan : Compiled
    laid : list of Laid
    calls : list of Call
        As in `Run`; filled by `record`.
    """

    plan: Compiled
    laid: list[Laid]
    calls: list[Call] = field(default_factory=list)
    _entering: Tensor | None = None
    _reads: Tensor | None = None

    def __post_init__(self) -> None:
        self.device = self.plan.ranker.towers[self.plan.stack].device
        self._readouts = readouts_of(self.plan.ranker, self.plan.stack, [one.rest for one in self.laid])
        self._where: dict[tuple[int, int], tuple[Tensor, Tensor] | None] = {}

    def __len__(self) -> int:
        return len(self.laid)

    # -- running -------------------------------------------------------------------------------------------------

    def record(self) -> Tensor:
        """Run the base texts as they are, keep where the plan enters, and return the scores, dims (row)."""
        plan, entry = self.plan, self.plan.entry
        tower, part = plan.ranker.towers[plan.stack], plan.ranker.stack(plan.stack)
        kept: dict[str, Tensor] = {}
        hooks: list[Any] = [(part.hook(entry, "resid_pre"), keeping(kept))] if 0 <= entry < part.n_layers else []
        self.calls.clear()
        with torch.no_grad(), tower.hooks(hooks), calls_of(part, self.calls):
            hidden, self._reads = plan.ranker.encode([one.base for one in self.laid], plan.stack)
            scores = self._read(hidden, self._reads)
        self._entering = next(iter(kept.values()), hidden)
        return self._finite(scores)

    def sources(self) -> tuple[list[Tensor], dict[int, Tensor]]:
        """Run the source texts, in a chain where the plan is serial.

        Returns
        -------
        tuple
            The scores of each source run as it is, dims (row), and what the interventions take from them.
        """
        found: dict[int, Tensor] = {}
        scores = []
        for run in range(len(self.laid[0].sources)):
            edited = self.plan.edited(run)
            with torch.no_grad():
                plain = self.whole(run, {}, found if not edited else {}, [] if edited else self.plan.read(run))
                scores.append(self._finite(plain))
                if edited:
                    self.whole(run, {number: found[number] for number in edited}, found, self.plan.read(run))
        return scores, found

    def whole(self, run: int, edits: Sources, into: dict[int, Tensor], read: Sequence[int]) -> Tensor:
        """Run a text from its first layer on, edit it, and put into ``into`` what interventions take from it."""
        plan = self.plan
        tower = plan.ranker.towers[plan.stack]

        def taker(number: int) -> BatchEdit:
            def take(old: Tensor, activation: Tensor) -> None:
                into[number] = old.detach()

            return self._batch_edit(number, run, take, source=True)

        hooks: list[Any] = [hook for number in edits for hook in self.hooks(number, run, edits[number])]
        hooks += [(plan.interventions[number].hook, taker(number)) for number in read]
        with tower.hooks(hooks):
            hidden, reads = plan.ranker.encode([one.inputs(run) for one in self.laid], plan.stack)
            return self._read(hidden, reads)

    def patched(self, sources: Sources, collected: dict[int, Tensor] | None = None) -> Tensor:
        """Return the scores of the base texts with the plan's edits, dims (row), with gradient where it is enabled."""
        plan, entry = self.plan, self.plan.entry
        tower, part = plan.ranker.towers[plan.stack], plan.ranker.stack(plan.stack)
        if self._entering is None:
            self.record()
        hooks: list[Any] = [hook for number in plan.edited(-1) for hook in self.hooks(number, -1, sources.get(number), collected)]
        assert self._entering is not None
        assert self._reads is not None
        with tower.hooks(hooks), plan.ranker.running(plan.stack):
            if entry < 0:
                return self._read(*plan.ranker.encode([one.base for one in self.laid], plan.stack))
            hidden = self._entering
            return self._read(hidden if entry == part.n_layers else run_layers(part, self, entry, hidden), self._reads)

    def forget(self) -> None:
        """Give up what was recorded."""
        self._entering = self._reads = None
        self.calls.clear()

    @property
    def size(self) -> int:
        """Bytes that are kept between runs."""
        length = max(len(one.tokens()) for one in self.laid)
        d_model = self.plan.ranker.stack(self.plan.stack).d_model
        return 4 * len(self) * length * (d_model + length)  # the residual stream and the mask

    # -- edits ---------------------------------------------------------------------------------------------------

    def hooks(
        self, number: int, run: int, source: Tensor | None, collected: dict[int, Tensor] | None = None
    ) -> Iterator[tuple[str, Any]]:
        """Yield the hooks of one intervention, in the order in which they are to be added."""
        one, coordinates = self.plan.interventions[number], self.plan.coordinates[number]
        entered: dict[str, Tensor] = {}
        yield from entering(one, entered)

        def change(old: Tensor, activation: Tensor) -> Tensor | None:
            if collected is not None and one.op.name == "collect":
                collected[number] = (coordinates.encode(old.float()) if coordinates is not None else old.float()).detach()
            if not one.op.writes:
                return None
            inside = edit.gather(entered["here"]) if entered else None
            return changed(
                one, coordinates, old, self._source(one, old, source), self._seen(number, edit, activation, run, inside)
            )

        edit = self._batch_edit(number, run, change)
        yield self.plan.hook(number, run), edit

    def _seen(self, number: int, edit: BatchEdit, activation: Tensor, run: int, entered: Tensor | None) -> Seen:
        coordinates = self.plan.coordinates[number]
        encode = (lambda features: features) if coordinates is None else coordinates.encode
        if not self.plan.interventions[number].op.whole:
            return Seen(edit, activation, encode, entered)
        mask = torch.zeros(len(self), edit.features(activation).shape[1], dtype=torch.bool, device=activation.device)
        for row, one in enumerate(self.laid):
            own = torch.as_tensor(one.tokens(run).mask.copy())[: mask.shape[1]]
            mask[row, : len(own)] = own.to(mask.device)
        return Seen(edit, activation, encode, entered, mask, [one.seed(run) for one in self.laid])

    @staticmethod
    def _source(one: Intervention, old: Tensor, source: Tensor | None) -> Tensor | None:
        if one.stored is None:
            return source
        return stored_as(one, old)

    def _batch_edit(self, number: int, run: int, change: Any, source: bool = False) -> BatchEdit:
        one = self.plan.interventions[number]
        where = self.where(number, run, source)
        positions, mask = where if where is not None else (None, None)
        return BatchEdit(one.hook, change, one.heads, positions, mask)

    def where(self, number: int, run: int, source: bool = False) -> tuple[Tensor, Tensor] | None:
        """Return the positions of an intervention in a run and which of them are meant, dims (row, unit); None for everywhere.

        Raises
        ------
        InputError
            Positions that a text does not have, or not as many as the source has.
        """
        if (number, run) not in self._where:
            self._where[number, run] = self._find(number, run, source)
        return self._where[number, run]

    def _find(self, number: int, run: int, source: bool) -> tuple[Tensor, Tensor] | None:
        one = self.plan.interventions[number]
        asked = one.source_positions if source and one.source_positions is not None else one.positions
        own_text = self._reads_text(one)
        by_key = one.hook.rpartition(".")[2] in HEAD_FIRST  # there, a feature is a position too
        if one.run is not None and (asked is None or by_key) and (own_text or _of_keys(one.hook)):
            self._check_lengths(one, one.run, self.plan.into(number))
        if asked is None:
            return None
        found = []
        for laid in self.laid:
            at = run if laid.beside is None else -1  # beside each other, a position has one name in both
            found.append(asked.of(laid.number, laid.tokens(at), laid.classes(at) if own_text else None, laid.query))
        if source and [len(row) for row in found] != [len(row) for row in self._base_positions(number)]:
            raise InputError(f"{one}: base and source have different numbers of such positions; align the texts or say others")
        return together(found, self.device)

    def _check_lengths(self, one: Intervention, source: int, base: int) -> None:
        for laid in self.laid:
            lengths = [len(laid.tokens(run)) for run in (source, base)]
            if lengths[0] != lengths[1]:
                raise InputError(
                    f"{one}: the base text has {lengths[1]} positions and the source {lengths[0]}, so that everywhere "
                    "does not mean the same place; say positions that both have, or leave aligned at True"
                )

    def _base_positions(self, number: int) -> list[Any]:
        where = self.where(number, self.plan.into(number))
        assert where is not None
        return [row[kept].tolist() for row, kept in zip(where[0], where[1], strict=True)]

    def _reads_text(self, one: Intervention) -> bool:
        """Return whether an intervention's hook has the positions of the text (a decoder's first step has one of its own)."""
        parts = self.plan.ranker.towers[self.plan.stack].stacks.values()
        names = (one.hook, one.hook.partition(".")[0])
        decoded = any(part.first > 0 and {part.blocks.embed_name, part.blocks.name} & set(names) for part in parts)
        return not decoded or one.hook.endswith(("cross_attn.hook_k", "cross_attn.hook_v"))

    # -- scores --------------------------------------------------------------------------------------------------

    def _read(self, hidden: Tensor, reads: Tensor) -> Tensor:
        if len({id(one) for one in self._readouts}) == 1:
            return self._readouts[0](hidden, reads)
        rows = enumerate(self._readouts)
        return torch.cat([readout(hidden[row : row + 1], reads[row : row + 1]) for row, readout in rows])

    def _finite(self, scores: Tensor) -> Tensor:
        if not torch.isfinite(scores).all():
            with torch.no_grad():
                raise self.plan.ranker.first_non_finite(lambda: self.plan.ranker.score_inputs([one.base for one in self.laid]))
        return scores


def _of_keys(hook: str) -> bool:
    """Return whether a hook of a decoder's attention to the encoder has the positions of the encoder's text."""
    return ".cross_attn.hook_" in hook and not hook.endswith(("_q", "_z"))


def entering(one: Intervention, entered: dict[str, Tensor]) -> Iterator[tuple[str, Any]]:
    """Yield the hook that keeps what enters the layer which an intervention skips, where it skips one."""
    if one.op.name == "skip" and one.hook.endswith("hook_resid_post"):
        yield one.hook.replace("hook_resid_post", "hook_resid_pre"), lambda value, hook: entered.update(here=value)


def stored_as(one: Intervention, old: Tensor) -> Tensor:
    """Return the stored source of an intervention as what is at its positions, dims (row, unit, feature).

    Raises
    ------
    InputError
        It has neither one feature nor as many as there are.
    """
    assert one.stored is not None
    if len(one.stored) not in (1, old.shape[-1]):
        raise InputError(f"the stored source has {len(one.stored)} features, and {one.hook} has {old.shape[-1]} here")
    return torch.as_tensor(one.stored.copy(), device=old.device).expand(old.shape)


def changed(one: Intervention, coordinates: Coordinates | None, old: Tensor, source: Tensor | None, seen: Seen) -> Tensor:
    """Return what an intervention makes of the features at its positions, dims (row, unit, feature), float32."""
    base = old.float()
    given = None if source is None else source.float()
    if coordinates is None:
        found: Tensor = one.op.new(base, given, seen)
        return found
    inside = coordinates.encode(base)
    new = one.op.new(inside, None if given is None else coordinates.encode(given), seen)
    return base + coordinates.decode(new - inside)


def batches(plan: Compiled, laid: Sequence[Laid], batch_size: int) -> list[Batch]:
    """Return pairs in batches of like length, longest first."""
    order = sorted(laid, key=lambda one: (-len(one.tokens()), one.number))
    found: list[list[Laid]] = []
    for one in order:
        full = not found or len(found[-1]) >= batch_size or len(one.sources) != len(found[-1][0].sources)
        if full or len(found[-1][0].tokens()) > _STRETCH * len(one.tokens()) + 2:
            found.append([])
        found[-1].append(one)
    return [Batch(plan, members) for members in found]


@contextmanager
def still(ranker: Ranker) -> Iterator[None]:
    """Keep a ranker's weights out of the graph for the time of a block: only a plan's own parameters get gradients."""
    modules: list[nn.Module] = [*dict.fromkeys(tower.model for tower in ranker.models), ranker.extra]
    learned = [parameter for module in modules for parameter in module.parameters() if parameter.requires_grad]
    try:
        for parameter in learned:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in learned:
            parameter.requires_grad_(True)
