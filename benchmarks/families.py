"""What opens and which hooks count, family by family, tried on tiny models: ``python -m benchmarks.families``.

Prints the two tables that the README carries. A check mark is a ranker that was saved, opened and patched here, and a
hook where noise moved the score of every ranker of the family.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import transformers

from mechviz.rankers.families import FAMILIES
from mechviz.rankers.hooked import site_of
from mechviz.rankers.load import KINDS
from tests.cases import CASES
from tests.noise import hooks_that_count

SITES = (
    *("embed", "resid_pre", "q", "k", "rot_q", "rot_k", "v", "attn_scores", "pattern", "z", "attn_out", "resid_mid"),
    *("mlp_pre", "mlp_post", "mlp_out", "resid_post"),
)
#: Where the README carries the tables.
MARKS = ("<!-- families -->", "<!-- end of families -->")
_OTHER_NAMES = {"decoder_embed": "embed", "cross_attn_out": "attn_out", "resid_mid2": "resid_mid"}


def tables() -> str:
    """Try everything and return both tables in Markdown."""
    transformers.utils.logging.disable_progress_bar()
    opened: dict[tuple[str, str], str] = {}
    counts: dict[tuple[str, str, str], bool] = {}
    for case in CASES.values():
        family = case.family.partition(",")[0]
        with tempfile.TemporaryDirectory() as folder:
            hooks = hooks_that_count(case.open(case.save(Path(folder))))
        opened[family, case.kind] = case.class_name
        for name, moved in hooks.items():
            key = (family, _stack(name, several=len(FAMILIES[family].blocks) > 1), _site(name))
            counts[key] = counts.get(key, True) and moved
    return "\n".join([*_kinds(opened), "", *_hooks(counts)])


def _kinds(opened: dict[tuple[str, str], str]) -> Iterator[str]:
    yield from _head("family", KINDS)
    for family in FAMILIES:
        cells = (f"`{opened[family, kind]}`" if (family, kind) in opened else "refused" for kind in KINDS)
        yield f"| {family} | {' | '.join(cells)} |"


def _hooks(counts: dict[tuple[str, str, str], bool]) -> Iterator[str]:
    yield from _head("family", SITES)
    for family in FAMILIES:
        stacks = dict.fromkeys(stack for name, stack, _ in counts if name == family)
        for stack in stacks:
            marks = {site: counts.get((family, stack, site)) for site in SITES}
            cells = ("–" if moved is None else "✓" if moved else "**no effect**" for moved in marks.values())
            yield f"| {family}{f', {stack}' if stack else ''} | {' | '.join(cells)} |"


def _head(first: str, columns: Iterable[str]) -> Iterator[str]:
    names = list(columns)
    yield f"| {first} | {' | '.join(f'`{name}`' for name in names)} |"
    yield "|---" * (len(names) + 1) + "|"


def _stack(name: str, several: bool) -> str:
    if not several:
        return ""
    if "cross" in name or "resid_mid2" in name:
        return "cross-attention"
    return "decoder" if "decoder" in name else "encoder"


def _site(name: str) -> str:
    site = site_of(name)
    return _OTHER_NAMES.get(site, site)


def in_readme(text: str) -> str:
    """Return what stands between the marks of a README."""
    return text.partition(f"{MARKS[0]}\n")[2].partition(f"\n{MARKS[1]}")[0].strip()


if __name__ == "__main__":
    print(tables())
