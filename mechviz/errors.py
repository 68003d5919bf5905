"""What mechviz raises: every error says what is wrong, what was given and what to do."""

from __future__ import annotations


class MechvizError(Exception):
    """The parent of every error that mechviz raises."""


class InputError(MechvizError, ValueError):
    """A value that was given cannot be used."""


class InputTypeError(MechvizError, TypeError):
    """A value of the wrong type was given."""


class UnsupportedModelError(MechvizError):
    """A checkpoint that mechviz cannot open, or not without guessing."""


class PerturbError(MechvizError):
    """The caller's perturbation raised; the original exception is its cause."""


class NonFiniteError(MechvizError, ArithmeticError):
    """NaN or inf appeared in the activations or in a score."""


def shown(value: object, limit: int = 80) -> str:
    """Return ``repr(value)`` for an error message, cut in the middle to ``limit`` characters."""
    text = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    if len(text) <= limit:
        return text
    return f"{text[: limit // 2]}...{text[-limit // 2 :]}"
