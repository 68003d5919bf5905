"""Every panel of probes: what can be read in both themes, narrow pages, hostile words, many mounts."""

import numpy as np
import pytest
import xarray as xr
from playwright.sync_api import expect

import mechviz as mv
from mechviz import snapshot
from mechviz.results import Passage, PassageGroup, Passages
from tests import golden_probes
from tests.browser.page import contrasts, mount, traits_of

pytestmark = pytest.mark.browser

HOSTILE = "</script><img src=x onerror=alert(1)>"


def hostile():
    """Views whose every word is markup."""
    one = Passage.of([HOSTILE] * 30, np.linspace(-1, 1, 30), label=HOSTILE, value=1.0)
    array = xr.DataArray(
        np.linspace(-1, 1, 24).reshape(2, 3, 4),
        dims=(HOSTILE, "b", "c"),
        coords={"w": ("b", [HOSTILE] * 3), "v": ("c", [f"{HOSTILE} {i}" for i in range(4)])},
    )
    return [
        mv.views.passages(Passages((PassageGroup(HOSTILE, (one,), HOSTILE),), HOSTILE, True, HOSTILE, HOSTILE, HOSTILE)),
        mv.views.tensor(array, HOSTILE),
    ]


def views():
    return [
        mv.views.passages(golden_probes.golden_passages()),
        mv.views.tree(golden_probes.golden_tree()),
        mv.views.relation(golden_probes.golden_relation()),
        mv.views.tensor(golden_probes.golden_tensor(), "An array"),
        mv.views.atlas(golden_probes.golden_atlas(), find="rock"),
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_can_be_read(open_snapshot, scheme):
    for view in views():
        page = open_snapshot(view, color_scheme=scheme)
        faint = [one for one in contrasts(page.locator(".mechviz")) if one["ratio"] < 4.5]
        assert faint == [], view


@pytest.mark.parametrize("width", [340, 620, 900, 1280])
def test_nothing_is_wider_than_the_page(open_snapshot, width):
    for view in [*views(), *hostile()]:
        page = open_snapshot(view, viewport={"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), view
        assert page.locator(".mechviz img").count() == 0


def test_a_view_that_ends_leaves_nothing(open_host):
    page = open_host(snapshot.PROBES)
    for view in views():
        for _ in range(3):
            mount(page, traits_of(view, live=True))
            expect(page.locator(".mechviz .mv-panel")).to_be_visible()
            page.evaluate("() => ends.host()")
            expect(page.locator(".mechviz")).to_have_count(0)
            assert page.evaluate("() => models.host.handlers.length") == 0


def test_the_theme_follows_while_a_view_is_shown(open_host):
    page = open_host(snapshot.PROBES)
    for view in views():
        host = mount(page, traits_of(view, live=True))
        before = host.locator(".mechviz").evaluate("el => getComputedStyle(el).backgroundColor")
        page.evaluate("() => models.host.set('theme', 'dark')")
        expect(host.locator(".mechviz")).to_have_attribute("data-theme", "dark")
        assert host.locator(".mechviz").evaluate("el => getComputedStyle(el).backgroundColor") != before
        page.evaluate("() => ends.host()")
