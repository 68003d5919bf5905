import networkx as nx
import numpy as np
import pandas as pd
import pytest

import mechviz as mv
from mechviz.errors import InputError
from mechviz.probes.arrays import array
from mechviz.probes.graph import graph_of_activations, graph_of_weights
from tests.tiny.models import save

TEXT = ("volcano", "lava flows from the volcano")


@pytest.fixture(scope="module")
def cat():
    return mv.load("toy/cat")


def test_every_weight_is_an_edge_where_all_are_asked_for(tmp_path):
    ranker = mv.Dot(str(save(tmp_path / "gpt2", "gpt2", "GPT2Model")), pooling="mean")
    found = graph_of_weights(ranker, layers=[1], most=1000)
    mlp = ranker.model.h[1].mlp
    reads = found.edges[found.edges["kind"] == "read"].set_index(["to_id", "from_id"])["weight"]
    writes = found.edges[found.edges["kind"] == "write"].set_index(["from_id", "to_id"])["weight"]
    assert len(reads) == len(writes) == 48 * 32
    for neuron, feature in ((0, 0), (47, 3), (11, 31)):
        key = (f"mlp.1.{neuron}", f"resid.{feature}")
        assert reads[key] == pytest.approx(float(mlp.c_fc.weight[feature, neuron].detach()))
        assert writes[key] == pytest.approx(float(mlp.c_proj.weight[neuron, feature].detach()))
    neurons = found.vertices[found.vertices["kind"] == "neuron"]
    np.testing.assert_allclose(neurons["bias"], mlp.c_fc.bias.detach(), rtol=1e-6)


def test_of_each_neuron_the_largest_weights_are_kept(cat):
    found = graph_of_weights(cat, layers=[0], most=3)
    weights = cat.model.bert.encoder.layer[0].intermediate.dense.weight.detach().numpy()
    mine = found.edges[(found.edges["kind"] == "read") & (found.edges["to_id"] == "mlp.0.5")]
    wanted = np.argsort(-np.abs(weights[5]))[:3]
    assert mine["from_id"].tolist() == [f"resid.{feature}" for feature in wanted]
    np.testing.assert_allclose(mine["weight"], weights[5][wanted])


@pytest.mark.parametrize("weighted", [False, True])
def test_attention_goes_from_what_is_read_to_who_reads(cat, weighted):
    found = graph_of_activations(cat, TEXT, least=0, weighted=weighted)
    attention = array(cat, "weighted_pattern" if weighted else "pattern", TEXT)
    edges = found.edges[found.edges["kind"] == "1.2"].set_index(["from_id", "to_id"])["weight"]
    assert edges[("1:3", "2:0")] == pytest.approx(float(attention[1, 2, 0, 3]))
    assert len(edges) == attention.sizes["key_pos"] ** 2
    kept = graph_of_activations(cat, TEXT, least=0.2, weighted=weighted).edges
    assert (kept["kind"] != "stream").sum() == int((attention >= 0.2).sum())


def test_values_are_lengths_of_the_residual_stream(cat):
    found = graph_of_activations(cat, TEXT).vertices.set_index("id")
    assert found.loc["1:2", "value"] == pytest.approx(float(np.linalg.norm(array(cat, "resid_pre", TEXT)[1, 2])), rel=1e-5)
    assert found.loc["2:0", "value"] == pytest.approx(float(np.linalg.norm(array(cat, "resid_post", TEXT)[1, 0])), rel=1e-5)
    assert "volcano" in found.loc["0:1", "label"]


def test_files_hold_the_tables(cat, tmp_path):
    found = graph_of_activations(cat, TEXT)
    folder = found.to_csv(tmp_path / "new" / "graph")
    pd.testing.assert_frame_equal(pd.read_csv(folder / "edges.csv"), found.edges, check_dtype=False)
    graph = nx.read_graphml(found.to_graphml(tmp_path / "graph.graphml"))
    assert graph.is_multigraph()
    assert (len(graph.nodes), len(graph.edges)) == (len(found.vertices), len(found.edges))
    assert graph.nodes["0:1"]["label"] == found.vertices["label"][1]
    assert graph.graph["ranker"] == "toy/cat"


def test_bad_input(cat):
    with pytest.raises(InputError, match="no MLP"):
        graph_of_weights(mv.load("toy/cat-attn-only"))
    for arguments, says in (({"layers": [9]}, "0 to 1"), ({"most": 0}, "at least 1")):
        with pytest.raises(InputError, match=says):
            graph_of_weights(cat, **arguments)
    with pytest.raises(InputError, match="at least 0"):
        graph_of_activations(cat, TEXT, least=-1)
