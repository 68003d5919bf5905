"""What estimates cost and how far they can be trusted, what one read position saves, and bfloat16."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

import mechviz as mv
from benchmarks.machine import medians
from benchmarks.models import bert_base, plain_copy
from benchmarks.table import Row
from benchmarks.texts import CHANGE, QUERY, all_minilm, document
from mechviz.patching import Session
from mechviz.patching.fused import Fused
from mechviz.rankers import Ranker

REPEATS = 7
LENGTH = 115


def rows() -> list[Row]:
    """Measure each."""
    return [*_attribution(), *_agreements(), *_one_position(), *_bfloat16(), *_preview_of_a_large_model()]


def _attribution() -> list[Row]:
    """Time the estimate of every head at every position against plain passes of the model over the same text."""
    ranker = all_minilm()
    found: list[Row] = []
    for positions in (LENGTH, 255):
        doc = document(ranker, positions)
        works = {
            "all": lambda doc=doc: mv.patch(ranker, QUERY, doc, CHANGE, grid="head_positions", sites="z", method="attribution"),
            "plain": _plain_pass(ranker, doc),
        }
        time = medians(works, REPEATS)
        passes = time["all"] / time["plain"]
        what = f"attribution of all heads at all {positions} positions, all-MiniLM: time in plain forward passes"
        found.append(Row(what, f"{passes:.1f} ({time['all']:.3f} s / {time['plain']:.3f} s)", "6", passes <= 6))
    return found


def _agreements() -> list[Row]:
    """Correlate estimates with exact scores of the heads grid, for every ranker at hand, over several pairs."""
    small = all_minilm()
    docs = [document(small, length) for length in (31, 63, LENGTH, 191)]
    found: list[Row] = []
    for name, ranker in {"all-MiniLM": small, **_splade_tiny()}.items():
        exact = [_effects(ranker, doc, "exact") for doc in docs]
        for method in ("attribution", "integrated"):
            moved = [np.stack([_effects(ranker, doc, method), true]) for doc, true in zip(docs, exact, strict=True)]
            low, middle, high = _correlation(moved)
            what = f"{method}, heads grid, {name}: Pearson with exact, 4 pairs [95 % interval over cells]"
            found.append(Row(what, f"{middle:.2f} [{low:.2f}, {high:.2f}]"))
    return found


def _effects(ranker: Ranker, doc: str, method: str) -> NDArray[np.float64]:
    """Return the share of the change that each cell moves, dims (cell)."""
    return mv.patch(ranker, QUERY, doc, CHANGE, method=method).effects.values.ravel().astype(np.float64)


def _correlation(moved: list[NDArray[np.float64]]) -> tuple[float, float, float]:
    """Return Pearson's correlation over all cells and its bootstrap interval, resampled within each pair."""
    generator = np.random.default_rng(0)

    def drawn() -> float:
        cells = [pair[:, generator.integers(pair.shape[1], size=pair.shape[1])] for pair in moved]
        return float(np.corrcoef(np.concatenate(cells, axis=1))[0, 1])

    low, high = np.percentile([drawn() for _ in range(1000)], [2.5, 97.5])
    return float(low), float(np.corrcoef(np.concatenate(moved, axis=1))[0, 1]), float(high)


def _one_position() -> list[Row]:
    """Time the last layer where the score reads CLS alone against a whole layer, the same rows."""
    whole = all_minilm()
    cls = mv.Dot(whole.model, pooling="cls", normalize=True, tokenizer=whole.tokenizer)
    doc = document(whole, LENGTH)
    kernels = {}
    for name, ranker in (("whole", whole), ("one", cls)):
        session = Session(ranker, QUERY, doc, CHANGE, gradient=False)
        kernels[name] = Fused(ranker, session.base)
        last = session.stack.n_layers - 1
        rows = session.base.resid_pre[last].repeat(session.rows, 1, 1)

    def above(name: str) -> None:
        with torch.no_grad():
            kernels[name].above(last, rows)

    time = medians({name: lambda name=name: above(name) for name in kernels}, 30)
    ratio = time["one"] / time["whole"]
    what = "last layer where CLS alone is read: time over a whole layer's"
    return [Row(what, f"{ratio:.2f} ({1e3 * time['one']:.1f} ms / {1e3 * time['whole']:.1f} ms)", "0.25", ratio <= 0.25)]


def _bfloat16() -> list[Row]:
    """Time and compare the heads grid in bfloat16."""
    full = all_minilm()
    half = mv.Dot(full.model.config._name_or_path, dtype="bfloat16")
    doc = document(full, LENGTH)
    works = {
        "float32": lambda: mv.patch(full, QUERY, doc, CHANGE),
        "bfloat16": lambda: mv.patch(half, QUERY, doc, CHANGE),
    }
    effects = [work().effects.values.ravel() for work in works.values()]
    time = medians(works, REPEATS)
    pearson = float(np.corrcoef(effects)[0, 1])
    ratio = time["bfloat16"] / time["float32"]
    return [
        Row(f"heads grid in bfloat16, {LENGTH} tokens: time over float32's", f"{ratio:.2f}, Pearson of effects {pearson:.2f}")
    ]


def _preview_of_a_large_model() -> list[Row]:
    """Time the preview of `hybrid` on a model of BERT-base's shape with 512 tokens."""
    ranker = bert_base()
    doc = document(ranker, 512)
    works = {
        "preview": lambda: mv.patch(ranker, QUERY, doc, CHANGE, method="attribution"),
        "plain": _plain_pass(ranker, doc),
    }
    time = medians(works, 3)
    passes = time["preview"] / time["plain"]
    what = "preview of `hybrid`, heads grid, BERT-base's shape, 512 tokens: time in plain forward passes"
    return [Row(what, f"{passes:.1f} ({time['preview']:.1f} s / {time['plain']:.1f} s)", "7", passes <= 7)]


def _plain_pass(ranker: mv.Dot, doc: str) -> Callable[[], None]:
    """Return one forward pass of the plain model (fused attention) over the perturbed document."""
    model = plain_copy(ranker, "sdpa")
    batch = ranker.tokenizer([CHANGE(doc)], return_tensors="pt")

    @torch.no_grad()
    def once() -> None:
        model(**batch)

    return once


def _splade_tiny() -> dict[str, Ranker]:
    """Return SPLADE-tiny where the package that carries it is installed (requirements/weights.txt)."""
    found = importlib.util.find_spec("cognition")
    if found is None or found.origin is None:
        return {}
    return {"SPLADE-tiny": mv.Splade(str(Path(found.origin).parent / "model"))}
