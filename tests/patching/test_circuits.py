"""Circuits: the tables, their test as a whole against plain passes, and the files."""

import copy

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import torch

import mechviz as mv
from mechviz.errors import InputError
from tests.cases import CASES
from tests.noise import DOC, QUERY
from tests.plain import Plain, close
from tests.plain_cells import PlainCells, Spot

CHANGE = mv.perturb.append("volcano lava")


def all_parts(layers, heads, mlps=True):
    return [
        *(f"{layer}.{head}" for layer in range(layers) for head in range(heads)),
        *(f"mlp.{layer}" for layer in range(layers) if mlps),
    ]


@pytest.mark.parametrize("name", ["Dot bert mean", "Cat llama", "Cat roberta", "Cat toy_encoder", "MonoT5 t5 ('true', 'false')"])
def test_the_test_of_a_circuit_is_what_plain_passes_say(name, opened, checkpoint):
    case, ranker = CASES[name], opened(CASES[name])
    found = mv.circuit(ranker, QUERY, DOC, CHANGE, threshold=0.3)
    pair = found.pair
    plain = Plain(case, checkpoint(case), torch.float64)
    cells = PlainCells(plain, case.stacks[0], plain.scorer(QUERY), pair.base, pair.source)
    own = cells.run(pair.base, [])[1]

    def share(live):
        """Of the score change, what is kept when the source text is read and all parts but these are held at the base."""
        edits = [(Spot("resid_pre", 0), cells.taken["resid_pre", 0])]
        for part in all_parts(cells.n_layers, cells.n_heads, case.mlps):
            first, second = part.split(".")
            if part not in live and first == "mlp":
                edits.append((Spot("mlp_out", int(second)), own["mlp_out", int(second)]))
            elif part not in live:
                edits.append((Spot("z", int(first), int(second)), own["z", int(first)]))
        return (cells.run(pair.base, edits)[0] - pair.base_score) / pair.change

    parts = set(found.vertices["id"]) - {"embed", "score"}
    everything = set(all_parts(cells.n_layers, cells.n_heads, case.mlps))
    assert 0 < len(parts) < len(everything), "or there is nothing to test"
    tolerance = 4 * close(pair.base_score) / abs(pair.change)
    assert found.faithfulness == pytest.approx(share(parts), abs=tolerance)
    assert found.completeness == pytest.approx(1 - share(everything - parts), abs=tolerance)
    drops = found.vertices.set_index("id")["drop"]
    for part in parts:
        assert drops[part] == pytest.approx(share(parts) - share(parts - {part}), abs=2 * tolerance)
    assert found.minimality == drops.min()
    assert np.isnan(drops["score"])


def test_edges_are_paths_above_the_threshold(cat):
    found = mv.circuit(cat, QUERY, DOC, CHANGE, threshold=0.2)
    assert (found.edges["weight"].abs() >= 0.2).all()
    receivers = found.edges["to_id"].unique().tolist()
    paths = mv.path_patch(cat, QUERY, DOC, CHANGE, receiver=receivers)
    for receiver in receivers:
        column = paths.effects.sel(receiver=receiver).to_series()
        expected = column[column.abs() >= 0.2]
        edges = found.edges[found.edges["to_id"] == receiver].set_index("from_id")
        assert set(edges.index) == set(expected.index)
        np.testing.assert_allclose(edges["weight"], expected[edges.index], atol=1e-5)
        if receiver[0].isdigit():
            alone = mv.path_patch(cat, QUERY, DOC, CHANGE, sender=list(edges.index), receiver=[f"{receiver}.{i}" for i in "qkv"])
            np.testing.assert_allclose(edges[["q", "k", "v"]], alone.effects, atol=1e-5)
            for edge in edges.itertuples():
                assert edge.kind == ("+".join(i for i in "qkv" if abs(getattr(edge, i)) >= 0.2) or "together")
    # Every part but the score sends to one that is in the circuit.
    assert set(found.vertices["id"]) - {"score"} == set(found.edges["from_id"])


def test_a_circuit_as_files(cat, tmp_path):
    found = mv.circuit(cat, QUERY, DOC, CHANGE, threshold=0.2)
    folder = found.to_csv(tmp_path / "why" / "circuit")
    assert list(pd.read_csv(folder / "vertices.csv").columns) == ["id", "kind", "layer", "index", "label", "drop"]
    edges = pd.read_csv(folder / "edges.csv", dtype={"from_id": str, "to_id": str})
    assert list(edges.columns) == ["from_id", "to_id", "weight", "kind", "q", "k", "v"]
    np.testing.assert_allclose(edges["weight"], found.edges["weight"])
    graph = nx.read_graphml(found.to_graphml(tmp_path / "circuit.graphml"))
    assert set(graph.nodes) == set(found.vertices["id"])
    assert len(graph.edges) == len(found.edges)
    assert graph.graph["faithfulness"] == pytest.approx(found.faithfulness)
    assert nx.is_directed_acyclic_graph(graph)
    assert "heads" in repr(found)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"threshold": 0}, "threshold=0; give a share of the score change, above 0"),
        ({"threshold": "low"}, "threshold='low'"),
        ({"metric": "raw"}, "metric does not apply to circuits"),
        ({"layers": [1]}, "layers does not apply to paths"),
    ],
)
def test_circuits_that_cannot_be(cat, settings, words):
    with pytest.raises(InputError, match=words):
        mv.circuit(cat, QUERY, DOC, CHANGE, **settings)


def test_a_change_that_does_not_move_the_score_has_no_circuit(dot_cls):
    """Heads that write nothing: CLS never hears of the other words."""
    with pytest.raises(InputError, match="there is no change to find a circuit of"):
        mv.circuit(_deaf(dot_cls), QUERY, DOC, CHANGE)


def _deaf(ranker):
    twin = copy.deepcopy(ranker)
    with torch.no_grad():
        for layer in range(twin.hooked.main.n_layers):
            twin.hooked.main.module(layer, "attention.output.dense").weight.zero_()
    return twin
