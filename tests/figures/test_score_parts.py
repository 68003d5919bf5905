import numpy as np
import pandas as pd
import pytest
import xarray as xr

from mechviz import wire
from mechviz.errors import InputError
from mechviz.figures import score_svg
from mechviz.figures.colour import THEMES, sequential
from tests.figures import made

FORWARD, BACK = "perturbed->original", "original->perturbed"
LIGHT = THEMES["light"]


def table(name, values, names=None):
    labels = range(len(values)) if names is None else names
    return pd.DataFrame({name: labels, "query": 1.0, "doc": values, "score": values})


def dimensions(n=100, texts=2):
    rng = np.random.default_rng(0)
    return [rng.normal(size=n) * 0.1 for _ in range(texts)]


def bars(root):
    found = {}
    for one in made.find(root, "rect", data_part=...):
        found.setdefault(one.get("data-part"), []).append((float(one.get("width")), one.get("fill")))
    return found


@pytest.mark.parametrize(("direction", "fills"), [(FORWARD, (LIGHT.muted, LIGHT.change)), (BACK, (LIGHT.change, LIGHT.muted))])
def test_dimensions_of_both_texts(direction, fills):
    values = dimensions()
    packed = wire.pack_parts("dimensions", [table("dimension", one) for one in values])
    root = made.parsed(score_svg(packed, direction, {"ranker": "r", "ranker_kind": "Dot"}))
    found = bars(root)
    order = np.argsort(-np.abs(values[1] - values[0]), kind="stable")[:24]
    assert list(found) == [str(at) for at in order]
    unit = found[str(order[0])][0][0] / abs(values[0][order[0]])
    for at in order:
        assert [width for width, _ in found[str(at)]] == pytest.approx([max(0.75, abs(v[at]) * unit) for v in values], abs=0.05)
        assert tuple(fill for _, fill in found[str(at)]) == fills
    shown = made.words(root)
    assert f"{values[1][order[0]] - values[0][order[0]]:+.2f}".replace("-", "−") in shown
    rest = [f"{one.sum() - one[order].sum():+.2f}".replace("-", "−") for one in values]
    assert f"76 others add {rest[0]} and {rest[1]}." in shown
    assert f"Sum: {values[0].sum():.4f} → {values[1].sum():.4f}.".replace("-", "−") in shown
    assert f"direction: {direction}" in root[1].text


def test_terms_of_one_text():
    packed = wire.pack_parts("terms", [table("term", [0.5, 3.0, 1.0], ["hot", "</script>", "שלום"])])
    root = made.parsed(score_svg(packed, FORWARD, {}, "dark"))
    assert list(bars(root)) == ["</script>", "שלום", "hot"]
    shown = made.words(root)
    assert {"value", "+3.00", "Sum: 4.5000."} <= set(shown)
    assert not {"original", "perturbed", "change"} & set(shown)


def test_labels_have_odds():
    logits = [pd.DataFrame({"label": ["▁true", "▁false"], "logit": pair}) for pair in ([-1.0, 1.0], [900.0, -900.0])]
    shown = made.words(made.parsed(score_svg(wire.pack_parts("labels", logits), FORWARD, {})))
    assert "“▁true” against “▁false”: 0.1192 original → 1.0000 perturbed" in shown
    made.parsed(score_svg(wire.pack_parts("labels", logits[:1]), FORWARD, {}))


def matrix(queries, docs, seed=0):
    values = np.random.default_rng(seed).uniform(-0.2, 1, size=(len(queries), len(docs))).astype(np.float32)
    coords = {"query_token": ("query_pos", queries), "doc_token": ("doc_pos", docs)}
    return xr.DataArray(values, dims=("query_pos", "doc_pos"), coords=coords)


@pytest.mark.parametrize("missing", [np.nan, -np.inf])
def test_max_sim(missing):
    queries = ["[CLS]", "why", "hot"]
    parts = [matrix(queries, [f"d{i}" for i in range(n)], n) for n in (7, 8)]
    parts[0][:, 3] = missing
    root = made.parsed(score_svg(wire.pack_parts("max_sim", parts), FORWARD, {"ranker": "r"}))
    clean = [np.where(np.isfinite(part.values), part.values, -9) for part in parts]
    best = {one.get("data-best") for one in made.find(root, "rect", data_best=...)}
    assert best == {f"{row}.{at}" for one in clean for row, at in enumerate(one.argmax(1))}
    shown = made.words(root)
    assert f"original: {clean[0].max(1).sum():.4f}" in shown
    assert f"perturbed: {clean[1].max(1).sum():.4f}" in shown
    assert any("Hatched" in word for word in shown)
    most = max(one.max() for one in clean)
    for image, values in zip(made.find(root, "image"), clean, strict=True):
        pixels = made.pixels_of(image)
        step = pixels.shape[0] // values.shape[0], pixels.shape[1] // values.shape[1]
        small = pixels[:: step[0], :: step[1]]
        known = values > -9
        assert np.array_equal(small[..., 3] == 255, known)
        wanted = sequential(np.clip(values / most, 0, 1) ** 2, LIGHT)
        assert np.abs(small[..., :3].astype(int) - wanted)[known].max() <= 1


def test_max_sim_of_long_and_hostile_texts():
    for docs in ([f"d{i}" for i in range(600)], made.HOSTILE):
        root = made.parsed(score_svg(wire.pack_parts("max_sim", [matrix(made.HOSTILE, docs)]), FORWARD, {}, "dark"))
        (image,) = made.find(root, "image")
        assert made.box(image)[2] <= float(root.get("width"))
    nothing = matrix(["a"], ["b"])
    nothing[:] = np.nan
    made.parsed(score_svg(wire.pack_parts("max_sim", [nothing]), FORWARD, {}))


def test_another_kind_is_refused():
    with pytest.raises(InputError, match="'max_sim'"):
        score_svg(wire.Packed("parts", {"kind": "tree"}, {}), FORWARD, {})
