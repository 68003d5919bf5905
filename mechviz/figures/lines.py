"""The attention of one head, in one run or in base and source: lines from each token to those that it attends to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mechviz import wire
from mechviz.errors import InputError
from mechviz.figures.colour import theme_named
from mechviz.figures.frame import HEADING, MARGIN, Frame, frame_of, index_of, notes, text_names
from mechviz.figures.lanes import LONG, folded_lanes, plain_lanes, strands_of, usual_edges, weights_of
from mechviz.figures.strands import COLUMN, Half
from mechviz.figures.svg import line, text
from mechviz.figures.values import values_of
from mechviz.figures.words import percent
from mechviz.results import PatchResult, StackShape
from mechviz.text import Tokens

_STRANDS = 190.0
_ALONE = 320.0  # between the columns of a single run
_GAP = 36.0
_TOP = MARGIN + HEADING + 16

# Rows of long texts stand closer.
_ROWS = ((60, 18.0), (160, 15.0))
_CLOSEST = 13.0

# A result by position does not say how many heads there are.
_UNKNOWN = 1 << 16

_BARS = "A bar is the weight of the token beside it"
_RECEIVED = "bars behind the tokens at the right show the mean attention that they receive."


def lines_svg(
    result: PatchResult, pattern: NDArray[np.float32], layer: int, head: int, theme: str = "light", pos: int | None = None
) -> str:
    """Draw the attention of one head in both runs.

    Of each token the strongest lines are drawn that hold 70% of its attention, or a smaller share where that would be more
    than 400 lines; the share is said. Texts of more than 60 tokens are folded where little attention comes from or goes to.
    Where one place outside of the text attends (the decoder of MonoT5), every token has a bar.

    Parameters
    ----------
    result : PatchResult
    pattern : float32 array, dims (run, query_pos, key_pos)
        Attention of that head, run 0 the base.
    layer, head : int
    theme : ``"light"`` or ``"dark"``
    pos : int, optional
        A position whose lines stand out, with their weights.

    Returns
    -------
    str
        SVG.

    Raises
    ------
    InputError
        The pattern does not fit the tokens of the pair, or a number is none of the result's.
    """
    pair, sizes = result.pair, result.effects.sizes
    layer, head = (index_of(name, at, sizes.get(name, _UNKNOWN)) for name, at in (("layer", layer), ("head", head)))
    shape = StackShape.of(result.stack, pair.stack, layer + 1, head + 1)
    effect = ""
    if result.effects.dims == ("layer", "head"):
        values = values_of(result)
        value = float(values.values[layer, head])
        effect = f", {values.signed(value)}" if np.isfinite(value) else ""
    said = f"{shape.label}. Attention is not effect: the number that counts is the patch effect{effect}."
    reading = (
        f"{_BARS}, violet where the token is changed."
        if shape.query_labels
        else f"Violet lines touch a changed token; {_RECEIVED}"
    )
    names = [f"{run} run: {words}" for run, words in zip(wire.RUNS, text_names(pair.direction), strict=True)]
    return _drawn(
        frame_of(result, _name(shape, layer, head)),
        dict(zip(names, (pair.base, pair.source), strict=True)),
        pair.alignment.kinds,
        np.asarray(pattern, dtype=np.float32),
        shape,
        (said, reading),
        theme,
        pos,
    )


def attention_svg(
    tokens: Tokens,
    pattern: NDArray[np.float32],
    shape: StackShape,
    layer: int,
    head: int,
    provenance: Mapping[str, str],
    theme: str = "light",
    pos: int | None = None,
) -> str:
    """Draw the attention of one head on a text that was not perturbed.

    Parameters
    ----------
    tokens : Tokens
        What is attended to, and what attends unless ``shape.query_labels`` names it.
    pattern : float32 array, dims (query_pos, key_pos)
    shape : StackShape
    layer, head : int
    provenance : mapping of str to str
        As of a result.
    theme : ``"light"`` or ``"dark"``
    pos : int, optional
        A position whose lines stand out, with their weights.

    Returns
    -------
    str
        SVG.

    Raises
    ------
    InputError
        The pattern does not fit the tokens, or a number is none of the stack's.
    """
    layer, head = index_of("layer", layer, shape.n_layers), index_of("head", head, shape.n_heads)
    bars = shape.query_labels is not None and len(shape.query_labels) == 1
    said = f"{shape.label}." if shape.label else ""
    reading = f"{_BARS}." if bars else _RECEIVED.capitalize()
    facts = {"stack": shape.name, "layer": str(layer), "head": str(head)}
    return _drawn(
        Frame(_name(shape, layer, head), provenance, facts=facts),
        {"": tokens},
        ("equal",) * len(tokens),
        np.asarray(pattern, dtype=np.float32)[None],
        shape,
        (said, reading),
        theme,
        pos,
    )


def _name(shape: StackShape, layer: int, head: int) -> str:
    return f"Attention of layer {layer}, head {head}" + (f", {shape.title}" if shape.title else "")


def _drawn(
    frame: Frame,
    runs: Mapping[str, Tokens],
    kinds: tuple[str, ...],
    patterns: NDArray[np.float32],
    shape: StackShape,
    said: Sequence[str],
    theme: str,
    pos: int | None,
) -> str:
    """Draw runs beside each other, each with its name."""
    colours = theme_named(theme)
    first = next(iter(runs.values()))
    weights = _checked(patterns, shape, len(runs), len(first))
    chosen = None if pos is None else index_of("pos", pos, len(first))
    mass, edges = usual_edges(list(weights))
    n_queries, n_keys = weights.shape[1:]
    bars = shape.query_labels is not None and len(shape.query_labels) == 1
    right = plain_lanes(n_keys)
    if n_keys > LONG and not bars and shape.key_labels is None:
        keys_only = shape.query_labels is not None
        right = folded_lanes(kinds, first.segments, weights_of(list(weights), edges, keys_only), chosen)
    left = right if shape.query_labels is None and shape.key_labels is None else plain_lanes(n_queries)
    rows = max(len(left), len(right))
    height = next((row for most, row in _ROWS if rows <= most), _CLOSEST)

    room = _STRANDS if len(runs) > 1 else _ALONE
    half_width = 2 * COLUMN + room
    width = 2 * MARGIN + len(runs) * (half_width + _GAP) - _GAP
    top = _TOP + (36 if any(runs) else 20)
    strongest, largest = float(weights.mean(1).max(initial=0.0)), float(weights.max(initial=0.0))
    drawn = []
    for column, (name, tokens) in enumerate(runs.items()):
        x, own, pattern = MARGIN + column * (half_width + _GAP), edges[column], weights[column]
        share = float(pattern[own].sum()) / max(1e-12, float(pattern.sum()))
        counts = f"{len(own[0]):,} of {pattern.size:,} {'weights' if bars else 'lines'}, {percent(share)} of the mass"
        drawn += [
            text(x, top - 32, name, font_weight="bold"),
            text(x, top - 16, counts, fill=colours.muted, font_size=11),
            line(x, top - 8, x + half_width, top - 8, stroke=colours.border),
        ][0 if name else 1 :]
        strands = strands_of(pattern, own, left, right)
        half = Half(tokens, kinds, pattern.mean(0), strands, (left, right), shape, x, top, height, room, colours, chosen)
        drawn += half.drawn(strongest, largest)
    end = top + rows * height
    chosen_lines = "" if bars else f"Of each token the strongest lines are drawn that hold {percent(mass)} of its attention."
    folded = "" if len(right) == n_keys else "Stretches that little attention comes from or goes to are folded."
    small, taken = notes([*said, f"{chosen_lines} {folded}"], MARGIN, end + 22, width - 2 * MARGIN, colours)
    return frame.picture(width, end + taken + MARGIN + 6, colours, [*drawn, *small])


def _checked(patterns: NDArray[np.float32], shape: StackShape, n_runs: int, length: int) -> NDArray[np.float32]:
    sizes = tuple(length if labels is None else len(labels) for labels in (shape.query_labels, shape.key_labels))
    if patterns.shape != (n_runs, *sizes):
        given, wanted = (patterns.shape, (n_runs, *sizes)) if n_runs > 1 else (patterns.shape[1:], sizes)
        dims = ("run, " if n_runs > 1 else "") + "query_pos, key_pos"
        raise InputError(f"pattern has shape {given}; that of these tokens is {wanted}, dims ({dims})")
    if not np.isfinite(patterns).all():
        raise InputError("pattern holds values that are not finite; attention is between 0 and 1")
    return patterns
