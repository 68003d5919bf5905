"""One chunk after the other, in this process."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from mechviz.studies.chunks import Chunk
from mechviz.studies.unit import Unit


def run(unit: Unit, chunks: Iterator[Chunk]) -> Iterator[tuple[Chunk, pa.Table]]:
    """Yield each chunk with its table."""
    for chunk in chunks:
        yield chunk, unit.table(chunk)
