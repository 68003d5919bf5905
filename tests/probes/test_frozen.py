"""The frozen run against a decomposition of plain BERT by hand, and its law on every family."""

import numpy as np
import pytest
import torch

from mechviz.errors import InputError, InputTypeError
from mechviz.probes.frozen import frozen_run
from mechviz.probes.places import read_rows
from tests.cases import CASES
from tests.noise import DOC, QUERY


def total(run):
    return sum(float(share.values.sum()) for share in run.shares())


def test_the_shares_sum_to_the_score_of_every_ranker(any_ranker):
    score = float(any_ranker.score(QUERY, DOC)[0])
    for stack in any_ranker.stacks:
        run = frozen_run(any_ranker, QUERY, DOC, stack)
        assert run.score == pytest.approx(score, abs=1e-5 * max(1, abs(score)))
        assert total(run) == pytest.approx(score, abs=1e-4 * max(1, abs(score)))


def test_the_ranker_is_left_as_it_was(opened):
    ranker = opened(CASES["Cat bert"])
    before = ranker.score(QUERY, DOC)
    frozen_run(ranker, QUERY, DOC).shares()
    assert all(tower.active() == [] for tower in ranker.models)
    assert all(parameter.grad is None for parameter in ranker.model.parameters())
    assert (ranker.score(QUERY, DOC) == before).all()


@pytest.mark.parametrize("name", ["Generative gpt2", "Generative llama", "MonoT5 t5 ("])
def test_a_pre_norm_head_goes_through_one_norm_and_the_labels(opened, name):
    """Head 1.2's output by hand: through the last norm at the last position, onto the difference of two rows of the head."""
    ranker = opened(next(case for key, case in CASES.items() if key.startswith(name)))
    stack = ranker.stacks[-1]
    part, model = ranker.stack(stack), ranker.model
    run = frozen_run(ranker, QUERY, DOC)
    share = next(one for one in run.shares() if one.of.kind == "head" and one.of.layer == 1 and one.of.stack == stack)
    score, cache = ranker.run_with_cache(QUERY, DOC, names=["z", "resid_post"])
    with torch.no_grad():
        written = cache[part.hook(1, "z")][0, -1, 2] @ part.w_o(1)[2]
        last = cache[part.hook(part.n_layers - 1, "resid_post")][0, -1]
        if name == "Generative gpt2":
            normed = (written - written.mean()) / (last.var(unbiased=False) + part.final.eps).sqrt() * part.final.weight
        else:
            normed = written / (last.square().mean() + part.final.variance_epsilon).sqrt() * part.final.weight
        rows = model.lm_head.weight[list(ranker.label_ids)]
        expected = float((rows[0] - rows[1]) @ normed)
        if name.startswith("MonoT5"):
            logits = rows @ (last / (last.square().mean() + part.final.variance_epsilon).sqrt() * part.final.weight) * 32**-0.5
            slope = (score + np.log(2)) / float(logits[0] - logits[1])
            expected *= 32**-0.5 * slope
    assert share.values[:, 2].sum() == pytest.approx(expected, abs=1e-5)


def test_all_rows_that_are_read_have_a_factor_and_no_other(opened):
    for name in ("Cat bert", "Dot bert mean", "Dot bert cls", "Cat gpt2", "Generative gpt2", "MonoT5 t5 "):
        case = next(case for key, case in CASES.items() if key.startswith(name))
        ranker = opened(case)
        stack = ranker.stack_of("doc")
        run = frozen_run(ranker, QUERY, DOC, stack)
        last = [share for share in run.shares() if share.of.kind == "mlp" and share.of.stack == stack][-1]
        touched = (last.factor[0] != 0).any(-1).numpy()
        assert np.array_equal(touched, read_rows(ranker, stack, run.tokens)), name


def test_refusals(cat):
    with pytest.raises(InputTypeError, match="ranker"):
        frozen_run("toy/cat", QUERY, DOC)
    with pytest.raises(InputError, match="stack='doc'"):
        frozen_run(cat, QUERY, DOC, "doc")
    with pytest.raises(InputError, match="doc"):
        frozen_run(cat, QUERY, "")
