import numpy as np
import pytest
import torch

import mechviz as mv
from mechviz.errors import InputError, InputTypeError
from mechviz.probes import concepts
from mechviz.probes.clamping import CONCEPT, FOUND, OTHER, RANDOM, clamp_neurons
from mechviz.probes.neurons import find_concept_neurons
from tests.probes import planted


@pytest.fixture(scope="module")
def clamped():
    return clamp_neurons(planted.ranker(), [planted.PLANTED], planted.pairs(True), planted.pairs(False), draws=6)


def plain_scores(pairs, layer, index, value):
    """Scores by transformers alone, with a neuron held at a value."""
    ranker = planted.ranker()

    def hold(module, given, out):
        held = out.clone()
        held[..., index] = value
        return held

    handle = ranker.model.bert.encoder.layer[layer].intermediate.register_forward_hook(hold)
    try:
        with torch.no_grad():
            return [float(ranker.model(**ranker.tokenizer(*pair, return_tensors="pt")).logits[0, 0]) for pair in pairs]
    finally:
        handle.remove()


@pytest.mark.parametrize(("to", "value"), [("zero", 0.0), (0.7, 0.7)])
def test_changes_are_those_of_plain_transformers(to, value):
    pairs = planted.pairs(True)
    found = clamp_neurons(planted.ranker(), [planted.PLANTED], pairs, planted.pairs(False), to=to, draws=1)
    ranker = planted.ranker()
    base = [float(ranker.score(query, doc)[0]) for query, doc in pairs]
    wanted = np.array(plain_scores(pairs, *planted.PLANTED, value)) - base
    np.testing.assert_allclose(found.changes.sel(set=FOUND).values[: len(pairs)], wanted, atol=1e-4)


def test_the_planted_neuron_matters_where_the_query_s_words_are(clamped):
    sizes = clamped.to_dataframe().set_index(["set", "kind"])
    assert sizes.loc[(FOUND, CONCEPT), "size"] > 0.1
    assert sizes.loc[(FOUND, OTHER), "size"] == pytest.approx(0, abs=1e-5)
    assert sizes.loc[(RANDOM, CONCEPT), "size"] == pytest.approx(0, abs=1e-5)
    assert sizes.loc[(FOUND, CONCEPT), "size_low"] > sizes.loc[(RANDOM, CONCEPT), "size_high"]
    assert clamped.p == pytest.approx(1 / 7)
    assert "1 neuron," in repr(clamped)


def test_held_at_its_mean_a_neuron_has_its_mean():
    pairs, others = planted.pairs(True), planted.pairs(False)
    found = clamp_neurons(planted.ranker(), [planted.PLANTED], pairs, others, to="mean", draws=1)
    rows = [planted.plain_activations(query, doc, 0)[:, 2] for query, doc in pairs + others]
    assert found.means[planted.PLANTED] == pytest.approx(np.concatenate(rows).mean(), abs=1e-5)
    by_value = clamp_neurons(planted.ranker(), [planted.PLANTED], pairs, others, to=found.means[planted.PLANTED], draws=1)
    np.testing.assert_allclose(found.changes.values, by_value.changes.values, atol=1e-5)


def test_random_neurons_are_of_the_same_layers_all_different_and_alike():
    ranker = mv.load("toy/cat")
    neurons = [(0, 3), (0, 9), (1, 4)]
    found = clamp_neurons(ranker, neurons, planted.pairs(True), planted.pairs(False), draws=5)
    assert len(found.random) == 5
    for draw in found.random:
        assert [layer for layer, _ in draw] == [0, 0, 1]
        assert len({*draw, *neurons}) == 6
    means = found.means
    apart = np.mean([abs(means[one] - means[other]) for draw in found.random for one, other in zip(neurons, draw, strict=True)])
    spread = np.std(list(means.values()))
    assert apart < max(spread, 0.05)
    again = clamp_neurons(ranker, neurons, planted.pairs(True), planted.pairs(False), draws=5)
    assert again.random == found.random
    np.testing.assert_array_equal(again.changes.values, found.changes.values)


def test_neurons_that_were_found_can_be_handed_over(clamped):
    found = find_concept_neurons(planted.ranker(), concepts.query_term(), planted.pairs(), permutations=5)
    own = clamp_neurons(planted.ranker(), found, planted.pairs(True), planted.pairs(False), n=1, draws=2)
    assert own.neurons == (planted.PLANTED,)
    np.testing.assert_array_equal(own.changes.values[0], clamped.changes.values[0])


def test_curves_are_of_the_table(clamped):
    curves = clamped.curves()
    assert curves.places == (CONCEPT, OTHER)
    table = clamped.to_dataframe()
    np.testing.assert_allclose(curves.curves[FOUND].values, table[table["set"] == FOUND]["size"])
    assert clamped.show().curves.note == curves.note


def test_bad_input_is_said():
    ranker, pairs = planted.ranker(), planted.pairs()
    with pytest.raises(InputError, match="attention only"):
        clamp_neurons(mv.load("toy/cat-attn-only"), [(0, 0)], pairs, pairs)
    for options, message in [
        ({"to": "one"}, "to='one'"),
        ({"to": float("nan")}, "to=nan"),
        ({"draws": 0}, "draws=0"),
    ]:
        with pytest.raises(InputError, match=message):
            clamp_neurons(ranker, [(0, 0)], pairs, pairs, **options)
    with pytest.raises(InputError, match="too few to draw 3 others"):
        clamp_neurons(ranker, [(0, 0), (0, 1), (0, 2)], pairs, pairs)
    with pytest.raises(InputError, match="neurons is empty"):
        clamp_neurons(ranker, [], pairs, pairs)
    with pytest.raises(InputTypeError, match="scores are compared"):
        clamp_neurons(ranker, [(0, 0)], ["text"], pairs)
    with pytest.raises(InputError, match="other is empty"):
        clamp_neurons(ranker, [(0, 0)], pairs, [])
