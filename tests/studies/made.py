"""Studies made of numbers, written part by part as a run would."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mechviz.studies.folder import Study
from mechviz.studies.schema import Header

HEADER = Header(
    grid="heads",
    dims=(("layer", 2), ("head", 3)),
    stack="encoder",
    direction="perturbed->original",
    filler="a",
    ranker="tiny",
    weights_sha256="0123456789abcdef",
    settings={"grid": "heads", "truncate": False},
    versions={"mechviz": "0"},
)

CLASSES = replace(
    HEADER,
    grid="blocks",
    dims=(("site", 2), ("class", 3)),
    coords={"site": ["z", "pattern"], "class": ["cls", "injected", "other"]},
)


@dataclass
class Made:
    """Pairs as arrays: patched scores, dims (pair, cell), the two runs' scores, the query of each, and other columns."""

    patched: np.ndarray
    base: np.ndarray
    change: np.ndarray
    query: np.ndarray
    header: Header = HEADER
    columns: dict[str, list[Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.base)

    def rows(self) -> list[dict[str, Any]]:
        found = []
        for i in range(len(self)):
            base, source = float(self.base[i]), float(self.base[i] + self.change[i])
            row = {
                "number": i,
                "query_id": f"q{self.query[i]}",
                "doc_id": f"d{i}",
                "query": f"what is q{self.query[i]}",
                "doc": f"document {i} says this",
                "perturbed": f"document {i} says this what",
                "side": "doc",
                "perturbation": "TFC1",
                "preferred": 1,
                "reason": "",
                "original_score": base,
                "perturbed_score": source,
                "base_score": base,
                "source_score": source,
                "length": 9,
                "moved": 1,
                "truncated": "",
                "patched": self.patched[i].astype(np.float32),
            }
            found.append({**dict.fromkeys(("grade", "rank", "run_score")), **row, **{k: v[i] for k, v in self.columns.items()}})
        return found

    def write(self, folder: Path, per_part: int = 7, order: np.ndarray | None = None, prefix: str = "") -> Path:
        rows = self.rows()
        rows = rows if order is None else [rows[i] for i in order]
        for start in range(0, len(rows), per_part):
            write_part(folder, rows[start : start + per_part], self.header, f"{prefix}{start:06d}.parquet")
        folder.joinpath("study.json").write_text(json.dumps({"format": 1}))
        return folder

    def study(self, folder: Path, per_part: int = 7, order: np.ndarray | None = None, **analysis: Any) -> Study:
        return Study.load(self.write(folder, per_part, order), **analysis)

    def scaled(self, factor: float) -> Made:
        return replace(self, patched=self.patched * factor, base=self.base * factor, change=self.change * factor)

    @property
    def difference(self) -> np.ndarray:
        """patched - base, from the float32 scores that a part holds, dims (pair, cell)."""
        return self.patched.astype(np.float32).astype(np.float64) - self.base[:, None]


def write_part(folder: Path, rows: list[dict[str, Any]], header: Header, name: str, strict: bool = True) -> Path:
    """Write rows as a part; what is not ``strict`` may lack what every row has."""
    parts = folder / "parts"
    parts.mkdir(parents=True, exist_ok=True)
    schema = header.schema
    if not strict:
        schema = pa.schema([column.with_nullable(True) for column in schema], schema.metadata)
    table = pa.table(
        [pa.array([row[column] for row in rows], schema.field(column).type) for column in schema.names], schema=schema
    )
    pq.write_table(table, parts / name, write_page_checksum=True)
    return parts / name


def made(seed: int = 0, pairs: int = 40, queries: int = 12, cells: int = 6, **more: Any) -> Made:
    """Pairs whose effects are about 0.1, 0.2, ... by cell, with changes of both signs."""
    rng = np.random.default_rng(seed)
    query = np.concatenate([np.arange(queries), rng.integers(0, queries, pairs - queries)])
    change = rng.lognormal(-1, 0.8, pairs) * np.where(rng.random(pairs) < 0.8, 1, -1)
    base = rng.normal(size=pairs)
    effects = (
        np.arange(1, cells + 1) / 10 + 0.2 * rng.normal(size=(queries, cells))[query] + 0.2 * rng.normal(size=(pairs, cells))
    )
    return Made(base[:, None] + effects * change[:, None], base, change, query, **more)


def headline(pairs: Made, cell: int, rows: Iterable[int]) -> float:
    """The headline, pair by pair."""
    above = sum(pairs.difference[i, cell] * (1 if pairs.change[i] > 0 else -1) for i in rows)
    return above / sum(abs(pairs.change[i]) for i in rows)
