"""The attribution tree: sums at every node, and its nodes against other ways to the same numbers."""

import numpy as np
import pytest
import torch

from mechviz import views
from mechviz.errors import InputError
from mechviz.probes.attribution_tree import attribution_tree
from mechviz.probes.contributions import score_contributions
from mechviz.probes.frozen import frozen_run
from tests.cases import CASES
from tests.noise import DOC, QUERY

OTHER = "A volcano is where lava comes out of the ground."


def case(name):
    return next(case for key, case in CASES.items() if key.startswith(name))


def check_sums(tree, most=1e-4):
    for row in tree.nodes[tree.nodes["state"] == "open"].itertuples():
        below = tree.nodes[tree.nodes["parent"] == row.id]["value"].sum()
        assert below == pytest.approx(row.value, abs=row.error + 1e-9)
        assert row.error <= most * max(1, abs(row.value)), row


@pytest.mark.parametrize("through", ["v", "qkv"])
@pytest.mark.parametrize(
    "name",
    ["Cat bert", "Dot bert mean", "Cat deberta-v2", "Generative gpt2", "Generative llama", "MonoT5 t5 (", "Dot toy_encoder"],
)
def test_children_sum_to_their_parent(opened, name, through):
    ranker = opened(case(name))
    tree = attribution_tree(ranker, QUERY, DOC, depth=3, least=0.05, through=through)
    assert set(tree.nodes[tree.nodes["state"] == "open"]["kind"]) >= {"score", "head"}
    check_sums(tree)


def test_the_margin_is_the_difference_of_two_scores(opened):
    ranker = opened(case("Cat bert"))
    tree = attribution_tree(ranker, QUERY, DOC, against=OTHER, depth=2)
    scores = ranker.score(QUERY, [DOC, OTHER])
    assert tree.nodes["value"][0] == pytest.approx(scores[0] - scores[1], abs=1e-5)
    check_sums(tree)
    first, second = (score_contributions(ranker, QUERY, doc).heads() for doc in (DOC, OTHER))
    found = tree.children(0)
    for row in found[found["kind"] == "head"].itertuples():
        expected = float(first.sel(layer=row.layer, head=row.head) - second.sel(layer=row.layer, head=row.head))
        assert row.value == pytest.approx(expected, abs=1e-5)
    assert len(tree.tokens) == sum(len(frozen_run(ranker, QUERY, doc).tokens) for doc in (DOC, OTHER))
    assert {tree.tokens[row.pos] for row in tree.nodes[tree.nodes["kind"] == "token"].itertuples()} <= set(tree.tokens)


def test_a_heads_tokens_are_its_sources(opened):
    ranker = opened(case("Cat bert"))
    tree = attribution_tree(ranker, QUERY, DOC, depth=2, least=0.0)
    parts = score_contributions(ranker, QUERY, DOC, by="source").parts
    expected = parts[parts["kind"] == "head"].set_index(["layer", "head", "pos"])["value"]
    heads = tree.children(0)
    tokens = tree.nodes[tree.nodes["parent"].isin(heads[heads["kind"] == "head"]["id"])]
    assert len(tokens) == len(expected)
    for row in tokens.itertuples():
        assert (row.kind, row.via) == ("token", "v")
        assert row.value == pytest.approx(expected[row.layer, row.head, row.pos], abs=1e-6)


def test_below_a_token_is_what_its_value_was_made_of(opened):
    """The value of a head's source is linear in the stream there, which is the sum of what was written, norms held."""
    ranker = opened(case("Generative gpt2"))
    tree = attribution_tree(ranker, QUERY, DOC, depth=3, least=0.0)
    run = frozen_run(ranker, QUERY, DOC)
    head = next(row for row in tree.children(0).itertuples() if row.kind == "head" and row.layer == 1)
    token = tree.children(head.id).iloc[0]
    kinds = tree.children(token["id"])
    assert {"embed", "head", "mlp", "bias"} == set(kinds["kind"])
    assert (kinds[kinds["kind"] == "head"]["layer"] == 0).all()
    # By hand: what the embedding alone would make of the value, through the norm's line and GPT-2's own weights.
    block = ranker.model.transformer.h[1]
    embedding = next(one.leaf for one in run.written if one.kind == "embed")[0, token["pos"]].detach()
    with torch.no_grad():
        _, cache = ranker.run_with_cache(QUERY, DOC, names=["resid_pre"])
        stream = cache["blocks.1.hook_resid_pre"][0, token["pos"]]
        sigma = (stream.var(unbiased=False) + block.ln_1.eps).sqrt()
        normed = (embedding - embedding.mean()) / sigma * block.ln_1.weight
        v = (normed @ block.attn.c_attn.weight)[64 + 8 * head.head : 72 + 8 * head.head]
        share = next(one for one in run.shares() if one.of.kind == "head" and one.of.layer == 1)
        weight = run.readings["decoder", 1].pattern[head.head][:, token["pos"]]
        expected = float((weight[:, None] * share.factor[0, :, head.head] * v).sum())
    found = float(kinds[kinds["kind"] == "embed"]["value"].iloc[0])
    assert found == pytest.approx(expected, abs=1e-5)


def test_an_mlp_opens_into_its_neurons(opened):
    ranker = opened(case("Cat bert"))
    tree = attribution_tree(ranker, QUERY, DOC, least=0.0)
    node = next(row for row in tree.children(0).itertuples() if row.kind == "mlp" and row.layer == 1)
    below = tree.expand(node.id).children(node.id)
    factor = next(one.factor for one in frozen_run(ranker, QUERY, DOC).shares() if one.of.kind == "mlp" and one.of.layer == 1)
    _, cache = ranker.run_with_cache(QUERY, DOC, names=["mlp_post"])
    w_out = ranker.model.bert.encoder.layer[1].output.dense.weight.detach()
    by_neuron = ((factor[0] @ w_out) * cache["blocks.1.mlp.hook_post"][0]).sum(0).cpu().numpy()
    named = below[below["label"].str.startswith("neuron")]
    assert [int(label.split(".")[1]) for label in named["label"]] == np.argsort(-np.abs(by_neuron))[:10].tolist()
    assert named["value"].to_numpy() == pytest.approx(by_neuron[np.argsort(-np.abs(by_neuron))[:10]], abs=1e-5)
    assert below[below["kind"] == "rest"]["label"].tolist() == ["38 other neurons"]
    assert below["value"].sum() == pytest.approx(node.value, abs=1e-5)


def test_query_and_key_add_what_the_pattern_adds_to_even_attention(opened):
    ranker = opened(case("Cat bert"))
    tree = attribution_tree(ranker, QUERY, DOC, depth=2, least=0.0, through="qkv")
    run = frozen_run(ranker, QUERY, DOC)
    for head in tree.children(0).itertuples():
        if head.kind != "head":
            continue
        share = next(one for one in run.shares() if one.of.kind == "head" and one.of.layer == head.layer)
        v = run.readings["encoder", head.layer].made["v"][0, :, head.head].detach()
        even = float((v.mean(0) * share.factor[0, :, head.head]).sum())
        below = tree.children(head.id)
        by = below.groupby("via")["value"].sum()
        assert by["v"] == pytest.approx(even, abs=1e-5)
        assert by["q"] == pytest.approx(by["k"], abs=1e-5)
        assert by["q"] + by["k"] == pytest.approx(head.value - even, abs=1e-4)  # BERT's scores have no bias of position


def test_small_parts_are_one_node_that_opens(opened):
    ranker = opened(case("Dot bert mean"))
    tree = attribution_tree(ranker, QUERY, DOC, least=0.1)
    rest = next(row for row in tree.children(0).itertuples() if row.label.endswith("smaller parts"))
    below = tree.expand(rest.id).children(rest.id)
    assert len(below) == int(rest.label.split()[0]) > 1
    assert below["value"].sum() == pytest.approx(rest.value, abs=1e-9)
    every = attribution_tree(ranker, QUERY, DOC, least=0.0).children(0)["value"].abs()
    assert below["value"].abs().max() < 0.1 * every.sum() <= every[every >= 0.1 * every.sum()].min() * 10
    assert len(below) == (every < 0.1 * every.sum()).sum()


def test_what_is_open_stays_and_a_leaf_is_refused(opened):
    tree = attribution_tree(opened(case("Cat bert")), QUERY, DOC, least=0.0)
    assert len(tree.expand(0).nodes) == len(tree.nodes)
    embed = next(row for row in tree.children(0).itertuples() if row.kind == "embed")
    wider = tree.expand(embed.id)
    leaf = wider.children(embed.id).iloc[0]
    assert leaf["state"] == "leaf"
    assert leaf["label"] == wider.tokens[leaf["pos"]]
    with pytest.raises(InputError, match="leaf"):
        wider.expand(int(leaf["id"]))
    with pytest.raises(InputError, match="node=9999"):
        tree.expand(9999)


def test_a_view_gets_the_way_to_open_nodes(opened, monkeypatch):
    drawn = {}
    monkeypatch.setattr(views, "tree", lambda tree, theme, expand: drawn.update(tree=tree, expand=expand), raising=False)
    tree = attribution_tree(opened(case("Cat bert")), QUERY, DOC)
    tree.show()
    assert drawn["tree"] is tree
    assert len(drawn["expand"](1).nodes) > len(tree.nodes)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"depth": -1}, "depth"), ({"least": 1.0}, "least"), ({"through": "z"}, "through"), ({"against": ""}, "doc")],
)
def test_refusals(cat, options, words):
    with pytest.raises(InputError, match=words):
        attribution_tree(cat, QUERY, DOC, **options)
