"""What a perturbation did to a text, as character spans."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import NamedTuple

from mechviz.text.words import words

Span = tuple[int, int]


@dataclass(frozen=True)
class Change:
    """A changed text and where it differs from the original.

    The spans are ascending and disjoint, and no two touch. The original without ``removed`` is the same string as ``text``
    without ``added``.

    Attributes
    ----------
    text : str
        The perturbed text.
    removed : tuple of (start, end)
        Characters of the original that are gone or have moved away.
    added : tuple of (start, end)
        Characters of ``text`` that are new or have moved there.
    """

    text: str
    removed: tuple[Span, ...]
    added: tuple[Span, ...]


class Replacement(NamedTuple):
    """Put ``text`` where the original has the characters ``start`` to ``end``; an insertion where the two are equal."""

    start: int
    end: int
    text: str


def change_of(original: str, replacements: Iterable[Replacement]) -> Change:
    """Carry out replacements, which are ascending and do not overlap; those that change nothing leave no span."""
    parts: list[str] = []
    removed: list[Span] = []
    added: list[Span] = []
    done = length = 0
    for start, end, text in replacements:
        kept = original[done:start]
        parts += [kept, text]
        length += len(kept)
        if original[start:end] != text:
            _extend(removed, start, end)
            _extend(added, length, length + len(text))
        length += len(text)
        done = end
    return Change("".join([*parts, original[done:]]), tuple(removed), tuple(added))


def difference(original: str, text: str) -> Change:
    """Find what changed between two texts: words and single other characters, and the white space between them.

    Words are matched by `difflib.SequenceMatcher`. White space takes no part in that, since it would tie any two places
    together; it is compared between the words that match.
    """
    old, new = _pieces(original), _pieces(text)
    replacements = []
    done_old = done_new = 0
    for (start_old, end_old), (start_new, end_new) in _matches(original, old, text, new):
        before, after = original[done_old:start_old], text[done_new:start_new]
        if before != after:
            left = _shared_space(before, after)
            right = _shared_space(before[left:][::-1], after[left:][::-1])
            replacements.append(Replacement(done_old + left, start_old - right, after[left : len(after) - right]))
        done_old, done_new = end_old, end_new
    return change_of(original, replacements)


def _matches(original: str, old: list[Span], text: str, new: list[Span]) -> Iterator[tuple[Span, Span]]:
    """Yield the pieces that match; a common start and end need no search."""
    ours, theirs = [original[slice(*span)] for span in old], [text[slice(*span)] for span in new]
    shorter = min(len(ours), len(theirs))
    start = next((at for at in range(shorter) if ours[at] != theirs[at]), shorter)
    end = next((at for at in range(shorter - start) if ours[-1 - at] != theirs[-1 - at]), shorter - start)
    yield from zip(old[:start], new[:start], strict=True)
    middle_old, middle_new = slice(start, len(ours) - end), slice(start, len(theirs) - end)
    for i, j, size in SequenceMatcher(None, ours[middle_old], theirs[middle_new], autojunk=False).get_matching_blocks():
        yield from zip(old[middle_old][i : i + size], new[middle_new][j : j + size], strict=True)
    yield from zip(old[len(ours) - end :], new[len(theirs) - end :], strict=True)


def _shared_space(one: str, other: str) -> int:
    """Return how many characters of white space two texts start with alike."""
    shared = 0
    for left, right in zip(one, other, strict=False):
        if left != right or not left.isspace():
            break
        shared += 1
    return shared


def _extend(spans: list[Span], start: int, end: int) -> None:
    if start == end:
        return
    if spans and spans[-1][1] == start:
        start = spans.pop()[0]
    spans.append((start, end))


def _pieces(text: str) -> list[Span]:
    """Return the spans of words and of single other characters; white space lies between them. The last one is the end."""
    pieces: list[Span] = []
    done = 0
    for start, end in [*words(text), (len(text), len(text))]:
        pieces += [(at, at + 1) for at in range(done, start) if not text[at].isspace()]
        pieces.append((start, end))
        done = end
    return pieces
