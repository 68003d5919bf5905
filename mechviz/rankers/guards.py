"""What must hold of a model and of torch before a score of theirs means something."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from mechviz.errors import InputError, MechvizError


def require_exact_products(dtype: torch.dtype) -> None:
    """Refuse to compute float32 results with a lowered matrix precision, or under autocast."""
    if torch.is_autocast_enabled("cpu") or torch.is_autocast_enabled("cuda"):
        raise MechvizError("torch.autocast is on, and effects are small differences of scores: leave its block")
    try:
        precision = torch.get_float32_matmul_precision()
    except RuntimeError as error:  # the newer per-backend settings are in use and disagree
        raise MechvizError(f"torch's float32 precision settings are mixed ({error}); set them all to 'ieee'") from error
    if dtype == torch.float32 and precision != "highest":
        raise MechvizError(
            f"torch.get_float32_matmul_precision() is {precision!r}, and effects are small differences of scores: "
            "call torch.set_float32_matmul_precision('highest')"
        )


def changed_by_caller(module: nn.Module) -> bool:
    """Return whether a module has forward hooks of somebody else's, or a ``forward`` that its class does not have."""
    hooks = (*module._forward_hooks.values(), *module._forward_pre_hooks.values())
    # transformers leaves hooks of its own, which collect outputs and change nothing.
    foreign = any(not getattr(hook, "__module__", "").startswith("transformers.") for hook in hooks)
    return foreign or "forward" in module.__dict__


def refuse_hooks_around(modules: Iterable[nn.Module]) -> None:
    """Raise if something is wrapped around layers that entering the model at a layer would leave out.

    Raises
    ------
    InputError
        A hook of the caller's, or a replaced ``forward``, on one of ``modules``; or hooks that torch calls for every
        module.
    """
    everywhere = [torch.nn.modules.module._global_forward_hooks, torch.nn.modules.module._global_forward_pre_hooks]
    changed = next((type(module).__name__ for module in modules if changed_by_caller(module)), None)
    if any(everywhere) or changed:
        raise InputError(
            f"{changed or 'the model'} has forward hooks or a replaced forward around its layers, or torch has "
            "global module hooks; patching enters the model above them and would leave them out: remove them, or "
            "set hooks inside the layers"
        )
