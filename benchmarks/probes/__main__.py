"""What the README says of probes: ``MECHVIZ_DATA=... python -m benchmarks.probes``. About 15 minutes on two slow cores."""

from __future__ import annotations

from benchmarks import machine
from benchmarks.probes import neurons, polysemy, relations, words
from benchmarks.table import Row, print_table


def main() -> None:
    print(machine.describe(), "\n", flush=True)
    rows: list[Row] = []
    for part in (neurons, words, relations, polysemy):
        rows += part.rows()
    print_table(rows)


if __name__ == "__main__":
    main()
