"""Perturbations that put text somewhere, or take it away."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mechviz.errors import InputError, shown
from mechviz.text.checks import check_text
from mechviz.text.perturb.base import Perturbation
from mechviz.text.perturb.changes import Replacement, Span
from mechviz.text.perturb.rewrites import Rewrite, check_choice, check_count, check_int, check_seed, check_texts, chunks, draws
from mechviz.text.sentences import sentences as sentence_spans

#: Where `repeat` and `add_sentences` put their text.
PLACES = ("end", "start", "random")


def append(text: str) -> Perturbation:
    """Add ``text`` at the end, after a space."""
    return Perturbation(_Place((check_text("append(text)", text),), "end"), f"append({text!r})")


def prepend(text: str) -> Perturbation:
    """Add ``text`` at the start, followed by a space."""
    return Perturbation(_Place((check_text("prepend(text)", text),), "start"), f"prepend({text!r})")


def insert(text: str, at: int) -> Perturbation:
    """Insert ``text`` before word number ``at`` (words are split at white space; negative counts from the end).

    Raises
    ------
    InputError
        When applied to a text with fewer words.
    """
    at = check_int("insert(at)", at)
    return Perturbation(_Insert(check_text("insert(text)", text), at), f"insert({text!r}, at={at})")


def replace(old: str, new: str) -> Perturbation:
    """Replace every occurrence of ``old`` by ``new``.

    Raises
    ------
    InputError
        When applied to a text without ``old``.
    """
    checked = _Replace(check_text("replace(old)", old), check_text("replace(new)", new))
    return Perturbation(checked, f"replace({old!r}, {new!r})")


def delete(text: str) -> Perturbation:
    """Delete every occurrence of ``text`` and close the gap that it leaves.

    Raises
    ------
    InputError
        When applied to a text without it.
    """
    return Perturbation(_Delete(check_text("delete(text)", text)), f"delete({text!r})")


def repeat(term: str, times: int, where: str = "end", seed: int = 0) -> Perturbation:
    """Add ``term`` ``times`` times: at the end, at the start, or each time at a place between two words that is drawn.

    Parameters
    ----------
    term : str
    times : int, 1 or more
    where : ``"end"``, ``"start"`` or ``"random"``
    seed : int
        For ``"random"``: the places depend on the seed and the text alone.
    """
    times = check_count("repeat(times)", times, least=1)
    placed = _Place((check_text("repeat(term)", term),) * times, *_where("repeat", where, seed))
    return Perturbation(placed, f"repeat({term!r}, {times}{_told(where, seed)})")


def concatenate(copies: int) -> Perturbation:
    """Put ``copies`` copies of the text one after the other, with a space between them.

    This is the change of the axiom LNC2 (Fang, Tao and Zhai, SIGIR 2004): a document that repeats itself is not worth less.
    """
    copies = check_count("concatenate(copies)", copies, least=2)
    return Perturbation(_Concatenate(copies), f"concatenate({copies})")


def add_sentences(sentences: Sequence[str], n: int = 1, where: str = "end", seed: int = 0) -> Perturbation:
    """Add ``n`` different sentences of a list, drawn by seed: at the end, at the start, or each between two sentences.

    Parameters
    ----------
    sentences : list of str
        Such as sentences that have nothing to do with any query. They are added as they stand.
    n : int, 1 or more
    where : ``"end"``, ``"start"`` or ``"random"``
    seed : int
        Sentences and places depend on the seed and the text alone.

    Raises
    ------
    InputError
        Fewer than ``n`` sentences are given.
    """
    given, n = check_texts("add_sentences(sentences)", sentences), check_count("add_sentences(n)", n, least=1)
    if n > len(given):
        raise InputError(f"add_sentences(n={n}) with {len(given)} sentences: each is added once, give at least {n}")
    where, seed = _where("add_sentences", where, seed)
    return Perturbation(_AddSentences(given, n, where, seed), f"add_sentences({n}, where={where!r}, seed={seed})")


@dataclass(frozen=True)
class _Place(Rewrite):
    pieces: tuple[str, ...]
    where: str
    seed: int = 0

    def replacements(self, text: str, other: str | None) -> Iterator[Replacement]:
        return _placed(text, self.pieces, self.where, chunks(text), draws(self.seed, text))


@dataclass(frozen=True)
class _AddSentences(Rewrite):
    sentences: tuple[str, ...]
    n: int
    where: str
    seed: int

    def replacements(self, text: str, other: str | None) -> Iterator[Replacement]:
        generator = draws(self.seed, text)
        drawn = [self.sentences[at] for at in generator.choice(len(self.sentences), self.n, replace=False)]
        return _placed(text, drawn, self.where, sentence_spans(text), generator)


@dataclass(frozen=True)
class _Insert(Rewrite):
    text: str
    at: int

    def replacements(self, text: str, other: str | None) -> list[Replacement]:
        spans = chunks(text)
        where = self.at if self.at >= 0 else self.at + len(spans)
        if not 0 <= where <= len(spans):
            raise InputError(
                f"insert(at={self.at}): the text has {len(spans)} words; give a number from {-len(spans)} to {len(spans)}"
            )
        return [_before(text, self.text, spans, where)]


@dataclass(frozen=True)
class _Replace(Rewrite):
    old: str
    new: str

    def replacements(self, text: str, other: str | None) -> list[Replacement]:
        return [Replacement(start, end, self.new) for start, end in _found(text, self.old, "replace")]


@dataclass(frozen=True)
class _Delete(Rewrite):
    text: str

    def replacements(self, text: str, other: str | None) -> Iterator[Replacement]:
        found = _found(text, self.text, "delete")
        before = " "  # the last character that is kept; the start of the text is as good as a space
        done = 0
        for (start, end), (following, _) in zip(found, [*found[1:], (len(text), 0)], strict=True):
            before = text[start - 1] if start > done else before
            done = end + 1 if before == " " and text[end : min(end + 1, following)] == " " else end
            yield Replacement(start, done, "")


@dataclass(frozen=True)
class _Concatenate(Rewrite):
    copies: int

    def replacements(self, text: str, other: str | None) -> list[Replacement]:
        return [Replacement(len(text), len(text), f" {text}" * (self.copies - 1))]


def _placed(
    text: str, pieces: Sequence[str], where: str, spans: list[Span], generator: np.random.Generator
) -> Iterator[Replacement]:
    """Put pieces at one end of the text, or each before a span that is drawn or at the end."""
    if where == "start":
        yield Replacement(0, 0, "".join(f"{piece} " for piece in pieces))
    elif where == "end":
        yield Replacement(len(text), len(text), "".join(f" {piece}" for piece in pieces))
    else:
        places = generator.integers(len(spans) + 1, size=len(pieces))
        for place, piece in zip(sorted(places.tolist()), pieces, strict=True):
            yield _before(text, piece, spans, place)


def _before(text: str, piece: str, spans: list[Span], place: int) -> Replacement:
    if place == len(spans):
        return Replacement(len(text), len(text), f" {piece}")
    return Replacement(spans[place][0], spans[place][0], f"{piece} ")


def _found(text: str, wanted: str, kind: str) -> list[Span]:
    found = [match.span() for match in re.finditer(re.escape(wanted), text)]
    if not found:
        raise InputError(f"{kind}: {shown(wanted)} does not occur in {shown(text)}")
    return found


def _where(kind: str, where: str, seed: int) -> tuple[str, int]:
    return check_choice(f"{kind}(where)", where, PLACES), check_seed(kind, seed)


def _told(where: str, seed: int) -> str:
    """Return the settings of a place for a name, as far as they say anything."""
    return "" if where == "end" else f", where={where!r}" + (f", seed={seed}" if where == "random" else "")
