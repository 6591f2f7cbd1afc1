"""The report: one HTML file that needs nothing else, and the same figures as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from nextstate.errors import DatasetError
from nextstate.evaluation.results import plain
from nextstate.evaluation.store import write_text
from nextstate.reports import charts, clips, tables
from nextstate.reports.chapter import Chapter
from nextstate.reports.scenes import Scene, choose_scenes

TITLE = "Had it done that instead"
HTML, JSON = "report.html", "report.json"


def write_report(chapters: Sequence[Chapter], folder: Path, title: str = TITLE, scenes: int = 3) -> Path:
    """Writes ``report.html`` and ``report.json`` into `folder` and returns the path of the page.

    Args:
        chapters: one model in one world each, in reading order.
        scenes: snapshots shown in each chapter.

    Raises:
        DatasetError: there is nothing to report.
        StorageError: the folder cannot be written.
    """
    if not chapters:
        raise DatasetError("nothing to report: give the JSON of at least one evaluation.")
    worlds = {chapter.evaluation.world for chapter in chapters}
    chapters = [_own_commands(chapter, worlds) for chapter in chapters]
    shown = [_renamed(choose_scenes(chapter, scenes), index) for index, chapter in enumerate(chapters)]
    folder = Path(folder)
    write_text(folder / JSON, json.dumps(to_json(chapters, shown, title), indent=1, allow_nan=False) + "\n")
    write_text(folder / HTML, render(chapters, shown, title))
    return folder / HTML


def to_json(chapters: Sequence[Chapter], shown: Sequence[Sequence[Scene]], title: str) -> dict[str, Any]:
    """Every figure of the page."""
    return {
        "title": title,
        "chapters": [
            {
                **json.loads(chapter.evaluation.to_json()),
                "ledger": plain(dict(chapter.ledger)),
                "commands": list(chapter.commands),
                "scenes": [scene.to_json() for scene in scenes],
            }
            for chapter, scenes in zip(chapters, shown, strict=True)
        ],
    }


def render(chapters: Sequence[Chapter], shown: Sequence[Sequence[Scene]], title: str = TITLE) -> str:
    """The page as HTML."""
    style, script, reading = (
        files("nextstate.reports").joinpath(name).read_text(encoding="utf-8")
        for name in ("report.css", "report.js", "reading.html")
    )
    body = [_masthead(chapters, shown, title)]
    body += [
        _chapter(chapter, scenes, index) for index, (chapter, scenes) in enumerate(zip(chapters, shown, strict=True))
    ]
    body.append(reading)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f'<link rel="icon" href="data:,"><title>{escape(title)} · nextstate</title><style>{style}</style></head>\n'
        f"<body><main>{''.join(body)}</main><script>{script}</script></body></html>\n"
    )


def _masthead(chapters: Sequence[Chapter], shown: Sequence[Sequence[Scene]], title: str) -> str:
    scenes = [scene for scenes in shown for scene in scenes if scene.sheets]
    worlds = "".join(f'<a href="#{_anchor(c, i)}">{escape(_heading(c))}</a>' for i, c in enumerate(chapters))
    date = tables.spoken_date(chapters[0].evaluation.date).partition(",")[0]
    showing = ""
    if scenes:
        showing = clips.pair(max(scenes, key=lambda scene: sum(s.kind == "event" for s in scene.series)))
    return (
        f'<header class="masthead"><div class="words"><p class="wordmark">nextstate</p><h1>{escape(title)}</h1>'
        '<p class="lede">Two futures of one and the same instant. Above, what the world does under each action; '
        "below, what a model pretrained on predicting the next physical state imagined, having seen only the past "
        f'and been told the action.</p><nav aria-label="Worlds">{worlds}<a href="#reading">How to read this</a></nav>'
        f'<p class="byline">{escape(date)}</p></div>{showing}</header>'
    )


def _chapter(chapter: Chapter, scenes: Sequence[Scene], index: int) -> str:
    parts = [
        f'<section class="chapter" id="{_anchor(chapter, index)}"><h2>{escape(_heading(chapter))}</h2>',
        f'<p class="about">{escape(chapter.about)}</p>' if chapter.about else "",
        f'<p class="summary">{tables.summary(chapter)}</p>',
        charts.ladder(chapter) + charts.ladder(chapter, 360.0, "narrow") if chapter.middle else "",
        tables.headline(chapter),
    ]
    if scenes:
        parts.append(
            "<h3>The same instant, different doings</h3><p>Every column starts from one snapshot and carries out other "
            "commands. Snapshots and branches were chosen by how differently the <em>true</em> futures end.</p>"
        )
        parts += [clips.scene(scene, number + 1) for number, scene in enumerate(scenes)]
    parts.append(
        _plots(
            "How far ahead",
            [
                (
                    charts.horizon_curves(chapter),
                    "Error in the difference that actions make. Shaded: the simulator itself, "
                    "started from a state changed by a hair; no model can be asked for less.",
                ),
                (charts.group_curves(chapter), "The same, by what is foreseen."),
                (
                    charts.horizon_curves(chapter, "drift"),
                    "Distance of the imagined from the true future; 1 is as far as the average.",
                ),
            ],
        )
    )
    sure = [
        (charts.coverage(chapter), "Intervals of the imagined future against how many truths they held."),
        (
            charts.reliability(chapter),
            "Imagined probabilities of events against how often they came about. On the line is honest.",
        ),
    ]
    parts.append(_plots("How sure, and how rightly", sure))
    if listed := tables.events(chapter):
        parts.append(
            "<h3>Events</h3><p>Of two branches of which one has the event: is it foreseen in the right one?</p>"
            + listed
        )
    if listed := tables.checks(chapter):
        parts.append(f"<h3>Does it listen, does it hold together</h3>{listed}")
    if owners := charts.ledger(chapter.ledger):
        total = charts.millions(sum(chapter.ledger.values()))
        parts.append(f"<h3>Who owns the parameters</h3><p>{total} in all.</p>{owners}")
    parts.append(f"<h3>How it was made</h3>{tables.made(chapter)}</section>")
    return "".join(parts)


def _plots(heading: str, plots: Sequence[tuple[str, str]]) -> str:
    drawn = "".join(f"<figure>{plot}<figcaption>{words}</figcaption></figure>" for plot, words in plots if plot)
    return f'<h3>{heading}</h3><div class="plots">{drawn}</div>' if drawn else ""


def _heading(chapter: Chapter) -> str:
    return chapter.evaluation.world.capitalize()


def _anchor(chapter: Chapter, index: int) -> str:
    return f"{chapter.evaluation.world}-{index + 1}-chapter"


def _own_commands(chapter: Chapter, worlds: set[str]) -> Chapter:
    """Without the commands that were for another chapter's world, and without saying one twice."""
    own = chapter.evaluation.world

    def foreign(command: str) -> bool:
        words = set(re.split(r"[\s/=]+", command))
        return own not in words and bool(words & worlds)

    kept = [command for command in chapter.commands if command != chapter.evaluation.command and not foreign(command)]
    return replace(chapter, commands=kept)


def _renamed(scenes: Sequence[Scene], chapter: int) -> list[Scene]:
    """Scenes with keys that stay unique when two chapters are of one world."""
    return [replace(scene, key=f"{scene.key}-{chapter + 1}") for scene in scenes]
