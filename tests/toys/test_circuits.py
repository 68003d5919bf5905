"""The circuits that are written down, against the weights themselves and against what patching finds."""

from math import log

import pytest
import torch

import mechviz as mv
from mechviz import toys
from mechviz.errors import InputError
from mechviz.toys.compiled import NAMES
from tests.toys.conftest import reopened


def base_of(model):
    return getattr(model, "bert", model)


def read(layer, head):
    """What a head reads with and writes with: q, k and v, dims (d_head, d_model), and its output, dims (d_model, d_head)."""
    size = layer.attention.self.attention_head_size
    mine = slice(head * size, (head + 1) * size)
    own = layer.attention.self
    inputs = {"q": own.query.weight[mine], "k": own.key.weight[mine], "v": own.value.weight[mine]}
    return inputs, layer.attention.output.dense.weight[:, mine]


def in_weights(model):
    """Edges that are not a product of zeros, from the weights alone."""
    base = base_of(model)
    embeddings = base.embeddings
    embedded = (embeddings.word_embeddings.weight[:, None] + embeddings.token_type_embeddings.weight).flatten(0, 1).T
    at_cls = embeddings.word_embeddings.weight[2:3].T + embeddings.token_type_embeddings.weight[:1].T
    senders = {"embed": embedded}
    edges = set()
    for number, layer in enumerate(base.encoder.layer):
        written = {}
        for head in range(4):
            inputs, written[f"{number}.{head}"] = read(layer, head)
            for kind, weight in inputs.items():
                edges |= {(sender, f"{number}.{head}", kind) for sender, out in senders.items() if (weight @ out).any()}
        senders |= written
    norm = base.encoder.layer[-1].output.LayerNorm.weight.diag()
    readout = norm if model is base else model.classifier.weight @ base.pooler.dense.weight @ norm
    senders["embed"] = at_cls  # the score is read at CLS, where no word stands
    return edges | {(sender, "score", "in") for sender, out in senders.items() if (readout @ out).any()}


@pytest.mark.parametrize("name", NAMES)
def test_the_weights_have_these_edges_and_no_other(rankers, name):
    with torch.no_grad():
        assert in_weights(rankers[name].model) == {edge[:3] for edge in toys.circuit_of(name)}


@pytest.mark.parametrize("name", NAMES)
def test_nothing_else_has_weights(rankers, name):
    model = rankers[name].model
    named = {edge.to_id for edge in toys.circuit_of(name)}
    assert {tensor.dtype for tensor in model.parameters()} == {torch.float32}
    for number, layer in enumerate(base_of(model).encoder.layer):
        assert not any(tensor.any() for part in (layer.intermediate, layer.output.dense) for tensor in part.parameters())
        for head in range(4):
            inputs, out = read(layer, head)
            assert f"{number}.{head}" in named or not any(weight.any() for weight in (*inputs.values(), out))


@pytest.mark.parametrize("side", ["doc", "query"])
@pytest.mark.parametrize("name", NAMES)
def test_what_is_found_is_what_is_written(rankers, name, side):
    """Where the text that asks changes, it is found by q; where the other does, by k and v together."""
    change = mv.perturb.append("volcano") if side == "doc" else mv.perturb.on_query(mv.perturb.append("sea"))
    doc = "the water of the sea rises in hot weather"
    found = mv.circuit(rankers[name], "hot volcano spring", doc, change, threshold=1e-4).edges
    written = {edge[:3] for edge in toys.circuit_of(name)}
    asks = {"exact_match": "doc", "bm25": "query"}.get(name)
    for sender, receiver, kind in found[["from_id", "to_id", "kind"]].itertuples(index=False, name=None):
        if sender == "embed" and asks is not None:
            assert kind == ("q" if side == asks else "together")
        assert {(sender, receiver, one) for one in (("k", "v") if kind == "together" else (kind,))} <= written


@pytest.mark.parametrize("method", ["attribution", "integrated"])
def test_the_estimate_of_z_in_a_bag_is_exact(rankers, method):
    texts = ("hot volcano", "water in cold weather", mv.perturb.append("volcano"))
    exact = mv.patch(rankers["bag"], *texts).effects
    assert abs(mv.patch(rankers["bag"], *texts, method=method).effects - exact).max() <= 1e-5


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "word",
    ["cafe\u0301", "\u0130stanbul", "\u039f\u0394\u039f\u03a3", "\u0928\u092e\u0938\u094d\u0924\u0947", "snake_case", "x\u00b2"],
)
def test_a_word_is_the_same_where_it_is_counted_and_where_it_is_read(name, word):
    """Marks, and letters that change their number or shape in lower case."""
    idf = log(1 + (2 - 1 + 0.5) / (1 + 0.5))
    expected = {"exact_match": idf / 2, "bm25": idf / 1.5 / 2, "bag": 1 / 9}
    assert toys.compiled(name, [word, "tea"]).score(word, word)[0] == pytest.approx(expected[name], abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_a_special_token_in_a_text_is_text(rankers, name, tmp_path):
    """Also once saved; as a filler it is one token."""
    ranker = rankers[name]
    opened = reopened(ranker, tmp_path)
    for one in (ranker, opened):
        typed, plain = one.score("hot sea [SEP]", ["sea [CLS] water", "sea zebra water"])
        assert typed == pytest.approx(plain, abs=1e-6)
        assert plain > 0.01
    assert abs(mv.patch(ranker, "hot sea", "cold water", mv.perturb.append("sea"), filler="[MASK]").effects.max() - 1) <= 1e-5


def test_no_such_circuit():
    with pytest.raises(InputError, match="'tfidf' is no compiled ranker; there are 'exact_match', 'bm25', 'bag'"):
        toys.circuit_of("tfidf")
