"""Path patching against two plain passes a path, for every family."""

import numpy as np
import pytest
import torch

import mechviz as mv
from mechviz.errors import InputError, UnsupportedModelError
from mechviz.patching.paths import Paths
from mechviz.results.nodes import Node, parse_node
from tests.cases import CASES
from tests.noise import DOC, QUERY
from tests.plain import Plain, close
from tests.plain_cells import PlainCells

CHANGE = mv.perturb.append("volcano lava")
SENDERS = ["embed", "0.1", "0.3", "mlp.0", "1.2"]
RECEIVERS = ["1.2", "1.2.q", "1.0.k", "1.3.v", "mlp.1", "score"]


@pytest.mark.parametrize("name", list(CASES))
def test_paths(name, opened, checkpoint):
    case, ranker = CASES[name], opened(CASES[name])
    pair = mv.make_pair(ranker, QUERY, DOC, CHANGE)
    plain = Plain(case, checkpoint(case), torch.float64)
    cells = PlainCells(plain, case.stacks[0], plain.scorer(QUERY), pair.base, pair.source)
    receivers = [name for name in RECEIVERS if not (cells.own and name.startswith("1."))]
    senders = SENDERS
    if not case.mlps:
        senders, receivers = ([name for name in names if "mlp" not in name] for names in (senders, receivers))
    for mlps in ("frozen", "free"):
        result = mv.path_patch(ranker, QUERY, DOC, CHANGE, sender=senders, receiver=receivers, mlps=mlps)
        assert result.effects.dims == ("sender", "receiver")
        assert (f"MLPs {mlps}" in repr(result)) == case.mlps
        found, expected = [], []
        for sender in senders:
            for receiver in receivers:
                value = float(result.patched.sel(sender=sender, receiver=receiver))
                if parse_node(sender).depth < parse_node(receiver).depth:
                    found.append(value)
                    expected.append(cells.along(sender, receiver, mlps == "free"))
                else:
                    assert np.isnan(value)
        # The engine's two passes are in float32, and the gated T5 bends sharply.
        assert np.abs(np.array(found) - expected).max() <= (4 if "T5" in name else 2) * close(np.abs(expected).max())
        assert np.ptp(expected) > 100 * close(np.abs(expected).max())


def test_every_part_sends_by_default(dot):
    result = mv.path_patch(dot, QUERY, DOC, CHANGE)
    heads = [[f"{layer}.{head}" for head in range(4)] for layer in range(3)]
    assert list(result.effects["sender"].values) == ["embed", *heads[0], "mlp.0", *heads[1], "mlp.1", *heads[2], "mlp.2"]
    assert list(result.effects["receiver"].values) == ["score"]
    assert result.top(3).columns[0] == "sender"


def test_a_direct_effect_of_the_last_layer_is_all_of_it(dot):
    """Nothing lies between the last MLP and the score."""
    direct = mv.path_patch(dot, QUERY, DOC, CHANGE, sender="mlp.2").patched.values
    whole = mv.patch(dot, QUERY, DOC, CHANGE, grid="mlps").patched.values
    assert direct[0, 0] == pytest.approx(whole[2], abs=1e-5)


def test_memory_that_runs_out_halves_the_chunk(dot, monkeypatch):
    expected = mv.path_patch(dot, QUERY, DOC, CHANGE, receiver="2.1")
    sent = Paths._sent

    def small_memory(self, senders, receiver):
        if len(senders) > 3:
            raise MemoryError
        return sent(self, senders, receiver)

    monkeypatch.setattr(Paths, "_sent", small_memory)
    np.testing.assert_allclose(mv.path_patch(dot, QUERY, DOC, CHANGE, receiver="2.1").patched, expected.patched, atol=1e-5)


def test_a_path_saves_and_loads(dot, tmp_path):
    result = mv.path_patch(dot, QUERY, DOC, CHANGE, receiver=["score", "2.1.k"])
    result.save(tmp_path / "p.nc")
    loaded = mv.PatchResult.load(tmp_path / "p.nc")
    assert loaded.effects.identical(result.effects)
    assert loaded.grid == "paths, MLPs frozen"


@pytest.mark.parametrize(
    ("given", "node"),
    [
        ("embed", Node("embed")),
        ((1, 6), Node("head", 1, 6)),
        ("1.6", Node("head", 1, 6)),
        ((1, 6, "q"), Node("head", 1, 6, "q")),
        ("11.0.v", Node("head", 11, 0, "v")),
        ("mlp.3", Node("mlp", 3)),
        ("score", Node("score")),
    ],
)
def test_a_node_as_people_write_it(given, node):
    assert parse_node(given) == node
    assert parse_node(str(node)) == node


@pytest.mark.parametrize("given", ["", "1", "1.6.z", "mlp", "mlp.x", "logits", 3, None, (1,), (1, 2, 3), "1.-2"])
def test_what_is_no_node(given):
    with pytest.raises(InputError, match="is no part of a ranker; write 'embed'"):
        parse_node(given)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"sender": "2.1", "receiver": "1.2"}, r"sender 2\.1 does not come before 1\.2"),
        ({"sender": "1.1", "receiver": "1.2.q"}, r"sender 1\.1 does not come before 1\.2\.q"),
        ({"sender": "mlp.1", "receiver": "mlp.1"}, "does not come before"),
        ({"sender": "9.1"}, r"9\.1 does not exist; there are layers 0 to 2, heads 0 to 3"),
        ({"sender": "score"}, "score cannot send"),
        ({"sender": "1.2.q"}, r"1\.2\.q cannot send"),
        ({"receiver": "embed"}, "the embedded text receives nothing"),
        ({"mlps": "thawed"}, "mlps='thawed'; it is one of 'frozen', 'free'"),
        ({"grid": "blocks"}, "grid does not apply to paths; they take direction, metric"),
    ],
)
def test_paths_that_cannot_be(dot, settings, words):
    with pytest.raises(InputError, match=words):
        mv.path_patch(dot, QUERY, DOC, CHANGE, **settings)


def test_a_decoder_has_no_paths(opened):
    with pytest.raises(UnsupportedModelError, match="two attentions"):
        mv.path_patch(opened(CASES["MonoT5 t5 ('true', 'false')"]), QUERY, DOC, CHANGE, stack="cross")


def test_a_hook_of_the_users_is_refused(dot):
    handle = dot.hooked.main.module(1, "attention.self.query").register_forward_hook(lambda module, args, output: output * 1.5)
    try:
        with pytest.raises(InputError, match="there are forward hooks or adapters inside the layers"):
            mv.path_patch(dot, QUERY, DOC, CHANGE)
    finally:
        handle.remove()
