"""How far a ranker agrees with axioms, for the drawing."""

from __future__ import annotations

from typing import Any

from mechviz.results.scorecard import ROW_COLUMNS, Scorecard
from mechviz.wire.pairs import LISTED
from mechviz.wire.spec import bare, finite


def pack_scorecard(card: Scorecard, opens: bool) -> dict[str, Any]:
    """Return the spec of a scorecard.

    Parameters
    ----------
    card : Scorecard
    opens : bool
        Whether somebody can run the ranker on a pair of the list.
    """
    rows = [
        {name: str(value) if name in ("axiom", "group", "value") else finite(float(value)) for name, value in row.items()}
        for row in card.rows[list(ROW_COLUMNS)].to_dict("records")
    ]
    spec = bare("scorecard", card.provenance)
    return {
        **spec,
        "ranker": {**spec["ranker"], "name": card.ranker},
        "scorecard": {
            "rows": rows,
            "dropped": {
                axiom: [[str(reason), int(n)] for reason, n in reasons.items()] for axiom, reasons in card.dropped.items()
            },
        },
        "list": {"opens": opens, "n": min(LISTED, len(card.pairs)), "of": len(card.pairs)},
    }
