"""The score of every kind of ranker by plain `transformers` with eager attention: formulas from the papers and the authors' code.

Nothing here imports mechviz's rankers, families or engine. A plain scorer scores padded batches of texts, and token
sequences that it is given (for grids of patches, whose runs hold fillers).
"""

from __future__ import annotations

import json
import os
import re
import string
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import AutoTokenizer

from mechviz.text import Tokens
from tests.cases import Case
from tests.tiny.models import class_of

#: Families with BERT's names of modules, and its token types.
BERTS = ("bert", "electra", "roberta", "xlm-roberta", "deberta-v2", "toy_encoder")

Batch = dict[str, Tensor]


class Plain:
    """One tiny checkpoint, scored by hand."""

    def __init__(self, case: Case, folder: Path, dtype: torch.dtype = torch.float32) -> None:
        self.case, self.folder = case, folder
        name = case.class_name
        self.model = class_of(name).from_pretrained(folder, attn_implementation="eager", dtype=dtype).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.types = case.family.partition(",")[0] in BERTS
        if case.kind == "ColBERT":
            self.colbert = ColBERTByHand(self)

    # -- one sequence for both texts ----------------------------------------------------------------------------

    @torch.no_grad()
    def scores(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        """Score pairs as one padded batch."""
        return self.differentiable_scores(pairs).numpy()

    def differentiable_scores(self, pairs: Sequence[tuple[str, str]]) -> Tensor:
        queries, docs = [q for q, _ in pairs], [d for _, d in pairs]
        if self.case.kind in ("Dot", "Splade", "ColBERT"):
            return self.compare(
                self.represent("query", self.batch("query", queries)), self.represent("doc", self.batch("doc", docs))
            )
        return self.joint(self.joint_batch(queries, docs))

    def scorer(self, query: str) -> Callable[[Tokens], Tensor]:
        """Return what scores a sequence of the document (rankers that read texts apart) or of both texts, with gradient."""
        apart = self.case.kind in ("Dot", "Splade", "ColBERT")
        with torch.no_grad():
            queries = self.represent("query", self.batch("query", [query])) if apart else None

        def score(tokens: Tokens) -> Tensor:
            arrays = {"input_ids": tokens.ids, "attention_mask": tokens.mask, "token_type_ids": tokens.types}
            batch = {name: torch.tensor(array.astype(np.int64))[None] for name, array in arrays.items()}
            if not self.types:
                del batch["token_type_ids"]
            return (self.joint(batch) if queries is None else self.compare(queries, self.represent("doc", batch)))[0]

        return score

    def joint_batch(self, queries: list[str], docs: list[str]) -> Batch:
        prompt = self.case.settings.get("prompt", "Query: {query} Document: {doc} Relevant:")
        if self.case.kind == "Cat" and "prompt" not in self.case.settings:
            return self.encoded(queries, docs)
        return self.encoded([prompt.format(query=q, doc=d) for q, d in zip(queries, docs, strict=True)])

    def joint(self, batch: Batch) -> Tensor:
        if self.case.kind == "Cat":
            if re.match("Llama|Qwen|Mistral|GPT2", self.case.class_name):  # their own pooling looks for the padding token
                hidden = self.model.base_model(**batch, use_cache=False).last_hidden_state
                logits = self.model.score(take_last(hidden, batch["attention_mask"])).float()
            else:
                logits = self.model(**batch).logits.float()
            return logits[:, 0] if logits.shape[1] == 1 else logits[:, 1] - logits[:, 0]
        yes, no = self.case.settings["labels"]
        if self.case.kind == "MonoT5":
            start = torch.full((len(batch["input_ids"]), 1), self.model.config.decoder_start_token_id)
            logits = self.model(**batch, decoder_input_ids=start).logits[:, 0].float()
            ids = [self.tokenizer.convert_tokens_to_ids(f"▁{label}") for label in (yes, no)]
            return torch.log_softmax(logits[:, ids], -1)[:, 0]
        logits = self.model(**batch).logits
        ids = [self.tokenizer(label, add_special_tokens=False)["input_ids"][0] for label in (yes, no)]
        logits = take_last(logits, batch["attention_mask"]).float()
        return logits[:, ids[0]] - logits[:, ids[1]]

    # -- two texts apart ---------------------------------------------------------------------------------------

    def batch(self, side: str, texts: list[str]) -> Batch:
        if self.case.kind == "ColBERT":
            return self.colbert.batch(side, texts)
        prefix = self.case.settings.get(f"{side}_prefix", "")
        return self.encoded([prefix + text for text in texts])

    def represent(self, side: str, batch: Batch) -> Tensor:
        if self.case.kind == "ColBERT":
            return self.colbert.vectors(side, batch)
        mask = batch["attention_mask"]
        if self.case.kind == "Splade":
            logits = self.model(**batch).logits.float()
            return torch.max(torch.log1p(torch.relu(logits)) * mask[..., None], dim=1).values
        hidden = self.model(**batch).last_hidden_state.float()
        pooling = self.case.settings["pooling"]
        if pooling == "cls":
            return hidden[:, 0]
        if pooling == "last":
            return take_last(hidden, mask)
        rows = [row[seen.bool()] for row, seen in zip(hidden, mask, strict=True)]
        return torch.stack([row.mean(0) if pooling == "mean" else row.max(0).values for row in rows])

    def compare(self, queries: Tensor, docs: Tensor) -> Tensor:
        if self.case.kind == "ColBERT":
            return self.colbert.max_sim(queries, docs)
        return (queries * docs).sum(-1)

    def encoded(self, *texts: list[str]) -> Batch:
        # Padded by hand: some of these tokenizers have no padding token, which the mask makes unnecessary.
        rows = [self.tokenizer(*row) for row in zip(*texts, strict=True)]
        width = max(len(row["input_ids"]) for row in rows)
        pad = {"input_ids": self.tokenizer.pad_token_id or 0, "attention_mask": 0, "token_type_ids": 0}
        names = [name for name in pad if name in rows[0] and (name != "token_type_ids" or self.types)]
        return {name: torch.tensor([row[name] + [pad[name]] * (width - len(row[name])) for row in rows]) for name in names}


class ColBERTByHand:
    """What colbert-ai and PyLate do, for tiny checkpoints: one text at a time."""

    def __init__(self, plain: Plain) -> None:
        self.plain, folder = plain, plain.folder
        self.stanford = plain.case.layout == "stanford"
        file = folder / ("artifact.metadata" if self.stanford else "config_sentence_transformers.json")
        said = json.loads(file.read_text())
        tokenizer = plain.tokenizer
        if self.stanford:
            self.weight = load_file(folder / "model.safetensors")["linear.weight"]
            self.markers = {"query": said["query_token_id"], "doc": said["doc_token_id"]}
            self.length = {"query": said["query_maxlen"], "doc": said["doc_maxlen"]}
            self.attend = said["attend_to_mask_tokens"]
            self.skip = {tokenizer.encode(symbol, add_special_tokens=False)[0] for symbol in string.punctuation}
        else:
            self.weight = load_file(folder / "1_Dense" / "model.safetensors")["linear.weight"]
            self.markers = {"query": said["query_prefix"], "doc": said["document_prefix"]}
            self.length = {"query": said["query_length"], "doc": said["document_length"]}
            self.attend = said["attend_to_expansion_tokens"]
            self.skip = set(tokenizer.convert_tokens_to_ids(said["skiplist_words"]))
        self.ids: dict[str, Tensor] = {}

    def batch(self, side: str, texts: list[str]) -> Batch:
        tokenizer = self.plain.tokenizer
        rows = []
        for text in texts:
            ids = tokenizer(text, truncation=True, max_length=self.length[side] - 1)["input_ids"]
            rows.append([ids[0], tokenizer.convert_tokens_to_ids(self.markers[side]), *ids[1:]])
        width = self.length["query"] if side == "query" else max(map(len, rows))
        filler = tokenizer.mask_token_id if side == "query" else tokenizer.pad_token_id
        mask = [[1] * len(row) + [int(side == "query" and self.attend)] * (width - len(row)) for row in rows]
        return {
            "input_ids": torch.tensor([row + [filler] * (width - len(row)) for row in rows]),
            "attention_mask": torch.tensor(mask),
        }

    def vectors(self, side: str, batch: Batch) -> Tensor:
        arguments = {name: tensor for name, tensor in batch.items() if name != "token_type_ids"}
        hidden = self.plain.model(**arguments).last_hidden_state.float()
        vectors = nn.functional.normalize(hidden @ self.weight.T, dim=-1)
        if side == "query":
            return vectors
        kept = batch["attention_mask"].bool() & ~torch.isin(batch["input_ids"], torch.tensor(sorted(self.skip)))
        return torch.where(kept[..., None], vectors, torch.nan)

    def max_sim(self, queries: Tensor, docs: Tensor) -> Tensor:
        scores = []
        for query, doc in zip(queries, docs, strict=True):
            kept = doc[~doc.isnan().any(-1)]
            scores.append((query @ kept.T).max(1).values.sum())
        return torch.stack(scores)


def take_last(hidden: Tensor, mask: Tensor) -> Tensor:
    """Return the last position of each row that is not masked."""
    return torch.stack([row[seen.nonzero().max()] for row, seen in zip(hidden, mask, strict=True)])


#: Where the output projection of attention lies, by family and stack: a pattern whose first group is the layer.
OUTPUTS = {
    ("distilbert", ""): r"transformer\.layer\.(\d+)\.attention\.out_lin$",
    ("mpnet", ""): r"encoder\.layer\.(\d+)\.attention\.attn\.o$",
    ("modernbert", ""): r"layers\.(\d+)\.attn\.Wo$",
    ("gpt2", ""): r"h\.(\d+)\.attn\.c_proj$",
    **{(name, ""): r"encoder\.layer\.(\d+)\.attention\.output\.dense$" for name in BERTS},
    **{(name, ""): r"layers\.(\d+)\.self_attn\.o_proj$" for name in ("llama", "qwen2", "qwen3", "mistral")},
    **{
        (name, stack): r"encoder\.block\.(\d+)\.layer\.0\.SelfAttention\.o$"
        for name in ("t5", "mt5")
        for stack in ("", "encoder")
    },
    **{(name, "decoder"): r"decoder\.block\.(\d+)\.layer\.0\.SelfAttention\.o$" for name in ("t5", "mt5")},
    **{(name, "cross"): r"decoder\.block\.(\d+)\.layer\.1\.EncDecAttention\.o$" for name in ("t5", "mt5")},
}


def patch_heads_one_at_a_time(
    model: nn.Module, outputs: str, score: Callable[[Tokens], Tensor | float], base: Tokens, source: Tokens
) -> np.ndarray:
    """Return the score after patching z of each head, dims (layer, head): one torch hook and one full forward pass a cell."""
    heads: int = model.config.num_attention_heads
    projections = [module for name, module in model.named_modules() if re.search(outputs, name)]
    seen: list[Any] = []
    with torch.no_grad():
        handles = [p.register_forward_pre_hook(lambda _, args: seen.append(args[0])) for p in projections]
        score(source)
        for handle in handles:
            handle.remove()
        taken = seen
        width = taken[0].shape[-1] // heads
        patched = np.empty((len(projections), heads), dtype=np.float64)
        for layer, projection in enumerate(projections):
            for head in range(heads):
                part = slice(head * width, (head + 1) * width)

                def swap(_: object, args: tuple[Tensor], part: slice = part, new: Tensor = taken[layer]) -> tuple[Tensor]:
                    z = args[0].clone()
                    z[..., part] = new[..., part]
                    return (z,)

                handle = projection.register_forward_pre_hook(swap)
                patched[layer, head] = float(score(base))
                handle.remove()
    return patched


def attribute_heads(
    model: nn.Module, outputs: str, score: Callable[[Tokens], Tensor], base: Tokens, source: Tokens
) -> np.ndarray:
    """Return the gradient estimate of the score after patching z of each head, dims (layer, head), by plain autograd."""
    projections = [module for name, module in model.named_modules() if re.search(outputs, name)]
    seen: list[Tensor] = []
    handles = [p.register_forward_pre_hook(lambda _, args: seen.append(args[0])) for p in projections]
    with torch.no_grad():
        score(source)
    at = score(base)
    for handle in handles:
        handle.remove()
    taken, own = seen[: len(projections)], seen[len(projections) :]
    gradients = torch.autograd.grad(at, own)
    heads: int = model.config.num_attention_heads
    moved = [
        (g * (to - z.detach())).unflatten(-1, (heads, -1)).sum((0, 1, 3)) for g, to, z in zip(gradients, taken, own, strict=True)
    ]
    return (at.detach() + torch.stack(moved)).numpy()


def close(score: float) -> float:
    """The tolerance of the laws on raw scores."""
    # Plain models stay on the CPU, which rounds otherwise than a GPU.
    return (1e-5 if os.environ.get("MECHVIZ_DEVICE", "cpu") == "cpu" else 5e-5) * max(1.0, abs(score))
