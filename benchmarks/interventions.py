"""Interventions beside pyvene 0.1.8: the same swaps, the time of a training step, and what it does with encoders.

``python -m benchmarks.interventions``
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

import mechviz as mv
from benchmarks.machine import describe
from benchmarks.peers.pyvene import Pyvene
from benchmarks.table import Row, print_table
from mechviz.interventions import DAS, Intervention, Plan, wrap

PROMPT, LABELS = "{query} : {doc} relevant", ("yes", "no")
VOCABULARY, LENGTH = 5000, 64
#: Of the training step.
LAYER, RANK, POSITION, BATCH, EPOCHS, ROUNDS = 6, 8, 40, 16, 4, 2
#: Epochs that the recording of the texts is shared by, as by default.
SHARED = 10
FASTER = 2.0
#: pyvene's component, its unit and places, and what is the same to `wrap` and to a `Plan`.
SWAPS = {
    "block_output": ("pos", [5, 40, 63], {"hook": "transformer.h.2", "positions": [5, 40, 63]},
                     {"hook": "blocks.2.hook_resid_post", "positions": [5, 40, 63]}),
    "mlp_output": ("pos", [20, 63], {"hook": "transformer.h.2.mlp", "positions": [20, 63]},
                   {"hook": "blocks.2.hook_mlp_out", "positions": [20, 63]}),
    "head_attention_value_output": ("h", [1], {"hook": "transformer.h.2.attn.c_proj.input", "subspace": range(16, 32)},
                                    {"hook": "blocks.2.attn.hook_z", "heads": [1]}),
}  # fmt: skip


def rows() -> list[Row]:
    """Measure all."""
    with Pyvene() as pyvene:
        return [*_swaps(pyvene), *_steps(pyvene), *_claims(pyvene)]


def tokenizer() -> PreTrainedTokenizerFast:
    """Return one whose words are w0, w1, ... and those of the prompt."""
    words = ["[UNK]", "[PAD]", "a", ":", "relevant", *LABELS]  # "a" is what fills gaps
    vocabulary = [*words, *(f"w{number}" for number in range(VOCABULARY - len(words)))]
    made = Tokenizer(models.WordLevel({word: number for number, word in enumerate(vocabulary)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=made, unk_token="[UNK]", pad_token="[PAD]", model_max_length=1024)


def triples(count: int) -> list[tuple[str, str, str]]:
    """Return (query, doc, perturbed doc), `LENGTH` tokens in the prompt, a third of the document's words changed."""
    generator = np.random.default_rng(0)
    found = []
    for _ in range(count):
        words = [f"w{number}" for number in generator.integers(0, 4000, LENGTH - 2)]
        query, doc = words[:8], words[8:]
        changed = [f"w{generator.integers(0, 4000)}" if generator.random() < 1 / 3 else word for word in doc]
        found.append((" ".join(query), " ".join(doc), " ".join(changed)))
    return found


@contextmanager
def opened(layers: int, width: int, heads: int, deviation: float) -> Iterator[tuple[str, GPT2LMHeadModel, mv.Generative]]:
    """Yield a folder of a GPT-2 with random weights, the model, and a ranker of another copy."""
    torch.manual_seed(0)
    words = tokenizer()
    config = GPT2Config(vocab_size=len(words), n_positions=LENGTH, n_embd=width, n_layer=layers, n_head=heads,
                        initializer_range=deviation, bos_token_id=None, eos_token_id=None, pad_token_id=1)  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        GPT2LMHeadModel(config).save_pretrained(folder)
        plain, own = (GPT2LMHeadModel.from_pretrained(folder).eval() for _ in range(2))
        yield folder, plain, mv.Generative(own, tokenizer=words, prompt=PROMPT, labels=LABELS)


def ids_of(ranker: mv.Generative, texts: list[tuple[str, str, str]]) -> tuple[Tensor, Tensor]:
    """Return the token ids of base and source texts, dims (row, pos)."""
    base, source = (torch.tensor(np.array([ranker.tokenize(one[0], one[at])["decoder"].ids for one in texts])) for at in (1, 2))
    assert base.shape == source.shape == (len(texts), LENGTH)
    return base, source


def _swaps(pyvene: Pyvene) -> list[Row]:
    found = []
    with opened(layers=4, width=64, heads=4, deviation=0.1) as (folder, model, ranker):
        texts = triples(6)
        base, source = ids_of(ranker, texts)
        yes, no = ranker.label_ids
        with torch.no_grad():
            plain = model(base).logits[:, -1].numpy()
        for component, (unit, places, wrapped, planned) in SWAPS.items():
            theirs = pyvene.swap(folder, component, 2, unit, places, base, source)
            assert np.abs(theirs - plain).max() > 1e-3, f"{component}: the swap changes nothing"
            with torch.no_grad():
                ours = wrap(model, Intervention(**wrapped))(base, sources=[source]).logits[:, -1].numpy()
            scores = Plan(Intervention(**planned)).run(ranker, texts).patched.values
            differences = [ours - theirs, scores - (theirs[:, yes] - theirs[:, no])]
            worst = [float(np.abs(one).max()) for one in differences]
            assert max(worst) < 1e-5, f"{component}: the two do not compute the same: {worst}"
            found.append(
                Row(f"swap of {component}: largest difference of wrap, and of a plan, from pyvene 0.1.8",
                    " and ".join(f"{one:.0e}" for one in worst), "1e-5", True)
            )  # fmt: skip
    return found


def _steps(pyvene: Pyvene) -> list[Row]:
    theirs, ours, recordings = [], [], []
    with opened(layers=12, width=768, heads=12, deviation=0.02) as (folder, _, ranker):
        texts = triples(BATCH)
        base, source = ids_of(ranker, texts)
        wanted = ranker.score([one[0] for one in texts], [one[2] for one in texts])
        batch = {"base": base.tolist(), "source": source.tolist(), "wanted": wanted.tolist()}
        for _ in range(ROUNDS):  # in turns, so that a noisy moment hits both
            theirs += pyvene.train(folder, LAYER, RANK, POSITION, [batch], ranker.label_ids, EPOCHS, 1e-3)[1:]
            recording, steps = _fit(ranker, texts)
            recordings.append(recording)
            ours += steps
    assert len(theirs) == len(ours)
    their_time, our_time, recording = (float(np.median(one)) for one in (theirs, ours, recordings))
    shared = our_time + recording / SHARED
    what = f"low-rank DAS on GPT-2 (12 x 768), layer {LAYER}, rank {RANK}, {BATCH} texts of {LENGTH} tokens"
    return [
        Row(f"{what}: a step of pyvene's train_alignment", f"{their_time:.2f} s"),
        Row(f"{what}: a step of Plan.fit, times faster", f"{their_time / our_time:.1f} ({our_time:.2f} s)", f"{FASTER:g}",
            their_time / our_time >= FASTER),
        Row(f"{what}: the same with its share of the recording ({recording:.2f} s, once in {SHARED} epochs)",
            f"{their_time / shared:.1f} ({shared:.2f} s)", f"{FASTER:g}", their_time / shared >= FASTER),
    ]  # fmt: skip


def _fit(ranker: mv.Generative, texts: list[tuple[str, str, str]]) -> tuple[float, list[float]]:
    """Return the seconds until the first loss of `Plan.fit`, and of each step after the first one."""
    ticks: list[float] = []

    def loss(patched: Tensor, base: Tensor, wanted: Tensor) -> Tensor:
        ticks.append(time.perf_counter())
        return (patched - wanted).square()

    plan = Plan(Intervention(f"blocks.{LAYER}.hook_resid_post", subspace=DAS(rank=RANK), positions=POSITION))
    start = time.perf_counter()
    plan.fit(ranker, texts, objective=loss, epochs=EPOCHS, held_out=0.0, lr=1e-3, batch_size=BATCH, progress=False)
    return ticks[0] - start, np.diff(ticks[:EPOCHS]).tolist()


def _claims(pyvene: Pyvene) -> list[Row]:
    """Return a row for each thing that was tried, with the models that share an answer."""
    answers: dict[str, dict[str, list[str]]] = {}
    for model, tried, said in pyvene.claims():
        short = said.partition(":")[0] if "Error" in said else said
        answers.setdefault(tried, {}).setdefault(short, []).append(model.partition("For")[0])
    return [
        Row(f"pyvene 0.1.8: {tried}", "; ".join(f"{said} ({', '.join(which)})" for said, which in found.items()))
        for tried, found in answers.items()
    ]


if __name__ == "__main__":
    print(describe(), "\n", flush=True)
    print_table(rows())
