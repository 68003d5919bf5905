"""Relations between the tokens of a text, or of a query and a document: what a detector learns to see.

=====================  =====================================================================================================
`aligned_copy`         a text and its copy with the sentences in another order: each token and its own copy (MIA)
`same_token`           the same string
`same_stem`            words of one stem: ``spring`` and ``springs``
`synonym`              words that a lexicon has as synonyms
`previous_word`        a word and the one before it; `next_word` the one after
`query_match`          a term of the query and its matches in the document
`injected`             a term of the query and the copy of it that a perturbation put into the document
`relation`             a function of your own
=====================  =====================================================================================================

Relations of words hold for every piece of one word with every piece of the other; a detector with ``merge_words=True`` sees
words as wholes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from typing_extensions import override

from mechviz.errors import InputError, InputTypeError, shown
from mechviz.probes.reading import Text, doc_of
from mechviz.probes.relation_stems import stem
from mechviz.probes.relation_units import Bools, Units
from mechviz.rankers.ranker import Ranker
from mechviz.text.perturb.base import Perturbation, as_perturbation
from mechviz.text.perturb.changes import Span
from mechviz.text.perturb.query_terms import append_query_term
from mechviz.text.perturb.rewrites import check_choice, check_seed, drawn_order, draws
from mechviz.text.sentences import sentences
from mechviz.text.tokens import Tokens
from mechviz.text.words import STOPWORDS, terms

#: Between what a relation may hold: the units of one text, or a unit of the query and one of the document; ``auto`` is the
#: latter where the ranker reads both in one sequence.
WHERE = ("auto", "inside", "across")


@dataclass(frozen=True, eq=False)
class Made:
    """A text that carries a relation, and what the relation knows of it beyond what it says by itself."""

    text: Text
    known: Any = None


@dataclass(frozen=True)
class Relation:
    """What may hold between two units (tokens or words) of a sequence.

    Attributes
    ----------
    name : str
        In words.
    where : str
        One of `WHERE`.
    holds : callable or None
        Takes `Units` and returns where it holds, dims (unit, unit).
    needs_query : bool
        Whether it speaks of the query, which only rankers that read both texts in one sequence can show.
    spec : tuple
        What `named` rebuilds it from; empty where that is not possible.
    """

    name: str
    where: str = "auto"
    holds: Callable[[Units], Bools] | None = field(default=None, repr=False)
    needs_query: bool = False
    spec: tuple[Any, ...] = field(default=(), repr=False)

    def check(self, ranker: Ranker, paired: bool) -> None:
        """Refuse a ranker, or texts, that cannot show this relation.

        Raises
        ------
        InputError
        """
        across = self.needs_query or self.where == "across"
        if across and not reads_together(ranker):
            raise InputError(
                f"{self.name!r} is between query and document, and a {ranker.kind} ranker reads them apart: no attention goes "
                "from one to the other; take a relation inside one text, or a Cat or MonoT5 ranker"
            )
        if across and not paired:
            raise InputError(f"{self.name!r} is between query and document; give texts as (query, document)")

    def make(self, text: Text, together: bool) -> Made | None:
        """Return the text that runs, or None for one that cannot carry the relation."""
        return Made(text)

    def allowed(self, units: Units, known: Any = None) -> Bools:
        """Return which pairs of units are asked about, dims (unit, unit)."""
        across = units.across()
        if self.where == "across" or (self.where == "auto" and bool(across.any())):
            return across
        return units.inside()

    def truth(self, units: Units, known: Any = None) -> Bools | None:
        """Return where the relation holds, dims (unit, unit); None where that is not known of a text."""
        return None if self.holds is None else self.holds(units)


def reads_together(ranker: Ranker) -> bool:
    """Return whether query and document run in one sequence."""
    return ranker.stack_of("query") == ranker.stack_of("doc")


# -- with texts of their own --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Copied:
    """Where the sentences of a text went: (start, end) in the text, and where its start is in the copy's segment."""

    moves: tuple[tuple[int, int, int], ...]
    together: bool
    #: In one sequence, where the copy starts.
    border: int


@dataclass(frozen=True)
class _AlignedCopy(Relation):
    seed: int = 0

    @override
    def make(self, text: Text, together: bool) -> Made | None:
        own = doc_of(text)
        spans = sentences(own)
        pieces = [own[start:end] for start, end in spans]
        if len(set(pieces)) < 2:
            return None
        border = 0 if together else len(own) + 1
        moves, done = [], border
        order = drawn_order(pieces, draws(self.seed, own))
        for at in order:
            moves.append((*spans[at], done))
            done += len(pieces[at]) + 1
        copy = " ".join(pieces[at] for at in order)
        return Made((own, copy) if together else f"{own} {copy}", _Copied(tuple(moves), together, border))

    @override
    def allowed(self, units: Units, known: Any = None) -> Bools:
        if known is None:
            return super().allowed(units)
        if known.together:
            return units.across()
        copied = units.spans[:, 0] >= known.border
        found: Bools = ~copied[:, None] & copied[None, :]
        return found

    @override
    def truth(self, units: Units, known: Any = None) -> Bools | None:
        if known is None:
            return None
        found = np.zeros((len(units), len(units)), dtype=bool)
        rows, columns = np.nonzero(self.allowed(units, known))
        copies = {tuple(units.spans[at].tolist()): at for at in np.unique(columns)}
        for at in np.unique(rows):
            start, end = units.spans[at].tolist()
            for first, last, now in known.moves:
                other = copies.get((start - first + now, end - first + now))
                if first <= start and end <= last and other is not None:
                    found[at, other] = True
        return found


@dataclass(frozen=True)
class _Injected(Relation):
    perturb: Perturbation = field(default_factory=append_query_term)

    @override
    def make(self, text: Text, together: bool) -> Made | None:
        assert isinstance(text, tuple)
        try:
            change = self.perturb.change(*text)
        except InputError:  # this pair does not have what the perturbation needs
            return None
        asked = set(terms(text[0])) - STOPWORDS
        if not any(asked.intersection(terms(change.text[start:end])) for start, end in change.added):
            return None
        return Made((text[0], change.text), change.added)

    @override
    def truth(self, units: Units, known: Any = None) -> Bools | None:
        if known is None:
            return None
        added = _within(units, known) & (units.segments == "doc")
        found: Bools = _matches(units) & added[None, :]
        return found


def _within(units: Units, spans: Sequence[Span]) -> Bools:
    found = np.zeros(len(units), dtype=bool)
    for start, end in spans:
        found |= (units.spans[:, 0] >= start) & (units.spans[:, 1] <= end)
    return found


# -- of words and tokens as they stand ----------------------------------------------------------------------------------


def aligned_copy(seed: int = 0) -> Relation:
    """Relate each token to its own copy in a text whose sentences were put in another order.

    The detector makes the texts: a text followed by its copy, or the text as query and the copy as document where a ranker
    reads both in one sequence. Other tokens of the same string are what makes it hard. A text with fewer than two different
    sentences is left out. Of a text that is scored as it stands, nobody knows what is a copy.

    As in MIA (github.com/mattneary/MIA), which learned it from the cross-attention of BART.
    """
    seed = check_seed("aligned_copy", seed)
    return _AlignedCopy("aligned copy", spec=("aligned_copy", seed), seed=seed)


def same_token(where: str = "auto") -> Relation:
    """Relate tokens (or words) of the same string, as the tokenizer writes it."""
    where = check_choice("same_token(where)", where, WHERE)
    return Relation("same token", where, lambda units: units.same(units.keys), spec=("same_token", where))


def same_stem(where: str = "auto", verbatim: bool = True) -> Relation:
    """Relate words of one stem (English; see `mechviz.probes.relation_stems.stem`).

    Parameters
    ----------
    where : str
    verbatim : bool
        Whether equal words count.
    """
    where = check_choice("same_stem(where)", where, WHERE)
    if not isinstance(verbatim, bool):
        raise InputTypeError(f"same_stem(verbatim) must be True or False, not {shown(verbatim)}")

    def holds(units: Units) -> Bools:
        found = units.same([stem(term) for term in units.terms]) & _other_words(units)
        return found if verbatim else found & ~units.same(units.terms)

    return Relation("same stem", where, holds, spec=("same_stem", where, verbatim))


def synonym(lexicon: Mapping[str, str | Sequence[str]] | Callable[[str], Any], where: str = "auto") -> Relation:
    """Relate words that are synonyms of each other and not the same word.

    Parameters
    ----------
    lexicon : mapping, or callable
        Word -> synonym or synonyms, as `mechviz.perturb.synonym` takes it, such as `mechviz.perturb.wordnet`; a pair counts
        whichever of the two words has the other. Phrases are passed over.
    where : str
    """
    if not isinstance(lexicon, Mapping) and not callable(lexicon):
        raise InputTypeError(f"synonym(lexicon) must be a mapping of words to synonyms, or a function, not {shown(lexicon)}")
    if isinstance(lexicon, Mapping):
        if not lexicon:
            raise InputError("synonym(lexicon) is empty; give at least one word")
        table = {" ".join(terms(word)): given for word, given in lexicon.items()}
        look: Callable[[str], Any] = lambda term: table.get(term, ())  # noqa: E731 - one name, two kinds
    else:
        look = lexicon

    @cache
    def synonyms(term: str) -> frozenset[str]:
        given = look(term)
        return frozenset(" ".join(terms(one)) for one in ([given] if isinstance(given, str) else given)) - {term, ""}

    def holds(units: Units) -> Bools:
        known = {term: synonyms(term) for term in set(units.terms) if term}
        one_way = np.array([[b in known.get(a, ()) for b in units.terms] for a in units.terms], dtype=bool)
        found: Bools = one_way | one_way.T
        return found

    return Relation("synonym", check_choice("synonym(where)", where, WHERE), holds)


def previous_word() -> Relation:
    """Relate a word to the one before it in the same text; what holds neither letter nor digit is no word."""
    return Relation("previous word", "inside", lambda units: _steps(units) == -1, spec=("previous_word",))


def next_word() -> Relation:
    """Relate a word to the one after it in the same text; what holds neither letter nor digit is no word."""
    return Relation("next word", "inside", lambda units: _steps(units) == 1, spec=("next_word",))


def query_match() -> Relation:
    """Relate the terms of the query (stop words left out) to where the document has them."""
    return Relation("query match", "across", _matches, needs_query=True, spec=("query_match",))


def injected(perturb: Any = None) -> Relation:
    """Relate a term of the query to the copy of it that a perturbation puts into the document.

    The detector perturbs the documents itself; other occurrences of the term are what makes it hard. A pair to which no term
    of the query can be added is left out.

    Parameters
    ----------
    perturb : as in `mechviz.make_pair`, optional
        By default `mechviz.perturb.append_query_term`; or an axiom such as `mechviz.axioms.TFC1`.
    """
    chosen = append_query_term() if perturb is None else as_perturbation(perturb)
    if chosen.side != "doc":
        raise InputError(f"injected({chosen.name}): this perturbation changes the query; give one that changes the document")
    return _Injected("injected term", "across", None, True, perturb=chosen)


def relation(function: Callable[[Tokens], Any], name: str, where: str = "auto", needs_query: bool = False) -> Relation:
    """Make a relation of a function.

    Parameters
    ----------
    function : callable
        Takes the `Tokens` of a sequence and returns where the relation holds: a bool array, dims (pos, pos), or pairs of
        positions. Where words are merged, it holds for two words if for any of their pieces.
    name : str
        In words.
    where : str
    needs_query : bool
        Whether it speaks of the query.
    """
    if not callable(function):
        raise InputTypeError(f"relation(function) must be callable, not {shown(function)}")
    if not isinstance(name, str) or not name.strip():
        raise InputError(f"relation(name) is {shown(name)}; say in words what it is")

    def holds(units: Units) -> Bools:
        return units.any_of(_as_matrix(name, function(units.tokens), len(units.tokens)))

    return Relation(name, check_choice("relation(where)", where, WHERE), holds, needs_query)


def named(spec: Sequence[Any]) -> Relation | None:
    """Return the relation of a `Relation.spec`; None for an empty one."""
    makers: dict[str, Callable[..., Relation]] = {
        one.__name__: one for one in (aligned_copy, same_token, same_stem, previous_word, next_word, query_match)
    }
    if not spec:
        return None
    if spec[0] not in makers:
        raise InputError(f"there is no relation {shown(spec[0])}; there are {', '.join(makers)}")
    return makers[spec[0]](*spec[1:])


def check_relation(value: object) -> Relation:
    """Return a relation; a name or a function is none yet.

    Raises
    ------
    InputTypeError
    """
    if not isinstance(value, Relation):
        raise InputTypeError(f"give a relation, such as relations.same_token(), or relation(function, name), not {shown(value)}")
    return value


def _other_words(units: Units) -> Bools:
    found: Bools = units.words[:, None] != units.words[None, :]
    return found


def _matches(units: Units) -> Bools:
    named = [term not in STOPWORDS and bool(term) for term in units.terms]
    found: Bools = units.same(units.terms) & units.across() & np.array(named, dtype=bool)[:, None]
    return found


def _steps(units: Units) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return how many words the second unit is after the first, dims (unit, unit); 0 where it is in another text."""
    is_word = np.array([bool(term) for term in units.terms])
    numbers = np.unique(units.words[is_word])
    place = np.searchsorted(numbers, units.words)
    pairs = is_word[:, None] & is_word[None, :] & (units.segments[:, None] == units.segments[None, :])
    return np.where(pairs, place[None, :] - place[:, None], 0)


def _as_matrix(name: str, given: Any, length: int) -> Bools:
    if isinstance(given, np.ndarray):
        if given.shape != (length, length) or given.dtype != np.bool_:
            raise InputError(
                f"the relation {name!r} returned {given.dtype} of shape {given.shape}; return bool, dims ({length}, {length})"
            )
        return given
    if not isinstance(given, Iterable) or isinstance(given, (str, bytes)):
        raise InputTypeError(f"the relation {name!r} returned {shown(given)}; return a bool array or pairs of positions")
    found = np.zeros((length, length), dtype=bool)
    for pair in given:
        right = isinstance(pair, Sequence) and len(pair) == 2 and all(isinstance(at, (int, np.integer)) for at in pair)
        if not right or not all(0 <= at < length for at in pair):
            raise InputError(f"the relation {name!r} returned {shown(pair)}; a pair is two positions from 0 to {length - 1}")
        found[tuple(pair)] = True
    return found
