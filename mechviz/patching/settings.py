"""What `patch` takes beside the texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

from mechviz.errors import InputError, InputTypeError, shown
from mechviz.patching.cells import Heads, Positions
from mechviz.patching.metrics import Metric
from mechviz.patching.sources import SourceLike
from mechviz.results import DIRECTIONS, Direction
from mechviz.text import FillerLike
from mechviz.text.checks import whole_number

METHODS = ("exact", "attribution", "integrated", "hybrid")


class Settings(TypedDict, total=False):
    """What `mechviz.patch` and `mechviz.show_patching` take beside the texts; each is described in `mechviz.patch`."""

    grid: str
    direction: Direction
    metric: str | Metric
    filler: FillerLike | None
    truncate: bool
    docs: Sequence[str] | None
    stack: str | None
    sites: Sequence[str] | None
    layers: Sequence[int] | None
    heads: Heads | None
    positions: Positions | None
    source: SourceLike
    pairs: Sequence[tuple[str, str]] | None
    seed: int
    steps: int
    top_k: int
    memory: float


DEFAULTS = Settings(
    grid="heads",
    direction=DIRECTIONS[0],
    metric="effect",
    filler=None,
    truncate=False,
    docs=None,
    stack=None,
    sites=None,
    layers=None,
    heads=None,
    positions=None,
    source=None,
    pairs=None,
    seed=0,
    steps=8,
    top_k=32,
    memory=2.0,
)


def complete(settings: Settings) -> Settings:
    """Return settings with the defaults of those left out.

    Raises
    ------
    InputError, InputTypeError
        A name that is no setting, or a number that cannot be.
    """
    unknown = sorted(set(settings) - set(DEFAULTS))
    if unknown:
        raise InputTypeError(f"unknown settings {', '.join(unknown)}; mechviz has {', '.join(DEFAULTS)}")
    chosen: Settings = {**DEFAULTS, **settings}
    for name in ("steps", "top_k"):
        whole_number(name, chosen[name])
    memory: Any = chosen["memory"]
    if isinstance(memory, bool) or not isinstance(memory, (int, float)) or memory <= 0:
        raise InputError(f"memory={shown(memory)}; give GiB, above 0")
    return chosen
