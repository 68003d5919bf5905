"""Teaching: which pairs a step shows, what they should score, and how the weights follow."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm.auto import tqdm
from transformers import PreTrainedTokenizerBase

from mechviz.toys.training.feeding import DOC_TOKENS, QUERY_TOKENS, Frames, run, token_ids
from mechviz.toys.training.lessons import Lessons, Numbers

#: Candidates of a query in one step: its own passage, some of the nearest, and others.
OWN, NEAR, OTHERS = 1, 3, 4
GROUP = OWN + NEAR + OTHERS
#: Groups of a step while queries stand for passages, and after.
SHORT_GROUPS, GROUPS = 24, 10
#: Share of the steps in which queries stand for passages: pairs are short then, and matching is learnt sooner.
SHORT_SHARE = 0.3
#: Real queries of a step, and their judged passages.
REAL, JUDGED, UNJUDGED = 2, 6, 2
#: A bi-encoder's step: groups of passages that are alike, passages of each, others, queries, judged passages of a query.
ALIKE, OF_EACH, BESIDE, PER_DOC, JUDGED_DOCS = 6, 12, 24, 2, 12
#: Temperatures of a softmax over candidates; the factor on cosines that are compared by grades.
_SHARP, _SHARP_COSINE, _COSINE_SCALE = 0.35, 0.05, 20.0
_WARM_UP, _CLIP, _DECAY = 100, 1.0, 0.01


@dataclass(frozen=True)
class Course:
    """How a toy is taught.

    Attributes
    ----------
    steps : int
    rate : float
        Largest learning rate; it falls with the cosine of the steps.
    lexical : float
        Weight of the lexical score beside the teacher's cosine.
    graded : float
        Weight of judgements beside the teacher's scores.
    shape : float
        Dot: weight of the teacher's own vectors, cut to their main directions.
    tokens : float
        The learning rate of the tokens' embeddings over that of all else.
    """

    steps: int
    rate: float
    lexical: float
    graded: float
    shape: float = 0.0
    tokens: float = 1.0


def teach(
    kind: str,
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    lessons: Lessons,
    course: Course,
    random: np.random.Generator,
    device: torch.device,
    progress: bool,
) -> list[float]:
    """Train a model in place.

    Returns
    -------
    list of float
        The loss, averaged over each twentieth of the steps.
    """
    frames = Frames(kind, tokenizer)
    lesson: _Lesson
    if kind == "Dot":
        lesson = _Vectors(model, frames, tokenizer, lessons, course, random, device)
    else:
        labels = [tokenizer.vocab[label] for label in ("true", "false")] if kind == "MonoT5" else None
        lesson = _Pairs(model, frames, tokenizer, lessons, course, random, device, labels)
    # Adam moves the vector of a rare token as far as any other, though it hardly knows where to.
    tokens = list(model.get_input_embeddings().parameters())
    others = [weight for weight in model.parameters() if all(weight is not token for token in tokens)]
    groups: list[dict[str, Any]] = [{"params": others}, {"params": tokens, "lr": course.rate * course.tokens}]
    optimizer = torch.optim.AdamW(groups, lr=course.rate, weight_decay=_DECAY)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _height(step, course.steps))
    losses = []
    for step in tqdm(range(course.steps), desc=f"training {kind}", disable=not progress):
        optimizer.zero_grad()
        loss = lesson(step / course.steps)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), _CLIP)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return [float(np.mean(part)) for part in np.array_split(losses, min(20, len(losses)))]


def _height(step: int, steps: int) -> float:
    """Return the learning rate's share of its largest."""
    warm = min(_WARM_UP, steps // 5 + 1)
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


@dataclass
class _Lesson:
    """What both kinds of lessons need; called with the share of the steps that is done, it returns a loss."""

    model: Any
    frames: Frames
    tokenizer: PreTrainedTokenizerBase
    lessons: Lessons
    course: Course
    random: np.random.Generator
    device: torch.device

    def __post_init__(self) -> None:
        lessons, random = self.lessons, self.random
        self.queries = token_ids(self.tokenizer, lessons.queries, QUERY_TOKENS)
        self.docs = token_ids(self.tokenizer, lessons.docs, DOC_TOKENS)
        drawn = random.integers(0, len(lessons.queries), 20_000), random.integers(0, len(lessons.docs), 20_000)
        near = lessons.near[drawn[0], random.integers(0, lessons.near.shape[1], 20_000)]
        wanted = np.concatenate([lessons.wanted(drawn[0], near), lessons.wanted(*drawn)])
        self.mean, self.spread = float(wanted.mean()), float(wanted.std())
        own = np.flatnonzero(lessons.source >= 0)
        self.made_of: dict[int, NDArray[np.int64]] = {
            int(doc): own[np.searchsorted(lessons.source[own], doc) : np.searchsorted(lessons.source[own], doc, "right")]
            for doc in np.unique(lessons.source[own])
        }

    def __call__(self, done: float) -> Tensor:
        raise NotImplementedError

    def judged(self, n: int) -> Iterator[tuple[int, Numbers, NDArray[np.float32]]]:
        """Draw real queries, some judged passages of each, and their grades; passages of high grades are drawn more often."""
        for which in self.random.choice(len(self.lessons.graded), size=min(REAL, len(self.lessons.graded)), replace=False):
            query, docs, grades = self.lessons.graded[which]
            weights = 1.0 + grades
            chosen = self.random.choice(len(docs), size=min(n, len(docs)), replace=False, p=weights / weights.sum())
            yield query, docs[chosen], grades[chosen].astype(np.float32)

    def ordered(self, scores: Tensor, grades: NDArray[np.float32]) -> Tensor:
        """Return the weighted loss of the order of one query's scores, those of passages without a judgement last."""
        known = torch.tensor([*grades, *[0.0] * (len(scores) - len(grades))], device=self.device)
        return self.course.graded * _order(scores, known)


@dataclass
class _Pairs(_Lesson):
    """Lessons of a ranker that reads query and passage together; ``labels`` are the ids of MonoT5's two."""

    labels: list[int] | None = None

    def __call__(self, done: float) -> Tensor:
        short = done < SHORT_SHARE
        queries, docs = self._short_groups() if short else self._groups()
        wanted = torch.tensor((self.lessons.wanted(queries, docs, short) - self.mean) / self.spread, device=self.device)
        texts = self.queries if short else self.docs
        rows = [self.frames.pair(self.queries[query], texts[doc]) for query, doc in zip(queries, docs, strict=True)]
        judged = [] if short else list(self.judged(JUDGED))
        for query, some, _ in judged:
            others = self.random.integers(0, len(self.docs), UNJUDGED)
            rows += [self.frames.pair(self.queries[query], self.docs[doc]) for doc in (*some, *others)]
        scores = self.scores(rows)
        loss = _follow(scores[: len(wanted)].view(-1, GROUP), wanted.view(-1, GROUP), _SHARP)
        at = len(wanted)
        for _, some, grades in judged:
            found = scores[at : at + len(some) + UNJUDGED]
            at += len(found)
            loss = loss + self.ordered(found, grades) / len(judged)
        return loss

    def scores(self, rows: list[tuple[list[int], int]]) -> Tensor:
        """Return the score of framed pairs, dims (pair)."""
        return run(rows, self.device, self._scores)

    def _scores(self, inputs: dict[str, Tensor]) -> Tensor:
        if self.labels is None:
            logit: Tensor = self.model(**inputs).logits[:, 0]
            return logit
        del inputs["token_type_ids"]
        start = torch.zeros((len(inputs["input_ids"]), 1), dtype=torch.long, device=self.device)
        logits: Tensor = self.model(**inputs, decoder_input_ids=start, use_cache=False).logits[:, 0]
        return logits[:, self.labels[0]] - logits[:, self.labels[1]]

    def _groups(self) -> tuple[Numbers, Numbers]:
        """Draw queries and the passages that each is compared on, dims (pair)."""
        queries = self.random.integers(0, self.lessons.n_made, GROUPS)
        near = np.array([self.random.choice(self.lessons.near[query], NEAR) for query in queries])
        others = self.random.integers(0, len(self.docs), (GROUPS, OTHERS))
        docs = np.concatenate([self.lessons.source[queries][:, None], near, others], axis=1)
        return queries.repeat(GROUP), docs.ravel()

    def _short_groups(self) -> tuple[Numbers, Numbers]:
        """Draw the same, with another query of each passage in its place."""
        queries = self.random.integers(0, self.lessons.n_made, SHORT_GROUPS)
        docs = []
        for query in queries:
            near = self.random.choice(self.lessons.near[query], NEAR)
            own = self.random.choice(self.made_of[int(self.lessons.source[query])], OWN + 1)
            alike = [self.random.choice(self.made_of.get(int(doc), own)) for doc in near]
            docs.append([*own, *alike, *self.random.integers(0, self.lessons.n_made, OTHERS - 1)])
        return queries.repeat(GROUP), np.array(docs).ravel()


@dataclass
class _Vectors(_Lesson):
    """Lessons of a ranker that compares two vectors."""

    def __post_init__(self) -> None:
        super().__post_init__()
        vectors = self.lessons.doc_vectors
        self.shapes: Tensor | None = None
        if vectors.shape[1]:
            width = int(self.model.config.hidden_size)
            directions = torch.linalg.svd(torch.tensor(vectors.T @ vectors)).Vh[:width]
            self.shapes = F.normalize(torch.tensor(vectors) @ directions.T, dim=-1).to(self.device)

    def __call__(self, done: float) -> Tensor:
        judged = list(self.judged(JUDGED_DOCS))
        docs, queries = self._drawn()
        extra = np.unique(np.concatenate([docs, *(some for _, some, _ in judged)]))
        every = np.concatenate([queries, [query for query, *_ in judged]])
        sequences = [self.frames.single(self.docs[doc]) for doc in extra] + [self.frames.single(self.queries[q]) for q in every]
        vectors = self.vectors(sequences)
        of_docs, of_queries = vectors[: len(extra)], vectors[len(extra) :]
        cosines = of_queries @ of_docs.T
        wanted = torch.tensor(self.lessons.all_wanted(every, extra) / (1 + self.lessons.lexical), device=self.device)
        loss = _follow(cosines, wanted, _SHARP_COSINE, error=20.0)
        if self.shapes is not None and self.course.shape:
            loss = loss + self.course.shape * (1 - (of_docs * self.shapes[torch.tensor(extra)]).sum(-1)).mean()
        for at, (_, some, grades) in enumerate(judged):
            beside = self.random.integers(0, len(extra), 4)
            columns = torch.tensor([*np.searchsorted(extra, some), *beside], device=self.device)
            found = _COSINE_SCALE * cosines[len(queries) + at, columns]
            loss = loss + self.ordered(found, grades) / len(judged)
        return loss

    def vectors(self, sequences: list[tuple[list[int], int]]) -> Tensor:
        """Return the vectors of framed texts, of length 1, dims (text, dim)."""
        return run(sequences, self.device, self._vectors)

    def _vectors(self, inputs: dict[str, Tensor]) -> Tensor:
        del inputs["token_type_ids"]
        hidden = self.model(**inputs).last_hidden_state
        mask = inputs["attention_mask"].unsqueeze(-1).float()
        return F.normalize((hidden * mask).sum(1) / mask.sum(1), dim=-1)

    def _drawn(self) -> tuple[Numbers, Numbers]:
        """Draw passages, in groups that are alike and others, and queries made from them."""
        seeds = self.random.integers(0, self.lessons.n_made, ALIKE)
        alike = [self.random.choice(self.lessons.near[seed], min(OF_EACH, self.lessons.near.shape[1]), False) for seed in seeds]
        docs = np.unique(np.concatenate([*alike, self.random.integers(0, len(self.docs), BESIDE)]))
        queries = [self.random.choice(self.made_of[int(doc)], PER_DOC) for doc in docs if int(doc) in self.made_of]
        return docs, np.concatenate(queries)


def _follow(scores: Tensor, wanted: Tensor, sharp: float, error: float = 1.0) -> Tensor:
    """Return how far scores, dims (query, candidate), are from those wanted: as distributions over candidates, and one by one."""
    target = F.softmax(wanted / sharp, dim=-1)
    apart = F.kl_div(F.log_softmax(scores / sharp, dim=-1), target, reduction="batchmean")
    return apart + error * F.mse_loss(scores, wanted)


def _order(scores: Tensor, grades: Tensor) -> Tensor:
    """Return RankNet's loss (Burges et al. 2005): logistic, of the order of pairs, weighted by the difference of their grades."""
    above = (grades[:, None] - grades[None, :]).clamp(min=0)
    return (above * F.softplus(scores[None, :] - scores[:, None])).sum() / above.sum().clamp(min=1)
