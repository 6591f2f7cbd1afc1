"""The study of data as one page: what the figures say, errors against episodes, and every series."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nextstate.reports.studies import page, table_row
from nextstate.reports.svg import Plot, round_ticks

Row = Mapping[str, Any]

BENDS = 32
"""Pieces in which a curve is drawn."""

NAMES, ASIDE = 96.0, 0.16
"""Room for the names of series, right of a plot; how far series stand apart at one number of episodes, in doublings."""


def data_page(
    question: str,
    found: Mapping[str, Any],
    figures: Mapping[str, tuple[str, bool]],
    label: Callable[[Row], str],
    made: str,
) -> str:
    """The page.

    Args:
        found: as `studies.data.conclude` gives it. figures: name -> title, and whether more is better.
        label: what a row of a series was trained on, in words. made: the command.
    """
    curves = {name: rows for name, rows in found["series"].items() if name.startswith(("labelled", "silent"))}
    plots = []
    for figure in ("nce", "retrieval"):
        title, more = figures[figure]
        drawn = _curves(curves, found["laws"], figure, title)
        if drawn:
            law = "; dashed: the power law that was fitted" if figure == "nce" else ""
            plots.append((drawn, f"{title}; {'more' if more else 'less'} is better{law}. Bars: 95 %."))
    for name, words in (("scenes", "As many episodes, of fewer scenes."), ("policies", "As many episodes, by others.")):
        drawn = _side_by_side(found["series"][name])
        if drawn:
            plots.append((drawn, f"{words} NCE at 1 s; less is better. Bars: 95 %."))
    head = ("series", "trained on", "cells", *(title for title, _ in figures.values()))
    rows = [
        table_row(name, (label(row), _states(row), *(_told(row, figure) for figure in figures)), words=1)
        for name, series in found["series"].items()
        for row in series
    ]
    note = "Means over seeds, plus or minus 95 %: seeds differ, and each is measured on few snapshots."
    return page(question, found["says"], plots, head, rows, note, made, words=1)


def _states(row: Row) -> str:
    return ", ".join(f"{row[state]} {state}" for state in ("done", "diverged", "missing") if row[state])


def _told(row: Row, figure: str) -> str:
    found = row["figures"].get(figure)
    if found is None:
        return ""
    # One seed, and a figure that is not measured by snapshots: nothing is known of its error.
    return f"{found['mean']:.3g}" + (f" ± {1.96 * found['error']:.2g}" if found["error"] else "")


def _measured(rows: Sequence[Row], figure: str) -> list[tuple[Row, float, float]]:
    found = [(row, row["figures"].get(figure)) for row in rows]
    return [(row, value["mean"], 1.96 * value["error"]) for row, value in found if value is not None]


def _curves(series: Mapping[str, Sequence[Row]], laws: Mapping[str, Any], figure: str, title: str) -> str:
    """A line for each series over the logarithm of labelled episodes; empty if nothing was measured."""
    measured = {name: _measured(rows, figure) for name, rows in series.items()}
    points = [point for rows in measured.values() for point in rows]
    if not points:
        return ""
    counts = sorted({row["episodes"] for row, _, _ in points})
    top = 1.1 * max(mean + half for _, mean, half in points)
    low = -0.12 * top
    left, right = math.log2(counts[0]) - 0.5, math.log2(counts[-1]) + 0.5
    axes = ((left, right), (low, top), ((), round_ticks(top)))
    plot = Plot(f"{title} against labelled episodes", *axes, ("labelled episodes", ""), right=NAMES)
    for count in counts:
        plot.note(math.log2(count), low, str(count), "middle")
    for index, (name, rows) in enumerate(measured.items()):
        tone, aside = f"group group{index % 6}", ASIDE * index
        plot.line([math.log2(row["episodes"]) + aside for row, _, _ in rows], [mean for _, mean, _ in rows], tone)
        if rows:
            plot.name(rows[-1][1], name, tone)
        for row, mean, half in rows:
            place = math.log2(row["episodes"]) + aside
            plot.bar(place, max(mean - half, 0.0), mean + half, tone)
            plot.dot(place, mean, tone, 3, f"{name}, {row['episodes']} episodes: {mean:.3f}")
        law = laws.get(name) if figure == "nce" else None
        if law:
            along = [left + (right - left) * part / BENDS for part in range(BENDS + 1)]
            fitted = [law["scale"] * 2 ** (-x * law["exponent"]) for x in along]
            plot.line(along, [value if value <= top else None for value in fitted], f"{tone} dashed")
    return plot.render()


def _side_by_side(rows: Sequence[Row]) -> str:
    """A dot for each row; empty if nothing was measured."""
    points = _measured(rows, "nce")
    if not points:
        return ""
    top = 1.1 * max(mean + half for _, mean, half in points)
    low = -0.12 * top
    plot = Plot("NCE at 1 s", (-0.6, len(points) - 0.4), (low, top), ((), round_ticks(top)), right=12.0)
    for place, (row, mean, half) in enumerate(points):
        word = f"{row['layouts']} scenes" if row["layouts"] else row["policy"]
        plot.note(place, low, word, "middle")
        plot.bar(place, max(mean - half, 0.0), mean + half, f"group group{place % 6}")
        plot.dot(place, mean, f"group group{place % 6}", 3.5, f"{word}: {mean:.3f}")
    return plot.render()
