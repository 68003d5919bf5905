"""The two texts side by side, row by row level. What a change is, its mark says; colour only helps."""

from __future__ import annotations

from mechviz.figures.colour import Theme, theme_named
from mechviz.figures.frame import HEADING, MARGIN, frame_of, score_digits
from mechviz.figures.scores import SCORES, score_line
from mechviz.figures.svg import Element, Look, line, path, phrase, rect, text
from mechviz.figures.words import cut, is_rtl, letters, plain, width_of
from mechviz.figures.wrap import Line, Piece, Row, aligned_rows, lines, pieces, text_positions
from mechviz.results import PatchResult
from mechviz.text import Tokens

_WIDTH = 940.0
_GAP = 32.0
_COLUMN = (_WIDTH - 2 * MARGIN - _GAP) / 2
_LINE = 24.0
_ROW_PAD = 7.0
_FOLD = 22.0


def texts_svg(result: PatchResult, theme: str = "light") -> str:
    """Draw the original and the perturbed text side by side.

    What was inserted stands in a box with a +, what was deleted is struck out after a −, what was replaced is bold and
    underlined, and fillers are dotted. Long stretches that are equal are folded.

    Parameters
    ----------
    result : PatchResult
    theme : ``"light"`` or ``"dark"``

    Returns
    -------
    str
        SVG.
    """
    colours = theme_named(theme)
    pair = result.pair
    forward = pair.direction == "perturbed->original"
    texts = (pair.base, pair.source) if forward else (pair.source, pair.base)
    y = MARGIN + HEADING
    drawn = score_line(result, MARGIN, y, _WIDTH - 2 * MARGIN, colours)
    y += SCORES + 22
    asked = [("query", pair.query)] if pair.side == "doc" else [("query", pair.query), ("document", pair.doc)]
    for label, words in asked:
        drawn.append(_labelled(label, words, y, colours))
        y += 21
    y += 12
    for column, (label, score) in enumerate((("original", pair.original_score), ("perturbed", pair.perturbed_score))):
        parts: list[tuple[str, Look]] = [
            (label, {"font_weight": "bold"}),
            (plain(score, score_digits(pair)), {"fill": colours.muted}),
        ]
        drawn.append(phrase(_left(column), y, parts, 8))
    y += 9
    drawn.append(line(MARGIN, y, _WIDTH - MARGIN, y, stroke=colours.border))
    kinds = pair.alignment.kinds
    # Tokens have no direction of their own: the text has one, by its first letter.
    rtl = is_rtl("".join(label for label, part in zip(texts[0].labels, texts[0].segments, strict=True) if part == pair.side))
    for i, row in enumerate(aligned_rows(text_positions(pair), kinds, texts)):
        if row.folded:
            drawn += _fold(row, y + 4, colours)
            y += _FOLD + 8
            continue
        if i:
            drawn.append(line(MARGIN, y, _WIDTH - MARGIN, y, stroke=colours.faint))
        y = _draw_row(drawn, row, texts, kinds, y, rtl, colours)
    frame = frame_of(result, "Original and perturbed text", scores=False)
    return frame.picture(_WIDTH, y + MARGIN - 6, colours, drawn)


def _left(column: int) -> float:
    return MARGIN + column * (_COLUMN + _GAP)


def _labelled(label: str, words: str, y: float, theme: Theme) -> Element:
    room = _WIDTH - 2 * MARGIN - width_of(label, 12) - 16
    shown = cut(" ".join(words.split()), room, 15, bold=True)
    return phrase(MARGIN, y, [(label, {"fill": theme.muted}), (shown, {"font_size": 15, "font_weight": "bold"})], 8)


def _fold(row: Row, y: float, theme: Theme) -> list[Element]:
    words = f"… {len(row.positions)} equal tokens"
    return [
        rect(MARGIN, y, _WIDTH - 2 * MARGIN, _FOLD, rx=4, fill=theme.faint),
        text(_WIDTH / 2, y + 15, words, text_anchor="middle", fill=theme.muted),
    ]


def _draw_row(
    drawn: list[Element], row: Row, texts: tuple[Tokens, Tokens], kinds: tuple[str, ...], y: float, rtl: bool, theme: Theme
) -> float:
    """Draw a row of both texts and return where it ends."""
    most = 1
    for column, (tokens, own) in enumerate(zip(texts, ("delete", "insert"), strict=True)):
        placed = lines(pieces(row.positions, tokens, kinds, own, _COLUMN), _COLUMN)
        most = max(most, len(placed))
        for number, one in enumerate(placed):
            base = y + _ROW_PAD + 16 + number * _LINE
            for start, piece in _runs(one):
                left = _left(column) + (_COLUMN - start - piece.width if rtl else start)
                drawn += _draw_piece(piece, left, base, rtl, theme)
    return y + 2 * _ROW_PAD + most * _LINE - 2


def _runs(placed: Line) -> Line:
    """Join neighbours that are equal to one piece each: letters then stand as the font sets them.

    Letters that have another font, or another direction, stay apart: some readers draw all of a text in one.
    """
    runs: Line = []
    for start, piece in placed:
        before = runs[-1][1] if runs else None
        if before and piece.kind == before.kind == "equal" and letters(piece.words) == letters(before.words):
            words = before.words + ("" if piece.joined else " ") + piece.words
            runs[-1] = (runs[-1][0], Piece(words, "equal", True, before.joined, before.inside))
        else:
            runs.append((start, piece))
    return runs


def _draw_piece(piece: Piece, x: float, base: float, rtl: bool, theme: Theme) -> list[Element]:
    """Draw a piece in the box that was kept for it, from ``x`` on and above ``base``."""
    kind, width = piece.kind, piece.width
    room = width_of(piece.words, piece.font, piece.bold)
    begin = x + (width - piece.before - room if rtl else piece.before)
    mark = x + width - piece.before / 2 if rtl else x + piece.before / 2
    colour = {"insert": theme.change, "delete": theme.change, "filler": theme.muted}.get(kind, theme.ink)
    words = _letters(piece, begin, room, base, rtl, colour)
    if kind == "insert":
        look: Look = {"rx": 3, "fill": theme.change_faint, "stroke": theme.change, "stroke_width": 1.5}
        plus = path(f"M{mark - 3.5:g} {base - 5:g}h7M{mark:g} {base - 8.5:g}v7", stroke=theme.change, stroke_width=1.7)
        return [rect(x + 1, base - 15, width - 2, 20, data_kind=kind, **look), *([plus] if piece.first else []), words]
    if kind == "delete":
        strike = line(begin, base - 5, begin + room, base - 5, stroke=theme.change, stroke_width=1.5, data_kind=kind)
        minus = path(f"M{mark - 4.5:g} {base - 5:g}h6.5", stroke=theme.change, stroke_width=2)
        return [words, strike, *([minus] if piece.first else [])]
    if kind == "replace":
        under = line(begin, base + 4, begin + room, base + 4, stroke=theme.change, stroke_width=2, data_kind=kind)
        return [words, under]
    if kind == "filler":
        dotted: Look = {"fill": "none", "stroke": theme.muted, "stroke_dasharray": "1 2.5", "stroke_linecap": "round"}
        return [rect(x + 1, base - 14, width - 2, 18.5, rx=3, data_kind=kind, **dotted), words]
    return [words]


def _letters(piece: Piece, begin: float, width: float, base: float, rtl: bool, colour: str) -> Element:
    look: Look = {"font_size": piece.font, "fill": colour}
    if piece.bold:
        look["font_weight"] = "bold"
    if width and letters(piece.words) != "emoji":
        # Whichever font draws it, the text fills its place and touches no neighbour. (Emoji that a font does not have
        # fall apart into more signs than they are, and would be stretched.)
        look |= {"textLength": width, "lengthAdjust": "spacingAndGlyphs"}
    if rtl:
        # Drawn from its middle, it lies right whether or not the reader minds the direction.
        look |= {"direction": "rtl", "text_anchor": "middle"}
        begin += width / 2
    return text(begin, base, piece.words, **look)
