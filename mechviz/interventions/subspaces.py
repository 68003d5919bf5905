"""Where an intervention acts: all features, some of them, or coordinates in another basis, given or learned.

An op changes coordinates; what it changes them by goes back into the activation, so that all that lies outside of the
subspace, an autoencoder's error included, stays what it was.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from typing_extensions import override

from mechviz.errors import InputError, InputTypeError, shown
from mechviz.interventions.checks import as_array, check_below, check_fits, check_rank, check_weight, frozen, indices
from mechviz.interventions.coordinates import (
    Coordinates,
    Latents,
    LearnedBoundary,
    LearnedMask,
    Linear,
    Picked,
    Rotation,
)

#: Least length of a direction beside the longest one, below which it is none.
_RANK_TOLERANCE = 1e-6
#: Up to where directions are orthonormal as they are: float32's rounding.
_ORTHONORMAL = 1e-6


@dataclass(frozen=True, eq=False)
class Subspace(ABC):
    """A choice of coordinates.

    Attributes
    ----------
    name : str
        Its short name, as in config.json.
    trained : bool
        Whether it has parameters that `Plan.fit` learns.
    """

    name: ClassVar[str]
    trained: ClassVar[bool] = False

    @abstractmethod
    def build(self, width: int, seed: int = 0) -> Coordinates:
        """Return the module that computes the coordinates of ``width`` features.

        Raises
        ------
        InputError
            It does not fit so many features.
        """

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, for JSON; arrays are not in it (see `tensors`)."""
        settings = {one.name: getattr(self, one.name) for one in fields(self) if one.name not in self.tensors()}
        return {"name": self.name, **{key: list(value) if isinstance(value, tuple) else value for key, value in settings.items()}}

    def tensors(self) -> dict[str, NDArray[np.float32]]:
        """Return the arrays that it is made of, by name."""
        return {}


@dataclass(frozen=True, eq=False)
class Neurons(Subspace):
    """Some features as they are.

    Attributes
    ----------
    indices : sequence of int
    """

    name = "neurons"
    indices: Sequence[int]

    def __post_init__(self) -> None:
        object.__setattr__(self, "indices", indices("indices", self.indices))

    @override
    def build(self, width: int, seed: int = 0) -> Coordinates:
        check_below("indices", self.indices, width)
        return Picked(width, self.indices)


@dataclass(frozen=True, eq=False)
class Basis(Subspace):
    """Coordinates in given directions: a PCA, a mean difference, a probe (see `bases`), or your own.

    Attributes
    ----------
    directions : float32 array, dims (feature, coordinate), or (feature) for one
        They are made orthonormal (by QR), the first one keeping its direction; their span is what matters to a swap.
    made : str
        How they were found, for the reader.
    """

    name = "basis"
    directions: Any
    made: str = "given"

    def __post_init__(self) -> None:
        given = as_array("directions", self.directions)
        given = given[:, None] if given.ndim == 1 else given
        if given.ndim != 2 or not given.size or given.shape[1] > given.shape[0]:
            raise InputError(
                f"directions have shape {given.shape}; give dims (feature, coordinate), at most as many coordinates as features"
            )
        if np.abs(given.T @ given - np.eye(given.shape[1])).max() <= _ORTHONORMAL:  # such as those of a plan that was saved
            object.__setattr__(self, "directions", frozen(given))
            return
        q, r = np.linalg.qr(given.astype(np.float64))
        lengths = np.abs(np.diag(r))
        if lengths.min() <= _RANK_TOLERANCE * max(lengths.max(), np.finfo(np.float64).tiny):
            raise InputError(f"the {given.shape[1]} directions are not independent (or one is 0); leave some out")
        object.__setattr__(self, "directions", frozen(q * np.sign(np.diag(r))))

    @override
    def build(self, width: int, seed: int = 0) -> Coordinates:
        if len(self.directions) != width:
            raise InputError(f"the basis is of {len(self.directions)} features, and the hook has {width} here")
        return Linear(torch.tensor(self.directions))

    @override
    def tensors(self) -> dict[str, NDArray[np.float32]]:
        return {"directions": self.directions}


@dataclass(frozen=True, eq=False)
class Autoencoder(Subspace):
    """Latents of a sparse autoencoder (Cunningham et al. 2023), with a JumpReLU (Rajamanoharan et al. 2024) if it has thresholds.

    Attributes
    ----------
    encoder, decoder : float32 arrays, dims (feature, latent) and (latent, feature)
    encoder_bias, decoder_bias : float32 arrays, dims (latent) and (feature)
    threshold : float32 array, dims (latent), or None
        Of each latent; None for a ReLU.
    latents : sequence of int, optional
        Which of them an op changes; all by default.
    center : bool
        Whether the decoder's bias is taken off before encoding.
    """

    name = "autoencoder"
    encoder: Any
    decoder: Any
    encoder_bias: Any
    decoder_bias: Any
    threshold: Any = None
    latents: Sequence[int] | None = None
    center: bool = True

    def __post_init__(self) -> None:
        for name in self._arrays():
            object.__setattr__(self, name, frozen(as_array(name, getattr(self, name))))
        features, latents = self.encoder.shape if self.encoder.ndim == 2 else (0, 0)
        wanted = {
            "encoder": (features, latents),
            "decoder": (latents, features),
            "encoder_bias": (latents,),
            "decoder_bias": (features,),
            "threshold": (latents,),
        }
        for name in self._arrays():
            if getattr(self, name).shape != wanted[name] or not features:
                raise InputError(f"{name} has shape {getattr(self, name).shape}; with encoder {self.encoder.shape} it must be "
                                 f"{wanted[name] if features else '(feature, latent)'}")  # fmt: skip
        if not isinstance(self.center, bool):
            raise InputTypeError(f"center must be True or False, not {shown(self.center)}")
        if self.latents is not None:
            object.__setattr__(self, "latents", indices("latents", self.latents))
            check_below("latents", self.latents, latents)

    @classmethod
    def load(cls, path: str | os.PathLike[str], latents: Sequence[int] | None = None, center: bool = True) -> Autoencoder:
        """Read one from a safetensors file with ``W_enc``, ``W_dec``, ``b_enc``, ``b_dec`` and, for a JumpReLU, ``threshold``.

        These are SAELens's names; a file of another layout is a few lines of NumPy away from the constructor.

        Raises
        ------
        FileNotFoundError
        InputError
            No safetensors file, or an array is missing.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file  # NumPy has no bfloat16

        if not Path(path).exists():
            raise FileNotFoundError(f"no such file: {path}")
        try:
            arrays = load_file(path)
        except (SafetensorError, OSError) as error:
            raise InputError(f"{path} is no safetensors file ({error})") from error
        names = {"encoder": "W_enc", "decoder": "W_dec", "encoder_bias": "b_enc", "decoder_bias": "b_dec"}
        if missing := [name for name in names.values() if name not in arrays]:
            raise InputError(f"{path} has no {', '.join(missing)}; it has {', '.join(arrays)}")
        found = {ours: arrays[theirs] for ours, theirs in names.items()}
        return cls(**found, threshold=arrays.get("threshold"), latents=latents, center=center)

    @override
    def build(self, width: int, seed: int = 0) -> Coordinates:
        if len(self.encoder) != width:
            raise InputError(f"the autoencoder is of {len(self.encoder)} features, and the hook has {width} here")
        return Latents({name: torch.tensor(array) for name, array in self.tensors().items()}, self.latents, self.center)

    @override
    def tensors(self) -> dict[str, NDArray[np.float32]]:
        return {name: getattr(self, name) for name in self._arrays()}

    def _arrays(self) -> list[str]:
        return ["encoder", "decoder", "encoder_bias", "decoder_bias", *([] if self.threshold is None else ["threshold"])]


@dataclass(frozen=True, eq=False)
class DAS(Subspace):
    """Learned orthonormal directions: distributed alignment search (Geiger et al. 2024).

    Attributes
    ----------
    rank : int
        How many.
    columns : (int, int), optional
        Of directions that several interventions share by their ``key``: the first one of this intervention, and the one
        after its last.
    """

    name = "das"
    trained = True
    rank: int = 1
    columns: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        check_rank(self.rank)
        if self.columns is None:
            return
        columns = indices("columns", self.columns)
        if len(columns) != 2 or not 0 <= columns[0] < columns[1] <= self.rank:
            raise InputError(f"columns={shown(self.columns)}; give (first, end) within 0 and rank={self.rank}")
        object.__setattr__(self, "columns", columns)

    @override
    def build(self, width: int, seed: int = 0) -> Coordinates:
        check_fits(self.rank, width)
        return Rotation(width, self.rank, seed)


@dataclass(frozen=True, eq=False)
class Boundless(Subspace):
    """A learned rotation of all features, and how many of its directions count: Boundless DAS (Wu et al. 2023).

    The boundary is a share of the features, from 0 to 1; around it directions count by a sigmoid whose temperature `Plan.fit`
    lowers, and outside of training they count whole or not at all.

    Attributes
    ----------
    sparsity : float
        What a boundary of 1 adds to the loss.
    """

    name = "boundless"
    trained = True
    sparsity: float = 0.1

    def __post_init__(self) -> None:
        check_weight(self.sparsity)

    @override
    def build(self, width: int, seed: int = 0) -> Coordinates:
        return LearnedBoundary(width, self.sparsity, seed)


@dataclass(frozen=True, eq=False)
class Mask(Subspace):
    """A learned share of each feature, or, rotated, of each learned direction, by a sigmoid with falling temperature.

    Attributes
    ----------
    rotated : bool
    sparsity : float
        What a mask of ones adds to the loss.
    """

    name = "mask"
    trained = True
    rotated: bool = False
    sparsity: float = 0.1

    def __post_init__(self) -> None:
        check_weight(self.sparsity)
        if not isinstance(self.rotated, bool):
            raise InputTypeError(f"rotated must be True or False, not {shown(self.rotated)}")

    @override
    def build(self, width: int, seed: int = 0) -> Coordinates:
        return LearnedMask(width, self.rotated, self.sparsity, seed)


#: Every subspace by its short name.
SUBSPACES: dict[str, type[Subspace]] = {one.name: one for one in (Neurons, Basis, Autoencoder, DAS, Boundless, Mask)}


def as_subspace(subspace: object) -> Subspace | None:
    """Return a subspace for itself, a short name of one that is learned, a list of features, or a basis as an array.

    Raises
    ------
    InputError, InputTypeError
        No such subspace.
    """
    if subspace is None or isinstance(subspace, Subspace):
        return subspace
    if isinstance(subspace, str):
        found = SUBSPACES.get(subspace)
        if found is None or not found.trained:
            learned = [repr(name) for name, one in SUBSPACES.items() if one.trained]
            raise InputError(
                f"subspace={subspace!r}; by name there are {', '.join(learned)}; the others hold data, such as "
                "subspaces.Basis(directions) or a list of features"
            )
        return found()
    if isinstance(subspace, (list, tuple, range)) or (isinstance(subspace, np.ndarray) and subspace.dtype.kind in "iu"):
        return Neurons(subspace)  # type: ignore[arg-type]
    if isinstance(subspace, np.ndarray) or hasattr(subspace, "detach"):
        return Basis(subspace)
    raise InputTypeError(
        f"subspace must be such as DAS(rank=2), 'das', a list of features or an array of directions, not {shown(subspace)}"
    )


def rebuilt(data: Mapping[str, Any], arrays: Mapping[str, NDArray[np.float32]]) -> Subspace:
    """Return what `Subspace.to_dict` and `Subspace.tensors` describe.

    Raises
    ------
    InputError
        No such subspace, or settings that it does not have.
    """
    options = dict(data) if isinstance(data, Mapping) else {"name": data}
    name = options.pop("name", None)
    if not isinstance(name, str) or name not in SUBSPACES:
        raise InputError(f"subspace {shown(name)}; this mechviz has {', '.join(map(repr, SUBSPACES))}")
    try:
        return SUBSPACES[name](**options, **arrays)
    except TypeError as error:
        raise InputError(f"the subspace {name!r} cannot be made of {shown({**options, **arrays})}: {error}") from error
