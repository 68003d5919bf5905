"""Kill studies at random moments until twenty have died, and print what is left; run as a script by test_faults.

One process imports everything and runs one study undisturbed. Each study that is killed is a fork of it, which begins at once.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import torch

import mechviz as mv
from tests.studies.running import parts, ready, study

KILLS = 20


def forked(folder: Path, ranker: mv.Cat) -> int:
    """Start a study in a process of its own and return its id."""
    pid = os.fork()
    if pid:
        return pid
    try:
        study(ranker, out=folder, chunk=1)
        os._exit(0)
    except BaseException as error:
        print(repr(error), file=sys.stderr, flush=True)
        os._exit(1)


def whole(folder: Path, wanted: dict[str, bytes]) -> int:
    """Check that what a killed study left under the name of a part is that part, and return how many there are."""
    found = [path for path in folder.glob("parts/*.parquet") if not path.name.startswith(".")]
    for path in found:
        pq.read_table(path)
        assert path.read_bytes() == wanted[path.name], path
    return len(found)


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    ranker = mv.toys.compiled("bm25")
    started = time.monotonic()
    study(ranker, out=folder / "whole", chunk=1)
    duration = time.monotonic() - started
    wanted = parts(folder / "whole")
    moments, killed, finished, left = random.Random(0), 0, 0, []
    while killed < KILLS or not finished:
        out = folder / f"study {finished}"
        pid = forked(out, ranker)
        if killed < KILLS:
            time.sleep(moments.uniform(0, duration / 2))
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        if os.WIFSIGNALED(status):
            killed += 1
            left.append(whole(out, wanted))
            continue
        assert status == 0, status
        assert parts(out) == wanted
        finished += 1
    print(json.dumps({"killed": killed, "finished": finished, "left": left, "pairs": len(ready()), "parts": len(wanted)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
