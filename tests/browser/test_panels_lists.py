"""Panels of lists: the ranking, what the score is made of, the circuit; their numbers as tables and as CSV."""

import csv
import json

import numpy as np
import pytest
from playwright.sync_api import expect

import mechviz as mv
from tests.browser.examples import COMPETITORS, DOC, QUERY, change
from tests.browser.page import cell, no_nonsense, number, open_tab, selected_cells, squeezed
from tests.cases import CASES

pytestmark = pytest.mark.browser

TOY_DOC = "the water of the sea rises in hot weather"


@pytest.fixture(scope="module")
def circuit(dot):
    return mv.circuit(dot, QUERY, DOC, change, threshold=0.02)


@pytest.fixture(scope="module")
def circuit_view(dot, circuit):
    return mv.show_patching(dot, QUERY, DOC, change, circuit=circuit, wait=True)


@pytest.fixture(scope="module")
def ranked(dot):
    """Every document perturbed, with grades."""
    return mv.show_ranking(dot, QUERY, [*COMPETITORS, DOC], perturb=mv.perturb.append("lava"), grades=[0, 1, 0, 2])


def first(opened, kind):
    return opened(next(case for case in CASES.values() if case.kind == kind))


def rows_of(table):
    return table.locator("tbody tr").evaluate_all("all => all.map(row => [...row.cells].map(cell => cell.textContent))")


# -- ranking -----------------------------------------------------------------------------------------------------------


def test_order_and_numbers_of_the_ranking_are_the_rankers(open_snapshot, dot, view):
    page = open_snapshot(view)
    table = open_tab(page, "ranking").get_by_role("table")
    before, after = (dot.rank(QUERY, [*COMPETITORS, text]) for text in (DOC, change(DOC)))
    rows = rows_of(table)
    names = ["doc 1", "doc 2", "doc 3", "this document"]
    texts = [*COMPETITORS, DOC]
    for rank, (row, index) in enumerate(zip(rows, after.order.tolist(), strict=True), start=1):
        assert list(map(number, row[:3])) == [rank, before.ranks()[index], before.ranks()[index] - rank]
        assert number(row[3]) == pytest.approx(float(after.scores[index]), abs=0.0000501)
        moved = float(after.scores[index] - before.scores[index])
        assert number(row[4]) == pytest.approx(moved, abs=0.0000501)
        assert row[5] == f"{'● ' if index == 3 else ''}{names[index]}: {texts[index]}"
    name = f"the document moves from rank {before.ranks()[3]} to rank {after.ranks()[3]}"
    expect(page.get_by_role("img", name=name)).to_be_visible()


@pytest.mark.parametrize("direction", ["perturbed->original", "original->perturbed"])
def test_the_rank_with_only_this_head_patched_follows_the_selection(open_snapshot, dot, direction):
    view = mv.show_patching(dot, QUERY, DOC, change, docs=COMPETITORS, direction=direction, wait=True)
    page = open_snapshot(view)
    panel = open_tab(page, "ranking")
    for layer, head in np.ndindex(3, 4):
        cell(page, layer, head).click()
        open_tab(page, "ranking")
        patched = float(view.result.patched[layer, head])
        rank = 1 + int((view.result.competitors[0] >= np.float32(patched)).sum())
        said = panel.locator(".mv-alone title").text_content()
        assert said.startswith(f"if only layer {layer}, head {head} is patched: score ")
        assert number(said.split("score")[1]) == pytest.approx(patched, abs=0.0000501)
        assert said.endswith(f", rank {rank}")


def test_documents_keep_the_numbers_of_the_list_that_was_given(open_snapshot, dot):
    docs = [COMPETITORS[0], DOC, *COMPETITORS[1:]]
    page = open_snapshot(mv.show_ranking(dot, QUERY, docs, doc=1, perturb=change, wait=True))
    rows = rows_of(page.get_by_role("table", name="documents by rank"))
    for row in rows:
        name, _, text = row[-1].removeprefix("● ").partition(": ")
        if name == "this document":
            assert text == DOC
        else:
            assert docs[int(name.split()[1]) - 1] == text, "the number that the caller knows it by"


def test_a_list_that_was_perturbed_whole(open_snapshot, dot, ranked):
    page = open_snapshot(ranked)
    docs = [*COMPETITORS, DOC]
    frame = ranked.result.to_dataframe().sort_values("perturbed_rank")
    before, after = dot.score(QUERY, docs), dot.score(QUERY, [f"{doc} lava" for doc in docs])
    assert frame["perturbed_score"].tolist() == pytest.approx(sorted(after.tolist(), reverse=True), abs=1e-6)
    rows = rows_of(page.get_by_role("table"))
    for row, (index, line) in zip(rows, frame.iterrows(), strict=True):
        assert list(map(number, row[:3])) == [line["perturbed_rank"], line["rank"], line["rank_change"]]
        assert number(row[3]) == pytest.approx(float(after[index]), abs=0.0000501)
        assert number(row[4]) == pytest.approx(float(after[index] - before[index]), abs=0.0000501)
        assert (int(row[5]), row[6]) == (line["grade"], f"doc {index + 1}: {docs[index]}")
    words = page.locator(".mv-ranking-picture").inner_text()
    assert number(words.split("overlap")[1]) == pytest.approx(ranked.result.overlap(), abs=0.000501)
    assert number(words.split("nDCG@10")[1]) == pytest.approx(ranked.result.ndcg(), abs=0.000501)
    assert number(words.split("nDCG@10")[1].split("→")[1]) == pytest.approx(ranked.result.ndcg(perturbed=True), abs=0.000501)
    median = float(np.median(after - before))
    assert number(words.split("median score change")[1]) == pytest.approx(median, abs=0.0000501)
    page.get_by_role("button", name="score change").click()
    titles = page.locator(".mv-slope title").all_text_contents()
    shown = {title.split(":")[0]: number(title.split(":")[1]) for title in titles}
    assert shown == pytest.approx({f"doc {i + 1}": float(after[i] - before[i]) for i in range(4)}, abs=0.0000501)
    page.get_by_role("button", name="by score").click()
    no_nonsense(page)


def test_a_list_without_a_perturbation_compares_nothing(open_snapshot, dot):
    page = open_snapshot(mv.show_ranking(dot, QUERY, [*COMPETITORS, DOC]))
    ranking = dot.rank(QUERY, [*COMPETITORS, DOC])
    rows = rows_of(page.get_by_role("table"))
    assert [len(row) for row in rows] == [3] * 4
    assert [number(row[1]) for row in rows] == pytest.approx(sorted(ranking.scores.tolist(), reverse=True), abs=0.0000501)
    expect(page.locator(".mv-slope line")).to_have_count(0)
    no_nonsense(page)


def test_a_click_in_the_table_marks_the_slope_and_back(open_snapshot, view):
    page = open_snapshot(view)
    panel = open_tab(page, "ranking")
    panel.locator("tbody tr").nth(1).click()
    expect(panel.locator(".mv-slope[data-chosen]")).to_have_count(1)
    expect(panel.locator("tbody tr").nth(1)).to_have_attribute("data-chosen", "true")
    panel.locator(".mv-slope[data-chosen] title").first.wait_for(state="attached")
    name = panel.locator(".mv-slope[data-chosen] title").text_content().split(":")[0]
    assert name in panel.locator("tbody tr").nth(1).inner_text()


# -- tables ------------------------------------------------------------------------------------------------------------


def test_a_table_is_sorted_by_a_click_and_copied_as_csv(open_snapshot, ranked):
    page = open_snapshot(ranked, permissions=["clipboard-read", "clipboard-write"])
    table = page.get_by_role("table")
    header = table.get_by_role("columnheader").nth(3)
    for order in ("descending", "ascending"):
        header.get_by_role("button", name="score").click()
        expect(header).to_have_attribute("aria-sort", order)
    expect(header).to_have_attribute("aria-sort", "ascending")
    shown = rows_of(table)
    assert [number(row[3]) for row in shown] == sorted(number(row[3]) for row in shown)
    page.get_by_role("button", name="Copy as CSV").click()
    expect(page.get_by_text("copied", exact=True)).to_be_visible()
    header, *rows = csv.reader(page.evaluate("navigator.clipboard.readText()").splitlines())
    assert header == ["rank", "was", "moved", "score", "change", "grade", "document"]
    frame = ranked.result.to_dataframe().sort_values("perturbed_score")
    columns = ["perturbed_rank", "rank", "rank_change", "perturbed_score", "score_change", "grade"]
    copied = [[float(value) for value in row[:6]] for row in rows]
    assert np.array(copied) == pytest.approx(frame[columns].to_numpy(dtype=float), abs=1e-6)
    assert [row[6] for row in rows] == [f"doc {index + 1}: {doc}" for index, doc in frame["doc"].items()]


def test_commas_quotes_and_lines_survive_the_csv(open_snapshot, dot):
    docs = ['rock, "hot" water', "lava; rock", "=1+1 water"]
    view = mv.show_ranking(dot, QUERY, docs)
    page = open_snapshot(view, permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy as CSV").click()
    expect(page.get_by_text("copied", exact=True)).to_be_visible()
    _, *rows = csv.reader(page.evaluate("navigator.clipboard.readText()").splitlines())
    assert sorted(row[2].partition(": ")[2] for row in rows) == sorted(docs)


# -- what the score is made of -----------------------------------------------------------------------------------------


def sums(panel):
    """The numbers after "Sum:"."""
    words = panel.get_by_text("Sum:").inner_text().split("Sum:")[1]
    return [number(part) for part in words.split("→")]


@pytest.mark.parametrize("direction", ["perturbed->original", "original->perturbed"])
def test_the_products_of_a_bi_encoder_sum_to_its_scores(open_snapshot, dot, direction):
    page = open_snapshot(mv.show_patching(dot, QUERY, DOC, change, direction=direction, wait=True))
    panel = open_tab(page, "score")
    texts = [DOC, change(DOC)] if direction == "perturbed->original" else [change(DOC), DOC]
    scores = dot.score(QUERY, texts).tolist()
    assert sums(panel) == pytest.approx(scores, abs=0.000051)
    names = panel.get_by_role("columnheader").all_inner_texts()
    assert names == ["dimension", *direction.split("->")[::-1], "change"]
    rows = rows_of(panel.get_by_role("table"))
    assert len(rows) == 32
    table = np.array([list(map(number, row[1:])) for row in rows])
    assert table[:, :2].sum(0) == pytest.approx(scores, abs=32 * 0.00051)
    assert table[:, 2] == pytest.approx(table[:, 1] - table[:, 0], abs=0.011)
    assert np.abs(table[:, 2]).tolist() == pytest.approx(sorted(np.abs(table[:, 2]), reverse=True), abs=0.0101)


def test_the_terms_of_splade_sum_to_its_scores(open_snapshot, opened):
    splade = first(opened, "Splade")
    page = open_snapshot(mv.show_patching(splade, QUERY, DOC, change, wait=True))
    panel = open_tab(page, "score")
    assert sums(panel) == pytest.approx(splade.score(QUERY, [DOC, change(DOC)]).tolist(), abs=0.0001)
    terms = [splade.terms(QUERY, text).set_index("term")["score"] for text in (DOC, change(DOC))]
    for name, *values in rows_of(panel.get_by_role("table")):
        expected = [float(of.get(name, 0.0)) for of in terms]
        assert list(map(number, values[:2])) == pytest.approx(expected, abs=0.0051), name


def test_the_best_cosines_of_colbert_sum_to_its_scores(open_snapshot, opened):
    colbert = first(opened, "ColBERT")
    page = open_snapshot(mv.show_patching(colbert, QUERY, DOC, change, wait=True))
    panel = open_tab(page, "score")
    for name, text in (("original", DOC), ("perturbed", change(DOC))):
        panel.get_by_role("button", name=name, exact=True).click()
        score = float(colbert.score(QUERY, [text])[0])
        assert number(panel.get_by_text("they sum to").inner_text().split("sum to")[1]) == pytest.approx(score, abs=0.0001)
        matrix = colbert.max_sim_matrix(QUERY, text)
        best = panel.locator(".mv-max-sim-best li").all_inner_texts()
        assert list(map(number, best)) == pytest.approx(np.nanmax(matrix.values, axis=1).tolist(), abs=0.000501)
        tokens = matrix["doc_token"].values[np.nanargmax(matrix.values, axis=1)].tolist()
        assert [squeezed(line.split(None, 1)[1]) for line in best] == list(map(squeezed, tokens))
        expect(panel.locator(".mv-best")).to_have_count(matrix.shape[0])
    box = panel.locator(".mv-heat").bounding_box()
    n_queries, n_docs = matrix.shape
    panel.locator(".mv-heat").hover(position={"x": box["width"] * 3.5 / n_docs, "y": box["height"] * 1.5 / n_queries})
    words = panel.locator(".mv-site-words").inner_text()
    assert number(words.rsplit(": ", 1)[1]) == pytest.approx(float(matrix[1, 3]), abs=0.0000501)


@pytest.mark.parametrize("kind", ["MonoT5", "Generative"])
def test_the_logits_of_two_labels_are_the_scores(open_snapshot, opened, kind):
    ranker = first(opened, kind)
    page = open_snapshot(mv.show_patching(ranker, QUERY, DOC, mv.perturb.append("lava"), wait=True))
    panel = open_tab(page, "score")
    (yes, *of_yes), (no, *of_no) = rows_of(panel.get_by_role("table"))
    assert yes != no
    difference = np.array(list(map(number, of_yes[:2]))) - np.array(list(map(number, of_no[:2])))
    scores = ranker.score(QUERY, [DOC, f"{DOC} lava"])
    expected = -np.log1p(np.exp(-difference)) if kind == "MonoT5" else difference
    assert expected == pytest.approx(scores, abs=0.011)
    shares = panel.get_by_text("” against “").inner_text().split(": ")[1].split("→")
    assert list(map(number, shares)) == pytest.approx((1 / (1 + np.exp(-difference))).tolist(), abs=0.004)


# -- circuit -----------------------------------------------------------------------------------------------------------


def above(circuit, least):
    """Parts and edges of at least ``least`` that lie on a way to the score."""
    edges = circuit.edges[circuit.edges["weight"].abs() >= least]
    found = {"score"}
    for _ in range(len(edges) + 1):
        found |= set(edges.loc[edges["to_id"].isin(found), "from_id"])
    kept = edges[edges["to_id"].isin(found)]
    return {"score", *kept["from_id"], *kept["to_id"]}, kept


def test_the_compiled_rankers_circuit_is_drawn_as_it_is_known(open_snapshot):
    ranker = mv.toys.compiled("bm25")
    settings = ("hot volcano spring", TOY_DOC, mv.perturb.append("volcano"))
    circuit = mv.circuit(ranker, *settings)
    page = open_snapshot(mv.show_patching(ranker, *settings, circuit=circuit, wait=True))
    panel = open_tab(page, "circuit")
    assert panel.locator(".mv-vertex").evaluate_all("all => all.map(n => n.dataset.kind)") == ["embed", "head", "head", "score"]
    titles = panel.locator(".mv-edge title").all_text_contents()
    expected = {("the embedded text", "head 0.0"), ("head 0.0", "head 1.0"), ("head 1.0", "the score")}
    assert {tuple(title.split(":")[0].split(" → ")) for title in titles} == expected
    assert [number(title.split(": ")[1]) for title in titles] == pytest.approx([1.0] * 3, abs=0.000501)
    expect(panel).to_contain_text("faithfulness 1.000, completeness 1.000, minimality 1.000")
    no_nonsense(page)


def test_the_threshold_drops_weak_edges_and_what_they_alone_held(open_snapshot, circuit_view, circuit):
    page = open_snapshot(circuit_view)
    panel = open_tab(page, "circuit")
    expect(panel.locator(".mv-vertex")).to_have_count(len(circuit.vertices))
    expect(panel.locator(".mv-edge")).to_have_count(len(circuit.edges))
    slider = panel.get_by_role("slider")
    counts = set()
    for share in (25, 50, 75):
        low, high = (float(slider.get_attribute(name)) for name in ("min", "max"))
        slider.fill(str(low + (high - low) * share / 100))
        least = float(slider.input_value())
        vertices, edges = above(circuit, least)
        expect(panel.locator(".mv-edge")).to_have_count(len(edges))
        expect(panel.locator(".mv-vertex")).to_have_count(len(vertices))
        said = f"{len(edges)} of {len(circuit.edges)} edges, {len(vertices)} of {len(circuit.vertices)} parts"
        expect(panel).to_contain_text(said)
        counts.add(len(edges))
    assert len(counts) > 1
    panel.get_by_role("button", name="Table").click()
    rows = rows_of(panel.get_by_role("table", name="edges of the circuit"))
    assert [row[:2] for row in rows] == edges[["from_id", "to_id"]].to_numpy().tolist()
    assert [number(row[2]) for row in rows] == pytest.approx(edges["weight"].tolist(), abs=0.0000501)


def test_a_head_of_the_circuit_is_selected_in_the_other_panels(open_snapshot, circuit_view, circuit):
    page = open_snapshot(circuit_view)
    panel = open_tab(page, "circuit")
    heads = circuit.vertices[circuit.vertices["kind"] == "head"]
    selected = selected_cells(page)
    others = [(row.layer, row.index) for row in heads.itertuples(index=False) if (row.layer, row.index) not in selected]
    (first_head, second_head) = others[:2]
    panel.get_by_role("button", name="head {}.{}".format(*first_head)).click()
    assert selected_cells(page) == [first_head]
    expect(page.locator(".mv-lines h3")).to_contain_text("layer {}, head {}".format(*first_head))
    panel = open_tab(page, "circuit")
    expect(panel.locator(".mv-vertex[data-selected]")).to_have_count(1)
    panel.get_by_role("button", name="head {}.{}".format(*second_head)).focus()
    page.keyboard.press("Enter")
    assert selected_cells(page) == [second_head]


def test_a_circuit_alone_is_a_file_too(open_snapshot, circuit):
    page = open_snapshot(mv.views.CircuitView(circuit))
    expect(page.locator(".mv-vertex")).to_have_count(len(circuit.vertices))
    expect(page.locator(".mv-vertex[role=button]")).to_have_count(0)
    no_nonsense(page)


def test_what_a_kernel_sends_of_a_circuit_is_json(circuit_view, circuit):
    """NaN is not: Jupyter would turn it into the word."""
    for view in (circuit_view, mv.views.CircuitView(circuit)):
        json.dumps(view.spec, allow_nan=False)
