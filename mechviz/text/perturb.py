"""Perturbations: what is done to a text so that the ranker's answer to the change can be patched.

A perturbation is any function ``doc -> doc`` or ``(doc, query) -> doc``. The ready ones here are functions that
return such a function.

>>> append("volcano")("Hot springs are warm.")
'Hot springs are warm. volcano'
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mechviz.errors import InputError, InputTypeError, MechvizError, PerturbError, shown
from mechviz.text.checks import check_text


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

    def apply(self, query: str, doc: str) -> str:
        """Change one side of a pair and check what comes back.

        Raises
        ------
        PerturbError
            The function raised; the original exception is the cause, and the message holds the pair.
        InputError, InputTypeError
            It returned something that is no usable text, or the text unchanged.
        """
        text, other = (doc, query) if self.side == "doc" else (query, doc)
        try:
            changed = self(text, other)
        except MechvizError:
            raise  # the ready perturbations say themselves what is wrong
        except Exception as error:
            raise PerturbError(
                f"the perturbation {self.name} raised {type(error).__name__}: {error} (query {shown(query)}, doc {shown(doc)})"
            ) from error
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
    """Change the query instead of the document: ``query -> query`` or ``(query, doc) -> query``."""
    inner = perturbation(function)
    return Perturbation(inner.function, f"on_query({inner.name})", "query")


def as_perturbation(perturb: object) -> Perturbation:
    """Return whatever a person hands over as a `Perturbation`.

    ``perturb`` is a function, decorated or not, or the perturbed text of the document itself.
    """
    if isinstance(perturb, str):
        text = check_text("perturb (the perturbed text)", perturb)
        return Perturbation(lambda _: text, "the given text")
    if callable(perturb):
        return perturbation(perturb)
    raise InputTypeError(
        f"perturb must be a function doc -> doc (or (doc, query) -> doc) or the perturbed text, not {shown(perturb)}"
    )


def append(text: str) -> Perturbation:
    """Add ``text`` at the end, after a space."""
    text = check_text("append(text)", text)
    return Perturbation(lambda doc: f"{doc} {text}", f"append({text!r})")


def prepend(text: str) -> Perturbation:
    """Add ``text`` at the start, followed by a space."""
    text = check_text("prepend(text)", text)
    return Perturbation(lambda doc: f"{text} {doc}", f"prepend({text!r})")


def insert(text: str, at: int) -> Perturbation:
    """Insert ``text`` before word number ``at`` (words are split at white space; negative counts from the end).

    Raises
    ------
    InputError
        When applied to a text with fewer words.
    """
    text = check_text("insert(text)", text)

    def change(doc: str) -> str:
        starts = [word.start() for word in re.finditer(r"\S+", doc)]
        where = at if at >= 0 else at + len(starts)
        if not 0 <= where <= len(starts):
            raise InputError(
                f"insert(at={at}): the text has {len(starts)} words; give a number from {-len(starts)} to {len(starts)}"
            )
        if where == len(starts):
            return f"{doc} {text}"
        return f"{doc[: starts[where]]}{text} {doc[starts[where] :]}"

    return Perturbation(change, f"insert({text!r}, at={at})")


def replace(old: str, new: str) -> Perturbation:
    """Replace every occurrence of ``old`` by ``new``.

    Raises
    ------
    InputError
        When applied to a text without ``old``.
    """
    old, new = check_text("replace(old)", old), check_text("replace(new)", new)
    return Perturbation(lambda doc: _found(doc, old, "replace").replace(old, new), f"replace({old!r}, {new!r})")


def delete(text: str) -> Perturbation:
    """Delete every occurrence of ``text`` and close the gap that it leaves.

    Raises
    ------
    InputError
        When applied to a text without it.
    """
    text = check_text("delete(text)", text)

    def change(doc: str) -> str:
        parts = _found(doc, text, "delete").split(text)
        whole = parts[0]
        for part in parts[1:]:
            whole += part.removeprefix(" ") if not whole or whole.endswith(" ") else part
        return whole

    return Perturbation(change, f"delete({text!r})")


def _found(doc: str, text: str, kind: str) -> str:
    if text not in doc:
        raise InputError(f"{kind}: {shown(text)} does not occur in {shown(doc)}")
    return doc


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
