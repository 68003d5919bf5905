"""An atlas in a browser: points where they are, search, brush, layers, many points."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from playwright.sync_api import expect

import mechviz as mv
from mechviz import snapshot
from mechviz.results import Atlas
from tests import golden_probes
from tests.browser.page import answer, mount, no_nonsense, traits_of, unguarded

pytestmark = pytest.mark.browser


def scattered(n, layers=3, level="document"):
    """Points in a square whose corners are taken, so that it is known where they are seen."""
    generator = np.random.default_rng(0)
    at = generator.uniform(-1, 1, (layers, n, 2))
    at[:, :2] = [[-1, -1], [1, 1]]
    label = "some [word{}] there" if level == "token" else "document {} of many"
    labels = [label.format(i) for i in range(n)]
    points = pd.DataFrame({"label": labels, "text": range(n), "score": at[-1, :, 0], "grade": np.nan, "term": ""})
    columns = ["layer", "row", "column", "n", "terms", "score", "grades"]
    cells = pd.DataFrame([(0, 0, 0, 5, "hot springs", 0.5, ())], columns=columns)
    return Atlas(
        xr.DataArray(at.astype("f4"), dims=("layer", "point", "axis")),
        points,
        cells,
        4,
        level,
        "PCA",
        xr.DataArray(np.full(layers, 0.25), dims="layer"),
    )


def map_of(scope):
    return scope.get_by_role("application")


def place(scope, point):
    """Where a point of the last layer is on the page, before anything was moved."""
    box = map_of(scope).bounding_box()
    zoom = 0.47 * min(box["width"], box["height"])
    x, y = map(float, point)
    return box["x"] + box["width"] / 2 + zoom * x, box["y"] + box["height"] / 2 - zoom * y


def loneliest(at):
    """The point that is farthest from all others, of those that no button covers."""
    inner = np.flatnonzero((np.abs(at) < 0.7).all(axis=1))
    return max(inner.tolist(), key=lambda i: np.sort(np.hypot(*(at - at[i]).T))[1])


def test_the_pointer_reads_a_point_and_a_box_lists_what_is_in_it(open_snapshot):
    atlas = scattered(200)
    page = open_snapshot(mv.views.atlas(atlas))
    at = atlas.layout.values[-1]
    lonely = loneliest(at)
    page.mouse.move(*place(page, at[lonely]))
    expect(page.locator(".mv-bubble")).to_contain_text(f"document {lonely} of many")
    page.get_by_role("button", name="Brush").click()
    page.mouse.move(*place(page, (0.1, 0.6)))
    page.mouse.down()
    page.mouse.move(*place(page, (0.4, 0.3)), steps=3)
    page.mouse.move(*place(page, (0.8, -0.2)), steps=3)
    page.mouse.up()
    inside = ((at > [0.1, -0.2]) & (at < [0.8, 0.6])).all(axis=1)
    edge = (np.abs(at - [0.1, 0.6]).min(axis=1) < 0.01) | (np.abs(at - [0.8, -0.2]).min(axis=1) < 0.01)
    heading = page.locator(".mv-atlas-side h4")
    n = int(heading.inner_text().split()[1])
    assert abs(n - inside.sum()) <= edge.sum()
    mean = float(page.locator(".mv-atlas-side [role=status]").inner_text().split()[-1])
    assert mean == pytest.approx(at[inside, 0].mean(), abs=0.02)
    page.get_by_role("button", name="Clear").click()
    expect(heading).to_have_count(0)
    no_nonsense(page)


def test_keys_move_zoom_list_and_change_the_layer(open_snapshot):
    page = open_snapshot(mv.views.atlas(scattered(200)), reduced_motion="reduce")
    picture = "el => el.toDataURL()"
    canvas = map_of(page).locator("canvas")
    map_of(page).focus()
    seen = [canvas.evaluate(picture)]
    for key in ("ArrowLeft", "+", "[", "0"):
        page.keyboard.press(key)
        page.wait_for_function("([el, old]) => el.toDataURL() !== old", arg=[canvas.element_handle(), seen[-1]])
        seen.append(canvas.evaluate(picture))
    expect(page.locator("output")).to_have_text("1")
    page.keyboard.press("Enter")
    expect(page.locator(".mv-atlas-side h4")).to_contain_text("Brushed")
    page.keyboard.press("Escape")
    expect(page.locator(".mv-atlas-side h4")).to_have_count(0)
    assert unguarded(page) == []


def test_the_wheel_zooms_only_where_the_map_has_the_focus(open_snapshot):
    page = open_snapshot(mv.views.atlas(scattered(200)), viewport={"width": 1280, "height": 500})
    page.mouse.move(*place(page, (0, 0.5)))
    canvas = map_of(page).locator("canvas")
    before = canvas.evaluate("el => el.toDataURL()")
    page.mouse.wheel(0, 120)
    page.wait_for_function("() => scrollY > 0")
    map_of(page).focus()
    at = page.evaluate("() => scrollY")
    box = map_of(page).bounding_box()
    page.mouse.move(box["x"] + 200, box["y"] + 200)
    page.mouse.wheel(0, -240)
    page.wait_for_function("([el, old]) => el.toDataURL() !== old", arg=[canvas.element_handle(), before])
    assert page.evaluate("() => scrollY") == at


def test_what_is_searched_for_is_found_and_listed(open_snapshot):
    page = open_snapshot(mv.views.atlas(golden_probes.golden_atlas(), find="rock"))
    expect(page.locator(".mv-atlas-side h4")).to_contain_text("Found: 2 documents")
    assert page.locator(".mv-atlas-side li bdi").all_inner_texts() == ["lava rock", "rock and ice"]
    expect(page.locator(".mv-atlas-side [role=status]")).to_have_text("mean score 0.50, mean grade 1.00")
    page.get_by_role("searchbox").fill("</script")
    expect(page.locator(".mv-atlas-side li bdi")).to_have_text(["</script>"])
    tokens = open_snapshot(mv.views.atlas(scattered(50, level="token")))
    tokens.get_by_role("searchbox").fill("word4")
    expect(tokens.locator(".mv-atlas-side h4")).to_contain_text("Found: 11 tokens")
    tokens.get_by_role("searchbox").fill("some")
    expect(tokens.get_by_text("0 found")).to_be_visible()


def test_without_texts_points_are_numbers(open_page, tmp_path):
    page = open_page(mv.views.atlas(golden_probes.golden_atlas()).to_html(tmp_path / "a.html", texts=False).as_uri())
    expect(map_of(page)).to_be_visible()
    expect(page.get_by_role("searchbox")).to_have_count(0)
    map_of(page).focus()
    page.keyboard.press("Enter")
    expect(page.locator(".mv-atlas-side li bdi").first).to_contain_text("document")


def test_the_cells_are_a_table(open_snapshot):
    page = open_snapshot(mv.views.atlas(golden_probes.golden_atlas()))
    page.get_by_role("slider", name="layer").fill("0")
    page.get_by_role("button", name="Table").click()
    rows = page.get_by_role("table").locator("tbody tr")
    assert rows.nth(1).locator("td").all_inner_texts() == ["1", "1", "3", "rock </script>", "0.50", "1, 0, 1"]


def test_a_hundred_thousand_points_are_drawn_and_layers_are_asked_for(open_host, monkeypatch):
    page = open_host(snapshot.PROBES, reduced_motion="reduce")
    view = mv.views.atlas(scattered(100_000))
    host = mount(page, traits_of(view, live=True))
    expect(map_of(host)).to_be_visible()
    canvas = map_of(host).locator("canvas")
    share = """el => {
      const { data } = el.getContext("2d").getImageData(0, 0, el.width, el.height);
      let n = 0;
      for (let i = 0; i < data.length; i += 4) n += data[i] < 250;
      return (4 * n) / data.length;
    }"""
    assert canvas.evaluate(share) > 0.4
    host.get_by_role("slider", name="layer").fill("0")
    expect(host.get_by_text("reading layer 0 from the kernel")).to_be_visible()
    message = answer(page, view, monkeypatch)
    assert (message["type"], message["layer"]) == ("layer", 0)
    expect(host.get_by_text("reading layer 0")).to_have_count(0)
    assert canvas.evaluate(share) > 0.4


def test_points_travel_to_another_layer_and_arrive(open_snapshot):
    atlas = scattered(50)
    page = open_snapshot(mv.views.atlas(atlas))
    page.get_by_role("slider", name="layer").fill("0")
    at = atlas.layout.values[0]
    lonely = loneliest(at)
    page.mouse.move(5, 5)
    page.mouse.move(*place(page, at[lonely]))
    expect(page.locator(".mv-bubble")).to_contain_text(f"document {lonely} of many")
