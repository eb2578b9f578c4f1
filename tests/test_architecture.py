"""The house rules that no single test of a part can see: who may import whom, and what the core may need."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORE = ROOT / "compat_core"

# Data flows one way: a room may import itself and rooms further up in this list.
ROOMS = (
    ("errors",),
    ("registry", "config", "spec", "device"),
    ("data",),
    ("losses",),
    ("models",),
    ("training",),
    ("methods",),
    ("adapters",),
    ("retrieval",),
    ("metrics",),
    ("experiments",),
    ("vectors",),
    ("reports",),
    ("commands",),
    ("cli", "ui"),
    ("__main__",),
)
LEVEL = {room: level for level, rooms in enumerate(ROOMS) for room in rooms}
OPTIONAL = ("streamlit", "faiss", "plotly", "umap", "numba")
IMPORTED_LATE = ("torchvision",)  # takes a second, which every command line would wait for
LEAN_ROOMS = (
    "data",
    "models",
    "losses",
    "methods",
    "adapters",
    "training",
    "retrieval",
    "metrics",
    "experiments",
    "vectors",
)


def sources(*roots: Path) -> list[Path]:
    return [path for root in roots for path in ([root] if root.is_file() else sorted(root.rglob("*.py")))]


def imports(path: Path) -> list[str]:
    """Every module a file imports, at module level or inside a function."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.append(node.module)
            if node.module == "compat_core":
                found += [f"compat_core.{alias.name}" for alias in node.names]
    return found


def room(path: Path) -> str:
    return path.relative_to(CORE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", sources(CORE), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path):
    if path == CORE / "__init__.py":
        return
    for name in imports(path):
        parts = name.split(".")
        if parts[0] != "compat_core" or len(parts) < 2 or parts[1] == "__version__":
            continue
        assert parts[1] in LEVEL, f"{name} is in no room"
        assert LEVEL[parts[1]] < LEVEL[room(path)] or parts[1] == room(path), f"{path.name} imports {name}"


def test_no_file_needs_itself():
    """Files of one room may import each other, but not in a circle, not even for the sake of types.

    A room's face stands for all its files, and is left out.
    """
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in sources(CORE)}
    needs = {name: {other for other in imports(path) if other in names} for name, path in names.items()}
    assert sum(map(len, needs.values())) > len(names), "imports were not seen"
    while leaves := {name for name, others in needs.items() if not others}:
        needs = {name: others - leaves for name, others in needs.items() if name not in leaves}
    assert not needs, f"in a circle, or above one: {sorted(needs)}"


def test_only_the_app_imports_streamlit():
    for path in sources(CORE):
        if room(path) != "ui":
            assert not any(name.split(".")[0] == "streamlit" for name in imports(path)), path


def test_pages_hold_no_maths_and_no_file_formats():
    for path in sources(ROOT / "pages", ROOT / "app.py"):
        heavy = {"torch", "numpy", "pandas", "faiss", "umap", "json", "csv", "pickle", "safetensors"}
        used = heavy & {name.split(".")[0] for name in imports(path)}
        assert not used, f"{path.name} imports {used}"


def test_no_assert_checks_input():
    for path in sources(CORE, ROOT / "pages", ROOT / "app.py"):
        asserts = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Assert)]
        assert not asserts, f"{path}: asserts vanish under python -O"


def test_core_works_without_the_app_packages():
    """A bare GPU box has torch, torchvision, numpy, scikit-learn and pandas only."""
    script = f"""
import importlib.abc, sys
class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.split('.')[0] in {OPTIONAL + IMPORTED_LATE!r}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
import importlib, pkgutil
import compat_core
for room in {LEAN_ROOMS!r}:
    package = importlib.import_module('compat_core.' + room)
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):
        importlib.import_module(module.name)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", sources(CORE, ROOT / "pages"), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_and_public_name_says_what_it_is(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if not tree.body:
        return
    assert ast.get_docstring(tree), "no module docstring"
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{node.name} has no docstring"


def test_nothing_unpickles():
    for path in sources(CORE, ROOT / "pages", ROOT / "app.py"):
        text = path.read_text(encoding="utf-8")
        assert "allow_pickle=True" not in text, path
        assert "pickle.load" not in text, path
        assert "torch.load(" not in text, path
