"""Perturbations of the numbers in a text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mechviz.errors import InputError, shown
from mechviz.text.perturb.base import Perturbation
from mechviz.text.perturb.changes import Replacement
from mechviz.text.perturb.rewrites import Rewrite, check_choice, check_seed, drawn_order, draws

# digits with single dots or commas between them, not inside or at the end of a word: not the 2 of H2O
_NUMBER = re.compile(r"(?<!\w)\d+(?:[.,]\d+)*")


def swap_numbers(how: str = "among", seed: int = 0) -> Perturbation:
    """Swap the numbers of the text, or put other numbers in their place.

    A number is a row of digits of any script, with dots and commas inside, that does not follow on a letter: 1,200 or 3.5 or
    the 10 of 10km, not the 2 of H2O.

    Parameters
    ----------
    how : ``"among"`` or ``"others"``
        ``"among"``: the numbers change places. ``"others"``: each is replaced by another one that looks alike, with as many
        digits and the same dots and commas; equal numbers stay equal to each other.
    seed : int
        The result depends on the seed and the text alone.

    Raises
    ------
    InputError
        When applied to a text without numbers, or for ``"among"`` without two different ones.
    """
    how, seed = check_choice("swap_numbers(how)", how, ("among", "others")), check_seed("swap_numbers", seed)
    return Perturbation(_SwapNumbers(how, seed), f"swap_numbers({how!r}, seed={seed})")


@dataclass(frozen=True)
class _SwapNumbers(Rewrite):
    how: str
    seed: int

    def replacements(self, text: str, other: str | None) -> Iterator[Replacement]:
        found = list(_NUMBER.finditer(text))
        numbers = [number.group() for number in found]
        if not numbers:
            raise InputError(f"swap_numbers: there is no number in {shown(text)}")
        generator = draws(self.seed, text)
        if self.how == "others":
            others = {number: _another(number, generator) for number in dict.fromkeys(numbers)}
            swapped = [others[number] for number in numbers]
        elif len(set(numbers)) < 2:
            raise InputError(f"swap_numbers: {shown(text)} has one number only, {numbers[0]}; how='others' puts others in place")
        else:
            swapped = [numbers[at] for at in drawn_order(numbers, generator)]
        for number, new in zip(found, swapped, strict=True):
            yield Replacement(*number.span(), new)


def _another(number: str, generator: np.random.Generator) -> str:
    """Draw a number with the same digits places; the first digit is 0 only where it was, or where it is the only one."""
    least = int(len(number) > 1 and unicodedata.decimal(number[0]) > 0)
    while True:  # at most every other draw is the number itself
        drawn = "".join(_digit(one, generator, least * (at == 0)) for at, one in enumerate(number))
        if drawn != number:
            return drawn


def _digit(character: str, generator: np.random.Generator, least: int) -> str:
    """Draw a digit of the same script, from ``least`` to 9; dots and commas stay."""
    if not character.isdecimal():
        return character
    return chr(ord(character) - unicodedata.decimal(character) + int(generator.integers(least, 10)))
