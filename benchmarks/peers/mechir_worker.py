"""MechIR's side of a benchmark: reads one pair a line, patches a grid of it, answers with its scores and the time it took.

Runs in the environment of requirements.txt, started by `benchmarks.peers.mechir`. A line is
``{"model": folder, "query_ids": [...], "base_ids": [...], "source_ids": [...], "grid": "heads" | "blocks"}``, the answer
``{"seconds": ..., "scores": nested list, "base": ..., "source": ...}``. Every use of MechIR is the one its README shows,
save that ids come in where its collator would tokenize; that collator also pads each document to 300 positions, which
costs it several times as much, so that it is left out here in MechIR's favour.

A line with ``"batch": [[query ids, base ids, source ids], ...]`` in place of the ids is one step of its README's loop: heads of
several pairs at once, padded to ``"padded": [query length, document length]`` as its collator does, or not at all where that is
null. The scores are then means over the pairs.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import sys
import time
from typing import Any

import torch
from mechir import Dot
from torch import Tensor

PATCH_TYPES = {"heads": "head_all", "blocks": "block_all"}
WARM_UP = [0] * 32  # ids that any vocabulary has

Texts = dict[str, dict[str, Tensor]]


@functools.cache
def load(folder: str) -> Dot:
    """Return the ranker, warmed up by one grid."""
    # The checkpoint's pooling is "mean"; MechIR reads no sentence-transformers files and takes "cls" unless told.
    # It has no scaling to length 1: scores are plain dot products.
    ranker = Dot(folder, pooling_type="mean")
    ranker.patch(**texts(WARM_UP, WARM_UP, WARM_UP), patch_type="head_all")
    return ranker


def texts(query: list[int], base: list[int], source: list[int]) -> Texts:
    """Return what MechIR's collator would: its ``documents`` is the run patched into, activations are the perturbed one's."""
    return {"queries": _batch(query), "documents": _batch(base), "perturbed_documents": _batch(source)}


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Patch one grid."""
    ranker = load(request["model"])
    batch = _step(request) if "batch" in request else texts(request["query_ids"], request["base_ids"], request["source_ids"])
    runs: dict[str, float] = {}

    def raw(patched: Tensor, base: Tensor, source: Tensor) -> Tensor:
        # In place of MechIR's ratio, which could not be compared where base and source score nearly the same.
        if not runs:
            runs.update(base=base.mean().item(), source=source.mean().item())
        return patched

    start = time.perf_counter()
    scores, _ = ranker.patch(**batch, patch_type=PATCH_TYPES[request["grid"]], patching_metric=raw)
    return {"seconds": time.perf_counter() - start, "scores": scores.tolist(), **runs}


def main() -> None:
    """Answer until there are no more lines; the only argument is the number of threads."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # MechIR and TransformerLens print
    logging.disable(logging.WARNING)  # that the folder is no official name, and that BERT is experimental
    torch.set_num_threads(int(sys.argv[1]))
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), file=answers, flush=True)


def _step(request: dict[str, Any]) -> Texts:
    """Return what MechIR's collator returns for several pairs."""
    query_length, doc_length = request["padded"] or (None, None)
    queries, bases, sources = zip(*request["batch"], strict=True)
    return {
        "queries": _rows(queries, query_length or max(map(len, queries))),
        "documents": _rows(bases, doc_length),
        "perturbed_documents": _rows(sources, doc_length),
    }


def _rows(texts: tuple[list[int], ...], length: int | None) -> dict[str, Tensor]:
    wanted = length or len(texts[0])
    assert all(len(ids) <= wanted for ids in texts), "a text is longer than the padding"
    ids = torch.tensor([[*ids, *[0] * (wanted - len(ids))] for ids in texts])
    mask = torch.tensor([[*[1] * len(ids), *[0] * (wanted - len(ids))] for ids in texts])
    return {"input_ids": ids, "attention_mask": mask}


def _batch(ids: list[int]) -> dict[str, Tensor]:
    row = torch.tensor([ids])
    return {"input_ids": row, "attention_mask": torch.ones_like(row)}


if __name__ == "__main__":
    main()
