"""The model card of a trained toy, from its ``figures.json``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.toys.inside import WHAT, Found

Figures = Mapping[str, Any]

#: nDCG@10 on 2019 that was aimed at.
AIMS = {"cat": 0.73, "dot": 0.71, "dot-attn-only": 0.71, "cat-attn-only": 0.72, "monot5": 0.70}
#: Spearman with TAS-B's change, and share of positive changes.
AIM_SPEARMAN, AIM_POSITIVE = 0.70, 0.95
#: A head looks for copies if it attends to them this many times as much as to other tokens of the other text.
LOOKS = 3.0

_KINDS = {
    "Dot": "a bi-encoder: the cosine of two mean-pooled vectors",
    "Cat": "a cross-encoder: one logit, read at CLS",
    "MonoT5": "a T5 that is read at its decoder's first step: the log-softmax of the label `true` over `false`",
}
_MLPS = {
    "none": "attention only: its layers have no MLPs",
    "gelu": "with MLPs (GELU)",
    "solu": "with MLPs (SoLU)",
}
_TEXTS = (
    "Passages of MS MARCO that TREC's Deep Learning track of 2020 judged, without those that the queries of 2019 have too; every "
    "fourth text of Vaswani, and Cranfield's, of which no query and no judgement was read; the words of mechviz's own examples "
    "are in the vocabulary."
)
_COLLECTIONS = {"trecdl": "TREC DL 2019", "vaswani": "Vaswani", "cranfield": "Cranfield"}


def card(name: str, figures: Figures) -> str:
    """Return the card in Markdown.

    Parameters
    ----------
    name : str
        The folder's, such as ``cat``.
    figures : mapping
        What ``judge`` wrote: ``training`` of the toy that is shipped, ``runs`` (one a seed, that one first), ``baselines``,
        ``inside``.
    """
    training = figures["training"]
    parts = [_front(name, training), _what(name, training), _use(name), _data(training), _figures(name, figures)]
    parts += [_encouraged(training), _inside(figures["inside"]), _limits(), _licence()]
    return "\n".join(parts)


def _front(name: str, training: Figures) -> str:
    tags = ["mechviz", "mechanistic-interpretability", "information-retrieval", "toy-model", training["kind"].lower()]
    return "\n".join(
        [
            "---",
            "license: other",
            "license_name: mechviz-toy-weights",
            "license_link: ../LICENSE",
            "language: en",
            "library_name: transformers",
            "pipeline_tag: text-ranking",
            "tags:",
            *(f"- {tag}" for tag in tags),
            "---",
            "",
            f"# toy/{name}",
            "",
        ]
    )


def _what(name: str, training: Figures) -> str:
    layers = training["layers"]
    layers = f"{layers} layer{'' if layers == 1 else 's'}" if isinstance(layers, int) else str(layers)
    return (
        f"A ranker small enough to understand whole, made for learning and for tests: {_KINDS[training['kind']]}. {layers} of 4 "
        f"heads, {_MLPS[training['activation']]}, {training['vocabulary']:,} word pieces. It comes with mechviz and needs no "
        "network.\n"
    )


def _use(name: str) -> str:
    return f'```python\nimport mechviz as mv\n\nranker = mv.load("toy/{name}")\n```\n'


def _data(training: Figures) -> str:
    lines = [
        "## Data and recipe",
        "",
        f"{_TEXTS} {training['data']}",
        "",
        *(f"- {sentence}" for sentence in training["recipe"]),
        "",
    ]
    lines += [
        (
            f"{training['steps']:,} steps, a fixed number, in {training['seconds'] / 60:.1f} minutes on {training['threads']} "
            f"thread{'' if training['threads'] == 1 else 's'}. Seed {training['seed']}: one seed gives one result."
        ),
        "",
    ]
    return "\n".join(lines)


def _figures(name: str, figures: Figures) -> str:
    runs, baselines = figures["runs"], figures["baselines"]
    seeds = [run["training"].get("seed", "?") for run in runs]
    lines = [
        "## Figures",
        "",
        "The queries of 2019 and their passages are in no training data; settings were chosen on those of 2020 alone. nDCG@10 "
        "with its standard error over queries; gain 2^grade - 1, ideal over the pool, in TREC DL; gain 0 or 1, ideal over all "
        "relevant documents, in the other two. Each list is reranked: "
        + "; ".join(one["what"] for one in baselines.values())
        + ".",
        "",
        _row("", *(f"seed {seed}" for seed in seeds), "BM25", "random order", "aim"),
        _row(*["---"] * (len(seeds) + 4)),
    ]
    for collection, label in _COLLECTIONS.items():
        ours = [_with_error(run["ndcg"][collection]) for run in runs]
        known = baselines[collection]
        aim = f"{AIMS[name]:.2f}" if collection == "trecdl" else ""
        lines.append(_row(f"nDCG@10, {label}", *ours, _with_error(known["bm25"]), f"{known['random']:.3f}", aim))
    for key, label, aim in (
        ("spearman", "Spearman with TAS-B's change", f"{AIM_SPEARMAN:.2f}"),
        ("positive", "share of changes that are positive", f"{AIM_POSITIVE:.2f}"),
    ):
        for what, suffix in (("term", ", a query term added"), ("control", ", a term of another query added")):
            ours = [_with_error(run["tfc1"][what][key]) for run in runs]
            lines.append(_row(label + suffix, *ours, "", "", aim if what == "term" else "control"))
    changes = [f"{run['tfc1']['term']['change']['mean']:+.3f}, {run['tfc1']['control']['change']['mean']:+.3f}" for run in runs]
    lines.append(_row("mean change of the score: query term, control", *changes, "", "", ""))
    alone = "; no other seed was trained" if len(seeds) == 1 else ""
    lines += [
        "",
        (
            f"Shipped: seed {seeds[0]}, not picked{alone}. "
            f"The lower part is of {runs[0]['tfc1']['rows']:,} passages with one word "
            "added, and the score change of TAS-B that was recorded for them; all recorded changes are positive, so that a "
            "ranker which likes any new word would agree in sign: the control, a term of another query of about the same idf, "
            "tells them apart."
        ),
        "",
        _verdict(name, runs[0]),
        "",
    ]
    return "\n".join(lines)


def _verdict(name: str, run: Figures) -> str:
    """Say which aims the shipped toy missed, by how much."""
    reached = {
        "nDCG@10 on TREC DL 2019": (run["ndcg"]["trecdl"]["mean"], AIMS[name]),
        "Spearman with TAS-B's change": (run["tfc1"]["term"]["spearman"]["mean"], AIM_SPEARMAN),
        "share of positive changes": (run["tfc1"]["term"]["positive"]["mean"], AIM_POSITIVE),
    }
    missed = [f"{what} is {value:.3f}, aimed at {aim:.2f}" for what, (value, aim) in reached.items() if value < aim]
    return f"**Short of its aims:** {'; '.join(missed)}." if missed else "All aims are reached."


def _encouraged(training: Figures) -> str:
    sentences = [f"- {sentence}" for sentence in training["encouraged"]] or ["- Nothing: weights start at random."]
    return "\n".join(["## What was encouraged by initialisation", "", *sentences, ""])


def _inside(inside: Figures) -> str:
    heads = [Found(**head) for head in inside["heads"]]
    several = len({head.stack for head in heads}) > 1
    attention = "attention of a bi-encoder" if inside["apart"] else "attention"
    lines = [
        "## What was found inside",
        "",
        _said(heads, bool(inside["apart"]), several),
        "",
        f"{inside['pairs']} pairs of the queries of 2020, heads by the size of their effect:",
        "",
        *(f"- *{column}*: {WHAT[column]}." for column in ("effect", attention, "change left", "nDCG without")),
        "",
        _row("head", "effect", "q", "attention: same / other", "change left", f"nDCG without (with: {inside['ndcg']:.3f})"),
        _row(*["---"] * 6),
    ]
    for head in sorted(heads, key=lambda one: -abs(one.effect)):
        looks = "" if head.same is None or head.other is None else f"{head.same:.3f} / {head.other:.3f}"
        effect = f"{head.effect:+.3f} [{head.low:+.3f}, {head.high:+.3f}]"
        lines.append(_row(_named(head, several), effect, f"{head.q:.2g}", looks, f"{head.left:.0%}", f"{head.ndcg:.3f}"))
    return "\n".join([*lines, ""])


def _said(heads: list[Found], apart: bool, several: bool) -> str:
    """Say it in words, by rules and not by eye."""
    matching = [head for head in heads if _looks(head) and _sure(head)]
    idle = [head for head in heads if _looks(head) and not _sure(head)]
    whom = "words that the query has" if apart else "the same token in the other text"
    top = max(heads, key=lambda head: abs(head.effect))
    others = [head.left for head in heads if head is not top]
    said = [
        (
            f"Heads that attend to {whom} at least {LOOKS:g} times as much as to others and carry a part of the change that is "
            f"surely not 0: {_list(matching, several)}."
        )
    ]
    if idle:
        said.append(f"So do {_list(idle, several)}, but their effect may be 0: attention is not effect.")
    said.append(
        f"The largest effect is that of {_named(top, several)}; without it {top.left:.0%} of the change is left, without any one "
        f"of the other heads {min(others):.0%} to {max(others):.0%}."
    )
    return " ".join(said)


def _looks(head: Found) -> bool:
    return head.same is not None and head.other is not None and head.same >= LOOKS * head.other


def _sure(head: Found) -> bool:
    return head.low > 0 or head.high < 0


def _named(head: Found, several: bool) -> str:
    return f"{head.stack} {head.name}" if several else head.name


def _list(heads: list[Found], several: bool) -> str:
    return ", ".join(_named(head, several) for head in heads) or "none"


def _limits() -> str:
    return "\n".join(
        [
            "## Limits",
            "",
            "- A toy: it knows a small vocabulary, short passages in English and web questions. Nothing should be ranked by it.",
            (
                "- It learned from a small teacher and from the judgements of 54 queries; what it does inside need not be what a "
                "large ranker does."
            ),
            (
                "- The pools hold passages that were chosen by their score change, not at random: figures on them compare only "
                "with each other. Differences under 0.02 mean little with 43 queries."
            ),
            "- Weights are stored as float16 and run in float32; the figures are of the stored weights.",
            "",
        ]
    )


def _licence() -> str:
    return (
        "## Licence\n\nThe weights: non-commercial research only, as MS MARCO's terms have it; see `../LICENSE`. The teacher, "
        "all-MiniLM-L6-v2, and the code of mechviz are under the Apache License 2.0.\n"
    )


def _with_error(figure: Figures) -> str:
    return f"{figure['mean']:.3f} ± {figure['se']:.3f}"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
