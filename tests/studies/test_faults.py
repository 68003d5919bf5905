"""A study that is killed at any moment loses nothing that was done, and goes on to the same end."""

import json
import subprocess
import sys
from pathlib import Path

from tests.studies.killed import KILLS
from tests.studies.running import parts, ready, rows

ROOT = Path(__file__).parents[2]


def test_twenty_kills_lose_and_double_nothing(tmp_path):
    command = [sys.executable, "-m", "tests.studies.killed", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["killed"] == KILLS
    assert said["finished"] >= 1
    # Kills that all came before the first part, or after the last one, would prove nothing.
    assert len({count for count in said["left"] if 0 < count < said["parts"]}) >= 3
    for number in range(said["finished"]):
        folder = tmp_path / f"study {number}"
        assert parts(folder) == parts(tmp_path / "whole")
        assert rows(folder)["number"].to_pylist() == list(range(len(ready())))
        assert sorted(path.name for path in folder.iterdir()) == [".lock", "parts", "study.json"]
