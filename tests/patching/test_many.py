"""Pairs that share their forward passes against each pair alone, and against plain transformers."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import mechviz as mv
from mechviz.corpora import TextPair
from mechviz.errors import InputError, InputTypeError
from mechviz.patching import many, patch_pairs
from mechviz.patching.many import Patched
from tests.cases import CASES
from tests.plain import OUTPUTS, Plain, close, patch_heads_one_at_a_time

DOCS = (
    "A caldera is a large basin that forms when a volcano empties.",
    "Hot springs are warm because water is heated by rock.",
    "Lava is hot.",
    "The crater of a volcano fills with water and becomes a lake, which may be warm where rock below it is hot.",
    "A volcano is a hill with a crater; the lake in it is cold.",
    "Rain fills the lake.",
)
PAIRS = [
    *(TextPair("what is a caldera", doc, f"{doc} caldera", perturbation="TFC1") for doc in DOCS),
    *(TextPair("why are hot springs warm", doc, f"warm {doc}") for doc in DOCS),
    *(TextPair("volcano lake", doc, "volcano lake water rain", side="query") for doc in DOCS[:3]),
]
#: Those whose layers are run by the engine's own products, and so can share them.
SHARING = ("Dot bert mean", "Dot bert cls", "Cat bert", "Splade bert", "ColBERT bert stanford", "Dot distilbert mean")
SHARING += ("Cat toy_encoder", "Cat toy_encoder, solu")


def patched(ranker, pairs=PAIRS, **chosen) -> list[Patched]:
    found = sorted(patch_pairs(ranker, pairs, chosen), key=lambda one: one.index)
    assert [one.index for one in found] == list(range(len(pairs)))
    return found


def alone(ranker, pair: TextPair, **chosen):
    text = pair.perturbed
    perturb = text if pair.side == "doc" else mv.perturb.on_query(lambda _: text)
    return mv.patch(ranker, pair.query, pair.doc, perturb, **chosen)


def assert_same(found: Patched, expected: mv.PatchResult) -> None:
    assert found.error is None
    for name in ("original_score", "perturbed_score", "base_score", "source_score"):
        score = getattr(expected.pair, name)
        assert abs(getattr(found.pair, name) - score) <= close(score), name
    assert found.patched.dims == expected.patched.dims
    np.testing.assert_allclose(found.patched, expected.patched, rtol=0, atol=close(np.nanmax(np.abs(expected.patched))))


@pytest.fixture
def refuse_alone(monkeypatch):
    def refuse(*_):
        raise AssertionError("a pair was run alone")

    monkeypatch.setattr(many, "_alone", refuse)


@pytest.mark.parametrize("stack", ["decoder", "cross"])
def test_a_stack_of_one_position_is_as_alone(stack, opened):
    ranker = opened(CASES["MonoT5 t5 ('true', 'false')"])
    pairs = PAIRS[:2]
    for found, pair in zip(patched(ranker, pairs, stack=stack), pairs, strict=True):
        assert_same(found, alone(ranker, pair, stack=stack))


def test_each_pair_is_as_alone(case, opened):
    ranker = opened(case)
    pairs = PAIRS[::3]
    for found, pair in zip(patched(ranker, pairs), pairs, strict=True):
        assert_same(found, alone(ranker, pair))


@pytest.mark.parametrize("name", SHARING)
def test_shared_rows_against_one_plain_forward_pass_a_cell(name, opened, checkpoint, refuse_alone):
    case = CASES[name]
    plain = Plain(case, checkpoint(case))
    outputs = OUTPUTS[case.family.partition(",")[0], ""]
    pairs = PAIRS[: len(DOCS)]
    found = patched(opened(case), pairs)
    assert len({len(one.pair.base) for one in found}) > 1, "padding must be there for this to mean something"
    for one, pair in zip(found, pairs, strict=True):
        expected = patch_heads_one_at_a_time(plain.model, outputs, plain.scorer(pair.query), one.pair.base, one.pair.source)
        assert np.abs(one.patched.values - expected).max() <= close(np.abs(expected).max())


@pytest.fixture(autouse=True)
def stretch(monkeypatch):
    """Short texts differ in length by more than those that are worth running together."""
    monkeypatch.setattr(many, "_STRETCH", 10.0)


@pytest.mark.parametrize("name", ["Dot bert mean", "Cat bert"])
@pytest.mark.parametrize(
    "chosen",
    [
        {"direction": "original->perturbed"},
        {"filler": "[PAD]"},
        {"layers": [1]},
        {"heads": [(0, 1), (1, 0)]},
        {"truncate": True},
        {"memory": 0.0001},
    ],
    ids=str,
)
def test_settings_mean_the_same_for_many(name, chosen, opened):
    ranker = opened(CASES[name])
    for found, pair in zip(patched(ranker, PAIRS[:8], **chosen), PAIRS, strict=False):
        assert_same(found, alone(ranker, pair, **chosen))


@pytest.mark.parametrize("grid", ["blocks", "head_positions", "mlps", "head_inputs"])
def test_other_grids(grid, dot):
    for found, pair in zip(patched(dot, PAIRS[:3], grid=grid), PAIRS, strict=False):
        assert_same(found, alone(dot, pair, grid=grid))


@pytest.mark.parametrize("chosen", [{"heads": "top:2"}, {"positions": "query_term"}, {"source": "zero"}], ids=str)
def test_what_is_not_shared_is_done_pair_by_pair(chosen, cat):
    for found, pair in zip(patched(cat, PAIRS[:3], **chosen), PAIRS, strict=False):
        assert_same(found, alone(cat, pair, **chosen))


def test_a_pair_that_cannot_be_patched_says_why_and_the_others_go_on(dot):
    bad = [
        TextPair("lava", "Lava is hot."),
        TextPair("lava", "Lava is hot.", reason="no query term is there"),
        TextPair("lava", "Lava is hot.", "Lava is hot."),
        TextPair("lava", "Lava is hot.", "lava  is HOT."),
        TextPair("lava", "Lava is hot.", "lava " * 500),
    ]
    found = patched(dot, [*bad, *PAIRS[:2]])
    words = ("has no perturbed text", "no query term", "left the doc as it was", "same token ids", "this ranker takes")
    for one, said in zip(found, words, strict=False):
        assert said in one.reason
        assert one.pair is None
        assert one.patched is None
    assert [one.reason for one in found[len(bad) :]] == ["", ""]
    assert_same(found[-1], alone(dot, PAIRS[1]))


def test_the_name_of_what_was_done_is_kept(dot):
    assert [one.pair.perturbation for one in patched(dot, PAIRS[5:7])] == ["TFC1", "the given text"]


def test_nan_in_one_pair_is_told_of_that_pair(tmp_path):
    """A word whose embedding is NaN spoils its own pair only."""
    from tests.conftest import save_dot

    ranker = mv.Dot(str(save_dot(tmp_path)))
    number = ranker.tokenizer.vocab["rain"]
    with torch.no_grad():
        ranker.model.get_input_embeddings().weight[number] = torch.nan
    pairs = PAIRS[: len(DOCS)]
    for one, pair in zip(patched(ranker, pairs), pairs, strict=True):
        assert ("NaN" in one.reason) == ("Rain" in pair.doc)


def test_when_memory_runs_out_pairs_go_one_by_one(dot, monkeypatch):
    monkeypatch.setattr(many, "record_all", lambda *_: (_ for _ in ()).throw(MemoryError()))
    for found, pair in zip(patched(dot, PAIRS[:3]), PAIRS, strict=False):
        assert_same(found, alone(dot, pair))


def test_other_faults_are_not_swallowed(dot, monkeypatch):
    monkeypatch.setattr(many, "record_all", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        patched(dot)


def test_competitors_belong_to_one_document(dot):
    with pytest.raises(InputError, match="competitors of one document"):
        patched(dot, docs=["Rain."])
    with pytest.raises(InputTypeError, match="the ranker must be one"):
        patched("toy")


@given(st.permutations(range(len(PAIRS))), st.integers(1, len(PAIRS)))
@settings(max_examples=10, deadline=None)
def test_the_company_of_a_pair_changes_nothing(dot, order, count):
    chosen = [PAIRS[number] for number in order[:count]]
    for found, pair in zip(patched(dot, chosen), chosen, strict=True):
        assert_same(found, _alone_once(dot, pair))


_KEPT: dict[int, mv.PatchResult] = {}


def _alone_once(ranker, pair):
    return _KEPT.setdefault(id(pair), alone(ranker, pair)) if id(pair) not in _KEPT else _KEPT[id(pair)]
