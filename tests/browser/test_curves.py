"""Curves in a browser: what is drawn, what pointer and keys read, both themes and narrow pages."""

from itertools import pairwise

import numpy as np
import pytest
from playwright.sync_api import expect

import mechviz as mv
from mechviz.results import Curves
from tests import golden
from tests.browser.page import contrasts, mount, no_nonsense, traits_of, unguarded
from tests.test_curves import line

pytestmark = pytest.mark.browser

HOSTILE = "</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def view():
    x = np.arange(12)
    rise, fall, flat = 0.5 + x / 30, 0.9 - x / 40, np.full(12, 0.5)
    named = {"probe": rise, "random direction": fall, "control": flat}
    return mv.views.curves(
        Curves(
            "layer",
            "accuracy",
            {name: line(values) for name, values in named.items()},
            {name: line(values - 0.05) for name, values in named.items()},
            {name: line(values + 0.05) for name, values in named.items()},
            {"chance": 0.5, "original score": 0.92},
            "Where it is known",
            "Bands are 95% intervals over 9 queries.",
        )
    )


def chart(scope):
    return scope.get_by_role("slider")


def read(scope):
    """The words below the chart, without the spaces between them."""
    return " ".join(scope.locator(".mv-curves-values").inner_text().split())


def test_keys_move_along_x_and_every_curve_is_read(open_snapshot, view):
    page = open_snapshot(view)
    expect(page.locator(".mv-query")).to_have_text("Where it is known")
    chart(page).focus()
    page.keyboard.press("Home")
    assert read(page) == (
        "layer 0 probe 0.500 (0.450 to 0.550) random direction 0.900 (0.850 to 0.950) control 0.500 (0.450 to 0.550) "
        "chance 0.500 original score 0.920"
    )
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    expect(chart(page)).to_have_attribute("aria-valuenow", "1")
    said = chart(page).get_attribute("aria-valuetext")
    assert said.startswith("layer 1; probe 0.533 (0.483 to 0.583); random direction 0.875 ")
    page.keyboard.press("End")
    page.keyboard.press("ArrowRight")
    expect(chart(page)).to_have_attribute("aria-valuenow", "11")
    expect(chart(page)).to_be_focused()
    expect(page.get_by_text("Bands are 95% intervals over 9 queries.")).to_be_visible()
    assert unguarded(page) == []
    no_nonsense(page)


def test_the_pointer_reads_the_nearest_place(open_snapshot, view):
    page = open_snapshot(view)
    box = chart(page).bounding_box()
    marks = page.locator(".mv-curves [data-series='0'] .mv-mark").first.get_attribute("d")
    places = [float(one.split("m")[0].split()[0]) for one in marks.split("M")[1:]]
    assert len(places) == 12
    for number in (3, 8):
        page.mouse.move(box["x"] + places[number] + 4, box["y"] + 100)
        expect(chart(page)).to_have_attribute("aria-valuenow", str(number))


def test_names_stand_at_the_ends_and_do_not_meet(open_snapshot, view):
    page = open_snapshot(view)
    names = page.locator(".mv-curves svg g > text")
    assert names.all_text_contents() == ["probe", "random direction", "control", "chance", "original score"]
    boxes = sorted((one.bounding_box() for one in names.all()), key=lambda box: box["y"])
    assert all(below["y"] >= above["y"] + above["height"] - 2 for above, below in pairwise(boxes))
    edge = page.locator(".mv-curves").bounding_box()
    assert all(box["x"] + box["width"] <= edge["x"] + edge["width"] for box in boxes)


def test_a_gap_breaks_the_line_and_a_missing_point_is_said(open_snapshot):
    page = open_snapshot(mv.views.curves(golden.golden_curves()))
    first = page.locator(".mv-curves [data-series='0'] path:not([class])")
    assert first.get_attribute("d").count("M") == 2
    chart(page).focus()
    assert read(page) == "layer 3.5 probe </script> 1.000 (0.875 to 1.125) random – chance 0.500"
    page.keyboard.press("ArrowLeft")
    assert read(page) == "layer 2 probe </script> – random 0.625 chance 0.500"
    page.get_by_role("button", name="Table").click()
    rows = page.get_by_role("table").locator("tbody tr")
    assert [one.split() for one in rows.all_inner_texts()][2:5] == [
        ["probe", "</script>", "2", "–", "–", "–"],
        ["probe", "</script>", "3.5", "1.000", "0.875", "1.125"],
        ["random", "0", "0.500", "–", "–"],
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_and_lines_can_be_seen(open_snapshot, scheme):
    many = mv.views.curves(Curves("x", "y", {f"curve {i}": line([i, 8 - i]) for i in range(8)}, reference={"half": 4}))
    page = open_snapshot(many, color_scheme=scheme)
    assert [one for one in contrasts(page.locator(".mechviz")) if one["ratio"] < 4.5] == []
    inks = page.locator(".mv-curves-values [data-series] path").evaluate_all("all => all.map(p => getComputedStyle(p).fill)")
    assert len(set(inks)) == 8


@pytest.mark.parametrize("width", [340, 720, 1280])
def test_nothing_is_wider_than_the_page(open_snapshot, view, width):
    names = [f"a long name of a condition {i}" for i in range(14)]
    named = mv.views.curves(Curves(HOSTILE, HOSTILE, {HOSTILE: line(range(14), names)}, title=HOSTILE, note=HOSTILE))
    for one in (view, named):
        page = open_snapshot(one, viewport={"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.locator(".mechviz img").count() == 0


def test_a_live_view_draws_what_came_with_it(open_host, view):
    page = open_host()
    host = mount(page, traits_of(view, live=True))
    expect(chart(host)).to_have_attribute("aria-valuenow", "11")
    assert page.evaluate("() => models.host.sent.length") == 0
    page.evaluate("() => ends.host()")
    expect(page.locator(".mv-curves")).to_have_count(0)


def test_ten_thousand_points_are_quick(open_snapshot):
    x = np.arange(10_000)
    curves = Curves("step", "loss", {"train": line(np.exp(-x / 3000)), "held out": line(x[::100] / 1e4, x[::100])})
    page = open_snapshot(mv.views.curves(curves))
    chart(page).focus()
    spent = page.evaluate(
        """() => {
          const at = document.activeElement, start = performance.now();
          for (let i = 0; i < 20; i++) at.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowLeft", bubbles: true }));
          return performance.now() - start;
        }"""
    )
    expect(chart(page)).not_to_have_attribute("aria-valuenow", "9999")
    print(f"20 keys in {spent:.0f} ms")
    assert spent < 1000
