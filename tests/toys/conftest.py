from pathlib import Path

import pytest

import mechviz as mv
from mechviz import toys
from mechviz.rankers import Ranker
from mechviz.toys.compiled import NAMES


@pytest.fixture(scope="package")
def rankers() -> dict[str, Ranker]:
    return {name: toys.compiled(name) for name in NAMES}


def reopened(ranker: Ranker, folder: Path) -> Ranker:
    """Save a compiled ranker as plain files and open them; a bag's do not say how it pools."""
    ranker.model.save_pretrained(folder)
    ranker.tokenizer.save_pretrained(folder)
    return mv.Dot(str(folder), pooling="cls") if ranker.kind == "Dot" else mv.load(str(folder))
