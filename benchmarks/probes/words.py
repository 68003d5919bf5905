"""Which words decide: time, copies scored a second, and agreement with shap and captum where they are installed.

``python -m benchmarks.probes.words``

One query and a document of 60 words, on the toy cross-encoder and on all-MiniLM. shap's KernelExplainer explains the same
function of which words are there; captum's LayerIntegratedGradients runs on the plain `transformers` model from the same token
ids. Neither is a dependency of mechviz (``pip install shap captum``).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import mechviz as mv
from benchmarks.machine import describe, medians
from benchmarks.table import Row, print_table
from benchmarks.texts import COLLECTION, QUERY, all_minilm
from mechviz.probes import words
from mechviz.probes.words.scoring import filler_id
from mechviz.probes.words.shapley import shapley
from mechviz.text.words import words as spans_of

WORDS, SAMPLES, STEPS = 60, 1000, 32
#: Samples of the calls that are timed, and how often: in turns, so that a busy moment hits every method.
TIMED, REPEATS = 200, 3
#: Steps beside captum: no power of two, with which rounding would cancel and the two agree better than they do.
BESIDE_CAPTUM = 30
#: Samples of the run that estimates are compared with.
MANY = 2000
#: Words of the text whose Shapley values are exact.
FEW = 9
SHAP_AIM, CAPTUM_AIM = 1e-6, 1e-5


def document(count: int) -> str:
    """Return a document of so many words from the project's own collection."""
    lines = (COLLECTION / "docs.tsv").read_text(encoding="utf-8").splitlines()
    text = " ".join(line.split("\t")[1] for line in lines)
    return text[: spans_of(text)[count - 1][1]] + "."


def rows() -> list[Row]:
    """Measure both rankers."""
    found: list[Row] = []
    for ranker in (mv.load("toy/cat"), all_minilm()):
        found += _times(ranker)
        compared = words.explain_words(ranker, QUERY, document(WORDS), n_samples=SAMPLES)
        found += [*_agreement(ranker, compared), *_shap(ranker, compared), *_captum(ranker)]
    return found


def _times(ranker: Any) -> list[Row]:
    doc = document(WORDS)
    last: dict[str, words.WordExplanation] = {}
    methods: dict[str, Callable[[], words.WordExplanation]] = {
        "occlusion": lambda: words.occlusion(ranker, QUERY, doc),
        f"LIME, {TIMED} samples": lambda: words.lime(ranker, QUERY, doc, n_samples=TIMED),
        f"KernelSHAP, {TIMED} samples": lambda: words.kernel_shap(ranker, QUERY, doc, n_samples=TIMED),
        f"integrated gradients, {STEPS} steps": lambda: words.integrated_gradients(ranker, QUERY, doc, steps=STEPS),
    }

    def kept(name: str) -> Callable[[], object]:
        return lambda: last.update({name: methods[name]()})

    times = medians({name: kept(name) for name in methods}, REPEATS)
    found = []
    for name, time in times.items():
        game: Any = last[name].game  # a new one in each call
        copies = STEPS if "gradients" in name else game.scored
        found.append(
            Row(f"{ranker.name}, {WORDS} words: {name}", f"{time:.2f} s ({copies} copies, {copies / time:.0f} a second)")
        )
    return found


def _agreement(ranker: Any, compared: words.WordComparison) -> list[Row]:
    game: Any = compared["kernel_shap"].game
    pairs = ", ".join(f"{row.a}/{row.b} {row.spearman:.2f}" for row in compared.agreement().itertuples())
    gains = ", ".join(f"{row.method} {row.deletion_gain:.3g}" for row in compared.curves().auc.iloc[:-1].itertuples())
    stable = words.stability(lambda seed: shapley(game, n_samples=SAMPLES, seed=seed), range(2))
    fits = ", ".join(f"{row.method} {row.weighted_r2:.2f}" for row in compared.fits.itertuples())
    return [
        Row(f"{ranker.name}: weighted R2 on the same held-out copies", fits),
        Row(f"{ranker.name}: Spearman's correlation of methods", pairs),
        Row(f"{ranker.name}: area of the deletion curve less that of random orders", gains),
        Row(f"{ranker.name}: KernelSHAP under two seeds, Spearman", f"{stable.spearman:.3f}"),
    ]


def _shap(ranker: Any, compared: words.WordComparison) -> list[Row]:
    shap = _optional("shap")
    if shap is None:
        return [Row(f"{ranker.name}: shap", "not installed")]

    def theirs(game: Any, n: int, samples: int) -> Any:
        explainer = shap.KernelExplainer(lambda keep: game(keep.astype(bool)), np.zeros((1, n)))
        return explainer.shap_values(np.ones((1, n)), nsamples=samples, l1_reg=False, silent=True)[0]

    few = words.kernel_shap(ranker, QUERY, document(FEW))
    worst = float(np.abs(few.values.values - theirs(few.game, FEW, 2**FEW)).max())
    game: Any = compared["kernel_shap"].game  # it keeps its scores: a copy that several need is scored once
    truth = shapley(game, n_samples=MANY, seed=99).values.values
    subsets = SAMPLES * 4 // 5  # a fifth of ours is held out
    mine = np.mean([np.abs(shapley(game, n_samples=SAMPLES, seed=seed).values.values - truth) for seed in range(2)])
    np.random.seed(0)  # noqa: NPY002 - shap draws from it
    other = np.abs(theirs(game, WORDS, subsets) - truth).mean()
    return [
        Row(
            f"{ranker.name}, {FEW} words: largest difference from shap's KernelExplainer, all subsets",
            f"{worst:.0e}",
            f"{SHAP_AIM:g}",
            worst < SHAP_AIM,
        ),
        Row(
            f"{ranker.name}, {WORDS} words, {subsets} subsets: mean distance of a value from {MANY} samples; shap's",
            f"{mine:.2g}; {other:.2g} (values have a spread of {np.std(truth):.2g})",
        ),
    ]


def _captum(ranker: Any) -> list[Row]:
    attr = _optional("captum.attr")
    if attr is None:
        return [Row(f"{ranker.name}: captum", "not installed")]
    doc = document(WORDS)
    mine = words.integrated_gradients(ranker, QUERY, doc, steps=BESIDE_CAPTUM)
    copies: Any = mine.game.own  # type: ignore[union-attr]
    inputs, owner = copies.whole, copies.owner
    tokens = inputs[ranker.text_of(ranker.stack_of("doc"))]
    ids = torch.tensor(tokens.ids.copy())[None]
    base = torch.where(torch.tensor(owner.copy()) >= 0, filler_id(ranker, "doc", "[MASK]"), ids)
    types = torch.tensor(tokens.types.copy())[None]
    query = None if "query" not in ranker.stacks else ranker.vectors([inputs], "query").detach()[0]

    def score(rows: Any) -> Any:
        out = ranker.model(input_ids=rows, token_type_ids=types.expand(len(rows), -1))
        return out.logits[:, 0] if query is None else torch.nn.functional.normalize(out.last_hidden_state.mean(1), dim=-1) @ query

    explainer = attr.LayerIntegratedGradients(score, ranker.model.get_input_embeddings())
    by_token = explainer.attribute(
        ids, baselines=base, n_steps=BESIDE_CAPTUM, method="riemann_middle", internal_batch_size=BESIDE_CAPTUM
    )
    by_token = by_token[0].sum(-1).detach().numpy()
    theirs = np.array([by_token[owner == number].sum() for number in range(len(mine.words))])
    worst = float(np.abs(mine.values.values - theirs).max() / np.abs(theirs).max())
    return [
        Row(f"{ranker.name}, {WORDS} words: largest difference of integrated gradients from captum's, over their largest value",
            f"{worst:.0e}", f"{CAPTUM_AIM:g}", worst < CAPTUM_AIM),
    ]  # fmt: skip


def _optional(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


if __name__ == "__main__":
    print(describe(), "\n", flush=True)
    print_table(rows())
