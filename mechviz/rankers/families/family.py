"""What a model family is to mechviz: the places of its parts, as data.

A family file names module paths of one `transformers` architecture; the hooked model and the patching engine read
them and contain no architecture of their own. To add a family, write one file like ``bert.py``, name it in
``families/__init__.py`` and add a tiny model to ``tests/tiny/models.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

#: A module path, or several of which the first that exists counts.
Path = str | tuple[str, ...]

#: What the attention function shows, in the order of its computation.
ATTENTION_SITES = ("q", "k", "v", "attn_scores", "pattern", "z")
#: The same where positions rotate q and k: ``q`` and ``k`` are before it, as in TransformerLens.
ROTARY_SITES = ("q", "k", "rot_q", "rot_k", "v", "attn_scores", "pattern", "z")


@dataclass(frozen=True)
class Attention:
    """One attention of a layer; paths are inside the layer.

    Attributes
    ----------
    stack : str
        What mechviz calls it: ``encoder``, ``decoder`` (self-attention of one) or ``cross``.
    module : str
        The module that calls the attention function.
    out : str
        Its output projection, which mixes the heads into the residual stream.
    before : str
        Hook of the residual stream that this attention adds to.
    after : str
        Hook of the residual stream with it added.
    after_path : Path
        Module whose input that is, and all that reads it; empty where a norm and the sum after the MLP both do: it is the
        layer's input plus this attention's output then.
    name : str
        TransformerLens's name of it in a block.
    attn_out : str
        Hook of its output.
    sites : tuple of str
        What can be edited with an effect, of `ATTENTION_SITES` or `ROTARY_SITES`.
    projections : tuple of str
        In rotary attention, the products that make q and k before they are rotated; one path for a product that makes q,
        k and v side by side.
    """

    stack: str
    module: str
    out: str
    after_path: Path = ""
    name: str = "attn"
    before: str = "hook_resid_pre"
    after: str = "hook_resid_mid"
    attn_out: str = "hook_attn_out"
    sites: tuple[str, ...] = ATTENTION_SITES
    projections: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fused:
    """Paths inside a layer of plain post-norm attention, which the engine may compute by fewer, larger products."""

    query: str
    key: str
    value: str
    mlp_act: str


@dataclass(frozen=True)
class Blocks:
    """A list of alike layers; paths are inside one layer, except where they say otherwise.

    Attributes
    ----------
    layers : str
        Path of the list inside the base model.
    attentions : tuple of Attention
    mlp : tuple of str
        The modules from the MLP's input to its output, in order.
    mlp_in, mlp_out : Path
        Its first and last product.
    mlp_norm : str
        The norm of the MLP: before it, or after it where ``attn_norm`` is set.
    attn_norm : str
        Norm after attention in post-norm layers; empty in pre-norm layers.
    may_lack_mlp : bool
        Whether a layer without ``mlp_out`` is one that has no MLP, instead of one that is built otherwise than known here.
    gated : bool
        Whether ``mlp_in`` makes the activation and its gate side by side, of which the first half is ``mlp.hook_pre``.
    embed : Path
        Inside the base model: its output enters the first layer (position embeddings may be added to it).
    final : str
        Inside the base model: the norm after the last layer; empty where there is none.
    runner : str
        Inside the base model: what runs these layers; empty for the base model itself.
    name : str
        TransformerLens's name of the list.
    embed_name : str
        TransformerLens's name of the embedding's hook.
    fused : Fused or None
    """

    layers: str
    attentions: tuple[Attention, ...]
    mlp: tuple[str, ...]
    mlp_in: Path
    mlp_out: str
    mlp_norm: str
    embed: Path
    attn_norm: str = ""
    may_lack_mlp: bool = False
    gated: bool = False
    final: str = ""
    runner: str = ""
    name: str = "blocks"
    embed_name: str = "hook_embed"
    fused: Fused | None = None


@dataclass(frozen=True)
class Head:
    """How a class turns hidden states into logits of labels.

    Attributes
    ----------
    steps : tuple of str or callable
        Module paths in the model with the head, and functions, applied one after the other; dropout left out.
    reads : str or callable
        The pooling before the first step (``cls``, ``last``, ``mean``), or a function of the configuration that says it.
    picks : bool
        Whether the first step picks the first position by itself.
    """

    steps: tuple[str | Callable[[Any], Any], ...]
    reads: str | Callable[[Any], str] = "cls"
    picks: bool = False


@dataclass(frozen=True)
class VocabularyHead:
    """How a class turns a hidden state into logits of vocabulary terms: ``steps`` as in `Head`, then one product."""

    decoder: str
    steps: tuple[str | Callable[[Any], Any], ...] = ()
    #: Factor on the hidden state, by the configuration (T5).
    scale: Callable[[Any], float] = field(default=lambda config: 1.0)


@dataclass(frozen=True)
class Family:
    """One architecture.

    Attributes
    ----------
    model_type : str
        As in the checkpoint's ``config.json``.
    base : str
        Name of the class without a head.
    prefix : str
        Path of the base model inside the classes with a head.
    blocks : tuple of Blocks
        Those that a class lacks (the decoder of ``T5EncoderModel``) are passed over.
    heads : mapping
        Class name to its classification `Head`.
    masked : mapping
        Class name to the `VocabularyHead` that fills in masked tokens.
    generative : mapping
        Class name to the `VocabularyHead` that predicts the next token.
    types : bool
        Whether the base model takes token type ids.
    causal : bool
        Whether a position sees only those before it.
    base_options : mapping
        Arguments that load the base class without parts that no score reads.
    positions : callable
        Returns, for a configuration, how many positions the model has; None if it has no limit of its own.
    unused, unused_by_base : tuple of str
        Prefixes of weights that a checkpoint may hold and a score never reads: of no class, of the base class.
    refuse : callable
        Returns, for a configuration, why it cannot be hooked honestly; empty if it can.
    module : str
        The module that holds the classes.
    """

    model_type: str
    base: str
    prefix: str
    blocks: tuple[Blocks, ...]
    heads: Mapping[str, Head] = field(default_factory=dict)
    masked: Mapping[str, VocabularyHead] = field(default_factory=dict)
    generative: Mapping[str, VocabularyHead] = field(default_factory=dict)
    types: bool = False
    causal: bool = False
    base_options: Mapping[str, Any] = field(default_factory=dict)
    positions: Callable[[Any], int | None] = field(default=lambda config: int(config.max_position_embeddings))
    unused: tuple[str, ...] = ()
    unused_by_base: tuple[str, ...] = ()
    refuse: Callable[[Any], str] = field(default=lambda config: "")
    module: str = "transformers"

    @property
    def classes(self) -> tuple[str, ...]:
        """Every class of this family that mechviz opens."""
        return (self.base, *self.heads, *self.masked, *self.generative)
