"""The command line: ``mechviz demo`` runs the main job once, on a trained toy; ``mechviz study`` runs one on many pairs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mechviz import __version__
from mechviz.errors import MechvizError

if TYPE_CHECKING:
    from mechviz.studies import Study

#: What the demo runs on: it comes with mechviz, so that nothing is downloaded.
RANKER = "toy/cat"


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status: 0, or 1 after an error of ours, told in one line."""
    parser = argparse.ArgumentParser(prog="mechviz", description="See and test why a neural ranker scores a document as it does.")
    parser.add_argument("--version", action="version", version=f"mechviz {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser("demo", help="patch one example and write it as one HTML file")
    demo.add_argument(
        "--out", type=Path, default=Path("demo.html"), metavar="FILE", help="the file to write (default: demo.html)"
    )
    demo.add_argument(
        "--ranker", default=RANKER, metavar="NAME", help=f"a toy, a local directory or a hub id (default: {RANKER})"
    )
    study = commands.add_parser("study", help="run the study that a TOML file describes, or go on with it")
    study.add_argument("file", type=Path, metavar="FILE.toml", help="what mechviz.study is given (see mechviz.studies.toml)")
    study.add_argument("--quiet", action="store_true", help="without a bar")
    study.add_argument("--top", type=int, default=8, metavar="N", help="how many cells to print (default: 8)")
    arguments = parser.parse_args(argv)
    try:
        if arguments.command == "demo":
            _demo(arguments.out, arguments.ranker)
        else:
            _study(arguments.file, arguments.quiet, arguments.top)
    except KeyboardInterrupt:
        print("mechviz: stopped; what is done is kept, and a study goes on with the same command", file=sys.stderr)
        return 130
    except MechvizError as error:
        print(f"mechviz: {error}", file=sys.stderr)
        return 1
    return 0


def _demo(out: Path, name: str) -> None:
    import mechviz as mv
    from mechviz.demo import ADDED, COMPETITORS, DOC, QUERY

    ranker = mv.load(name)
    view = mv.show_patching(ranker, QUERY, DOC, mv.perturb.append(ADDED), docs=COMPETITORS, wait=True)
    result, pair = view.result, view.result.pair
    ranks = view.spec["ranks"]
    print(f"ranker  {ranker!r}")
    print(f"query   {QUERY}")
    print(f"change  {pair.perturbation} on the document")
    print(f"score   {pair.original_score:.4f} -> {pair.perturbed_score:.4f} ({pair.perturbed_score - pair.original_score:+.4f})")
    print(f"rank    {ranks['original']} -> {ranks['perturbed']} of {ranks['of']}")
    print("heads that carry the change (share of it, exact):")
    for cell in result.top(5).itertuples():
        print(f"  layer {cell.layer}, head {cell.head:2d}  {cell.effect:+.3f}")
    print(f"wrote   {view.to_html(out).resolve()}")


def _study(file: Path, quiet: bool, top: int) -> None:
    from mechviz.studies.toml import run_file

    found = run_file(file, progress=not quiet)
    print(f"study   {found.name}")
    print(f"grid    {found.header.grid}, {found.analysis.metric}, {found.header.direction}")
    print(f"pairs   {found.n_used} used, of {found.n_queries} queries; {found.n_dropped} dropped")
    for reason, count in found.dropped.items():
        print(f"  {count:6d}  {reason}")
    if found.n_used:
        _print_cells(found, top)
    for note in found.notes:
        print(f"note    {note}")
    print(f"wrote   {found.parts.folder.resolve()}")


def _print_cells(found: Study, top: int) -> None:
    print(f"cells that carry the change ({found.analysis.metric}, {found.analysis.confidence:.0%} interval, q):")
    table = found.interval.assign(effect=found.effects, q=found.q).to_dataframe().dropna(subset="effect")
    best = table["effect"].abs().sort_values(ascending=False, kind="stable").index[:top]
    for name, cell in table.loc[best].iterrows():
        at = name if isinstance(name, tuple) else (name,)
        place = ", ".join(f"{dim} {value}" for dim, value in zip(table.index.names, at, strict=True))
        print(f"  {place:24s} {cell.effect:+.3f}  [{cell.low:+.3f}, {cell.high:+.3f}]  q {cell.q:.2g}")


if __name__ == "__main__":
    sys.exit(main())
