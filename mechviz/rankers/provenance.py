"""Which ranker a result came from."""

from __future__ import annotations

import mechviz
from mechviz.rankers.ranker import Ranker


def provenance_of(ranker: Ranker) -> dict[str, str]:
    """Return a ranker's name, kind and the hash of its weights."""
    return {"ranker": ranker.name, "ranker_kind": ranker.kind, "weights_sha256": ranker.weight_hash()}


def full_provenance_of(ranker: Ranker) -> dict[str, str]:
    """Return the same with how the ranker was opened, and by which version of mechviz."""
    return {
        "ranker": ranker.name,
        "ranker_kind": ranker.kind,
        "ranker_repr": repr(ranker),
        "weights_sha256": ranker.weight_hash(),
        "mechviz": mechviz.__version__,
    }
