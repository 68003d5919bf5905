"""What was left out of one reading of a collection, and why."""

from __future__ import annotations

from collections import Counter

from mechviz.errors import InputError


class Dropped:
    """Counts what one reading of a collection leaves out.

    Attributes
    ----------
    counts : Counter
        Reason -> number of pairs.
    examples : dict of str to str
        Reason -> the first of them.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.examples: dict[str, str] = {}

    def add(self, reason: str, example: str, on_missing: str = "drop") -> None:
        """Count one that is left out.

        Raises
        ------
        InputError
            ``on_missing`` is ``"raise"``.
        """
        if on_missing == "raise":
            raise InputError(f"{reason}: {example}; leave on_missing out to count such pairs and go on")
        self.counts[reason] += 1
        self.examples.setdefault(reason, example)

    def describe(self, name: str) -> str:
        """Return what was left out, in words."""
        parts = [f"{n} ({reason}, such as {self.examples[reason]})" for reason, n in self.counts.items()]
        return f"{name}: {sum(self.counts.values())} pairs were left out: {'; '.join(parts)}; see .dropped"
