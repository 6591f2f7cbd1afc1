"""What the documentation promises: links lead somewhere, commands and options exist, examples run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from nextstate.cli import COMMANDS

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "benchmarks/**/*.md", "src/**/*.md", "results/**/*.md")
    for path in ROOT.glob(pattern)
)
README = (ROOT / "README.md").read_text()


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    prose = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    targets = [t for t in re.findall(r"\]\(([^)#\s]+)[^)]*\)", prose) if "://" not in t]
    missing = [target for target in targets if not (page.parent / target).exists()]
    assert not missing, f"{page.relative_to(ROOT)} links to {missing}"


def readme_commands() -> list[tuple[str, list[str]]]:
    lines = "".join(blocks(README, "bash")).splitlines()
    commands = (line.split("#")[0].split() for line in lines if line.startswith("nextstate "))
    return [(words[1], [word for word in words if word.startswith("--")]) for words in commands]


@pytest.mark.parametrize(("verb", "options"), readme_commands())
def test_commands_and_options_of_the_readme_exist(verb: str, options: list[str]) -> None:
    assert verb in COMMANDS
    code = f"from nextstate.cli import main; main([{verb!r}, '--help'])"
    if verb in ("data", "study"):
        return
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False).stdout
    known = set(re.findall(r"--[a-z][a-z-]*", shown))
    assert set(options) <= known, f"nextstate {verb} knows no {sorted(set(options) - known)}"


def test_targets_of_the_readme_exist() -> None:
    targets = set(re.findall(r"^make ([a-z-]+)", "".join(blocks(README, "bash")), flags=re.MULTILINE))
    assert targets <= set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))


def test_python_of_the_readme_runs() -> None:
    for block in blocks(README, "python"):
        done = subprocess.run([sys.executable, "-c", block], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
