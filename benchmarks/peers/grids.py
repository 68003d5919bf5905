"""Grids of one pair: `mv.patch` against MechIR's ``patch``, both on plain dot products; ``python -m benchmarks.peers.grids``."""

from __future__ import annotations

import numpy as np

import mechviz as mv
from benchmarks.machine import describe, medians
from benchmarks.peers.mechir import MechIR
from benchmarks.table import Row, print_table
from benchmarks.texts import CHANGE, QUERY, all_minilm, document

#: (grid, positions) -> repeats, and how many times faster it is to be. Blocks of 115 positions take MechIR more than a minute.
CASES = {
    ("heads", 31): (9, 6.0),
    ("heads", 115): (5, 4.0),
    ("heads", 255): (5, 4.0),
    ("blocks", 31): (3, 6.0),
    ("blocks", 115): (1, 3.5),
}


def rows() -> list[Row]:
    """Measure each grid."""
    folder = all_minilm().model.config._name_or_path
    ranker = mv.Dot(folder, pooling="mean", normalize=False)
    with MechIR(folder) as mechir:
        return [row for case, (repeats, aim) in CASES.items() for row in _rows(ranker, mechir, *case, repeats, aim)]


def _rows(ranker: mv.Dot, mechir: MechIR, grid: str, positions: int, repeats: int, aim: float) -> list[Row]:
    doc = document(ranker, positions)
    pair = mv.make_pair(ranker, QUERY, doc, CHANGE)
    assert len(pair.base) == positions
    query = ranker.tokenize(QUERY, doc)["query"]
    ours, theirs = mv.patch(ranker, QUERY, doc, CHANGE, grid=grid).patched.values, mechir(grid, query, pair.base, pair.source)
    difference = np.max(np.abs(ours - theirs.scores) / np.maximum(1, np.abs(ours)))
    assert difference < 1e-4, f"the two do not compute the same: {difference}"
    # MechIR's time holds what its worker and the pipe add: about a millisecond.
    works = {
        "mechviz": lambda: mv.patch(ranker, QUERY, doc, CHANGE, grid=grid),
        "MechIR": lambda: mechir(grid, query, pair.base, pair.source),
    }
    time = medians(works, repeats)
    where = f"{grid} grid, exact, {positions} tokens"
    faster = time["MechIR"] / time["mechviz"]
    return [
        Row(
            f"{where}: times faster than MechIR 0.2.0",
            f"{faster:.1f} ({time['MechIR']:.2f} s / {time['mechviz']:.2f} s)",
            f"{aim:g}",
            faster >= aim,
        ),
        Row(f"{where}: largest relative difference from MechIR's scores", f"{difference:.0e}", "1e-4", True),
    ]


if __name__ == "__main__":
    print(describe(), "\n", flush=True)
    print_table(rows())
