"""Every figure that the README quotes: ``make bench``. Ratios are of one run on one machine."""

from __future__ import annotations

from benchmarks import heads_grid, interventions, machine, memory, methods, startup, studies, throughput
from benchmarks.peers import grids
from benchmarks.table import Row, print_table


def main() -> None:
    print(machine.describe(), "\n", flush=True)
    rows: list[Row] = []
    for part in (startup, throughput, heads_grid, grids, methods, memory, studies, interventions):
        rows += part.rows()
    print_table(rows)


if __name__ == "__main__":
    main()
