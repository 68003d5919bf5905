import numpy as np
import pytest

from mechviz.errors import InputError
from mechviz.figures import positions_svg
from mechviz.figures.colour import THEMES
from mechviz.figures.raster import png
from tests.figures import made
from tests.figures.test_colour import mixed

SITES = ["resid_pre", "attn_out", "mlp_out"]
LIGHT = THEMES["light"]


def of_length(n):
    words = [f"w{i}" for i in range(n - 3)]
    return made.pair(["[CLS]", *words, "[SEP]"], ["[CLS]", *words[:-1], "lava", *words[-1:], "[SEP]"])


def blocks(n_layers=3, n=9, sites=3, seed=0):
    effects = np.random.default_rng(seed).normal(size=(sites, n_layers, n)).astype(np.float32)
    return made.result(effects, ("site", "layer", "pos"), of=of_length(n), grid="blocks", sites=SITES[:sites])


def cells(root):
    return {tuple(map(int, one.get("data-cell").split("."))): one for one in made.find(root, "g", data_cell=...)}


@pytest.mark.parametrize("theme", THEMES)
def test_every_cell_has_the_colour_of_its_value(theme):
    result = blocks()
    values = result.effects.values
    limit = float(np.percentile(np.abs(values), 99))
    found = cells(made.parsed(positions_svg(result, theme)))
    assert set(found) == set(np.ndindex(*values.shape))
    for at, one in found.items():
        assert made.find(one, "rect")[0].get("fill") == mixed(float(values[at]), limit, list(THEMES[theme].ramp))


def test_tokens_run_along_x_and_layer_0_is_at_the_bottom_of_each_panel():
    found = cells(made.parsed(positions_svg(blocks())))
    at = {cell: made.box(made.find(one, "rect")[0]) for cell, one in found.items()}
    for site in range(3):
        assert at[site, 0, 0][1] > at[site, 1, 0][1] > at[site, 2, 0][1]
        assert at[site, 0, 0][0] == at[0, 2, 0][0] < at[site, 0, 1][0]
    assert at[0, 0, 0][3] < at[1, 2, 0][1]


def test_of_the_heads_the_one_with_the_largest_effect_is_shown():
    effects = np.random.default_rng(1).normal(size=(2, 3, 4, 9)).astype(np.float32)
    effects[0, 0, :3, 0] = np.nan
    effects[1, 1, :, 2] = np.nan
    dims = ("site", "layer", "head", "pos")
    result = made.result(effects, dims, of=of_length(9), grid="head_positions", sites=["z", "pattern"])
    root = made.parsed(positions_svg(result))
    sizes = np.where(np.isnan(effects), -1, np.abs(effects))
    largest = np.take_along_axis(effects, sizes.argmax(2)[:, :, None], 2)[:, :, 0]
    limit = float(np.percentile(np.abs(largest[np.isfinite(largest)]), 99))
    for at, one in cells(root).items():
        if np.isnan(largest[at]):
            assert made.find(one, "path", data_hatch=1)
            assert at == (1, 1, 2)
        else:
            assert made.find(one, "rect")[0].get("fill") == mixed(float(largest[at]), limit, list(LIGHT.ramp))
    assert "of each layer the head with the largest effect" in made.words(root)


def test_marginal_bars_are_sums():
    result = blocks(sites=1)
    sums = result.effects.values[0].sum(1)
    root = made.parsed(positions_svg(result))
    shown = made.words(root)
    for value in sums:
        assert f"{value:+.2f}".replace("-", "−") in shown
    lowest = max(made.box(made.find(one, "rect")[0])[3] for one in cells(root).values())
    right = max(made.box(made.find(one, "rect")[0])[2] for one in cells(root).values())
    bars = [made.box(one) for one in made.find(root, "rect") if one.get("fill") in (LIGHT.plus, LIGHT.minus)]
    over_tokens = [box for box in bars if box[0] > right - 200 and box[1] < lowest and box[2] > right + 5]
    assert len(over_tokens) == 3
    lengths = np.array([box[2] - box[0] for box in sorted(over_tokens, key=lambda box: -box[1])])
    assert lengths / lengths.max() == pytest.approx(np.abs(sums) / np.abs(sums).max(), abs=0.02)


def test_labels_are_rotated_and_changed_tokens_stand_out():
    root = made.parsed(positions_svg(blocks(), selection={"layer": 1, "head": 0, "pos": 2}))
    labels = {int(one.get("data-label")): one for one in made.find(root, "text", data_label=...)}
    assert [labels[pos].text for pos in sorted(labels)] == ["[CLS]", "w0", "w1", "w2", "w3", "w4", "+lava", "w5", "[SEP]"]
    assert all(one.get("transform").startswith("rotate(-60 ") for one in labels.values())
    assert (labels[6].get("fill"), labels[6].get("font-weight")) == (LIGHT.change, "bold")
    assert labels[2].get("font-weight") == "bold"
    assert len(made.find(root, "rect", data_selected=1)) == 3


@pytest.mark.parametrize("n", [4, 60, 100, 300, 512])
def test_labels_are_never_closer_than_a_line(n):
    root = made.parsed(positions_svg(blocks(n_layers=2, n=n)))
    labels = {int(one.get("data-label")): float(one.get("x")) for one in made.find(root, "text", data_label=...)}
    assert n - 3 in labels, "a changed token has a label"
    places = np.array([labels[pos] for pos in sorted(labels)])
    assert (np.diff(places) >= 12 - 1e-6).all()
    assert len(labels) >= min(n, 40)


def test_many_cells_become_one_picture_a_panel():
    result = blocks(n_layers=12, n=512)
    effects = result.effects.values.copy()
    effects[1, 4, 7] = np.nan
    result = made.result(effects, result.effects.dims, of=result.pair, sites=SITES, grid="blocks")
    svg = positions_svg(result)
    root = made.parsed(svg)
    images = made.find(root, "image")
    assert len(images) == 3
    assert not cells(root)
    assert len(svg) < 400_000
    limit = float(np.nanpercentile(np.abs(effects), 99))
    assert len(made.find(root, "path", data_hatch=1)) == 2, "behind the panel, and in the legend"
    for site, image in enumerate(images):
        pixels = made.pixels_of(image)
        assert pixels.shape[:2] == (float(image.get("height")), float(image.get("width")))
        step = pixels.shape[0] // 12, pixels.shape[1] // 512
        for layer, pos in [(0, 0), (11, 511), (4, 7), (6, 100)]:
            red, green, blue, alpha = pixels[(11 - layer) * step[0], pos * step[1]]
            if np.isnan(effects[site, layer, pos]):
                assert alpha == 0
            else:
                colour = mixed(float(effects[site, layer, pos]), limit, list(LIGHT.ramp))
                assert (f"#{red:02x}{green:02x}{blue:02x}", alpha) == (colour, 255)


def test_a_png_is_read_back():
    pixels = np.random.default_rng(0).integers(0, 256, size=(3, 5, 4)).astype(np.uint8)
    assert np.array_equal(made.decoded(png(pixels)), pixels)
    palette, numbers = pixels[0, :, :3], np.array([[0, 4], [2, 2]], dtype=np.uint8)
    assert np.array_equal(made.decoded(png(numbers, palette))[..., :3], palette[numbers])


def test_estimates_are_told():
    result = blocks(n=9)
    estimate = made.result(result.effects.values, result.effects.dims, of=result.pair, sites=SITES, method="attribution")
    assert "estimate, may be wrong" in made.words(made.parsed(positions_svg(estimate)))
    long = blocks(n=512)
    estimate = made.result(long.effects.values, long.effects.dims, of=long.pair, sites=SITES, method="attribution")
    assert "all values are estimates and may be wrong" in made.words(made.parsed(positions_svg(estimate)))


def test_one_cell_and_no_site():
    of = made.pair(["hot"], ["cold"])
    root = made.parsed(positions_svg(made.result([[0.5]], ("layer", "pos"), of=of)))
    assert list(cells(root)) == [(0, 0, 0)]
    assert "hot→cold" in made.words(root)


def test_positions_of_another_stack_are_numbers():
    result = made.result(np.ones((2, 4)), ("layer", "pos"), of=made.pair(["hot"], ["cold"]), stack="query")
    labels = made.find(made.parsed(positions_svg(result)), "text", data_label=...)
    assert [one.text for one in labels] == ["0", "1", "2", "3"]


def test_hostile_tokens():
    of = made.pair(made.HOSTILE, [*made.HOSTILE[:-1], "lava"])
    made.parsed(positions_svg(made.result(np.ones((2, len(of.base))), ("layer", "pos"), of=of)))


@pytest.mark.parametrize("dims", [("layer", "head"), ("layer", "neuron"), ("layer",), ("pos", "layer"), ("head", "layer", "pos")])
def test_another_grid_is_refused(dims):
    with pytest.raises(InputError, match="dims"):
        positions_svg(made.result(np.zeros((2,) * len(dims)), dims))


def test_a_selection_outside_is_refused():
    with pytest.raises(InputError, match=r"selection\['pos'\]=9; it is a number from 0 to 8"):
        positions_svg(blocks(), selection={"layer": 0, "pos": 9})
