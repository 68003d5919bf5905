"""Open any ranker by name."""

from __future__ import annotations

from typing import Any

from mechviz.errors import UnsupportedModelError
from mechviz.rankers.cat import Cat
from mechviz.rankers.checkpoint import open_checkpoint
from mechviz.rankers.dot import Dot
from mechviz.rankers.ranker import Ranker


def load(name: str, **settings: Any) -> Ranker:
    """Open a ranker; its class is picked from the checkpoint's own files.

    Parameters
    ----------
    name : str
        A local directory or a hub id.
    **settings
        Passed to the class that is picked (`Dot` or `Cat`).

    Returns
    -------
    Ranker
        `Cat` where the weights were saved with a classification head, else `Dot`. The repr says what was inferred.

    Raises
    ------
    UnsupportedModelError
        Neither fits.
    """
    checkpoint = open_checkpoint(name)
    if checkpoint.architecture in checkpoint.family.heads:
        return Cat(name, **settings)
    if checkpoint.architecture == checkpoint.family.base or checkpoint.read_json("modules.json") is not None:
        return Dot(name, **settings)
    raise UnsupportedModelError(
        f"{name} was saved as {checkpoint.architecture}, which does not say how it ranks. "
        "If it is a bi-encoder, say so: mv.Dot(name, pooling='cls' or 'mean')"
    )
