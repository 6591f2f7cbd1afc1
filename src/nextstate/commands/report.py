"""`nextstate report`: one HTML page, and its figures as JSON, from saved evaluations."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class ReportConfig:
    """Write the HTML report of one or more saved evaluations, and the same figures as JSON."""

    evaluations: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """JSON files of `nextstate evaluate`, a chapter each, in this order."""
    out: Path = Path("report")
    """Folder for report.html and report.json."""
    models: tuple[Path, ...] = ()
    """Folders of the models, in the same order, to show who owns their parameters; by default those evaluated."""
    title: str = "Had it done that instead"
    """Heading of the page."""
    scenes: int = 3
    """Snapshots shown as clips in each chapter."""
    commands: tuple[str, ...] = field(default=())
    """Commands that made data and models, quoted under "how it was made"."""


def main(argv: list[str]) -> int:
    """Runs the command; returns the exit status."""
    config = tyro.cli(ReportConfig, prog="nextstate report", args=argv)
    from rich.console import Console

    from nextstate.data.storage import write_json
    from nextstate.reports import read_chapter, write_report

    folders = [*config.models, *[None] * (len(config.evaluations) - len(config.models))]
    chapters = []
    for path, folder in zip(config.evaluations, folders, strict=False):
        chapter = read_chapter(path, commands=config.commands)
        chapters.append(read_chapter(path, owners(folder or Path(chapter.evaluation.model)), config.commands))
    page = write_report(chapters, config.out, config.title, config.scenes)
    settings: dict[str, object] = {
        "evaluations": [str(path) for path in config.evaluations],
        "models": [str(path) for path in config.models],
    }
    settings |= {"title": config.title, "scenes": config.scenes, "commands": list(config.commands)}
    write_json(config.out / "report.config.json", settings)
    Console().print(f"{page}  {page.stat().st_size / 1e6:.1f} MB", soft_wrap=True, highlight=False)
    return 0


def owners(folder: Path) -> dict[str, int]:
    """Parameters by owner of a saved model; empty for the oracle, baselines and outside models."""
    from nextstate.models.folders import folder_of

    if not (folder_of(folder) / "config.json").is_file():
        return {}
    from nextstate.models.pretrained import from_pretrained

    return dict(from_pretrained(folder).owners())
