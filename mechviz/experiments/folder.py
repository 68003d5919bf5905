"""Runs on the disk: opened again, and listed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from mechviz.errors import InputError, MechvizError, shown
from mechviz.experiments.kept import read

#: What a run's folder is known by.
META = "meta.json"


@dataclass(frozen=True, eq=False)
class Run(Mapping[str, Any]):
    """A run that was kept: a mapping of name to result; files are read when they are asked for.

    Attributes
    ----------
    folder : Path
    meta : dict
        What ``meta.json`` holds: ``name``, ``state`` (``"finished"``, ``"failed"``, ``"interrupted"``, or ``"running"``, also
        of a run that was killed), ``started`` (UTC), ``seconds``, ``settings``, ``seed``, ``versions``, ``git``, and hashes:
        ``settings_sha256``, and ``content_sha256`` of settings and results without the time.
    """

    folder: Path
    meta: dict[str, Any]

    @property
    def settings(self) -> dict[str, Any]:
        """What the function was given, as JSON values."""
        return dict(self.meta["settings"])

    @property
    def state(self) -> str:
        """How it ended."""
        return str(self.meta["state"])

    @property
    def views(self) -> dict[str, Path]:
        """The pages of views that were kept: they open in any browser, offline."""
        return {name: self.folder / one["file"] for name, one in self.meta["kept"].items() if one["kind"] == "view"}

    def __getitem__(self, name: str) -> Any:
        if name in self.meta["values"]:
            return self.meta["values"][name]
        if name not in self.meta["kept"]:
            raise KeyError(f"{name!r}; this run kept {', '.join(map(repr, self)) or 'nothing'}")
        return read(self.folder, self.meta["kept"][name])

    def __iter__(self) -> Iterator[str]:
        return iter([*self.meta["kept"], *self.meta["values"]])

    def __len__(self) -> int:
        return len(self.meta["kept"]) + len(self.meta["values"])

    def __repr__(self) -> str:
        kept = ", ".join(self) or "nothing"
        return f"Run({str(self.folder)!r}, {self.state}, {self.meta.get('seconds', float('nan')):.3g} s; kept: {kept})"


def load(folder: str | os.PathLike[str]) -> Run:
    """Open a run again.

    Parameters
    ----------
    folder : str or PathLike
        The run's own folder, as `runs` lists it.

    Raises
    ------
    InputError
        There is no run.
    MechvizError
        What it says of itself is broken.
    """
    path = Path(folder)
    if not (path / META).is_file():
        raise InputError(f"{shown(str(folder))} holds no run: there is no {META}; experiments.runs() lists those that there are")
    try:
        meta = json.loads((path / META).read_text(encoding="utf-8"))
        missing = {"name", "state", "settings", "kept", "values"} - set(meta)
    except (ValueError, TypeError) as error:
        raise MechvizError(f"{path / META} is broken ({error}); the files beside it may be whole") from error
    if missing:
        raise MechvizError(f"{path / META} lacks {', '.join(sorted(missing))}; it was not written by mechviz")
    return Run(path, meta)


def runs(folder: str | os.PathLike[str] = "runs", name: str | None = None) -> pd.DataFrame:
    """List the runs of a folder, the oldest first.

    Parameters
    ----------
    folder : str or PathLike
        What `run` was given.
    name : str, optional
        Of this experiment alone.

    Returns
    -------
    DataFrame
        ``name``, ``started``, ``state``, ``seconds``, ``seed``, ``content`` (hash of settings and results without the time:
        equal runs have equal ones), ``settings`` (JSON), ``folder``.

    Raises
    ------
    InputError
        There is no such folder.
    """
    root = Path(folder)
    if not root.is_dir():
        raise InputError(f"{root} is no folder; experiments.run makes it")
    found = [load(path.parent) for path in sorted(root.glob(f"*/*/{META}"))]
    rows = [
        {
            "name": one.meta["name"],
            "started": one.meta.get("started", ""),
            "state": one.state,
            "seconds": one.meta.get("seconds", float("nan")),
            "seed": one.meta.get("seed"),
            "content": str(one.meta.get("content_sha256", ""))[:16],
            "settings": json.dumps(one.settings, ensure_ascii=False),
            "folder": str(one.folder),
        }
        for one in found
        if name is None or one.meta["name"] == name
    ]
    columns = ("name", "started", "state", "seconds", "seed", "content", "settings", "folder")
    return pd.DataFrame(rows, columns=list(columns)).sort_values("started", kind="stable", ignore_index=True)
