"""Stand-ins for the trained toys: folders of the shape that ship, with random weights."""

from __future__ import annotations

from pathlib import Path

from transformers import T5Config, T5ForConditionalGeneration

from mechviz.toys.shipped import TRAINED, write_sums
from tests.conftest import save_cat, save_dot
from tests.tiny.models import T5, randomise
from tests.tiny.tokenizers import wordpiece


def weights(root: Path) -> Path:
    """Make a folder of every trained toy, and list the sums."""
    for name in TRAINED:
        folder = root / name
        if name == "monot5":
            _save_t5(folder)
        else:
            save = save_dot if name.startswith("dot") else save_cat
            save(folder, max_position_embeddings=512)
        (folder / "README.md").write_text(f"# toy/{name}\n")
    write_sums(root)
    return root


def _save_t5(folder: Path) -> None:
    """Save a T5 with BERT's kind of vocabulary, as the toy has."""
    tokenizer = wordpiece()
    special = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.sep_token_id}
    model = T5ForConditionalGeneration(T5Config(**{**T5, **special, "vocab_size": len(tokenizer), "tie_word_embeddings": True}))
    randomise(model, 0.3)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
