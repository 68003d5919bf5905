"""A figure, its aim, and the table in Markdown that the README carries."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One figure.

    Attributes
    ----------
    what : str
    value : str
    aim : str
        Empty where there is none.
    met : bool or None
        None where there is no aim.
    """

    what: str
    value: str
    aim: str = ""
    met: bool | None = None


def print_table(rows: list[Row]) -> None:
    """Print the figures as a Markdown table."""
    print("| figure | measured | aim | met |")
    print("|---|---|---|---|")
    for row in rows:
        met = "" if row.met is None else "yes" if row.met else "**no**"
        print(f"| {row.what} | {row.value} | {row.aim} | {met} |")
