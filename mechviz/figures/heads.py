"""The effects of attention heads: one grid a stack, and a column of MLPs where those were patched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mechviz.errors import InputError, InputTypeError, shown
from mechviz.figures.colour import theme_named
from mechviz.figures.frame import frame_of
from mechviz.figures.head_grid import Stack, grids_picture
from mechviz.figures.values import Values, values_of
from mechviz.results import PatchResult, StackShape

_HEADS, _MLPS = ("layer", "head"), ("layer",)


def heads_svg(
    results: PatchResult | Sequence[PatchResult], selection: Mapping[str, Any] | None = None, theme: str = "light"
) -> str:
    """Draw the effects of patching attention heads.

    Parameters
    ----------
    results : PatchResult, dims (layer, head), or a sequence of them
        Several are one pair's: heads of several stacks, and MLPs, dims (layer), which become a column beside the heads of
        their stack. All are on one scale, that of the heads. Cells without a value are hatched; estimates are drawn smaller,
        with a dashed border.
    selection : mapping, optional
        ``layer`` and ``head`` of the head that gets an outline, and ``stack``, by default the first.
    theme : ``"light"`` or ``"dark"``

    Returns
    -------
    str
        SVG.

    Raises
    ------
    InputError
        A result is of another grid, results are of different pairs or metrics, or the selection lies outside of its grid.
    """
    colours = theme_named(theme)
    given = [results] if isinstance(results, PatchResult) else list(results)
    heads, mlps = _by_stack(given)
    stacks = [
        Stack(name, _title(result) or name, values_of(result), _mlps_of(result, mlps.get(name))) for name, result in heads.items()
    ]
    main = next(iter(heads.values()))
    name = "Patch effects of attention heads" + (" and MLPs" if mlps else "")
    title = _title(main) if len(heads) == 1 else ""
    return grids_picture(frame_of(main, name + (f", {title}" if title else "")), stacks, selection, colours)


def _by_stack(given: Sequence[PatchResult]) -> tuple[dict[str, PatchResult], dict[str, PatchResult]]:
    """Return results of heads and of MLPs by stack."""
    found: dict[tuple[str, ...], dict[str, PatchResult]] = {_HEADS: {}, _MLPS: {}}
    for result in given:
        if not isinstance(result, PatchResult):
            raise InputTypeError(f"a head grid draws a PatchResult, or several, not {shown(result)}")
        dims = tuple(map(str, result.effects.dims))
        if dims not in found:
            raise InputError(
                f"a head grid has dims {_HEADS}, a column of MLPs {_MLPS}, this result {dims}; choose one site, "
                "or see positions_svg"
            )
        if result.stack in found[dims]:
            raise InputError(f"two of these results are of the {result.stack} stack's {result.grid}; give one")
        found[dims][result.stack] = result
    heads, mlps = found[_HEADS], found[_MLPS]
    if not heads or set(mlps) - set(heads):
        raise InputError(
            f"there is no grid of heads, dims {_HEADS}, for {', '.join(sorted(set(mlps) - set(heads))) or 'any stack'}"
        )
    first = given[0]
    for one in given:
        pair = one.pair
        if (pair.query, pair.doc, pair.changed) != (first.pair.query, first.pair.doc, first.pair.changed):
            raise InputError("these results are of different pairs; make one picture of each")
        if one.metric != first.metric:
            raise InputError(f"these results have metrics {first.metric} and {one.metric}; one scale cannot hold both")
    return heads, mlps


def _title(result: PatchResult) -> str:
    return StackShape.of(result.stack, result.pair.stack, *result.effects.shape).title


def _mlps_of(heads: PatchResult, mlps: PatchResult | None) -> Values | None:
    if mlps is None:
        return None
    if mlps.effects.shape[0] != heads.effects.shape[0]:
        raise InputError(f"MLPs have {mlps.effects.shape[0]} layers, the heads of their stack {heads.effects.shape[0]}")
    return values_of(mlps)
