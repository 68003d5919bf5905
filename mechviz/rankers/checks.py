"""The checks of what a ranker is given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set

import numpy as np
from numpy.typing import NDArray

from mechviz.errors import InputError, InputTypeError, shown
from mechviz.text.tokens import Tokens

#: The token sequences of one (query, document) pair, by stack.
Inputs = Mapping[str, Tokens]


def rows_within(tokens: Tokens, limit: int) -> NDArray[np.int64]:
    """Return the positions to keep so that a sequence fits a limit: the document, or a query alone, loses its end.

    Raises
    ------
    InputError
        The query and the special tokens alone do not fit.
    """
    excess = len(tokens) - limit
    if excess <= 0:
        return np.arange(len(tokens))
    text = tokens.positions("doc" if "doc" in tokens.segments else "query")
    if excess >= len(text):
        raise InputError(
            f"{len(tokens)} tokens do not fit this ranker's limit of {limit} even with the text cut: shorten the query "
            "or the prompt"
        )
    return np.setdiff1d(np.arange(len(tokens)), text[-excess:])


def too_long(what: str, length: int, limit: int) -> InputError:
    """Return the error for a text over the limit."""
    return InputError(
        f"{what} {length} tokens with the special ones, this ranker takes {limit}; "
        "shorten it, or pass truncate=True to cut its end"
    )


def check_own_tokens(inputs: Inputs, sides: Sequence[str] = ("query", "doc")) -> None:
    """Refuse a text that has no token of its own (white space, characters the tokenizer drops)."""
    for side in sides:
        spans = [tokens.offsets[tokens.positions(side)] for tokens in inputs.values()]
        if not any((span[:, 1] > span[:, 0]).any() for span in spans):
            raise InputError(f"the {side} has no token of its own under this tokenizer (only spaces or characters that it drops)")


def check_docs(docs: object) -> list[str]:
    """Return a list of documents as a list; None is an empty one.

    Raises
    ------
    InputTypeError
        One string, or a container whose items are not documents in an order (a mapping, a set, a table).
    """
    if docs is None:
        return []
    if isinstance(docs, (str, bytes, Mapping, Set)) or hasattr(docs, "columns") or not isinstance(docs, Iterable):
        raise InputTypeError(f"docs must be a list of documents, not {shown(docs)}")
    return list(docs)


def pairwise(queries: str | Sequence[str], docs: str | Sequence[str]) -> list[tuple[str, str]]:
    """Return queries and documents as pairs; one string is taken for every item of the other.

    Raises
    ------
    InputError, InputTypeError
    """
    for name, value in (("queries", queries), ("docs", docs)):
        if isinstance(value, (bytes, Mapping, Set)) or hasattr(value, "columns") or not isinstance(value, Iterable):
            raise InputTypeError(f"{name} must be a string or a list of strings, not {shown(value)}")
    many_queries = [queries] if isinstance(queries, str) else list(queries)
    many_docs = [docs] if isinstance(docs, str) else list(docs)
    if isinstance(queries, str):
        many_queries *= len(many_docs)
    if isinstance(docs, str):
        many_docs *= len(many_queries)
    if len(many_queries) != len(many_docs):
        raise InputError(f"{len(many_queries)} queries and {len(many_docs)} docs; give equally many, or one string to repeat")
    return list(zip(many_queries, many_docs, strict=True))
