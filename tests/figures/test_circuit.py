import numpy as np
import pandas as pd
import pytest

from mechviz.errors import InputError, InputTypeError
from mechviz.figures import circuit_svg, graph
from mechviz.figures.colour import THEMES
from mechviz.results import Circuit
from mechviz.results.circuits import EDGES, VERTICES
from tests.figures import made

LIGHT = THEMES["light"]
NAN = float("nan")


def circuit(edges=None, **fields):
    vertices = [
        ("embed", "embed", -1, -1, "the embedded text", NAN),
        ("0.1", "head", 0, 1, "head 0.1", 0.5),
        ("0.3", "head", 0, 3, "head 0.3", 0.1),
        ("mlp.0", "mlp", 0, -1, "MLP 0", -0.2),
        ("1.2", "head", 1, 2, "head 1.2", 0.9),
        ("score", "score", -1, -1, "the score", NAN),
    ]
    edges = edges or [
        ("embed", "0.1", 0.8, "k+v"),
        ("embed", "0.3", 0.2, "together"),
        ("0.1", "1.2", 0.7, "v"),
        ("0.3", "mlp.0", 0.15, "in"),
        ("mlp.0", "score", -0.3, "in"),
        ("1.2", "score", 0.9, "in"),
    ]
    values = {
        "pair": made.pair(["hot"], ["hot", "lava"]),
        "stack": "encoder",
        "threshold": 0.05,
        "vertices": pd.DataFrame(vertices, columns=list(VERTICES)),
        "edges": pd.DataFrame([(*edge, NAN, NAN, NAN) for edge in edges], columns=list(EDGES)),
        "faithfulness": 0.98,
        "completeness": 1.0,
        "minimality": -0.2,
        "provenance": {"ranker": "a/ranker", "ranker_kind": "Cat"},
    }
    return Circuit(**{**values, **fields})


def parts(root):
    return {one.get("data-part"): one for one in made.find(root, "g", data_part=...)}


def middle(part):
    (label,) = made.find(part, "text")
    return float(label.get("x")), float(label.get("y"))


def test_parts_run_from_the_text_to_the_score():
    root = made.parsed(circuit_svg(circuit()))
    xs = {name: middle(part)[0] for name, part in parts(root).items()}
    assert xs["embed"] < xs["0.1"] == xs["0.3"] < xs["mlp.0"] < xs["1.2"] < xs["score"]
    places = [middle(part) for part in parts(root).values()]
    for i, a in enumerate(places):
        assert all(abs(a[0] - b[0]) >= 58 or abs(a[1] - b[1]) >= 30 for b in places[i + 1 :])
    named = {(one.text, float(one.get("x"))) for one in made.find(root, "text", fill=LIGHT.muted)}
    assert {("layer 0", xs["0.1"]), ("MLP 0", xs["mlp.0"]), ("layer 1", xs["1.2"])} <= named
    shown = made.words(root)
    assert "faithfulness 0.980, completeness 1.000, minimality −0.200" in shown
    assert {"L0H1 → L1H2 by v", "text → L0H1 by k+v", "text → L0H3, together", "MLP 0 → score"} <= set(shown)
    assert "Edges of at least 0.050 of the score change: 6 of 6, 6 of 6 parts." in shown
    assert root[0].text == "Circuit: a/ranker (Cat), change"
    assert "threshold: 0.05" in root[1].text


def test_edges_are_as_wide_as_what_they_carry():
    root = made.parsed(circuit_svg(circuit(), "dark"))
    edges = {one.get("data-edge"): one for one in made.find(root, "path", data_edge=...)}
    widths = {name: float(one.get("stroke-width")) for name, one in edges.items()}
    assert widths["1.2>score"] == 7
    assert widths["embed>0.1"] == pytest.approx(0.6 + 6.4 * 0.8 / 0.9, abs=0.01)
    against = edges["mlp.0>score"]
    assert (against.get("stroke"), against.get("stroke-dasharray")) == (THEMES["dark"].minus, "6 4")
    assert edges["1.2>score"].get("stroke") == THEMES["dark"].plus
    places = {name: middle(part) for name, part in parts(root).items()}
    for name, one in edges.items():
        start, end = name.split(">")
        points = made.numbers(one.get("d"))
        assert points[1] == pytest.approx(places[start][1] - 4, abs=0.1)
        assert points[-1] == pytest.approx(places[end][1] - 4, abs=0.1)


def test_weak_edges_and_what_no_longer_reaches_the_score_are_left_out():
    root = made.parsed(circuit_svg(circuit(), least=0.18))
    assert set(parts(root)) == {"embed", "0.1", "mlp.0", "1.2", "score"}
    assert {one.get("data-edge") for one in made.find(root, "path", data_edge=...)} == {
        "embed>0.1",
        "0.1>1.2",
        "mlp.0>score",
        "1.2>score",
    }
    assert "Edges of at least 0.180 of the score change: 4 of 6, 5 of 6 parts." in made.words(root)
    assert set(parts(made.parsed(circuit_svg(circuit(), least=5)))) == {"score"}


def test_the_selected_head_stands_out():
    root = made.parsed(circuit_svg(circuit(), selection={"stack": "encoder", "layer": 0, "head": 3}))
    (chosen,) = made.find(root, "circle", data_selected=1)
    assert chosen in list(parts(root)["0.3"])
    assert chosen.get("stroke-width") == "3.5"
    for other in ({"stack": "cross", "layer": 0, "head": 3}, {"layer": 5, "head": 5}, {"layer": None, "head": None}, None):
        assert not made.find(made.parsed(circuit_svg(circuit(), selection=other)), "circle", data_selected=1)


def test_a_large_circuit_keeps_its_parts_apart_and_on_the_page():
    rng = np.random.default_rng(0)
    vertices = [("embed", "embed", -1, -1, "", NAN)]
    for layer in range(24):
        vertices += [(f"{layer}.{head}", "head", layer, head, "", 0.1) for head in range(3)]
        vertices.append((f"mlp.{layer}", "mlp", layer, -1, "", 0.1))
    vertices.append(("score", "score", -1, -1, "", NAN))
    ids = [one[0] for one in vertices]
    edges = [(a, "score", float(rng.uniform(0.1, 1)), "in") for a in ids[:-1]]
    large = circuit(edges, vertices=pd.DataFrame(vertices, columns=list(VERTICES)), minimality=NAN)
    root = made.parsed(circuit_svg(large))
    places = np.array([middle(part) for part in parts(root).values()])
    assert len(places) == len(vertices)
    assert places.min() > 15
    assert places[:, 0].max() < float(root.get("width")) - 15
    assert not [word for word in made.words(root) if "minimality" in word]


def test_sweeps_put_parts_beside_their_neighbours():
    vertices = [graph.Vertex(f"{layer}.{head}", "head", layer, head, "", 0.0) for layer in (0, 1) for head in (0, 1, 2)]
    crossed = [graph.Edge(f"0.{head}", f"1.{2 - head}", 1.0, "q") for head in range(3)]
    places = graph.layout(vertices, crossed).places
    assert all(places[edge.start][1] == places[edge.end][1] for edge in crossed)


@pytest.mark.parametrize("least", ["0.1", True, NAN])
def test_no_share_is_refused(least):
    with pytest.raises(InputError, match="least="):
        circuit_svg(circuit(), least=least)


def test_only_a_circuit_is_drawn():
    with pytest.raises(InputTypeError, match=r"mv\.circuit"):
        circuit_svg(made.result([[0.5]]))
