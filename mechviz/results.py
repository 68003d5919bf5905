"""Results: frozen data with named dimensions and where it came from, saved whole and loaded the same.

A result knows nothing of rankers or views. It can be made by anybody's arrays.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from mechviz.errors import InputError, MechvizError, shown
from mechviz.files import replacing
from mechviz.text import Alignment, Tokens

Direction = Literal["perturbed->original", "original->perturbed"]
DIRECTIONS: tuple[Direction, ...] = ("perturbed->original", "original->perturbed")

_FORMAT = 1
_GATE = 1e-5
_JSON_VARIABLE = "texts_and_provenance"


@dataclass(frozen=True, eq=False)
class Pair:
    """One query, one document, the perturbed copy of one of them, their tokens, alignment and four scores.

    Attributes
    ----------
    query, doc, changed : str
        The user's texts; ``changed`` is the perturbed copy of the text that ``side`` names.
    side : ``"doc"`` or ``"query"``
    perturbation : str
        Its name.
    direction : ``"perturbed->original"`` or ``"original->perturbed"``
        From which text activations are taken, and into the run of which they are patched.
    stack : str
        The stack in which the changed text runs (``encoder``; ``doc`` or ``query`` for Dot).
    base, source : Tokens, equally long
        The two runs of that stack, with fillers.
    alignment : Alignment
        Its rows are the positions of ``base`` and ``source``.
    filler : str
        Name of the filler policy.
    original_score, perturbed_score : float
        Scores of the user's texts, what ``ranker.score`` says.
    base_score, source_score : float
        Scores of the two runs that are patched, with fillers.
    truncated : str
        What was cut, in words; empty if nothing.
    reads_equal : bool
        Whether the score reads the same positions of both runs (ColBERT leaves out the tokens of its skip list).
    """

    query: str
    doc: str
    changed: str
    side: str
    perturbation: str
    direction: Direction
    stack: str
    base: Tokens
    source: Tokens
    alignment: Alignment
    filler: str
    original_score: float
    perturbed_score: float
    base_score: float
    source_score: float
    truncated: str = ""
    reads_equal: bool = True

    def __post_init__(self) -> None:
        if self.direction not in DIRECTIONS:
            raise InputError(f"direction={shown(self.direction)}; it is one of {', '.join(map(repr, DIRECTIONS))}")
        if not len(self.base) == len(self.source) == len(self.alignment):
            raise InputError(
                f"base has {len(self.base)} positions, source {len(self.source)} and the alignment {len(self.alignment)} rows; "
                "they must be equal"
            )

    @property
    def change(self) -> float:
        """``source_score - base_score``: the denominator of every effect."""
        return self.source_score - self.base_score

    @property
    def gate(self) -> bool:
        """Whether the perturbation changed the score enough for effects to be defined."""
        return abs(self.change) > _GATE * max(1.0, abs(self.base_score))

    @property
    def masks_equal(self) -> bool:
        """Whether both runs may attend to the same positions; if not, they are not fully exchangeable."""
        return bool(np.array_equal(self.base.mask, self.source.mask))

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, for JSON."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        plain["base"], plain["source"] = self.base.to_dict(), self.source.to_dict()
        plain["alignment"] = {
            "original": self.alignment.original.tolist(),
            "perturbed": self.alignment.perturbed.tolist(),
            "kinds": list(self.alignment.kinds),
        }
        return plain

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Pair:
        """Rebuild from `to_dict`'s value."""
        alignment = data["alignment"]
        return cls(
            **{
                **data,
                "base": Tokens.from_dict(data["base"]),
                "source": Tokens.from_dict(data["source"]),
                "alignment": Alignment(alignment["original"], alignment["perturbed"], tuple(alignment["kinds"])),
            }
        )


@dataclass(frozen=True, eq=False)
class Ranking:
    """A list of documents in the ranker's order.

    Attributes
    ----------
    query : str
    order : int64 array, dims (rank)
        Indices into the documents that were given, best first; equal scores keep the order given.
    scores : float32 array, dims (doc)
        In the order given.
    """

    query: str
    order: NDArray[np.int64]
    scores: NDArray[np.float32]

    def ranks(self) -> NDArray[np.int64]:
        """Return the rank of each document in the order given, 1 the best, dims (doc)."""
        ranks = np.empty(len(self.order), dtype=np.int64)
        ranks[self.order] = np.arange(1, len(self.order) + 1)
        return ranks


@dataclass(frozen=True, eq=False)
class PatchResult:
    """What patching a grid of cells did to the score.

    Attributes
    ----------
    pair : Pair
    grid : str
        Name of the grid (``heads``).
    stack : str
        Whose activations were patched (``encoder``, ``decoder``, ``cross``, ``query``, ``doc``); that of the changed text
        if empty.
    method : ``"exact"`` or ``"attribution"``
        Interventions, or their gradient approximation.
    metric : str
        Name of the metric in `effects` (``effect``, ``raw``, ``robust`` or a callable's name).
    effects : DataArray, dims (layer, head)
        The metric of each cell, float32; NaN where it is not defined or was not computed.
    patched : DataArray, dims (layer, head)
        The same cells as raw scores, float32; NaN where not computed.
    attribution : DataArray or None, dims (layer, head)
        The gradient estimate of ``patched``, where one was made beside exact values.
    competitors : float32 array, dims (2, doc)
        Scores of the competing documents beside the original (row 0) and beside the perturbed text (row 1); the rows
        differ only where the query was changed. No columns if none were given.
    provenance : mapping of str to str
        Ranker, weight hash, texts' hash, settings, package versions.
    """

    pair: Pair
    grid: str
    method: str
    metric: str
    effects: xr.DataArray
    patched: xr.DataArray
    attribution: xr.DataArray | None = None
    competitors: NDArray[np.float32] = field(default_factory=lambda: np.empty((2, 0), dtype=np.float32))
    provenance: Mapping[str, str] = field(default_factory=dict)
    stack: str = ""

    def __post_init__(self) -> None:
        if self.effects.dims != self.patched.dims or self.effects.shape != self.patched.shape:
            raise InputError(
                f"effects {dict(self.effects.sizes)} and patched {dict(self.patched.sizes)} must have the same named dimensions"
            )
        for name in ("effects", "patched", "attribution"):
            array = getattr(self, name)
            if array is not None:
                object.__setattr__(self, name, _frozen(array))
        object.__setattr__(self, "stack", self.stack or self.pair.stack)
        competitors = np.array(self.competitors, dtype=np.float32)
        if competitors.ndim != 2 or len(competitors) != 2:
            raise InputError(f"competitors must have dims (2, doc), one row for each text, not shape {competitors.shape}")
        competitors.setflags(write=False)
        object.__setattr__(self, "competitors", competitors)

    def __repr__(self) -> str:
        pair = self.pair
        sizes = " x ".join(f"{size} {name}" for name, size in self.effects.sizes.items())
        missing = int(np.isnan(self.patched.values).sum())
        if missing:
            sizes += f", {missing} of {self.patched.size} not computed"
        return (
            f"PatchResult({self.grid}, {self.method}, {sizes}; {pair.perturbation}: score {pair.original_score:.4g} -> "
            f"{pair.perturbed_score:.4g}, {pair.direction}, runs {pair.base_score:.4g} -> {pair.source_score:.4g})"
        )

    def top(self, k: int = 8) -> pd.DataFrame:
        """Return the ``k`` cells with the largest absolute effect (raw difference where effects are not defined)."""
        frame = self.to_dataframe()
        by = "effect" if frame["effect"].notna().any() else "difference"
        frame = frame[frame[by].notna()]
        order = frame[by].abs().sort_values(ascending=False, kind="stable").index
        return frame.loc[order[:k]].reset_index(drop=True)

    def to_dataframe(self) -> pd.DataFrame:
        """Return one row a cell: its coordinates, ``effect``, ``patched`` and ``difference`` (patched - base)."""
        frame = self.effects.rename("effect").to_dataframe().reset_index()
        frame["patched"] = self.patched.values.ravel()
        frame["difference"] = frame["patched"] - self.pair.base_score
        if self.attribution is not None:
            frame["attribution"] = self.attribution.values.ravel()
        return frame

    def agreement(self) -> float | None:
        """Return Pearson's correlation of attribution with exact scores, None where it is not defined."""
        if self.attribution is None:
            return None
        exact, estimate = self.patched.values.ravel(), self.attribution.values.ravel()
        both = np.isfinite(exact) & np.isfinite(estimate)
        if both.sum() < 2 or np.ptp(exact[both]) == 0 or np.ptp(estimate[both]) == 0:
            return None
        return float(np.corrcoef(exact[both], estimate[both])[0, 1])

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the whole result as one netCDF file; an existing file is replaced only by a complete one."""
        words = {
            "format": _FORMAT,
            "grid": self.grid,
            "stack": self.stack,
            "method": self.method,
            "metric": self.metric,
            "pair": self.pair.to_dict(),
            "provenance": dict(self.provenance),
        }
        # JSON in one byte array: netCDF strings lose characters (NUL, lone surrogates) that texts can hold.
        encoded = np.frombuffer(json.dumps(words, ensure_ascii=True).encode("ascii"), dtype=np.uint8)
        arrays = {"effects": self.effects, "patched": self.patched}
        if self.attribution is not None:
            arrays["attribution"] = self.attribution
        dataset = xr.Dataset({**arrays, _JSON_VARIABLE: ("byte", encoded), "competitors": (("run", "doc"), self.competitors)})
        # A fill value would turn one finite float into NaN on reading.
        encoding = {str(name): {"_FillValue": None} for name in dataset.variables}
        with replacing(path) as part:
            dataset.to_netcdf(part, engine="netcdf4", encoding=encoding)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> PatchResult:
        """Read what `save` wrote.

        Raises
        ------
        FileNotFoundError
            There is no such file.
        MechvizError
            The file is broken or not one of ours.
        """
        if not Path(path).exists():
            raise FileNotFoundError(f"no such file: {path}")
        try:
            with xr.open_dataset(path, engine="netcdf4", mask_and_scale=False, decode_times=False) as opened:
                dataset = opened.load()
            words = json.loads(bytes(dataset[_JSON_VARIABLE].values).decode("ascii"))
            if words["format"] != _FORMAT:
                raise MechvizError(f"{path} has format {words['format']}, this mechviz reads {_FORMAT}; update mechviz")
            return cls(
                pair=Pair.from_dict(words["pair"]),
                grid=words["grid"],
                stack=words.get("stack", ""),
                method=words["method"],
                metric=words["metric"],
                effects=dataset["effects"],
                patched=dataset["patched"],
                attribution=dataset.get("attribution"),
                competitors=dataset["competitors"].values,
                provenance=words["provenance"],
            )
        except MechvizError:
            raise
        except Exception as error:
            raise MechvizError(
                f"{path} is not a complete mechviz result ({type(error).__name__}: {error}); save it again"
            ) from error


def _frozen(array: xr.DataArray) -> xr.DataArray:
    values = np.array(array.values, dtype=np.float32)
    values.setflags(write=False)
    coords = {name: array.coords[name] for name in array.dims if name in array.coords}
    return xr.DataArray(values, dims=array.dims, coords=coords)
