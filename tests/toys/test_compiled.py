"""The compiled rankers against their formulas, and what every way of patching says of a circuit that is known."""

from collections import Counter
from math import log

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import mechviz as mv
from mechviz import toys
from mechviz.demo import COMPETITORS, DOC, QUERY
from mechviz.errors import InputError, InputTypeError
from mechviz.patching import Session
from mechviz.results import DIRECTIONS
from mechviz.toys.codes import golay
from mechviz.toys.compiled import NAMES
from mechviz.toys.passages import PASSAGES
from tests.plain import close
from tests.toys.conftest import reopened

TEXTS = [*PASSAGES, QUERY, DOC, *COMPETITORS]
#: The circuit's heads in each, for a word that the caller adds at the end of the document.
HEADS = {"exact_match": {(0, 0), (1, 0)}, "bm25": {(0, 0), (1, 0)}}


def words(text):
    return "".join(c if c.isalnum() else " " for c in text.lower()).split()


class Formula:
    """What the rankers compute, from lists of words and counts, without a vector."""

    def __init__(self, texts=TEXTS, k=0.5):
        self.df = Counter(word for text in texts for word in set(words(text)) - {"a"})
        self.n, self.k = len(texts), k
        self.kept = set(sorted(self.df, key=lambda word: (-self.df[word], word))[:512])

    def idf(self, word):
        return log(1 + (self.n - self.df[word] + 0.5) / (self.df[word] + 0.5)) if word in self.df else 0.0

    def exact_match(self, query, doc):
        return sum(self.idf(word) for word in doc if word in query) / (len(doc) + 1)

    def bm25(self, query, doc):
        return sum(self.idf(word) * doc.count(word) / (doc.count(word) + self.k) for word in query) / (len(query) + 1)

    def bag(self, query, doc):
        shared = sum(query.count(word) * doc.count(word) for word in self.kept)
        return shared / ((len(query) + 2) * (len(doc) + 2))


KNOWN = sorted(set(words(" ".join(TEXTS))))
SOME = st.lists(st.sampled_from([*KNOWN, "zebra", "a", "x7"]), min_size=1, max_size=100)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=60, deadline=None)
@given(query=SOME.map(lambda found: found[:20]), doc=SOME, shared=st.integers(0, 5))
def test_the_score_is_the_formula(rankers, name, query, doc, shared):
    doc = doc + query[:shared]
    expected = getattr(Formula(), name)(query, doc)
    assert abs(rankers[name].score(" ".join(query), " ".join(doc))[0] - expected) <= close(expected)


def test_real_texts_and_their_order(rankers):
    """Punctuation, capitals, unknown words; the passage on the query's subject first."""
    formula = Formula()
    for name, ranker in rankers.items():
        for query in ("Why are hot springs warm?", "how do bats find insects, in the dark"):
            scores = ranker.score(query, TEXTS)
            expected = [getattr(formula, name)(words(query), words(text)) for text in TEXTS]
            assert np.abs(scores - expected).max() <= close(1)
        best = TEXTS[ranker.rank("why are hot springs warm", TEXTS).order[0]]
        assert best.startswith("Hot springs are warm") or name == "bag", "a bag without idf is led by its commonest words"


@pytest.mark.parametrize("k", [0.25, 1, 3.0])
def test_another_k_and_another_collection(k):
    texts = ["tea with milk", "tea and honey", "green tea, no milk"]
    ranker, formula = toys.compiled("bm25", texts, k=k), Formula(texts, k)
    query, doc = ["milk", "tea", "green"], ["tea", "tea", "milk", "and", "honey", "tea"]
    assert ranker.score(" ".join(query), " ".join(doc))[0] == pytest.approx(formula.bm25(query, doc), abs=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_they_are_plain_models_that_save_and_load(rankers, name, tmp_path):
    ranker = rankers[name]
    opened = reopened(ranker, tmp_path)
    assert opened.kind == ranker.kind
    assert opened.score(QUERY, DOC)[0] == pytest.approx(ranker.score(QUERY, DOC)[0], abs=1e-6)
    assert ranker.name == f"toy/compiled-{name.replace('_', '-')}"


# -- the circuit ----------------------------------------------------------------------------------------------------------

PAIRS = [
    ("hot volcano spring", "the water of the sea rises in hot weather", "volcano"),
    ("why does bread rise in the oven", "salt slows yeast down and bread tastes flat", "rise"),
    ("whales breathe", "Honey keeps for years, because it holds too little water.", "whales breathe"),
    ("ice and snow", "a glacier is old snow", "ice"),
]


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize(("query", "doc", "added"), PAIRS)
@pytest.mark.parametrize("name", ["exact_match", "bm25"])
def test_patched_heads_of_the_circuit_carry_all_and_the_others_nothing(rankers, name, query, doc, added, direction):
    change = mv.perturb.append(added)
    exact = mv.patch(rankers[name], query, doc, change, direction=direction).effects.values
    inside = np.zeros((2, 4), dtype=bool)
    inside[tuple(zip(*HEADS[name], strict=True))] = True
    assert np.abs(exact[inside] - 1).max() <= 1e-5
    assert np.abs(exact[~inside]).max() <= 1e-5
    # z lies above the softmax, and all above z is linear: its estimate is no approximation.
    for method in ("attribution", "integrated"):
        estimate = mv.patch(rankers[name], query, doc, change, direction=direction, method=method).effects.values
        assert np.abs(estimate - exact).max() <= 1e-4
    assert np.abs(mv.patch(rankers[name], query, doc, change, direction=direction, grid="mlps").effects).max() <= 1e-5


def test_the_head_of_a_word_carries_it(rankers):
    """Each word that is added moves the score by the head of its quarter alone."""
    ranker = rankers["bag"]
    size = ranker.model.config.hidden_size // 2
    seen = set()
    for word in ("volcano", "sea", "lava", "lightning"):
        head = (ranker.tokenizer.convert_tokens_to_ids(word) - 6) // (size // 4)
        seen.add(head)
        effects = mv.patch(ranker, f"hot {word}", "water in cold weather", mv.perturb.append(word)).effects.values[0]
        assert abs(effects[head] - 1) <= 1e-5
        assert np.abs(np.delete(effects, head)).max() <= 1e-5
    assert len(seen) > 1


GRAPHS = {
    "exact_match": {("embed", "0.0", "q"), ("0.0", "1.0", "v"), ("1.0", "score", "in")},
    # A key of another word attends to nothing new, and a value that nobody attends to is not read: it takes both at once.
    "bm25": {("embed", "0.0", "together"), ("0.0", "1.0", "v"), ("1.0", "score", "in")},
}


@pytest.mark.parametrize("name", list(GRAPHS))
def test_the_circuit_is_found_and_nothing_else(rankers, name):
    query, doc, added = PAIRS[0]
    found = mv.circuit(rankers[name], query, doc, mv.perturb.append(added), threshold=1e-4)
    assert set(found.edges[["from_id", "to_id", "kind"]].itertuples(index=False, name=None)) == GRAPHS[name]
    assert np.abs(found.edges["weight"] - 1).max() <= 1e-5
    assert list(found.vertices["id"]) == ["embed", "0.0", "1.0", "score"]
    assert found.faithfulness == pytest.approx(1, abs=1e-5)
    assert found.completeness == pytest.approx(1, abs=1e-5)
    assert found.minimality == pytest.approx(1, abs=1e-5)


def test_a_bag_has_one_head_between_the_text_and_the_score(rankers):
    found = mv.circuit(rankers["bag"], "hot volcano", "water in cold weather", mv.perturb.append("volcano"), threshold=1e-4)
    (head,) = found.vertices.loc[found.vertices["kind"] == "head", "id"]
    edges = set(found.edges[["from_id", "to_id", "kind"]].itertuples(index=False, name=None))
    assert edges == {("embed", head, "v"), (head, "score", "in")}


@pytest.mark.parametrize("mlps", ["frozen", "free"])
@pytest.mark.parametrize("name", ["exact_match", "bm25"])
def test_every_other_path_carries_nothing(rankers, name, mlps):
    query, doc, added = PAIRS[0]
    receivers = [*(f"{layer}.{head}" for layer in range(2) for head in range(4)), "mlp.0", "mlp.1", "score"]
    effects = mv.path_patch(rankers[name], query, doc, mv.perturb.append(added), receiver=receivers, mlps=mlps).effects
    carrying = [
        (str(sender), str(receiver))
        for sender in effects["sender"].values
        for receiver in effects["receiver"].values
        if abs(float(effects.sel(sender=sender, receiver=receiver))) > 1e-5
    ]
    assert set(carrying) == {(sender, receiver) for sender, receiver, _ in GRAPHS[name]}


def test_where_the_change_is_read(rankers):
    """By position: exact_match reads it at the new word, bm25 at the query's word that asks for it; above that at CLS."""
    query, doc, added = PAIRS[0]
    for name, place in (("exact_match", "injected"), ("bm25", "query")):
        result = mv.patch(rankers[name], query, doc, mv.perturb.append(added), grid="head_positions", sites="z")
        frame = result.to_dataframe()
        carrying = frame[frame["effect"].abs() > 1e-5]
        assert [(row["layer"], row["head"], row["class"]) for _, row in carrying.iterrows()] == [(0, 0, place), (1, 0, "cls")]
        assert set(carrying["token"]) == {"volcano", "[CLS]"}
        bottom = mv.patch(rankers[name], query, doc, mv.perturb.append(added), grid="blocks", sites="resid_pre", layers=[0])
        moved = bottom.effects.values[0, 0]
        assert moved[result.pair.alignment.changed()] == pytest.approx(1, abs=1e-5)


def test_saturated_queries_are_repaired(rankers):
    """In exact_match a query's pattern is one-hot: q has no gradient, and its estimate is right all the same (AtP*)."""
    ranker = rankers["exact_match"]
    query, doc, added = PAIRS[0]
    settings = {"grid": "head_inputs", "sites": ["q", "k", "v"]}
    exact = mv.patch(ranker, query, doc, mv.perturb.append(added), **settings)
    estimate = mv.patch(ranker, query, doc, mv.perturb.append(added), method="attribution", **settings)
    at = {"site": "q", "layer": 0, "head": 0}
    assert float(exact.effects.sel(at)) == pytest.approx(1, abs=1e-5)
    assert float(estimate.effects.sel(at)) == pytest.approx(1, abs=1e-4)
    session = Session(ranker, query, doc, mv.perturb.append(added), **settings)
    seen = {}

    def keep(q, hook):
        seen["q"] = q
        return q

    with torch.enable_grad(), ranker.hooks([("blocks.0.attn.hook_q", keep)]):
        (gradient,) = torch.autograd.grad(ranker.score_inputs([session.base.inputs])[0], seen["q"])
    own = float((gradient[0] * (session.source.values["q"][0][0] - seen["q"][0].detach())).sum())
    assert abs(own / session.pair.change) < 1e-4


def test_saturation_is_what_an_estimate_below_the_softmax_misses(rankers):
    """bm25 at the embedding: the filler is not attended to, so to first order nothing that it becomes can matter."""
    query, doc, added = PAIRS[0]
    settings = {"grid": "blocks", "sites": "resid_pre", "layers": [0]}
    moved = {}
    for method in ("exact", "attribution", "integrated"):
        result = mv.patch(rankers["bm25"], query, doc, mv.perturb.append(added), method=method, **settings)
        moved[method] = float(result.effects[0, 0, int(result.pair.alignment.changed()[0])])
    assert moved["exact"] == pytest.approx(1, abs=1e-5)
    assert abs(moved["attribution"]) < 0.01
    # A second copy of a word is worth less than the first: 2/2.5 - 1/1.5 of its idf, and the slope at one copy is more.
    twice = mv.patch(rankers["bm25"], "hot sea", doc, mv.perturb.append("sea"))
    formula = Formula()
    once_more = formula.bm25(["hot", "sea"], [*words(doc), "sea"]) - formula.bm25(["hot", "sea"], [*words(doc), "a"])
    assert twice.pair.change == pytest.approx(once_more, abs=1e-5)
    assert once_more < formula.bm25(["hot", "sea"], words(doc)) - formula.bm25(["hot"], words(doc)) * 2 / 3


# -- what they are made of ------------------------------------------------------------------------------------------------


def test_codes_are_far_apart():
    codes = golay(4096)
    assert set(np.unique(codes)) == {-1.0, 1.0}
    products = codes @ codes[:512].T
    np.fill_diagonal(products[:512], -24)
    assert products.max() == 8
    assert len(np.unique(codes, axis=0)) == 4096


def test_layer_norms_are_the_identity(rankers):
    norm = rankers["bm25"].model.bert.encoder.layer[0].output.LayerNorm
    x = torch.randn(50, 128, generator=torch.Generator().manual_seed(1))
    x = torch.cat([x, -x], dim=1)
    torch.testing.assert_close(norm(x), x, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("tfidf",), InputError, "'tfidf' is no compiled ranker; there are 'exact_match', 'bm25', 'bag'"),
        (("bm25", None, 0), InputError, "k=0; give a number from 0.01 to 100"),
        (("bm25", None, float("inf")), InputError, "k=inf; give a number from 0.01 to 100"),
        (("bm25", None, True), InputError, "k=True"),
        (("bm25", "one text"), InputTypeError, "texts must be a list of strings"),
        (("bm25", [1]), InputTypeError, "texts must be a list of strings"),
        (("bm25", 5), InputTypeError, "texts must be a list of strings, not 5"),
        (("bag", ["", "!"]), InputError, "texts hold no word"),
        (("bm25", [" ".join(f"w{i}" for i in range(4097))]), InputError, "4097 words, and there are codes for 4096"),
    ],
)
def test_what_cannot_be_compiled(arguments, error, message):
    with pytest.raises(error, match=message):
        toys.compiled(**dict(zip(("name", "texts", "k"), arguments, strict=False)))


def test_a_bag_keeps_the_commonest_words():
    texts = [" ".join(f"w{i}" for i in range(600)), "w599 w598"]
    ranker = toys.compiled("bag", texts)
    assert len(ranker.tokenizer) == 512 + 6
    assert ranker.score("w599", "w599")[0] == pytest.approx(1 / 9, abs=1e-6)
    assert ranker.score("w587", "w587")[0] == 0
