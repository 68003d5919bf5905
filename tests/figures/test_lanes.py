import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mechviz import wire
from mechviz.figures import lanes

MARKS = Path(__file__).parents[2] / "js" / "src" / "marks"


def number(file: str, name: str) -> float:
    return float(re.search(rf"\b{name} = ([\d.]+)", (MARKS / file).read_text()).group(1))


def test_the_rules_are_those_of_the_views():
    assert number("lanes.ts", "LONG") == lanes.LONG
    assert number("lanes.ts", "KEPT") == lanes._KEPT
    assert number("lanes.ts", "FOLD_FROM") == lanes._FOLD_FROM
    assert number("edges.ts", "READABLE") == lanes.READABLE
    assert number("edges.ts", "USUAL_MASS") == max(lanes._MASSES)


@given(
    st.lists(
        st.tuples(st.sampled_from(["equal", "insert"]), st.sampled_from(["doc", "query", "sep"]), st.floats(0, 1)), min_size=1
    ),
    st.none() | st.integers(0, 0),
)
def test_every_position_has_one_row_and_what_counts_is_never_folded(rows, kept):
    kinds, segments, weights = zip(*rows, strict=True)
    found = lanes.folded_lanes(kinds, segments, np.array(weights), kept)
    assert [pos for lane in found.positions for pos in lane] == list(range(len(rows)))
    assert all(pos in found.positions[found.of[pos]] for pos in range(len(rows)))
    for lane in found.positions:
        if len(lane) > 1:
            assert all(kinds[pos] == "equal" and segments[pos] == "doc" and pos != kept for pos in lane)


def test_the_largest_weights_stay():
    weights = np.arange(200.0)
    found = lanes.folded_lanes(["equal"] * 200, ["doc"] * 200, weights, None)
    assert [len(lane) for lane in found.positions] == [200 - lanes._KEPT, *[1] * lanes._KEPT]
    pinned = lanes.folded_lanes(["equal"] * 200, ["doc"] * 200, weights, 50)
    assert (50,) in pinned.positions


def test_strands_sum_keys_and_average_queries():
    pattern = np.array([[0.5, 0.3, 0.2], [0.1, 0.6, 0.3], [0.25, 0.25, 0.5]], dtype=np.float32)
    edges = wire.strongest_edges(pattern, 1.0)
    rows = lanes.Lanes(((0,), (1, 2)))
    found = {(one.start, one.end): one.weight for one in lanes.strands_of(pattern, edges, rows, rows)}
    assert found == pytest.approx({(0, 0): 0.5, (0, 1): 0.5, (1, 0): 0.175, (1, 1): 0.825})
    plain = lanes.strands_of(pattern, edges, lanes.plain_lanes(3), lanes.plain_lanes(3))
    assert [(one.start, one.end) for one in plain] == list(zip(*(at.tolist() for at in edges), strict=True))


def test_a_single_row_is_kept_whole():
    mass, edges = lanes.usual_edges([np.full((1, 900), 1 / 900, dtype=np.float32)])
    assert len(edges[0][0]) == 900
    assert 0 < mass <= 0.7
