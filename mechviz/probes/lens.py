"""The score read off every layer: by the ranker's own last steps, and by these after one learned map a layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
import xarray as xr
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import save_file
from torch import Tensor

from mechviz.errors import InputError, InputTypeError, MechvizError, shown
from mechviz.files import replacing
from mechviz.probes.features import hidden_hooks
from mechviz.probes.places import read_rows
from mechviz.probes.reading import Read, Text, read
from mechviz.rankers.checks import Inputs
from mechviz.rankers.provenance import provenance_of
from mechviz.rankers.ranker import Ranker, check_ranker
from mechviz.results import Curves
from mechviz.text.checks import whole_number

if TYPE_CHECKING:
    from mechviz.views import CurvesView

#: Penalties that ridge regression chooses from, in units of the mean variance of an input times the number of examples.
PENALTIES = tuple(10.0**power for power in range(-6, 4))
_FOLDS = 5
_DRAWN = 8


@dataclass(frozen=True, eq=False)
class TunedLens:
    """One affine map a layer, from the hidden state there to the last one (Belrose et al. 2023).

    Attributes
    ----------
    weights : float32 array, dims (layer, d_model, d_model)
        Of the layers before the last; ``hidden @ weights[layer] + biases[layer]``.
    biases : float32 array, dims (layer, d_model)
    error : DataArray, dims (way, layer)
        On held-out texts, where the last hidden state is read: the squared error of the last hidden state over its variance, for
        ``plain`` (the hidden state as it is) and ``tuned``. 0 is perfect, 1 no better than the mean.
    provenance : dict
        The ranker, ``stack``, ``texts``, ``held_out``, ``positions``.
    """

    weights: NDArray[np.float32]
    biases: NDArray[np.float32]
    error: xr.DataArray
    provenance: dict[str, str] = field(default_factory=dict)

    def __call__(self, hidden: Tensor) -> Tensor:
        """Return what the last layer is expected to make of each layer's hidden state, dims (layer, pos, d_model).

        ``hidden`` holds all layers; the last is left as it is.
        """
        weights, biases = (torch.from_numpy(one).to(hidden) for one in (self.weights, self.biases))
        return torch.cat([torch.baddbmm(biases[:, None], hidden[:-1], weights), hidden[-1:]])

    def save(self, path: str | Path) -> None:
        """Write the maps to a safetensors file."""
        tensors = {"weights": self.weights, "biases": self.biases, "error": np.ascontiguousarray(self.error.values)}
        with replacing(path) as part:
            save_file(tensors, part, metadata=self.provenance)

    @classmethod
    def load(cls, path: str | Path) -> TunedLens:
        """Read what `save` wrote.

        Raises
        ------
        MechvizError
            No such file, or one that is no tuned lens.
        """
        from safetensors import safe_open

        try:
            with safe_open(path, framework="np") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no mapping
                metadata = file.metadata() or {}
            return cls(tensors["weights"], tensors["biases"], _error(tensors["error"]), dict(metadata))
        except (OSError, SafetensorError, KeyError) as error:
            raise MechvizError(f"{path} is no tuned lens that TunedLens.save wrote: {error}") from error

    def curves(self) -> Curves:
        """Return the held-out error by layer."""
        return Curves(
            x="layers that have run",
            y="unexplained share of the last hidden state",
            curves={str(way): _by_x(self.error.sel(way=way)) for way in self.error["way"].values},
            title="Tuned lens",
            note=f"{self.provenance.get('held_out', '?')} held-out texts, at the positions that the score reads.",
        )

    def show(self, theme: str = "auto") -> CurvesView:
        """Return the held-out error by layer as a view."""
        from mechviz.views import curves

        return curves(self.curves(), theme=theme)

    def __repr__(self) -> str:
        plain, tuned = (float(self.error.sel(way=way).mean()) for way in ("plain", "tuned"))
        return f"TunedLens({len(self.weights)} maps, held-out error {tuned:.3f} (plain {plain:.3f}))"


@dataclass(frozen=True, eq=False)
class ScoreLens:
    """Scores by layer.

    Attributes
    ----------
    scores : DataArray, dims (pair, layer)
        ``layer`` counts the layers that have run: 0 are the embeddings, the last is the score.
    tuned : DataArray or None, dims as ``scores``
    pairs : tuple of (str, str)
    """

    scores: xr.DataArray
    tuned: xr.DataArray | None
    pairs: tuple[tuple[str, str], ...]
    provenance: dict[str, str] = field(default_factory=dict)

    def to_dataframe(self) -> pd.DataFrame:
        """Return one row a pair and layer: ``pair``, ``layer``, ``score`` and ``tuned`` (NaN where there is none)."""
        frame = self.scores.rename("score").to_dataframe().reset_index()
        frame["tuned"] = np.nan if self.tuned is None else self.tuned.values.ravel()
        return frame[["pair", "layer", "score", "tuned"]]

    def curves(self, most: int = _DRAWN) -> Curves:
        """Return the first pairs' scores by layer; with a tuned lens each pair has two curves, so half as many pairs."""
        ways = {"": self.scores} if self.tuned is None else {", plain": self.scores, ", tuned": self.tuned}
        drawn = list(range(len(self.pairs)))[: max(1, min(most, _DRAWN) // len(ways))]
        left = len(self.pairs) - len(drawn)
        names = {n: f"{n}: {_label(self.pairs[n][1])}" for n in drawn}
        return Curves(
            x="layers that have run",
            y="score read there",
            curves={names[n] + name: _by_x(way.isel(pair=n)) for n in drawn for name, way in ways.items()},
            title="The score, layer by layer",
            note=f"{left} further pairs are not drawn." if left else "",
        )

    def show(self, theme: str = "auto") -> CurvesView:
        """Return the scores by layer as a view."""
        from mechviz.views import curves

        return curves(self.curves(), theme=theme)

    def __repr__(self) -> str:
        n, layers = self.scores.shape
        return (
            f"ScoreLens({n} pair{'s' if n > 1 else ''}, {layers - 1} layers{'' if self.tuned is None else ', plain and tuned'})"
        )


def score_lens(
    ranker: Ranker,
    pairs: str | Sequence[tuple[str, str]],
    doc: str | None = None,
    tuned: TunedLens | None = None,
    stack: str | None = None,
    truncate: bool = False,
) -> ScoreLens:
    """Read the score off every layer: the residual stream there, through the ranker's own last norm and readout.

    The logit lens (nostalgebraist 2020) for rankers: a cross-encoder's classifier, a bi-encoder's pooling and comparison, T5's
    label logits are applied to the hidden states after each layer as if it were the last. Early layers may write in another
    basis than the last one reads; a `tuned_lens` corrects for what is linear in that.

    Parameters
    ----------
    ranker : Ranker
    pairs : str or sequence of (query, document)
        One query, with ``doc``, or pairs.
    doc : str, optional
    tuned : TunedLens, optional
        Of the same ranker and stack.
    stack : str, optional
        Whose layers; default that of the document. Of MonoT5, the encoder's layers are read by the whole decoder, the decoder's
        (``"decoder"``) by the label logits.
    truncate : bool
        Cut texts that are too long instead of raising.

    Returns
    -------
    ScoreLens
        Its last layer is the ranker's score.

    Raises
    ------
    InputError, InputTypeError
    """
    check_ranker(ranker)
    given = _pairs(pairs, doc)
    stack = ranker.stack_of("doc") if stack is None else stack
    ranker.check_stack(stack)
    if tuned is not None:
        _check_tuned(tuned, ranker, stack)
    rows: list[NDArray[np.float32]] = []
    for inputs in ranker.checked_inputs(given, truncate):
        hidden, reads = _hidden(ranker, inputs, stack)
        with torch.no_grad():
            readout = ranker.readout(stack, inputs)
            ways = [hidden] if tuned is None else [hidden, tuned(hidden)]
            rows.append(np.stack([readout(_final(ranker, stack, way), reads).float().cpu().numpy() for way in ways]))
    found = np.stack(rows, axis=1)
    coords = {"layer": np.arange(found.shape[-1])}
    arrays = [xr.DataArray(one, dims=("pair", "layer"), coords=coords) for one in found]
    provenance = {**provenance_of(ranker), "stack": stack}
    return ScoreLens(arrays[0], arrays[1] if tuned is not None else None, tuple(given), provenance)


def tuned_lens(
    ranker: Ranker,
    texts: Sequence[Text],
    seed: int = 0,
    held_out: float = 0.2,
    positions: int = 16,
    batch_size: int = 32,
) -> TunedLens:
    """Learn, for each layer, the affine map from its hidden states to the last ones, where the score reads them.

    Belrose et al. (2023) minimise the divergence of a language model's predictions; here the last hidden state itself is the
    target, so that ridge regression solves it, and the map is drawn towards the identity: what is penalised is its difference
    from passing the hidden state on. The penalty is chosen by cross-validation over the training texts.

    Parameters
    ----------
    ranker : Ranker
    texts : sequence of str, or of (query, document)
        Pairs for a ranker that reads both texts together. Some hundreds: there are d_model inputs to learn from.
    seed : int
        Of the split and of the positions that are drawn.
    held_out : float
        Share of the texts that the error is measured on.
    positions : int
        Positions that are drawn from a text where more of them are read.
    batch_size : int

    Returns
    -------
    TunedLens

    Raises
    ------
    InputError, InputTypeError
        Fewer than 5 texts, or settings out of range.

    References
    ----------
    Belrose et al., "Eliciting latent predictions from transformers with the tuned lens", 2023.
    """
    check_ranker(ranker)
    if isinstance(held_out, bool) or not isinstance(held_out, (int, float)) or not 0 < held_out < 1:
        raise InputError(f"held_out={shown(held_out)}; give a share between 0 and 1")
    whole_number("positions", positions)
    stack = ranker.stack_of("doc")
    hooks = hidden_hooks(ranker.stack(stack))
    rng = np.random.default_rng(seed)
    states: dict[int, NDArray[np.float32]] = {}
    for one in sorted(read(ranker, texts, hooks, batch_size), key=lambda one: one.number):
        states[one.number] = _drawn(ranker, stack, one, hooks, positions, rng)
    if len(states) < 5:
        raise InputError(f"{len(states)} texts; give at least 5, to learn from and to measure the error on")
    order = rng.permutation(len(states))
    n_held = min(max(1, round(held_out * len(order))), len(order) - 2)
    test, train = (np.concatenate([states[number] for number in chosen]) for chosen in (order[:n_held], order[n_held:]))
    groups = np.repeat(order[n_held:], [len(states[number]) for number in order[n_held:]])
    weights, biases, errors = [], [], []
    spread = float(np.square(test[:, -1] - test[:, -1].mean(axis=0)).sum())
    for layer in range(len(hooks) - 1):
        weight, bias = _affine(train[:, layer], train[:, -1], groups)
        weights.append(weight)
        biases.append(bias)
        missed = [test[:, -1] - test[:, layer], test[:, -1] - (test[:, layer] @ weight + bias)]
        errors.append([float(np.square(one).sum()) / spread if spread else float("nan") for one in missed])
    errors.append([0.0, 0.0])
    said = {"stack": stack, "texts": str(len(order)), "held_out": str(n_held), "positions": str(positions), "seed": str(seed)}
    return TunedLens(np.stack(weights), np.stack(biases), _error(np.array(errors).T), {**provenance_of(ranker), **said})


def _affine(
    inputs: NDArray[np.float32], wanted: NDArray[np.float32], groups: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return weights and bias of the ridge regression of what is missing, the inputs themselves added; dims (example, ...)."""
    from sklearn.model_selection import GroupKFold

    x, missing = inputs.astype(np.float64), (wanted - inputs).astype(np.float64)
    unit = float(x.var(axis=0).mean()) * len(x) or 1.0
    penalties = [unit * one for one in PENALTIES]
    missed = np.zeros(len(penalties))
    for train, test in GroupKFold(min(_FOLDS, len(set(groups.tolist())))).split(x, groups=groups):
        for number, (weight, bias) in enumerate(_ridges(x[train], missing[train], penalties)):
            missed[number] += np.square(missing[test] - x[test] @ weight - bias).sum()
    ((weight, bias),) = _ridges(x, missing, [penalties[int(missed.argmin())]])
    return (weight + np.eye(x.shape[1])).astype(np.float32), bias.astype(np.float32)


def _ridges(
    x: NDArray[np.float64], y: NDArray[np.float64], penalties: Sequence[float]
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Yield weights and bias of ridge regression for each penalty, all from one decomposition."""
    means = x.mean(axis=0), y.mean(axis=0)
    centred = x - means[0]
    sizes, axes = np.linalg.eigh(centred.T @ centred)
    along = axes.T @ (centred.T @ (y - means[1]))
    for penalty in penalties:
        weight = axes @ (along / (np.maximum(sizes, 0) + penalty)[:, None])
        yield weight, means[1] - means[0] @ weight


def _hidden(ranker: Ranker, inputs: Inputs, stack: str) -> tuple[Tensor, Tensor]:
    """Return the residual stream of one text, dims (layer, pos, d_model), and which positions are read, dims (1, pos)."""
    kept: dict[str, Tensor] = {}
    tower, hooks = ranker.towers[stack], hidden_hooks(ranker.stack(stack))

    def keep(value: Tensor, hook: Any) -> None:
        kept[hook.name] = value.detach()

    with torch.no_grad(), tower.hooks([(name, keep) for name in hooks]):
        _, reads = ranker.encode([inputs], stack)
    return torch.cat([kept[name] for name in hooks]), reads


def _final(ranker: Ranker, stack: str, hidden: Tensor) -> Tensor:
    final = ranker.stack(stack).final
    normed: Tensor = hidden if final is None else final(hidden)
    return normed


def _drawn(
    ranker: Ranker, stack: str, one: Read, hooks: Sequence[str], positions: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return hidden states of one text at positions that are read, dims (example, layer, d_model)."""
    rows = np.flatnonzero(read_rows(ranker, stack, one.tokens))
    if len(rows) > positions:
        rows = np.sort(rng.choice(rows, positions, replace=False))
    return np.stack([one.arrays[hook][rows] for hook in hooks], axis=1)


def _error(values: NDArray[Any]) -> xr.DataArray:
    coords = {"way": ["plain", "tuned"], "layer": np.arange(values.shape[1])}
    return xr.DataArray(values, dims=("way", "layer"), coords=coords)


def _by_x(by_layer: xr.DataArray) -> xr.DataArray:
    return xr.DataArray(by_layer.values, dims="x", coords={"x": by_layer["layer"].values})


def _label(doc: str) -> str:
    return doc if len(doc) <= 24 else f"{doc[:23]}…"


def _pairs(pairs: object, doc: str | None) -> list[tuple[str, str]]:
    if isinstance(pairs, str):
        if doc is None:
            raise InputError("one query needs its document: score_lens(ranker, query, doc); or give pairs")
        return [(pairs, doc)]
    if doc is not None:
        raise InputError("doc goes with one query; pairs bring their own documents")
    listed = list(pairs) if isinstance(pairs, Sequence) else []
    if not listed or any(not isinstance(pair, (tuple, list)) or len(pair) != 2 for pair in listed):
        raise InputTypeError(f"pairs must be a list of (query, document), not {shown(pairs)}")
    return [(query, text) for query, text in listed]


def _check_tuned(tuned: object, ranker: Ranker, stack: str) -> None:
    if not isinstance(tuned, TunedLens):
        raise InputTypeError(f"tuned must be what tuned_lens returned, not {shown(tuned)}")
    part = ranker.stack(stack)
    if tuned.weights.shape[:2] != (part.n_layers, part.d_model):
        raise InputError(
            f"this tuned lens has {tuned.weights.shape[0]} layers of {tuned.weights.shape[1]} features, the ranker "
            f"{part.n_layers} of {part.d_model}; learn one of this ranker"
        )
    said = {"weights_sha256": ranker.weight_hash(), "stack": stack}
    if other := [name for name, value in said.items() if tuned.provenance.get(name, value) != value]:
        raise InputError(f"this tuned lens was learned with other {' and '.join(other)}; use tuned_lens(ranker, texts)")
