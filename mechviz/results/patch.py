"""What patching a grid of cells did."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from mechviz.errors import InputError, MechvizError, shown
from mechviz.files import replacing
from mechviz.results.pair import Pair

_FORMAT = 1
_JSON_VARIABLE = "texts_and_provenance"

#: Sets of cells -> metric and score of each set, patched in one run.
Joint = Callable[[Sequence[Sequence[tuple[Any, ...]]]], tuple[NDArray[np.float32], NDArray[np.float32]]]


@dataclass(frozen=True, eq=False)
class PatchResult:
    """What patching a grid of cells did to the score.

    Attributes
    ----------
    pair : Pair
    grid : str
        Name of the grid (``heads``, ``blocks``, ...).
    stack : str
        Whose activations were patched (``encoder``, ``decoder``, ``cross``, ``query``, ``doc``); that of the changed text
        if empty.
    method : ``"exact"``, ``"attribution"``, ``"integrated"`` or ``"hybrid"``
        Interventions, their gradient approximation, that with averaged gradients, or attribution with its largest cells
        exact.
    metric : str
        Name of the metric in `effects` (``effect``, ``raw``, ``robust`` or a callable's name).
    effects : DataArray, dims of the grid, or (cell) for cells patched together
        The metric of each cell, float32; NaN where it is not defined or was not computed.
    patched : DataArray, dims as ``effects``
        The same cells as raw scores, float32; NaN where not computed.
    attribution : DataArray or None, dims as ``effects``
        The gradient estimate of ``patched``, where one was made beside exact values.
    exact : DataArray of bool, dims as ``effects``
        Which cells were computed by an intervention; the others are estimates, or were not computed.
    competitors : float32 array, dims (2, doc)
        Scores of the competing documents beside the original (row 0) and beside the perturbed text (row 1); the rows
        differ only where the query was changed. No columns if none were given.
    docs : tuple of str
        The competing documents, as many as `competitors` has columns, or none where their texts are not kept.
    provenance : mapping of str to str
        Ranker, weight hash, texts' hash, settings, package versions.
    joint : callable or None
        What patches cells together, for `curve`; it is not saved, and does not travel to another process.
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
    exact: xr.DataArray = None  # type: ignore[assignment]
    joint: Joint | None = field(default=None, repr=False)
    docs: tuple[str, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        if self.effects.dims != self.patched.dims or self.effects.shape != self.patched.shape:
            raise InputError(
                f"effects {dict(self.effects.sizes)} and patched {dict(self.patched.sizes)} must have the same named dimensions"
            )
        for name in ("effects", "patched", "attribution"):
            array = getattr(self, name)
            if array is not None:
                object.__setattr__(self, name, _frozen(array))
        exact = self.exact
        if exact is None:  # all that was computed, unless the method makes estimates only
            exact = self.patched.notnull() & (self.method not in ("attribution", "integrated"))  # type: ignore[unreachable]
        object.__setattr__(self, "exact", _frozen(exact.transpose(*self.patched.dims), np.bool_))
        object.__setattr__(self, "stack", self.stack or self.pair.stack)
        competitors = np.array(self.competitors, dtype=np.float32)
        if competitors.ndim != 2 or len(competitors) != 2:
            raise InputError(f"competitors must have dims (2, doc), one row for each text, not shape {competitors.shape}")
        competitors.setflags(write=False)
        if self.docs and len(self.docs) != competitors.shape[1]:
            raise InputError(f"docs holds {len(self.docs)} texts for {competitors.shape[1]} competitors; give one each, or none")
        object.__setattr__(self, "competitors", competitors)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "joint": None}

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
        """Return one row a cell: its coordinates, ``effect``, ``patched`` and ``difference`` (patched - base).

        Cells with a position have its ``token`` and ``class`` (see `Pair.classes`) too. ``exact`` says which were computed
        by an intervention, where not all were.
        """
        frame = self.effects.rename("effect").to_dataframe().reset_index()
        frame["patched"] = self.patched.values.ravel()
        frame["difference"] = frame["patched"] - self.pair.base_score
        if "pos" in frame and self.stack == self.pair.stack:
            frame["token"] = np.array(self.pair.source.labels)[frame["pos"]]
            frame["class"] = np.array(self.pair.classes())[frame["pos"]]
        if self.method == "hybrid":
            frame["exact"] = self.exact.values.ravel()
        if self.attribution is not None:
            frame["attribution"] = self.attribution.values.ravel()
        return frame

    def curve(self, k: int | None = None) -> xr.Dataset:
        """Patch the top 0, 1, ... k cells together, and all but them.

        A cell alone can hide what it does: where two cells do the same, each seems to do nothing when it is all that is
        taken away, and what a back-up does shows only when the first is gone.

        Parameters
        ----------
        k : int, optional
            The largest number of cells; default all that were computed.

        Returns
        -------
        Dataset, dims (k)
            ``top`` and ``rest``: the metric with the k cells of the largest absolute effect patched together, and with all
            computed cells but them. ``top_patched`` and ``rest_patched``: the same as scores. Coordinate ``cell``: which cell
            is new at each k, in words; empty at k = 0.

        Raises
        ------
        InputError
            The result holds no ranker (it was loaded from a file), or cells of its grid cannot be patched together.
        """
        if self.joint is None:
            raise InputError("curve() patches cells together, and this result holds no ranker; make it anew by mv.patch")
        if "cell" in self.effects.dims:
            raise InputError("these cells are patched together already; curve() is of a result of single cells")
        frame = self.top(self.effects.size)
        dims = [str(dim) for dim in self.effects.dims]
        cells = list(frame[dims].itertuples(index=False, name=None))
        count = len(cells) if k is None else k
        if type(count) is not int or not 0 <= count <= len(cells):
            raise InputError(f"k={shown(k)}; there are {len(cells)} cells")
        sets = [*(cells[:n] for n in range(count + 1)), *(cells[n:] for n in range(count + 1))]
        values, patched = (array.reshape(2, count + 1) for array in self.joint(sets))
        names = ["", *(".".join(map(str, cell)) for cell in cells[:count])]
        columns = {"top": values[0], "rest": values[1], "top_patched": patched[0], "rest_patched": patched[1]}
        return xr.Dataset(
            {name: ("k", array) for name, array in columns.items()},
            coords={"k": np.arange(count + 1), "cell": ("k", names)},
        )

    def agreement(self) -> float | None:
        """Return Pearson's correlation of attribution with exact scores, None where it is not defined."""
        if self.attribution is None:
            return None
        exact, estimate = self.patched.values.ravel(), self.attribution.values.ravel()
        both = np.isfinite(exact) & np.isfinite(estimate) & self.exact.values.ravel()
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
            "docs": list(self.docs),
        }
        # JSON in one byte array: netCDF strings lose characters (NUL, lone surrogates) that texts can hold.
        encoded = np.frombuffer(json.dumps(words, ensure_ascii=True).encode("ascii"), dtype=np.uint8)
        arrays = {"effects": self.effects, "patched": self.patched, "exact": self.exact.astype(np.int8)}
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
                exact=dataset["exact"].astype(bool) if "exact" in dataset else cast(Any, None),
                competitors=dataset["competitors"].values,
                provenance=words["provenance"],
                docs=tuple(words.get("docs", ())),
            )
        except MechvizError:
            raise
        except Exception as error:
            raise MechvizError(
                f"{path} is not a complete mechviz result ({type(error).__name__}: {error}); save it again"
            ) from error


def _frozen(array: xr.DataArray, dtype: Any = np.float32) -> xr.DataArray:
    values = np.array(array.values, dtype=dtype)
    values.setflags(write=False)
    coords = {name: array.coords[name] for name in array.dims if name in array.coords}
    return xr.DataArray(values, dims=array.dims, coords=coords)
