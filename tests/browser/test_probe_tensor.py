"""Any array in a browser: dims and what they are, numbers under the cursor, what the kernel is asked for."""

import numpy as np
import pytest
import xarray as xr
from playwright.sync_api import expect

import mechviz as mv
from mechviz import snapshot
from mechviz.figures.colour import THEMES, diverging
from tests import golden_probes
from tests.browser.page import answer, mount, no_nonsense, pixel, traits_of, unguarded
from tests.views.test_probe_views import large

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def view():
    return mv.views.tensor(golden_probes.golden_tensor(), "An array")


def role(page, dim):
    return page.locator(f".mv-tensor-dim:has(label > bdi:text-is('{dim}')) select")


def maps(page):
    return page.locator(".mv-map-cells")


def read(page, number=0):
    return maps(page).nth(number).get_attribute("aria-valuetext")


def words(value):
    """Halves go up, as JavaScript writes them; all values here are eighths."""
    if np.isnan(value):
        return "no number"
    sign = "+" if value > 0 else "\u2212" if value < 0 else ""
    return f"{sign}{np.floor(100 * abs(float(value)) + 0.5) / 100:.2f}"


def test_every_cell_can_be_read_by_keys(open_snapshot, view):
    page = open_snapshot(view)
    array = view.array.values
    expect(maps(page)).to_have_count(2)
    maps(page).nth(1).focus()
    assert read(page, 1) == f"query_pos a, key_pos 0: {words(array[1, 0, 0, 0])}"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert read(page, 1) == f"query_pos c, key_pos 1: {words(array[1, 0, 2, 1])}"
    page.keyboard.press("End")
    assert read(page, 1) == f"query_pos c, key_pos 4: {words(array[1, 0, 2, 4])}"
    maps(page).nth(0).focus()
    page.keyboard.press("ArrowDown")
    assert read(page, 0) == "query_pos </script>, key_pos 0: no number"
    assert unguarded(page) == []
    no_nonsense(page)


def test_colours_are_those_of_the_values(open_snapshot, view):
    page = open_snapshot(view, device_scale_factor=1)
    shown = view.array.values[:, 0]
    limit = np.nanpercentile(np.abs(shown), 99)
    canvas = maps(page).nth(1).locator("canvas")
    side = canvas.evaluate("el => el.height") / 4
    for row, column in ((0, 0), (2, 3), (3, 4)):
        found = pixel(canvas, (column + 0.5) * side, (row + 0.5) * side)
        wanted = diverging(shown[1, row, column], limit, THEMES["light"])
        assert np.abs(np.array(found) - wanted).max() <= 3, (row, column)


def test_a_dim_can_be_reduced_and_axes_change_places(open_snapshot, view):
    page = open_snapshot(view)
    role(page, "layer").select_option("mean")
    expect(maps(page)).to_have_count(1)
    maps(page).focus()
    array = view.array
    assert read(page).endswith(words(float(array.mean("layer")[0, 0, 0])))
    page.locator("input[type=range]").fill("2")
    assert read(page).endswith(words(float(array.mean("layer")[2, 0, 0])))
    role(page, "key_pos").select_option("y")
    expect(role(page, "query_pos")).to_have_value("x")
    role(page, "head").select_option("max")
    maps(page).focus()
    page.keyboard.press("ArrowRight")
    assert read(page).startswith("key_pos 0, query_pos </script>: ")
    page.get_by_role("button", name="Table").click()
    rows = page.get_by_role("table").locator("tbody tr")
    assert rows.count() == 20
    expect(page.get_by_text("mean over layer, max over head")).to_be_visible()


def test_the_kernel_is_asked_for_another_view_of_a_large_array(open_host, monkeypatch):
    page = open_host(snapshot.PROBES)
    view = mv.views.tensor(large())
    host = mount(page, traits_of(view, live=True))
    expect(maps(host)).to_have_count(3)
    role(host, "a").select_option("max")
    expect(host.get_by_text("reading from the kernel")).to_be_visible()
    message = answer(page, view, monkeypatch)
    assert message["roles"] == {"a": "max", "b": 0, "c": "y", "d": "x"}
    expect(maps(host)).to_have_count(1)
    maps(host).focus()
    value = float(large()[2, 0, 0, 0])
    assert f"{value:,.0f}".replace(",", "") in read(host).replace(",", "")


def test_a_saved_page_of_a_large_array_says_what_it_holds(open_snapshot):
    page = open_snapshot(mv.views.tensor(large()))
    expect(maps(page)).to_have_count(3)
    expect(page.get_by_text("this page holds the view that it began with")).to_be_visible()
    page.locator("input[type=range]").fill("2")
    expect(maps(page)).to_have_count(3)
    role(page, "a").select_option("mean")
    expect(page.get_by_text("holds only a part of the array")).to_be_visible()


def test_one_dim_is_one_row(open_snapshot):
    page = open_snapshot(mv.views.tensor(xr.DataArray([1.0, np.nan, 3.0], dims="place", name="size")))
    maps(page).focus()
    page.keyboard.press("End")
    assert read(page) == "place 2: 3.00"
