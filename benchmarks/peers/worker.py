"""Peers that need an environment of their own: it is made on first use, and one worker in it answers all calls."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch

HERE = Path(__file__).parent


class Worker:
    """A process in another environment that answers a line of JSON with one.

    Parameters
    ----------
    script : str
        The file beside this one that answers; its only argument is the number of threads.
    python : Path
        The interpreter of its environment.
    """

    def __init__(self, script: str, python: Path) -> None:
        self.script = script
        # -I: this folder has files of the peers' names, which must not be found before the packages.
        command = [str(python), "-I", str(HERE / script), str(torch.get_num_threads())]
        self.worker = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "HF_HUB_OFFLINE": "1"}
        )

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to one request."""
        requests, answers = self.worker.stdin, self.worker.stdout
        assert requests is not None
        assert answers is not None
        print(json.dumps(request), file=requests, flush=True)
        line = answers.readline()
        if not line:
            raise RuntimeError(f"{self.script} ended; what it said is above")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the worker."""
        self.worker.communicate()


def environment(venv: Path, wanted: Path) -> Path:
    """Return the interpreter of a peer's environment, which is made or brought up to ``wanted`` if it is not."""
    python = venv / "bin" / "python"
    made = venv / "made-from.txt"  # written last, so that an interrupted installation is taken up again
    if not made.exists() or made.read_text() != wanted.read_text():
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet", "install", "-r", str(wanted)]
        subprocess.run(pip, check=True, stdout=sys.stderr)
        made.write_text(wanted.read_text())
    return python
