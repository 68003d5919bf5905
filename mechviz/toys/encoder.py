"""The small encoders that toys are made of: BERT's, and its two variants that are easier to read.

An attention-only model has no MLPs, so that all of a score comes from heads. A SoLU model has MLPs whose neurons are more
often about one thing. Both are BERT's post-norm encoder in everything else, under BERT's names of weights.

References
----------
Elhage et al., "A mathematical framework for transformer circuits", Transformer Circuits Thread, 2021.
Elhage et al., "Softmax linear units", Transformer Circuits Thread, 2022.
"""

# mypy: allow-untyped-calls
# transformers has no types for what a subclass calls.

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    BertModel,
)
from transformers.models.bert.modeling_bert import BertLayer

from mechviz.errors import InputError, shown

ACTIVATIONS = ("none", "gelu", "solu")


class ToyConfig(BertConfig):
    """The configuration of BERT, with one field more.

    Parameters
    ----------
    activation : ``"none"``, ``"gelu"`` (default) or ``"solu"``
        The non-linearity of the MLPs; ``"none"`` for layers without an MLP.
    **others
        As of `transformers.BertConfig`, whose ``hidden_act`` stays ``"gelu"``.

    Raises
    ------
    InputError
        Another activation, or one that is said by ``hidden_act``.
    """

    model_type = "toy_encoder"

    activation: str = "gelu"

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        if self.activation not in ACTIVATIONS:
            raise InputError(f"activation={shown(self.activation)}; it is one of {', '.join(map(repr, ACTIVATIONS))}")
        if self.hidden_act != "gelu":
            raise InputError(f"hidden_act={shown(self.hidden_act)}: a toy's non-linearity is said by activation=; leave it out")


class SoLU(nn.Module):
    """Softmax linear units: ``LayerNorm(x * softmax(x))`` over the neurons.

    The softmax lets large neurons push the others down; the norm gives back the size that this takes away.
    """

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to what the first product of an MLP makes, dims (..., neuron)."""
        normed: Tensor = self.norm(x * torch.softmax(x, dim=-1))
        return normed


class ToyLayer(BertLayer):
    """BERT's layer with another non-linearity, or with attention and its norm alone."""

    def __init__(self, config: ToyConfig, layer_idx: int | None = None) -> None:
        super().__init__(config, layer_idx)
        self.attention_only = config.activation == "none"
        if self.attention_only:
            del self.intermediate, self.output
        elif config.activation == "solu":
            self.intermediate.intermediate_act_fn = SoLU(config.intermediate_size, config.layer_norm_eps)

    def feed_forward_chunk(self, attention_output: Tensor) -> Tensor:
        """Return what leaves the layer from what leaves the norm after its attention."""
        if self.attention_only:
            return attention_output
        leaving: Tensor = super().feed_forward_chunk(attention_output)
        return leaving


class ToyModel(BertModel):
    """BERT's encoder of `ToyLayer`."""

    config_class = ToyConfig

    def __init__(self, config: ToyConfig, add_pooling_layer: bool = True) -> None:
        super().__init__(config, add_pooling_layer)
        self.encoder.layer = nn.ModuleList(ToyLayer(config, layer) for layer in range(config.num_hidden_layers))
        self.post_init()  # once more, for these layers; what is initialised already is left alone


class ToyForSequenceClassification(BertForSequenceClassification):
    """`ToyModel` with BERT's pooler and a linear classifier."""

    config_class = ToyConfig

    def __init__(self, config: ToyConfig) -> None:
        super().__init__(config)
        self.bert = ToyModel(config)
        self.post_init()


# So that the classes of `transformers` that read a model_type, AutoTokenizer among them, know this one.
AutoConfig.register(ToyConfig.model_type, ToyConfig, exist_ok=True)
AutoModel.register(ToyConfig, ToyModel, exist_ok=True)
AutoModelForSequenceClassification.register(ToyConfig, ToyForSequenceClassification, exist_ok=True)
