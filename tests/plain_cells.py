"""Any cell of any grid by plain `transformers`: torch hooks and an attention function written out here, one full pass a cell.

Nothing here imports mechviz's rankers, families or engine.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask

from mechviz.text import Tokens
from tests.plain import BERTS, OUTPUTS, Plain

LLAMAS = ("llama", "qwen2", "qwen3", "mistral")
#: Where a layer and the last product of its MLP lie, as `OUTPUTS` says it for attention.
LAYERS = {
    **dict.fromkeys((*BERTS, "mpnet"), r"encoder\.layer\.(\d+)$"),
    **dict.fromkeys(LLAMAS, r"layers\.(\d+)$"),
    "distilbert": r"transformer\.layer\.(\d+)$",
    "modernbert": r"layers\.(\d+)$",
    "gpt2": r"\bh\.(\d+)$",
    "encoder": r"encoder\.block\.(\d+)$",
    "decoder": r"decoder\.block\.(\d+)$",
}
MLPS = {
    **dict.fromkeys((*BERTS, "mpnet"), r"encoder\.layer\.(\d+)\.output\.dense$"),
    **dict.fromkeys(LLAMAS, r"layers\.(\d+)\.mlp\.down_proj$"),
    "distilbert": r"transformer\.layer\.(\d+)\.ffn\.lin2$",
    "modernbert": r"layers\.(\d+)\.mlp\.Wo$",
    "gpt2": r"\bh\.(\d+)\.mlp\.c_proj$",
    "encoder": r"encoder\.block\.(\d+)\.layer\.1\.DenseReluDense\.wo$",
    "decoder": r"decoder\.block\.(\d+)\.layer\.2\.DenseReluDense\.wo$",
}
#: These compute attention inside their modules and call no attention function.
OWN_ATTENTION = ("mpnet", "deberta-v2")


@dataclass(frozen=True)
class Spot:
    """What one edit of a cell replaces; all of what is None."""

    site: str
    layer: int
    head: int | None = None
    pos: int | None = None
    neuron: int | None = None


@dataclass
class Attending:
    """What the attention function below is told and what it tells, during one pass of a model."""

    count: int = 0
    seen: dict[tuple[int, str], Tensor] = field(default_factory=dict)
    edits: list[tuple[int, str, int, int | None, Tensor]] = field(default_factory=list)

    def show(self, number: int, site: str, value: Tensor) -> Tensor:
        """Keep a value, dims (1, head, query or key pos, ...), and return it edited."""
        self.seen[number, site] = value.detach()
        for at, name, head, pos, new in self.edits:
            if (at, name) == (number, site):
                value = value.clone()
                where = slice(None) if pos is None else pos
                value[:, head, where] = new[:, head, where]
        return value


NOW = Attending()


def attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    position_bias: Tensor | None = None,
    **kwargs: Any,
) -> tuple[Tensor, Tensor]:
    number = NOW.count
    NOW.count += 1
    shared = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(shared, 1), value.repeat_interleave(shared, 1)
    query, key, value = (NOW.show(number, site, x) for site, x in zip("qkv", (query, key, value), strict=True))
    scores = query @ key.transpose(2, 3) * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    for added in (position_bias, attention_mask):
        scores = scores if added is None else scores + added
    pattern = NOW.show(number, "pattern", torch.softmax(scores, -1))
    z = NOW.show(number, "z", pattern @ value)
    return z.transpose(1, 2).contiguous(), pattern


AttentionInterface.register("tests", attend)
AttentionMaskInterface.register("tests", eager_mask)


class PlainCells:
    """Scores of cells of one pair, for one plain checkpoint."""

    def __init__(self, plain: Plain, stack: str, score: Callable[[Tokens], Tensor], base: Tokens, source: Tokens) -> None:
        family = plain.case.family.partition(",")[0]
        t5 = family in ("t5", "mt5")
        blocks = ("decoder" if stack in ("decoder", "cross") else "encoder") if t5 else family
        self.score, self.base = score, base
        self.model = plain.model
        self.own = family in OWN_ATTENTION
        if not self.own:
            self.model.set_attn_implementation("tests")
        named = dict(self.model.named_modules())

        def modules(pattern: str) -> list[Any]:
            return [module for name, module in named.items() if re.search(pattern, name)]

        outputs, mlps = modules(OUTPUTS[family, stack]), modules(MLPS[blocks])
        self.mlps = bool(mlps)
        self.places = {
            "resid_pre": (modules(LAYERS[blocks]), True),
            "attn_out": (outputs, False),
            "mlp_out": (mlps, False),
            "mlp_post": (mlps, True),
            "z": (outputs, True),
        }
        self.n_layers, self.n_heads = len(outputs), self.model.config.num_attention_heads
        n_encoder = self.model.config.num_layers if t5 else 0
        decoder_call = {"decoder": 0, "cross": 1}.get(stack)
        self.calls = [layer if decoder_call is None else n_encoder + 2 * layer + decoder_call for layer in range(self.n_layers)]
        self.taken = self.run(source, [])[1]

    def patched(self, spots: Sequence[Spot]) -> float:
        """Return the score of the base run with all of the spots patched."""
        return self.run(self.base, [(spot, self.taken[spot.site, spot.layer]) for spot in spots])[0]

    def along(self, sender: str, receiver: str, mlps_free: bool = False) -> float:
        """Return the score of a path, as Wang et al. define it: two passes of the base text.

        In the first the sender has its source value and all other heads (and MLPs) their base values, and what the receiver
        reads is kept; in the second the receiver reads that.
        """
        own = self.run(self.base, [])[1]
        last = self.n_layers if receiver == "score" else int(receiver.removeprefix("mlp.").split(".")[0])
        edits = [(Spot("z", layer), own["z", layer]) for layer in range(last + receiver.startswith("mlp"))]
        if self.mlps and not mlps_free:
            edits += [(Spot("mlp_out", layer), own["mlp_out", layer]) for layer in range(last)]
        if sender == "embed":
            edits.append((Spot("resid_pre", 0), self.taken["resid_pre", 0]))
        elif sender.startswith("mlp"):
            layer = int(sender.partition(".")[2])
            edits.append((Spot("mlp_out", layer), self.taken["mlp_out", layer]))
        else:
            layer, head = map(int, sender.split("."))
            edits.append((Spot("z", layer, head), self.taken["z", layer]))
        score, seen = self.run(self.base, edits)
        if receiver == "score":
            return score
        if receiver.startswith("mlp"):
            return self.run(self.base, [(Spot("mlp_out", last), seen["mlp_out", last])])[0]
        head, sites = int(receiver.split(".")[1]), receiver.split(".")[2:] or ["q", "k", "v"]
        return self.run(self.base, [(Spot(site, last, head), seen[site, last]) for site in sites])[0]

    @torch.no_grad()
    def run(self, tokens: Tokens, edits: Sequence[tuple[Spot, Tensor]]) -> tuple[float, dict[tuple[str, int], Tensor]]:
        """Return the score with some activations replaced, and what is at every site and layer, edits included."""
        seen: dict[tuple[str, int], Tensor] = {}
        NOW.count, NOW.seen, NOW.edits = 0, {}, []
        handles = [self._hook(spot, new) for spot, new in edits]
        for site, (modules, before) in self.places.items():
            for layer, module in enumerate(modules):
                handles.append(self._look(module, before, seen, (site, layer)))
        try:
            score = float(self.score(tokens))
        finally:
            for handle in handles:
                if handle is not None:
                    handle.remove()
        layers = {call: layer for layer, call in enumerate(self.calls)}
        inside = {(site, layers[call]): value for (call, site), value in NOW.seen.items() if call in layers and site != "z"}
        NOW.edits = []
        return score, {**seen, **inside}

    @staticmethod
    def _look(module: Any, before: bool, seen: dict[tuple[str, int], Tensor], key: tuple[str, int]) -> Any:
        if before:
            return module.register_forward_pre_hook(lambda _, args: seen.__setitem__(key, args[0]))
        return module.register_forward_hook(lambda _, args, output: seen.__setitem__(key, output))

    def _hook(self, spot: Spot, new: Tensor) -> Any:
        if spot.site in ("q", "k", "v", "pattern"):
            assert spot.head is not None
            NOW.edits.append((self.calls[spot.layer], spot.site, spot.head, spot.pos, new))
            return None
        modules, before = self.places[spot.site]

        def put(old: Tensor) -> Tensor:
            rows = slice(None) if spot.pos is None else spot.pos
            columns: Any = slice(None) if spot.neuron is None else spot.neuron
            if spot.head is not None:
                width = new.shape[-1] // self.n_heads
                columns = slice(spot.head * width, (spot.head + 1) * width)
            value = old.clone()
            value[:, rows, columns] = new[:, rows, columns]
            return value

        module = modules[spot.layer]
        if before:
            return module.register_forward_pre_hook(lambda _, args: (put(args[0]), *args[1:]))
        return module.register_forward_hook(lambda _, args, output: put(output))
