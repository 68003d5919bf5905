import numpy as np
import pytest

import mechviz as mv
from mechviz.errors import InputError
from mechviz.probes.coherence import neuron_weight_coherence
from tests.cases import CASES


def by_loop(rows, k):
    units = [row / np.linalg.norm(row) for row in rows.astype(np.float64)]
    found = []
    for at, unit in enumerate(units):
        near = sorted((other for other in range(len(units)) if other != at), key=lambda other: -(unit @ units[other]))[:k]
        mean = np.mean([units[other] for other in near], axis=0)
        spread = np.sqrt(np.mean([np.sum((units[other] - mean) ** 2) for other in near]))
        found.append(np.linalg.norm(mean) / spread)
    return found


@pytest.mark.parametrize(
    ("case", "path", "transposed"),
    [
        ("Dot bert mean", "encoder.layer.1.intermediate.dense", False),
        ("Dot modernbert mean", "layers.1.mlp.Wi", False),  # the activation's half, not the gate's
        ("MonoT5 t5, gated true false", "encoder.block.1.layer.1.DenseReluDense.wi_0", False),
        ("Dot gpt2 last", "h.1.mlp.c_fc", True),
    ],
)
def test_it_is_the_length_of_the_mean_over_the_distance_from_it(tmp_path, case, path, transposed):
    name = next(one for one in CASES if one.startswith(case[:12])) if case not in CASES else case
    ranker = CASES[name].open(CASES[name].save(tmp_path))
    weight = ranker.hooked.base.get_submodule(path).weight.detach().numpy()
    rows = (weight.T if transposed else weight)[:48]
    found = neuron_weight_coherence(ranker, 1, k=7)
    assert found.dims == ("neuron",)
    np.testing.assert_allclose(found.values, by_loop(rows, 7), rtol=1e-4)
    np.testing.assert_array_equal(neuron_weight_coherence(ranker, -1 if "T5" not in case else 1, k=7).shape, found.shape)


def test_what_cannot_be_is_refused():
    with pytest.raises(InputError, match="attention only"):
        neuron_weight_coherence(mv.load("toy/cat-attn-only"), 0)
    cat = mv.load("toy/cat")
    with pytest.raises(InputError, match="layer=9"):
        neuron_weight_coherence(cat, 9)
    with pytest.raises(InputError, match="k=0"):
        neuron_weight_coherence(cat, 0, k=0)
