"""The study of objectives as one page: what the figures say, plots against the reference, and every cell."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from importlib.resources import files
from typing import Any

from nextstate.reports.svg import Plot, round_ticks

PLOTTED = ("nce", "crps", "retrieval", "planning")
"""Figures that get a plot."""

NAMES = 120.0
"""Room for the names of arms, right of a plot."""


def objective_page(question: str, found: Mapping[str, Any], figures: Mapping[str, tuple[str, bool]], made: str) -> str:
    """The page.

    Args:
        found: as `studies.objective.conclude` gives it. figures: name -> title, and whether more is better.
        made: the command.
    """
    plots = []
    for equal, worlds in found["table"].items():
        for name in PLOTTED:
            drawn = _plot(worlds, name, f"{figures[name][0]}, equal {equal}")
            if drawn:
                better = "more" if figures[name][1] else "less"
                words = (
                    f"{figures[name][0]} at equal {equal}; {better} is better. Bars: 95 %, over seeds and snapshots."
                )
                plots.append(f"<figure>{drawn}<figcaption>{escape(words)}</figcaption></figure>")
    style = files("nextstate.reports").joinpath("report.css").read_text(encoding="utf-8")
    said = "".join(f"<li>{escape(sentence)}</li>" for sentence in found["says"])
    head = ("arm", "world", "equal", "cells", *(title for title, _ in figures.values()))
    titles = "".join(f'<th scope="col">{escape(title)}</th>' for title in head)
    rows = "".join(
        _row(arm, world, equal, summary, figures)
        for equal, worlds in found["table"].items()
        for world, arms in worlds.items()
        for arm, summary in arms.items()
    )
    reasons = [
        f"{cell['arm']} on {cell['world']}, seed {cell['seed']}, equal {cell['equal']}: {cell['why']}"
        for cell in found["cells"]
        if cell["state"] == "diverged"
    ]
    diverged = "".join(f"<li>{escape(reason)}</li>" for reason in reasons)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">'
        f"<title>{escape(question)} · nextstate</title><style>{style}</style></head>\n"
        f'<body><main><header><p class="wordmark">nextstate</p><h1>{escape(question)}</h1></header>'
        f'<ul>{said}</ul><div class="plots">{"".join(plots)}</div>'
        f'<div class="scroll"><table><thead><tr>{titles}</tr></thead><tbody>{rows}</tbody></table></div>'
        f"{f'<h2>Diverged</h2><ul>{diverged}</ul>' if diverged else ''}"
        f"<p><code>{escape(made)}</code></p></main></body></html>\n"
    )


def _row(arm: str, world: str, equal: str, summary: Mapping[str, Any], figures: Mapping[str, tuple[str, bool]]) -> str:
    states = [f"{summary[state]} {state}" for state in ("done", "diverged", "missing") if summary[state]]
    cells = [world, equal, ", ".join(states)]
    for name in figures:
        value = summary["figures"].get(name)
        cells.append(f"{value['mean']:.3g} ± {1.96 * value['error']:.2g}" if value else "")
    return f'<tr><th scope="row">{escape(arm)}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in cells)}</tr>'


def _plot(worlds: Mapping[str, Any], name: str, title: str) -> str:
    """Arms side by side in each world; empty if none has the figure."""
    shown = {
        world: {arm: row["figures"][name] for arm, row in arms.items() if name in row["figures"]}
        for world, arms in worlds.items()
    }
    shown = {world: arms for world, arms in shown.items() if arms}
    values = [figure for arms in shown.values() for figure in arms.values()]
    if not values:
        return ""
    top = 1.1 * max(1e-3, *(value["mean"] + 1.96 * value["error"] for value in values))
    order = list(dict.fromkeys(arm for arms in worlds.values() for arm in arms))
    low = -0.14 * top
    plot = Plot(title, (-0.6, len(shown) - 0.4), (low, top), ((), round_ticks(top)), right=NAMES)
    for place, (world, arms) in enumerate(shown.items()):
        plot.note(place, low, world, "middle")
        for index, arm in enumerate(order):
            if arm not in arms:
                continue
            mean, half = arms[arm]["mean"], 1.96 * arms[arm]["error"]
            x, tone = place + 0.7 * ((index + 0.5) / len(order) - 0.5), f"group group{index % 6}"
            plot.bar(x, max(mean - half, 0.0), mean + half, tone)
            plot.dot(x, mean, tone, 3.5, f"{arm}, {world}: {mean:.3f}")
            if place == len(shown) - 1:
                plot.name(mean, arm, tone)
    return plot.render()
