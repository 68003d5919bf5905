"""Relation detectors as JSON."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mechviz.errors import InputError, InputTypeError, shown
from mechviz.files import replacing
from mechviz.probes.detector_fit import Fitted
from mechviz.probes.relations import Relation, check_relation, named
from mechviz.rankers.provenance import provenance_of
from mechviz.rankers.ranker import Ranker, check_ranker

if TYPE_CHECKING:
    from mechviz.probes.detector import RelationDetector

FORMAT = 1
_WHAT = "a RelationDetector of mechviz"


def save(detector: RelationDetector, path: str | os.PathLike[str]) -> None:
    """Write a detector; see `RelationDetector.save`."""
    relation = detector.relation
    data = {
        "format": FORMAT,
        "what": _WHAT,
        "relation": {
            "name": relation.name,
            "where": relation.where,
            "needs_query": relation.needs_query,
            "spec": list(relation.spec),
        },
        "features": vars(detector.features),
        "settings": {"C": detector.C, "negatives": detector.negatives, "seed": detector.seed},
        "ranker": provenance_of(detector.ranker),
        "fitted": detector.fitted.to_dict(),
    }
    with replacing(path) as part:
        part.write_text(json.dumps(data, indent=1), encoding="utf-8")


def load(
    cls: type[RelationDetector],
    path: str | os.PathLike[str],
    ranker: Ranker,
    relation: Relation | None = None,
    any_weights: bool = False,
) -> tuple[RelationDetector, Fitted]:
    """Read a detector, and what it has learned; see `RelationDetector.load`."""
    data = _read(path)
    own = provenance_of(check_ranker(ranker))
    try:
        said, made_on = data["relation"], data["ranker"]
        if own["weights_sha256"] != made_on["weights_sha256"] and not any_weights:
            raise InputError(
                f"this detector was learned on {made_on['ranker']} (weights {made_on['weights_sha256'][:12]}) and "
                f"{ranker.name} has weights {own['weights_sha256'][:12]}; give that ranker, or any_weights=True"
            )
        fitted = Fitted.from_dict(data["fitted"])
        stored = named(said["spec"]) or Relation(said["name"], said["where"], needs_query=said["needs_query"])
        settings = {**data["features"], **data["settings"]}
    except (KeyError, TypeError) as error:
        raise InputError(f"{os.fspath(path)} lacks a part of a detector ({error!r}); save it again") from error
    part = ranker.stack(ranker.stack_of("doc"))
    if (part.n_layers, part.n_heads) != fitted.shape:
        raise InputError(
            f"this detector has {fitted.shape[0]} x {fitted.shape[1]} heads, {ranker.name} {part.n_layers} x {part.n_heads}"
        )
    known = stored if relation is None else check_relation(relation)
    if known.name != said["name"]:
        raise InputError(f"relation={known.name!r}, and this detector was learned on {said['name']!r}")
    return cls(known, ranker, **settings), fitted


def _read(path: str | os.PathLike[str]) -> dict[str, Any]:
    if not isinstance(path, (str, os.PathLike)):
        raise InputTypeError(f"a file is named by a string or a path, not {shown(path)}")
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"there is no file {os.fspath(path)}; RelationDetector.save writes one") from None
    except (ValueError, OSError) as error:
        raise InputError(f"{os.fspath(path)} cannot be read as JSON ({error}); save the detector again") from error
    if not isinstance(data, dict) or data.get("what") != _WHAT:
        raise InputError(f"{os.fspath(path)} holds no relation detector")
    if data.get("format") != FORMAT:
        raise InputError(f"{os.fspath(path)} has format {shown(data.get('format'))}, this mechviz reads {FORMAT}; update mechviz")
    return data
