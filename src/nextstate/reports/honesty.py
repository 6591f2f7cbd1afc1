"""The study of honesty as one page: what a search makes of a model's errors, and whether it ranks policies rightly."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from nextstate.reports.studies import page, table_row
from nextstate.reports.svg import Plot


def honesty_page(question: str, found: Mapping[str, Any], made: str) -> str:
    """Optimism and regret against the number of candidates, and policies inside against outside.

    Args:
        found: as `studies.honesty.conclude` gives it. made: the command.
    """
    optimism = _against_candidates(found["plans"], "exploitation", "too cheap by, deviations")
    regret = _against_candidates(found["plans"], "regret", "share lost")
    plots = [
        (optimism, "How much too good the plan is imagined that looks best, beyond a random one."),
        (regret, "What choosing in imagination loses of what knowing the truth would gain."),
        (_ranking(found["policies"]["worth"]), "Worth of policies: minus the distance that is left at the end."),
    ]
    rows = []
    for label, row in found["acting"].items():
        low, high = row["strict"]["interval"]
        cells = (f"{row['strict']['rate']:.0%}", f"{low:.0%} to {high:.0%}", f"{row['published']['rate']:.0%}")
        rows.append(table_row(label, (*cells, f"{row['milliseconds']:g}")))
    head = ("planned in", "strict", "95 %", "touched", "ms a decision")
    note = "Visual: less and bluer light. Physical: twice the mass. Model and heads were trained on neither."
    return page(question, found["says"], plots, head, rows, note, made)


def _against_candidates(plans: Mapping[str, Any], what: str, title: str) -> str:
    counts, figures = plans["candidates"], plans[what]
    places = [math.log2(count) for count in counts]
    top = max([figure["interval"][1] for figure in figures] + [0.1])
    low = min([figure["interval"][0] for figure in figures] + [0.0])
    step = max(round(top / 2, 1), 0.1)
    ticks: tuple[list[float], list[float]] = ([], [round(step * i, 2) for i in range(3)])
    floor = low - 0.2 * (top - low)
    plot = Plot(title, (places[0] - 0.5, places[-1] + 0.5), (floor, top), ticks, ("candidates", title))
    for place, count in zip(places, counts, strict=True):
        plot.note(place, floor, str(count), "middle")
    plot.line(places, [figure["value"] for figure in figures], "model")
    for place, figure in zip(places, figures, strict=True):
        plot.bar(place, figure["interval"][0], figure["interval"][1], "model")
        plot.dot(place, figure["value"], "model", 3, f"{figure['value']:.2f}")
    return plot.render()


def _ranking(worth: Mapping[str, Mapping[str, float]]) -> str:
    both = [value for row in worth.values() for value in row.values()]
    low, high = min(both), max(both)
    edge = 0.06 * max(high - low, 1e-6)
    span = (low - edge, high + edge)
    plot = Plot("worth of policies", span, span, ([], []), ("in the simulator", "in the model"), right=24.0)
    plot.line(list(span), list(span), "ideal")
    named: list[tuple[float, float]] = []
    for name, row in worth.items():
        x, y = row["outside"], row["inside"]
        plot.dot(x, y, "model", 3.5, name)
        # Names that would cover another are left to the pointer.
        if all(abs(x - other[0]) > 4 * edge or abs(y - other[1]) > 1.2 * edge for other in named):
            named.append((x, y))
            rightmost = x > (low + high) / 2
            plot.note(x, y, f"{name} " if rightmost else f" {name}", "end" if rightmost else "start")
    return plot.render()
