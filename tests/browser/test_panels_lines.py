"""The lines' other pictures: differences, words, folds, several heads at once, heads that are patched together."""

from itertools import chain

import numpy as np
import pytest
from playwright.sync_api import expect

import mechviz as mv
from mechviz import wire
from tests.browser.examples import COMPETITORS, DOC, QUERY, change
from tests.browser.page import (
    answer,
    cell,
    draw_share,
    drawn_edges,
    edges_of,
    half,
    mount,
    number,
    option,
    selected_cells,
    traits_of,
)

pytestmark = pytest.mark.browser

RUNS = ("base", "source")


@pytest.fixture(scope="module")
def wordy(long_dot):
    """Words that the tiny tokenizer cuts into pieces, some of them changed."""
    doc = "Qrstuvw water is zyxab rock and mnopq rises through kjihg."
    return mv.show_patching(long_dot, QUERY, doc, lambda text: text.replace("rock", "lava rock"), wait=True)


@pytest.fixture(scope="module")
def long_view(long_dot):
    """Some 300 tokens, of which few are changed."""
    doc = " ".join(["hot springs are warm because water is heated by rock and"] * 26)
    return mv.show_patching(long_dot, QUERY, doc, mv.perturb.append("volcano lava"), wait=True)


def drawn(scope, run):
    """{(from, to): what else the line says}; lanes are counted from the top."""
    found = half(scope, run).evaluate(
        """(half) => {
          const height = parseFloat(getComputedStyle(half).getPropertyValue("--line"));
          const lane = (y) => Math.round(y.baseVal.value / height - 0.5);
          return [...half.querySelectorAll(".mv-all-lines line")].map((line) =>
            [lane(line.y1), lane(line.y2), line.dataset.sign ?? line.dataset.series ?? null]);
        }"""
    )
    return [(start, end, None if said is None else int(said)) for start, end, said in found]


def lanes_of(page):
    """Positions of each lane of the first column."""
    found = (
        page.locator(".mv-column[data-side=to]").first.locator("[data-lane]").evaluate_all("all => all.map(n => n.dataset.pos)")
    )
    return [list(map(int, positions.split())) for positions in found]


# -- how many lines ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.1, 0.3, 0.6])
def test_the_slider_draws_the_strongest_lines_that_hold_this_share_of_each_row(open_snapshot, view, share):
    page = open_snapshot(view)
    ((layer, head),) = selected_cells(page)
    draw_share(page, share)
    expected = edges_of(view, layer, head, share)
    assert {run: drawn_edges(page, run) for run in RUNS} == expected
    for run, edges in expected.items():
        weights = view._reader.pattern("doc", layer)[RUNS.index(run), head]
        shown = half(page, run).locator(".mv-half-head p").first.inner_text()
        mass = sum(float(weights[edge]) for edge in edges) / float(weights.sum())
        assert number(shown.split("lines,")[1]) == pytest.approx(100 * mass, abs=0.6)
        assert set(np.argmax(weights, axis=1)) <= {key for _, key in edges}, "each token's strongest line is there"


def test_a_long_text_begins_with_few_enough_lines_to_read(open_snapshot, long_view):
    page = open_snapshot(long_view)
    for layer, head in ((0, 0), (1, 1), (2, 2)):
        cell(page, layer, head).click()
        expect(page.locator(".mv-lines h3")).to_contain_text(f"layer {layer}, head {head}")
        share = float(page.locator(".mv-lines-rule input[type=range]").input_value())
        for matrix in long_view._reader.pattern("doc", layer)[:, head]:
            assert len(wire.strongest_edges(matrix, share)[0]) <= 420 or share == 0.1


# -- difference --------------------------------------------------------------------------------------------------------


def test_the_difference_draws_source_minus_base_with_its_signs(open_snapshot, view):
    page = open_snapshot(view)
    ((layer, head),) = selected_cells(page)
    page.locator(".mv-lines").get_by_role("button", name="difference").click()
    draw_share(page, 0.9)
    expect(page.locator(".mv-half")).to_have_count(1)
    expect(half(page, "difference").locator("h4")).to_have_text("difference: source minus base")
    base, source = view._reader.pattern("doc", layer)[:, head]
    moved = source - base
    pairs = list(zip(*(a.tolist() for a in wire.largest_differences(moved)), strict=True))
    assert sorted(drawn(page, "difference")) == sorted((*pair, int(np.sign(moved[pair]))) for pair in pairs)
    strongest = pairs[0]
    option(page, "difference", "from", strongest[0]).hover()
    shown = half(page, "difference").locator(".mv-weight").all_inner_texts()
    of_row = [float(moved[pair]) for pair in pairs if pair[0] == strongest[0]]
    assert sorted(map(number, shown)) == pytest.approx(sorted(sorted(of_row, key=abs)[-10:]), abs=0.00501)
    draw_share(page, 0.5)
    size = np.sort(np.abs(moved), axis=None)[::-1]
    enough = 1 + int((np.cumsum(size) < 0.5 * size.sum()).sum())
    assert abs(len(drawn(page, "difference")) - enough) <= 1
    for run in RUNS:
        page.locator(".mv-lines").get_by_role("button", name=run, exact=True).click()
        draw_share(page, 0.9)
        expect(page.locator(".mv-half")).to_have_count(1)
        assert drawn_edges(page, run) == edges_of(view, layer, head)[run]


# -- words and folds ---------------------------------------------------------------------------------------------------


def words_of(pair):
    """Positions of each word: pieces that go together in both runs."""
    lanes = []
    for pos in range(len(pair.base)):
        joined = [
            pos > 0 and tokens.words[pos] >= 0 and tokens.words[pos] == tokens.words[pos - 1]
            for tokens in (pair.base, pair.source)
        ]
        agree = all(join or tokens.fillers[pos] for join, tokens in zip(joined, (pair.base, pair.source), strict=True))
        if any(joined) and agree:
            lanes[-1].append(pos)
        else:
            lanes.append([pos])
    return lanes


def test_merged_words_have_the_sum_of_what_they_receive_and_the_mean_of_what_they_give(open_snapshot, wordy):
    page = open_snapshot(wordy)
    ((layer, head),) = selected_cells(page)
    draw_share(page, 0.9)
    page.get_by_label("merge words").check()
    lanes = words_of(wordy.result.pair)
    assert lanes_of(page) == lanes
    assert 0 < len(lanes) < len(wordy.result.pair.base) - 8
    of = {pos: lane for lane, positions in enumerate(lanes) for pos in positions}
    for run, edges in edges_of(wordy, layer, head).items():
        pattern = wordy._reader.pattern("doc", layer)[RUNS.index(run), head]
        strands = {}
        for query, key in edges:
            at = of[query], of[key]
            strands[at] = strands.get(at, 0) + float(pattern[query, key]) / len(lanes[of[query]])
        assert drawn_edges(page, run) == set(strands)
        lane = max(range(len(lanes)), key=lambda lane: len(lanes[lane]))
        half(page, run).locator(f".mv-column[data-side=from] [data-lane='{lane}']").hover()
        shown = half(page, run).locator(".mv-weight").all_inner_texts()
        expected = sorted((weight for (start, _), weight in strands.items() if start == lane), reverse=True)[:10]
        assert sorted(map(float, shown), reverse=True) == pytest.approx(expected, abs=0.0051)
    label = "".join(wordy.result.pair.base.labels[pos] for pos in lanes[lane])
    expect(half(page, "base").locator(f".mv-column[data-side=from] [data-lane='{lane}']")).to_have_text(label)


def test_a_long_list_is_folded_keeps_what_is_changed_and_unfolds(open_snapshot, long_view):
    page = open_snapshot(long_view)
    n = len(long_view.result.pair.base)
    assert n > 280
    lanes = lanes_of(page)
    assert list(chain(*lanes)) == list(range(n)), "every position has one lane, in order"
    assert len(lanes) < 140
    changed = [pos for pos, kind in enumerate(long_view.result.pair.alignment.kinds) if kind != "equal"]
    assert len(changed) >= 2
    assert all([pos] in lanes for pos in changed)
    folds = [lane for lane in lanes if len(lane) > 1]
    assert folds
    expect(page.locator(".mv-minimap")).to_be_visible()
    fold = page.locator(".mv-column[data-side=from]").first.locator("[data-kind=fold]").first
    expect(fold).to_have_text(f"… {len(folds[0])} tokens")
    fold.click()
    assert [[pos] for pos in folds[0]] == [lane for lane in lanes_of(page) if lane[0] in folds[0]]
    page.get_by_label("fold what matters little").uncheck()
    assert lanes_of(page) == [[pos] for pos in range(n)]
    draw_share(page, 0.9)
    ((layer, head),) = selected_cells(page)
    assert {run: drawn_edges(page, run) for run in RUNS} == edges_of(long_view, layer, head)


def test_a_fold_that_was_opened_stays_open_when_a_token_in_it_is_pinned(open_snapshot, long_view):
    page = open_snapshot(long_view)
    longest = max((lane for lane in lanes_of(page) if len(lane) > 1), key=len)
    column = page.locator(".mv-column[data-side=from]").first
    column.locator(f"[data-pos^='{longest[0]} {longest[1]} ']").focus()
    page.keyboard.press("Enter")
    middle = longest[len(longest) // 2]
    option(page, "base", "from", middle).click()
    expect(option(page, "base", "from", middle)).to_have_attribute("aria-selected", "true")
    assert [lane for lane in lanes_of(page) if lane[0] in longest] == [[pos] for pos in longest]


def test_a_folded_position_that_is_pinned_elsewhere_comes_out_of_its_fold(open_snapshot, long_view):
    page = open_snapshot(long_view, viewport={"width": 1280, "height": 2400})
    page.locator(".mv-fold").click()
    inside = next(lane for lane in lanes_of(page) if len(lane) > 9)[4]
    page.locator(f".mv-before-after p[data-text=original] [data-pos='{inside}']").click()
    expect(option(page, "base", "from", inside)).to_have_attribute("aria-selected", "true")
    expect(option(page, "base", "from", inside)).to_be_in_viewport()
    assert list(chain(*lanes_of(page))) == list(range(len(long_view.result.pair.base)))


# -- several heads -----------------------------------------------------------------------------------------------------


def choose(page, heads):
    for at in heads:
        cell(page, *at).click(modifiers=["Shift"])


def test_several_heads_are_compared_in_one_picture(open_snapshot, view):
    page = open_snapshot(view)
    chosen = [(0, 1), (1, 2), (2, 0)]
    choose(page, chosen)
    page.get_by_role("button", name="the 3 chosen").click()
    expect(page.locator(".mv-lines h3")).to_contain_text("several heads")
    draw_share(page, 0.9)
    expected = [edges_of(view, *at) for at in chosen]
    for run in RUNS:
        lines = sorted((*edge, series) for series, edges in enumerate(expected) for edge in edges[run])
        assert sorted(drawn(page, run)) == lines
        names = half(page, run).locator(".mv-compared span").all_inner_texts()
        assert [name.split()[0] for name in names] == ["L0H1", "L1H2", "L2H0"]
    page.get_by_role("button", name="this head").click()
    ((layer, head),) = selected_cells(page)
    assert {run: drawn_edges(page, run) for run in RUNS} == edges_of(view, layer, head)


def test_heads_to_compare_that_did_not_come_are_fetched(open_host, view, monkeypatch):
    page = open_host()
    el = mount(page, traits_of(view, live=True))
    held = {(entry["layer"], entry["head"]) for key, entry in view.spec["held"].items() if key.startswith("attention.")}
    missing = [at for at in np.ndindex(3, 4) if at not in held][:2]
    choose(el, missing)
    assert page.evaluate("models.host.sent") == []
    el.get_by_role("button", name="the 2 chosen").click()
    page.wait_for_function("models.host.sent.length === 2")
    sent = page.evaluate("models.host.sent")
    assert sorted((message["layer"], message["head"]) for message in sent) == sorted(missing)
    answer(page, view, monkeypatch)
    page.evaluate("models.host.sent.reverse()")
    answer(page, view, monkeypatch)
    draw_share(el, 0.9)
    lines = sorted((*edge, series) for series, at in enumerate(missing) for edge in edges_of(view, *at)["source"])
    assert sorted(drawn(el, "source")) == lines


def test_heads_that_are_patched_together_have_the_number_of_patch(open_host, dot, view, monkeypatch):
    page = open_host()
    el = mount(page, traits_of(view, live=True))
    chosen = [(1, 0), (1, 1), (2, 2)]
    choose(el, chosen)
    panel = el.locator(".mv-together")
    panel.get_by_role("button", name="Patch together").click()
    message = answer(page, view, monkeypatch)
    assert message == {"type": "together", "id": message["id"], "heads": [["doc", *at] for at in chosen]}
    result = mv.patch(dot, QUERY, DOC, change, together=chosen, docs=COMPETITORS)
    effect, patched = result.effects.item(), result.patched.item()
    single = sum(float(view.result.effects[at]) for at in chosen)
    together = panel.locator("p", has=page.locator("strong"), has_text="together")
    expect(together).to_be_visible()
    words = together.inner_text()
    assert number(words) == pytest.approx(effect, abs=0.00501)
    assert number(words.split("sum to")[1]) == pytest.approx(single, abs=0.00501)
    el.get_by_role("button", name="score difference").click()
    assert number(together.inner_text()) == pytest.approx(patched - result.pair.base_score, abs=0.000501)
    el.get_by_role("button", name="rank difference").click()
    rank = [1 + int((result.competitors[0] >= np.float32(score)).sum()) for score in (result.pair.base_score, patched)]
    assert number(together.inner_text()) == rank[0] - rank[1] != 0
    cell(el, 0, 0).click(modifiers=["Shift"])
    expect(together).to_have_count(0)
    panel.get_by_role("button", name="Clear").click()
    expect(el.locator("[data-chosen]")).to_have_count(0)


def test_the_curve_of_the_strongest_heads_is_the_results(open_host, view, monkeypatch):
    page = open_host()
    el = mount(page, traits_of(view, live=True))
    panel = el.locator(".mv-together")
    panel.get_by_role("button", name="Top-k curve").click()
    assert answer(page, view, monkeypatch)["type"] == "curve"
    curve = view.result.curve(12)
    chart = panel.locator(".mv-curve")
    expect(chart).to_be_visible()

    def points(line):
        titles = chart.locator(f"[data-line='{line}'] circle title").all_text_contents()
        return [number(title.rsplit(": ", 1)[1]) for title in titles]

    assert points(0) == pytest.approx(curve["top"].values.tolist(), abs=0.00501)
    assert points(1) == pytest.approx(curve["rest"].values.tolist(), abs=0.00501)
    names = chart.locator("[data-line='0'] circle title").all_text_contents()
    assert all(cell_name in title for cell_name, title in zip(curve["cell"].values.tolist(), names, strict=True))
    el.get_by_role("button", name="score difference").click()
    base = view.result.pair.base_score
    assert points(0) == pytest.approx((curve["top_patched"].values - base).tolist(), abs=0.000501)
    expect(panel.get_by_role("button", name="Top-k curve")).to_have_count(0)


def test_a_result_without_its_ranker_says_why_it_patches_nothing_together(open_host, view, monkeypatch, tmp_path):
    saved = mv.PatchResult.load(view.result.save(tmp_path / "r.nc") or tmp_path / "r.nc")
    alone = mv.views.PatchingView(saved, view._reader)
    page = open_host()
    el = mount(page, traits_of(alone, live=True))
    choose(el, [(0, 1)])
    el.get_by_role("button", name="Patch together").click()
    answer(page, alone, monkeypatch)
    expect(el.locator(".mv-together .mv-error")).to_contain_text("needs the ranker")


def test_nothing_is_patched_together_while_a_computation_runs_nor_in_a_file(open_host, open_snapshot, view):
    page = open_host()
    el = mount(page, traits_of(view, live=True, state="running", done=3))
    choose(el, [(0, 1)])
    expect(el.get_by_role("button", name="Patch together")).to_be_disabled()
    expect(el.get_by_role("button", name="Top-k curve")).to_be_disabled()
    page = open_snapshot(view)
    choose(page, [(0, 1)])
    expect(page.get_by_role("button", name="Patch together")).to_have_count(0)
