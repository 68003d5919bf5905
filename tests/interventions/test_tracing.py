"""Causal tracing beside hooks on the plain model: noise on the words, one activation put back."""

import numpy as np
import pytest
import torch

from mechviz.errors import InputError
from mechviz.interventions import trace
from mechviz.views import PatchingView
from tests.cases import CASES
from tests.interventions.hand import DOCS, QUERY, noise, put

SITES = {"resid_pre": "hook_resid_pre", "attn_out": "hook_attn_out", "mlp_out": "hook_mlp_out"}


def hidden_by(tokens, rows, deviations, seed):
    """The change that hides some positions, at what enters the first layer."""

    add = torch.zeros(len(tokens), 32)
    add[list(rows)] = noise(tokens, seed, (len(rows), 32))
    return put(list(rows), slice(None), lambda value: value + deviations * value.std(correction=0) * add)


def test_each_cell_is_what_hooks_give(cat, hand):
    found = trace(cat, QUERY, DOCS[0], hide=[2, 9, 10], deviations=2.0, samples=2, seed=5)
    tokens = found.result.pair.base
    assert found.hidden == (2, 9, 10)
    noised, patched = [], np.zeros((2, 3, 3, len(tokens)))
    for sample in range(2):
        hide = ("hook_resid_pre", 0, hidden_by(tokens, found.hidden, 2.0, 5 + sample))
        noised.append(hand.score(tokens, [hide]))
        for number, site in enumerate(found.result.effects["site"].values):
            for layer in range(3):
                clean = hand.at(tokens, SITES[str(site)], layer)
                for pos in (0, 2, 9, len(tokens) - 1):
                    back = (SITES[str(site)], layer, put([pos], slice(None), lambda _, clean=clean: clean))
                    patched[sample, number, layer, pos] = hand.score(tokens, [hide, back])
    assert found.result.pair.base_score == pytest.approx(np.mean(noised), abs=1e-5)
    assert found.spread == pytest.approx(np.std(noised, ddof=1), abs=1e-5)
    assert found.result.pair.source_score == pytest.approx(hand.score(tokens), abs=1e-5)
    chosen = [0, 2, 9, len(tokens) - 1]
    np.testing.assert_allclose(found.result.patched.values[..., chosen], patched.mean(0)[..., chosen], atol=1e-5)
    change = found.result.pair.source_score - found.result.pair.base_score
    wanted = (patched.mean(0) - np.mean(noised)) / change
    np.testing.assert_allclose(found.result.effects.values[..., chosen], wanted[..., chosen], atol=1e-3)


def test_the_querys_words_are_hidden_by_default(cat):
    found = trace(cat, QUERY, DOCS[3], samples=1)
    assert "".join(found.result.pair.base.labels[at] for at in found.hidden) == "warm"
    assert np.isnan(found.spread)
    assert isinstance(found.show(), PatchingView)
    assert "noise of 3 standard deviations" in repr(found)


def test_every_stack_of_monot5_can_be_traced(opened):
    ranker = opened(next(case for name, case in CASES.items() if name.startswith("MonoT5")))
    for stack in ("encoder", "decoder"):
        found = trace(ranker, QUERY, DOCS[0], hide="query_terms", samples=1, grid="heads", stack=stack)
        assert np.isfinite(found.result.patched.values).any()


def test_what_cannot_be(cat):
    with pytest.raises(InputError, match="has no such word"):
        trace(cat, "tides", DOCS[1])
    with pytest.raises(InputError, match="samples=0"):
        trace(cat, QUERY, DOCS[0], samples=0)
