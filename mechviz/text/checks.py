"""The checks that every text from outside passes first."""

from __future__ import annotations

import re

from mechviz.errors import InputError, InputTypeError, shown

_SURROGATE = re.compile("[\ud800-\udfff]")


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
    lone = None if value.isascii() else _SURROGATE.search(value)
    if lone:
        raise InputError(
            f"{name} holds the lone surrogate U+{ord(lone[0]):04X} at character {lone.start()}; "
            "it is half of a character and cannot be encoded: remove or repair it"
        )
    return str(value)


def whole_number(name: str, value: object, least: int = 1) -> int:
    """Return a whole number that is large enough.

    Raises
    ------
    InputError
    """
    if type(value) is not int or value < least:
        raise InputError(f"{name}={shown(value)}; give a whole number, at least {least}")
    return value
