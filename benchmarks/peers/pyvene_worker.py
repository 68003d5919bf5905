"""pyvene's side of a benchmark: reads a request a line, answers with a line; see `benchmarks.peers.pyvene`.

Runs in the environment of pyvene_requirements.txt. Every use of pyvene is one that its own tutorials show; training is its own
`train_alignment`, whose steps are timed from one call of its collator to the next.
"""

from __future__ import annotations

import functools
import itertools
import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import pyvene as pv
import torch
import transformers
from torch import Tensor

TINY = {"hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 3, "intermediate_size": 48, "vocab_size": 97}
#: Models of rankers: class, path of the second layer, and what tells it apart.
ENCODERS = {
    "BertForSequenceClassification": ("bert.encoder.layer[1]", TINY),
    "RobertaForSequenceClassification": ("roberta.encoder.layer[1]", TINY),
    "ElectraForSequenceClassification": ("electra.encoder.layer[1]", {**TINY, "embedding_size": 32}),
    "DistilBertForSequenceClassification": (
        "distilbert.transformer.layer[1]", {"dim": 32, "n_heads": 4, "n_layers": 3, "hidden_dim": 48, "vocab_size": 97},
    ),
    "T5ForConditionalGeneration": (
        "encoder.block[1]", {"d_model": 32, "d_kv": 8, "num_heads": 4, "num_layers": 3, "d_ff": 48, "vocab_size": 97},
    ),
}  # fmt: skip


@functools.cache
def load(folder: str) -> transformers.GPT2LMHeadModel:
    """Return a GPT-2."""
    return transformers.GPT2LMHeadModel.from_pretrained(folder).eval()


def swap(request: dict[str, Any]) -> dict[str, Any]:
    """Take activations of one run into another."""
    base, source = (torch.tensor(request[name]) for name in ("base", "source"))
    config = {"layer": request["layer"], "component": request["component"], "unit": request["unit"]}
    config |= {"intervention_type": pv.VanillaIntervention, "max_number_of_units": len(request["places"])}
    model = pv.IntervenableModel(config, model=load(request["model"]))
    logits = _swapped(model, {"input_ids": base}, {"input_ids": source}, request["places"]).logits
    return {"logits": logits[:, -1].tolist()}


def train(request: dict[str, Any]) -> dict[str, Any]:
    """Learn a rotation; return how long each step took."""
    where = {"layer": request["layer"], "component": "block_output", "unit": "pos", "max_number_of_units": 1}
    how = {"low_rank_dimension": request["rank"], "intervention_type": pv.LowRankRotatedSpaceIntervention}
    model = pv.IntervenableModel({**where, **how}, model=load(request["model"]))
    model.disable_model_gradients()
    place = request["position"]
    batches = [
        {
            "input_ids": torch.tensor(one["base"]),
            "source_input_ids": torch.tensor(one["source"]),
            "labels": torch.tensor(one["wanted"]),
            "source_0->base.0.pos": [[place]] * len(one["base"]),
            "source_0->base.1.pos": [[place]] * len(one["base"]),
        }
        for one in request["batches"]
    ]
    yes, no = request["labels"]
    ticks: list[float] = []

    def collator(batch: dict[str, Any]) -> dict[str, Any]:
        ticks.append(time.perf_counter())
        return batch

    def loss(logits: Tensor, wanted: Tensor) -> Tensor:
        return (logits[:, -1, yes] - logits[:, -1, no] - wanted).square().mean()

    model.train_alignment(batches, loss, lambda *_: 0.0, collator, epochs=request["epochs"], lr=request["lr"])
    ticks.append(time.perf_counter())
    return {"seconds": [after - before for before, after in itertools.pairwise(ticks)]}


def claims(request: dict[str, Any]) -> dict[str, Any]:
    """Try on encoders what pyvene offers for GPT-2."""
    found = []
    for name, (path, sizes) in ENCODERS.items():
        model = _tiny(name, sizes)
        tries: dict[str, Callable[[], str]] = {
            "abstract component (block_output)": functools.partial(_by_component, model),
            "dotted path, by intervention_type": functools.partial(_by_type, model, path),
            "dotted path, by an intervention made by hand, 3 positions": functools.partial(_by_path, model, path),
            "dotted path, heads (unit h)": functools.partial(_heads, model, path),
            "a low-rank rotation, saved and loaded": functools.partial(_saved, model, path),
            "train_alignment hands on attention_mask": functools.partial(_trainer_mask, model, path),
        }
        for tried, work in tries.items():
            try:
                answer = work()
            except Exception as error:
                answer = f"{type(error).__name__}: {' '.join(str(error).split())[:90]}"
            found.append({"model": name, "tried": tried, "found": answer})
    return {"claims": found}


def main() -> None:
    """Answer until there are no more lines; the only argument is the number of threads."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # pyvene prints
    logging.disable(logging.WARNING)
    torch.set_num_threads(int(sys.argv[1]))
    for line in sys.stdin:
        request = json.loads(line)
        answer = {"swap": swap, "train": train, "claims": claims}[request["do"]](request)
        print(json.dumps(answer), file=answers, flush=True)


def _by_component(model: Any) -> str:
    made = pv.IntervenableModel({"layer": 1, "component": "block_output", "intervention": _swap()}, model=model)
    base, source = _inputs(model)
    _swapped(made, base, source, [1])
    return "no error"


def _by_type(model: Any, path: str) -> str:
    config = {"component": f"{path}.output", "intervention_type": pv.VanillaIntervention}
    base, source = _inputs(model)
    _swapped(pv.IntervenableModel(config, model=model), base, source, [1])
    return "no error"


def _by_path(model: Any, path: str) -> str:
    config = {"component": f"{path}.output", "unit": "pos", "max_number_of_units": 3, "intervention": _swap()}
    return _same_as_a_hook(model, pv.IntervenableModel(config, model=model), path)


def _heads(model: Any, path: str) -> str:
    config = {"component": f"{path}.output", "unit": "h", "intervention": _swap()}
    base, source = _inputs(model)
    _swapped(pv.IntervenableModel(config, model=model), base, source, [0])
    return "no error"


def _saved(model: Any, path: str) -> str:
    made = _rotation(model, path)
    with tempfile.TemporaryDirectory() as folder:
        made.save(folder)
        pv.IntervenableModel.load(folder, model)
    return "works"


def _trainer_mask(model: Any, path: str) -> str:
    made = _rotation(model, path)
    base, source = _inputs(model)
    batch = {**base, "source_input_ids": source["input_ids"], "attention_mask": torch.ones_like(base["input_ids"])}
    batch |= {"source_0->base.0.pos": [[1]] * 3, "source_0->base.1.pos": [[1]] * 3, "labels": torch.zeros(3)}
    seen: list[bool] = []
    forward = model.forward

    def watched(*args: Any, **kwargs: Any) -> Any:
        seen.append(kwargs.get("attention_mask") is not None)
        return forward(*args, **kwargs)

    model.forward = watched  # train_alignment takes away all hooks of the model, those of others too
    try:
        made.train_alignment([batch], lambda logits, _: logits.sum(), lambda *_: 0.0, None, epochs=1)
    finally:
        model.forward = forward
    assert seen, "the model was not called"
    return f"{'yes' if all(seen) else 'no'}: in {sum(seen)} of {len(seen)} calls of the model"


def _same_as_a_hook(model: Any, made: pv.IntervenableModel, path: str) -> str:
    base, source = _inputs(model)
    places = [1, 2, 4]
    found = _swapped(made, base, source, places).logits
    module = eval(f"model.{path}", {"model": model})
    kept: list[Tensor] = []

    def change(_: Any, args: Any, output: Any) -> Any:
        first = output[0] if isinstance(output, tuple) else output
        if not kept:
            kept.append(first.clone())
            return None
        first = first.clone()
        first[:, places] = kept[0][:, places]
        return (first, *output[1:]) if isinstance(output, tuple) else first

    handle = module.register_forward_hook(change)
    with torch.no_grad():
        model(**source)
        wanted = model(**base).logits
    handle.remove()
    same = (found - wanted).abs().max().item() < 1e-5 < (wanted - model(**base).logits).abs().max().item()
    return "works, as a hand-written hook" if same else "another result than a hand-written hook"


def _swapped(model: pv.IntervenableModel, base: dict[str, Tensor], source: dict[str, Tensor], places: list[int]) -> Any:
    rows = [places] * len(base["input_ids"])
    with torch.no_grad():
        return model(base, [source], {"sources->base": ([rows], [rows])})[1]


def _swap() -> pv.VanillaIntervention:
    return pv.VanillaIntervention(embed_dim=32)  # made here, as pyvene does not know the sizes of these models


def _rotation(model: Any, path: str) -> pv.IntervenableModel:
    rotation = pv.LowRankRotatedSpaceIntervention(embed_dim=32, low_rank_dimension=2)
    return pv.IntervenableModel({"component": f"{path}.output", "intervention": rotation}, model=model)


def _tiny(name: str, sizes: dict[str, Any]) -> Any:
    torch.manual_seed(0)
    kind = getattr(transformers, name)
    return kind(kind.config_class(**sizes, initializer_range=0.3)).eval()


def _inputs(model: Any) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    pairs = [{"input_ids": torch.arange(18).reshape(3, 6) * step % 90 + 3} for step in (7, 11)]
    if model.config.is_encoder_decoder:
        pairs = [{**one, "decoder_input_ids": torch.zeros(3, 1, dtype=torch.long)} for one in pairs]
    return pairs[0], pairs[1]


if __name__ == "__main__":
    main()
