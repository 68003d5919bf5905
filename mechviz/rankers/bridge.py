"""TransformerLens's `TransformerBridge` around a copy of a ranker's model, described by its family file.

One adapter serves every family; TransformerLens's own are used for the classes that they are made for, those which
predict the next token. Nothing is registered with TransformerLens. No other file imports what it does not document.
"""

from __future__ import annotations

import copy
import math
from functools import partial
from itertools import takewhile
from typing import Any

import torch
from torch import Tensor, nn
from transformer_lens.factories.architecture_adapter_factory import ArchitectureAdapterFactory
from transformer_lens.hook_points import HookPoint
from transformer_lens.model_bridge import generalized_components as components
from transformer_lens.model_bridge.architecture_adapter import ArchitectureAdapter
from transformer_lens.model_bridge.generalized_components.base import GeneralizedComponent
from transformer_lens.model_bridge.sources._bridge_builder import build_bridge_config_from_hf
from transformer_lens.model_bridge.transformer_bridge import TransformerBridge
from transformers import PreTrainedModel

from mechviz.errors import UnsupportedModelError
from mechviz.rankers.attention import FORWARDS, IMPLEMENTATION, POINTS
from mechviz.rankers.families import Attention, Blocks, Family, Head
from mechviz.rankers.families.family import Path
from mechviz.rankers.hooked import HookedModel
from mechviz.rankers.stack import find, mlp_out_of

#: Largest difference from the plain model that a bridge may have, relative to the model's largest output; in half
#: precision a few roundings.
TOLERANCE = 1e-5

# What family files do not say, because no score needs it: the paths that projections and norms have in some family.
# DeBERTa's projections are left out, since it uses them a second time, on relative positions.
_PROJECTIONS = (("query", "key", "value"), ("q_lin", "k_lin", "v_lin"), ("q_proj", "k_proj", "v_proj"), ("q", "k", "v"))
_JOINT_PROJECTIONS = ("Wqkv", "c_attn")
_NORMS_BEFORE_ATTENTION = ("input_layernorm", "ln_1", "attn_norm")
_GATED_PROJECTIONS = ("up_proj", "wi_1")

Parts = dict[str, GeneralizedComponent]


def make_bridge(hooked: HookedModel) -> TransformerBridge:
    """Return a bridge on a copy of a model; the model itself is only read, never run.

    The bridge takes token ids and what else the model takes: ``bridge(ids, attention_mask=..., token_type_ids=...)``.
    It returns logits, or the last hidden state of a class without a head.

    Raises
    ------
    UnsupportedModelError
        It cannot be built, or does not compute from random tokens what the model computes with eager attention.
    """
    name = type(hooked.model).__name__
    hint = "ranker.hooks and ranker.run_with_cache work without it"
    try:
        with hooked.lock:  # another thread's run switches attention and adds hooks, which the copy would keep
            model = copy.deepcopy(hooked.model)
        model.train(False)
        probe = _probe(model, hooked.family)
        # What is compared with comes from the copy before it is wrapped: the caller's own may have hooks set.
        model.set_attn_implementation("eager")
        with torch.no_grad():
            plain = model(**probe)
            expected: Tensor = plain.logits if "logits" in plain else plain.last_hidden_state
            bridge = _wrap(model, hooked)
            found: Tensor = bridge(probe.pop("input_ids"), **probe)
    except Exception as error:  # whatever TransformerLens runs into
        raise UnsupportedModelError(
            f"no TransformerBridge can be built on {name} ({type(error).__name__}: {error}); {hint}"
        ) from error
    same, allowed = found.shape == expected.shape, max(TOLERANCE, 8 * torch.finfo(expected.dtype).eps)
    difference = float((found - expected).abs().max() / expected.abs().max()) if same else math.inf
    if not difference <= allowed:  # NaN is refused too
        raise UnsupportedModelError(
            f"a TransformerBridge on {name} does not compute what the model computes: from random tokens with padding its "
            f"output, dims {tuple(found.shape)}, is off by {difference:.1e} of the model's largest, dims "
            f"{tuple(expected.shape)} ({allowed:.0e} is allowed); {hint}"
        )
    return bridge


def _probe(model: PreTrainedModel, family: Family) -> dict[str, Any]:
    """Return random tokens in two rows, one with padding and one with a masked position inside."""
    config = model.config
    rows = 1 if config.pad_token_id is None else 2  # classifiers that look for the padding token take one row without it
    width = min(24, family.positions(config) or 24)
    ids = torch.randint(config.vocab_size, (rows, width), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[0, width - width // 3 :] = 0
    mask[-1, width // 3] = 0
    probe: dict[str, Any] = {"input_ids": ids, "attention_mask": mask}
    if family.types:
        probe["token_type_ids"] = ids % max(1, getattr(config, "type_vocab_size", 1))
    if not family.causal and type(model).__name__ in family.generative:
        probe["decoder_input_ids"] = ids[:, :3]
    return {argument: tensor.to(model.device) for argument, tensor in probe.items()}


def _wrap(model: PreTrainedModel, hooked: HookedModel) -> TransformerBridge:
    name, family = type(model).__name__, hooked.family
    cfg = build_bridge_config_from_hf(model.config, name, name, model.dtype)
    cfg.device = str(model.device)
    if family.causal and name in family.generative:
        adapter = ArchitectureAdapterFactory.select_architecture_adapter(cfg)
        adapter.supports_generation = False  # rows of unequal length would need the positions that `Bridge` does not count
        adapter.prepare_model(model)
    else:
        model.set_attn_implementation(IMPLEMENTATION)
        adapter = FamilyAdapter(cfg, model, hooked)
    return Bridge(model, adapter, None)


class Bridge(TransformerBridge):
    """A bridge that hands on what it is given."""

    hook_aliases = {**TransformerBridge.hook_aliases, "hook_decoder_embed": "decoder_embed.hook_out"}  # noqa: RUF012

    def _accepts_derived_position_ids(self) -> bool:
        # TransformerLens would count positions anew after a masked one, such as a filler; `transformers` does not.
        return False


class FamilyAdapter(ArchitectureAdapter):
    """What TransformerLens needs to know of a class: its parts by TransformerLens's names."""

    supports_generation = False
    supports_causal_loss = False
    supports_compatibility_mode = False

    def __init__(self, cfg: Any, model: PreTrainedModel, hooked: HookedModel) -> None:
        super().__init__(cfg)
        family, name = hooked.family, type(model).__name__
        prefix = f"{family.prefix}." if family.prefix and name != family.base else ""
        base = model.get_submodule(prefix.rstrip("."))
        cfg.positional_embedding_type = "rotary" if getattr(model.config, "rope_parameters", None) else "standard"
        norm = hooked.main.blocks.attn_norm or hooked.main.blocks.mlp_norm
        cfg.uses_rms_norm = not isinstance(hooked.main.module(0, norm), nn.LayerNorm)
        cfg.attention_dir = "causal" if family.causal else "bidirectional"
        cfg.attn_only = hooked.main.d_mlp == 0
        parts: Parts = {}
        for blocks in dict.fromkeys(stack.blocks for stack in hooked.stacks.values()):
            embed, words = _path(base, blocks.embed), model.get_input_embeddings()
            key = blocks.embed_name.removeprefix("hook_")
            if isinstance(base.get_submodule(embed), nn.Embedding):
                parts[key] = components.EmbeddingBridge(prefix + embed)
            else:  # TransformerLens takes the output of a part called embed_ln for what enters the first layer
                parts[key] = components.EmbeddingBridge(next(path for path, m in model.named_modules() if m is words))
                parts["embed_ln"] = GeneralizedComponent(prefix + embed)
            parts[blocks.name] = _block(prefix + blocks.layers, base.get_submodule(f"{blocks.layers}.0"), blocks, cfg)
            if blocks.final:
                parts[blocks.name.removesuffix("blocks") + "ln_final"] = _norm(prefix + blocks.final, cfg)
        head = family.heads.get(name) or family.masked.get(name) or family.generative.get(name)
        path = head.steps[-1] if isinstance(head, Head) else head and head.decoder
        if isinstance(path, str) and isinstance(model.get_submodule(path), nn.Linear):
            parts["unembed"] = components.UnembeddingBridge(path)
        self.weight_processing_conversions = {}
        self.component_mapping = parts


class Block(components.BlockBridge):
    """A layer, whatever its list is called."""

    hook_aliases = {"hook_resid_pre": "hook_in", "hook_resid_post": "hook_out"}  # noqa: RUF012

    def _extract_layer_idx(self) -> int:
        return int(str(self.name).rpartition(".")[2])

    def _read_use_hook_mlp_in(self) -> bool:
        return False  # hook_mlp_in is an alias here, which needs no switch


def _block(name: str, layer: nn.Module, blocks: Blocks, cfg: Any) -> Block:
    # A part inside another one comes before it: once the outer one is replaced, paths no longer lead through it.
    parts: Parts = {}
    aliases: dict[str, str] = {}
    for i, attention in enumerate(blocks.attentions):
        before = blocks.attn_norm or _path(layer, (*_NORMS_BEFORE_ATTENTION, f"layer.{i}.layer_norm"))
        parts[f"ln{i + 1}"] = _norm(before, cfg)
        parts[attention.name] = FamilyAttention(attention, layer, cfg)
        aliases[attention.attn_out] = f"{attention.name}.o.hook_out"
    if mlp_out_of(layer, blocks) is not None:
        norm = f"ln{len(blocks.attentions) + 1}"
        parts[norm] = _norm(blocks.mlp_norm, cfg)
        parts["mlp"] = _mlp(layer, blocks, cfg)
        aliases["hook_mlp_out"] = "mlp.out.hook_out"
        aliases["hook_mlp_in"] = "mlp.in.hook_in" if blocks.attn_norm else f"{norm}.hook_in"
    for attention in blocks.attentions:
        # In pre-norm layers TransformerLens's hook_resid_mid is what the norm reads: an edit reaches the MLP only.
        after = _path(layer, attention.after_path or blocks.mlp_norm)
        key = next((key for key, part in parts.items() if part.name == after), attention.after.removeprefix("hook_"))
        parts.setdefault(key, GeneralizedComponent(after))
        aliases[attention.after] = f"{key}.hook_in"
    block = Block(name, cfg, parts, aliases)
    if "mlp" not in parts:
        del block.hook_mlp_in, block._hook_registry["hook_mlp_in"]  # made whatever a layer has; it would never fire
    return block


class FamilyAttention(components.AttentionBridge):
    """An attention that the model computes by mechviz's attention function, which calls the hooks of this part."""

    supports_split_qkv_fork = False

    def __init__(self, attention: Attention, layer: nn.Module, cfg: Any) -> None:
        name = _around(attention.module, attention.out)
        inside = attention.module.removeprefix(name).lstrip(".")
        module = layer.get_submodule(attention.module)
        split = next((paths for paths in _PROJECTIONS if all(hasattr(module, path) for path in paths)), ())
        joint = [("qkv", path) for path in _JOINT_PROJECTIONS if hasattr(module, path)]
        paths = dict(zip("qkv", split, strict=True)) if split else dict(joint)
        parts: Parts = {key: components.LinearBridge(f"{inside}.{path}".lstrip(".")) for key, path in paths.items()}
        parts["o"] = components.LinearBridge(attention.out.removeprefix(f"{name}."))
        super().__init__(name, cfg, parts, fused_qkv=not split)
        points = {"attn_scores": "hook_attn_scores", "pattern": "hook_pattern"}
        if not split:
            points |= {"q": "hook_q", "k": "hook_k", "v": "hook_v"}
        if cfg.positional_embedding_type == "rotary":  # which the function sees, not the projections
            points |= {"q": "hook_rot_q", "k": "hook_rot_k"}
        for point in points.values():
            if point not in self._modules:
                setattr(self, point, HookPoint())  # type: ignore[no-untyped-call]
        self._inside, self._points = inside, points

    def set_original_component(self, original_component: nn.Module) -> None:
        """Take the attention module, and lead what it attends with through the hooks of this part."""
        super().set_original_component(original_component)
        module = original_component.get_submodule(self._inside)
        module.__dict__[POINTS] = {site: getattr(self, name) for site, name in self._points.items()}
        if type(module).__name__ in FORWARDS:
            module.forward = partial(FORWARDS[type(module).__name__], module)

    def setup_hook_compatibility(self) -> None:
        """Give q, k, v and z a dimension of heads, where the attention function has not."""
        super().setup_hook_compatibility()
        for name in self._points.values():
            getattr(self, name).hook_conversion = None

    def _fire_post_hoc_hook(self, hook: HookPoint, tensor: Tensor, hook_label: str) -> Tensor:
        return tensor  # the attention function has called it, where an edit counts


def _mlp(layer: nn.Module, blocks: Blocks, cfg: Any) -> components.MLPBridge:
    paths = _path(layer, blocks.mlp_in), blocks.mlp_out
    name = _around(*paths)
    first, last = (path.removeprefix(f"{name}.") for path in paths)
    parts: Parts = {"in": components.LinearBridge(first), "out": components.LinearBridge(last)}
    if blocks.gated:
        return components.JointGateUpMLPBridge(name, cfg, {"out": parts["out"]}, fused_attr=first)
    for gated in _GATED_PROJECTIONS:
        if hasattr(layer.get_submodule(name), gated):
            return components.GatedMLPBridge(name, cfg, {**parts, "gate": parts["in"], "in": components.LinearBridge(gated)})
    return components.MLPBridge(name or None, cfg, parts)  # BERT has no module around both


def _norm(path: str, cfg: Any) -> components.NormalizationBridge:
    return components.NormalizationBridge(path, cfg, use_native_layernorm_autograd=True)


def _path(root: nn.Module, paths: Path) -> str:
    """Return the first of these paths that exists."""
    return next(path for path in ([paths] if isinstance(paths, str) else paths) if find(root, path, optional=True) is not None)


def _around(*paths: str) -> str:
    """Return the path of the innermost module that is or holds each of these; empty for the root."""
    columns = takewhile(lambda names: len(set(names)) == 1, zip(*(path.split(".") for path in paths), strict=False))
    return ".".join(names[0] for names in columns)
