import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mechviz.errors import InputError, MechvizError
from mechviz.figures import heads_svg
from mechviz.figures.colour import THEMES
from tests import golden
from tests.figures import made
from tests.figures.test_colour import mixed


def grid(n_layers, n_heads, seed=0):
    return np.random.default_rng(seed).normal(size=(n_layers, n_heads)).astype(np.float32)


def cells(root):
    return {tuple(map(int, one.get("data-cell").split("."))): one for one in made.find(root, "g", data_cell=...)}


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("shape", [(1, 1), (2, 4), (12, 12), (6, 30)])
def test_every_cell_has_the_colour_of_its_value(shape, theme):
    effects = grid(*shape)
    root = made.parsed(heads_svg(made.result(effects), theme=theme))
    limit = float(np.percentile(np.abs(effects), 99))
    found = cells(root)
    assert set(found) == set(np.ndindex(*shape))
    for at, one in found.items():
        (rect,) = made.find(one, "rect")
        assert rect.get("fill") == mixed(float(effects[at]), limit, list(THEMES[theme].ramp))
    assert root[2].get("fill") == THEMES[theme].page


def test_layer_0_is_at_the_bottom_and_head_0_at_the_left():
    found = cells(made.parsed(heads_svg(made.result(grid(3, 2)))))
    at = {cell: made.box(made.find(one, "rect")[0]) for cell, one in found.items()}
    assert at[0, 0][1] > at[1, 0][1] > at[2, 0][1]
    assert at[0, 0][0] < at[0, 1][0]
    assert len({box[2] - box[0] for box in at.values()}) == 1


@pytest.mark.parametrize("shape", [(1, 1), (12, 12), (64, 64)])
def test_cells_do_not_overlap_and_lie_on_the_page(shape):
    root = made.parsed(heads_svg(made.result(grid(*shape))))
    boxes = np.array([made.box(made.find(one, "rect")[0]) for one in cells(root).values()])
    pitch = np.diff(np.unique(boxes[:, 0]))
    assert (pitch >= boxes[0, 2] - boxes[0, 0]).all()
    assert boxes.min() >= 0
    assert boxes[:, 2].max() <= float(root.get("width"))
    assert boxes[:, 3].max() <= float(root.get("height"))


def test_what_has_no_value_is_hatched_and_is_not_zero():
    effects = grid(3, 4)
    effects[1, 2] = np.nan
    effects[2] = np.nan
    root = made.parsed(heads_svg(made.result(effects)))
    hatched = {at for at, one in cells(root).items() if made.find(one, "path", data_hatch=1)}
    assert hatched == {(1, 2), (2, 0), (2, 1), (2, 2), (2, 3)}
    for at in hatched:
        assert all(one.get("fill") == "none" for one in cells(root)[at])
    assert "not computed or not defined" in made.words(root)
    assert "0.00" not in made.words(root), "a layer without values has no sum"


def test_the_hatch_stays_in_its_cell():
    effects = np.full((2, 2), np.nan)
    effects[0, 0] = 1
    for one in cells(made.parsed(heads_svg(made.result(effects)))).values():
        for path in made.find(one, "path", data_hatch=1):
            x, y, right, bottom = made.box(made.find(one, "rect")[0])
            points = np.array(made.numbers(path.get("d"))).reshape(-1, 2)
            assert (points >= [x - 0.51, y - 0.51]).all()
            assert (points <= [right + 0.51, bottom + 0.51]).all()


def test_estimates_are_smaller_and_dashed():
    exact = np.ones((2, 3), dtype=bool)
    exact[0, 1] = False
    root = made.parsed(heads_svg(made.result(np.full((2, 3), 0.5), exact=exact)))
    full = made.box(made.find(cells(root)[0, 0], "rect")[0])
    border, inner = made.find(cells(root)[0, 1], "rect")
    assert border.get("stroke-dasharray")
    assert border.get("fill") == "none"
    size = lambda box: box[2] - box[0]  # noqa: E731
    assert size(made.box(inner)) < 0.7 * size(full)
    assert "estimate, may be wrong" in made.words(root)
    assert "estimate, may be wrong" not in made.words(made.parsed(heads_svg(made.result(np.full((2, 3), 0.5)))))


def test_signs_stand_where_a_value_is_at_least_half_of_the_limit():
    effects = np.array([[1.0, -1.0, 0.5, 0.49], [-0.5, -0.49, 0.0, 1.0]], dtype=np.float32)
    root = made.parsed(heads_svg(made.result(effects)))
    limit = np.percentile(np.abs(effects), 99)
    signs = {}
    for at, one in cells(root).items():
        paths = [path for path in made.find(one, "path") if path.get("stroke")]
        signs[at] = 0 if not paths else 1 if "v" in paths[0].get("d") else -1
    assert signs == {at: int(np.sign(value)) * (abs(value) >= limit / 2) for at, value in np.ndenumerate(effects)}


def test_what_is_beyond_the_limit_has_a_tick():
    effects = grid(12, 12)
    effects[3, 4] = 40
    root = made.parsed(heads_svg(made.result(effects), theme="light"))
    limit = np.percentile(np.abs(effects), 99)
    ticked = {at for at, one in cells(root).items() if [p for p in made.find(one, "path") if p.get("fill") == "#ffffff"]}
    assert ticked == {at for at, value in np.ndenumerate(effects) if abs(value) > limit} != set()
    assert f"colours end at ±{limit:.2f}, the 99th percentile of |value|" in made.words(root)


def test_the_selected_head_has_an_outline():
    root = made.parsed(heads_svg(made.result(grid(3, 4)), {"layer": 1, "head": 2, "pos": None}))
    (outline,) = made.find(root, "rect", data_selected=1)
    x, y, right, bottom = made.box(outline)
    inner = made.box(made.find(cells(root)[1, 2], "rect")[0])
    assert x < inner[0] < inner[2] < right
    assert y < inner[1] < inner[3] < bottom
    for nothing in (None, {}, {"layer": None, "head": None}, {"layer": 1, "head": None}):
        assert not made.find(made.parsed(heads_svg(made.result(grid(3, 4)), nothing)), "rect", data_selected=1)


@pytest.mark.parametrize("selection", [{"layer": 3, "head": 0}, {"layer": 0, "head": -1}, {"layer": "0", "head": 1}])
def test_a_selection_outside_is_refused(selection):
    with pytest.raises(InputError, match="number from 0 to"):
        heads_svg(made.result(grid(3, 4)), selection)


def test_strongest_heads_and_layer_sums_are_listed():
    effects = np.array([[0.1, -0.9], [0.3, 0.2]], dtype=np.float32)
    shown = made.words(made.parsed(heads_svg(made.result(effects))))
    names = [word for word in shown if word.startswith("L") and "H" in word]
    assert names == ["L0H1", "L1H0", "L1H1", "L0H0"]
    assert {"−0.80", "+0.50", "−0.90"} <= set(shown)


def test_where_scores_did_not_change_differences_are_shown():
    of = made.pair(["hot"], ["hot", "lava"], source_score=0.5, perturbed_score=0.5)
    patched = np.array([[0.5, 0.75]], dtype=np.float32)
    result = made.result(np.full((1, 2), np.nan), of=of)
    raw = made.result(np.full((1, 2), np.nan), of=of, patched=result.patched.copy(data=patched))
    shown = made.words(made.parsed(heads_svg(raw)))
    assert "patched minus base score, 0 = nothing moved" in shown
    assert "+0.250" in shown


def test_it_says_where_it_comes_from():
    result = made.result(grid(2, 2))
    root = made.parsed(heads_svg(result))
    assert root[0].text == "Patch effects of attention heads: a/ranker (Cat), change"
    said = dict(line.split(": ", 1) for line in root[1].text.splitlines())
    assert said["ranker"] == "Cat('a/ranker')"
    assert said["perturbation"] == "change"
    assert said["metric"] == "effect"
    assert said["direction"] == "perturbed->original"
    assert said["scores"] == "original 0.5, perturbed 1.5, base 0.5, source 1.5"
    assert said["computed by"] == "mechviz 1.2.3"
    assert result.pair.doc not in root[1].text


def test_the_golden_results():
    root = made.parsed(heads_svg(golden.golden_result(), {"layer": 1, "head": 2}))
    assert len(cells(root)) == 8
    assert "decoder's cross-attention" in made.parsed(heads_svg(golden.cross_result()))[0].text


def test_another_grid_is_refused():
    with pytest.raises(InputError, match="'layer', 'head'"):
        heads_svg(made.result(np.zeros((2, 3, 3)), ("site", "layer", "pos")))


@settings(max_examples=40)
@given(
    hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=5), elements=st.floats(width=32)),
    st.sampled_from(made.HOSTILE),
)
def test_any_numbers_and_names_make_a_picture(effects, name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the result itself overflows in float32
        result = made.result(effects, of=made.pair(["hot"], ["cold"], perturbation=name))
    made.parsed(heads_svg(result))


def stacks(**fields):
    of = made.pair(["Query:", "hot"], ["Query:", "hot", "lava"])
    named = (("encoder", (3, 4), 0.1), ("decoder", (2, 4), 0.01), ("cross", (2, 4), 1.0))
    return [
        made.result(scale * grid(*sizes, seed), of=of, stack=name, **fields) for seed, (name, sizes, scale) in enumerate(named)
    ]


def of_stack(root, stack):
    found = made.find(root, "g", data_stack=stack)
    return {tuple(map(int, one.get("data-cell").split("."))): one for one in found}


def test_several_stacks_are_on_one_scale():
    results = stacks()
    root = made.parsed(heads_svg(results, {"stack": "cross", "layer": 1, "head": 3}))
    everything = np.concatenate([result.effects.values.ravel() for result in results])
    limit = float(np.percentile(np.abs(everything), 99))
    for result in results:
        found = of_stack(root, result.stack)
        assert set(found) == set(np.ndindex(*result.effects.shape))
        for at, one in found.items():
            colour = mixed(float(result.effects.values[at]), limit, list(THEMES["light"].ramp))
            assert made.find(one, "rect")[0].get("fill") == colour
    shown = made.words(root)
    assert {"encoder", "decoder's self-attention", "decoder's cross-attention"} <= set(shown)
    order = np.argsort(-np.abs(everything))[:8]
    names = [f"L{layer}H{head}" for layer, head in np.ndindex(3, 4)]
    names += [f"{stack} L{layer}H{head}" for stack in ("dec", "cro") for layer, head in np.ndindex(2, 4)]
    assert [word for word in shown if "H" in word and "L" in word and len(word) < 12] == [names[at] for at in order]
    (outline,) = made.find(root, "rect", data_selected=1)
    x, y, right, bottom = made.box(outline)
    inner = made.box(made.find(of_stack(root, "cross")[1, 3], "rect")[0])
    assert x < inner[0] < inner[2] < right
    assert y < inner[1] < inner[3] < bottom


def test_grids_of_several_stacks_do_not_overlap():
    root = made.parsed(heads_svg(stacks()))
    boxes = np.array([made.box(made.find(one, "rect")[0]) for one in made.find(root, "g", data_cell=...)])
    overlaps = [
        (a[0] < b[2]) & (b[0] < a[2]) & (a[1] < b[3]) & (b[1] < a[3]) for i, a in enumerate(boxes) for b in boxes[i + 1 :]
    ]
    assert not any(overlaps)
    assert boxes[:, 2].max() <= float(root.get("width"))


def test_a_selection_without_a_stack_means_the_first():
    (outline,) = made.find(made.parsed(heads_svg(stacks(), {"layer": 2, "head": 1})), "rect", data_selected=1)
    root = made.parsed(heads_svg(stacks(), {"stack": "encoder", "layer": 2, "head": 1}))
    assert made.box(made.find(root, "rect", data_selected=1)[0]) == made.box(outline)
    assert not made.find(made.parsed(heads_svg(stacks()[0], {"stack": "cross", "layer": 9, "head": 9})), "rect", data_selected=1)


def test_mlps_are_a_column_on_the_scale_of_the_heads():
    heads = made.result(grid(3, 4))
    mlps = made.result(np.array([0.5, 9.0, np.nan], dtype=np.float32), ("layer",), of=heads.pair, grid="mlps")
    root = made.parsed(heads_svg([heads, mlps]))
    limit = float(np.percentile(np.abs(heads.effects.values), 99))
    found = {int(one.get("data-mlp")): one for one in made.find(root, "g", data_mlp=...)}
    assert made.find(found[0], "rect")[0].get("fill") == mixed(0.5, limit, list(THEMES["light"].ramp))
    assert made.find(found[2], "path", data_hatch=1)
    ys = {layer: made.box(made.find(one, "rect")[0])[1] for layer, one in found.items()}
    assert ys[0] > ys[1] > ys[2]
    assert made.box(made.find(found[0], "rect")[0])[1] == made.box(made.find(cells(root)[0, 0], "rect")[0])[1]
    assert "MLP" in made.words(root)
    assert f"colours end at ±{limit:.2f}, the 99th percentile of the heads' |values|" in made.words(root)
    assert "beyond them" in made.words(root)


@pytest.mark.parametrize("case", ["none", "mlps", "twice", "layers", "pairs", "metrics", "type"])
def test_results_that_make_no_picture_together_are_refused(case):
    heads = made.result(grid(2, 3))
    mlps = made.result([0.1, 0.2, 0.3], ("layer",), of=heads.pair, grid="mlps")
    other = made.result(grid(2, 3), of=made.pair(["a"], ["b"]), stack="doc")
    raw = made.result(grid(2, 3), of=heads.pair, stack="doc", metric="raw")
    given, match = {
        "none": ([], "no grid of heads"),
        "mlps": ([mlps], "no grid of heads"),
        "twice": ([heads, heads], "two of these"),
        "layers": ([heads, mlps], "3 layers"),
        "pairs": ([heads, other], "different pairs"),
        "metrics": ([heads, raw], "one scale"),
        "type": ([heads, 3], "not 3"),
    }[case]
    with pytest.raises(MechvizError, match=match):
        heads_svg(given)
