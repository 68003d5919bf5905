"""Train the toys that ship, judge them, and write their cards.

``python -m benchmarks.toys train NAME --out FOLDER [--seed N] [--apart] [--cache FOLDER]``
    As `benchmarks.toys.recipes` says; ``--apart`` keeps every fourth query of 2020 out, to choose settings on.
``python -m benchmarks.toys judge FOLDER... [--json OUT]``
    The folders are seeds of one toy, the one that ships first; any name that `mechviz.load` takes will do, and ``minilm``.
    ``--year 2020`` chooses settings; what is found inside is looked at in the first one alone, ``--no-inside`` for in none.
``python -m benchmarks.toys card NAME...``
    Writes ``README.md`` of a shipped toy from its ``figures.json`` and lists all files' sums anew; ``compiled`` writes the cards
    of the compiled ones.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.toys import compiled_cards
from benchmarks.toys.card import card
from benchmarks.toys.inside import look
from benchmarks.toys.judge import Judge, opened
from benchmarks.toys.recipes import train
from mechviz.toys.compiled import NAMES as COMPILED
from mechviz.toys.shipped import TRAINED, WEIGHTS, write_sums

CARDS = WEIGHTS.parent / "cards"


def judge(names: Sequence[str], year: int, inside: bool, out: Path | None) -> None:
    """Judge rankers of one kind, print what is found, and write it."""
    bench = Judge(year)
    figures: dict[str, object] = {"year": year, "baselines": bench.baselines(), "runs": []}
    for number, (ranker, training) in enumerate(opened(names)):
        found = {**bench.figures(ranker), "training": {key: training[key] for key in ("seed", "seconds") if key in training}}
        if number == 0:
            figures["training"] = training
            if inside:
                figures["inside"] = look(ranker)
        figures["runs"] = [*figures["runs"], found]  # type: ignore[misc]
        print(json.dumps(found), flush=True)
    text = json.dumps(figures, indent=1)
    if out is None:
        print(text)
    else:
        out.write_text(text + "\n", encoding="utf-8")


def write_cards(names: Sequence[str], weights: Path = WEIGHTS, cards: Path = CARDS) -> None:
    """Write the cards of toys, and the sums of the trained ones."""
    for name in names:
        if name == "compiled":
            for one in COMPILED:
                print(compiled_cards.write(cards, one))
            continue
        path = weights / name / "figures.json"
        if not path.is_file():
            raise SystemExit(f"{path} is missing: python -m benchmarks.toys judge FOLDER... --json {path} writes it")
        figures = json.loads(path.read_text(encoding="utf-8"))
        (weights / name / "README.md").write_text(card(name, figures), encoding="utf-8")
    if set(names) != {"compiled"}:
        print(write_sums(weights))


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.toys", description=__doc__.partition("\n")[0])  # type: ignore[union-attr]
    commands = parser.add_subparsers(dest="command", required=True)
    judging = commands.add_parser("judge", help="nDCG, score changes, and what is found inside")
    judging.add_argument("names", nargs="+", metavar="FOLDER")
    judging.add_argument("--json", type=Path, metavar="OUT")
    judging.add_argument("--year", type=int, choices=(2019, 2020), default=2019)
    judging.add_argument("--no-inside", action="store_true")
    training = commands.add_parser("train", help="train a toy as it ships")
    training.add_argument("name", choices=TRAINED, metavar="NAME")
    training.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    training.add_argument("--seed", type=int, default=0)
    training.add_argument("--apart", action="store_true")
    training.add_argument("--cache", type=Path, metavar="FOLDER", help="keeps the teacher's vectors for the next one")
    writing = commands.add_parser("card", help="the model card of a shipped toy")
    writing.add_argument("names", nargs="+", metavar="NAME", choices=(*TRAINED, "compiled"))
    arguments = parser.parse_args(argv)
    if arguments.command == "train":
        print(train(arguments.name, arguments.seed, arguments.out, arguments.apart, arguments.cache))
    elif arguments.command == "judge":
        judge(arguments.names, arguments.year, not arguments.no_inside, arguments.json)
    else:
        write_cards(arguments.names)
    return 0


if __name__ == "__main__":
    sys.exit(main())
