"""Views of what was computed elsewhere."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import mechviz as mv
from mechviz.errors import InputError, InputTypeError
from mechviz.views import AttentionView, GridView, from_arrays, from_cache

TOKENS = ["[CLS]", "hot", "spring", "##s", "[SEP]", "lava", "[SEP]"]


def attention(layers=2, heads=3, queries=7, keys=7):
    generator = np.random.default_rng(0)
    return generator.dirichlet(np.ones(keys), (layers, heads, queries)).astype(np.float32)


def test_anybodys_attention_is_drawn():
    given = attention()
    view = from_arrays(given, TOKENS, doc_start=5)
    assert isinstance(view, AttentionView)
    np.testing.assert_array_equal(view.result.patterns(), given)
    text = view.spec["texts"]["text"]["base"]
    assert text["segments"] == ["cls", "query", "query", "query", "sep", "doc", "sep"]
    assert text["labels"] == ["[CLS]", "hot", "spring", "s", "[SEP]", "lava", "[SEP]"]
    assert text["words"] == [-1, 0, 1, 1, -1, 2, -1]
    assert view.spec["panels"] == ["model", "lines"]


@pytest.mark.parametrize(
    "form",
    [
        lambda a: list(a),
        lambda a: tuple(layer[None] for layer in a),
        lambda a: torch.from_numpy(a),
        lambda a: [torch.from_numpy(layer)[None].requires_grad_() for layer in a],
        lambda a: a.tolist(),
    ],
    ids=["layers", "a row", "torch", "torch layers with gradient", "lists"],
)
def test_every_form_that_frameworks_give(form):
    given = attention()
    np.testing.assert_allclose(from_arrays(form(given), TOKENS).result.patterns(), given)


def test_cross_attention_has_two_texts():
    view = from_arrays(attention(queries=3, keys=7), ["a", "b", "c"], key_tokens=TOKENS)
    (stack,) = view.spec["stacks"]
    assert stack["query_labels"] == ["a", "b", "c"]
    assert len(view.spec["texts"]["text"]["base"]["labels"]) == 7


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"attention": attention(keys=6, queries=6)}, "from 6 to 6 positions and there are 7 and 7 tokens"),
        ({"attention": attention()[0, 0]}, "dims"),
        ({"attention": []}, "no layers"),
        ({"attention": np.full((1, 1, 7, 7), np.nan)}, "NaN"),
        ({"attention": -attention()}, "negative"),
        ({"attention": [attention()[0], attention()[1, :2]]}, "must be equal"),
        ({"attention": None}, "nothing to draw"),
        ({"attention": "head"}, "must be an array"),
        ({"attention": attention(), "tokens": "hot springs"}, "sequence of strings"),
        ({"attention": attention(), "tokens": []}, "empty"),
        ({"attention": attention(), "doc_start": 99}, "doc_start=99"),
        ({"attention": attention(), "segments": ["doc"] * 3}, "3 entries for 7 tokens"),
        ({"attention": attention(), "segments": ["doc"] * 7, "doc_start": 2}, "say the same"),
        ({"attention": attention(), "segments": ["song"] * 7}, "unknown segments"),
        ({"attention": attention(), "effects": np.ones((3, 3))}, "must be equal"),
        ({"attention": None, "effects": np.ones(3)}, "dims"),
        ({"attention": None, "effects": np.ones((2, 3)), "interval": (np.ones((2, 2)), np.ones((2, 3)))}, "interval has shapes"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_in_words(arguments, words):
    with pytest.raises((InputError, InputTypeError), match=words):
        from_arrays(**{"tokens": TOKENS, **arguments})


def test_effects_make_a_grid_with_intervals():
    effects = np.array([[0.5, np.nan, -1.0], [0.0, 0.25, 0.1]])
    view = from_arrays(attention(), TOKENS, effects=effects, interval=(effects - 0.2, effects + 0.2), n=40, title="mine")
    assert isinstance(view, GridView)
    key = "attention.heads"
    assert np.frombuffer(view.cells[f"{key}.state"], np.uint8).tolist() == [2, 0, 2, 2, 2, 2]
    np.testing.assert_allclose(np.frombuffer(view.cells[f"{key}.low"], "<f4"), (effects - 0.2).ravel().astype("f4"))
    assert view.spec["grids"][0]["n"] == 40
    assert (view.selection["layer"], view.selection["head"]) == (0, 2), "the largest is selected"
    alone = from_arrays(None, TOKENS, effects=effects)
    assert alone.spec["panels"] == ["heads"]


def test_a_cache_is_drawn_with_its_neuron_view(dot):
    _, cache = dot.run_with_cache("why", "hot springs are warm", ["pattern", "q", "k", "attn_scores"])
    tokens = list(dot.tokenize("why", "hot springs are warm")["doc"].strings)
    view = from_cache(cache, tokens)
    assert view.spec["panels"] == ["model", "lines", "neurons"]
    np.testing.assert_allclose(view.result.pattern(1), cache["pattern", 1][0], atol=1e-6)
    made_of = view._reader.scores("attention", 2, 1, 3)
    np.testing.assert_allclose(made_of["scale"] * made_of["k"][0] @ made_of["q"][0], made_of["scores"][0], atol=1e-4)
    plain = from_cache({name: cache[name] for name in cache.keys() if "pattern" in name}, tokens)  # noqa: SIM118
    assert plain.spec["panels"] == ["model", "lines"]


def test_a_cache_without_patterns_or_of_several_rows_is_refused(dot):
    _, cache = dot.run_with_cache("why", "hot", "z")
    with pytest.raises(InputError, match=r"no blocks\.0\.attn\.hook_pattern"):
        from_cache(cache, ["a"])
    two = {"blocks.0.attn.hook_pattern": np.ones((2, 1, 1, 1))}
    with pytest.raises(InputError, match="one row"):
        from_cache(two, ["a"])


def test_torch_is_not_needed():
    code = (
        "import sys, numpy as np, mechviz as mv\n"
        "view = mv.views.from_arrays(np.full((1, 1, 2, 2), 0.5), ['a', 'b'])\n"
        "view.to_html('page.html'); view.to_svg('lines.svg', 'lines')\n"
        "print('torch' in sys.modules)"
    )
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=folder)
    assert done.stdout.strip() == "False"


@given(st.lists(st.text(min_size=0, max_size=8), min_size=1, max_size=9))
def test_any_tokens(tokens):
    n = len(tokens)
    view = from_arrays(np.full((1, 1, n, n), 1 / n), tokens)
    assert len(view.spec["texts"]["text"]["base"]["labels"]) == n


def test_large_grids():
    view = from_arrays(None, ["a"], effects=np.random.default_rng(0).normal(size=(64, 64)))
    assert len(view.to_svg_text("heads")) > 1000 if hasattr(view, "to_svg_text") else True
    assert mv.views.GridView.PANELS[0] == "heads"
