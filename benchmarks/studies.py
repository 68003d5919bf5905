"""Studies: pairs a second beside MechIR's README loop, two processes beside one, memory, and statistics over a million pairs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

import mechviz as mv
from benchmarks.machine import describe, seconds
from benchmarks.peers.mechir import MechIR
from benchmarks.table import Row, print_table
from benchmarks.texts import all_minilm
from benchmarks.toys.data import judged_pairs
from mechviz.studies.schema import FORMAT, PARTS_FOLDER, SETTINGS_FILE, Header

#: Pairs of the study, of a batch of MechIR's loop, and batches of it that are timed.
PAIRS, BATCH, BATCHES = 1000, 8, 3
#: Lengths that MechIR's collator pads to.
PADDED = (30, 300)
#: Pairs that one process and two work on.
SHARED = 256
#: Pairs of a part, as `mechviz.study` writes them by default.
CHUNK = 64


def rows() -> list[Row]:
    """Measure all."""
    return [*_beside_mechir(), *_processes(), *_memory(), *_million()]


def trecdl() -> mv.Pairs | None:
    """Return real pairs, None where they are not on this machine."""
    return judged_pairs() if os.environ.get("MECHVIZ_DATA") else None


def _beside_mechir() -> list[Row]:
    pairs = trecdl()
    if pairs is None:
        return [Row("study of TREC DL pairs", "not run: MECHVIZ_DATA is not set")]
    folder = all_minilm().model.config._name_or_path
    ranker = mv.Dot(folder, pooling="mean", normalize=False)
    perturbed = list(pairs.sample(PAIRS, seed=0).perturb(mv.axioms.TFC1()))
    made = {}
    for number, pair in enumerate(perturbed):
        if pair.perturbed is None:
            continue
        both = mv.make_pair(ranker, pair.query, pair.doc, pair.perturbed)
        made[number] = (ranker.tokenize(pair.query, pair.doc)["query"], both.base, both.source)
    with tempfile.TemporaryDirectory() as scratch:
        ranker.score("warm", "up")
        took = seconds(lambda: mv.study(ranker, perturbed, out=Path(scratch) / "study", progress=False))
        study = mv.Study.load(Path(scratch) / "study")
        said = seconds(lambda: study.summary())
        ours = len(made) / took
        by_number = study.to_dataframe()
        print(f"study: {len(made)} pairs in {took:.0f} s, statistics {said:.2f} s, {study.n_used} used", flush=True)
    fitting = [number for number, texts in made.items() if len(texts[0]) <= PADDED[0] and len(texts[1]) <= PADDED[1]]
    chosen = np.random.default_rng(0).permutation(fitting)[: BATCH * BATCHES].tolist()
    by_length: dict[int, list[int]] = defaultdict(list)
    for number in fitting:
        by_length[len(made[number][1])].append(number)
    alike = sorted((numbers for numbers in by_length.values() if len(numbers) >= BATCH), key=lambda one: len(made[one[0]][1]))
    middle = alike[len(alike) // 2][:BATCH]
    own = [perturbed[number] for number in middle]
    with MechIR(folder) as mechir, tempfile.TemporaryDirectory() as scratch:
        padded = [
            mechir.step([made[number] for number in chosen[at : at + BATCH]], PADDED) for at in range(0, len(chosen), BATCH)
        ]
        print(f"MechIR, padded batches: {[round(one.seconds, 1) for one in padded]} s", flush=True)
        unpadded = [mechir.step([made[number] for number in middle], None) for _ in range(3)]
        alone = [seconds(lambda at=at: mv.study(ranker, own, out=Path(scratch) / str(at), progress=False)) for at in range(3)]
        print(f"MechIR, unpadded: {[round(one.seconds, 1) for one in unpadded]} s; ours {alone}", flush=True)
        exact = mv.Study.load(Path(scratch) / "0")
        ours_exact = exact.raw.values + exact.to_dataframe()["base_score"].mean()
    difference = float(np.abs(ours_exact - unpadded[0].scores).max())
    assert difference < 1e-3, f"the two do not compute the same: {difference}"
    assert len(by_number) == PAIRS
    theirs = BATCH / float(np.median([one.seconds for one in padded]))
    level = float(np.median([one.seconds for one in unpadded])) / float(np.median(alone))
    length = len(made[middle[0]][1])
    return [
        Row(
            f"study, {PAIRS:,} TREC DL pairs, TFC1, heads, all-MiniLM-L6-v2: pairs a second over those of MechIR 0.2.0's README "
            f"loop (batches of {BATCH} padded to {PADDED[1]}; {BATCHES} of them)",
            f"{ours / theirs:.1f} ({ours:.2f} / {theirs:.3f})",
            "10",
            ours / theirs >= 10,
        ),
        Row(
            f"study of {BATCH} pairs of {length} tokens: times faster than MechIR's loop with one unpadded batch of them",
            f"{level:.1f}",
            "3",
            level >= 3,
        ),
        Row(
            f"the same: largest difference from MechIR's mean patched scores (about {abs(unpadded[0].base):.0f})",
            f"{difference:.0e}",
        ),
        Row(f"statistics of {PAIRS:,} pairs: share of the study's time", f"{said / took:.2%}", "2%", said / took <= 0.02),
    ]


def _processes() -> list[Row]:
    pairs = trecdl()
    if pairs is None:
        return []
    ranker = all_minilm()
    perturbed = list(pairs.sample(SHARED, seed=1).perturb(mv.axioms.TFC1()))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with tempfile.TemporaryDirectory() as scratch:

            def run(name: str, **how: object) -> Callable[[], object]:
                return lambda: mv.study(ranker, perturbed, out=Path(scratch) / name, progress=False, chunk=16, **how)

            one, two = seconds(run("serial")), seconds(run("process", executor="process", workers=2))
    finally:
        torch.set_num_threads(before)
    return [
        Row(
            f"study of {SHARED} pairs, two processes: times faster than one, a thread each, their start counted",
            f"{one / two:.2f} ({one:.0f} s / {two:.0f} s)",
            "1.6",
            one / two >= 1.6,
        )
    ]


#: The peak of a process's own memory in GiB; `ru_maxrss` is that of the process which started it, if that was larger.
_PEAK = """
def peak():
    line = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    return int(line.split()[1]) / 2**20
"""

_FLAT = f"""{_PEAK}
import sys
import mechviz as mv
from mechviz.toys.passages import PASSAGES

ranker = mv.toys.compiled("exact_match", PASSAGES)
words = ("volcano", "lava", "water", "bread", "moon")

def pairs():
    for number in range(int(sys.argv[1])):
        yield f"{{words[number % 5]}} rock", f"{{PASSAGES[number % len(PASSAGES)]}} {{number}}"

study = mv.study(ranker, mv.Pairs(pairs), mv.perturb.append("lava"), out=sys.argv[2], progress=False)
study.summary()
print(peak())
"""


def _memory() -> list[Row]:
    """Measure the peak of a study of many pairs and of ten times as many, in processes of their own."""
    with tempfile.TemporaryDirectory() as scratch:
        few, many = (float(_said(_FLAT, str(count), str(Path(scratch) / str(count)))[0]) for count in (600, 6000))
    return [
        Row(
            "study of 6,000 pairs: peak memory over that of 600",
            f"{many / few:.2f} ({many:.2f} GiB / {few:.2f} GiB)",
            "1.10",
            many / few <= 1.1,
        )
    ]


_MILLION = f"""{_PEAK}
import sys, time
from pathlib import Path
from benchmarks.studies import write_study
import mechviz as mv

folder = Path(sys.argv[1])
write_study(folder, pairs=1_000_000, queries=int(sys.argv[2]), per_part=int(sys.argv[3]))
start = time.perf_counter()
study = mv.Study.load(folder)
study.effects, study.interval, study.p, study.q
print(time.perf_counter() - start, peak())
"""


def write_study(folder: Path, pairs: int, queries: int, per_part: int) -> None:
    """Write the parts that a study of random numbers would have: 12 x 12 heads, short texts."""
    header = Header("heads", (("layer", 12), ("head", 12)), "encoder", "perturbed->original", "a", "random", "0" * 64)
    random = np.random.default_rng(0)
    (folder / PARTS_FOLDER).mkdir(parents=True)
    (folder / SETTINGS_FILE).write_text(json.dumps({"format": FORMAT}))
    for start in range(0, pairs, per_part):
        number = np.arange(start, min(start + per_part, pairs))
        n = len(number)
        base, change = random.normal(size=n), random.normal(0.3, 1, size=n)
        shares = random.normal(0.01, 0.05, (n, header.n_cells))
        texts = {"query": "what is it", "doc": "a document", "perturbed": "a document it", "side": "doc", "perturbation": "TFC1"}
        columns = {
            **{name: [text] * n for name, text in texts.items()},
            "number": number,
            "query_id": [f"q{one}" for one in number % queries],
            "doc_id": [f"d{one}" for one in number],
            "preferred": [1] * n,
            "reason": [""] * n,
            "truncated": [""] * n,
            "length": [9] * n,
            "moved": [1] * n,
            "grade": number % 4,
            "rank": number % 100,
            "run_score": [None] * n,
            "original_score": base,
            "base_score": base,
            "perturbed_score": base + change,
            "source_score": base + change,
        }
        patched = (base[:, None] + change[:, None] * shares).astype(np.float32)
        schema = header.schema
        arrays = [pa.array(columns[name], schema.field(name).type) for name in schema.names[:-1]]
        arrays.append(pa.FixedSizeListArray.from_arrays(pa.array(patched.ravel()), header.n_cells))
        pq.write_table(pa.Table.from_arrays(arrays, schema=schema), folder / PARTS_FOLDER / f"{start:08d}.parquet")


def _million() -> list[Row]:
    found = []
    for queries, per_part in ((1000, CHUNK), (1_000_000, 1000)):
        with tempfile.TemporaryDirectory() as scratch:
            took, peak = map(float, _said(_MILLION, scratch, str(queries), str(per_part)))
        found.append(
            Row(
                f"1,000,000 recorded pairs of {queries:,} queries, 12 x 12 heads, parts of {per_part}: effects, intervals, p",
                f"{took:.0f} s, {peak:.2f} GiB",
                "60 s, 2 GiB",
                took <= 60 and peak <= 2,
            )
        )
    return found


def _said(code: str, *arguments: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.split()


if __name__ == "__main__":
    print(describe(), "\n", flush=True)
    print_table(rows())
