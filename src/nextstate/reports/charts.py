"""The plots of a chapter: who is better than whom, how far ahead, how sure, and who owns the parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from nextstate.reports.chapter import Chapter, figure, interval
from nextstate.reports.svg import LINE_HEIGHT, Plot

BESIDE = ("copy-last", "action-blind", "blind", "gain-0.8", "wrong-physics", "climatology")
"""Baselines drawn as curves; the rest stands in the table."""

LADDER_TICKS = (0.0, 0.1, 0.5, 1.0, 2.0, 4.0)


def ladder(chapter: Chapter, width: float = 720.0, kind: str = "wide") -> str:
    """Everyone's counterfactual error on one line from 0 (perfect) over 1 (blind) to 4 (reversed)."""
    height, left, right, line = 132.0, 16.0, 16.0, 78.0

    def across(value: float) -> float:
        return left + math.sqrt(min(value, 4.0) / 4.0) * (width - left - right)

    marks = [f'<path class="rail" d="M{left} {line}H{width - right}"/>']
    for tick in LADDER_TICKS:
        marks.append(f'<path class="grid" d="M{across(tick):.1f} {line - 4}V{line + 4}"/>')
        marks.append(f'<text x="{across(tick):.1f}" y="{line + 18}" text-anchor="middle">{tick:g}</text>')
    ends = ((left, "start", "perfect"), (across(1.0), "middle", "blind to actions"), (width - right, "end", "reversed"))
    for place, anchor, word in ends:
        marks.append(f'<text class="axis" x="{place:.1f}" y="{line + 34}" text-anchor="{anchor}">{word}</text>')
    found = [
        (across(value), name, value)
        for name, metrics in chapter.predictors().items()
        if (value := figure(metrics, "nce", chapter.middle)) is not None
    ]
    for place, name, value in found:
        tone = "model" if name == chapter.model else "other"
        low_high = interval(chapter, "nce", chapter.middle) if tone == "model" else None
        if low_high is not None:
            marks.append(f'<path class="spread" d="M{across(low_high[0]):.1f} {line}H{across(low_high[1]):.1f}"/>')
        marks.append(
            f'<circle class="dot {tone}" cx="{place:.1f}" cy="{line}" r="{7 if tone == "model" else 4}">'
            f"<title>{escape(name)}: {value:.3g}</title></circle>"
        )
    marks += _ladder_labels(sorted(found), chapter.model, line, width)
    about = f"Counterfactual error at {chapter.middle} s: " + ", ".join(f"{n} {v:.2f}" for _, n, v in found)
    return (
        f'<svg class="plot ladder {kind}" viewBox="0 0 {width:g} {height:g}" role="img">'
        f"<title>{escape(about)}</title>{''.join(marks)}</svg>"
    )


LETTER = 7.0
"""Generous width of a letter of a label."""


def _ladder_labels(found: Sequence[tuple[float, str, float]], model: str, line: float, width: float) -> list[str]:
    """Names above their dots: those that would run into each other share a stack."""
    stacks: list[list[tuple[float, str]]] = []
    for place, name, _ in found:
        stacks.append([(place, name)])
        while len(stacks) > 1 and _extent(stacks[-2], width)[2] > _extent(stacks[-1], width)[1]:
            stacks[-2:] = [stacks[-2] + stacks[-1]]
    marks = []
    for stack in stacks:
        anchor, low, high = _extent(stack, width)
        at = {"start": low, "end": high}.get(anchor, (low + high) / 2)
        for level, (_, name) in enumerate(reversed(stack)):
            tone = "model" if name == model else "other"
            height = line - 14 - LINE_HEIGHT * level
            marks.append(
                f'<text class="label {tone}" x="{at:.1f}" y="{height:.1f}" text-anchor="{anchor}">{escape(name)}</text>'
            )
    return marks


def _extent(stack: Sequence[tuple[float, str]], width: float) -> tuple[str, float, float]:
    """How the names of a stack are aligned, and from where to where they reach."""
    centre = sum(place for place, _ in stack) / len(stack)
    half = LETTER * max(len(name) for _, name in stack) / 2
    if centre < half:
        return "start", centre, centre + 2 * half
    if centre > width - half:
        return "end", centre - 2 * half, centre
    return "middle", centre - half, centre + half


def horizon_curves(chapter: Chapter, quantity: str = "nce", top: float = 1.25) -> str:
    """A quantity for every step ahead, the model beside baselines, over the chaos floor."""
    curves = chapter.evaluation.metrics.get("curves") or {}
    seconds, values = curves.get("seconds") or [], curves.get(quantity) or []
    if not seconds or not values:
        return ""
    titles = {"nce": "counterfactual error", "drift": "distance from the truth"}
    last = float(seconds[-1])
    ticks = [round(last * part, 2) for part in (0.25, 0.5, 0.75, 1.0)]
    plot = Plot(
        f"{titles.get(quantity, quantity)} of {chapter.model} from {seconds[0]} to {last} s",
        (0.0, last),
        (0.0, top),
        (ticks, [0, 0.5, 1.0]),
        ("seconds ahead", titles.get(quantity, quantity)),
    )
    floor = curves.get("chaos_floor") or []
    if quantity == "nce" and any(v is not None for v in floor):
        plot.band(seconds, [0.0] * len(seconds), floor, "floor")
        plot.line(seconds, floor, "floor", "chaos")
    for name in BESIDE:
        other = (chapter.baselines.get(name) or {}).get("curves") or {}
        if other.get(quantity) and any(v is not None for v in other[quantity]):
            plot.line(other["seconds"], other[quantity], "other", name)
    plot.line(seconds, values, "model", chapter.model if len(chapter.model) < 14 else "model")
    for horizon in chapter.horizons if quantity == "nce" else []:
        low_high = interval(chapter, "nce", horizon)
        if low_high is not None:
            plot.bar(float(horizon), *low_high, "model")
    return plot.render()


def group_curves(chapter: Chapter) -> str:
    """Counterfactual error of every outcome group over the horizons that were measured."""
    groups = chapter.evaluation.metrics.get("groups") or {}
    horizons = chapter.horizons
    if len(horizons) < 2 or not groups:
        return ""
    seconds = [float(h) for h in horizons]
    about = "Counterfactual error by what is foreseen: " + ", ".join(groups)
    plot = Plot(
        about,
        (0.0, seconds[-1]),
        (0.0, 1.25),
        (seconds, [0, 0.5, 1.0]),
        ("seconds ahead", "counterfactual error"),
    )
    for index, (name, metrics) in enumerate(groups.items()):
        values = [figure(metrics, "nce", h) for h in horizons]
        plot.line(seconds, values, f"group group{index % 6}", name.replace("_", " "))
        for second, value in zip(seconds, values, strict=True):
            if value is not None:
                plot.dot(second, value, f"group group{index % 6}", 2.5, f"{name}: {value:.3g}")
    return plot.render()


def coverage(chapter: Chapter) -> str:
    """How often the truth fell inside intervals of each level."""
    points = (chapter.evaluation.metrics.get("calibration") or {}).get("coverage") or []
    pairs = [(float(level), float(share)) for level, share in points if share is not None]
    if not pairs:
        return ""
    about = "Coverage: " + ", ".join(f"{share:.0%} of truths in the {level:.0%} interval" for level, share in pairs)
    plot = _square(about, ("interval", "truths inside"))
    plot.line([0.0, *(p[0] for p in pairs), 1.0], [0.0, *(p[1] for p in pairs), 1.0], "model")
    for level, share in pairs:
        plot.dot(level, share, "model", 4, f"{level:.0%} interval holds {share:.0%} of truths")
    return plot.render()


def reliability(chapter: Chapter) -> str:
    """Imagined event probabilities against how often the events came about; area is how many."""
    calibration = (chapter.evaluation.metrics.get("calibration") or {}).get("events") or {}
    bins = [
        (e, p, f, n) for e, rows in calibration.items() for p, f, n in rows if p is not None and f is not None and n
    ]
    if not bins:
        return ""
    most = max(n for *_, n in bins)
    plot = _square("Event probabilities against frequencies", ("imagined probability", "came about"))
    for event, probability, frequency, count in bins:
        text = f"{event.replace('_', ' ')}: {probability:.2f} imagined, {frequency:.2f} of {count:g} came about"
        plot.dot(float(probability), float(frequency), "model faint", 2 + 9 * math.sqrt(count / most), text)
    return plot.render()


def _square(about: str, titles: tuple[str, str]) -> Plot:
    plot = Plot(
        about, (0.0, 1.0), (0.0, 1.0), ([0, 0.5, 1], [0, 0.5, 1]), titles, (280.0, 250.0), right=12.0, kind="square"
    )
    plot.line([0.0, 1.0], [0.0, 1.0], "ideal")
    return plot


def ledger(owners: Mapping[str, int]) -> str:
    """Parameters by owner as one bar and its words."""
    total = sum(owners.values())
    if not total:
        return ""
    ranked = sorted(owners.items(), key=lambda item: -item[1])
    bar = "".join(
        f'<i class="owner owner{index % 6}" style="flex-grow:{count}" title="{escape(name)}: {count:,}"></i>'
        for index, (name, count) in enumerate(ranked)
        if count
    )
    words = "".join(
        f'<li><i class="owner{index % 6}"></i><span>{escape(name)}</span> '
        f"<b>{millions(count)}</b> <em>{count / total:.1%}</em></li>"
        for index, (name, count) in enumerate(ranked)
    )
    return (
        f'<div class="ledger"><div class="bar" role="img" aria-label="Parameters by owner">{bar}</div>'
        f"<ul>{words}</ul></div>"
    )


def millions(count: float) -> str:
    """A number of parameters in short."""
    return f"{count / 1e6:.2f} M" if count >= 1e6 else f"{count / 1e3:.1f} k" if count >= 1e3 else f"{count:g}"
