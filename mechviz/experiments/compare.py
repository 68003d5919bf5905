"""Two runs side by side: which settings differ, and by how much the results do."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from scipy import stats

from mechviz.errors import MechvizError
from mechviz.experiments.folder import Run, load

#: Dimensions whose places are drawn independently, so that a test over them says something.
UNITS = ("query", "query_id", "pair", "text", "doc", "document", "example")
_DRAWS = 10_000
_CONFIDENCE = 0.95


@dataclass(frozen=True, eq=False)
class Comparison:
    """What differs between two runs.

    Attributes
    ----------
    settings : DataFrame
        ``setting``, ``a``, ``b``: settings, seed and versions that differ.
    arrays : DataFrame
        One row an array, or a column of a table, that both have: ``name``, ``shape_a``, ``shape_b``, ``n`` (numbers that both
        know), ``max_difference``, ``correlation`` (Pearson), ``difference`` (mean of b - a), and where the arrays have a
        dimension of independent units (a query, pair or text) ``unit``, its number ``units``, ``low`` and ``high`` (a 95%
        bootstrap interval of the difference) and ``p`` (sign flips of units; two-sided). NaN where one is not defined.
    values : DataFrame
        ``name``, ``a``, ``b``: single values that differ.
    only_a, only_b : tuple of str
        Results that one run alone has.
    """

    settings: pd.DataFrame
    arrays: pd.DataFrame
    values: pd.DataFrame
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Whether all results that can be compared are equal."""
        alone = self.only_a or self.only_b
        return not alone and not len(self.values) and bool((self.arrays["max_difference"] == 0).all())

    def __repr__(self) -> str:
        moved = int((self.arrays["max_difference"] != 0).sum())
        return f"Comparison({len(self.settings)} settings differ, {moved} of {len(self.arrays)} arrays do)"


def compare(a: Run | str | os.PathLike[str], b: Run | str | os.PathLike[str], seed: int = 0) -> Comparison:
    """Compare two runs, given as such or by their folders.

    Parameters
    ----------
    a, b : Run, str or PathLike
    seed : int
        Of the bootstrap and the sign flips.

    Returns
    -------
    Comparison

    Raises
    ------
    InputError, MechvizError
        No run there, or one that is broken.
    """
    first, second = (one if isinstance(one, Run) else load(one) for one in (a, b))
    both = [name for name in first if name in second]
    rows, values = [], []
    for name in both:
        ours, theirs = _arrays(first, name), _arrays(second, name)
        if ours is None or theirs is None:
            if name in first.meta["values"] and first[name] != second.meta["values"].get(name):
                values.append({"name": name, "a": first[name], "b": second[name]})
            continue
        rows += [_row(f"{name}.{part}" if part else name, ours[part], theirs[part], seed) for part in ours if part in theirs]
    return Comparison(
        settings=pd.DataFrame(_differing(first, second), columns=["setting", "a", "b"]),
        arrays=pd.DataFrame(rows, columns=list(_row("", None, None, seed))),
        values=pd.DataFrame(values, columns=["name", "a", "b"]),
        only_a=tuple(name for name in first if name not in second),
        only_b=tuple(name for name in second if name not in first),
    )


def _differing(a: Run, b: Run) -> list[dict[str, Any]]:
    def flat(one: Run) -> dict[str, Any]:
        versions = {f"version of {name}": version for name, version in one.meta.get("versions", {}).items()}
        return {**one.settings, "seed": one.meta.get("seed"), "function": one.meta.get("function"), **versions}

    ours, theirs = flat(a), flat(b)
    names = dict.fromkeys([*ours, *theirs])
    return [{"setting": name, "a": ours.get(name), "b": theirs.get(name)} for name in names if ours.get(name) != theirs.get(name)]


def _arrays(run: Run, name: str) -> dict[str, xr.DataArray] | None:
    """Return the numbers of a result by part, None of what has none."""
    kind = run.meta["kept"].get(name, {}).get("kind")
    if kind in (None, "view"):
        value = run.meta["values"].get(name)
        return {"": xr.DataArray(float(value))} if isinstance(value, (int, float)) and not isinstance(value, bool) else None
    try:
        value = run[name]
    except MechvizError:
        if kind != "saved":  # of another package: nothing that can be compared here
            raise
        return None
    if isinstance(value, xr.DataArray):
        return {"": value}
    if isinstance(value, xr.Dataset):
        return {str(part): array for part, array in value.data_vars.items()}
    if isinstance(value, np.ndarray):
        return {"": xr.DataArray(value)} if value.dtype.kind in "biuf" else None
    table = value if isinstance(value, pd.DataFrame) else value.to_dataframe() if hasattr(value, "to_dataframe") else None
    return None if table is None else _columns(table)


def _columns(table: pd.DataFrame) -> dict[str, xr.DataArray]:
    """Return the numbers of a table's columns by row, or, where a column names units, their means by unit."""
    unit = next((name for name in UNITS if name in table), None)
    numbers = [name for name in table.select_dtypes("number") if name != unit]
    if unit is not None:
        table = table.groupby(unit, sort=True)[numbers].mean()
        return {
            str(name): xr.DataArray(table[name].to_numpy(), dims=unit, coords={unit: table.index.to_numpy()}) for name in numbers
        }
    return {str(name): xr.DataArray(table[name].to_numpy(dtype=float), dims="row") for name in numbers}


def _row(name: str, a: xr.DataArray | None, b: xr.DataArray | None, seed: int) -> dict[str, Any]:
    """Return what two arrays have to do with each other; NaN throughout where they are of different shapes or places."""
    nothing = float("nan")
    row: dict[str, Any] = {
        "name": name,
        "shape_a": None if a is None else dict(a.sizes),
        "shape_b": None if b is None else dict(b.sizes),
        "n": 0,
        **dict.fromkeys(("max_difference", "correlation", "difference"), nothing),
        "unit": "",
        "units": 0,
        **dict.fromkeys(("low", "high", "p"), nothing),
    }
    if a is None or b is None or not _same_places(a, b):
        return row
    one, other = a.values.astype(float), b.values.astype(float)
    known = np.isfinite(one) & np.isfinite(other)
    row["n"] = int(known.sum())
    if not row["n"]:
        return row
    difference = np.where(known, other - one, np.nan)
    x, y = one[known], other[known]
    row["max_difference"] = float(np.abs(y - x).max()) if np.array_equal(np.isnan(one), np.isnan(other)) else float("inf")
    if len(x) > 1 and np.ptp(x) and np.ptp(y):
        row["correlation"] = float(np.corrcoef(x, y)[0, 1])
    row["difference"] = float(np.nanmean(difference))
    unit = next((str(dim) for dim in a.dims if dim in UNITS), "")
    if unit:
        rest = tuple(axis for axis, dim in enumerate(a.dims) if dim != unit)
        row |= {"unit": unit, **_paired(_means(difference, rest), seed)}
    return row


def _same_places(a: xr.DataArray, b: xr.DataArray) -> bool:
    if a.dims != b.dims or a.shape != b.shape or a.dtype.kind not in "biuf" or b.dtype.kind not in "biuf":
        return False
    return all(np.array_equal(a[dim].values, b[dim].values) for dim in a.dims if dim in a.coords and dim in b.coords)


def _means(values: NDArray[np.float64], axes: tuple[int, ...]) -> NDArray[np.float64]:
    """Return the mean of what is known of each unit, without the units of which nothing is."""
    known = np.isfinite(values)
    counts = known.sum(axis=axes)
    sums = np.where(known, values, 0).sum(axis=axes)
    found: NDArray[np.float64] = sums[counts > 0] / counts[counts > 0]
    return found


def _paired(differences: NDArray[np.float64], seed: int) -> dict[str, Any]:
    """Return interval and p-value of the mean of paired differences, dims (unit)."""
    n = len(differences)
    if n < 2 or not np.ptp(differences):
        same = n > 0 and not differences.any()
        return {"units": n, **({"low": 0.0, "high": 0.0, "p": 1.0} if same else {})}
    drawn = stats.bootstrap(
        (differences,), np.mean, n_resamples=_DRAWS, confidence_level=_CONFIDENCE, method="percentile", rng=seed, batch=1000
    ).confidence_interval
    flipped = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", vectorized=True, n_resamples=_DRAWS, rng=seed, batch=1000
    )
    return {"units": n, "low": float(drawn.low), "high": float(drawn.high), "p": float(flipped.pvalue)}
