"""The heads grid of one pair: `mv.patch` against a plain loop of torch hooks, and against the machine."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from transformers import BertModel

import mechviz as mv
from benchmarks.machine import Product, medians
from benchmarks.table import Row
from benchmarks.texts import CHANGE, QUERY, all_minilm, document
from mechviz.text import Tokens

LENGTHS = (31, 115, 255)
REPEATS = 9


class PlainLoop:
    """What a careful person writes without mechviz: transformers as it comes, one hook and one forward pass a cell."""

    def __init__(self, folder: str, query: Tensor, base: Tokens, source: Tokens) -> None:
        self.model = BertModel.from_pretrained(folder).eval()
        self.query, self.base, self.source = query, self._batch(base), self._batch(source)
        self.outputs = [layer.attention.output.dense for layer in self.model.encoder.layer]
        self.width = self.model.config.hidden_size // self.model.config.num_attention_heads

    @torch.no_grad()
    def __call__(self) -> np.ndarray:
        """Return patched scores, dims (layer, head)."""
        z: list[Tensor] = []
        handles = [output.register_forward_pre_hook(lambda _, args: z.append(args[0])) for output in self.outputs]
        self._score(self.source)
        for handle in handles:
            handle.remove()
        self._score(self.base)
        scores = [
            [self._cell(output, z[i], head) for head in range(self.model.config.num_attention_heads)]
            for i, output in enumerate(self.outputs)
        ]
        return np.array(scores)

    def _cell(self, output: nn.Module, source: Tensor, head: int) -> float:
        part = slice(head * self.width, (head + 1) * self.width)

        def swap(_: nn.Module, args: tuple[Tensor]) -> tuple[Tensor]:
            z = args[0].clone()
            z[..., part] = source[..., part]
            return (z,)

        handle = output.register_forward_pre_hook(swap)
        try:
            return self._score(self.base)
        finally:
            handle.remove()

    def _score(self, batch: dict[str, Tensor]) -> float:
        pooled = self.model(**batch).last_hidden_state[0].mean(0)
        return float(pooled @ self.query / pooled.norm())

    def _batch(self, tokens: Tokens) -> dict[str, Tensor]:
        names = {"input_ids": tokens.ids, "attention_mask": tokens.mask.astype(np.int64), "token_type_ids": tokens.types}
        return {name: torch.tensor(array)[None] for name, array in names.items()}


def useful_gflop(ranker: mv.Dot, positions: int) -> float:
    """Return the closed-form minimum of the grid: for each cell the MLP of its layer and all of the layers above."""
    config = ranker.model.config
    d, d_mlp, layers = config.hidden_size, config.intermediate_size, config.num_hidden_layers
    mlp = 4 * positions * d * d_mlp
    layer = mlp + 8 * positions * d * d + 4 * positions**2 * d
    return config.num_attention_heads * (layers * mlp + layers * (layers - 1) // 2 * layer) / 1e9


def rows() -> list[Row]:
    """Measure each length."""
    ranker, product = all_minilm(), Product()
    found: list[Row] = []
    for positions in LENGTHS:
        doc = document(ranker, positions)
        pair = mv.make_pair(ranker, QUERY, doc, CHANGE)
        assert len(pair.base) == positions
        with torch.no_grad():
            query = ranker.vectors([ranker.tokenize(QUERY, doc)], "query")[0]
        loop = PlainLoop(ranker.model.config._name_or_path, query, pair.base, pair.source)
        result = mv.patch(ranker, QUERY, doc, CHANGE)
        difference = np.abs(result.patched.values - loop()).max()
        assert difference < 1e-4, f"the two do not compute the same: {difference}"
        works = {
            "loop": loop,
            "exact": lambda doc=doc: mv.patch(ranker, QUERY, doc, CHANGE),
            "preview": lambda doc=doc: mv.patch(ranker, QUERY, doc, CHANGE, method="attribution"),
            "product": product,
        }
        time = medians(works, REPEATS)
        ratio, aim = time["exact"] / time["loop"], 1 / 3 if positions == 31 else 1 / 2
        speed, peak = useful_gflop(ranker, positions) / time["exact"], product.gflop / time["product"]
        where = f"heads grid, exact, {positions} tokens"
        found += [
            Row(
                f"{where}: time over the plain loop's",
                f"{ratio:.2f} ({time['exact']:.2f} s / {time['loop']:.2f} s)",
                f"{aim:.2f}",
                ratio <= aim,
            ),
            Row(
                f"{where}: useful GFLOP/s over the 2048 x 2048 product's",
                f"{speed / peak:.2f} ({speed:.0f} / {peak:.0f})",
                "0.85" if positions > 31 else "",
                speed / peak >= 0.85 if positions > 31 else None,
            ),
            Row(f"{where}: largest difference from the plain loop's scores", f"{difference:.0e}", "1e-4", True),
            Row(
                f"attribution preview, {positions} tokens",
                f"{time['preview']:.2f} s, Pearson with exact {_agreement(ranker, doc, result):.2f}",
            ),
        ]
    return found


def _agreement(ranker: mv.Dot, doc: str, exact: mv.PatchResult) -> float:
    estimate = mv.patch(ranker, QUERY, doc, CHANGE, method="attribution").patched.values
    return float(np.corrcoef(estimate.ravel(), exact.patched.values.ravel())[0, 1])
