import numpy as np
import pytest

from mechviz.errors import InputError
from mechviz.figures import neurons_svg
from mechviz.figures.colour import THEMES, diverging
from mechviz.results import StackShape
from tests.figures import made

LIGHT = THEMES["light"]


def scores(n=6, d=8, runs=1, seed=0):
    rng = np.random.default_rng(seed)
    q, k, scale = rng.normal(size=(runs, d)), rng.normal(size=(runs, n, d)), d**-0.5
    raw = (k @ q[..., None])[..., 0] * scale + 0.25
    pattern = np.exp(raw) / np.exp(raw).sum(1, keepdims=True)
    return {"q": q, "k": k, "scores": raw, "pattern": pattern, "scale": scale}


def tokens(n=6):
    return made.tokens([f"w{i}" for i in range(n)])


def test_rows_are_the_largest_weights_with_their_numbers():
    made_of = scores()
    root = made.parsed(neurons_svg(made_of, tokens(), 2, 1, 3, {"ranker": "r"}, rows=4))
    order = np.argsort(-made_of["pattern"][0])
    shown = made.words(root)
    rows = [word for word in shown if word.startswith("w")]
    assert rows == ["w2", *(f"w{at}" for at in order[:4])]
    dots = made_of["k"][0] @ made_of["q"][0] * made_of["scale"]
    for at in order[:4]:
        assert f"{dots[at]:+.2f}".replace("-", "−") in shown
    assert shown.count("+0.25") >= 4, "the rest is what position, mask and bias add"
    bars = {int(one.get("data-weight")): float(one.get("width")) for one in made.find(root, "rect", data_weight=...)}
    assert list(bars) == order[:4].tolist()
    longest = max(bars.values())
    top = made_of["pattern"][0].max()
    assert bars == pytest.approx({int(at): made_of["pattern"][0][at] / top * longest for at in order[:4]}, abs=0.02)
    assert any(word.startswith("… 2 other keys get") for word in shown)


def test_strips_have_the_colours_of_their_values():
    made_of = scores(runs=2)
    root = made.parsed(neurons_svg(made_of, tokens(), 0, 0, 0, {}, run=1))
    q, k = made_of["q"][1], made_of["k"][1]
    order = np.argsort(-made_of["pattern"][1], kind="stable")
    vectors = float(np.percentile(np.abs(np.concatenate([q, k.ravel()])), 99.5))
    products = float(np.percentile(np.abs(q * k), 99.5))
    wanted = [diverging(q[None], vectors, LIGHT), diverging(k[order], vectors, LIGHT), diverging((q * k)[order], products, LIGHT)]
    for image, colours in zip(made.find(root, "image"), wanted, strict=True):
        pixels = made.pixels_of(image)[..., :3]
        step = pixels.shape[0] // colours.shape[0], pixels.shape[1] // colours.shape[1]
        assert np.array_equal(pixels[:: step[0], :: step[1]], colours)


def test_products_of_the_chosen_key_sum_to_its_dot():
    made_of = scores()
    root = made.parsed(neurons_svg(made_of, tokens(), 0, 0, 0, {}, key_pos=4))
    products = made_of["q"][0] * made_of["k"][0, 4]
    bars = made.find(root, "rect", data_dimension=...)
    assert [one.get("fill") for one in bars] == [LIGHT.plus if value > 0 else LIGHT.minus for value in products]
    assert float(bars[0].get("height")) / float(bars[1].get("height")) == pytest.approx(abs(products[0] / products[1]), rel=0.05)
    said = " ".join(made.words(root))
    assert f"the key “w4”, by dimension: they sum to {products.sum():+.2f}".replace("-", "−") in said
    assert f"dimension {np.abs(products).argmax()} " in said


def test_what_is_masked_is_said():
    made_of = scores()
    made_of["scores"][0, 3] = np.finfo(np.float32).min
    made_of["pattern"][0, 3] = 0
    shown = made.words(made.parsed(neurons_svg(made_of, tokens(), 0, 0, 0, {}, "dark")))
    assert shown.count("masked") == 1


def test_what_attends_may_be_no_position_of_the_text():
    cross = StackShape.of("cross", "encoder", 2, 3)
    root = made.parsed(neurons_svg(scores(), tokens(), 0, 1, 2, {}, shape=cross))
    assert "decoder, first step" in made.words(root)
    assert root[0].text == "Queries and keys of layer 1, head 2, decoder's cross-attention: query at position 0"
    own = StackShape.of("decoder", "encoder", 2, 3)
    assert made.words(made.parsed(neurons_svg(scores(n=1), tokens(), 0, 0, 0, {}, shape=own))).count("decoder, first step") == 2


@pytest.mark.parametrize(("n", "d"), [(1, 1), (512, 64), (30, 128), (10, 300)])
def test_texts_and_heads_of_any_size(n, d):
    root = made.parsed(neurons_svg(scores(n, d), tokens(n), 0, 0, 0, {}))
    for one in made.find(root, "rect", data_dimension=...):
        assert made.box(one)[2] <= float(root.get("width"))
    made.parsed(neurons_svg(scores(len(made.HOSTILE), d), made.tokens(made.HOSTILE), 0, 0, 0, {}))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"tokens": tokens(5)}, "shapes"),
        ({"pos": 6}, "pos=6"),
        ({"run": 1}, "run=1"),
        ({"rows": 0}, "rows=0"),
        ({"key_pos": 6}, "key_pos=6"),
        ({"shape": StackShape.of("doc", "doc", 1, 1), "layer": 1}, "layer=1"),
        ({"made_of": {**scores(), "q": np.full((1, 8), np.nan)}}, "not finite"),
    ],
)
def test_what_does_not_fit_is_refused(change, match):
    given = {"made_of": scores(), "tokens": tokens(), "pos": 0, "layer": 0, "head": 0, "provenance": {}, **change}
    with pytest.raises(InputError, match=match):
        neurons_svg(**given)
