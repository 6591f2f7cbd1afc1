"""The shape of the code: who may import whom, how long a file may be, and that every command answers quickly."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nextstate.cli import COMMANDS
from nextstate.commands.study import STUDIES

SOURCE = Path(__file__).parents[1] / "src" / "nextstate"
FILES = sorted(SOURCE.rglob("*.py"))

FLOORS = (
    {"__init__", "cache_home", "errors", "provenance"},
    {"modalities"},
    {"actions"},
    {"worlds", "models"},
    {"data", "imagination"},
    {"training", "evaluation"},
    {"planning"},
    {"policies"},
    {"acting"},
    {"reports"},
    {"studies"},
    {"commands"},
    {"cli"},
    {"__main__"},
)
"""Lowest first: code imports its own package and floors below it, never a neighbour or a floor above."""

LONGEST_FILE = 400

CONVERTS = Path("models/language/convert.py")

UNSAFE_MODULES = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}


def package_of(parts: tuple[str, ...]) -> str:
    return parts[0].removesuffix(".py") if parts else "__init__"


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of everything a file imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno}: write imports in full, not relative"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def test_nothing_imports_upwards_or_sideways() -> None:
    height = {package: floor for floor, packages in enumerate(FLOORS) for package in packages}
    wrong = []
    for path in FILES:
        inside = path.relative_to(SOURCE)
        here = package_of(inside.parts)
        assert here in height, f"{inside} is on no floor: give {here!r} its place in FLOORS"
        for line, name in imports(path):
            root, *rest = name.split(".")
            if root != "nextstate":
                continue
            there = rest[0] if rest and rest[0] in height else "__init__"
            if there != here and height[there] >= height[here]:
                wrong.append(f"{inside}:{line} imports {name}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [("worlds", "torch"), ("cli", "numpy"), ("evaluation", "nextstate.training"), ("models", "mujoco")],
)
def test_importing_one_package_does_not_load_another(package: str, forbidden: str) -> None:
    names = [package]
    if (SOURCE / package).is_dir():
        names = [".".join(p.relative_to(SOURCE).with_suffix("").parts) for p in (SOURCE / package).rglob("*.py")]
    code = "import importlib, sys\n" + "".join(
        f"importlib.import_module('nextstate.{name.removesuffix('.__init__')}')\n" for name in names
    )
    code += f"sys.exit({forbidden!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0, f"{package} loads {forbidden}"


def test_files_stay_readable() -> None:
    long = {str(p.relative_to(SOURCE)): n for p in FILES if (n := len(p.read_text().splitlines())) > LONGEST_FILE}
    assert not long, f"over {LONGEST_FILE} lines, split by reason to exist: {long}"


def test_nothing_on_disk_can_run_code() -> None:
    """Pickles run whatever they hold when they are loaded, so nothing is written as one.

    What a package ships as one is converted once, after its checksum, by torch's reader that makes tensors alone.
    """
    wrong = []
    tensors_alone = set()
    for path in FILES:
        inside = path.relative_to(SOURCE)
        wrong += [f"{inside}:{line} imports {n}" for line, n in imports(path) if n.split(".")[0] in UNSAFE_MODULES]
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and inside == CONVERTS and ast.unparse(node).endswith("weights_only=True)"):
                tensors_alone.add(node.func)
            if node in tensors_alone:
                continue
            if isinstance(node, ast.Attribute) and ast.unparse(node) in ("torch.load", "torch.save"):
                wrong.append(f"{inside}:{node.lineno} uses {ast.unparse(node)}; use safetensors")
            if isinstance(node, ast.keyword) and node.arg == "allow_pickle" and ast.unparse(node.value) != "False":
                wrong.append(f"{inside}:{node.value.lineno} allows pickles")
    assert not wrong, "\n".join(wrong)


def test_every_command_file_is_registered() -> None:
    files = {path.stem for path in (SOURCE / "commands").glob("*.py")} - {"__init__"}
    helpers = {name for name in files if not hasattr(importlib.import_module(f"nextstate.commands.{name}"), "main")}
    assert files - helpers == set(COMMANDS)
    studies = {name.removeprefix("study_") for name in helpers if name.startswith("study_")}
    assert studies == set(STUDIES)


SLOW = {"torch", "mujoco", "pyarrow", "scipy", "gymnasium"}
"""What takes most of a second to import, or more."""


@pytest.mark.parametrize("verb", COMMANDS)
def test_help_is_quick(verb: str) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "nextstate.cli", verb, "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert shown.returncode == 0, shown.stderr
    assert "usage" in shown.stdout.lower()
    # By what is imported, since times are those of the machine.
    loaded = {line.rsplit("|", 1)[-1].strip() for line in shown.stderr.splitlines() if line.startswith("import time:")}
    assert len(loaded) > 50 and not loaded & SLOW, f"import lazily: {sorted(loaded & SLOW)}"
