"""Relation detectors on all-MiniLM: which of several equal tokens is the copy of which, in a text with its shuffled copy.

``MECHVIZ_DATA=... python -m benchmarks.probes.relations``

Passages of TREC DL are read from ``trecdl/pairs.tsv`` under MECHVIZ_DATA: distinct ones of three to eight sentences that fit the
model twice, in the order of the file; the first are learned on, the next measured. Three detectors: attention as it is, its share
among the tokens of the copy, and the latter averaged along the diagonal, which uses that copies come in runs. The last is to be
read beside the baseline that counts equal strings around the two tokens.
"""

from __future__ import annotations

import csv
import os
import time
from pathlib import Path
from typing import Any

from benchmarks.machine import describe
from benchmarks.table import Row, print_table
from benchmarks.texts import all_minilm
from mechviz.probes.detector import RelationDetector
from mechviz.probes.relations import aligned_copy
from mechviz.probes.report import BASELINES, PREVALENCE
from mechviz.rankers import Ranker
from mechviz.text.perturb import append_query_term
from mechviz.text.sentences import sentences

TRAIN, TEST = 60, 30
SENTENCES = (3, 8)
#: Tokens of a passage and its copy.
LENGTH = 180
SLICE = "repeated tokens"
AIM = 0.9
PLAIN, AIMED = "attention", "share of attention, context 2"
DETECTORS: dict[str, dict[str, Any]] = {
    PLAIN: {},
    "share of attention": {"scale": "share"},
    AIMED: {"scale": "share", "context": 2},
}
HEADS, DRAWS = 6, 5


def passages(ranker: Ranker, count: int) -> list[tuple[str, str]]:
    """Return so many passages, each with a query that it was judged for."""
    folder = os.environ.get("MECHVIZ_DATA")
    if not folder:
        raise SystemExit("set MECHVIZ_DATA to the folder that has trecdl/pairs.tsv")
    found: dict[str, str] = {}
    with (Path(folder) / "trecdl" / "pairs.tsv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            text = row["text"]
            if text in found or not SENTENCES[0] <= len(sentences(text)) <= SENTENCES[1]:
                continue
            if 2 * len(ranker.tokenizer(text)["input_ids"]) <= LENGTH:
                found[text] = row["query"]
            if len(found) == count:
                return [(query, text) for text, query in found.items()]
    raise SystemExit(f"only {len(found)} of {count} passages found")


def rows() -> list[Row]:
    """Measure."""
    ranker = all_minilm()
    texts = passages(ranker, TRAIN + TEST)
    found = []
    for name, settings in DETECTORS.items():
        began = time.perf_counter()
        detector = RelationDetector(aligned_copy(), ranker, **settings).fit(texts[:TRAIN])
        fitted = time.perf_counter()
        report = detector.evaluate(texts[TRAIN:])
        done = time.perf_counter()
        print(f"{name}: {detector}\n\n{report}\n", flush=True)
        line, every = report.at(slice_=SLICE), report.at()
        of = f"{SLICE} ({int(line['positives']):,} of {int(line['pairs']):,} pairs)"
        best = name == AIMED
        found.append(
            Row(
                f"aligned copy, {of}, {name}: AUC",
                _bounded(line),
                f"at least {AIM}",
                bool(line["auc"] >= AIM),
            )
        )
        if best:
            methods = [method for method in BASELINES if method != PREVALENCE]
            found += [Row(f"aligned copy, {SLICE}, {method}", _bounded(report.at(method, SLICE))) for method in methods]
        found.append(
            Row(
                f"aligned copy, all pairs (prevalence {every['prevalence']:.4f}), {name}: AUC / PR-AUC / P@1",
                " / ".join(f"{every[figure]:.3f}" for figure in ("auc", "pr_auc", "p_at_1")),
            )
        )
        found.append(Row(f"learning on {TRAIN}, measuring on {TEST} passages", f"{fitted - began:.0f} s, {done - fitted:.0f} s"))
        if name == PLAIN:
            print(detector.ablate(texts[TRAIN:], n=HEADS, draws=DRAWS, perturb=append_query_term()), "\n", flush=True)
    return found


def _bounded(line: Any) -> str:
    return f"{line['auc']:.3f} ({line['auc_low']:.3f} to {line['auc_high']:.3f})"


if __name__ == "__main__":
    print(describe(), "\n")
    print_table(rows())
