"""Perturbations that say the same in other words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from mechviz.errors import InputError, InputTypeError, shown
from mechviz.text.perturb.base import Perturbation
from mechviz.text.perturb.changes import Replacement
from mechviz.text.perturb.rewrites import Rewrite, check_choice, check_seed, check_texts, draws, needed
from mechviz.text.words import terms, words

#: Which terms `synonym` replaces.
WHICH = ("all", "query", "random")

#: A term or phrase -> its synonym or synonyms.
Table = Mapping[str, str | Sequence[str]]


def synonym(table: Table | Callable[[str], str | Sequence[str]], which: str = "all", seed: int = 0) -> Perturbation:
    """Replace terms by synonyms.

    All occurrences of a term get the same synonym. Case does not matter for finding a term; a synonym follows the case of
    the word that it replaces (``Hot`` -> ``Warm``, ``HOT`` -> ``WARM``).

    Parameters
    ----------
    table : mapping, or callable
        Term -> synonym or list of synonyms, of which one is drawn. A term may be a phrase; the longest that fits is taken.
        Or a function of a module, term -> synonym or synonyms, for single words; such as `wordnet`.
    which : ``"all"``, ``"query"`` or ``"random"``
        Every term of the text that has a synonym; those whose words are all in the query; or one of them that is drawn.
    seed : int
        The result depends on the seed, the text and, for ``"query"``, the query alone.

    Raises
    ------
    InputError, InputTypeError
        The table cannot be used. When applied to a text with no term that has a synonym (and is in the query).
    """
    which, seed = check_choice("synonym(which)", which, WHICH), check_seed("synonym", seed)
    if not isinstance(table, Mapping) and not callable(table):
        raise InputTypeError(f"synonym(table) must be a mapping of terms to synonyms, or a function, not {shown(table)}")
    source = _table(table) if isinstance(table, Mapping) else table
    told = shown(dict(table)) if isinstance(table, Mapping) else getattr(table, "__name__", repr(table))
    return Perturbation(_Synonym(source, which, seed), f"synonym({told}, {which!r}, seed={seed})")


def _table(table: Table) -> _Table:
    entries = {}
    for term, given in table.items():
        if not isinstance(term, str) or not terms(term):
            raise InputError(f"synonym(table): {shown(term)} is no term; a key holds at least one word")
        name = f"synonym(table)[{term!r}]"
        found = check_texts(name, [given] if isinstance(given, str) else given)
        if not found:
            raise InputError(f"{name} is empty; give at least one synonym")
        key = " ".join(terms(term))
        if key in entries:
            raise InputError(f"synonym(table) has the term {key!r} twice (case does not matter); put its synonyms in one list")
        entries[key] = found
    if not entries:
        raise InputError("synonym(table) is empty; give at least one term")
    return _Table(tuple(entries.items()))


@dataclass(frozen=True)
class _Table:
    entries: tuple[tuple[str, tuple[str, ...]], ...]

    def __call__(self, term: str) -> tuple[str, ...]:
        return self._by_term.get(term, ())

    @cached_property
    def _by_term(self) -> dict[str, tuple[str, ...]]:
        return dict(self.entries)

    @cached_property
    def longest(self) -> int:
        """Number of words of the longest term."""
        return max(term.count(" ") + 1 for term, _ in self.entries)


@dataclass(frozen=True)
class _Synonym(Rewrite):
    source: Callable[[str], str | Sequence[str]]
    which: str
    seed: int

    def replacements(self, text: str, other: str | None) -> Iterator[Replacement]:
        query = needed("synonym(which='query')", other) if self.which == "query" else None
        found = list(self._found(text, None if query is None else set(terms(query))))
        known = list(dict.fromkeys(term for *_, term in found))
        if not known:
            asked = "" if query is None else f" that is in {shown(query)}"
            raise InputError(f"synonym: no term of {shown(text)}{asked} has a synonym")
        generator = draws(self.seed, text) if query is None else draws(self.seed, text, query)
        if self.which == "random":
            known = [known[generator.integers(len(known))]]
        chosen = {}
        for term in known:
            synonyms = self._synonyms(term)
            chosen[term] = synonyms[generator.integers(len(synonyms))]
        for start, end, term in found:
            if term in chosen:
                yield Replacement(start, end, _in_case(text[start:end], chosen[term]))

    def _found(self, text: str, wanted: set[str] | None) -> Iterator[tuple[int, int, str]]:
        """Find the terms that have a synonym and hold wanted words only, the longest at each place."""
        spans, own = words(text), terms(text)
        # the words that a term may go on with: only white space stands before them
        joined = [text[left:right].isspace() for (_, left), (right, _) in pairwise(spans)]
        longest = self.source.longest if isinstance(self.source, _Table) else 1
        done = 0
        for at in range(len(spans)):
            for end in range(min(at + longest, len(spans)), at, -1) if at >= done else ():
                term = " ".join(own[at:end])
                fits = all(joined[at : end - 1]) and (wanted is None or wanted.issuperset(own[at:end]))
                if fits and self._synonyms(term):
                    yield spans[at][0], spans[end - 1][1], term
                    done = end
                    break

    def _synonyms(self, term: str) -> list[str]:
        given = self.source(term)
        return [synonym for synonym in ([given] if isinstance(given, str) else given) if terms(synonym) != term.split()]


def _in_case(word: str, synonym: str) -> str:
    if word.isupper() and len(word) > 1:
        return synonym.upper()
    return synonym[0].upper() + synonym[1:] if word[0].isupper() else synonym
