import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

import mechviz as mv
from mechviz.errors import InputError, InputTypeError
from mechviz.probes import concepts
from mechviz.probes.neuron_statistics import areas, tied
from mechviz.probes.neurons import find_concept_neurons, knowledge_probe
from mechviz.text.words import terms
from tests.probes import planted


@pytest.fixture(scope="module")
def found():
    return find_concept_neurons(planted.ranker(), concepts.query_term(), planted.pairs(), permutations=200)


def test_the_planted_neuron_is_found_first(found):
    assert found.neurons(1) == [planted.PLANTED]
    first = found.top(1).iloc[0]
    assert first["auc"] == first["auc_held_out"] == 1.0
    assert first["low"] == first["high"] == 1.0
    assert first["p_max"] == pytest.approx(1 / 201)
    assert first["q"] < 0.05
    assert (found.table["auc_held_out"].iloc[1:] - 0.5).abs().max() < 0.5
    assert len(found.table) == 8
    assert found.level == "token"


@pytest.mark.parametrize(("layer", "index"), [(0, 2), (0, 1), (1, 3)])
def test_areas_are_those_of_plain_activations(found, layer, index):
    """At all tokens of the documents, by transformers and scikit-learn."""
    held = {text[0] for text, _ in found._held_out}
    sides = {True: ([], []), False: ([], [])}
    for query, doc in planted.pairs():
        values, labels = sides[query in held]
        values += planted.plain_activations(query, doc, layer)[len(query.split()) + 2 : -1, index].tolist()
        labels += [word in terms(query) for word in terms(doc)]
    assert (found.n_train, found.n_held_out) == (len(sides[False][1]), len(sides[True][1]))
    largest = max(np.abs(values).max() for values, _ in sides.values())
    sides = {side: (np.round(np.array(values) / largest, 5), labels) for side, (values, labels) in sides.items()}
    at = {"layer": layer, "neuron": index}
    assert float(found.auc.sel(at)) == pytest.approx(roc_auc_score(*reversed(sides[False])), abs=1e-9)
    assert float(found.auc_held_out.sel(at)) == pytest.approx(roc_auc_score(*reversed(sides[True])), abs=1e-9)
    assert found.auc.sizes == {"layer": 2, "neuron": 4}


def test_held_out_and_other_examples_share_no_query(found):
    queries = {text[0] for text, _ in found._held_out}
    assert 0 < len(queries) < len(planted.TOPICS)
    assert found.n_held_out == sum(len(text[1].split()) for text, _ in found._held_out)


def test_contexts_are_outlined_where_the_concept_holds(found):
    passages = found.passages(2, contexts=3)
    assert [group.title for group in passages.groups] == ["neuron 0.2", "neuron {}.{}".format(*found.neurons(2)[1])]
    first = passages.groups[0].passages[0]
    on = [piece for piece, value, mark in zip(first.pieces, first.values, first.marks, strict=True) if mark]
    queries = {word for query in planted.TOPICS for word in query.split()}
    assert on
    assert set(on) <= queries
    assert first.pieces[int(np.nanargmax(first.values))] in on
    values = [passage.value for passage in passages.groups[0].passages]
    assert values == sorted(values, reverse=True)


def test_shown_are_passages(found):
    assert found.show(1).passages.title == "Neurons of 'query term'"


def test_the_table_is_of_every_neuron_and_the_same_twice(found):
    again = find_concept_neurons(planted.ranker(), concepts.query_term(), planted.pairs(), permutations=200)
    assert again.table.equals(found.table)
    assert found.to_dataframe() is not found.table
    assert (found.table["q"] >= found.table["p"] - 1e-12).all()
    assert "0.2: AUC 1.000" in repr(found)


def test_of_texts_by_hand_statistics_are_those_of_scipy_and_scikit_learn():
    ranker = mv.load("toy/dot")
    positive = [f"a volcano throws hot lava {word}" for word in ("ash", "rock", "smoke", "stone", "fire", "gas")]
    negative = [f"bread is made of flour {word}" for word in ("water", "salt", "milk", "butter", "sugar", "honey")]
    found = find_concept_neurons(ranker, positive=positive, negative=negative, pool="mean", permutations=50, layers=[1])
    layer, index = found.neurons(1)[0]
    assert layer == 1
    probe = knowledge_probe(ranker, positive, negative, (layer, index), pool="mean")
    both = np.concatenate([probe.positive, probe.negative])
    labels = np.arange(12) < 6
    assert probe.auc == pytest.approx(roc_auc_score(labels, both), abs=1e-12)
    assert probe.auc == pytest.approx(stats.mannwhitneyu(probe.positive, probe.negative).statistic / 36)
    held = found.table.iloc[0]
    assert held["auc_held_out"] in (0.0, 1.0)
    assert found.n_train == found.n_held_out == 6


def test_one_neuron_by_hand():
    query = "volcano lava"
    positive, negative = [(query, doc) for doc in planted.TOPICS[query]], [(query, doc) for doc in planted.TOPICS["bread flour"]]
    probe = knowledge_probe(planted.ranker(), positive, negative, planted.PLANTED, contexts=2)
    plain = [planted.plain_activations(query, doc, 0)[4:-1, 2].max() for _, doc in positive]
    np.testing.assert_allclose(probe.positive, plain, atol=1e-4)
    assert probe.auc == 1
    assert (probe.low, probe.high) == (1, 1)
    assert probe.accuracy == 1
    assert probe.negative.max() < probe.threshold <= probe.positive.min()
    assert [group.title for group in probe.contexts.groups] == ["positive", "negative"]
    assert [len(group.passages) for group in probe.contexts.groups] == [2, 2]
    assert probe.contexts.groups[0].passages[0].value == pytest.approx(max(plain), abs=1e-4)
    assert probe.show().passages is probe.contexts
    assert probe.to_dataframe()["positive"].sum() == 3
    assert "neuron 0.2" in repr(probe)


@pytest.mark.parametrize("pool", ["max", "mean", "span", "cls"])
def test_pools_are_of_the_right_tokens(pool):
    query, doc = "volcano lava", "hot lava flows from the volcano"
    at = doc.index("lava")
    given = [((query, doc), [(at, at + 4)])]
    probe = knowledge_probe(planted.ranker(), given, [((query, "bread is old"), [(0, 5)])], (1, 1), pool=pool)
    plain = planted.plain_activations(query, doc, 1)[:, 1]
    own = plain[4:-1]
    wanted = {"max": own.max(), "mean": own.mean(), "span": own[1], "cls": plain[0]}
    assert float(probe.positive[0]) == pytest.approx(float(wanted[pool]), abs=1e-4)
    marked = probe.contexts.groups[0].passages[0]
    assert [piece for piece, mark in zip(marked.pieces, marked.marks, strict=True) if mark] == ["lava"]


def test_relevance_and_injection_are_found_too():
    grades = dict.fromkeys(planted.pairs(True), 1.0) | dict.fromkeys(planted.pairs(False), 0.0)
    of_texts = find_concept_neurons(planted.ranker(), concepts.relevance(grades), planted.pairs(), permutations=20)
    assert of_texts.level == "text"
    assert of_texts.neurons(1) == [planted.PLANTED]
    change = mv.perturb.perturbation(lambda doc, query: f"{doc} {query}")
    injected = find_concept_neurons(planted.ranker(), concepts.injected(change), planted.pairs(False), permutations=20)
    assert injected.neurons(1) == [planted.PLANTED]
    assert injected.top(1)["auc_held_out"].item() == 1


def test_more_tokens_than_wanted_are_a_sample_of_both_kinds():
    found = find_concept_neurons(planted.ranker(), concepts.query_term(), planted.pairs(), permutations=5, most=30)
    assert found.n_train + found.n_held_out == 30
    assert found.neurons(1) == [planted.PLANTED]


def test_t5_has_neurons_and_no_cls():
    t5 = mv.load("toy/monot5")
    found = find_concept_neurons(t5, concepts.query_term(), planted.pairs(), permutations=5)
    assert len(found.table) == t5.stack("encoder").n_layers * t5.stack("encoder").d_mlp
    with pytest.raises(InputError, match='pool="cls"'):
        knowledge_probe(t5, planted.pairs(True), planted.pairs(False), (0, 0), pool="cls")


def test_bad_input_is_said():
    ranker, texts = planted.ranker(), planted.pairs()
    with pytest.raises(InputError, match="attention only"):
        find_concept_neurons(mv.load("toy/cat-attn-only"), concepts.query_term(), texts)
    with pytest.raises(InputError, match="attention only"):
        knowledge_probe(mv.load("toy/cat-attn-only"), texts, texts, (0, 0))
    for given, message in [
        ({"concept": concepts.number(), "texts": texts}, "examples .tokens. are negative"),
        ({"concept": concepts.number()}, "as a list"),
        ({"texts": texts}, "concept must be"),
        ({}, "give a concept and texts"),
        ({"concept": concepts.number(), "texts": texts, "positive": texts}, "give a concept and texts"),
        ({"positive": texts, "negative": []}, "negative is empty"),
        ({"concept": concepts.query_term(), "texts": texts, "layers": [5]}, "layers="),
        ({"concept": concepts.query_term(), "texts": texts, "pool": "sum"}, "pool='sum'"),
        ({"concept": concepts.query_term(), "texts": texts, "permutations": 0}, "permutations=0"),
        ({"concept": concepts.query_term(), "texts": texts, "held_out": 1}, "held_out=1"),
        ({"concept": concepts.query_term(), "texts": texts, "most": 3}, "most=3"),
        ({"concept": lambda doc, query: None, "texts": texts}, "says nothing"),
        ({"concept": lambda doc, query: True if "lava" in doc else [], "texts": texts}, "one kind"),
        ({"positive": texts[:1], "negative": texts[-1:]}, "one kind of label only"),
    ]:
        with pytest.raises((InputError, InputTypeError), match=message):
            find_concept_neurons(ranker, **given)
    for neuron in [(0, 4), (2, 0), (0,), 3, (True, 0), ("0", 1)]:
        with pytest.raises(InputError, match="layers 0 to 1, indices 0 to 3"):
            knowledge_probe(ranker, texts, texts, neuron)
    with pytest.raises(InputError, match="has no span"):
        knowledge_probe(ranker, texts, texts, (0, 0), pool="span")


def test_rounding_tells_nothing():
    noise = np.random.default_rng(0).standard_normal((30, 2)) * 1e-7
    labels = np.arange(30) < 12
    np.testing.assert_array_equal(areas(tied((np.array([[0.7, -3.0]]) + noise).astype(np.float32)), labels), 0.5)
