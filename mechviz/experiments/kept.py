"""How results of an experiment are kept, and read again."""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from mechviz.errors import MechvizError
from mechviz.files import replacing

#: Where results lie in a run's folder.
FOLDER = "kept"


def keep(into: Path, name: str, value: Any, meta: dict[str, Any]) -> None:
    """Write one result, and say in ``meta`` where and how."""
    if _is_json(value):
        meta["values"][name] = value
        return
    for kind, fits, suffix, write in _WAYS:
        if fits(value):
            file = f"{FOLDER}/{name}{suffix}"
            (into / FOLDER).mkdir(exist_ok=True)
            table = value.to_dataframe() if kind == "frame" else value
            with replacing(into / file) as part:
                write(table, part)
            meta["kept"][name] = {"kind": kind, "file": file, "class": _class(value), "sha256": _digest(table)}
            return
    meta["values"][name] = repr(value)
    meta.setdefault("left_out", []).append(name)


def read(folder: Path, one: dict[str, str]) -> Any:
    """Read a result that `keep` wrote.

    Raises
    ------
    MechvizError
        The file is gone or broken.
    """
    path = folder / one["file"]
    try:
        return _READERS[one["kind"]](path, one)
    except MechvizError:
        raise
    except Exception as error:
        raise MechvizError(f"{path} cannot be read ({type(error).__name__}: {error}); the run's other results can") from error


def _is_json(value: Any) -> bool:
    if isinstance(value, (np.ndarray, np.generic)):
        return False
    try:
        return bool(json.loads(json.dumps(value, allow_nan=False)) == value)
    except (TypeError, ValueError):
        return False


def _digest(value: Any) -> str:
    """Return a hash of the numbers in a result, since files hold the time of writing; empty where it has none to be read."""
    found = hashlib.sha256()
    if isinstance(value, xr.DataArray):
        value = value.to_dataset(name="value")
    if isinstance(value, xr.Dataset):
        for name, array in sorted(value.variables.items(), key=lambda item: str(item[0])):
            found.update(f"{name} {array.dims} {array.dtype}".encode() + bytes_of(array.values))
    elif isinstance(value, (np.ndarray, np.generic)):
        found.update(f"{value.shape} {value.dtype}".encode() + bytes_of(np.asarray(value)))
    elif isinstance(value, pd.DataFrame) or _has_table(value):  # a result that saves itself may have a table too
        table = value if isinstance(value, pd.DataFrame) else value.to_dataframe()
        found.update(table.to_json(orient="split", double_precision=15).encode())
    else:
        return ""
    return found.hexdigest()


def bytes_of(array: NDArray[Any]) -> bytes:
    """Return what an array holds, to be hashed: equal arrays have equal bytes, also of objects."""
    return repr(array.tolist()).encode() if array.dtype.hasobject else np.ascontiguousarray(array).tobytes()


def _class(value: Any) -> str:
    return f"{type(value).__module__}:{type(value).__qualname__}"


def _saves(value: Any) -> bool:
    return callable(getattr(value, "save", None)) and callable(getattr(type(value), "load", None))


def _has_table(value: Any) -> bool:
    return callable(getattr(value, "to_dataframe", None))


def _write_numpy(value: Any, path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.asarray(value), allow_pickle=False)


def _load_saved(path: Path, one: dict[str, str]) -> Any:
    module, _, name = one["class"].partition(":")
    if module.split(".")[0] != "mechviz":  # a name in a file must not decide what is imported
        raise MechvizError(f"{path} was written by {one['class']}, which is none of mechviz: open it with that class's load")
    return getattr(importlib.import_module(module), name).load(path)


def _is_numpy(value: Any) -> bool:
    return isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "biufcUS"  # not objects, which would be pickled


#: Kind, what it is for, the file's ending, how it is written; the first that fits.
_WAYS: tuple[tuple[str, Callable[[Any], bool], str, Callable[[Any, Path], Any]], ...] = (
    ("array", lambda value: isinstance(value, xr.DataArray), ".nc", lambda value, path: value.to_netcdf(path)),
    ("dataset", lambda value: isinstance(value, xr.Dataset), ".nc", lambda value, path: value.to_netcdf(path)),
    ("numpy", _is_numpy, ".npy", _write_numpy),
    ("table", lambda value: isinstance(value, pd.DataFrame), ".parquet", lambda value, path: value.to_parquet(path)),
    ("view", lambda value: callable(getattr(value, "to_html", None)), ".html", lambda value, path: value.to_html(path)),
    ("saved", _saves, "", lambda value, path: value.save(path)),
    ("frame", _has_table, ".parquet", lambda table, path: table.to_parquet(path)),
)
_READERS: dict[str, Callable[[Path, dict[str, str]], Any]] = {
    "array": lambda path, _: xr.load_dataarray(path),
    "dataset": lambda path, _: xr.load_dataset(path),
    "numpy": lambda path, _: np.load(path, allow_pickle=False),
    "table": lambda path, _: pd.read_parquet(path),
    "frame": lambda path, _: pd.read_parquet(path),
    "view": lambda path, _: path,
    "saved": _load_saved,
}
