"""Opening checkpoints: from a local directory or a hub, refusing whatever would have to be guessed."""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import torch
import transformers
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from mechviz.errors import InputError, InputTypeError, MechvizError, UnsupportedModelError, shown
from mechviz.rankers.conventions import Said, Step, projection, read_colbert
from mechviz.rankers.families import FAMILIES, Family
from mechviz.rankers.sentence_transformers import read_steps
from mechviz.rankers.toy_names import PREFIX, is_toy, keeper

_FILES = ["*.json", "*.txt", "*.model", "*.jinja", "artifact.metadata", "*/config.json", "*.safetensors"]
#: Fetched where a hub repository has no safetensors.
_OLD_WEIGHTS = ["*.bin", "*.bin.index.json"]


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A checkpoint directory and what its ``config.json`` says."""

    name: str
    path: Path
    config: dict[str, Any]
    family: Family

    def read_json(self, file: str, kind: type = dict) -> Any:
        """Return the content of a JSON file of the checkpoint, None if it has no such file.

        Raises
        ------
        MechvizError
            It is not JSON, or not of that kind.
        """
        path = self.path / file
        return _read_json(path, kind) if path.exists() else None

    def read_weights(self, folder: str = "", wanted: str | None = None) -> dict[str, Tensor]:
        """Return the tensors of a part of the checkpoint, by name; of several files, of the one that holds ``wanted``.

        Raises
        ------
        MechvizError
            There are none, or they cannot be read.
        """
        base = self.path / folder
        shards = self.read_json(str(Path(folder) / "model.safetensors.index.json")) or {}
        file = base / (shards.get("weight_map") or {}).get(wanted, "model.safetensors")
        try:
            if file.exists():
                return load_file(file)
            if (base / "pytorch_model.bin").exists():
                file = base / "pytorch_model.bin"
                return cast(dict[str, Tensor], torch.load(file, map_location="cpu", weights_only=True))
        except Exception as error:
            raise MechvizError(f"{self.name}: {file} could not be read: {error}") from error
        raise MechvizError(f"{self.name}: {folder or 'the checkpoint'} has no model.safetensors and no pytorch_model.bin")

    @cached_property
    def said(self) -> Said:
        """What the files say of how it ranks.

        Raises
        ------
        UnsupportedModelError
            A step that mechviz does not have.
        MechvizError
            A file that is damaged.
        """
        modules = self.read_json("modules.json", list)
        if modules is not None:
            more = self.read_json("config_sentence_transformers.json") or {}
            return read_steps([self._step(module) for module in modules], more, self.name)
        metadata = self.read_json("artifact.metadata")
        if self.architecture == "HF_ColBERT" or metadata is not None:
            weight = self.read_weights(wanted="linear.weight")
            linear = projection({}, {name: weight[name] for name in weight if name == "linear.weight"}, self.name)
            return read_colbert(metadata or {}, (linear,), self.name)
        return Said()

    def _step(self, module: Any) -> Step:
        if not isinstance(module, dict) or not isinstance(module.get("type"), str):
            raise MechvizError(
                f"{self.path / 'modules.json'} names no type of module in {module!r}; it is damaged: save it again"
            )
        kind, path = module["type"].rpartition(".")[2], str(module.get("path", ""))
        first = kind in ("Transformer", "MLMTransformer")
        settings = self.read_json(str(Path(path) / ("sentence_bert_config.json" if first else "config.json")))
        return Step(kind, settings or {}, lambda: projection(settings or {}, self.read_weights(path), self.name))

    @property
    def label(self) -> str:
        """A short name: the toy's, the hub id, or the last part of the directory."""
        if is_toy(self.name):
            return self.name
        local = Path(self.name).expanduser()
        return local.resolve().name if local.is_dir() else self.name

    @property
    def architecture(self) -> str:
        """The class that the weights were saved from."""
        named = self.config.get("architectures")
        return str(named[0]) if isinstance(named, list) and named else "(none named)"


def open_checkpoint(name: str) -> Checkpoint:
    """Find a checkpoint and its family.

    Raises
    ------
    InputTypeError, InputError
        ``name`` is no string, or an empty one; a toy that is not there.
    MechvizError
        Neither a directory with a ``config.json`` nor reachable on the hub; a toy whose files are damaged.
    UnsupportedModelError
        No family file for its ``model_type``.
    """
    if not isinstance(name, (str, Path)):
        raise InputTypeError(f"a ranker is named by a string (a toy, a local directory or a hub id), not {shown(name)}")
    if not str(name):
        raise InputError("the name of the ranker is empty; give a toy, a local directory or a hub id")
    path = keeper().folder_of(name) if is_toy(name) else Path(name).expanduser()
    if path.is_file():
        raise InputError(f"{name} is a file; give the directory that it lies in")
    if not path.is_dir():
        path = _fetch(str(name))
    file = path / "config.json"
    if not file.exists() and (path / "adapter_config.json").exists():
        raise UnsupportedModelError(
            f"{name} holds a PEFT adapter, not a model; merge it into its base model (merge_and_unload), save that with "
            "save_pretrained, and give that directory"
        )
    if not file.exists():
        held = ", ".join(sorted(p.name for p in path.iterdir())[:8]) or "nothing"
        raise MechvizError(f"{path} has no config.json (it holds {held}); give the directory that save_pretrained wrote")
    if (path / "adapter_config.json").exists():
        raise UnsupportedModelError(
            f"{name} holds a PEFT adapter beside its model; merge it (merge_and_unload), save that with save_pretrained, and "
            "give that directory"
        )
    config = _read_json(file, dict)
    if any(key.startswith("AutoModel") for key in config.get("auto_map") or ()):
        raise UnsupportedModelError(
            f"{name} brings model code of its own (auto_map in its config.json), which mechviz does not run"
        )
    model_type = str(config.get("model_type", "(none)"))
    if model_type not in FAMILIES:
        raise UnsupportedModelError(f"{name} has model_type {model_type!r}; mechviz has family files for {', '.join(FAMILIES)}")
    return Checkpoint(str(name), path, config, FAMILIES[model_type])


def load_model(checkpoint: Checkpoint, class_name: str, dtype: torch.dtype, also: tuple[str, ...] = ()) -> PreTrainedModel:
    """Load weights into a class of the checkpoint's family, all of them or none.

    ``also`` names weights of the ranker's own beside the model's.

    Raises
    ------
    MechvizError
        Weights are missing (transformers would fill them at random), do not fit, or are of other parts.
    """
    family = checkpoint.family
    model_class: Any = getattr(importlib.import_module(family.module), class_name)
    options = family.base_options if class_name == family.base else {}
    with _quiet():
        try:
            model, info = model_class.from_pretrained(
                checkpoint.path, output_loading_info=True, local_files_only=True, dtype=dtype, **options
            )
        except Exception as error:
            raise MechvizError(f"{checkpoint.name}: the weights could not be read as {class_name}: {error}") from error
    missing = sorted(info["missing_keys"])
    mismatched = sorted(str(key) for key in info["mismatched_keys"])
    unread = (*family.unused, *also, *(family.unused_by_base if class_name == family.base else ()))
    prefix = f"{family.prefix}."
    extra = [key for key in sorted(info["unexpected_keys"]) if not key.removeprefix(prefix).startswith(unread)]
    for keys, problem in (
        (missing, "lacks"),
        (mismatched, "has with other shapes"),
        (extra, "holds, beyond what the class has,"),
    ):
        if keys:
            raise MechvizError(
                f"{checkpoint.name} {problem} {len(keys)} weights of {class_name} ({', '.join(keys[:4])}"
                f"{', ...' if len(keys) > 4 else ''}); it was saved as {checkpoint.architecture}: a score with random or "
                "ignored weights would mean nothing. mv.load picks the class that fits"
            )
    return cast(PreTrainedModel, model.eval())


def load_tokenizer(checkpoint: Checkpoint) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a checkpoint.

    Raises
    ------
    MechvizError
        There is none, or it is damaged.
    """
    files = ("tokenizer.json", "vocab.txt", "spiece.model", "sentencepiece.bpe.model", "vocab.json")
    if not any((checkpoint.path / file).exists() for file in files):
        raise MechvizError(
            f"{checkpoint.name} has no tokenizer (none of {', '.join(files)}); save it there with "
            "tokenizer.save_pretrained(directory), or pass tokenizer="
        )
    try:
        return cast(PreTrainedTokenizerBase, AutoTokenizer.from_pretrained(checkpoint.path, local_files_only=True))
    except Exception as error:
        raise MechvizError(f"{checkpoint.name}: the tokenizer could not be read ({error}); save or fetch it again") from error


def check_tokenizer(tokenizer: PreTrainedTokenizerBase | None, vocab_size: int) -> PreTrainedTokenizerBase:
    """Return a tokenizer that gives character offsets and fits the vocabulary of the model.

    Raises
    ------
    InputTypeError
        None, or something that is no tokenizer.
    UnsupportedModelError
        A tokenizer without offsets.
    MechvizError
        A tokenizer with more tokens than the model has embeddings.
    """
    if not isinstance(tokenizer, PreTrainedTokenizerBase):
        raise InputTypeError(
            f"give the model's tokenizer as tokenizer=, an object such as AutoTokenizer makes, not {shown(tokenizer)}"
        )
    if not tokenizer.is_fast:
        raise UnsupportedModelError(f"{type(tokenizer).__name__} gives no character offsets; pass a fast tokenizer as tokenizer=")
    if len(tokenizer) > vocab_size:
        raise MechvizError(
            f"the tokenizer has {len(tokenizer)} tokens and the model {vocab_size} embeddings: they are not of one checkpoint"
        )
    return tokenizer


def weight_hash(modules: Iterable[torch.nn.Module]) -> str:
    """Return 16 hexadecimal digits of the SHA-256 of all weights, names and dtypes included."""
    digest = hashlib.sha256()
    for module in modules:
        for name, tensor in sorted(module.state_dict().items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]


def _read_json(path: Path, kind: type) -> Any:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise MechvizError(f"{path} is not valid JSON ({error}); the checkpoint is damaged: save or fetch it again") from error
    if not isinstance(content, kind):
        raise MechvizError(f"{path} holds a {type(content).__name__}, not a {kind.__name__}: save or fetch the checkpoint again")
    return content


def _fetch(name: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        path = Path(snapshot_download(name, allow_patterns=_FILES))
        if not any(path.glob("*.safetensors")):
            path = Path(snapshot_download(name, allow_patterns=_FILES + _OLD_WEIGHTS))
        return path
    except Exception as error:  # the hub client raises its own, httpx's and OSError
        raise MechvizError(
            f"{name!r} is no local directory, and it could not be fetched from the hub ({type(error).__name__}). "
            f"Offline: give the directory of a checkpoint that save_pretrained wrote, or a toy that comes with mechviz: "
            f"{PREFIX}cat, {PREFIX}dot, ... (all of them: mv.toys.NAMES)"
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers' load report and progress bar off the screen: what it reports becomes our error."""
    talk: Any = transformers.utils.logging
    level, bar = talk.get_verbosity(), talk.is_progress_bar_enabled()
    talk.set_verbosity_error()
    talk.disable_progress_bar()
    try:
        yield
    finally:
        talk.set_verbosity(level)
        if bar:
            talk.enable_progress_bar()
