import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mechviz import wire
from mechviz.errors import InputError
from mechviz.results import PatchResult
from tests import golden


@pytest.mark.parametrize("path", golden.FIXTURES, ids=lambda path: path.stem)
def test_the_golden_files_are_what_is_packed_now(path):
    assert json.loads(path.read_text(encoding="utf-8")) == golden.FIXTURES[path]()


PATTERNS = hnp.arrays(np.float32, st.tuples(st.integers(2, 8), st.integers(1, 8)), elements=st.floats(0, 1, width=32))


@given(PATTERNS)
def test_edges_hold_the_mass_and_no_more_than_needed(pattern):
    rows, columns = wire.strongest_edges(pattern)
    assert (np.diff(pattern[rows, columns]) <= 0).all(), "strongest first"
    for row, weights in enumerate(pattern.astype(np.float64)):
        kept = weights[columns[rows == row]]
        assert (kept > 0).all()
        if weights.sum() > 0:
            assert kept.sum() >= wire.EDGE_MASS * weights.sum() - 1e-5
            assert kept.sum() - kept.min() < wire.EDGE_MASS * weights.sum() + 1e-5


def test_a_single_row_is_kept_whole():
    rows, columns = wire.strongest_edges(np.array([[0.125, 0.5, 0.0, 0.375]], dtype=np.float32))
    assert (rows.tolist(), columns.tolist()) == ([0, 0, 0], [1, 3, 0])


def test_the_cap_keeps_the_strongest(monkeypatch):
    monkeypatch.setattr(wire.attention, "EDGE_CAP", 5)
    pattern = np.random.default_rng(0).dirichlet(np.ones(9), size=9).astype(np.float32)
    rows, columns = wire.strongest_edges(pattern)
    assert len(rows) == 5
    head = wire.pack_head("doc", 0, 0, np.stack([pattern, pattern]))
    assert head.entry["base"] == {"edges": 5, "of": 81, "mass": pytest.approx(float(pattern[rows, columns].sum()) / 9)}


def test_a_head_says_what_it_leaves_out():
    pattern = np.full((10, 10), 0.1, dtype=np.float32)
    packed = wire.pack_head("doc", 2, 3, np.stack([pattern, np.eye(10, dtype=np.float32)]))
    entry = packed.entry
    assert packed.key == "attention.doc.2.3"
    assert (entry["stack"], entry["layer"], entry["head"]) == ("doc", 2, 3)
    assert entry["base"] == {"edges": 90, "of": 100, "mass": pytest.approx(0.9)}
    assert entry["source"] == {"edges": 10, "of": 100, "mass": pytest.approx(1)}


def test_a_tensor_of_other_dimensions_is_refused():
    with pytest.raises(InputError, match="query_pos, key_pos"):
        wire.pack_head("doc", 0, 0, np.zeros((2, 2), dtype=np.float32))
    with pytest.raises(InputError, match="one run or two"):
        wire.pack_head("doc", 0, 0, np.zeros((3, 2, 2), dtype=np.float32))


def test_the_budget_stops_packing_and_layers_are_computed_once():
    asked = []

    def patterns(stack, layer):
        assert stack == "doc"
        asked.append(layer)
        return golden.patterns(layer)

    heads = [("doc", 1, 2), ("doc", 0, 0), ("doc", 1, 3)]
    size = wire.pack_heads(patterns, heads[:1], 10**6)[0].nbytes
    packed = wire.pack_heads(patterns, heads, 2 * size + size // 2)
    assert [(head.entry["stack"], head.entry["layer"], head.entry["head"]) for head in packed] == heads[:2]
    assert asked == [1, 1, 0]


def test_heads_that_will_not_fit_are_not_computed():
    asked = []

    def patterns(stack, layer):
        assert stack == "doc"
        asked.append(layer)
        return golden.patterns(layer)

    heads = [("doc", layer, 0) for layer in range(40)]
    assert len(wire.pack_heads(patterns, heads, 1000)) < wire.attention._BLOCK
    assert asked == list(range(wire.attention._BLOCK))


def test_cells_know_what_they_are():
    result = golden.golden_result()
    cells = wire.pack_cells(result)
    assert cells["doc.heads.state"].tolist() == [[2, 2, 0, 2], [2, 2, 2, 2]]
    preview = PatchResult(result.pair, "heads", "attribution", "effect", result.effects, result.patched)
    assert wire.pack_cells(preview)["doc.heads.state"].tolist() == [[1, 1, 0, 1], [1, 1, 1, 1]]


def with_scores(**scores):
    golden_result = golden.golden_result()
    pair = type(golden_result.pair).from_dict({**golden_result.pair.to_dict(), **scores})
    return PatchResult(
        pair,
        "heads",
        "exact",
        "effect",
        golden_result.effects,
        golden_result.patched,
        competitors=np.array([[0.0, 10.0, 1.0]] * 2),
    )


def test_a_closed_gate_is_said_in_words():
    result = with_scores(source_score=0.5)
    assert not result.pair.gate
    assert "effects are not defined" in wire.pack_patching([result])["gate"]["message"]


def test_a_weak_change_gets_a_banner():
    assert "Weak change: 0.4 is 4.0% of" in wire.banners(with_scores(source_score=0.9))[0]["text"]
    assert not any("Weak" in banner["text"] for banner in wire.banners(with_scores(source_score=1.1)))


def test_ranks_count_ties_for_the_competitor():
    result = with_scores(original_score=1.0, perturbed_score=11.0)
    ranks = wire.ranks(result)
    assert (ranks["original"], ranks["perturbed"], ranks["of"]) == (3, 1, 4)


def test_a_changed_query_is_ranked_among_scores_of_the_changed_query():
    golden_result = golden.golden_result()
    competitors = np.array([[0.0, 0.9], [2.0, 3.0]])
    both = PatchResult(
        golden_result.pair, "heads", "exact", "effect", golden_result.effects, golden_result.patched, competitors=competitors
    )
    ranks = wire.ranks(both)
    assert (ranks["original"], ranks["perturbed"]) == (2, 3)


def test_fillers_that_turn_the_change_around_are_told_of():
    texts = [banner["text"] for banner in wire.banners(with_scores(original_score=2.0, source_score=9.0))]
    assert any("-1, between" in text and "+8.5, with the other sign" in text for text in texts)
    assert not any("filler" in text for text in (banner["text"] for banner in wire.banners(golden.golden_result())))


def test_no_competitors_no_ranks():
    golden_result = golden.golden_result()
    alone = PatchResult(golden_result.pair, "heads", "exact", "effect", golden_result.effects, golden_result.patched)
    assert wire.ranks(alone) is None


STEP = ["decoder, first step"]


@pytest.mark.parametrize(
    ("stack", "text", "words", "queries", "keys"),
    [
        ("doc", "doc", "document tower", None, None),
        ("query", "query", "query tower", None, None),
        ("encoder", "encoder", "together", None, None),
        ("decoder", "decoder", "only those before it", None, None),
        ("cross", "encoder", "the text that the encoder read", STEP, None),
        ("decoder", "encoder", "one position only", STEP, STEP),
    ],
)
def test_the_lines_say_whose_they_are(stack, text, words, queries, keys):
    result = golden.golden_result()
    result = replace(result, stack=stack, pair=replace(result.pair, stack=text))
    spec = wire.pack_patching([result])
    (described,) = spec["stacks"]
    assert (described["name"], described["text"]) == (stack, text)
    assert words in described["label"]
    assert (described["query_labels"], described["key_labels"]) == (queries, keys)


def test_bytes_are_little_endian():
    assert wire.to_bytes(np.array([1], dtype=">u2")) == b"\x01\x00"
    assert wire.describe({"x": np.zeros((2, 3), dtype=">f4")}) == {"x": {"dtype": "f4", "shape": [2, 3]}}


TWO = hnp.arrays(np.float32, st.tuples(st.integers(1, 7), st.integers(1, 9)), elements=st.floats(-1, 1, width=16))


@given(TWO)
def test_differences_hold_the_mass_and_no_more_than_needed(moved):
    rows, columns = wire.largest_differences(moved)
    kept = np.abs(moved[rows, columns]).astype(np.float64)
    total = np.abs(moved).astype(np.float64).sum()
    assert (np.diff(kept) <= 0).all(), "largest first"
    assert (kept > 0).all()
    if total > 0:
        assert kept.sum() >= wire.EDGE_MASS * total - 1e-5
        assert kept.sum() - kept.min() < wire.EDGE_MASS * total + 1e-5


def test_a_head_holds_how_its_runs_differ():
    base = np.array([[0.5, 0.5], [1.0, 0.0]], dtype=np.float32)
    source = np.array([[0.25, 0.75], [1.0, 0.0]], dtype=np.float32)
    packed = wire.pack_head("doc", 0, 1, np.stack([base, source]))
    name = f"{packed.key}.difference"
    assert packed.arrays[f"{name}.weight"].tolist() == [-0.25, 0.25]
    assert packed.arrays[f"{name}.key_pos"].tolist() == [0, 1]
    assert packed.entry["difference"] == {"edges": 2, "of": 4, "mass": 1.0}
    alone = wire.pack_head("doc", 0, 1, base[None])
    assert "source" not in alone.entry
    assert "difference" not in alone.entry


@given(
    hnp.arrays(
        np.float32, st.tuples(st.integers(1, 3), st.integers(1, 60), st.integers(1, 60)), elements=st.floats(0, 1, width=16)
    )
)
def test_thumbnails_keep_the_strongest_cell_of_each_piece(matrices):
    side = 7
    pooled = wire.max_pool(matrices, side)
    assert pooled.shape == (len(matrices), min(side, matrices.shape[1]), min(side, matrices.shape[2]))
    for matrix, small in zip(matrices, pooled, strict=True):
        rows, columns = (
            np.arange(n) if n <= side else np.searchsorted(np.arange(side) * n // side, np.arange(n), "right") - 1
            for n in matrix.shape
        )
        expected = np.full(small.shape, -1.0, dtype=np.float32)
        np.maximum.at(expected, (rows[:, None], columns[None, :]), matrix)
        np.testing.assert_array_equal(small, expected)


def test_thumbnails_are_bytes_of_the_square_root():
    packed = wire.pack_thumbs("doc", 2, lambda stack, layer: golden.patterns(layer))
    assert packed.entry == {"stack": "doc", "rows": 7, "columns": 7}
    base = packed.arrays["thumbs.doc.base"]
    assert base.shape == (2, 4, 7, 7)
    np.testing.assert_allclose((base[1] / 255.0) ** 2, golden.patterns(1)[0], atol=0.004)


def test_without_texts_no_word_is_left():
    result = golden.golden_result()
    spec = wire.with_held({**wire.pack_patching([result]), "ranking": wire.pack_rivals(result)}, [])
    bare = wire.without_texts(spec)
    words = json.dumps({**bare, "provenance": {}})
    for word in ("hot", "spring", "lava", "script", "why"):
        assert word in json.dumps(spec)
        assert word not in words
    labels = bare["texts"]["doc"]["base"]["labels"]
    assert labels[0] == "[CLS]"
    assert len(labels) == len(spec["texts"]["doc"]["base"]["labels"])


def test_the_list_of_rivals_holds_the_document_itself():
    result = golden.golden_result()
    documents = wire.pack_rivals(result)["documents"]
    assert [document["moved"] for document in documents] == [False, False, True]
    assert (documents[-1]["original"], documents[-1]["perturbed"]) == (0.53125, 1.0)
    assert wire.pack_rivals(replace(result, competitors=np.empty((2, 0), dtype=np.float32))) is None


@given(st.text(max_size=400))
def test_a_snippet_is_one_short_line(text):
    cut = wire.snippet(text)
    assert len(cut) <= 162
    assert "\n" not in cut
