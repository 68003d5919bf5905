"""Studies and scorecards made of plain arrays, as anybody could make them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from mechviz.results import Scorecard, StudySummary
from mechviz.results.scorecard import bucket

QUERIES = (
    "why are hot springs warm",
    "what makes the tides of the sea",
    "how do volcanoes form",
    "who invented the printing press",
    "is lava hotter than boiling water",
    "how deep is the deepest cave",
)
SENTENCES = (
    "Hot springs are warm because water is heated by rock and rises again through cracks.",
    "The moon pulls at the sea, and the water follows it around the world twice a day.",
    "Lava is molten rock that has reached the surface; magma is what it is called below.",
    "Bread rises because yeast eats sugar and breathes out gas that the dough cannot let go.",
    "A printing press moves ink onto paper by pressure, letter by letter and page by page.",
    "Deep caves keep one temperature all year, for rock is slow to warm and slow to cool.",
)
REASONS = ("score changed by less than 0.01", "longer than 512 tokens")


def cells(shape: tuple[int, ...], dims: tuple[str, ...], seed: int = 0, coords: dict[str, Any] | None = None) -> xr.Dataset:
    """Effects of which a few are strong, with intervals, p-values and shares that go with them."""
    rng = np.random.default_rng(seed)
    effect = 0.02 * rng.standard_normal(shape)
    strong = rng.choice(effect.size, max(1, effect.size // 12), replace=False)
    effect.flat[strong] += rng.choice([-1, 1, 1], len(strong)) * rng.uniform(0.08, 0.4, len(strong))
    spread = rng.uniform(0.02, 0.06, shape)
    p = np.clip(np.exp(-((np.abs(effect) / spread) ** 2)), 1e-4, 1)
    variables = {
        "effect": effect,
        "low": effect - 1.96 * spread,
        "high": effect + 1.96 * spread,
        "ratio": effect * 1.1,
        "raw": effect * 0.3,
        "positive": np.clip(0.5 + effect, 0, 1),
        "p": p,
        "q": np.clip(p * 3, 0, 1),
    }
    return xr.Dataset({name: (dims, value) for name, value in variables.items()}, coords=coords, attrs={"confidence": 0.95})


def pairs(n: int = 400, seed: int = 1) -> pd.DataFrame:
    """Pairs of six queries, about a tenth of them dropped."""
    rng = np.random.default_rng(seed)
    original = rng.normal(4, 2, n)
    base = original + 0.05 * rng.standard_normal(n)
    change = rng.gamma(2, 0.4, n) * rng.choice([1, 1, 1, -0.5], n)
    change[rng.random(n) < 0.07] *= 0.005
    reason = np.where(np.abs(change) < 0.01, REASONS[0], "")
    reason = np.where(rng.random(n) < 0.03, REASONS[1], reason)
    docs = [" ".join(SENTENCES[(i + j) % len(SENTENCES)] for j in range(1 + i % 3)) for i in range(n)]
    unscored = reason == REASONS[1]
    return pd.DataFrame(
        {
            "number": np.arange(n),
            "query_id": [f"q{i % len(QUERIES)}" for i in range(n)],
            "doc_id": [f"d{i}" for i in range(n)],
            "query": [QUERIES[i % len(QUERIES)] for i in range(n)],
            "doc": docs,
            "perturbed": [doc.replace("water", "lava") if i % 4 else f"{doc} volcano" for i, doc in enumerate(docs)],
            "side": "doc",
            "perturbation": "TFC1",
            "grade": rng.integers(0, 4, n).astype(float),
            "rank": rng.integers(1, 400, n).astype(float),
            "original_score": np.where(unscored, np.nan, original),
            "perturbed_score": np.where(unscored, np.nan, original + change),
            "base_score": np.where(unscored, np.nan, base),
            "source_score": np.where(unscored, np.nan, base + change * rng.uniform(0.8, 1.1, n)),
            "reason": reason,
        }
    )


def groups(of: xr.Dataset, column: str, values: list[str], seed: int = 2) -> xr.Dataset:
    """Effects by group: those of all pairs, moved a little."""
    rng = np.random.default_rng(seed)
    dims = (column, *of["effect"].dims)
    move = 1 + 0.5 * rng.standard_normal((len(values), *([1] * of["effect"].ndim)))
    effect = of["effect"].values * move
    variables: dict[str, Any] = {"effect": (dims, effect), "low": (dims, effect - 0.07), "high": (dims, effect + 0.07)}
    return xr.Dataset({**variables, "n": (column, rng.integers(20, 120, len(values)))}, coords={column: values})


def covariates() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "covariate": ["document length", "query terms in the document", "score of the original", "grade"],
            "n": [361, 361, 361, 340],
            "spearman": [-0.42, 0.31, 0.08, np.nan],
            "partial": [-0.18, 0.27, -0.02, np.nan],
            "p": [0.0002, 0.0031, 0.61, np.nan],
        }
    )


def study(shape: tuple[int, int] = (12, 12), n: int = 400, **fields: Any) -> StudySummary:
    """A study of heads."""
    found = fields.pop("cells", None)
    found = cells(shape, ("layer", "head")) if found is None else found
    frame = fields.pop("pairs", None)
    frame = pairs(n) if frame is None else frame
    dropped = {str(reason): int(many) for reason, many in frame["reason"].value_counts().items() if reason}
    values: dict[str, Any] = {
        "name": "TFC1 on a small ranker",
        "grid": "heads",
        "stack": "encoder",
        "metric": "effect",
        "direction": "perturbed->original",
        "cells": found,
        "pairs": frame,
        "n_used": int((frame["reason"] == "").sum()),
        "n_queries": frame["query_id"].nunique(),
        "dropped": dropped,
        "groups": {
            "grade": groups(found, "grade", ["0", "1", "2", "3"]),
            "rank": groups(found, "rank", ["1-10", "11-50", "51-100", "101-1000"], 3),
        },
        "covariates": covariates(),
        "provenance": {"ranker": "a/ranker", "ranker_kind": "Cat", "min_change": "0.01", "mechviz": "1.2.3"},
    }
    return StudySummary(**{**values, **fields})


def classes_study(**fields: Any) -> StudySummary:
    """A study of sites and layers by class of token."""
    names = ["query term", "injected", "stop word", "other"]
    found = cells((3, 6, 4), ("site", "layer", "class"), coords={"site": ["resid_pre", "attn_out", "mlp_out"], "class": names})
    return study(**{"cells": found, "grid": "blocks", **fields})


def mlps_study(**fields: Any) -> StudySummary:
    """A study of MLPs: one number a layer."""
    return study(**{"cells": cells((6,), ("layer",), seed=5), "grid": "mlps", **fields})


AXIOMS = ("TFC1", "TFC2", "TFC3", "M-TDC", "LNC1", "STMC1", "PROX1")


def scorecard(n: int = 90, seed: int = 4, axioms: tuple[str, ...] = AXIOMS) -> Scorecard:
    """Axioms that the ranker follows more or less, with all rows counted from the pairs."""
    rng = np.random.default_rng(seed)
    frames = []
    for number, axiom in enumerate(axioms):
        frame = pairs(n, seed + number).drop(columns=["base_score", "source_score", "reason", "perturbation"])
        change = rng.normal(0.6 - 0.25 * number, 0.8, n)
        preferred = rng.choice([1, -1], n) if axiom == "PROX1" else np.ones(n)
        original = frame["original_score"].fillna(3.0).to_numpy()
        frame = frame.assign(axiom=axiom, preferred=preferred.astype(int), original_score=original)
        frames.append(frame.assign(perturbed_score=original + change * preferred, number=np.arange(n) + number * n))
    frame = pd.concat(frames, ignore_index=True)
    dropped = {
        axiom: {"no query term in the document": 12 * number, "too short": number} if number else {}
        for number, axiom in enumerate(axioms)
    }
    return Scorecard("a/ranker", rows_of(frame), frame, dropped, {"ranker": "a/ranker", "ranker_kind": "Cat", "mechviz": "1.2.3"})


def rows_of(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows of a scorecard, with a plain interval instead of a bootstrap."""
    rows = []
    towards = frame.assign(towards=(frame["perturbed_score"] - frame["original_score"]) * frame["preferred"])
    for axiom, of_axiom in towards.groupby("axiom", sort=False):
        named = [("all", "", of_axiom)]
        for group in ("grade", "rank"):
            buckets = of_axiom[group].map(lambda value, group=group: bucket(group, value))
            named += [(group, str(value), of_axiom[buckets == value]) for value in sorted(buckets.unique())]
        for group, value, part in named:
            share, mean = (part["towards"] > 0).mean(), part["towards"].mean()
            error, spread = 1.96 * np.sqrt(share * (1 - share) / len(part)), 1.96 * part["towards"].std() / np.sqrt(len(part))
            bounds = {"satisfied_low": max(0, share - error), "satisfied_high": min(1, share + error)}
            rows.append(
                {
                    "axiom": axiom,
                    "group": group,
                    "value": value,
                    "n": len(part),
                    "satisfied": share,
                    **bounds,
                    "change": mean,
                    "low": mean - spread,
                    "high": mean + spread,
                }
            )
    return pd.DataFrame(rows)
