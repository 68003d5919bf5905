import numpy as np
import pytest

from mechviz import wire
from mechviz.errors import InputError
from mechviz.figures import model_svg
from mechviz.figures.colour import THEMES, diverging, sequential
from mechviz.results import StackShape
from tests.figures import made


def shape(n_layers=3, n_heads=4, **fields):
    return StackShape(**{"name": "doc", "text": "doc", "n_layers": n_layers, "n_heads": n_heads, **fields})


def thumbs(n_layers=3, n_heads=4, rows=20, columns=20, runs=2):
    rng = np.random.default_rng(0)
    return wire.pack_thumbs(
        "doc", n_layers, lambda _stack, _layer: rng.dirichlet(np.full(columns, 0.2), (runs, n_heads, rows)).astype("f4")
    )


def tiles(root, n_layers, n_heads):
    """Pixels by layer and head, the gaps left out, and what is in the gaps."""
    (image,) = made.find(root, "image")
    pixels = made.pixels_of(image)[..., :3]
    height, width = pixels.shape[0] // n_layers, pixels.shape[1] // n_heads
    inside = pixels.reshape(n_layers, height, n_heads, width, 3).transpose(0, 2, 1, 3, 4)[::-1]
    return inside[:, :, :-2, :-2], inside[:, :, -2:]


@pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)
def test_every_head_has_its_thumbnail(theme):
    packed = thumbs()
    for run in ("base", "source"):
        inside, gaps = tiles(made.parsed(model_svg(packed, shape(), {"ranker": "r"}, theme.name, run=run)), 3, 4)
        zoom = inside.shape[2] // 20
        wanted = sequential((packed.arrays[f"thumbs.doc.{run}"] / 255.0) ** 2, theme)
        assert np.array_equal(inside[:, :, ::zoom, ::zoom], wanted)
        assert {tuple(one) for one in gaps.reshape(-1, 3)} == {tuple(bytes.fromhex(theme.page[1:]))}


@pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)
def test_differences_have_the_diverging_ramp(theme):
    packed = thumbs()
    inside, gaps = tiles(made.parsed(model_svg(packed, shape(), {}, theme.name, run="difference")), 3, 4)
    base, source = ((packed.arrays[f"thumbs.doc.{run}"] / 255.0) ** 2 for run in ("base", "source"))
    zoom = inside.shape[2] // 20
    wanted = diverging(source - base, 0.5, theme).astype(int)
    assert np.abs(inside[:, :, ::zoom, ::zoom].astype(int) - wanted).max() <= 3
    assert {tuple(one) for one in gaps.reshape(-1, 3)} == {tuple(bytes.fromhex(theme.page[1:]))}


def test_the_selected_head_is_outlined_where_it_is():
    for selection in ({"layer": 2, "head": 1}, {"stack": "doc", "layer": 2, "head": 1}):
        root = made.parsed(model_svg(thumbs(), shape(), {}, selection=selection))
        (image,), (outline,) = made.find(root, "image"), made.find(root, "rect", data_selected=1)
        x, y, right, bottom = made.box(image)
        across, down = (right - x) / 4, (bottom - y) / 3
        left, top, end, low = made.box(outline)
        assert (left + end) / 2 == pytest.approx(x + 1.5 * across, abs=3)
        assert (top + low) / 2 == pytest.approx(y + 0.5 * down, abs=3), "layer 2 of 3 is on top"
    other = {"stack": "query", "layer": 9, "head": 1}
    assert not made.find(made.parsed(model_svg(thumbs(), shape(), {}, selection=other)), "rect", data_selected=1)
    labels = [word for word in made.words(root) if word.startswith("L")]
    assert labels == ["L0", "L1", "L2"]
    assert [word for word in made.words(root) if word in "0123"][:4] == ["0", "1", "2", "3"]


@pytest.mark.parametrize(
    ("n_layers", "n_heads", "rows", "columns"), [(1, 1, 1, 1), (12, 12, 48, 48), (32, 32, 48, 48), (6, 8, 1, 30), (4, 40, 48, 6)]
)
def test_stacks_of_any_size(n_layers, n_heads, rows, columns):
    packed = thumbs(n_layers, n_heads, rows, columns, runs=1)
    root = made.parsed(model_svg(packed, shape(n_layers, n_heads, query_labels=("step",) if rows == 1 else None), {}))
    (image,) = made.find(root, "image")
    assert made.box(image)[2] <= float(root.get("width"))
    pixels = made.pixels_of(image)
    assert pixels.shape[1] <= float(image.get("width")) + 1, "none is lost where the picture is drawn"
    strongest = packed.arrays["thumbs.doc.base"].max()
    assert tuple(sequential((strongest / 255) ** 2, THEMES["light"])) in {tuple(one) for one in pixels[..., :3].reshape(-1, 3)}


@pytest.mark.parametrize(
    ("packed", "change", "match"),
    [
        (thumbs(), {"run": "both"}, "'base', 'source', 'difference'"),
        (thumbs(runs=1), {"run": "source"}, "only one text"),
        (thumbs(runs=1), {"run": "difference"}, "only one text"),
        (thumbs(), {"shape": shape(2)}, "2 layers"),
        (thumbs(), {"shape": shape(name="query")}, "'query'"),
        (thumbs(), {"selection": {"layer": 3, "head": 0}}, "number from 0 to 2"),
    ],
)
def test_what_does_not_fit_is_refused(packed, change, match):
    with pytest.raises(InputError, match=match):
        model_svg(packed, **{"shape": shape(), "provenance": {}, **change})
