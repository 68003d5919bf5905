"""`mechviz.toys.train`: from judged pairs to a small ranker, in minutes on two cores."""

from __future__ import annotations

import json
import tempfile
import time
import warnings
from collections.abc import Iterable
from dataclasses import asdict, replace
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from mechviz.corpora import Pairs, TextPair
from mechviz.errors import InputError, InputTypeError, shown
from mechviz.rankers import Cat, Dot, MonoT5
from mechviz.rankers.monot5 import PROMPT
from mechviz.toys.encoder import ACTIVATIONS
from mechviz.toys.training.build import build
from mechviz.toys.training.feeding import DOC_TOKENS
from mechviz.toys.training.lessons import NEAREST, SATURATION, WORDS, Lessons, prepare
from mechviz.toys.training.loop import ALIKE, BESIDE, NEAR, OF_EACH, OTHERS, OWN, SHORT_SHARE, Course, teach
from mechviz.toys.training.vocabulary import build_vocabulary, make_tokenizer

KINDS: dict[str, type[Dot | Cat | MonoT5]] = {"Dot": Dot, "Cat": Cat, "MonoT5": MonoT5}
LAYERS = range(1, 5)
#: How each kind is taught.
COURSES = {
    "Dot": Course(steps=900, rate=2e-3, lexical=0.3, graded=0.3, shape=1.0, tokens=0.3),
    "Cat": Course(steps=800, rate=1e-3, lexical=0.5, graded=0.4),
    "MonoT5": Course(steps=900, rate=1e-3, lexical=0.5, graded=0.3),
}
#: Positions that take the mean of the last trained ones, where texts in training were shorter.
_TAIL = 16


def train(
    kind: str,
    pairs: Pairs | Iterable[TextPair],
    *,
    layers: int = 2,
    activation: str = "gelu",
    texts: Iterable[str] = (),
    teacher: Dot | None = None,
    seed: int = 0,
    steps: int | None = None,
    vocabulary: int = 8000,
    examples: Iterable[str] = (),
    out: str | Path | None = None,
    cache: str | Path | None = None,
    device: str | None = None,
    progress: bool = True,
) -> Dot | Cat | MonoT5:
    """Train a small ranker: 128 dimensions, 4 heads a layer, an own WordPiece vocabulary.

    It learns to give each pair the score ``cosine + w x lexical``: the teacher's cosine, and the sum of
    ``idf x tf / (tf + 0.7)`` over the query's terms, divided by the largest value that it could have; w is 0.5, and 0.3 for
    bi-encoders (without a teacher there is no cosine). Queries are made from the passages, eight from each that is judged and
    two from each of ``texts``, and compared on their own passage, on some that the teacher finds most like them, and on others:
    Kullback-Leibler divergence over the candidates, and the squared error. Real queries have their judgements beside it
    (RankNet, weighted by the difference of grades). Cross-encoders begin with short pairs, where a second query stands for the
    passage.

    The same arguments give the same weights, on one machine with one number of threads.

    Parameters
    ----------
    kind : ``"Dot"``, ``"Cat"`` or ``"MonoT5"``
        A bi-encoder (BERT, mean pooling, cosine), a cross-encoder (BERT), or T5 with one layer in the decoder.
    pairs : Pairs or iterable of TextPair
        Judged pairs, of at least two grades; pairs without a grade are passed over.
    layers : int from 1 to 4, default 2
    activation : ``"none"``, ``"gelu"`` or ``"solu"``
        ``none`` leaves the MLPs out, ``solu`` is the softmax linear unit (see `mechviz.toys.encoder`). MonoT5: ``gelu``.
    texts : iterable of str, optional
        Further passages.
    teacher : Dot, optional
        Whose cosines are learnt; its vectors of single tokens become the first embeddings.
    seed : int, default 0
        For the first weights and the order of the lessons. The queries that are made do not depend on it.
    steps : int, optional
        How long; by default as the toys that come with mechviz were trained.
    vocabulary : int, default 8,000
        How many tokens: the most frequent words of all texts, and pieces of words.
    examples : iterable of str, optional
        Texts that are going to be looked at: their words become tokens of their own, however rare they are.
    out : path, optional
        A new folder for the checkpoint: float16, written whole at the end, or not at all. ``mechviz.load`` opens it (MonoT5:
        ``mechviz.MonoT5``).
    cache : path, optional
        A folder that keeps the teacher's vectors for other trainings on the same texts.
    device : str, optional
        Default: a GPU where there is one.
    progress : bool, default True
        Whether to draw bars.

    Returns
    -------
    Dot, Cat or MonoT5
        The ranker, on the CPU, with the weights that the checkpoint holds.

    Raises
    ------
    InputError, InputTypeError
        No such kind, an empty set, a set of one grade, or a folder that exists.

    Warns
    -----
    UserWarning
        For a cross-encoder of one layer without MLPs: read at CLS, it cannot compare the query with the document.

    Examples
    --------
    >>> pairs = mv.Pairs.from_tsv("judged.tsv", grade="grade")  # doctest: +SKIP
    >>> toy = mv.toys.train("Cat", pairs, layers=2, activation="solu", out="my-toy")  # doctest: +SKIP
    """
    _check(kind, layers, activation, steps, teacher)
    folder = None if out is None else _new_folder(out)
    course = COURSES[kind] if steps is None else replace(COURSES[kind], steps=steps)
    kept = None if cache is None else Path(cache)
    lessons = prepare(list(pairs), texts, teacher, course.lexical, kept, progress)
    prepared = time.perf_counter()
    frame = (PROMPT, "true false") if kind == "MonoT5" else ()
    tokens = build_vocabulary(chain(lessons.docs, lessons.queries), vocabulary, (*frame, *examples))
    tokenizer = make_tokenizer(tokens, kind)
    where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model, encouraged = build(kind, layers, activation, tokens, teacher, kept)
        model.to(where).train()
        losses = teach(kind, model, tokenizer, lessons, course, np.random.default_rng(seed), where, progress)
    model.to("cpu").eval()
    said = {
        "kind": kind,
        "layers": layers,
        "activation": activation,
        "seed": seed,
        **asdict(course),
        "seconds": round(time.perf_counter() - prepared),
        "threads": torch.get_num_threads(),
        "vocabulary": len(tokens),
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "data": _data(lessons, teacher),
        "recipe": _recipe(kind, course, teacher),
        "encouraged": encouraged,
        "losses": [round(loss, 4) for loss in losses],
        "versions": {name: version(name) for name in ("torch", "transformers", "tokenizers")},
    }
    with tempfile.TemporaryDirectory(dir=None if folder is None else folder.parent) as scratch:
        made = Path(scratch) / "toy"
        _save(kind, model, tokenizer, said, made)
        ranker = KINDS[kind](str(made))  # MonoT5's labels are those that any T5 has by default
        if folder is not None:
            made.rename(folder)
    ranker.name = f"toy {kind}" if folder is None else folder.name
    return ranker


def _check(kind: str, layers: int, activation: str, steps: int | None, teacher: object) -> None:
    if kind not in tuple(KINDS):
        raise InputError(f"kind={shown(kind)}; there are {', '.join(map(repr, KINDS))}")
    if isinstance(layers, bool) or layers not in LAYERS:
        raise InputError(f"layers={shown(layers)}; give a number from {LAYERS[0]} to {LAYERS[-1]}")
    if activation not in ACTIVATIONS:
        raise InputError(f"activation={shown(activation)}; there are {', '.join(map(repr, ACTIVATIONS))}")
    if kind == "MonoT5" and activation != "gelu":
        raise InputError(f"activation={activation!r}: T5 has 'gelu' only; 'none' and 'solu' are for Dot and Cat")
    if steps is not None and (isinstance(steps, bool) or not isinstance(steps, int) or steps < 1):
        raise InputError(f"steps={shown(steps)}; give a whole number from 1 up")
    if teacher is not None and not isinstance(teacher, Dot):
        raise InputTypeError(f"teacher must be a Dot ranker, whose vectors are learnt from, not {shown(teacher)}")
    if kind == "Cat" and layers == 1 and activation == "none":
        warnings.warn(
            "a cross-encoder of one layer without MLPs, read at CLS, cannot compare query with document: train two layers",
            stacklevel=3,
        )


def _data(lessons: Lessons, teacher: Dot | None) -> str:
    judged = sum(len(docs) for _, docs, _ in lessons.graded)
    return (
        f"{judged:,} judgements of {len(lessons.graded)} queries, {len(lessons.docs):,} passages cut to {WORDS} words, and "
        f"{lessons.n_made:,} queries made from them. Teacher: {'none' if teacher is None else teacher.name}."
    )


def _recipe(kind: str, course: Course, teacher: Dot | None) -> list[str]:
    """Return how a toy was taught, in sentences, from the constants that teach it."""
    cosine = "" if teacher is None else "the teacher's cosine + "
    lexical = (
        f"{course.lexical} x (sum of idf x tf / (tf + {SATURATION}) over the query's terms, over the largest that it can be)"
    )
    candidates = f"{OWN} passage of its own, {NEAR} of the {NEAREST} that are most like it, and {OTHERS} others"
    if kind == "Dot":
        candidates = f"all passages of a step: {ALIKE} x {OF_EACH} that are alike, and {BESIDE} others"
    said = [
        f"Wanted of a pair: {cosine}{lexical}. Loss: Kullback-Leibler divergence over a query's candidates, and squared error.",
        f"Candidates of a query: {candidates}.",
        f"Judgements: RankNet's loss, weighted by the difference of grades, x {course.graded}.",
    ]
    if kind != "Dot":
        said.append(f"In the first {SHORT_SHARE:.0%} of the steps a second query stands for the passage.")
    if course.shape and teacher is not None:
        said.append(f"The teacher's vectors of passages, cut to 128 directions: 1 - cosine, x {course.shape}.")
    return [*said, f"AdamW, rate {course.rate} ({course.tokens} of it for embeddings of tokens), warm-up, cosine; no dropout."]


def _new_folder(out: str | Path) -> Path:
    folder = Path(out).expanduser()
    if folder.exists():
        raise InputError(f"{folder} exists; give a new folder, or remove it")
    folder.parent.mkdir(parents=True, exist_ok=True)
    return folder.resolve()


def _save(kind: str, model: Any, tokenizer: Any, said: dict[str, Any], folder: Path) -> None:
    """Write a checkpoint in float16, with what sentence-transformers must know of a bi-encoder."""
    positions = getattr(getattr(model, "bert", model), "embeddings", None)
    if positions is not None:
        _lengthen(positions.position_embeddings)
    model.half().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    _compact(folder / "tokenizer.json")
    if kind == "Dot":
        steps = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
        modules = [
            {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{name}"}
            for number, (path, name) in enumerate(steps)
        ]
        pooling = {"word_embedding_dimension": model.config.hidden_size, "pooling_mode_mean_tokens": True}
        (folder / "1_Pooling").mkdir()
        (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
        (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "training.json").write_text(json.dumps(said, indent=1))


def _lengthen(positions: nn.Embedding) -> None:
    """Give positions that no text in training reached the mean of the last ones that texts did."""
    with torch.no_grad():
        positions.weight[DOC_TOKENS:] = positions.weight[DOC_TOKENS - _TAIL : DOC_TOKENS].mean(0)


def _compact(file: Path) -> None:
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")), separators=(",", ":"), ensure_ascii=False), "utf-8")
