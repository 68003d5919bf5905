"""Perturbations as named callables, made of whatever a person hands over."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

from mechviz.errors import InputError, InputTypeError, MechvizError, PerturbError, shown
from mechviz.text.checks import check_text
from mechviz.text.perturb.changes import Change, difference
from mechviz.text.perturb.rewrites import Rewrite


@dataclass(frozen=True)
class Perturbation:
    """A named change of the document or of the query.

    Attributes
    ----------
    function : callable
        ``text -> text`` or ``(text, other) -> text``, where the other text is the query if the document changes.
    name : str
        What views and results call it.
    side : ``"doc"`` or ``"query"``
        Which text it changes.
    """

    function: Callable[..., str]
    name: str
    side: str = "doc"

    def __call__(self, text: str, other: str | None = None) -> str:
        """Return the changed text; ``other`` is passed on where the function asks for it."""
        other_name = "query" if self.side == "doc" else "doc"
        return self.function(text, other) if _takes_two(self.function, other_name) else self.function(text)

    def __repr__(self) -> str:
        return self.name

    def __reduce__(self) -> tuple[Any, ...]:
        # under the name of a decorated function stands its perturbation, so pickle would not find the function itself
        where = (getattr(self.function, "__module__", None), getattr(self.function, "__qualname__", ""))
        found = _named(*where)
        if isinstance(found, Perturbation) and found.function is self.function:
            return _decorated, (*where, self.name, self.side)
        return type(self), (self.function, self.name, self.side)

    def apply(self, query: str, doc: str) -> str:
        """Change one side of a pair and check what comes back.

        Raises
        ------
        PerturbError
            The function raised; the original exception is the cause, and the message holds the pair.
        InputError, InputTypeError
            It cannot work on these texts, or returned something that is no usable text, or the text unchanged.
        """
        text, other = self._texts(query, doc)
        with self._blamed(query, doc):
            changed = self(text, other)
        return self._checked(text, changed)

    def change(self, query: str, doc: str) -> Change:
        """Change one side of a pair and say where: the text that `apply` returns, with the spans removed and added.

        The ready perturbations know their spans. For any other function they are found by comparing the two texts word by
        word, which need not be how the function thought of it.

        Raises
        ------
        PerturbError, InputError, InputTypeError
            As `apply` does.
        """
        text, other = self._texts(query, doc)
        if not isinstance(self.function, Rewrite):
            return difference(text, self.apply(query, doc))
        with self._blamed(query, doc):
            change = self.function.change(text, other)
        self._checked(text, change.text)
        return change

    def _texts(self, query: str, doc: str) -> tuple[str, str]:
        return (doc, query) if self.side == "doc" else (query, doc)

    @contextmanager
    def _blamed(self, query: str, doc: str) -> Iterator[None]:
        try:
            yield
        except MechvizError:
            raise  # the ready perturbations say themselves what is wrong
        except Exception as error:
            raise PerturbError(
                f"the perturbation {self.name} raised {type(error).__name__}: {error} (query {shown(query)}, doc {shown(doc)})"
            ) from error

    def _checked(self, text: str, changed: object) -> str:
        changed = check_text(f"the {self.side} that the perturbation {self.name} returned", changed)
        if changed == text:
            raise InputError(
                f"the perturbation {self.name} left the {self.side} as it was ({shown(text)}): there is nothing to patch"
            )
        return changed


def perturbation(function: Callable[..., str]) -> Perturbation:
    """Make a perturbation of a function ``doc -> doc`` or ``(doc, query) -> doc``; usable as a decorator.

    The function receives the query too when its second positional parameter is called ``query`` or has no default.
    """
    if isinstance(function, Perturbation):
        return function
    if not callable(function):
        raise InputTypeError(f"a perturbation must be a function of the document, not {shown(function)}")
    return Perturbation(function, getattr(function, "__name__", type(function).__name__))


def on_query(function: Callable[..., str]) -> Perturbation:
    """Change the query instead of the document: ``query -> query`` or ``(query, doc) -> query``.

    A ready perturbation that works with the query, such as `terms_together`, then works with the document in its place.
    """
    inner = perturbation(function)
    return Perturbation(inner.function, f"on_query({inner.name})", "query")


def as_perturbation(perturb: object) -> Perturbation:
    """Return whatever a person hands over as a `Perturbation`.

    ``perturb`` is a function or any other callable, such as an axiom, decorated or not; or the perturbed text of the
    document itself.
    """
    if isinstance(perturb, str):
        return Perturbation(_Given(check_text("perturb (the perturbed text)", perturb)), "the given text")
    if callable(perturb):
        return perturbation(perturb)
    raise InputTypeError(
        f"perturb must be a function doc -> doc (or (doc, query) -> doc) or the perturbed text, not {shown(perturb)}"
    )


@dataclass(frozen=True)
class _Given:
    text: str

    def __call__(self, _: str) -> str:
        return self.text


def _decorated(module: str, function: str, name: str, side: str) -> Perturbation:
    found: Perturbation = _named(module, function)
    return replace(found, name=name, side=side)


def _named(module: str | None, name: str) -> Any:
    """Return what stands under a dotted name in a module; None where nothing does."""
    if not module or not name:
        return None
    try:
        return reduce(getattr, name.split("."), importlib.import_module(module))
    except (ImportError, AttributeError):
        return None


def _takes_two(function: Callable[..., Any], other: str) -> bool:
    """Return whether the second positional parameter has the name of the other text or no default."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # some built-ins have no signature: they take the text alone
        return False
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if len(positional) < 2:
        return False
    return positional[1].name == other or positional[1].default is inspect.Parameter.empty
