"""Several interventions that act together, and what they learn."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from mechviz.errors import InputError, InputTypeError, shown
from mechviz.interventions.batches import Compiled, batches
from mechviz.interventions.coordinates import Columns, Coordinates, Rotation
from mechviz.interventions.intervention import Intervention, sources_of
from mechviz.interventions.laid import Laid, Layout, lay_all
from mechviz.interventions.outcomes import meant, result_of
from mechviz.interventions.subspaces import DAS
from mechviz.rankers.ranker import Ranker, check_ranker
from mechviz.results import DIRECTIONS, Evaluation, PlanResult

if TYPE_CHECKING:
    from mechviz.interventions.bound import Bound
    from mechviz.interventions.fitting import Fit

MODES = ("parallel", "serial")
#: Pairs of one forward pass.
BATCH = 16


class Plan:
    """Interventions that act together in one run.

    Parameters
    ----------
    interventions : Intervention or sequence of Intervention
    mode : ``"parallel"`` (default) or ``"serial"``
        Whether all act in the base run, each taking from its own source run; or in a chain: what takes from source run 0 acts
        in source run 1, and so on, the last in the base run.
    stack : str, optional
        For rankers that read query and document apart: whose text is edited; by default the one that is perturbed.
    direction, filler, truncate
        Which text is the base, how gaps are filled, and whether long texts are cut: as in `mechviz.make_pair`.
    aligned : bool, default True
        Whether base and source text are brought to one length with fillers, so that a position means the same place. With
        False they stay as they are, and positions are found in each.
    seed : int
        Of what is learned, at its start.

    Attributes
    ----------
    coordinates : dict of str to Coordinates
        What the subspaces are made of, by key (``#0`` for the first intervention without one): `torch.nn.Module`. Empty until
        a ranker is met, whose sizes settle theirs.

    Raises
    ------
    InputError, InputTypeError
        Interventions that do not go together.
    """

    def __init__(
        self,
        interventions: Intervention | Sequence[Intervention],
        mode: str = "parallel",
        stack: str | None = None,
        direction: str = DIRECTIONS[0],
        filler: Any = None,
        truncate: bool = False,
        aligned: bool = True,
        seed: int = 0,
    ) -> None:
        alone = isinstance(interventions, Intervention) or not isinstance(interventions, Iterable)
        listed = [cast(Intervention, interventions)] if alone else list(cast(Sequence[Intervention], interventions))
        if not listed or not all(isinstance(one, Intervention) for one in listed):
            raise InputTypeError(f"a plan is made of interventions, at least one, not {shown(interventions)}")
        if mode not in MODES:
            raise InputError(f"mode={shown(mode)}; it is one of {', '.join(map(repr, MODES))}")
        if direction not in DIRECTIONS:
            raise InputError(f"direction={shown(direction)}; it is one of {', '.join(map(repr, DIRECTIONS))}")
        if stack is not None and not isinstance(stack, str):
            raise InputTypeError(f"stack must be a name, not {shown(stack)}")
        if filler is not None and not isinstance(filler, str) and not callable(filler):
            raise InputTypeError(f"filler must be a word or a function, not {shown(filler)}")
        for name, value in (("truncate", truncate), ("aligned", aligned)):
            if not isinstance(value, bool):
                raise InputTypeError(f"{name} must be True or False, not {shown(value)}")
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            raise InputError(f"seed={shown(seed)}; give a whole number, at least 0")
        self.interventions = tuple(listed)
        self.mode, self.stack, self.direction, self.filler = mode, stack, direction, filler
        self.truncate, self.aligned, self.seed = truncate, aligned, seed
        self.coordinates: dict[str, Coordinates] = {}
        #: Of the ranker that was learned on, or else met last: its name, the hash of its weights, how many features each
        #: intervention has, and whether the plan is that ranker's (it has learned on it, or was loaded) and says so on another.
        self.met: dict[str, Any] = {}
        self._check_keys()

    # -- what it does --------------------------------------------------------------------------------------------

    def run(self, ranker: Ranker, pairs: Any, batch_size: int = BATCH, on_error: str = "raise") -> PlanResult:
        """Run pairs under the plan.

        Parameters
        ----------
        ranker : Ranker
        pairs : Pairs, Pair, TextPair, (query, doc[, perturbed]), or a list of these
            ``perturbed`` may be a list of texts, one a source run.
        batch_size : int
            Pairs in one forward pass; the numbers do not depend on it.
        on_error : ``"raise"`` (default) or ``"record"``
            What happens with a pair that cannot be run: its error is raised, or it is left out and its reason kept.

        Returns
        -------
        PlanResult
            Pairs in the order given.

        Raises
        ------
        InputError, InputTypeError
            A plan that does not fit the ranker, pairs that cannot be run.
        NonFiniteError
        """
        laid, reasons = self.lay(ranker, pairs, on_error)
        rows: dict[int, tuple[float, list[float], float]] = {}
        kept: dict[int, dict[int, Tensor]] = {}
        compiled = self.compile(ranker, laid)
        for batch in batches(compiled, laid, check_batch(batch_size)):
            collected: dict[int, Tensor] = {}
            with torch.no_grad(), compiled.ranker.towers[compiled.stack].lock:
                base = batch.record()
                scores, sources = batch.sources()
                patched = batch.patched(sources, collected)
            for row, one in enumerate(batch.laid):
                rows[one.number] = (float(base[row]), [float(score[row]) for score in scores], float(patched[row]))
                kept[one.number] = {number: meant(batch, number, row, value) for number, value in collected.items()}
        return result_of(self.interventions, [one for one in laid if one.number in rows], rows, kept, reasons)

    def evaluate(
        self,
        ranker: Ranker,
        pairs: Any,
        metric: str | Callable[..., Any] = "effect",
        targets: Any = None,
        batch_size: int = BATCH,
        confidence: float = 0.95,
    ) -> Evaluation:
        """Run pairs under the plan and sum up, with a bootstrap interval over queries.

        Parameters
        ----------
        ranker, pairs, batch_size
            As in `run`; pairs that cannot be run are counted as dropped.
        metric : str or callable, default ``"effect"``
            ``effect``: the |change|-weighted mean of effects, as in studies. ``raw``: the mean of patched - base. ``accuracy``:
            interchange accuracy, the share of pairs whose patched score is the wanted one, within half of the score change.
            Or a function of (patched, base, wanted), dims (pair), whose mean is taken.
        targets : array, dims (pair), optional
            Wanted scores, from your causal model; those of the source runs by default.
        confidence : float

        Returns
        -------
        Evaluation
        """
        from mechviz.interventions.metrics import evaluation

        result = self.run(ranker, pairs, batch_size, on_error="record")
        return evaluation(result, metric, targets, confidence)

    def fit(self, ranker: Ranker, pairs: Any, **options: Any) -> Fit:
        """Learn what is to be learned; the ranker is left as it is. See `mechviz.interventions.fit` for options and return."""
        from mechviz.interventions.fitting import fit

        return fit(self, ranker, pairs, **options)

    def bind(self, ranker: Ranker) -> Bound:
        """Return a `torch.nn.Module` that scores pairs under the plan; its parameters are those of the plan."""
        from mechviz.interventions.bound import Bound

        return Bound(self, ranker)

    def active(self, ranker: Ranker, steps: str = "every") -> AbstractContextManager[None]:
        """Let the plan act on whatever the ranker does in a ``with`` block: score, rank, or its model's ``generate``.

        Parameters
        ----------
        ranker : Ranker
        steps : ``"every"`` (default) or ``"prompt"``
            While text is generated: in every step, or in the prompt (the encoder, and the decoder's first step) only.

        Raises
        ------
        InputError
            Interventions that take something from a source run (there is none), or positions by name or pair.
        """
        from mechviz.interventions.bound import active

        return active(self, ranker, steps)

    # -- files ---------------------------------------------------------------------------------------------------

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write ``config.json`` and ``tensors.safetensors`` into a folder, which is made; see `load`.

        Raises
        ------
        InputError
            An op that is a function, or a filler that is one.
        """
        from mechviz.interventions.saving import save

        save(self, folder)

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Plan:
        """Read what `save` wrote.

        Raises
        ------
        FileNotFoundError
        MechvizError
            Broken, or of another format.
        """
        from mechviz.interventions.saving import load

        return load(folder)

    def push_to_hub(self, repo_id: str, private: bool = False) -> str:
        """Save to a repository of the Hugging Face hub and return its address; needs a network and a login."""
        from mechviz.interventions.saving import push

        return push(self, repo_id, private)

    @classmethod
    def from_hub(cls, repo_id: str, revision: str | None = None) -> Plan:
        """Load from a repository of the Hugging Face hub."""
        from mechviz.interventions.saving import pull

        return pull(repo_id, revision)

    # -- meeting a ranker ----------------------------------------------------------------------------------------

    @property
    def trained(self) -> bool:
        """Whether there is anything to learn."""
        return any(one.trained for one in self.interventions)

    def names(self) -> list[str]:
        """Return the name of each intervention's coordinates: its key, or its number."""
        return [one.key or f"#{number}" for number, one in enumerate(self.interventions)]

    def parameters(self) -> Iterator[nn.Parameter]:
        """Yield what is learned."""
        for one in self.coordinates.values():
            yield from one.parameters()

    def meet(self, ranker: Ranker, stack: str | None = None) -> str:
        """Check the plan against a ranker, make its coordinates where there are none, and return the stack that is entered.

        Raises
        ------
        InputError
            A hook, head or size that this ranker does not have.
        """
        check_ranker(ranker)
        stack = self._entered(ranker, stack or self.stack or ranker.stack_of("doc"))
        widths = [one.check(ranker, stack) for one in self.interventions]
        digest = ranker.weight_hash()
        if self.coordinates and self.met:
            for one, was, now in zip(self.interventions, self.met["widths"], widths, strict=True):
                if was != now and one.subspace is not None:
                    raise InputError(
                        f"{one} was made for {was} features of {self.met['ranker']}, and {ranker.name} has {now}; fit a new plan"
                    )
            if self.met.get("settled") and digest != self.met["weights_sha256"]:
                warnings.warn(
                    f"this plan was made on {self.met['ranker']} (weights {self.met['weights_sha256'][:12]}) and runs on "
                    f"{ranker.name} (weights {digest[:12]}); what it learned need not mean the same there",
                    stacklevel=3,
                )
        before = dict(self.coordinates)
        try:
            for number, width in enumerate(widths):
                self.build(number, width)
        except InputError:
            self.coordinates = before  # all of them, or none
            raise
        for coordinates in self.coordinates.values():
            coordinates.to(ranker.model.device).eval()
        if not self.met.get("settled"):
            self.met = {**_named(ranker), "widths": widths, "settled": False}
        return stack

    def settle(self, ranker: Ranker) -> None:
        """Note the ranker on which the plan has learned: on another one it says so."""
        self.met = {**self.met, **_named(ranker), "settled": True}

    def build(self, number: int, width: int) -> None:
        """Make the coordinates of an intervention for so many features, unless it has none or they are there.

        Raises
        ------
        InputError
            They are there for another number of features.
        """
        name, one = self.names()[number], self.interventions[number]
        if one.subspace is None:
            return
        if name not in self.coordinates:
            self.coordinates[name] = one.subspace.build(width, self.seed + number)
        if self.coordinates[name].width != width:
            raise InputError(f"key={name!r} ties hooks of {self.coordinates[name].width} and {width} features")

    def compile(self, ranker: Ranker, laid: Sequence[Laid]) -> Compiled:
        """Return the plan for a ranker and pairs that are laid out.

        Raises
        ------
        InputError
            Pairs of which some change the query and some the document, where a ranker reads them apart.
        """
        texts = {one.text for one in laid}
        if len(texts) > 1:
            raise InputError("some pairs change the query and some the document, which this ranker reads apart; run them apart")
        ranker.refuse_open_hooks()
        ranker.refuse_hooks_around_layers()
        stack = self.meet(ranker, self.stack or next(iter(texts), None))
        return Compiled(ranker, stack, self.interventions, self.made(), self.mode == "serial")

    def lay(self, ranker: Ranker, pairs: Any, on_error: str = "raise") -> tuple[list[Laid], dict[int, str]]:
        """Return pairs made ready, and why others could not be, by number."""
        check_ranker(ranker)
        if on_error not in ("raise", "record"):
            raise InputError(f"on_error={shown(on_error)}; it is 'raise' or 'record'")
        needed = sources_of(self.interventions)
        layout = Layout(self.stack, needed, self.direction, self.filler, self.truncate, self.aligned)
        return lay_all(ranker, pairs, layout, on_error)

    def __repr__(self) -> str:
        learned = "; ".join(filter(None, (one.says() for one in self.coordinates.values())))
        return f"Plan({', '.join(map(repr, self.interventions))}, {self.mode}{f'; {learned}' if learned else ''})"

    def made(self) -> list[Coordinates | None]:
        """Return the coordinates of each intervention; None where it acts on features as they are, or has not been met."""
        return [self._coordinates_of(name, one) for name, one in zip(self.names(), self.interventions, strict=True)]

    def _coordinates_of(self, name: str, one: Intervention) -> Coordinates | None:
        if one.subspace is None or name not in self.coordinates:
            return None
        if isinstance(one.subspace, DAS) and one.subspace.columns is not None:
            return Columns(cast(Rotation, self.coordinates[name]), *one.subspace.columns)
        return self.coordinates[name]

    def _entered(self, ranker: Ranker, stack: str) -> str:
        """Return the stack that is entered for a text: the first one that a hook is in."""
        ranker.check_stack(stack)
        tower = ranker.towers[stack]
        parts = {part.blocks.name: name for name, part in reversed(tower.stacks.items())}
        blocks = {one.hook.partition(".")[0] for one in self.interventions}
        if len(parts) > 1 and blocks <= set(parts):
            return min((parts[one] for one in blocks), key=lambda name: tower.stacks[name].first)
        return stack

    def _check_keys(self) -> None:
        shared: dict[str, list[Intervention]] = {}
        for one in self.interventions:
            if one.key:
                shared.setdefault(one.key, []).append(one)
        for key, members in shared.items():
            plain = [{**(one.subspace.to_dict() if one.subspace else {}), "columns": None} for one in members]
            if any(one != plain[0] for one in plain):
                raise InputError(f"key={key!r} ties subspaces that are not alike: {', '.join(map(repr, members))}")


def _named(ranker: Ranker) -> dict[str, Any]:
    return {"ranker": ranker.name, "kind": ranker.kind, "weights_sha256": ranker.weight_hash()}


def check_batch(batch_size: object) -> int:
    """Return a batch size.

    Raises
    ------
    InputError
    """
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise InputError(f"batch_size={shown(batch_size)}; give a whole number, at least 1")
    return batch_size
