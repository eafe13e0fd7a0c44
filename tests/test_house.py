"""The rules of the house: rooms import only rooms above them, importing changes nothing, the linter is silent."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import modescope

ROOT = Path(modescope.__file__).parent
ROOMS = (
    "types", "allocator", "errors", "remote", "files", "outside", "seeds", "settings",
    "analysis_settings", "recipe", "data", "models", "store",
    "training", "engines", "measures", "subspaces", "landscape", "analyses", "figures", "report",
    "tracking", "study", "live", "progress", "terminal", "cli", "__main__",
)  # fmt: skip


def imported(path):
    # the rooms of this package that a file imports, wherever in the file
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "modescope":
            parts = node.module.split(".")[1:]
            yield from [parts[0]] if parts else [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from [alias.name.split(".")[1] for alias in node.names if alias.name.startswith("modescope.")]


def test_rooms_import_only_rooms_above_them():
    seen = set()
    for path in sorted(ROOT.rglob("*.py")):
        room = path.relative_to(ROOT).parts[0].removesuffix(".py")
        if room == "__init__":
            continue
        seen.add(room)
        for other in imported(path):
            assert ROOMS.index(other) <= ROOMS.index(room), f"{path} imports {other}"
    assert seen == set(ROOMS)


def test_measures_know_nothing_of_files_and_labels_of_axes():
    for path in (ROOT / "measures").glob("*.py"):
        assert set(imported(path)) <= {"measures", "types"}
        assert "xarray" not in path.read_text()


def test_only_the_command_line_prints():
    for path in ROOT.rglob("*.py"):
        calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        if path.name not in ("cli.py", "progress.py"):
            assert not [call for call in calls if isinstance(call, ast.Name) and call.id == "print"], path


def test_nothing_is_unpickled():
    for path in ROOT.rglob("*.py"):
        text = path.read_text()
        assert not re.search(r"(?<!safetensors\.)torch\.load\(", text)
        assert "import pickle" not in text
        assert "allow_pickle=True" not in text


def test_importing_everything_changes_no_global_state():
    code = """
import os, random, sys, warnings, logging
import numpy, torch, matplotlib, xarray
state = lambda: (
    random.getstate(), numpy.random.get_state()[1].tolist(), torch.initial_seed(), torch.get_num_threads(),
    torch.get_default_dtype(), torch.backends.cudnn.benchmark, dict(matplotlib.rcParams), matplotlib.get_backend(),
    list(warnings.filters), logging.getLogger().level, logging.getLogger().handlers, dict(os.environ), os.getcwd(),
    xarray.get_options(),
)
matplotlib.get_backend()
import typer, rich, zarr, pydantic, jinja2, sklearn.manifold
before, path = state(), list(sys.path)
import modescope, modescope.cli, modescope.study, modescope.data, modescope.models
assert str(state()) == str(before) and sys.path == path
assert "ray" not in sys.modules
try:
    import ray  # changes the environment and sys.path by itself, when its engine is asked for
except ImportError:
    pass
before, path = state(), list(sys.path)
import pkgutil
for module in pkgutil.walk_packages(modescope.__path__, "modescope."):
    if not module.name.endswith("__main__"):
        __import__(module.name)
assert str(state()) == str(before) and sys.path == path
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_linter_is_silent():
    repository = ROOT.parents[1]
    if not (repository / "pyproject.toml").is_file():
        return  # an installed package without its sources
    ended = subprocess.run([sys.executable, "-m", "ruff", "check", "."], cwd=repository, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout
