"""What crosses from Python to the drawing: one small JSON spec and named little-endian buffers.

The same form travels by widget traits and inside an HTML snapshot; ``js/src/wire.ts`` is its reader, and both are
tested on the files in ``tests/fixtures/wire``. Effects and scores are float32, attention float16. Attention is sent
as its strongest edges, never as a full matrix.
"""

from mechviz.wire.atlas import SHORT, pack_atlas, pack_layer, pack_points
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
from mechviz.wire.curves import pack_curve_values, pack_curves
from mechviz.wire.hiding import without_texts
from mechviz.wire.pairs import BUCKETS, LISTED, changed_part, listed, originals, pack_opened, pack_pairs, short
from mechviz.wire.parts import pack_parts
from mechviz.wire.passages import pack_passage_texts, pack_passages
from mechviz.wire.ranking import pack_ranking, pack_rivals, snippet
from mechviz.wire.relation import pack_candidates, pack_relation
from mechviz.wire.scorecard import pack_scorecard
from mechviz.wire.spec import (
    FORMAT,
    banners,
    gate_message,
    layers_of,
    pack_attention,
    pack_circuit,
    pack_circuit_alone,
    pack_patching,
    pack_ranked,
    ranks,
    with_held,
)
from mechviz.wire.study import confidence_of, is_heads, labels_of, min_change_of, pack_groups, pack_study, pack_study_cells
from mechviz.wire.tensor import (
    AXES,
    MOST_DIMS,
    check_roles,
    first_roles,
    pack_slice,
    pack_tensor,
    pack_whole,
    reduced,
)
from mechviz.wire.tensor import (
    labels_of as labels_of_dim,
)
from mechviz.wire.tree import pack_tree

__all__ = [
    "AXES",
    "BUCKETS",
    "EDGE_CAP",
    "EDGE_MASS",
    "EMPTY",
    "EXACT",
    "FORMAT",
    "LISTED",
    "MOST_DIMS",
    "PREVIEW",
    "RUNS",
    "SHORT",
    "Head",
    "Packed",
    "Patterns",
    "banners",
    "bytes_of",
    "changed_part",
    "check_roles",
    "confidence_of",
    "describe",
    "first_roles",
    "gate_message",
    "grid_key",
    "is_heads",
    "labels_of",
    "labels_of_dim",
    "largest_differences",
    "layers_of",
    "listed",
    "max_pool",
    "min_change_of",
    "originals",
    "pack_atlas",
    "pack_attention",
    "pack_candidates",
    "pack_cells",
    "pack_circuit",
    "pack_circuit_alone",
    "pack_curve_values",
    "pack_curves",
    "pack_grid",
    "pack_groups",
    "pack_head",
    "pack_heads",
    "pack_layer",
    "pack_matrices",
    "pack_matrix",
    "pack_opened",
    "pack_pairs",
    "pack_parts",
    "pack_passage_texts",
    "pack_passages",
    "pack_patching",
    "pack_points",
    "pack_ranked",
    "pack_ranking",
    "pack_relation",
    "pack_rivals",
    "pack_scorecard",
    "pack_scores",
    "pack_slice",
    "pack_study",
    "pack_study_cells",
    "pack_tensor",
    "pack_thumbs",
    "pack_tree",
    "pack_whole",
    "ranks",
    "reduced",
    "short",
    "snippet",
    "strongest_edges",
    "to_bytes",
    "with_held",
    "without_texts",
]
