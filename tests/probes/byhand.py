"""BERT's cross-encoder taken apart by hand: every component carried forward through plain `transformers`' layers, norms held."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from transformers import AutoTokenizer, BertForSequenceClassification


class Apart:
    """What each component adds to one logit; nothing here imports mechviz.

    A component is carried from where it is written to the classifier as an array, dims (pos, d_model), by the steps that follow.
    """

    def __init__(self, folder: Path, query: str, doc: str) -> None:
        self.model = BertForSequenceClassification.from_pretrained(folder, attn_implementation="eager").eval().double()
        tokens = AutoTokenizer.from_pretrained(folder)(query, doc, return_tensors="pt")
        self.seen: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
        for name, module in self.model.named_modules():
            module.register_forward_hook(lambda _, args, out, name=name: self.seen.__setitem__(name, (args, out)))
        with torch.no_grad():
            output = self.model(**tokens, output_attentions=True)
        self.score = float(output.logits[0, 0])
        self.patterns = [attention[0] for attention in output.attentions]
        self.parts: dict[tuple[str, int, int], torch.Tensor] = {("embed", -1, -1): self.out("bert.embeddings")}
        self.sources: dict[tuple[int, int], torch.Tensor] = {}
        self.run()

    def out(self, name: str) -> torch.Tensor:
        found = self.seen[name][1]
        return (found[0] if isinstance(found, tuple) else found)[0].detach()

    def into(self, name: str) -> torch.Tensor:
        return self.seen[name][0][0][0].detach()

    def norm(self, name: str, layer: int) -> None:
        module = self.model.get_submodule(name)
        entered = self.seen[name][0][0][0].detach()
        sigma = (entered.var(-1, unbiased=False, keepdim=True) + module.eps).sqrt()
        for each in (self.parts, self.sources):
            for key, part in each.items():
                each[key] = (part - part.mean(-1, keepdim=True)) / sigma * module.weight.detach()
        bias = module.bias.detach().expand_as(entered).clone()
        self.parts["bias", layer, len(self.parts)] = bias

    def run(self) -> None:
        heads = self.model.config.num_attention_heads
        for layer in range(self.model.config.num_hidden_layers):
            at = f"bert.encoder.layer.{layer}"
            dense = self.model.get_submodule(f"{at}.attention.output.dense")
            mixed = self.into(f"{at}.attention.output.dense")
            v = self.out(f"{at}.attention.self.value")
            width = mixed.shape[-1] // heads
            for head in range(heads):
                cut = slice(head * width, (head + 1) * width)
                w_o = dense.weight.detach()[:, cut].T
                self.parts["head", layer, head] = mixed[:, cut] @ w_o
                for key in range(len(v)):
                    self.sources[layer * heads + head, key] = torch.outer(self.patterns[layer][head, :, key], v[key, cut] @ w_o)
            self.parts["bias", layer, len(self.parts)] = dense.bias.detach().expand_as(mixed).clone()
            self.norm(f"{at}.attention.output.LayerNorm", layer)
            self.parts["mlp", layer, -1] = self.out(f"{at}.output.dense")
            self.norm(f"{at}.output.LayerNorm", layer)
        dense, classifier = self.model.bert.pooler.dense, self.model.classifier
        before = self.out("bert.pooler.dense") if "bert.pooler.dense" in self.seen else None
        slope = torch.tanh(before) / before
        readout = classifier.weight.detach()[0] * slope
        self.values = {key: float(readout @ (dense.weight.detach() @ part[0])) for key, part in self.parts.items()}
        self.from_source = {key: float(readout @ (dense.weight.detach() @ part[0])) for key, part in self.sources.items()}
        self.values["bias", -1, 0] = float(readout @ dense.bias.detach() + classifier.bias.detach()[0])

    def of(self, kind: str) -> np.ndarray:
        return np.array([value for key, value in sorted(self.values.items()) if key[0] == kind])
