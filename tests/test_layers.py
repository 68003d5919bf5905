"""Imports point one way: the order that the design lays down, read from the source."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import mechviz

PACKAGE = Path(mechviz.__file__).parent

# What each room may import, beside itself. `mechviz/__init__` loads lazily and may name anything.
BELOW = {
    "errors": set(),
    "files": {"errors"},
    "text": {"errors", "files"},
    "results": {"errors", "files", "text"},
    "corpora": {"errors", "files", "text"},
    "rankers": {"errors", "text", "results"},
    "toys": {"errors", "files", "text", "results", "corpora", "rankers", "demo"},
    "patching": {"errors", "text", "results", "corpora", "rankers"},
    "wire": {"errors", "text", "results"},
    "snapshot": {"errors", "text", "results", "wire"},
    "figures": {"errors", "files", "text", "results", "wire"},
    "views": {"errors", "files", "text", "results", "wire", "snapshot", "figures"},
    "show": {"errors", "text", "results", "wire", "snapshot", "views", "rankers", "patching"},
    "interventions": {"errors", "files", "text", "results", "corpora", "rankers", "patching", "views"},
    "studies": {"errors", "files", "text", "results", "corpora", "rankers", "patching", "views", "show"},
    "probes": {"errors", "files", "text", "results", "corpora", "rankers", "patching", "interventions", "views"},
    "experiments": {"errors", "files", "text", "results", "wire", "snapshot", "views"},
    "demo": set(),
    "cli": {"errors", "demo", "show", "studies"},
}
# The way up: modules of a higher room that are named in a string, and imported only when a user asks for what they keep.
ON_REQUEST = {("rankers/toy_names.py", "mechviz.toys.shipped"), ("rankers/families/toy_encoder.py", "mechviz.toys.encoder")}
HEAVY = {"torch", "transformers", "transformer_lens"}
WITHOUT_TORCH = {"errors", "text", "results", "wire", "snapshot", "figures", "views"}


def modules():
    return [path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py"]


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert not any(alias.name == "*" for alias in node.names), f"{path}: import *"
            found.add(node.module)
            if node.module == "mechviz":
                found |= {f"mechviz.{alias.name}" for alias in node.names}
    return found


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_what_lies_below(path):
    mine = room(path)
    rooms = {name.split(".")[1] for name in imported(path) if name.startswith("mechviz.")} - {mine, "__version__"}
    assert rooms <= BELOW[mine]
    if mine in WITHOUT_TORCH:
        assert not {name.split(".")[0] for name in imported(path)} & HEAVY


def test_the_way_up_is_known_and_taken_on_request_only():
    """A module's name in a string could hide an import from the test above."""
    found = set()
    for path in modules():
        strings = {node.value for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Constant)}
        named = {one for one in strings if isinstance(one, str) and re.fullmatch(r"mechviz(\.\w+)+", one)}
        found |= {(path.relative_to(PACKAGE).as_posix(), one) for one in named if one.split(".")[1] not in BELOW[room(path)]}
    assert found == ON_REQUEST
    assert run("import mechviz.rankers, sys; print('mechviz.toys' in sys.modules)").strip() == "False"


def test_every_room_is_known():
    assert {room(path) for path in modules()} == set(BELOW)


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_importing_mechviz_does_not_import_torch():
    assert run("import mechviz, sys; print('torch' in sys.modules, 'numpy' in sys.modules)").strip() == "False False"


def test_views_do_not_import_torch():
    assert run("import mechviz.views, sys; print('torch' in sys.modules)").strip() == "False"


def test_importing_has_no_side_effects():
    state = "print(torch.is_grad_enabled(), torch.get_float32_matmul_precision())"
    code = f"import torch, mechviz as mv; mv.load; mv.show_patching; {state}"
    assert run(code).strip() == "True highest"


def test_every_public_name_is_there_and_described():
    for name in mechviz.__all__:
        thing = getattr(mechviz, name)
        assert thing.__doc__, name
    with pytest.raises(AttributeError, match="'nonsense'; it has"):
        _ = mechviz.nonsense


def test_files_stay_readable():
    long = {str(path.relative_to(PACKAGE)): n for path in modules() if (n := len(path.read_text().splitlines())) > 400}
    assert not long
