"""The panels of a view as still pictures."""

from __future__ import annotations

from collections.abc import Sequence

from mechviz import figures, wire
from mechviz.results import AttentionResult, Circuit, PatchResult, StackShape
from mechviz.views.view import View


def patching_picture(
    view: View, results: Sequence[PatchResult], circuit: Circuit | None, parts: wire.Packed | None, panel: str, theme: str
) -> str:
    """Return a panel of a view of a perturbed pair as SVG."""
    main, chosen = results[0], view.selection
    stack, layer, head, pos = (chosen[name] for name in ("stack", "layer", "head", "pos"))
    if panel == "heads":
        return figures.heads_svg([one for one in results if not {"pos", "site"} & set(one.effects.dims)], chosen, theme)
    if panel == "texts":
        return figures.texts_svg(main, theme)
    if panel == "positions":
        by_position = next(one for one in results if "pos" in one.effects.dims)
        return figures.positions_svg(by_position, theme, {"layer": layer, "pos": pos})
    if panel == "ranking":
        return _ranking(main, theme)
    if panel == "circuit" and circuit is not None:
        return figures.circuit_svg(circuit, theme, chosen)
    if panel == "score" and parts is not None:
        return figures.score_svg(parts, main.pair.direction, main.provenance, theme)
    result = next(one for one in results if one.stack == stack and "head" in one.effects.dims)
    if panel == "lines":
        pattern = view.known_reader().pattern(stack, layer)[:, head]
        return figures.lines_svg(result, pattern, layer, head, theme, pos)
    sizes = result.effects.sizes
    shape = StackShape.of(stack, result.pair.stack, sizes["layer"], sizes["head"])
    if panel == "model":
        return figures.model_svg(view.pack_thumbs(stack), shape, main.provenance, theme, chosen)
    at = view.first_position(stack) if pos is None else pos
    made_of = view.known_reader().scores(stack, layer, head, at)
    return figures.neurons_svg(made_of, main.pair.base, at, layer, head, main.provenance, theme, shape=shape)


def _ranking(result: PatchResult, theme: str) -> str:
    """Draw the list that the document stands in; it comes last there."""
    documents = (wire.pack_rivals(result) or {"documents": []})["documents"]
    names, before, after = ([document[key] for document in documents] for key in ("name", "original", "perturbed"))
    return figures.ranking_svg(
        names,
        before,
        after,
        len(names) - 1,
        theme,
        query=result.pair.query,
        perturbation=result.pair.perturbation,
        provenance=result.provenance,
    )


def attention_picture(view: View, result: AttentionResult, panel: str, theme: str, parts: wire.Packed | None = None) -> str:
    """Return a panel of a view of one text as SVG."""
    chosen = view.selection
    stack, layer, head, pos = (chosen[name] for name in ("stack", "layer", "head", "pos"))
    shape = result.shape(stack)
    tokens, provenance = result.tokens[shape.text], result.provenance
    if panel == "score" and parts is not None:
        return figures.score_svg(parts, "perturbed->original", provenance, theme)
    if panel == "model":
        return figures.model_svg(view.pack_thumbs(stack), shape, provenance, theme, chosen)
    if panel == "lines":
        pattern = view.known_reader().pattern(stack, layer)[0, head]
        return figures.attention_svg(tokens, pattern, shape, layer, head, provenance, theme, pos)
    at = view.first_position(stack) if pos is None else pos
    made_of = view.known_reader().scores(stack, layer, head, at)
    return figures.neurons_svg(made_of, tokens, at, layer, head, provenance, theme, shape=shape)
