"""Every family with every kind of ranker that it can be, as tiny checkpoints on disk."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

import mechviz as mv
from mechviz.rankers import Ranker
from mechviz.rankers.families import FAMILIES
from tests.tiny.models import TINY, save

PROMPT = "Query: {query} Document: {doc} Relevant:"


@dataclass(frozen=True)
class Case:
    """One family as one kind of ranker: how its checkpoint is made, and the settings that it is opened with."""

    family: str
    kind: str
    class_name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    layout: str = ""

    @property
    def name(self) -> str:
        return " ".join(filter(None, (self.kind, self.family, self.layout, *map(str, self.settings.values()))))

    @property
    def stacks(self) -> tuple[str, ...]:
        return ("encoder", "decoder", "cross") if self.kind == "MonoT5" else ("",)

    @property
    def mlps(self) -> bool:
        """Whether its layers have MLPs."""
        return self.family != "toy_encoder"

    def save(self, folder: Path) -> Path:
        save(folder, self.family, self.class_name, **self.config)
        if self.layout == "stanford":
            as_colbert(folder)
        elif self.layout == "pylate":
            as_pylate(folder)
        return folder

    def open(self, folder: Path, **options: Any) -> Ranker:
        return getattr(mv, self.kind)(str(folder), **self.settings, **options)


#: ColBERT's layout for each family whose tokenizer has a mask token, by the markers that our tiny tokenizer has.
COLBERT = dict.fromkeys(("bert", "distilbert", "electra", "deberta-v2"), "stanford")
COLBERT |= dict.fromkeys(("roberta", "xlm-roberta", "mpnet", "modernbert"), "pylate")


def _cases() -> list[Case]:
    cases = []
    for name in TINY:
        family = FAMILIES[name.partition(",")[0]]
        pooling = "last" if family.causal else "mean"
        if name != "toy_encoder, solu":  # BERT's layers but for a module: one kind of ranker is enough
            cases.append(Case(name, "Dot", family.base, {"pooling": pooling}))
        cases += [Case(name, "Cat", cls, config={"num_labels": 1}) for cls in family.heads]
        cases += [Case(name, "Splade", cls) for cls in family.masked]
        if family.causal:
            generative = {"prompt": PROMPT, "labels": ("yes", "no")}
            cases += [Case(name, "Generative", cls, generative) for cls in family.generative]
        else:
            cases += [Case(name, "MonoT5", cls, {"labels": ("true", "false")}) for cls in family.generative]
    cases += [
        Case("bert", "Dot", "BertModel", {"pooling": "cls"}),
        Case("bert", "Dot", "BertModel", {"pooling": "max", "query_prefix": "query: ", "doc_prefix": "passage: "}),
        Case("bert", "Cat", "BertForSequenceClassification", config={"num_labels": 2}, layout="two labels"),
        Case(
            "modernbert",
            "Cat",
            "ModernBertForSequenceClassification",
            config={"num_labels": 1, "classifier_pooling": "mean"},
            layout="mean",
        ),
        Case("llama", "Cat", "LlamaForSequenceClassification", {"prompt": "query: {query} document: {doc}"}, {"num_labels": 1}),
    ]
    for name, layout in COLBERT.items():
        cases.append(Case(name, "ColBERT", FAMILIES[name].base, layout=layout))
    return cases


CASES = {case.name: case for case in _cases()}


def as_colbert(folder: Path, **metadata: Any) -> Path:
    """Turn a saved encoder into a checkpoint as ColBERT writes it: a projection beside the encoder, and its metadata."""
    weights = load_file(folder / "model.safetensors")
    weights["linear.weight"] = torch.randn(16, 32, generator=torch.Generator().manual_seed(7))
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "architectures": ["HF_ColBERT"]}))
    said = {
        "query_maxlen": 16,
        "doc_maxlen": 100,
        "mask_punctuation": True,
        "attend_to_mask_tokens": False,
        "similarity": "cosine",
    }
    said |= {"query_token_id": "[unused0]", "doc_token_id": "[unused1]", "dim": 16, **metadata}
    (folder / "artifact.metadata").write_text(json.dumps(said))
    return folder


def as_pylate(folder: Path) -> Path:
    """Turn a saved encoder into a checkpoint as PyLate writes it."""
    (folder / "1_Dense").mkdir()
    weight = torch.randn(16, 32, generator=torch.Generator().manual_seed(7))
    save_file({"linear.weight": weight}, folder / "1_Dense" / "model.safetensors")
    dense = {"in_features": 32, "out_features": 16, "bias": False, "activation_function": "torch.nn.modules.linear.Identity"}
    (folder / "1_Dense" / "config.json").write_text(json.dumps(dense))
    write_modules(folder, [("", "sentence_transformers.models.Transformer"), ("1_Dense", "pylate.models.Dense.Dense")])
    said = {"model_type": "ColBERT", "similarity_fn_name": "MaxSim", "query_prefix": "[Q] ", "document_prefix": "[D] "}
    said |= {"query_length": 16, "document_length": 100, "attend_to_expansion_tokens": True, "do_query_expansion": True}
    said |= {"skiplist_words": [".", ","]}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(said))
    return folder


def write_modules(folder: Path, modules: list[tuple[str, str]]) -> None:
    """Write ``modules.json`` for (folder, class) pairs."""
    entries = [{"idx": i, "name": str(i), "path": path, "type": kind} for i, (path, kind) in enumerate(modules)]
    (folder / "modules.json").write_text(json.dumps(entries))
