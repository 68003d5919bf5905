import numpy as np
import pytest

from mechviz import wire
from mechviz.errors import InputError
from mechviz.figures import attention_svg, lanes, lines_svg
from mechviz.figures.colour import THEMES
from mechviz.figures.strands import line_look
from mechviz.results import StackShape
from tests import golden
from tests.figures import made

CHANGE, LINE = THEMES["light"].change, THEMES["light"].line


def attention(n, seed=0, alpha=0.2):
    return np.random.default_rng(seed).dirichlet(np.full(n, alpha), size=(2, n)).astype(np.float32)


def case():
    words = [f"w{i}" for i in range(6)]
    return made.result([[0.1, 0.5]], of=made.pair(["[CLS]", *words], ["[CLS]", *words, "lava"]))


def strands(root):
    return [one for group in made.find(root, "g", data_lines=...) for one in made.find(group, "line")]


def test_the_strongest_edges_are_drawn_from_row_to_row():
    result = case()
    pattern = attention(len(result.pair.base))
    root = made.parsed(lines_svg(result, pattern, 0, 1))
    drawn = strands(root)
    heights = sorted({float(one.get("y1")) for one in drawn} | {float(one.get("y2")) for one in drawn})
    top, step = heights[0], np.diff(heights).min()
    groups = made.find(root, "g", data_lines=...)
    for run, group in enumerate(groups):
        found = {}
        for one in made.find(group, "line"):
            query, key = (round((float(one.get(name)) - top) / step) for name in ("y1", "y2"))
            found[query, key] = one
        edges = set(zip(*(index.tolist() for index in wire.strongest_edges(pattern[run], 0.7)), strict=True))
        assert set(found) == edges
        for (query, key), one in found.items():
            opacity, width = line_look(float(pattern[run, query, key]), len(edges))
            assert float(one.get("stroke-opacity")) == pytest.approx(opacity, abs=0.006)
            assert float(one.get("stroke-width")) == pytest.approx(width, abs=0.006)
            changed = {result.pair.alignment.kinds[query], result.pair.alignment.kinds[key]} != {"equal"}
            assert one.get("stroke") == (CHANGE if changed else LINE)
    assert len(groups) == 2


def test_the_mass_is_stated():
    result = case()
    n = len(result.pair.base)
    pattern = attention(n)
    shown = made.words(made.parsed(lines_svg(result, pattern, 0, 1)))
    for run in pattern:
        edges = wire.strongest_edges(run, 0.7)
        share = 100 * run[edges].sum() / run.sum()
        assert f"{len(edges[0])} of {n * n} lines, {share:.0f}% of the mass" in shown
    assert any("the patch effect, +0.50" in word for word in shown)


@pytest.mark.parametrize("n_lines", [1, 300, 800, 2000, 9000])
def test_looks_are_those_of_the_views(n_lines):
    for weight in (0.0, 0.01, 0.25, 1.0, 1.5):
        root = min(1, weight) ** 0.5
        density = min(1, max(0, (n_lines - 300) / (2000 - 300)))
        floor = 0.12 - 0.08 * density
        assert line_look(weight, n_lines) == pytest.approx((floor + (1 - floor) * root ** (1 + 0.9 * density), 0.5 + 2.5 * root))


def test_bars_behind_the_tokens_are_the_mean_attention_received():
    result = case()
    pattern = attention(len(result.pair.base))
    root = made.parsed(lines_svg(result, pattern, 0, 1))
    bars = made.find(root, "rect", fill=THEMES["light"].bar)
    received = pattern.mean(1)
    lengths = [float(one.get("width")) for one in bars]
    assert lengths == pytest.approx(received.ravel() / received.max() * max(lengths), abs=0.02)


def test_a_pinned_position_stands_out_with_its_weights():
    result = case()
    pattern = attention(len(result.pair.base))
    root = made.parsed(lines_svg(result, pattern, 0, 1, pos=3))
    pinned = [one for group in made.find(root, "g", data_pinned=...) for one in made.find(group, "line")]
    edges = [list(zip(*wire.strongest_edges(run, 0.7), strict=True)) for run in pattern]
    assert len(pinned) == sum(3 in (query, key) for run in edges for query, key in run)
    assert {group.get("opacity") for group in made.find(root, "g", data_lines=...)} == {"0.13"}
    assert len(made.find(root, "rect", data_selected=1)) == 4
    strongest = pattern[0, 3].max()
    assert f"{strongest:.2f}".lstrip("0") in made.words(root)


def test_the_first_step_of_a_decoder_has_bars():
    result = golden.cross_result()
    pattern = golden.cross_patterns(1)[:, 2]
    root = made.parsed(lines_svg(result, pattern, 1, 2))
    bars = made.find(root, "rect", data_bar=...)
    assert len(bars) == 18
    assert not strands(root)
    length = {int(one.get("data-bar")): float(one.get("width")) for one in bars[:9]}
    largest = pattern.max()
    for key, weight in enumerate(pattern[0, 0]):
        assert length[key] == pytest.approx(weight / largest * max(length.values()), abs=0.02)
    assert made.words(root).count("decoder, first step") == 2
    one_position = made.result([[0.5]], of=result.pair, stack="decoder")
    assert made.words(made.parsed(lines_svg(one_position, np.ones((2, 1, 1)), 0, 0))).count("decoder, first step") == 4


@pytest.mark.parametrize("n", [1, 60, 300, 512])
def test_texts_of_any_length(n):
    words = [f"w{i}" for i in range(n)]
    result = made.result([[0.5]], of=made.pair(words, [*words[:-1], "lava"]))
    root = made.parsed(lines_svg(result, attention(n, alpha=0.02), 0, 0, "dark"))
    shown = made.words(root)
    folded = made.find(root, "text", data_fold=...)
    assert bool(folded) == (n > lanes.LONG)
    named = sum(one.startswith("w") for one in shown) + sum(int(one.get("data-fold")) for one in folded)
    assert named == 4 * n - 2
    assert shown.count("lava") == 2
    rows = sorted({float(one.get("y")) for one in made.find(root, "text") if one.text.startswith("w")})
    assert (np.diff(rows) >= 13 - 1e-6).all()


def test_hostile_tokens():
    result = made.result([[0.5]], of=made.pair(made.HOSTILE, [*made.HOSTILE[:-1], "lava"]))
    made.parsed(lines_svg(result, attention(len(result.pair.base)), 0, 0))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"pattern": np.zeros((2, 3, 3))}, "that of these tokens is"),
        ({"pattern": np.full((2, 8, 8), np.nan)}, "not finite"),
        ({"layer": 1}, "layer=1"),
        ({"head": -1}, "head=-1"),
        ({"pos": 8}, "pos=8"),
        ({"theme": "blue"}, "theme"),
    ],
)
def test_what_does_not_fit_is_refused(change, match):
    result = case()
    given = {"pattern": attention(8), "layer": 0, "head": 1, **change}
    assert len(result.pair.base) == 8
    with pytest.raises(InputError, match=match):
        lines_svg(result, **given)


def shape(**fields):
    return StackShape(**{"name": "encoder", "text": "encoder", "n_layers": 2, "n_heads": 3, "label": "Of itself", **fields})


def test_the_share_that_is_drawn_is_said_and_lowered_where_lines_would_be_too_many():
    few = case()
    assert any("hold 70% of its attention" in word for word in made.words(made.parsed(lines_svg(few, attention(8), 0, 1))))
    words = [f"w{i}" for i in range(59)]
    many = made.result([[0.5]], of=made.pair(words, [*words, "lava"]))
    pattern = attention(60, alpha=5.0)
    root = made.parsed(lines_svg(many, pattern, 0, 0))
    mass = next(m / 10 for m in range(7, 0, -1) if all(len(wire.strongest_edges(run, m / 10)[0]) <= 400 for run in pattern))
    assert mass < 0.7
    assert len(strands(root)) == sum(len(wire.strongest_edges(run, mass)[0]) for run in pattern)
    assert any(f"hold {mass:.0%} of its attention" in word for word in made.words(root))


def test_what_is_folded_sends_its_mean_and_receives_its_sum():
    n = 100
    words = ["[CLS]", *(f"w{i}" for i in range(n - 2))]
    result = made.result([[0.5]], of=made.pair(words, [*words, "lava"]))
    pattern = attention(n, alpha=0.01)
    root = made.parsed(lines_svg(result, pattern, 0, 0, pos=7))
    said = " ".join(made.words(root))
    assert "Stretches that little attention comes from or goes to are folded." in said
    assert {"w6", "[CLS]", "lava"} <= set(made.words(root)), "what is pinned, special or changed stays"
    folds = made.find(root, "text", data_fold=...)
    assert {one.text for one in folds} == {f"… {one.get('data-fold')} tokens" for one in folds}
    bars = made.find(root, "rect", fill=THEMES["light"].bar)
    lengths = [float(one.get("width")) for one in bars]
    _, edges = lanes.usual_edges(list(pattern))
    kinds, segments = result.pair.alignment.kinds, result.pair.base.segments
    rows = lanes.folded_lanes(kinds, segments, lanes.weights_of(list(pattern), edges, keys_only=False), 7)
    assert [int(one.get("data-fold")) for one in folds] == [len(lane) for lane in rows.positions if len(lane) > 1] * 4
    received = pattern.mean(1)
    sums = np.array([[run[list(lane)].sum() for lane in rows.positions] for run in received]).ravel() / received.max()
    assert lengths == pytest.approx(np.minimum(1, sums[sums > 0]) * max(lengths), abs=0.02)


def test_one_run_alone():
    tokens, pattern = made.tokens(["[CLS]", "hot", "lava", "##s", "[SEP]"]), attention(5)[0]
    root = made.parsed(attention_svg(tokens, pattern, shape(), 1, 2, {"ranker": "a/ranker", "ranker_kind": "Cat"}, pos=1))
    shown = made.words(root)
    assert shown.count("hot") == shown.count("‐s") == 2
    assert not [word for word in shown if "run:" in word or "patch effect" in word]
    edges = wire.strongest_edges(pattern, 0.7)
    pinned = [one for group in made.find(root, "g", data_pinned=...) for one in made.find(group, "line")]
    assert len(strands(root)) + len(pinned) == len(edges[0])
    assert {one.get("stroke") for one in strands(root)} == {LINE}
    assert root[0].text == "Attention of layer 1, head 2: a/ranker (Cat)"
    assert "layer: 1\nhead: 2" in root[1].text
    assert "hot" not in root[1].text
    assert len(made.find(root, "rect", data_selected=1)) == 2
    made.parsed(attention_svg(made.tokens(made.HOSTILE), attention(len(made.HOSTILE))[0], shape(label=""), 0, 0, {}, "dark"))


def test_queries_of_another_text_have_their_own_names():
    tokens, pattern = made.tokens(["hot", "lava", "flow"]), np.random.default_rng(0).dirichlet(np.ones(3), size=4)
    other = shape(query_labels=("la", "lave", "coule", "שלום"))
    root = made.parsed(attention_svg(tokens, pattern, other, 0, 0, {"made by": "from_arrays"}, pos=2))
    shown = made.words(root)
    assert {"la", "lave", "coule", "שלום"} <= set(shown)
    assert shown.count("lava") == shown.count("flow") == 1
    assert len(made.find(root, "rect", data_selected=1)) == 1
    assert "made by: from_arrays" in root[1].text
    bars = made.find(
        made.parsed(attention_svg(tokens, pattern[:1], shape(query_labels=("step",)), 0, 0, {})), "rect", data_bar=...
    )
    assert len(bars) == 3


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"pattern": np.zeros((4, 4))}, "query_pos, key_pos"),
        ({"pattern": np.full((3, 3), np.nan)}, "not finite"),
        ({"layer": 2}, "layer=2"),
        ({"head": 3}, "head=3"),
        ({"pos": 3}, "pos=3"),
    ],
)
def test_what_does_not_fit_one_run_is_refused(change, match):
    given = {"pattern": np.eye(3), "layer": 0, "head": 0, "pos": None, **change}
    with pytest.raises(InputError, match=match):
        attention_svg(made.tokens(["a", "b", "c"]), shape=shape(), provenance={}, **given)
