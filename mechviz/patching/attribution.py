"""The gradient approximation of patching: one backward pass for the whole grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mechviz.patching.runs import Run


def attribute_heads(base: Run, source: Run) -> NDArray[np.float32]:
    """Estimate the score after patching z of each head.

    To first order, ``patched = base + sum over positions of gradient . (z_source - z_base)`` (attribution patching,
    Nanda 2023). It is wrong where the score is not linear between the two runs.

    Parameters
    ----------
    base : Run
        Recorded with gradient.
    source : Run

    Returns
    -------
    float32 array, dims (layer, head)
    """
    assert base.z_gradient is not None, "the base run was recorded without gradient"
    moved = [
        (gradient.float() * (to.float() - at.float())).sum((0, 1, 3)).cpu().numpy()
        for gradient, at, to in zip(base.z_gradient, base.z, source.z, strict=True)
    ]
    return (base.score + np.stack(moved)).astype(np.float32)
