"""Run a function and keep all that it was given and gave."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import platform
import re
import subprocess
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

import mechviz
from mechviz.errors import InputError, InputTypeError, shown
from mechviz.experiments.folder import META, Run, load
from mechviz.experiments.kept import bytes_of, keep
from mechviz.files import replacing

_NAME = re.compile(r"[\w][\w .-]*")
_VERSIONS = ("mechviz", "torch", "transformers", "transformer_lens", "numpy", "xarray", "sklearn")


def run(name: str, function: Callable[..., Any], folder: str | os.PathLike[str] = "runs", seed: int = 0, **settings: Any) -> Run:
    """Call a function and keep settings, versions, seed and everything that it returns, in a folder of its own.

    The folder is ``<folder>/<name>/<UTC time>-<hash of settings and seed>``. It is never written to again. It is there before
    the function begins, so that a run that fails or is killed is known by its state.

    Parameters
    ----------
    name : str
        What the experiment is called: letters, digits, spaces, ``.``, ``_``, ``-``.
    function : callable
        Called with the settings, and with ``seed`` where it takes one. Returns a mapping of name to result, or one result, which
        is kept as ``"result"``. Kept whole are xarray objects, numpy arrays, DataFrames, what has ``save`` and ``load`` (a
        `PatchResult`), views (as one-file HTML), and what JSON knows; of other results their ``to_dataframe()``; of what has
        none the repr, with a warning.
    folder : str or PathLike
    seed : int
        Given to the function; no global generator is seeded.
    **settings
        Given to the function. Rankers are kept as their name and the hash of their weights, other objects as their repr.

    Returns
    -------
    Run

    Raises
    ------
    InputError, InputTypeError
        Before anything runs: a name that cannot be one of a folder, or no function.
    Exception
        What the function raises, after it was kept.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InputError(f"name={shown(name)}; use letters, digits, spaces, '.', '_' and '-', a letter or digit first")
    if not callable(function):
        raise InputTypeError(f"function must be callable, not {shown(function)}")
    if type(seed) is not int:
        raise InputTypeError(f"seed={shown(seed)}; give a whole number")
    described = {key: described_setting(value) for key, value in settings.items()}
    own = _hash({"settings": described, "seed": seed})
    started = datetime.now(UTC)
    into = _new_folder(Path(folder) / name, f"{started:%Y%m%dT%H%M%S}-{own[:8]}")
    meta: dict[str, Any] = {
        "name": name,
        "state": "running",
        "started": started.isoformat(timespec="microseconds"),
        "settings": described,
        "seed": seed,
        "settings_sha256": own,
        "function": _called(function),
        "versions": _versions(),
        "git": _commit(),
        "kept": {},
        "values": {},
    }
    _write(into, meta)
    begun = time.monotonic()
    try:
        found = function(**settings, **({"seed": seed} if _takes_seed(function, settings) else {}))
        for key, value in _named(found).items():
            keep(into, key, value, meta)
    except BaseException as error:
        state = "failed" if isinstance(error, Exception) else "interrupted"
        _write(into, {**meta, "state": state, "error": traceback.format_exc(), "seconds": time.monotonic() - begun})
        error.add_note(f"mechviz: what was done is kept in {into}")
        raise
    meta |= {"state": "finished", "seconds": round(time.monotonic() - begun, 3)}
    meta["content_sha256"] = _hash([own, meta["values"], {name: one["sha256"] for name, one in meta["kept"].items()}])
    _write(into, meta)
    if meta.get("left_out"):
        warnings.warn(
            f"only the repr is kept of {', '.join(meta['left_out'])}: it has neither save() nor to_dataframe()", stacklevel=2
        )
    return load(into)


def described_setting(value: Any) -> Any:
    """Return a setting as JSON values that say what it was."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value if not isinstance(value, float) or np.isfinite(value) else repr(value)
    if hasattr(value, "weight_hash"):
        return {"ranker": value.name, "kind": value.kind, "weights_sha256": value.weight_hash()}
    if isinstance(value, Mapping):
        return {str(key): described_setting(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [described_setting(one) for one in value]
    if isinstance(value, np.generic):
        return described_setting(value.item())
    if isinstance(value, np.ndarray):
        digest = hashlib.sha256(bytes_of(value)).hexdigest()
        return {"array": list(value.shape), "dtype": str(value.dtype), "sha256": digest}
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))  # an address would make two equal runs differ


def _new_folder(parent: Path, name: str) -> Path:
    try:
        parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise InputError(f"cannot make {parent}: {error}; give another folder=") from error
    for number in range(1000):
        into = parent / (name if not number else f"{name}-{number}")
        try:
            into.mkdir()
        except FileExistsError:  # two runs within a second
            continue
        return into
    raise InputError(f"{parent} holds 1,000 runs of this second; give another name=")


def _write(into: Path, meta: Mapping[str, Any]) -> None:
    with replacing(into / META) as part:
        part.write_text(json.dumps(meta, indent=1, ensure_ascii=False, allow_nan=False), encoding="utf-8")


def _named(found: Any) -> dict[str, Any]:
    if isinstance(found, Mapping) and all(isinstance(key, str) and _NAME.fullmatch(key) for key in found):
        return dict(found)
    return {} if found is None else {"result": found}


def _takes_seed(function: Callable[..., Any], settings: Mapping[str, Any]) -> bool:
    if "seed" in settings:
        return False
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # a builtin
        return False
    return "seed" in parameters or any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values())


def _called(function: Callable[..., Any]) -> str:
    return f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', type(function).__name__)}"


def _versions() -> dict[str, str]:
    """Return the versions of what is loaded; nothing is imported for it."""
    found = {"python": platform.python_version(), "mechviz": mechviz.__version__}
    for name in _VERSIONS:
        module = sys.modules.get(name)
        if version := getattr(module, "__version__", None):
            found[name] = str(version)
    return found


def _commit() -> dict[str, Any] | None:
    """Return the commit that the working folder is at, and whether files were changed since; None outside of a repository."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], capture_output=True, text=True, timeout=10, check=True).stdout.strip()  # noqa: S603, S607

    try:
        return {"commit": git("rev-parse", "HEAD"), "changed": bool(git("status", "--porcelain", "--untracked-files=no"))}
    except (OSError, subprocess.SubprocessError):
        return None


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
