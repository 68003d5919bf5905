"""What a stranger's checkout must hold: locks that install anywhere, one version, licences."""

import gzip
import json
import re
import tomllib
from pathlib import Path

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

import mechviz
from benchmarks import families
from tests import texts

ROOT = Path(__file__).parent.parent
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_locks_name_no_host_no_option_no_local_build(lock):
    for number, line in enumerate(lock.read_text().splitlines(), 1):
        for bad in ("+cpu", "--", "://", " /", "file:/"):
            assert bad not in line, f"{lock.name}:{number}: {line}"
        assert not line or line.lstrip().startswith("#") or re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!]+", line), line


def test_torch_is_pinned():
    for name in ("runtime.txt", "dev.txt"):
        assert "torch==2.13.0" in (ROOT / "requirements" / name).read_text().splitlines()


def test_the_lock_is_of_the_declared_dependencies():
    def names(lines):
        wanted = [line for line in lines if re.match(r"[A-Za-z]", line)]
        return {re.split(r"[<>=\[]", line, maxsplit=1)[0].strip().lower().replace("_", "-") for line in wanted}

    declared = names(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"])
    assert names((ROOT / "requirements" / "runtime.in").read_text().splitlines()) == declared
    assert declared <= names((ROOT / "requirements" / "runtime.txt").read_text().splitlines())


def test_the_js_lock_names_no_host_and_holds_every_platform():
    text = (ROOT / "js" / "package-lock.json").read_text()
    packages = json.loads(text)["packages"]
    assert '"resolved"' not in text
    for platform in ("darwin-arm64", "darwin-x64", "linux-arm64", "linux-x64", "win32-x64"):
        assert f"node_modules/@esbuild/{platform}" in packages
        assert f"node_modules/@biomejs/cli-{platform}" in packages
    wanted = json.loads((ROOT / "js" / "package.json").read_text())["devDependencies"]
    assert all(re.fullmatch(r"[0-9.]+", version) for version in wanted.values()), "exact versions only"


def test_one_version_everywhere():
    assert json.loads((ROOT / "js" / "package.json").read_text())["version"] == mechviz.__version__
    assert f"version: {mechviz.__version__}\n" in (ROOT / "CITATION.cff").read_text()
    assert (ROOT / "CHANGELOG.md").read_text().split("\n## ")[1].startswith(mechviz.__version__)


def test_the_bundles_are_small():
    for name in ("widget.js", "widget.css", "probes.js", "probes.css"):
        data = (ROOT / "mechviz" / "static" / name).read_bytes()
        assert len(gzip.compress(data, 9, mtime=0)) <= 60_000


def test_the_readme_opens_with_the_two_commands():
    assert re.search(r"make demo.*make test", (ROOT / "README.md").read_text()[:1500], re.S)


def test_the_readmes_tables_of_families_are_what_the_command_prints():
    """Every ranker is opened and every hook tried again: `python -m benchmarks.families`."""
    assert families.in_readme((ROOT / "README.md").read_text(encoding="utf-8")) == families.tables()


def test_the_own_collection_is_whole():
    documents, queries = texts.docs(), texts.queries()
    assert len(documents) == 20
    assert {query for query, _, _ in texts.qrels()} == set(queries)
    assert {doc for _, doc, _ in texts.qrels()} <= set(documents)
    assert {grade for _, _, grade in texts.qrels()} == {0, 1, 2, 3}


def test_the_weights_and_their_licence_travel_in_wheel_and_sdist():
    folder = ROOT / "mechviz" / "toys" / "weights"
    ours = {path.relative_to(ROOT).as_posix() for path in folder.rglob("*") if path.is_file()}
    ours |= {path.relative_to(ROOT).as_posix() for path in (ROOT / "mechviz" / "toys" / "cards").iterdir()}
    for builder in (WheelBuilder, SdistBuilder):
        assert ours <= {file.relative_path for file in builder(str(ROOT)).recurse_included_files()}


def test_the_licence_of_the_weights_is_named_where_people_look():
    licence = "mechviz/toys/weights/LICENSE"
    assert "non-commercial research" in (ROOT / licence).read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert licence in project["license-files"]
    for name in ("README.md", "THIRD_PARTY.md"):
        assert licence in (ROOT / name).read_text()
