"""What heads do on a text: their patterns, and what one score is made of, for every family and kind."""

import numpy as np
import pytest

import mechviz as mv
from mechviz.errors import InputError
from mechviz.patching import Session
from mechviz.patching.reading import read

QUERY, DOC = "why are hot springs warm", "Hot springs are warm because water is heated by rock."
#: Families whose scores hold more than q . k: what position adds to them.
WITH_BIAS = ("t5", "mt5", "umt5", "mpnet", "deberta-v2")


def has_bias(case):
    return case.family.partition(",")[0] in WITH_BIAS


def test_the_attention_is_that_of_the_run(any_ranker):
    result = mv.attention(any_ranker, QUERY, DOC)
    assert {shape.name for shape in result.stacks} == set(any_ranker.stacks)
    for shape in result.stacks:
        _, cache = any_ranker.run_with_cache(QUERY, DOC, "pattern", stack=any_ranker.text_of(shape.name))
        patterns = result.patterns(shape.name)
        assert patterns.sizes["layer"] == shape.n_layers
        if shape.name in any_ranker.stacks and any_ranker.text_of(shape.name) == shape.name:
            for layer in range(shape.n_layers):
                name = any_ranker.stack(shape.name).hook(layer, "pattern")
                np.testing.assert_allclose(patterns[layer], cache[name][0].float().cpu(), atol=1e-4)
        np.testing.assert_allclose(patterns.sum("key_pos"), 1, atol=1e-5)
    assert result.score == pytest.approx(float(any_ranker.score(QUERY, [DOC])[0]), rel=1e-4, abs=1e-5)


def test_a_score_is_what_its_parts_make(any_ranker, case):
    readings, _ = read(any_ranker, QUERY, DOC)
    for stack, reading in readings.items():
        shape = any_ranker.stack(stack)
        if stack == "decoder" and case.kind == "MonoT5":
            with pytest.raises(InputError, match="sees one position"):
                reading.scores(0, 0, 0)
            continue
        layer, head = shape.n_layers - 1, shape.n_heads - 1
        pattern = reading.pattern(layer)
        pos = pattern.shape[-2] // 2
        made_of = reading.scores(layer, head, pos)
        assert {name: made_of[name].shape for name in ("q", "k", "scores", "pattern")} == {
            "q": (1, shape.d_head),
            "k": (1, pattern.shape[-1], shape.d_head),
            "scores": (1, pattern.shape[-1]),
            "pattern": (1, pattern.shape[-1]),
        }
        scores = made_of["scores"][0].astype(np.float64)
        softmax = np.exp(scores - scores.max())
        np.testing.assert_allclose(softmax / softmax.sum(), pattern[0, head, pos], atol=1e-5)
        np.testing.assert_array_equal(made_of["pattern"][0], pattern[0, head, pos])
        seen = scores > -1e30
        rest = scores - made_of["scale"] * (made_of["k"][0].astype(np.float64) @ made_of["q"][0])
        # The decoder's cross-attention has no position bias in any T5.
        if not has_bias(case) or stack == "cross":
            np.testing.assert_allclose(rest[seen], 0, atol=1e-4)


@pytest.mark.parametrize("name", ["MonoT5 t5 ('true', 'false')", "Dot mpnet mean"])
def test_what_position_adds_depends_on_position_only(name, opened):
    """A bias of relative position is the same in two texts of one length."""
    from tests.cases import CASES

    ranker = opened(CASES[name])
    session = Session(ranker, QUERY, DOC, mv.perturb.append("volcano"), gradient=False)
    made_of = session.reading.scores(0, 1, 3)
    rest = made_of["scores"] - made_of["scale"] * np.einsum("rkd,rd->rk", made_of["k"], made_of["q"])
    np.testing.assert_allclose(rest[0], rest[1], atol=1e-4)
    assert np.ptp(rest[0]) > 0


def test_what_does_not_exist_is_refused(dot):
    readings, _ = read(dot, QUERY, DOC)
    for wrong, words in [((9, 0, 0), "layer 9"), ((0, 9, 0), "head 9"), ((0, 0, 999), "position 999")]:
        with pytest.raises(InputError, match=words):
            readings["doc"].scores(*wrong)
    result = mv.attention(dot, QUERY, DOC)
    with pytest.raises(InputError, match="layer=7; there are 0 to 2"):
        result.pattern(7)
    with pytest.raises(InputError, match="stack='cross'; there are 'query', 'doc'"):
        result.patterns("cross")
    with pytest.raises(InputError, match="902 tokens"):
        mv.attention(dot, QUERY, "water " * 900)
    assert mv.attention(dot, QUERY, "water " * 900, truncate=True).score is not None


def test_a_session_turned_is_a_session_of_that_grid(any_ranker):
    change = mv.perturb.append("volcano")
    first = Session(any_ranker, QUERY, DOC, change, more=("mlps", "blocks"))
    for grid in ("mlps", "blocks") if first.stack.d_mlp else ("blocks",):
        turned = first.turned(grid)
        own = mv.patch(any_ranker, QUERY, DOC, change, grid=grid, method="attribution")
        result = turned.result("attribution", turned.attribution())
        np.testing.assert_allclose(result.patched, own.patched, atol=1e-5 * max(1, abs(own.pair.base_score)))
        assert result.provenance["grid"] == grid
    assert first.result("attribution", first.attribution()).grid == "heads"
