"""Studies and scorecards in a browser: what is drawn, what filters what, pairs that open inside."""

import re
import time

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import expect

from mechviz.views import PatchingView, ScorecardView, StudyView
from mechviz.views.reader import Layers
from tests import golden, many_pairs
from tests.browser.page import answer, cell, contrasts, heads, mount, no_nonsense, number, traits_of, unguarded

pytestmark = pytest.mark.browser

HOSTILE = ["</script><img src=x onerror=alert(1)>", "<b id=injected>bold</b>", "שלום עולם", "👩‍👩‍👧‍👦 🇫🇷", "W" * 400]


def opener(number):
    return PatchingView(golden.golden_result(), Layers({"doc": golden.patterns}))


@pytest.fixture(scope="module")
def study():
    return StudyView(many_pairs.study((4, 5), 200), opener)


def rows(page):
    return page.locator(".mv-pair")


def listed(page):
    """Numbers of the rows in sight, from the top."""
    return [int(one) for one in rows(page).evaluate_all("all => all.map(row => row.dataset.number)")]


# -- the grid ----------------------------------------------------------------------------------------------------------


def test_cells_say_how_sure_they_are(open_snapshot, study):
    page = open_snapshot(study)
    found = study.summary.cells
    assert heads(page).count() == 20
    for at in np.ndindex(4, 5):
        one, value = cell(page, *at), {name: float(found[name].values[at]) for name in found.data_vars}
        weak = one.get_attribute("data-weak") is not None
        assert weak == (value["q"] > 0.05)
        assert (one.get_attribute("data-unsure") is not None) == (value["low"] <= 0 <= value["high"])
        assert number(one.get_attribute("aria-label").split(":")[1]) == pytest.approx(value["effect"], abs=0.00501)
    at = np.unravel_index(np.abs(found["effect"].values).argmax(), (4, 5))
    cell(page, *at).hover()
    card = page.locator(".mv-card").inner_text()
    assert number(card.split("effect")[1]) == pytest.approx(float(found["effect"].values[at]), abs=0.00501)
    assert number(card.split("interval")[1]) == pytest.approx(float(found["low"].values[at]), abs=0.00501)
    assert number(card.split("raw")[1]) == pytest.approx(float(found["raw"].values[at]), abs=0.00501)
    assert number(card.split("along in")[1]) == pytest.approx(100 * float(found["positive"].values[at]), abs=0.501)
    assert f"n = {study.summary.n_used} pairs of 6 queries" in card
    no_nonsense(page)


@pytest.mark.parametrize(("unit", "name"), [("ratio of sums", "ratio"), ("raw", "raw"), ("share of pairs", "positive")])
def test_units_show_what_python_sent(open_snapshot, study, unit, name):
    page = open_snapshot(study)
    page.get_by_role("button", name=unit).click()
    values = study.summary.cells[name].values
    for at in np.ndindex(4, 5):
        shown = number(cell(page, *at).get_attribute("aria-label").split(":")[1])
        scale, room = (100, 0.501) if name == "positive" else (1, 0.00501)
        assert shown == pytest.approx(scale * float(values[at]), abs=room)
    no_nonsense(page)


def test_what_is_not_defined_is_hatched(open_snapshot):
    cells = many_pairs.cells((2, 2), ("layer", "head"))
    for name in cells.data_vars:
        cells[name][1, 0] = np.nan
    page = open_snapshot(StudyView(many_pairs.study(cells=cells, n=20)))
    assert "repeating-linear-gradient" in cell(page, 1, 0).evaluate("el => getComputedStyle(el).backgroundImage")
    assert "not defined" in cell(page, 1, 0).get_attribute("aria-label")
    no_nonsense(page)


def test_groups_follow_the_selected_head(open_snapshot, study):
    page = open_snapshot(study)
    for layer, head in [(0, 1), (3, 4)]:
        cell(page, layer, head).click()
        group = study.summary.groups["grade"].sel(grade="2")
        effect = float(group["effect"][layer, head])
        title = page.locator(".mv-groups title", has_text=f"L{layer}H{head}, relevance grade 2")
        assert number(title.text_content().split(": ")[1]) == pytest.approx(effect, abs=0.000501)
        assert title.text_content().endswith(f"{int(group['n'])} pairs")


def test_other_grids_print_every_number_and_choose_groups(open_snapshot):
    view = StudyView(many_pairs.classes_study(pairs=many_pairs.pairs(30)))
    page = open_snapshot(view)
    effects = view.summary.cells["effect"].values
    cells = page.locator(".mv-cell-grid [role=gridcell]")
    assert cells.count() == effects.size
    for at, index in enumerate(np.ndindex(effects.shape)):
        shown = page.locator(f".mv-cell-grid [data-at='{at}']").inner_text()
        assert number(shown) == pytest.approx(float(effects[index]), abs=0.00501)
    page.locator("[data-at='30']").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.locator(".mv-readout strong")).to_have_text("attn_out, layer 1, other")
    expect(page.locator(".mv-groups h4").first).to_contain_text("attn_out, layer 1, other")


# -- the gate ----------------------------------------------------------------------------------------------------------


def test_a_bin_lists_its_pairs(open_snapshot, study):
    page = open_snapshot(study)
    frame = study.summary.pairs
    change = frame["source_score"].to_numpy("f4") - frame["base_score"].to_numpy("f4")
    bars = page.locator(".mv-bars").nth(1).get_by_role("button")
    counts = [[int(n) for n in re.findall(r"(\d+) (?:used|dropped)", bar.get_attribute("aria-label"))] for bar in bars.all()]
    assert sum(map(sum, counts)) == np.isfinite(change).sum()
    tallest = max(range(len(counts)), key=lambda at: sum(counts[at]))
    bars.nth(tallest).click()
    expect(page.locator(".mv-pair-count")).to_have_text(f"{sum(counts[tallest])} of 200 pairs")
    low, high = (number(one) for one in bars.nth(tallest).get_attribute("aria-label").split(":")[0].split(" to "))
    for row in listed(page):
        assert low - 0.01 <= change[row] <= high + 0.01
    page.get_by_role("button", name="show all").click()
    expect(page.locator(".mv-pair-count")).to_have_text("200 pairs")
    used = frame[frame["reason"] == ""]
    share = 100 * (used["perturbed_score"] > used["original_score"]).mean()
    assert number(page.locator(".mv-bars-name strong").first.inner_text()) == pytest.approx(share, abs=0.51)
    for reason, n in study.summary.dropped.items():
        expect(page.locator(".mv-changes .mv-dropped")).to_contain_text(f"{n} {reason}")


def test_bars_have_one_tab_stop_and_move_by_arrows(open_snapshot, study):
    page = open_snapshot(study)
    bars = page.locator(".mv-bars").first
    assert bars.locator("[tabindex='0']").count() == 1
    bars.locator("[tabindex='0']").focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    expect(bars.get_by_role("button").nth(1)).to_be_focused()


# -- the list ----------------------------------------------------------------------------------------------------------


def test_pairs_sort_and_are_found(open_snapshot, study):
    page = open_snapshot(study)
    frame = study.summary.pairs
    page.locator(".mv-pair-head").get_by_role("button", name="change").click()
    change = (frame["perturbed_score"] - frame["original_score"]).sort_values(ascending=False)
    assert listed(page)[:8] == change.index[:8].tolist()
    page.get_by_role("searchbox").fill("TIDES")
    wanted = frame.index[frame["query"].str.contains("tides")]
    expect(page.locator(".mv-pair-count")).to_contain_text(" of 200 pairs")
    assert set(listed(page)) <= set(wanted) | set(frame.index[frame["doc"].str.contains("tides")])
    page.get_by_role("searchbox").fill("")
    page.locator(".mv-pairs select").select_option("dropped")
    expect(page.locator(".mv-pair-count")).to_have_text(f"{(frame['reason'] != '').sum()} of 200 pairs")
    expect(rows(page).first).to_contain_text("dropped:")
    no_nonsense(page)


def test_five_thousand_pairs_are_quick_and_few_are_in_the_page(open_snapshot):
    page = open_snapshot(StudyView(many_pairs.study((12, 12), 5000)))
    assert rows(page).count() < 30
    box = page.locator(".mv-pair-scroll")
    assert box.get_attribute("aria-rowcount") == "5001"
    rows(page).first.focus()
    page.keyboard.press("End")
    expect(page.locator(".mv-pair[data-number='4999']")).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(page.locator(".mv-pair[data-number='4998']")).to_be_focused()
    page.keyboard.press("Home")
    expect(page.locator(".mv-pair[data-number='0']")).to_be_focused()
    assert page.locator(".mv-pair[tabindex='0']").count() == 1
    middle = page.locator(".mv-pair[data-number='2005']")
    for _ in range(20):  # a busy machine may still be scrolling to where Home leads
        box.evaluate("box => { box.scrollTop = 100000; }")
        page.wait_for_timeout(100)
        if middle.count():
            break
    expect(middle).to_be_attached()
    assert rows(page).count() < 30


def test_first_paint_of_five_thousand_pairs(open_host):
    page = open_host()
    traits = traits_of(StudyView(many_pairs.study((12, 12), 5000)))
    times = []
    for host in ("a", "b", "c"):
        start = time.perf_counter()
        mount(page, traits, host)
        page.locator(f"#{host} .mv-pair").first.wait_for()
        times.append(time.perf_counter() - start)
    # With the state's way into the page, on whatever machine this is; the budget is 0.3 s for the drawing alone.
    assert min(times) < 3
    drawn = page.evaluate(
        """async () => {
          const model = models.a, el = newHost("d"), start = performance.now();
          await mechviz.render({ model, el, signal: new AbortController().signal });
          while (!el.querySelector(".mv-pair")) await new Promise(requestAnimationFrame);
          return performance.now() - start;
        }"""
    )
    print(f"drawn in {drawn:.0f} ms")
    assert drawn < 1500


def test_hostile_texts_are_texts(open_snapshot):
    n = len(HOSTILE)
    frame = many_pairs.pairs(n).assign(query=HOSTILE, doc=[f"a {text}" for text in HOSTILE], reason=HOSTILE)
    frame = frame.assign(perturbed=[f"a {text} lava" for text in HOSTILE], perturbation=HOSTILE)
    page = open_snapshot(StudyView(many_pairs.study((2, 2), pairs=frame, name=HOSTILE[0])))
    for text in HOSTILE[:4]:
        expect(page.locator(".mv-pair-query > bdi", has_text=text)).to_be_visible()
    assert page.locator("#injected, .mechviz img").count() == 0
    page.get_by_role("searchbox").fill("<b id=")
    expect(rows(page)).to_have_count(1)


# -- opened pairs ------------------------------------------------------------------------------------------------------


def test_a_page_opens_the_pairs_that_it_holds_and_says_so_of_others(open_page, study, tmp_path):
    page = open_page(study.to_html(tmp_path / "a.html", opened=[3]).as_uri())
    page.locator(".mv-pair[data-number='4']").click()
    expect(page.locator(".mv-pair-hint")).to_have_text(re.compile("holds the pair marked ●; open any other in the notebook"))
    row = page.locator(".mv-pair[data-number='3']")
    row.focus()
    page.keyboard.press("Enter")
    back = page.get_by_role("button", name="Back to the study")
    expect(back).to_be_focused()
    inside = page.locator(".mv-opened")
    expect(inside.locator(".mv-query")).to_contain_text("why is it hot")
    expect(page.locator(".mv-pair-scroll")).to_be_hidden()
    cell(inside, 1, 3).click()
    expect(cell(inside, 1, 3)).to_have_attribute("aria-selected", "true")
    assert unguarded(page) == []
    page.keyboard.press("Escape")
    expect(inside).to_have_count(0)
    expect(row).to_be_focused()


def test_a_pair_opens_from_the_kernel_and_asks_it_for_more(open_host, monkeypatch):
    view = StudyView(many_pairs.study((2, 2), 20), opener)
    page = open_host()
    host = mount(page, traits_of(view, live=True))
    host.locator(".mv-pair[data-number='5']").click()
    expect(host.get_by_text("running the ranker on this pair…")).to_be_visible()
    message = answer(page, view, monkeypatch)
    assert (message["type"], message["number"]) == ("open", 5)
    inside = host.locator(".mv-opened")
    expect(inside.locator(".mv-query")).to_contain_text("why is it hot")
    inside.get_by_role("button", name="matrix").click()
    asked = answer(page, view, monkeypatch)
    if asked["type"] == "inside":
        assert asked["number"] == 5
        assert str(asked["id"]).startswith("5:")
    expect(inside.locator(".mv-matrix").first).to_be_visible()
    host.get_by_role("button", name="Back to the study").click()
    expect(host.locator(".mv-pair[data-number='5'] .mv-pair-here")).to_be_visible()
    sent = page.evaluate("() => models.host.sent.length")
    host.locator(".mv-pair[data-number='5']").click()
    expect(inside.locator(".mv-query")).to_be_visible()
    assert page.evaluate("() => models.host.sent.length") == sent, "it is kept"


def test_what_fails_is_told_in_the_view_and_can_be_tried_again(open_host, monkeypatch):
    view = StudyView(many_pairs.study((2, 2), 20), lambda number: 1 / 0)
    page = open_host()
    host = mount(page, traits_of(view, live=True))
    host.locator(".mv-pair[data-number='5']").click()
    answer(page, view, monkeypatch)
    expect(host.get_by_role("alert")).to_contain_text("ZeroDivisionError: division by zero")
    view._opener = opener
    host.get_by_role("button", name="Retry").click()
    page.wait_for_function("models.host.sent.length === 2")
    answer(page, view, monkeypatch)
    expect(host.locator(".mv-opened .mv-query")).to_contain_text("why is it hot")


def test_without_an_opener_the_list_says_so(open_snapshot):
    page = open_snapshot(StudyView(many_pairs.study((2, 2), 5)))
    expect(page.locator(".mv-pair-hint")).to_contain_text("no pair can be opened: pass opener= in Python")
    rows(page).first.click()
    expect(page.locator(".mv-opened")).to_have_count(0)


# -- few pairs, narrow pages, both themes ------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [0, 1])
def test_one_pair_and_none(open_snapshot, n):
    frame = many_pairs.pairs(3).iloc[:n]
    page = open_snapshot(StudyView(many_pairs.study((1, 1), pairs=frame)))
    if n == 0:
        expect(page.get_by_text("There is no pair to list")).to_be_visible()
        expect(page.get_by_text("there is no change to show")).to_be_visible()
    else:
        expect(rows(page)).to_have_count(1)
    no_nonsense(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", ["study", "classes", "scorecard"])
def test_words_can_be_read(open_snapshot, kind, scheme):
    view = {
        "study": lambda: StudyView(many_pairs.study((3, 4), 40)),
        "classes": lambda: StudyView(many_pairs.classes_study(pairs=many_pairs.pairs(30))),
        "scorecard": lambda: ScorecardView(many_pairs.scorecard(20)),
    }[kind]()
    page = open_snapshot(view, color_scheme=scheme)
    found = contrasts(page.locator(".mechviz"))
    assert [one for one in found if one["ratio"] < 4.4] == []


@pytest.mark.parametrize("width", [380, 720, 1280])
def test_nothing_is_wider_than_the_page(open_snapshot, study, width):
    for view in (study, ScorecardView(many_pairs.scorecard(20))):
        page = open_snapshot(view, viewport={"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


# -- scorecards --------------------------------------------------------------------------------------------------------


def test_a_scorecard_is_a_table_of_its_rows(open_snapshot):
    card = many_pairs.scorecard(40)
    page = open_snapshot(ScorecardView(card))
    table = page.get_by_role("table", name="agreement with axioms")
    heads_of = table.locator("thead tr").nth(1).locator("th").all_inner_texts()
    assert heads_of == ["0", "1", "2", "3", "1-10", "11-50", "51-100", "101-1000"]
    by = {(row.axiom, row.group, row.value): row for row in card.rows.itertuples()}
    for axiom, row in zip(card.axioms, table.locator("tbody tr").all(), strict=True):
        whole = by[axiom, "all", ""]
        assert row.locator("th").inner_text() == axiom
        cells = row.locator("td").all_inner_texts()
        assert int(cells[0]) == whole.n
        assert number(cells[1]) == pytest.approx(100 * whole.satisfied, abs=0.501)
        assert number(cells[2]) == pytest.approx(whole.change, abs=0.00501)
        for value, shown in zip(heads_of, cells[3:11], strict=True):
            of = by.get((axiom, "grade" if len(value) == 1 else "rank", value))
            assert shown == "–" if of is None else shown.split() == [f"{int(100 * of.satisfied + 0.5)}%", str(of.n)]
        assert int(re.match(r"\d+", cells[11])[0]) == sum(card.dropped[axiom].values())
    no_nonsense(page)


def test_a_number_of_the_scorecard_lists_its_pairs(open_snapshot):
    card = many_pairs.scorecard(40)
    page = open_snapshot(ScorecardView(card))
    page.get_by_role("button", name=re.compile("^TFC3, grade 2:")).click()
    wanted = card.of("TFC3", "grade", "2")
    expect(page.locator(".mv-pair-count")).to_have_text(f"{len(wanted)} of {len(card.pairs)} pairs")
    assert set(listed(page)) <= set(wanted["number"])
    page.get_by_role("columnheader", name="towards the axiom").get_by_role("button").click()
    towards = ((wanted["perturbed_score"] - wanted["original_score"]) * wanted["preferred"]).sort_values(ascending=False)
    assert listed(page)[0] == wanted.loc[towards.index[0], "number"]
    page.get_by_role("button", name="mean score change").click()
    shown = page.get_by_role("button", name=re.compile("^TFC3, grade 2:")).inner_text()
    row = card.rows.query("axiom == 'TFC3' and group == 'grade' and value == '2'").iloc[0]
    assert number(shown) == pytest.approx(row["change"], abs=0.00501)


def test_axioms_sort(open_snapshot):
    card = many_pairs.scorecard(40)
    page = open_snapshot(ScorecardView(card))
    page.get_by_role("table").get_by_role("button", name="agrees", exact=True).click()
    names = page.locator(".mv-scorecard tbody th").all_inner_texts()
    whole = card.rows[card.rows["group"] == "all"].set_index("axiom")["satisfied"]
    assert names == whole.sort_values(ascending=False, kind="stable").index.tolist()


def test_a_scorecard_copies_as_csv(open_host):
    card = many_pairs.scorecard(20)
    page = open_host()
    host = mount(page, traits_of(ScorecardView(card)))
    page.evaluate(
        """() => {
          let text = null;
          document.execCommand = () => { text = document.querySelector("textarea")?.value; return true; };
          globalThis.copied = () => text;
        }"""
    )
    host.get_by_role("button", name="Copy as CSV").click()
    expect(host.get_by_text("copied", exact=True)).to_be_visible()
    text = page.evaluate("copied()")
    lines = text.splitlines()
    assert lines[0] == "axiom,group,value,n,satisfied,satisfied_low,satisfied_high,change,low,high"
    frame = pd.DataFrame([line.split(",") for line in lines[1:]])
    assert frame[0].tolist() == card.rows["axiom"].tolist()
    assert frame[4].astype(float).tolist() == pytest.approx(card.rows["satisfied"].tolist())
