"""Which cells a grid has and how many fit one batch: plain arithmetic, no tensors."""

from __future__ import annotations

from mechviz.errors import InputError

GRIDS = ("heads",)

#: Memory that the rows of one batch may take.
ROW_BUDGET = 512 * 2**20

#: Positions of one batch on a CPU: with more, activations leave its caches and the products get no faster.
CPU_POSITIONS = 1536


def check_grid(grid: str) -> None:
    """Refuse a grid that does not exist.

    Raises
    ------
    InputError
        Lists those that there are.
    """
    if grid not in GRIDS:
        raise InputError(f"grid={grid!r}; mechviz has {', '.join(map(repr, GRIDS))}")


def rows_per_batch(positions: int, d_model: int, d_mlp: int, cpu: bool, budget: int = ROW_BUDGET) -> int:
    """Return how many rows may run at once, at least 1.

    A row holds, in float32 at its widest point, the MLP's activation before and after its non-linearity beside a few
    hidden states.
    """
    rows = budget // (4 * positions * (2 * d_mlp + 6 * d_model))
    return max(1, min(rows, CPU_POSITIONS // positions) if cpu else rows)


def even_rows(cells: int, max_rows: int) -> int:
    """Return the batch size that splits ``cells`` into as few batches, the last not much smaller than the others."""
    return -(-cells // -(-cells // max_rows))
