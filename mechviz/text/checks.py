"""The checks that every text from outside passes first."""

from __future__ import annotations

from mechviz.errors import InputError, InputTypeError, shown


def check_text(name: str, value: object) -> str:
    """Return ``value`` if it is a text that can be scored.

    Raises
    ------
    InputTypeError
        Not a string.
    InputError
        Empty, or holding half of a surrogate pair (which no tokenizer can encode), with its position.
    """
    if not isinstance(value, str):
        raise InputTypeError(f"{name} must be a string, but {shown(value)} is a {type(value).__name__}")
    if not value:
        raise InputError(f"{name} is empty (''); give a text with at least one token")
    for position, character in enumerate(value):
        if "\ud800" <= character <= "\udfff":
            raise InputError(
                f"{name} holds the lone surrogate U+{ord(character):04X} at character {position}; "
                "it is half of a character and cannot be encoded: remove or repair it"
            )
    return str(value)
