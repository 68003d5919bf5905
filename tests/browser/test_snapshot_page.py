"""The HTML file of a view in Chromium: opened from the disk, as somebody who was sent it does."""

import re
import socket

import numpy as np
import pytest
from playwright.sync_api import expect

import mechviz as mv
from tests.browser.examples import COMPETITORS, DOC, QUERY, cancelled_view, change
from tests.browser.page import (
    MLP,
    cell,
    colours,
    contrasts,
    heads,
    import_bundle,
    luminance,
    no_nonsense,
    selected_cells,
    shown_text,
    squeezed,
    traits_of,
)

pytestmark = pytest.mark.browser


def test_the_file_draws_itself_without_a_request_or_an_error(open_snapshot, view):
    page = open_snapshot(view)
    expect(heads(page)).to_have_count(view.result.effects.size)
    expect(cell(page, 0, MLP)).to_have_count(1)
    expect(page.locator(".mv-status")).to_contain_text("exact, 15 cells")
    expect(page.locator(".mv-error")).to_have_count(0)
    assert page.title() == "change - mechviz"
    no_nonsense(page)


def test_the_header_says_what_was_asked_and_what_the_score_did(open_snapshot, view):
    page, pair = open_snapshot(view), view.result.pair
    expect(page.locator(".mv-query bdi")).to_have_text(QUERY)
    score = page.locator(".mv-score").inner_text()
    shown = [float(n.replace("−", "-")) for n in re.findall(r"[+−]?\d+\.\d+", score)]
    assert shown == pytest.approx(
        [pair.original_score, pair.perturbed_score, pair.perturbed_score - pair.original_score], abs=6e-4
    )
    ranks = view.spec["ranks"]
    assert str(ranks["perturbed"]) in score
    assert f"of {len(COMPETITORS) + 1}" in score


def test_the_policy_of_the_page_forbids_requests_and_foreign_scripts(open_snapshot, view):
    server = socket.create_server(("127.0.0.1", 0))
    server.setblocking(False)
    url = f"http://127.0.0.1:{server.getsockname()[1]}/"
    page = open_snapshot(view, allow_errors="Content Security Policy|violates the following", allow_requests=re.escape(url))
    policy = page.locator("meta[http-equiv=Content-Security-Policy]").get_attribute("content")
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy.split("script-src")[1].split(";")[0]
    page.evaluate(
        """(url) => {
      window.refused = [];
      document.addEventListener("securitypolicyviolation", (event) => refused.push(event.effectiveDirective));
      fetch(url).catch(() => {});
      document.body.insertAdjacentHTML("beforeend", `<img src="${url}x.png" onerror="window.hacked = 1">`);
      const script = document.createElement("script");
      script.textContent = "window.hacked = 1";
      document.body.append(script);
    }""",
        url,
    )
    for directive in ("connect-src", "img-src", "script-src-elem", "script-src-attr"):
        page.wait_for_function("name => refused.includes(name)", arg=directive)
    assert page.evaluate("window.hacked") is None
    with server, pytest.raises(BlockingIOError):
        server.accept()


SCRIPT = "</script><img src=x onerror=alert(1)>"
BOLD = "<b id=injected>bold</b>"
GLOBAL = "<script>hacked=1</script><!--"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_markup_in_any_text_is_shown_as_text(open_snapshot, long_dot, theme):
    query, doc, changed = f"why {BOLD} {SCRIPT}", f"{SCRIPT} warm {GLOBAL} {BOLD}", f"{SCRIPT} {GLOBAL} hot {BOLD} {SCRIPT}"
    perturb = mv.perturb.perturbation(lambda _: changed)
    object.__setattr__(perturb, "name", f"{SCRIPT} & {BOLD}")
    page = open_snapshot(mv.show_patching(long_dot, query, doc, perturb, theme=theme, wait=True))
    assert page.title() == f"{SCRIPT} & {BOLD} - mechviz"
    expect(page.locator(".mv-query bdi")).to_have_text(query)
    expect(page.locator(".mv-perturbation code")).to_have_text(f"{SCRIPT} & {BOLD}")
    assert squeezed(shown_text(page, "original")) == squeezed(doc)
    assert squeezed(shown_text(page, "perturbed")) == squeezed(changed)
    expect(page.locator("#injected, img, main script")).to_have_count(0)
    assert page.evaluate("[window.hacked, document.scripts.length]") == [None, 2]


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\u00a0"])
def test_line_separators_in_a_text_do_not_break_the_page(open_snapshot, dot, separator):
    doc = f"Hot{separator}springs are warm."
    page = open_snapshot(mv.show_patching(dot, QUERY + separator, doc, mv.perturb.append("lava"), wait=True))
    assert page.locator(".mv-query bdi").text_content() == QUERY + separator
    assert squeezed(shown_text(page, "original")) == squeezed(doc)


def test_two_snapshots_on_one_page_leave_each_other_alone(open_host, view, cat_view):
    page = open_host()
    page.evaluate(
        """async (states) => {
          globalThis.ends = await Promise.all(states.map((state, i) => mechviz.mount_snapshot(newHost(`file${i}`), state)));
        }""",
        [traits_of(view), traits_of(view)],
    )
    first, second = page.locator("#file0"), page.locator("#file1")
    expect(first.get_by_role("grid")).to_be_visible()
    expect(second.get_by_role("grid")).to_be_visible()
    before = selected_cells(second)
    target = (0, 0) if before != [(0, 0)] else (1, 1)
    cell(first, *target).click()
    expect(cell(first, *target)).to_have_attribute("aria-selected", "true")
    first.get_by_label("hide special tokens").check()
    first.locator(".mv-before-after [data-pos='3']").first.click()
    assert selected_cells(second) == before
    expect(second.get_by_label("hide special tokens")).not_to_be_checked()
    expect(second.locator("[data-pinned]")).to_have_count(0)
    ids = page.evaluate("[...document.querySelectorAll('.mechviz [id]')].map(node => node.id)")
    names = page.evaluate("[...document.querySelectorAll('.mechviz [name]')].map(node => node.name)")
    assert (ids, names) == ([], [])
    page.evaluate("ends[0]()")
    expect(first.locator("*")).to_have_count(0)
    cell(second, *target).click()
    expect(cell(second, *target)).to_have_attribute("aria-selected", "true")


def test_the_bundle_can_be_imported_twice(open_host, view):
    page = open_host()
    import_bundle(page)
    page.evaluate("state => mechviz.mount_snapshot(newHost('file'), state)", traits_of(view))
    expect(page.get_by_role("grid")).to_be_visible()


def unreadable(page):
    page.get_by_label("hide special tokens").check()
    cell(page, 1, 1).hover()
    page.locator(".mv-provenance summary").click()
    cell(page, 1, 1).hover()
    expect(page.locator(".mv-card")).to_be_visible()
    found = contrasts(page.locator(".mechviz"))
    assert len(found) > 60
    return [text for text in found if text["ratio"] < 4.5]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("which", ["view", "cat_view"])
def test_every_text_can_be_read_in_both_themes(open_snapshot, request, which, scheme):
    page = open_snapshot(request.getfixturevalue(which), color_scheme=scheme)
    assert unreadable(page) == []


def test_a_cancelled_view_can_be_read_in_both_themes(open_snapshot, view):
    cut = cancelled_view(view, np.arange(12).reshape(3, 4) >= 7, rest=0.25)
    for scheme in ("light", "dark"):
        assert unreadable(open_snapshot(cut, color_scheme=scheme)) == [], scheme


def test_light_and_dark_follow_the_system_and_really_differ(open_snapshot, view):
    light, dark = (colours(open_snapshot(view, color_scheme=s).locator(".mechviz")) for s in ("light", "dark"))
    assert luminance(light[0]) > 200 > 80 > luminance(light[1])
    assert luminance(dark[0]) < 80 < 200 < luminance(dark[1])


def test_a_switch_of_the_system_theme_is_followed_by_page_and_grid(open_snapshot, view):
    page = open_snapshot(view, color_scheme="light")
    look = page.locator(".mechviz")
    before = colours(look), cell(page, 0, 0).evaluate("c => getComputedStyle(c).backgroundColor")
    page.emulate_media(color_scheme="dark")
    expect(look).to_have_attribute("data-theme", "dark")
    assert luminance(colours(look)[0]) < 80
    expect(cell(page, 0, 0)).not_to_have_css("background-color", before[1])


@pytest.mark.parametrize(("theme", "system"), [("dark", "light"), ("light", "dark")])
def test_a_theme_that_was_asked_for_wins_over_the_systems(open_snapshot, dot, theme, system):
    view = mv.show_patching(dot, QUERY, DOC, change, theme=theme, wait=True)
    page = open_snapshot(view, color_scheme=system)
    background, ink = map(luminance, colours(page.locator(".mechviz")))
    assert (background < ink) == (theme == "dark")
    assert unreadable(page) == []


@pytest.mark.parametrize("width", [320, 700, 1600])
def test_no_width_makes_the_page_scroll_sideways(open_snapshot, cat_view, width):
    page = open_snapshot(cat_view, viewport={"width": width, "height": 800})
    expect(page.locator(".mv-lines .mv-half").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
