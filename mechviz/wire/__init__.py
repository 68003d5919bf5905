"""What crosses from Python to the drawing: one small JSON spec and named little-endian buffers.

The same form travels by widget traits and inside an HTML snapshot; ``js/src/wire.ts`` is its reader, and both are
tested on the files in ``tests/fixtures/wire``. Effects and scores are float32, attention float16. Attention is sent
as its strongest edges, never as a full matrix.
"""

from mechviz.wire.attention import (
    EDGE_CAP,
    EDGE_MASS,
    RUNS,
    Head,
    Patterns,
    largest_differences,
    max_pool,
    pack_head,
    pack_heads,
    pack_matrices,
    pack_matrix,
    pack_scores,
    pack_thumbs,
    strongest_edges,
)
from mechviz.wire.buffers import Packed, bytes_of, describe, to_bytes
from mechviz.wire.cells import EMPTY, EXACT, PREVIEW, grid_key, pack_cells, pack_grid
from mechviz.wire.parts import pack_parts
from mechviz.wire.ranking import pack_ranking, pack_rivals, snippet
from mechviz.wire.spec import (
    FORMAT,
    banners,
    gate_message,
    pack_attention,
    pack_circuit,
    pack_circuit_alone,
    pack_patching,
    pack_ranked,
    ranks,
    with_held,
    without_texts,
)

__all__ = [
    "EDGE_CAP",
    "EDGE_MASS",
    "EMPTY",
    "EXACT",
    "FORMAT",
    "PREVIEW",
    "RUNS",
    "Head",
    "Packed",
    "Patterns",
    "banners",
    "bytes_of",
    "describe",
    "gate_message",
    "grid_key",
    "largest_differences",
    "max_pool",
    "pack_attention",
    "pack_cells",
    "pack_circuit",
    "pack_circuit_alone",
    "pack_grid",
    "pack_head",
    "pack_heads",
    "pack_matrices",
    "pack_matrix",
    "pack_parts",
    "pack_patching",
    "pack_ranked",
    "pack_ranking",
    "pack_rivals",
    "pack_scores",
    "pack_thumbs",
    "ranks",
    "snippet",
    "strongest_edges",
    "to_bytes",
    "with_held",
    "without_texts",
]
