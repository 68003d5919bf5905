"""Interventions on any PyTorch module: its submodules are the hooks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Self

import torch
from torch import Tensor, nn
from typing_extensions import override

from mechviz.errors import InputError, InputTypeError, shown
from mechviz.interventions.batches import changed
from mechviz.interventions.coordinates import Coordinates
from mechviz.interventions.intervention import Intervention, sources_of
from mechviz.interventions.ops import Seen
from mechviz.interventions.places import Call, Place, call_of, close, place_of
from mechviz.interventions.plan import Plan
from mechviz.interventions.positions import Where, together
from mechviz.patching.edits import BatchEdit


def wrap(module: nn.Module, interventions: Intervention | Sequence[Intervention] | Plan, example: Any = None) -> Wrapped:
    """Put interventions on a module of any kind, which is used in place of it.

    All that is promised is that every hook fires; it is checked in every call. For rankers, whose sites this package knows, see
    `Plan`.

    Parameters
    ----------
    module : Module
        It is not copied, and behaves as before when it is called itself.
    interventions : Intervention, sequence of Intervention, or Plan
        Their hooks are paths of submodules, as ``module.named_modules()`` has them: ``"encoder.layer.3"`` is what this submodule
        returns, and so is ``"encoder.layer.3.output"`` where no submodule has that path; ``"encoder.layer.3.input"`` is what it
        is called with; ``"input"`` and ``"output"`` are those of ``module`` itself. Of several tensors the first one is meant.
        Activations have dims (row, pos, feature), or (row, feature) for one position. Positions are numbers, spans, or an array.
        A plan is what can be saved, with what it has learned: `Plan.save`, `Plan.load`.
    example : optional
        What the module may be called with, as one of ``sources`` of `Wrapped`. It is run once, to see how many features there are
        at hooks with a subspace that is learned, so that its parameters are there before an optimizer is made. It can be left
        out where the class of the hooked module tells it: linear layers, embeddings, norms, recurrent networks, and
        `torch.nn.Sequential` of these.

    Returns
    -------
    Wrapped

    Raises
    ------
    InputError, InputTypeError
        No such submodule, or an intervention that cannot be made on modules of any kind.

    Examples
    --------
    >>> from torch import nn, ones
    >>> from mechviz.interventions import Intervention, wrap
    >>> wrapped = wrap(nn.Sequential(nn.Linear(2, 2), nn.ReLU()), Intervention("0", op="zero"))
    >>> wrapped(ones(1, 2)).tolist()
    [[0.0, 0.0]]
    """
    return Wrapped(module, interventions, example)


class Wrapped(nn.Module):
    """A module with interventions; see `wrap`.

    Its parameters are those of the module, which get gradients as ever, and those of subspaces that are learned. Edits are
    computed in float32, and coordinates stay float32 whatever the module is converted to.

    Attributes
    ----------
    module : Module
    plan : Plan
    coordinates : ModuleDict
        Of each subspace, by key (``#0`` for the first intervention without one).
    collected : dict of str to Tensor
        What interventions with the op ``collect`` saw in the last call, by hook, dims (row, unit, feature or coordinate).
    """

    def __init__(self, module: nn.Module, interventions: Any, example: Any = None) -> None:
        super().__init__()
        if not isinstance(module, nn.Module):
            raise InputTypeError(f"module must be a torch.nn.Module, not {shown(module)}")
        self.module = module
        self.plan = interventions if isinstance(interventions, Plan) else Plan(interventions)
        if self.plan.mode != "parallel":
            raise InputError("a serial plan runs on rankers only; here every source acts in the one call: use mode='parallel'")
        for one in self.plan.interventions:
            _check(one)
        self._places = [place_of(module, one.hook) for one in self.plan.interventions]
        for number, place in enumerate(self._places):
            if place.width is not None:
                self._meet(number, place.width)
        if example is not None:
            self._see(call_of(example))
        for number, one in enumerate(self.plan.interventions):
            if one.trained and self._made()[number] is None:
                raise InputError(
                    f"{one} learns, and the class of the module there ({type(self._places[number].module).__name__}) does not "
                    "tell how many features it has; give wrap(..., example=...), what the module may be called with"
                )
        self.coordinates = nn.ModuleDict(self.plan.coordinates)
        self.training = module.training  # not self.train(), or parts of the module in another mode would be put in this one
        self.coordinates.train(module.training)
        self.collected: dict[str, Tensor] = {}

    @override
    def forward(self, *args: Any, sources: Sequence[Any] | None = None, mask: Tensor | None = None, **kwargs: Any) -> Any:
        """Call the module under the interventions.

        Parameters
        ----------
        *args, **kwargs
            For the module.
        sources : list, optional
            What the module is called with in each source run: (args, kwargs), a tuple of arguments, a dict of them by name, or
            one tensor. These calls come first, without interventions and without gradient.
        mask : bool Tensor, dims (row, pos), optional
            Which positions are no padding, for the ops ``mean`` and ``noise``; all by default.

        Returns
        -------
        What the module returns.

        Raises
        ------
        InputError
            A hook that did not fire, or several times where it must do so once; activations that do not fit.
        """
        taken = self._sources([] if sources is None else sources)
        collected: dict[str, Tensor] = {}
        entered: dict[int, Tensor] = {}
        acts = [self._edit(number, taken.get(number), mask, entered, collected) for number in range(len(self._places))]
        skips = [number for number, one in enumerate(self.plan.interventions) if one.op.name == "skip"]
        with self._listening(dict(enumerate(acts))), ExitStack() as hooks:
            for number in skips:  # behind the edits of what enters
                before = Place(self._places[number].hook, self._places[number].module, "input")
                hooks.callback(before.listen(_keeping(entered, number)).remove)
            returned = self.module(*args, **kwargs)
        self.collected = collected
        return returned

    def penalty(self) -> Tensor:
        """Return what learned masks and boundaries add to a loss."""
        found = [one.penalty() for one in self.plan.coordinates.values()]
        return sum((one for one in found if one is not None), start=torch.zeros(()))

    def set_temperature(self, temperature: float) -> None:
        """Set the temperature of the sigmoids of learned masks and boundaries, which falls in training, as from 50 to 0.1."""
        for one in self.plan.coordinates.values():
            one.temperature.fill_(temperature)

    # -- hooks ---------------------------------------------------------------------------------------------------

    @contextmanager
    def _listening(self, acts: dict[int, Callable[[Tensor], Tensor | None]], once: bool = False) -> Iterator[None]:
        """Let interventions see their activations in one call of the module, and check that all do."""
        fired: Counter[int] = Counter()

        def counting(number: int) -> Callable[[Tensor], Tensor | None]:
            def act(activation: Tensor) -> Tensor | None:
                fired[number] += 1
                if fired[number] > 1 and (once or not self.plan.interventions[number].op.writes):
                    raise InputError(
                        f"the module at hook {self._places[number].hook!r} runs several times in one call, so that what is taken "
                        "from it is not one thing; hook a module around it"
                    )
                hook = self._places[number].hook
                new = acts[number](_by_position(activation, hook))
                return None if new is None else new.reshape(activation.shape)

            return act

        with ExitStack() as hooks:
            for number in acts:
                hooks.callback(self._places[number].listen(counting(number)).remove)
            yield
        for number in acts:
            if not fired[number]:
                hook = self._places[number].hook
                raise InputError(
                    f"the module at hook {hook!r} did not run, so that nothing was done there; {close(self.module, hook)}"
                )

    def _edit(
        self, number: int, source: Tensor | None, mask: Tensor | None, entered: dict[int, Tensor], collected: dict[str, Tensor]
    ) -> Callable[[Tensor], Tensor | None]:
        one, hook = self.plan.interventions[number], self._places[number].hook

        def act(activation: Tensor) -> Tensor | None:
            self._meet(number, activation.shape[-1], activation.device)
            coordinates = self._made()[number]
            encode = (lambda features: features) if coordinates is None else coordinates.encode

            def change(old: Tensor, whole: Tensor) -> Tensor | None:
                if one.op.name == "collect":
                    collected[hook if hook not in collected else f"{hook} #{number}"] = encode(old.float()).detach()
                if not one.op.writes:
                    return None
                before = edit.gather(_alike(entered[number], whole, hook)) if number in entered else None
                seen = Seen(edit, whole, encode, before, _mask(one, mask, whole), range(len(whole)))
                return changed(one, coordinates, old, _given(one, source, old), seen)

            edit = BatchEdit(hook, change, None, *_places_in(one.positions, activation))
            return edit(activation)

        return act

    def _sources(self, sources: Sequence[Any]) -> dict[int, Tensor]:
        """Run the sources, and return what each intervention takes from its own, dims (row, unit, feature)."""
        needed = sources_of(self.plan.interventions)
        if not isinstance(sources, (list, tuple)) or len(sources) != needed:
            raise InputError(
                f"sources={shown(sources)}: these interventions take from {needed} source run{'' if needed == 1 else 's'}; "
                "give a list of what the module is called with in each"
            )
        taken: dict[int, Tensor] = {}
        for run, call in enumerate(map(call_of, sources)):
            read = [number for number, one in enumerate(self.plan.interventions) if one.run == run]
            with torch.no_grad(), self._listening({number: self._take(number, taken) for number in read}, once=True):
                self.module(*call.args, **call.kwargs)
        return taken

    def _take(self, number: int, taken: dict[int, Tensor]) -> Callable[[Tensor], None]:
        one = self.plan.interventions[number]

        def act(activation: Tensor) -> None:
            where = one.source_positions if one.source_positions is not None else one.positions
            edit = BatchEdit(one.hook, lambda old, whole: None, None, *_places_in(where, activation))
            taken[number] = edit.gather(activation).clone()  # the module may go on in place

        return act

    # -- coordinates ---------------------------------------------------------------------------------------------

    def _made(self) -> list[Coordinates | None]:
        return self.plan.made()

    def _meet(self, number: int, width: int, device: torch.device | None = None) -> None:
        """Make the coordinates of an intervention; those that are learned are there before the first call."""
        self.plan.build(number, width)
        if self.plan.interventions[number].subspace is None:
            return
        name = self.plan.names()[number]
        if hasattr(self, "coordinates") and name not in self.coordinates:
            self.coordinates[name] = self.plan.coordinates[name].to(device).train(self.training)
        widths = [self.plan.coordinates[one].width if one in self.plan.coordinates else 0 for one in self.plan.names()]
        self.plan.met = {"ranker": type(self.module).__name__, "kind": "module", "weights_sha256": "", "widths": widths}

    def _see(self, example: Call) -> None:
        """Run the module once, at rest, to see how many features there are."""

        def seeing(number: int) -> Callable[[Tensor], None]:
            return lambda activation: self._meet(number, activation.shape[-1])

        modes = {one: one.training for one in self.module.modules()}
        try:
            self.module.eval()
            with torch.no_grad(), self._listening({number: seeing(number) for number in range(len(self._places))}):
                self.module(*example.args, **example.kwargs)
        finally:
            for one, training in modes.items():
                one.training = training

    @override
    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.coordinates.float()
        return self


def _keeping(kept: dict[int, Tensor], number: int) -> Callable[[Tensor], None]:
    def keep(activation: Tensor) -> None:
        kept[number] = activation

    return keep


def _by_position(activation: Tensor, hook: str) -> Tensor:
    """Return an activation with dims (row, pos, feature)."""
    if activation.dim() not in (2, 3) or not activation.is_floating_point():
        raise InputError(
            f"the activation at hook {hook!r} has dims {tuple(activation.shape)}, {activation.dtype}; edits are made where they "
            "are (row, feature) or (row, pos, feature), of floats"
        )
    return activation if activation.dim() == 3 else activation[:, None]


def _alike(entered: Tensor, whole: Tensor, hook: str) -> Tensor:
    """Return what entered a module, with the dims of what leaves it."""
    if entered.numel() != whole.numel() or entered.shape[0] != whole.shape[0] or entered.shape[-1] != whole.shape[-1]:
        raise InputError(
            f"skip at hook {hook!r}: what enters the module has dims {tuple(entered.shape)}, and what leaves it "
            f"{tuple(whole.shape)}, so that it cannot be left out; use another op"
        )
    return entered.reshape(whole.shape)


def _places_in(where: Where | None, activation: Tensor) -> tuple[Tensor | None, Tensor | None]:
    """Return positions and which of them are meant, dims (row, unit); None for everywhere."""
    if where is None:
        return None, None
    rows, size = activation.shape[:2]
    if where.rows is not None:
        if len(where.rows) != rows:
            raise InputError(f"positions are given for {len(where.rows)} rows, and there are {rows}; give one row each")
        return together([where.within(row, size, _no_names) for row in range(rows)], activation.device)
    positions = torch.as_tensor(where.within(0, size, _no_names), device=activation.device)
    return positions.expand(rows, -1), None


def _no_names(name: str) -> list[int]:
    raise InputError(f"positions={name!r}: a module has no text, and so no names in it; give numbers, spans or an array")


def _given(one: Intervention, source: Tensor | None, old: Tensor) -> Tensor | None:
    """Return what is taken from a source run, or the stored source, dims (row, unit, feature)."""
    if one.stored is not None:
        if one.stored.shape[-1] not in (1, old.shape[-1]):
            raise InputError(
                f"the stored source has {one.stored.shape[-1]} features, and the module at hook {one.hook!r} {old.shape[-1]}"
            )
        return torch.as_tensor(one.stored.copy(), device=old.device).expand(old.shape)
    if source is not None and source.shape != old.shape:
        raise InputError(
            f"{one}: what is taken from the source has dims {tuple(source.shape)}, and what is there {tuple(old.shape)} (row, "
            "unit, feature); give sources of as many rows, and positions that both have"
        )
    return source


def _mask(one: Intervention, mask: Tensor | None, whole: Tensor) -> Tensor:
    """Return which positions are no padding, dims (row, pos)."""
    if mask is None or not one.op.whole:
        return torch.ones(whole.shape[:2], dtype=torch.bool, device=whole.device)
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool or mask.shape != whole.shape[:2] or not mask.any(1).all():
        given = f"{mask.dtype}, dims {tuple(mask.shape)}" if isinstance(mask, Tensor) else shown(mask)
        raise InputError(
            f"mask must be bool, dims {tuple(whole.shape[:2])} at hook {one.hook!r}, true somewhere in every row; not {given}"
        )
    return mask.to(whole.device)


def _check(one: Intervention) -> None:
    """Refuse what needs a ranker."""
    if one.heads is not None:
        raise InputError(f"{one}: a module of any kind has no heads; take their features as subspace, a list of numbers")
    for where in (one.positions, one.source_positions):
        for item in () if where is None else where.items:
            if isinstance(item, str):
                _no_names(item)
    if one.op.name == "skip" and one.hook.rpartition(".")[2] == "input":
        raise InputError(f"{one}: skip puts what enters a module in place of what leaves it; hook the module's output")
